"""SUBESCO: Bangla, acted, 7,000 utterances of 20 speakers, ten sentences.

Sultana, Rahman, Selim and Iqbal, "SUST Bangla Emotional Speech Corpus (SUBESCO): An audio-only emotional speech corpus
for Bangla", PLoS ONE 16(4), 2021; https://zenodo.org/records/4526477, CC BY 4.0.

``F_01_OISHI_S_10_ANGRY_1.wav``: gender, speaker, name, sentence, emotion, take. The numbers of the speakers start anew
for each gender. Five takes of each sentence in each emotion. The original has one slip, a bracket in the name of a
file, which its id here lacks.
"""

import re
from itertools import product
from pathlib import Path

from serotone.corpora.base import Corpus, Official, Utterance, audio_files, holds, locate, matched, sorted_unique

_EMOTIONS = {
    "ANGRY": "angry",
    "DISGUST": "disgusted",
    "FEAR": "fearful",
    "HAPPY": "happy",
    "NEUTRAL": "neutral",
    "SAD": "sad",
    "SURPRISE": "surprised",
}
_GENDERS = {"F": "female", "M": "male"}
_SPEAKERS = tuple(f"{gender}_{number:02d}" for gender, number in product(_GENDERS, range(1, 11)))
_NAME = re.compile(
    rf"(?P<id>(?P<speaker>{'|'.join(_SPEAKERS)})_[A-Z]+_S_(?P<sentence>10|[1-9])_(?P<emotion>{'|'.join(_EMOTIONS)})"
    r"_[1-5])\]?"
)


def read(root: Path) -> list[Utterance]:
    """The utterances of SUBESCO under ``root``, sorted by id; ``sentence`` is its number, ``speaker`` such as ``F_01``.

    Raises CorpusError where no file is named as in SUBESCO.
    """
    folder = locate("subesco", root, _finds, "files named like F_01_OISHI_S_10_ANGRY_1.wav")
    return sorted_unique(
        Utterance(
            id=name["id"],
            path=path,
            emotion=_EMOTIONS[name["emotion"]],
            speaker=name["speaker"],
            corpus="subesco",
            gender=_GENDERS[name["speaker"][0]],
            sentence=name["sentence"],
        )
        for path, name in matched("subesco", audio_files(folder), _NAME)
    )


def _finds(folder: Path) -> Path | None:
    return folder if holds(folder, _NAME) else None


CORPUS = Corpus(
    name="subesco",
    read=read,
    official=Official(
        total=7000,
        emotions=dict.fromkeys(_EMOTIONS.values(), 1000),
        speakers=dict.fromkeys(_SPEAKERS, 350),
    ),
    licence="CC BY 4.0",
    description="SUBESCO: Bangla, acted, 20 speakers, ten sentences",
    languages=("bn",),
    oddities=("F_02_MONIKA_S_2_SURPRISE_3 has a bracket, ], at the end of its name in the original",),
)
