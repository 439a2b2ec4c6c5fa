"""What a part of a system may be told: one frozen class for each module, which is also what a recipe says of it.

A field's range and its description are metadata of its type, in the words of ``annotated_types``: a recipe's schema
reads them, and so does the class itself, so that options made in Python are held to the same ranges.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import DocInfo, Ge, Gt, Le, Lt

Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options; each class has a ``name`` of its own, by which a recipe chooses it.

    Raises:
        ValueError: A value is out of its range, or none of its choices.
    """

    __pydantic_config__: ClassVar[Mapping[str, object]] = MappingProxyType({"extra": "forbid"})
    name: str = ""

    def __post_init__(self) -> None:
        for field, (bounds, choices) in _limits(type(self)).items():  # type: ignore[arg-type]  # a class is hashable
            value = getattr(self, field)
            if choices and value not in choices:
                expected = ", ".join("null" if choice is None else str(choice) for choice in choices)
                raise ValueError(f"{field} is {value!r}; expected one of {expected}")
            several = isinstance(value, tuple | list)
            for place, one in enumerate(value if several else [] if value is None else [value]):
                name = f"{field}[{place}]" if several else field
                if isinstance(one, float) and not math.isfinite(one):
                    raise ValueError(f"{name} is {one}; expected a finite number")
                for words, holds in (_in_words(bound, one) for bound in bounds):
                    if not holds:
                        raise ValueError(f"{name} is {one}; expected {words}")


def described(options: type[Options]) -> Iterator[tuple[str, str]]:
    """The fields of a class of options, each with its description ("" where it needs none)."""
    hints = get_type_hints(options, include_extras=True)
    for field in fields(options):
        notes = [note.documentation for note in _metadata(hints[field.name]) if isinstance(note, DocInfo)]
        yield field.name, " ".join(notes)


def by_name(*parts: type[Part]) -> Mapping[str, type[Part]]:
    """Classes of options by their names, or modules by those of their options: what a recipe may choose from."""
    return MappingProxyType({getattr(part, "options_type", part).name: part for part in parts})  # type: ignore[union-attr]


@cache
def _limits(options: Any) -> dict[str, tuple[list[Any], tuple[object, ...]]]:
    """Bounds and choices of every field; the bounds of a tuple are those of its members."""
    limits = {}
    for name, hint in get_type_hints(options, include_extras=True).items():
        if get_origin(hint) is ClassVar:
            continue
        plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        notes = (*_metadata(hint), *(_metadata(get_args(plain)[0]) if get_origin(plain) is tuple else ()))
        bounds = [note for note in notes if isinstance(note, Ge | Gt | Le | Lt)]
        members = get_args(plain) if get_origin(plain) is not Literal else (plain,)
        words = [choice for member in members if get_origin(member) is Literal for choice in get_args(member)]
        choices = (*words, None) if words and type(None) in members else tuple(words)
        limits[name] = bounds, choices
    return limits


def _metadata(hint: object) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _in_words(bound: Any, value: Any) -> tuple[str, bool]:
    """A bound in words, and whether the value keeps it."""
    if isinstance(bound, Ge):
        return f"at least {bound.ge}", value >= bound.ge
    if isinstance(bound, Gt):
        return f"more than {bound.gt}", value > bound.gt
    if isinstance(bound, Le):
        return f"at most {bound.le}", value <= bound.le
    return f"less than {bound.lt}", value < bound.lt
