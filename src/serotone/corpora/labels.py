"""The words that manifests and folders use for emotions, and the canonical emotion each of them means."""

from serotone.emotions import EMOTIONS
from serotone.errors import CorpusError
from serotone.names import guess

_SYNONYMS = {
    "angry": "anger mad",
    "bored": "boredom boring",
    "calm": "calmness relaxed serene",
    "disgusted": "disgust",
    "excited": "excitement",
    "fearful": "fear afraid scared anxious anxiety anxiety/fear",
    "frustrated": "frustration",
    "happy": "happiness joy joyful",
    "neutral": "neutrality normal",
    "sad": "sadness sorrow",
    "surprised": "surprise pleasant_surprise pleasant_surprised",
    "other": "others",
}
_ABBREVIATIONS = {
    "ang": "angry",
    "bor": "bored",
    "dis": "disgusted",
    "exc": "excited",
    "fea": "fearful",
    "fru": "frustrated",
    "hap": "happy",
    "neu": "neutral",
    "oth": "other",
    "ps": "surprised",
    "sur": "surprised",
}
_WORDS = {
    **{word: emotion for emotion, words in _SYNONYMS.items() for word in words.split()},
    **{emotion: emotion for emotion in EMOTIONS},
}
SYNONYMS: dict[str, str] = {**_WORDS, **_ABBREVIATIONS}
"""Accepted word, in lower case with ``_`` for spaces and dashes, -> canonical emotion."""


def normal(word: str) -> str:
    """A word as :data:`SYNONYMS` spells it.

    >>> normal(" Pleasant-Surprise")
    'pleasant_surprise'
    """
    return "_".join(word.lower().replace("-", " ").replace("_", " ").split())


def canonical(word: str, *, where: str) -> str:
    """The canonical emotion that a word means; case, spaces and dashes do not matter.

    Raises CorpusError, which starts with ``where`` and lists the accepted words, for any other word.

    >>> canonical("Happiness", where="clips.csv")
    'happy'
    """
    emotion = SYNONYMS.get(normal(word))
    if emotion is None:
        near = guess(normal(word), _WORDS)  # no abbreviation: to Freude, fru is the nearest
        raise CorpusError(f"{where}: {word!r} is not a known emotion{near}; use one of: {', '.join(sorted(SYNONYMS))}")
    return emotion
