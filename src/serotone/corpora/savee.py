"""SAVEE, Surrey Audio-Visual Expressed Emotion: English, acted, 480 utterances of 4 men.

Haq and Jackson, "Speaker-dependent audio-visual emotion recognition", AVSP 2009; free for research, by registration at
http://kahlan.eps.surrey.ac.uk/savee.

``AudioData/DC/a01.wav`` or, in flat copies, ``DC_a01.wav``: speaker, emotion (a d f h n sa su), number. Both give the
same ids. 44.1 kHz.
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

_SPEAKERS = ("DC", "JE", "JK", "KL")
_EMOTIONS = {
    "sa": "sad",  # two letters come first
    "su": "surprised",
    "a": "angry",
    "d": "disgusted",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
}
_CODE = rf"(?P<code>(?P<emotion>{'|'.join(_EMOTIONS)})\d\d)"
_FLAT = re.compile(rf"(?P<speaker>{'|'.join(_SPEAKERS)})_{_CODE}")
_INSIDE = re.compile(_CODE)


def read(root: Path) -> list[Utterance]:
    """The utterances of SAVEE under ``root``, sorted by id (``DC_a01``), in either layout.

    ``sentence`` is the code of the text: ``a01`` is the same for all speakers. Three texts are common to all emotions,
    which the code does not show. Raises CorpusError where no file is named as in SAVEE.
    """
    folder = locate("savee", root, _finds, "files like DC/a01.wav or DC_a01.wav, here or in AudioData/")
    flat = [(path, name, name["speaker"]) for path, name in matched("savee", audio_files(folder), _FLAT)]
    inside = [
        (path, name, speaker.name)
        for speaker in _speakers(folder)
        for path, name in matched("savee", audio_files(speaker), _INSIDE)
    ]
    return sorted_unique(
        Utterance(
            id=f"{speaker}_{name['code']}",
            path=path,
            emotion=_EMOTIONS[name["emotion"]],
            speaker=speaker,
            corpus="savee",
            gender="male",
            sentence=name["code"],
        )
        for path, name, speaker in (*flat, *inside)
    )


def _speakers(folder: Path) -> list[Path]:
    return [f for f in subfolders(folder) if f.name in _SPEAKERS]


def _finds(folder: Path) -> Path | None:
    candidates = (*(f for f in subfolders(folder) if f.name.lower() in ("audiodata", "all")), folder)
    for candidate in candidates:
        if holds(candidate, _FLAT) or any(holds(s, _INSIDE) for s in _speakers(candidate)):
            return candidate
    return None


CORPUS = Corpus(
    name="savee",
    read=read,
    official=Official(
        total=480,
        emotions={e: 120 if e == "neutral" else 60 for e in _EMOTIONS.values()},
        speakers=dict.fromkeys(_SPEAKERS, 120),
    ),
    licence="free for research, by registration",
    description="SAVEE: English, acted, 4 men",
    languages=("en",),
)
