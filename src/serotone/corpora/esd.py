"""ESD, the emotional speech dataset: Mandarin and English, acted, 35,000 utterances of 20 speakers.

Zhou, Sisman, Liu and Li, "Emotional voice conversion: Theory, databases and ESD", Speech Communication 137, 2022;
https://github.com/HLTSingapore/Emotional-Speech-Data, for research only, by signed licence.

``0015/Angry/0015_000355.wav``, in some releases one level deeper: ``0015/Angry/{train,evaluation,test}/``, which is
passed over. Speakers 0001 to 0010 speak Mandarin, 0011 to 0020 English; their genders are those of the corpus' ReadMe.
The 1,750 files of a speaker are 350 texts, the same in each of five emotions: 000001 is the text of 000351, 000701, ...
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
    warn_of_strangers,
)

_EMOTIONS = {
    "angry": "angry",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprise": "surprised",
}
_TEXTS = 350
_FIRST_ENGLISH = 11
_WOMEN = frozenset({1, 2, 3, 7, 9, 15, 16, 17, 18, 19})
_SPEAKER = r"00(?:0[1-9]|1\d|20)"
_NAME = re.compile(rf"(?P<speaker>{_SPEAKER})_(?P<number>00[01]\d{{3}})")


def read(root: Path) -> list[Utterance]:
    """The utterances of ESD under ``root``, sorted by id.

    ``sentence`` is the language and the number of the text, ``zh-001`` to ``zh-350`` and ``en-001`` to ``en-350``: it
    tells the language, which the speaker does as well. The root is the folder that holds ``0001``, ... Raises
    CorpusError where no such folder holds files of ESD.
    """
    folder = locate("esd", root, _finds, "folders of speakers with files like 0015/Angry/0015_000355.wav")
    utterances, strangers = [], []
    for speaker, emotion, cell in _cells(folder):
        for path, name in matched("esd", audio_files(cell, depth=1), _NAME):
            if name["speaker"] == speaker:
                utterances.append(_utterance(path, name, emotion))
            else:
                strangers.append(path)
    warn_of_strangers("esd", strangers)
    return sorted_unique(utterances)


def _utterance(path: Path, name: re.Match[str], emotion: str) -> Utterance:
    speaker = int(name["speaker"])
    text = (int(name["number"]) - 1) % _TEXTS + 1
    language = "en" if speaker >= _FIRST_ENGLISH else "zh"
    return Utterance(
        id=path.stem,
        path=path,
        emotion=emotion,
        speaker=name["speaker"],
        corpus="esd",
        gender="female" if speaker in _WOMEN else "male",
        sentence=f"{language}-{text:03d}",
        language=language,
    )


def _cells(folder: Path) -> list[tuple[str, str, Path]]:
    """Speaker, emotion and folder of every cell."""
    return [
        (speaker.name, _EMOTIONS[cell.name.lower()], cell)
        for speaker in subfolders(folder)
        if re.fullmatch(_SPEAKER, speaker.name)
        for cell in subfolders(speaker)
        if cell.name.lower() in _EMOTIONS
    ]


def _finds(folder: Path) -> Path | None:
    return folder if any(holds(cell, _NAME, depth=1) for _, _, cell in _cells(folder)) else None


CORPUS = Corpus(
    name="esd",
    read=read,
    official=Official(
        total=35000,
        emotions=dict.fromkeys(_EMOTIONS.values(), 7000),
        speakers={f"{speaker:04d}": 1750 for speaker in range(1, 21)},
    ),
    licence="for research only, by signed licence",
    description="ESD: Mandarin and English, acted, 10 speakers each, 350 texts",
    languages=("zh", "en"),
)
