"""Names that nobody knows, and the known one that was probably meant."""

from collections.abc import Iterable


def guess(name: str, known: Iterable[str]) -> str:
    """What to say in an error after a name nobody knows: the nearest known one, or nothing where none is near.

    >>> guess("netural", ["angry", "neutral"])
    ' (did you mean neutral?)'
    >>> guess("x", ["angry", "neutral"])
    ''
    """
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
