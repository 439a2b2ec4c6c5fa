"""Strength, temperature and threshold of a head for strangers, chosen on corpora or speakers that it did not see."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import RunError
from serotone.metrics import unweighted_accuracy
from serotone.splits.deal import deal
from serotone.training.calibrate import Calibration, fit_temperature
from serotone.training.convex import Floats, Linear, balance
from serotone.training.strangers import (
    LEVELS,
    PLAIN_MANNER,
    UNTRAINED,
    Level,
    Manner,
    Names,
    Shrinkage,
    Table,
    at_level,
    fit_head,
    fit_heads,
)

SPEAKER_GROUPS = 5
"""Parts that the speakers of a single corpus are dealt into, where there is no other corpus to hold out."""

NARROW = 512
"""Width up to which heads that are only compared are solved in float64 too: there it costs little."""

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
