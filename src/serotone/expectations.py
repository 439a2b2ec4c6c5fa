"""What was expected of a value that pydantic refuses, in words for people who do not know pydantic."""

from collections.abc import Mapping
from typing import Any

from serotone.names import guess

_KINDS = {
    "bool": "true or false",
    "dataclass": "keys and values",
    "dict": "keys and values",
    "finite": "a finite number",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "keys and values",
    "string": "text",
    "tuple": "a list",
}
"""What pydantic expects, by the first word of the name that it gives to a problem."""

_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}

_SIZES = {
    "too_short": ("min_length", "at least {} of them"),
    "string_too_short": ("min_length", "text of at least {} characters"),
    "string_too_long": ("max_length", "text of at most {} characters"),
}


def expectation(problem: Mapping[str, Any]) -> str:
    """What was expected: a number, at least 1, one of a few words.

    Args:
        problem: One of ``errors()`` of pydantic's ValidationError or of FastAPI's.

    >>> expectation({"type": "float_parsing"}), expectation({"type": "less_than_equal", "ctx": {"le": 1e6}})
    ('a number', 'at most 1000000')
    """
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{words} {context[name]:.12g}"
    if kind in _SIZES:
        name, words = _SIZES[kind]
        return words.format(context[name])
    if kind == "literal_error":
        wanted = context["expected"].replace("'", "").replace(" or ", ", ")
        return f"one of {wanted}" if ", " in wanted else wanted
    if kind == "union_tag_invalid":
        wanted = context["expected_tags"].replace("'", "")
        return f"one of {wanted}{guess(context['tag'], wanted.split(', '))}"
    if kind == "union_tag_not_found":
        return "a name, and options of what it names"
    return _KINDS.get(kind.split("_")[0]) or message(problem)


def message(problem: Mapping[str, Any]) -> str:
    """What a validator of ours said, or else pydantic."""
    return str(problem["msg"]).removeprefix("Value error, ")
