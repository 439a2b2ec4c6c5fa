"""EmoDB, the Berlin Database of Emotional Speech: German, acted, 535 utterances of 10 speakers.

Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, "A Database of German Emotional Speech", Interspeech 2005.
Free for research with that citation; http://emodb.bilderbar.info.

``wav/03a01Fa.wav``: speaker 03, sentence a01, emotion F, version a. The root is the folder that holds ``wav``, or
``wav`` itself.
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
    "W": "angry",
    "L": "bored",
    "E": "disgusted",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}
_GENDERS = {
    "03": "male",
    "08": "female",
    "09": "female",
    "10": "male",
    "11": "male",
    "12": "male",
    "13": "female",
    "14": "female",
    "15": "male",
    "16": "female",
}
_NAME = re.compile(rf"(?P<speaker>{'|'.join(_GENDERS)})(?P<sentence>[ab]\d\d)(?P<emotion>[WLEAFTN])[a-z]")


def read(root: Path) -> list[Utterance]:
    """The utterances of EmoDB under ``root``, sorted by id; ``sentence`` is the text code, such as ``a01``.

    Raises CorpusError where no file is named as in EmoDB.
    """
    folder = locate("emodb", root, _finds, "files named like 03a01Fa.wav, here or in wav/")
    return sorted_unique(
        Utterance(
            id=path.stem,
            path=path,
            emotion=_EMOTIONS[name["emotion"]],
            speaker=name["speaker"],
            corpus="emodb",
            gender=_GENDERS[name["speaker"]],
            sentence=name["sentence"],
        )
        for path, name in matched("emodb", audio_files(folder), _NAME)
    )


def _finds(folder: Path) -> Path | None:
    candidates = (*(f for f in subfolders(folder) if f.name.lower() == "wav"), folder)
    return next((c for c in candidates if holds(c, _NAME)), None)


CORPUS = Corpus(
    name="emodb",
    read=read,
    official=Official(
        total=535,
        emotions={
            "angry": 127,
            "bored": 81,
            "disgusted": 46,
            "fearful": 69,
            "happy": 71,
            "neutral": 79,
            "sad": 62,
        },
        speakers={
            "03": 49,
            "08": 58,
            "09": 43,
            "10": 38,
            "11": 55,
            "12": 35,
            "13": 61,
            "14": 69,
            "15": 56,
            "16": 71,
        },
    ),
    licence="free for research, citing Burkhardt et al. 2005",
    description="Berlin Database of Emotional Speech: German, acted, 10 speakers",
    languages=("de",),
)
