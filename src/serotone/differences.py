"""How a command differs from an earlier one whose work it would continue, in the words that were typed."""

from collections.abc import Mapping
from typing import NamedTuple


class Difference(NamedTuple):
    """The first term that differs: ``former`` says how the earlier command had it, ``present`` how this one has it."""

    term: str
    former: str
    present: str


def difference(
    former: Mapping[str, object],
    present: Mapping[str, object],
    former_names: Mapping[str, object] | None = None,
    present_names: Mapping[str, object] | None = None,
) -> Difference | None:
    """How two commands differ; None if they do not.

    A term whose value is None or False was not given; one whose value is True is an option without a value. Terms that
    are in the names have digests as values: the name is shown for a digest, or the digest's beginning where there is no
    name, or where both names are the same.

    >>> difference({"--channels": None}, {"--channels": True})
    Difference(term='--channels', former='without --channels', present='--channels')
    >>> difference({"--channel": 1}, {"--channel": 0})
    Difference(term='--channel', former='with --channel 1', present='--channel 0')
    >>> difference({"bundle": "1a2b"}, {"bundle": "3c4d"}, {"bundle": "toy 1"}, {"bundle": "light 1"})
    Difference(term='bundle', former='with bundle toy 1', present='bundle light 1')
    """
    one, other = former_names or {}, present_names or {}
    for term in {**former, **present}:
        before, now = former.get(term), present.get(term)
        if before == now:
            continue
        if term in {**one, **other}:
            same = one.get(term) == other.get(term)
            before, now = _title(before, one.get(term), same=same), _title(now, other.get(term), same=same)
        return Difference(
            term,
            f"with {_typed(term, before)}" if _is_given(before) else f"without {term}",
            _typed(term, now) if _is_given(now) else f"no {term}",
        )
    return None


def _is_given(value: object) -> bool:
    return value is not None and value is not False


def _typed(term: str, value: object) -> str:
    return term if value is True else f"{term} {value}"


def _title(digest: object, name: object, *, same: bool) -> object:
    """What is shown for a digest."""
    if digest is None:
        return None
    begin = f"{str(digest)[:12]}..."
    if name is None:
        return begin
    return f"{name} ({begin})" if same else name
