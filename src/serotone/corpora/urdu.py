"""URDU: Urdu, spontaneous speech from talk shows, 400 utterances of 29 speakers.

Latif, Qayyum, Usman and Qadir, "Cross Lingual Speech Emotion Recognition: Urdu vs. Western Languages", FIT 2018;
https://github.com/siddiquelatif/URDU-Dataset, for research only.

``Angry/SM1_F10_A010.wav``: speaker (SM male, SF female), the speaker's file, emotion and number. Copies may have a
folder per speaker inside that of the emotion. Very uneven: some speakers are heard twice, in one emotion only, and one
makes up most of the neutral speech. Paper and ReadMe count 38 speakers; the files name 29, as there is none of SM8 to
SM16.
"""

import re
from pathlib import Path

from serotone.corpora.base import (
    Corpus,
    Official,
    Utterance,
    audio_files,
    holds,
    locate,
    matched,
    sorted_unique,
    subfolders,
)

_EMOTIONS = {
    "A": "angry",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
}
_FOLDERS = ("angry", "happy", "neutral", "sad")
_NAME = re.compile(rf"(?P<speaker>S(?P<gender>[MF])\d+)_F\d+_(?P<emotion>{'|'.join(_EMOTIONS)})\d+")


def read(root: Path) -> list[Utterance]:
    """The utterances of URDU under ``root``, sorted by id; nothing is said twice, so ``sentence`` is empty.

    The root is the folder that holds ``Angry``, ``Happy``, ``Neutral`` and ``Sad``. Raises CorpusError where no file in
    them is named as in URDU.
    """
    folder = locate("urdu", root, _finds, "files like Angry/SM1_F10_A010.wav")
    paths = [path for f in _folders(folder) for path in audio_files(f, depth=1)]
    return sorted_unique(
        Utterance(
            id=path.stem,
            path=path,
            emotion=_EMOTIONS[name["emotion"]],
            speaker=name["speaker"],
            corpus="urdu",
            gender="male" if name["gender"] == "M" else "female",
        )
        for path, name in matched("urdu", paths, _NAME)
    )


def _folders(folder: Path) -> list[Path]:
    return [f for f in subfolders(folder) if f.name.lower() in _FOLDERS]


def _finds(folder: Path) -> Path | None:
    return folder if any(holds(f, _NAME, depth=1) for f in _folders(folder)) else None


CORPUS = Corpus(
    name="urdu",
    read=read,
    official=Official(total=400, emotions=dict.fromkeys(_EMOTIONS.values(), 100), speakers=29),
    licence="for research only",
    description="URDU: Urdu, talk shows, 29 speakers",
    languages=("ur",),
    oddities=("paper and ReadMe count 38 speakers; the files of the original name 29",),
)
