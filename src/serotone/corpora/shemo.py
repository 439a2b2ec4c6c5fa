"""ShEMO, the Sharif emotional speech database: Persian, from radio plays, 3,000 utterances of 87 speakers.

Mohamad Nezami, Jamshid Lou and Karami, "ShEMO: a large-scale validated database for Persian speech emotion detection",
Language Resources and Evaluation 53(1), 2019; https://github.com/mansourehk/ShEMO, free for academic purposes.

``female/F01A02.wav``: speaker, emotion (one letter, W for surprise), number; in a folder per gender or all in one. The
transcripts, which are not read, are named alike, and do not always belong to the recording of their name. The emotion
is what most of twelve listeners heard. Very uneven: 38 utterances are fearful, 1,059 angry.
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

_EMOTIONS = {"A": "angry", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad", "W": "surprised"}
_FOLDERS = ("female", "male")
_NAME = re.compile(rf"(?P<speaker>(?P<gender>[FM])\d\d)(?P<emotion>[{''.join(_EMOTIONS)}])\d\d")


def read(root: Path) -> list[Utterance]:
    """The utterances of ShEMO under ``root``, sorted by id; nothing is said twice, so ``sentence`` is empty.

    The root is the folder that holds ``female`` and ``male``, or all files. Raises CorpusError where no file is named
    as in ShEMO.
    """
    folder = locate("shemo", root, _finds, "files named like F01A02.wav, here or in female/ and male/")
    paths = [path for f in _folders(folder) for path in audio_files(f)]
    return sorted_unique(
        Utterance(
            id=path.stem,
            path=path,
            emotion=_EMOTIONS[name["emotion"]],
            speaker=name["speaker"],
            corpus="shemo",
            gender="female" if name["gender"] == "F" else "male",
        )
        for path, name in matched("shemo", paths, _NAME)
    )


def _folders(folder: Path) -> list[Path]:
    return [folder, *(f for f in subfolders(folder) if f.name.lower() in _FOLDERS)]


def _finds(folder: Path) -> Path | None:
    return folder if any(holds(f, _NAME) for f in _folders(folder)) else None


CORPUS = Corpus(
    name="shemo",
    read=read,
    official=Official(
        total=3000,
        emotions={"angry": 1059, "fearful": 38, "happy": 201, "neutral": 1028, "sad": 449, "surprised": 225},
        speakers=87,
    ),
    licence="free for academic purposes",
    description="ShEMO: Persian, radio plays, 87 speakers",
    languages=("fa",),
)
