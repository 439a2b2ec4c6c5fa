"""A head for strangers, from vectors: fitted on several corpora.

A bundle answers at three levels. ``plain`` is its graph: vectors standardised by the training data. At ``collection``
the clips of a corpus are standardised by their own statistics, at ``speaker`` those of each speaker once more within
it, without labels, in training as in use. Each level has a head of its own, with a strength, a temperature and a
threshold, which are chosen in `serotone.training.held_out`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.recognition.profile import Accumulator
from serotone.training.convex import Emphasis, Floats, Linear, Problem, balance, possible_classes

Level: TypeAlias = Literal["plain", "collection", "speaker"]
LEVELS: tuple[Level, ...] = ("plain", "collection", "speaker")

UNTRAINED = -1e4
"""The score of a class that no training clip of a fold had: its probability is 0 at any temperature looked for."""


Names: TypeAlias = NDArray[np.str_]


class Shrinkage(NamedTuple):
    """How many clips the training data weigh in a collection's statistics, and the collection in a speaker's."""

    collection: float = 0.0
    speaker: float = 15.0


class Manner(NamedTuple):
    """What heads take besides clips and a penalty, 0 for nothing of it.

    ``own_heads`` is the share in the plain head's scores of the mean of heads that are each fitted on one corpus,
    ``emphasis`` the power of :class:`serotone.training.convex.Emphasis` in the heads of the levels above.
    """

    own_heads: float = 0.0
    emphasis: float = 0.0


PLAIN_MANNER = Manner()


class Standard(NamedTuple):
    """Mean and SD (D,) of the training data, every corpus and emotion counting alike."""

    mean: Floats
    sd: Floats

    def apply(self, vectors: NDArray[np.floating]) -> Floats:
        """Vectors (N, D) -> standardised ones."""
        standardised: Floats = (vectors - self.mean) / self.sd
        return standardised


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Vectors (N, D) of clips, and of each its class (N,), corpus and speaker; ``labels`` are the classes in order.

    ``copies`` are vectors (N, D) of distorted copies of the same clips. Heads are fitted on them too, and nothing else
    is: statistics of the training data, temperatures and figures are those of the clips themselves.
    """

    labels: tuple[str, ...]
    vectors: NDArray[np.floating]
    targets: NDArray[np.int64]
    corpora: Names
    speakers: Names
    copies: tuple[NDArray[np.floating], ...] = ()

    def part(self, chosen: NDArray[np.bool_]) -> "Table":
        """The clips that are chosen (N,)."""
        kept = (self.vectors[chosen], self.targets[chosen], self.corpora[chosen], self.speakers[chosen])
        return Table(self.labels, *kept, tuple(copy[chosen] for copy in self.copies))

    @property
    def classes(self) -> NDArray[np.int64]:
        """The classes that have a clip, in order."""
        return np.unique(self.targets)

    def standard(self) -> Standard:
        """What vectors are standardised by before a head reads them; a column that does not vary is only centred."""
        weights = balance(self.corpora.tolist(), self.targets)
        weights = weights / weights.sum()
        mean = weights @ self.vectors.astype(np.float64)
        sd = np.sqrt(weights @ (self.vectors - mean) ** 2)
        return Standard(mean, np.where(sd > 1e-5, sd, 1.0))


def at_level(
    vectors: NDArray[np.floating], corpora: Names, speakers: Names, *, level: Level, shrinkage: Shrinkage
) -> Floats:
    """Vectors (N, D), standardised already, as a head of that level reads them; each corpus is a collection.

    Clips whose speaker nobody knows are standardised by the collection alone.
    """
    values: Floats = np.array(vectors, dtype=np.float64)
    if level != "plain":
        _by_group(values, corpora, shrinkage.collection)
    if level == "speaker":
        known = [(c, s) if s != UNKNOWN_SPEAKER else None for c, s in zip(corpora, speakers, strict=True)]
        _by_group(values, np.array(["" if who is None else "\0".join(who) for who in known]), shrinkage.speaker)
    return values


def _by_group(values: Floats, groups: Names, weight: float) -> None:
    """Standardise the clips of each group that has a name by their own statistics, in place, as a profile does."""
    for group in filter(None, np.unique(groups)):
        own = groups == group
        mean, sd = statistics_of(values[own], weight)
        values[own] = (values[own] - mean) / sd


def statistics_of(values: NDArray[np.floating], weight: float) -> tuple[Floats, Floats]:
    """Mean and SD (D,) that a profile of these vectors (N, D) standardises by."""
    taken = Accumulator()
    taken.add(values)
    return taken.statistics().shrunk(weight)


def fit_head(
    table: Table, *, level: Level, strength: float, shrinkage: Shrinkage, manner: Manner = PLAIN_MANNER
) -> Linear:
    """The head of a level over all classes of the table; one without a clip has weights 0 and a bias out of reach."""
    ((_, linear),) = fit_heads(table, level=level, strengths=[strength], shrinkage=shrinkage, manner=manner)
    return linear


def fit_heads(
    table: Table,
    *,
    level: Level,
    strengths: Sequence[float],
    shrinkage: Shrinkage,
    manner: Manner = PLAIN_MANNER,
    precision: Literal["float64", "float32"] = "float64",
) -> Iterator[tuple[float, Linear]]:
    """The head of a level for each strength, in rising order; a copy is a collection, and its speakers are others.

    A clip and its copies together pull as hard as a clip without any. Of several corpora the plain head is mixed with
    the mean of heads that are each fitted on one corpus.
    """
    classes = table.classes
    targets = np.searchsorted(classes, table.targets)
    standard = table.standard()
    values = [
        at_level(standard.apply(vectors), table.corpora, table.speakers, level=level, shrinkage=shrinkage)
        for vectors in (table.vectors, *table.copies)
    ]
    every = np.concatenate(values)
    takes, width = len(values), every.shape[1]
    emphasis = None
    if manner.emphasis and level != "plain":
        emphasis = Emphasis(every, np.tile(balance(table.corpora.tolist(), targets), takes), manner.emphasis)
        every = emphasis.apply(every)

    def problem(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Problem]:
        """The classes of some of the clips, and what is fitted on those and their copies."""
        names, here = table.corpora[chosen].tolist(), np.unique(targets[chosen])
        own = np.searchsorted(here, targets[chosen])
        found = possible_classes(names, own, num_classes=len(here))
        return here, Problem(
            every[np.tile(chosen, takes)],
            np.tile(own, takes),
            num_classes=len(here),
            weights=np.tile(balance(names, own), takes),
            possible=np.tile(np.stack([found[name] for name in names]), (takes, 1)),
            precision=precision,
        )

    corpora = np.unique(table.corpora)
    share = manner.own_heads if level == "plain" and len(corpora) > 1 else 0.0
    parts = [problem(table.corpora == corpus) for corpus in corpora] if share else []
    path = problem(np.ones(len(targets), bool))[1].path([strength / takes for strength in strengths])
    # By its place: a strength that is divided and multiplied again may be another number.
    for strength, (divided, linear) in zip(sorted(strengths), path, strict=True):
        if share:
            single = [(here, part.solve(divided * len(parts))) for here, part in parts]
            linear = mixed(linear, mean_head(single, len(classes)), values[0], share)
        if emphasis is not None:
            linear = emphasis.undo(linear)
        weight, bias = np.zeros((len(table.labels), width)), np.full(len(table.labels), UNTRAINED)
        weight[classes], bias[classes] = linear
        yield strength, Linear(weight, bias)


def mean_head(heads: Sequence[tuple[NDArray[np.int64], Linear]], num_classes: int) -> Linear:
    """The mean of heads that know some classes each; of those that a head does not know it says nothing: score 0.

    A head's scores are moved first so that those of the classes which it knows have the mean 0.
    """
    width = heads[0][1].weight.shape[1]
    weight, bias = np.zeros((num_classes, width)), np.zeros(num_classes)
    for classes, linear in heads:
        weight[classes] += (linear.weight - linear.weight.mean(axis=0)) / len(heads)
        bias[classes] += (linear.bias - linear.bias.mean()) / len(heads)
    return Linear(weight, bias)


def mixed(first: Linear, second: Linear, vectors: NDArray[np.floating], share: float) -> Linear:
    """Both heads in one, ``second`` with a share of the scores once it spreads those of ``vectors`` as ``first`` does.

    The spread is the SD of scores (N, C) about the mean of each row.
    """
    spreads = []
    for linear in (first, second):
        scores = linear.logits(vectors)
        spreads.append(float((scores - scores.mean(axis=1, keepdims=True)).std()))
    scale = share * spreads[0] / max(spreads[1], 1e-12)
    return Linear((1 - share) * first.weight + scale * second.weight, (1 - share) * first.bias + scale * second.bias)
