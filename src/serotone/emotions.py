"""The emotion vocabulary that every corpus is mapped to."""

from collections.abc import Iterable, Mapping

EMOTIONS: tuple[str, ...] = (
    "angry",
    "bored",
    "calm",
    "disgusted",
    "excited",
    "fearful",
    "frustrated",
    "happy",
    "neutral",
    "sad",
    "surprised",
    "other",
)
"""The canonical emotions, in the order in which tables and labels list them."""


def in_order(emotions: Iterable[str]) -> list[str]:
    """Distinct emotions: the canonical ones in vocabulary order, then any others alphabetically."""
    distinct = set(emotions)
    return [e for e in EMOTIONS if e in distinct] + sorted(distinct - set(EMOTIONS))


def merged(emotion: str, merge: Mapping[str, str]) -> str:
    """The emotion after a recipe's merges, such as ``{"excited": "happy"}``."""
    return merge.get(emotion, emotion)
