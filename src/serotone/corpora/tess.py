"""TESS, the Toronto emotional speech set: English, acted, 2,800 utterances of 2 women.

Pichora-Fuller and Dupuis, "Toronto emotional speech set (TESS)", University of Toronto, 2010 (Borealis
doi:10.5683/SP2/E8H2MF), CC BY-NC-ND 4.0. Two hundred words, each in "Say the word ...", in seven emotions.

``OAF_back_angry.wav``: speaker (OAF older, YAF younger), word, emotion (``ps`` is pleasant surprise), in one folder or
in several, such as one per speaker and emotion. ``OA_bite_neutral`` is a slip of the original for ``OAF_bite_neutral``,
which is its id here. In some copies files named .wav hold AIFF; that does not matter, as audio is told by its content.
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
    "angry": "angry",
    "disgust": "disgusted",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",
    "sad": "sad",
}
_SPEAKERS = {"OAF": "OAF", "OA": "OAF", "YAF": "YAF"}
_NAME = re.compile(
    rf"(?P<speaker>{'|'.join(_SPEAKERS)})_(?P<word>[a-z]+)_(?P<emotion>{'|'.join(_EMOTIONS)})", re.IGNORECASE
)


def read(root: Path) -> list[Utterance]:
    """The utterances of TESS under ``root``, sorted by id; ``sentence`` is the word.

    Raises CorpusError where no file is named as in TESS.
    """
    folder = locate("tess", root, _finds, "files named like OAF_back_angry.wav, here or in folders like OAF_angry/")
    paths = [path for f in _folders(folder) for path in audio_files(f)]
    return sorted_unique(_utterance(path, name) for path, name in matched("tess", paths, _NAME))


def _utterance(path: Path, name: re.Match[str]) -> Utterance:
    speaker, word, emotion = _SPEAKERS[name["speaker"].upper()], name["word"].lower(), name["emotion"].lower()
    return Utterance(
        id=f"{speaker}_{word}_{emotion}",
        path=path,
        emotion=_EMOTIONS[emotion],
        speaker=speaker,
        corpus="tess",
        gender="female",
        sentence=word,
    )


def _folders(folder: Path) -> list[Path]:
    return [folder, *(f for f in subfolders(folder) if holds(f, _NAME))]


def _finds(folder: Path) -> Path | None:
    return folder if any(holds(f, _NAME) for f in (folder, *subfolders(folder))) else None


CORPUS = Corpus(
    name="tess",
    read=read,
    official=Official(
        total=2800,
        emotions=dict.fromkeys(_EMOTIONS.values(), 400),
        speakers={"OAF": 1400, "YAF": 1400},
    ),
    licence="CC BY-NC-ND 4.0",
    description="TESS: English, acted, 2 women, two hundred words",
    languages=("en",),
    oddities=("OAF_bite_neutral is called OA_bite_neutral in the original",),
)
