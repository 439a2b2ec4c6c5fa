"""Names in messages and tables: how many, the first few of many, the one that was meant, and bytes that are no text."""

from collections.abc import Iterable

UNSAFE = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""For a class of a pattern: controls (Cc), what ends a line or a paragraph (Zl, Zp), and what turns the direction of
writing. Blanks and joiners of any script are safe to show."""


def count_of(number: int, noun: str) -> str:
    """A number of things whose plural ends in s.

    >>> count_of(1, "unit"), count_of(2, "unit")
    ('1 unit', '2 units')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def first_few(names: Iterable[object], shown: int = 3, *, apart: str = ", ") -> str:
    """The first few names, and how many there are besides; ``none`` where there is no name.

    >>> first_few(["ann", "bob", "cid", "dan", "eve"])
    'ann, bob, cid and 2 more'
    >>> first_few(["seed was 0", "labels was null", "schema was 1"], 2, apart="; ")
    'seed was 0; labels was null; and 1 more'
    """
    every = [str(name) for name in names]
    rest = f"{apart.strip(', ')} and {len(every) - shown} more" if len(every) > shown else ""
    return f"{apart.join(every[:shown])}{rest}" if every else "none"


def guess(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """What to say in an error after a name nobody knows: the nearest known one, or nothing where none is near.

    ``likeness`` is what makes a name near: twice the characters that both have in order, over those of both.

    >>> guess("netural", ["angry", "neutral"])
    ' (did you mean neutral?)'
    >>> guess("x", ["angry", "neutral"])
    ''
    """
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f" (did you mean {near[0]}?)" if near else ""


def utf8(text: str) -> str:
    r"""The text as a table can hold it: of the name of a file, bytes that are no UTF-8 are written in hexadecimal.

    >>> utf8("p\udce9re.wav"), utf8("père.wav")
    ('p\\xe9re.wav', 'père.wav')
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
