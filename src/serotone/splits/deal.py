"""Dealing names into parts: seeded, even, and the same whatever order the names come in.

Random order is the order of SHA-256 digests of (seed, repetition, purpose, name). A published result names its seed, so
what is dealt for one must never change.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """What a protocol may read, None where it is not given; see `serotone.splits.make_splits`."""

    seed: int = 0
    repetition: int = 0
    folds: int | None = None
    speakers_out: int | None = None
    validation_speakers: int | None = None
    validation_share: float | None = None
    validation_sentences: int | None = None
    test_share: float | None = None
    test_corpora: Collection[str] | None = None


HeldOut = tuple[Collection[str], Collection[str]]
"""The ids of one fold's validation and test parts; its train part is all the rest."""

DEFAULT_FOLDS = 5

Key = tuple[object, ...]
"""Seed, repetition and purpose: what a random order derives from."""


def key_of(options: Options, *purpose: object) -> Key:
    """The key of one random choice of a protocol."""
    return (options.seed, options.repetition, *purpose)


def digest(key: Key, *names: str) -> bytes:
    """32 bytes that key and names decide."""
    return hashlib.sha256("\0".join(map(str, (*key, *names))).encode("utf-8", "surrogateescape")).digest()


def shuffled(names: Iterable[str], key: Key) -> list[str]:
    """The names in the random order of the key."""
    return sorted(names, key=lambda name: digest(key, name))


def deal(names: Iterable[str], parts: int, stratum: Callable[[str], tuple[str, ...]], key: Key) -> list[list[str]]:
    """Deal names like cards, one cell after another, going on in the next cell where the last one ended.

    ``stratum`` gives a name's attributes. Each leading run of them (the emotion, then emotion and gender, ...) stands
    together in the order of dealing, so the whole, every emotion and every cell are spread evenly to within one.
    """

    def place(name: str) -> list[bytes]:
        attributes = stratum(name)
        levels = [digest(key, *attributes[: depth + 1]) for depth in range(len(attributes))]
        return [*levels, digest(key, "name", name)]

    order = sorted(names, key=place)
    # Which part is served first is drawn too: in a balanced corpus a rare emotion would always fall into the same one.
    return [order[int(first) :: parts] for first in shuffled(map(str, range(parts)), (*key, "first"))]


def stratified_share(strata: Mapping[str, str], share: float, key: Key) -> list[str]:
    """A share of the names, of each stratum to within one, that never takes a stratum's last name.

    ``strata`` is the stratum (such as the emotion) by name.
    """
    members: dict[str, list[str]] = {}
    for name in shuffled(strata, key):
        members.setdefault(strata[name], []).append(name)
    exact = {stratum: share * len(names) for stratum, names in members.items()}
    taken = {stratum: math.floor(value + 1e-9) for stratum, value in exact.items()}
    wanted = max(1, math.floor(share * len(strata) + 0.5)) if share else 0
    by_remainder = sorted(members, key=lambda s: (taken[s] - exact[s], digest(key, s)))
    for stratum in [s for s in by_remainder if taken[s] + 1 < len(members[s])][: max(wanted - sum(taken.values()), 0)]:
        taken[stratum] += 1
    return [name for stratum, names in members.items() for name in names[: taken[stratum]]]


def around(groups: Iterable[Iterable[str]], validators: int, key: Key) -> list[tuple[list[str], list[str]]]:
    """Test each group once: the validating and the tested members of each fold, in the order of their first name.

    Those who validate are the next ones around a circle drawn from the key. The circle keeps the tested out of
    validation and lets everybody validate about equally often.
    """
    circle = sorted((shuffled(group, key) for group in groups), key=lambda group: digest(key, *sorted(group)))
    folds = {}
    for place, test in enumerate(circle):
        others = [name for group in circle[place + 1 :] + circle[:place] for name in group]
        folds[min(test)] = (others[:validators], test)
    return [folds[first] for first in sorted(folds)]
