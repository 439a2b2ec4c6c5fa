"""EMOVO: Italian, acted, 588 utterances of 6 speakers, fourteen sentences.

Costantini, Iadarola, Paoloni and Todisco, "EMOVO Corpus: an Italian Emotional Speech Database", LREC 2014; Fondazione
Ugo Bordoni, free for research.

``f1/dis-f1-b1.wav``: emotion (Italian, three letters), speaker, sentence; in a folder per speaker or all in one.
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
    "dis": "disgusted",
    "gio": "happy",  # gioia
    "neu": "neutral",
    "pau": "fearful",  # paura
    "rab": "angry",  # rabbia
    "sor": "surprised",  # sorpresa
    "tri": "sad",  # tristezza
}
_SPEAKERS = {"f1": "female", "f2": "female", "f3": "female", "m1": "male", "m2": "male", "m3": "male"}
_NAME = re.compile(
    rf"(?P<emotion>{'|'.join(_EMOTIONS)})-(?P<speaker>{'|'.join(_SPEAKERS)})-(?P<sentence>[a-z]\d)", re.IGNORECASE
)


def read(root: Path) -> list[Utterance]:
    """The utterances of EMOVO under ``root``, sorted by id; ``sentence`` is the code of its text, such as ``b1``.

    Raises CorpusError where no file is named as in EMOVO.
    """
    folder = locate("emovo", root, _finds, "files named like dis-f1-b1.wav, here or in folders f1 to m3")
    paths = [path for f in _folders(folder) for path in audio_files(f)]
    return sorted_unique(_utterance(path, name) for path, name in matched("emovo", paths, _NAME))


def _utterance(path: Path, name: re.Match[str]) -> Utterance:
    return Utterance(
        id=path.stem.lower(),
        path=path,
        emotion=_EMOTIONS[name["emotion"].lower()],
        speaker=name["speaker"].lower(),
        corpus="emovo",
        gender=_SPEAKERS[name["speaker"].lower()],
        sentence=name["sentence"].lower(),
    )


def _folders(folder: Path) -> list[Path]:
    return [folder, *(f for f in subfolders(folder) if f.name.lower() in _SPEAKERS)]


def _finds(folder: Path) -> Path | None:
    return folder if any(holds(f, _NAME) for f in _folders(folder)) else None


CORPUS = Corpus(
    name="emovo",
    read=read,
    official=Official(
        total=588,
        emotions=dict.fromkeys(_EMOTIONS.values(), 84),
        speakers=dict.fromkeys(_SPEAKERS, 98),
    ),
    licence="free for research",
    description="EMOVO: Italian, acted, 6 speakers, fourteen sentences",
    languages=("it",),
)
