"""The words that manifests and folders use for emotions, and the canonical emotion each of them means."""

from serotone.emotions import EMOTIONS
from serotone.errors import CorpusError
from serotone.names import guess

_SYNONYMS = {
    "angry": "anger ang mad",
    "bored": "boredom boring bor",
    "calm": "calmness relaxed serene",
    "disgusted": "disgust dis",
    "excited": "excitement exc",
    "fearful": "fear fea afraid scared anxious anxiety anxiety/fear",
    "frustrated": "frustration fru",
    "happy": "happiness hap joy joyful",
    "neutral": "neu neutrality normal",
    "sad": "sadness sorrow",
    "surprised": "surprise sur pleasant_surprise pleasant_surprised ps",
    "other": "oth others",
}
_ABBREVIATIONS = frozenset({"ang", "bor", "dis", "exc", "fea", "fru", "hap", "neu", "oth", "ps", "sur"})
SYNONYMS: dict[str, str] = {
    **{word: emotion for emotion, words in _SYNONYMS.items() for word in words.split()},
    **{emotion: emotion for emotion in EMOTIONS},
}
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
        words = [known for known in SYNONYMS if known not in _ABBREVIATIONS]  # to Freude, fru is the nearest
        near = guess(normal(word), words, likeness=0.65)  # Angst is not angry
        raise CorpusError(f"{where}: {word!r} is not a known emotion{near}; use one of: {', '.join(sorted(SYNONYMS))}")
    return emotion
