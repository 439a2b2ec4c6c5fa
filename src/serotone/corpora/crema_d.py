"""CREMA-D: English, acted, 7,442 utterances of 91 actors, twelve sentences.

Cao, Cooper, Keutmann, Gur, Nenkova and Verma, "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset", IEEE
Transactions on Affective Computing 5(4), 2014; https://github.com/CheyneyComputerScience/CREMA-D, Open Database License
(its contents: Database Contents License).

``AudioWAV/1001_IEO_ANG_HI.wav``: actor, sentence, emotion, level (LO, MD, HI; XX where none was asked for, and a few
files carry X). Some copies have a folder per actor. ``VideoDemographics.csv`` states the sex of each actor; a copy
without it loads as well, without gender.
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
    subfolders,
    warn,
)

_EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgusted",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": None, "X": None}
_FOLDERS = ("audiowav", "audiomp3")
_NAME = re.compile(
    rf"(?P<actor>1\d{{3}})_(?P<sentence>[A-Z]{{3}})_(?P<emotion>{'|'.join(_EMOTIONS)})_(?P<level>{'|'.join(_LEVELS)})"
)


def read(root: Path) -> list[Utterance]:
    """The utterances of CREMA-D under ``root``, sorted by id; ``sentence`` is the code of its text, such as ``IEO``.

    ``emotion`` is the one that the actor was asked for, and ``intensity`` its level: low, medium or high. The root is
    the folder that holds ``AudioWAV`` (or ``AudioMP3``), or that folder itself. Raises CorpusError where no file is
    named as in CREMA-D, or ``VideoDemographics.csv`` is not the corpus' own table.
    """
    folder = locate("crema-d", root, _finds, "files named like 1001_IEO_ANG_HI.wav, here or in AudioWAV/")
    paths = [path for f in _folders(folder) for path in audio_files(f)]
    table = "VideoDemographics.csv"
    gender_of = genders((folder / table, folder.absolute().parent / table), "ActorID", "Sex")
    utterances = [
        Utterance(
            id=path.stem,
            path=path,
            emotion=_EMOTIONS[name["emotion"]],
            speaker=name["actor"],
            corpus="crema-d",
            gender=gender_of.get(name["actor"]),
            sentence=name["sentence"],
            intensity=_LEVELS[name["level"]],
        )
        for path, name in matched("crema-d", paths, _NAME)
    ]
    without = sorted({u.speaker for u in utterances} - gender_of.keys())
    if without:
        warn(
            f"crema-d: VideoDemographics.csv is missing or lacks {listed(without, 'actor')}; their gender is left empty"
        )
    return sorted_unique(utterances)


def _finds(folder: Path) -> Path | None:
    named = sorted((f for f in subfolders(folder) if f.name.lower() in _FOLDERS), key=_rank)
    return next((c for c in (*named, folder) if any(holds(f, _NAME) for f in _folders(c))), None)


def _folders(folder: Path) -> list[Path]:
    return [folder, *(f for f in subfolders(folder) if re.fullmatch(r"1\d{3}", f.name))]


def _rank(folder: Path) -> int:
    return _FOLDERS.index(folder.name.lower())


CORPUS = Corpus(
    name="crema-d",
    read=read,
    official=Official(
        total=7442,
        emotions={e: 1087 if e == "neutral" else 1271 for e in _EMOTIONS.values()},
        speakers=91,
    ),
    licence="Open Database License 1.0",
    description="CREMA-D: English, acted, 91 actors, twelve sentences",
    languages=("en",),
    oddities=("1076_MTI_SAD_XX has no speech in the original, too",),
)
