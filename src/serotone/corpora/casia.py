"""CASIA, the Chinese emotional speech corpus: Mandarin, acted, the 1,200 utterances of its usual subset.

Institute of Automation, Chinese Academy of Sciences; used under its licence, not to be passed on. The whole corpus has
9,600 utterances; what most papers use are 4 speakers, 2 men and 2 women, who say the same 50 sentences in 6 emotions.
So a random split shares sentences as well as speakers. Which of them are the women is not stated, so the gender is left
empty.

``<speaker>/<emotion>/201.wav`` to ``250.wav``, or in some copies ``<emotion>/201-angry-liuchanhg.wav``: both give the
same ids. What lies outside the folders of speakers and emotions is passed over. 16 kHz mono.
"""

import re
from collections.abc import Iterator
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

_SPEAKERS = {name.lower(): name for name in ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang")}
_EMOTIONS = {
    "angry": "angry",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprise": "surprised",
}
_SENTENCE = r"(?P<sentence>20[1-9]|2[1-4]\d|250)"
_NUMBER = re.compile(_SENTENCE)


def read(root: Path) -> list[Utterance]:
    """The utterances of CASIA under ``root``, sorted by id (``liuchanhg/angry/201``); ``sentence`` is 201 to 250.

    The root is the folder that holds the folders of the speakers, or in the other layout of the emotions. Raises
    CorpusError where neither is there.
    """
    folder = locate("casia", root, _finds, "files like liuchanhg/angry/201.wav or angry/201-angry-liuchanhg.wav")
    return sorted_unique(
        _utterance(path, name, speaker, emotion)
        for cell, speaker, emotion, names in _cells(folder)
        for path, name in matched("casia", audio_files(cell), names)
    )


def _utterance(path: Path, name: re.Match[str], speaker: str | None, emotion: str) -> Utterance:
    speaker = speaker or _SPEAKERS[name["speaker"].lower()]
    return Utterance(
        id=f"{speaker}/{emotion}/{name['sentence']}",
        path=path,
        emotion=_EMOTIONS[emotion],
        speaker=speaker,
        corpus="casia",
        sentence=name["sentence"],
    )


def _cells(folder: Path) -> Iterator[tuple[Path, str | None, str, re.Pattern[str]]]:
    """Folders of clips, whose they are where the folder says it, their emotion, and what their files are called."""
    for outer in subfolders(folder):
        if outer.name.lower() in _SPEAKERS:
            for inner in subfolders(outer):
                if inner.name.lower() in _EMOTIONS:
                    yield inner, _SPEAKERS[outer.name.lower()], inner.name.lower(), _NUMBER
        elif outer.name.lower() in _EMOTIONS:
            emotion = outer.name.lower()
            speakers = "|".join(_SPEAKERS)
            yield outer, None, emotion, re.compile(rf"{_SENTENCE}-{emotion}-(?P<speaker>{speakers})", re.IGNORECASE)


def _finds(folder: Path) -> Path | None:
    return folder if any(holds(cell, names) for cell, _, _, names in _cells(folder)) else None


CORPUS = Corpus(
    name="casia",
    read=read,
    official=Official(
        total=1200,
        emotions=dict.fromkeys(_EMOTIONS.values(), 200),
        speakers=dict.fromkeys(_SPEAKERS.values(), 300),
    ),
    licence="by licence of the Institute of Automation, Chinese Academy of Sciences",
    description="CASIA, the subset of 1,200: Mandarin, acted, 4 speakers, 50 sentences",
    languages=("zh",),
)
