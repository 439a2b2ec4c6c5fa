"""RAVDESS, the speech part: English, acted, 1,440 utterances of 24 actors, two statements.

Livingstone and Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE 13(5),
2018; https://zenodo.org/record/1188976, CC BY-NC-SA 4.0.

``Actor_01/03-01-06-01-02-01-12.wav``: modality, channel, emotion, intensity, statement, repetition, actor; odd actors
are male. In a folder per actor or all in one. Only speech (channel 01) is read: video and song are passed over. Five of
the original files are stereo, and the original holds one recording under two names (03-01-03-01-02-01-07 and
03-01-03-01-02-02-07).
"""

import re
from pathlib import Path

from serotone.corpora.base import (
    Corpus,
    Official,
    Utterance,
    audio_files,
    entries,
    is_audio,
    locate,
    matched,
    sorted_unique,
    subfolders,
)

_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgusted",
    "08": "surprised",
}
_INTENSITIES = {"01": "normal", "02": "strong"}
_NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])"
    r"-(?P<repetition>0[12])-(?P<actor>0[1-9]|1\d|2[0-4])"
)
_AUDIO_ONLY, _SPEECH = "03", "01"
_ACTOR = re.compile(r"Actor_\d\d", re.IGNORECASE)


def read(root: Path) -> list[Utterance]:
    """The speech utterances of RAVDESS under ``root``, sorted by id; ``sentence`` is the statement, 01 or 02.

    The root is the folder that holds ``Actor_01``, ..., or all files. Raises CorpusError where there is no RAVDESS
    speech.
    """
    folder = locate(
        "ravdess", root, _finds, "files named like 03-01-06-01-02-01-12.wav, here or in folders Actor_01 to Actor_24"
    )
    paths = [path for f in _folders(folder) for path in audio_files(f)]
    return sorted_unique(_utterance(p, name) for p, name in matched("ravdess", paths, _NAME) if _is_speech(name))


def _utterance(path: Path, name: re.Match[str]) -> Utterance:
    return Utterance(
        id=path.stem,
        path=path,
        emotion=_EMOTIONS[name["emotion"]],
        speaker=name["actor"],
        corpus="ravdess",
        gender="male" if int(name["actor"]) % 2 else "female",
        sentence=name["statement"],
        intensity=_INTENSITIES[name["intensity"]],
    )


def _is_speech(name: re.Match[str]) -> bool:
    return name["modality"] == _AUDIO_ONLY and name["channel"] == _SPEECH


def _folders(folder: Path) -> list[Path]:
    return [folder, *(f for f in subfolders(folder) if _ACTOR.fullmatch(f.name))]


def _finds(folder: Path) -> Path | None:
    if _ACTOR.fullmatch(folder.absolute().name):
        return None  # one actor is not the corpus
    names = (_NAME.fullmatch(p.stem) for f in _folders(folder) for p in entries(f) if is_audio(p))
    return folder if any(name and _is_speech(name) for name in names) else None


CORPUS = Corpus(
    name="ravdess",
    read=read,
    official=Official(
        total=1440,
        emotions={"neutral": 96, **dict.fromkeys((e for e in _EMOTIONS.values() if e != "neutral"), 192)},
        speakers={f"{actor:02d}": 60 for actor in range(1, 25)},
    ),
    licence="CC BY-NC-SA 4.0",
    description="RAVDESS speech: English, acted, 24 actors, two statements",
    languages=("en",),
    oddities=("03-01-03-01-02-01-07 and 03-01-03-01-02-02-07 are one recording under two names in the original, too",),
)
