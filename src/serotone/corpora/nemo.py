"""nEMO: Polish, acted, 4,481 utterances of 9 speakers.

Christop, "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING 2024; https://huggingface.co/datasets/amu-cai/nEMO,
CC BY-NC-SA 4.0.

``samples/<speaker>_<emotion>_<sentence>.wav`` and ``data.tsv`` with text, gender and age, whose speaker ids can carry
leading spaces. Everything but the gender is in the file names, so a copy without ``data.tsv`` loads as well.
"""

import re
from pathlib import Path

from serotone.corpora.base import (
    Corpus,
    Official,
    Utterance,
    audio_files,
    genders,
    holds,
    listed,
    locate,
    matched,
    sorted_unique,
    warn,
)

_EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprised": "surprised",
}
_NAME = re.compile(rf"(?P<speaker>[A-Z]{{2}}\d)_(?P<emotion>{'|'.join(_EMOTIONS)})_(?P<sentence>\d+)")


def read(root: Path) -> list[Utterance]:
    """The utterances of nEMO under ``root``, sorted by id; ``sentence`` is the number at the end of the file name.

    The root is the folder that holds ``samples`` and ``data.tsv``, or ``samples`` itself. Raises CorpusError where
    no file is named as in nEMO, or ``data.tsv`` is not the corpus' own table.
    """
    folder = locate("nemo", root, _finds, "files named like AB0_anger_12.wav, here or in samples/")
    gender_of = genders((folder / "data.tsv", folder.parent / "data.tsv"), "speaker_id", "gender", tabs=True)
    utterances = [
        Utterance(
            id=path.stem,
            path=path,
            emotion=_EMOTIONS[name["emotion"]],
            speaker=name["speaker"],
            corpus="nemo",
            gender=gender_of.get(name["speaker"]),
            sentence=name["sentence"],
        )
        for path, name in matched("nemo", audio_files(folder), _NAME)
    ]
    without = sorted({u.speaker for u in utterances} - gender_of.keys())
    if without:
        warn(f"nemo: data.tsv is missing or lacks {listed(without, 'speaker')}; their gender is left empty")
    return sorted_unique(utterances)


def _finds(folder: Path) -> Path | None:
    return next((c for c in (folder / "samples", folder) if holds(c, _NAME)), None)


CORPUS = Corpus(
    name="nemo",
    read=read,
    official=Official(
        total=4481,
        emotions={"neutral": 809, "sad": 769, "angry": 749, "happy": 749, "fearful": 736, "surprised": 669},
        speakers=9,
    ),
    licence="CC BY-NC-SA 4.0",
    description="nEMO: Polish, acted, 9 speakers",
    languages=("pl",),
)
