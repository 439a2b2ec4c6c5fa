"""A head for strangers, from vectors: fitted on several corpora, chosen and calibrated on those that it did not see.

A bundle answers at three levels. ``plain`` is its graph: vectors standardised by the training data. At ``collection``
the clips of a corpus are standardised by their own statistics, at ``speaker`` those of each speaker once more within
it, without labels, in training as in use. Each level has a head of its own, with a strength, a temperature and a
threshold.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import RunError
from serotone.metrics import unweighted_accuracy
from serotone.recognition.profile import Accumulator
from serotone.splits.deal import deal
from serotone.training.calibrate import Calibration, fit_temperature
from serotone.training.convex import Emphasis, Floats, Linear, Problem, balance, possible_classes

Level: TypeAlias = Literal["plain", "collection", "speaker"]
LEVELS: tuple[Level, ...] = ("plain", "collection", "speaker")

UNTRAINED = -1e4
"""The score of a class that no training clip of a fold had: its probability is 0 at any temperature looked for."""

SPEAKER_GROUPS = 5
"""Parts that the speakers of a single corpus are dealt into, where there is no other corpus to hold out."""

NARROW = 512
"""Width up to which heads that are only compared are solved in float64 too: there it costs little."""

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


def held_out_groups(corpora: Names, speakers: Names, *, seed: int = 0) -> Names:
    """What is held out together (N,), of the corpus and the speaker (N,) of each clip: corpora, or groups of speakers.

    Raises:
        RunError: A single speaker, or nobody knows who speaks all of the clips of a single corpus.
    """
    if len(np.unique(corpora)) > 1:
        return corpora
    names = np.unique(speakers).tolist()
    if unknown := int((speakers == UNKNOWN_SPEAKER).sum()):
        whose = "" if len(names) == 1 else f" {unknown} of its {len(speakers)} clips"
        raise RunError(
            f"the corpus does not say who speaks{whose}, so speakers cannot be held out to choose a strength and a"
            " temperature; name them: a manifest has the column speaker for that"
        )
    if len(names) < 2:
        raise RunError(
            "all clips are of one speaker, so none can be held out to choose a strength and a temperature; add clips of"
            " other speakers"
        )
    parts = deal(names, min(SPEAKER_GROUPS, len(names)), lambda speaker: ("",), (seed, "held-out"))
    number = {speaker: f"speakers {k}" for k, part in enumerate(parts) for speaker in part}
    return np.array([number[speaker] for speaker in speakers])


def held_out_logits(
    table: Table,
    groups: Names,
    *,
    level: Level,
    strengths: Sequence[float],
    shrinkage: Shrinkage,
    manner: Manner = PLAIN_MANNER,
) -> dict[float, Floats]:
    """Scores (N, C) of every clip by a head that saw nothing of its group, for each strength.

    Wide heads are solved in float32.

    At the levels above ``plain`` a clip's whole corpus, and its speaker, are standardised by their own statistics.
    """
    scores = {strength: np.full((len(table.targets), len(table.labels)), UNTRAINED) for strength in strengths}
    for group in np.unique(groups):
        test = groups == group
        training = table.part(~test)
        standardised = training.standard().apply(table.vectors)
        values = at_level(standardised, table.corpora, table.speakers, level=level, shrinkage=shrinkage)[test]
        precision: Literal["float64", "float32"] = "float32" if table.vectors.shape[1] > NARROW else "float64"
        heads = fit_heads(
            training,
            level=level,
            strengths=strengths,
            shrinkage=shrinkage,
            manner=manner,
            precision=precision,
        )
        for strength, linear in heads:
            scores[strength][test] = linear.logits(values)
    return scores


def shared_accuracies(table: Table, scores: Floats, *, among: Collection[int] | None = None) -> dict[str, float]:
    """UA of each corpus, by its name, as :func:`accuracy_among` says; without those that have none of its classes."""
    found = {}
    for corpus in np.unique(table.corpora):
        own = table.corpora == corpus
        if shared := _shared(table.targets[own], scores[own], among):
            found[str(corpus)] = _accuracy(table.targets[own], scores[own], shared)
    return found


def accuracy_among(targets: NDArray[np.int64], scores: Floats, *, among: Collection[int] | None = None) -> float:
    """UA of scores (N, C) for targets (N,), among the classes that occur, were taught and are in ``among``."""
    return _accuracy(targets, scores, _shared(targets, scores, among))


def _accuracy(targets: NDArray[np.int64], scores: Floats, shared: Sequence[int]) -> float:
    """UA of scores (N, C) for those of the targets (N,) that are among the shared classes."""
    kept = np.isin(targets, shared)
    answers = np.array(shared)[scores[kept][:, shared].argmax(axis=1)]
    return unweighted_accuracy(targets[kept].tolist(), answers.tolist(), labels=shared)


def _shared(targets: NDArray[np.int64], scores: Floats, among: Collection[int] | None) -> list[int]:
    """The classes that occur, were taught and are in ``among``."""
    taught = np.asarray((scores > UNTRAINED / 2).any(axis=0))
    return [int(c) for c in np.unique(targets) if taught[c] and (among is None or c in among)]


COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the answers at which the risk-coverage curve is stated."""


class Doubt(NamedTuple):
    """Where answers become uncertain, and what that is worth on clips that trained nothing.

    ``coverage`` is the share of certain answers, ``certain`` the share of right ones among them, ``uncertain`` that
    among the others (NaN where there are none). ``curve`` is the risk-coverage curve: the share of wrong answers among
    the surest ones that make up each of ``COVERAGES``.
    """

    threshold: float
    coverage: float
    certain: float
    uncertain: float
    curve: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The head of one level, and how it was chosen: on groups that trained nothing.

    ``accuracies`` is the mean UA over held-out corpora by strength, ``by_corpus`` that of the chosen strength.
    """

    level: Level
    linear: Linear
    strength: float
    accuracies: Mapping[float, float]
    by_corpus: Mapping[str, float]
    calibration: Calibration
    doubt: Doubt


def doubt(confidence: Floats, right: NDArray[np.bool_], weights: Floats) -> Doubt:
    """The threshold that tells right answers from wrong ones best: of the right ones it keeps most, of the wrong least.

    It maximises the share of the right answers at or above it minus that of the wrong ones (Youden's index), on a grid
    of .01. If all answers are right, it is the highest that keeps all of them.

    Args:
        confidence: Probability of each answer (N,).
        right: Whether it is right (N,).
        weights: What each clip counts (N,).

    Raises:
        RunError: All answers are wrong.
    """
    good, bad = weights * right, weights * ~right
    if not good.sum() > 0:
        raise RunError("all answers on held-out clips are wrong, so no threshold can be chosen; add clips")
    grid = np.arange(0, 1, 0.01)
    kept = confidence[None] >= grid[:, None]  # (grid, N)
    if bad.sum() > 0:
        best = int((kept @ good / good.sum() - kept @ bad / bad.sum()).argmax())
    else:
        best = int(kept.all(axis=1).sum()) - 1
    certain, rest = weights * kept[best], weights * ~kept[best]
    surest = np.argsort(-confidence, kind="stable")
    reached = np.cumsum(weights[surest]) / weights.sum()
    risks = np.cumsum(bad[surest]) / np.cumsum(weights[surest])
    ends = np.searchsorted(reached, np.array(COVERAGES) - 1e-9).clip(max=len(reached) - 1)
    return Doubt(
        float(round(grid[best], 2)),
        float(certain.sum() / weights.sum()),
        float(certain @ right / certain.sum()),
        float(rest @ right / rest.sum()) if rest.sum() > 0 else float("nan"),
        tuple(risks[ends].tolist()),
    )


def fit_levels(
    table: Table,
    *,
    strengths: Sequence[float],
    shrinkage: Shrinkage,
    manner: Manner = PLAIN_MANNER,
    levels: Sequence[Level] = LEVELS,
    temperature_factor: float = 1.0,
    seed: int = 0,
) -> dict[Level, Fitted]:
    """The head of every level: its strength the best of those given on held-out corpora, then fitted on everything.

    Its temperature is ``temperature_factor`` times the one that fits their answers best.

    Raises:
        RunError: Nothing can be held out, or a head does not converge.
    """
    groups = held_out_groups(table.corpora, table.speakers, seed=seed)
    weights = balance(table.corpora.tolist(), table.targets)
    found: dict[Level, Fitted] = {}
    for level in levels:
        scores = held_out_logits(table, groups, level=level, strengths=strengths, shrinkage=shrinkage, manner=manner)
        by_corpus = {strength: shared_accuracies(table, values) for strength, values in scores.items()}
        if not all(by_corpus.values()):
            raise RunError(
                "no corpus has an emotion that another one has, too, so none can be held out to choose a strength and a"
                " temperature; add a corpus that shares emotions with them, or merge emotions"
            )
        means = {strength: float(np.mean(list(values.values()))) for strength, values in sorted(by_corpus.items())}
        strength = max(means, key=lambda choice: (means[choice], -choice))
        chosen = scores[strength]
        taught = chosen[np.arange(len(chosen)), table.targets] > UNTRAINED / 2
        calibration = fit_temperature(chosen[taught], table.targets[taught], factor=temperature_factor)
        probabilities = softmax(chosen / calibration.temperature, axis=1)
        found[level] = Fitted(
            level=level,
            linear=fit_head(table, level=level, strength=strength, shrinkage=shrinkage, manner=manner),
            strength=strength,
            accuracies=means,
            by_corpus=by_corpus[strength],
            calibration=calibration,
            doubt=doubt(probabilities.max(axis=1), probabilities.argmax(axis=1) == table.targets, weights),
        )
    return found
