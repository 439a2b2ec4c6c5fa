"""Two systems on the same utterances: is one better, by how much, and could it be chance?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from serotone.errors import MetricError
from serotone.statistics.answers import Answers, Metric, scores_by_speaker, tally
from serotone.statistics.intervals import Interval, mean_interval, pooled_score

LEAST_SPEAKERS = 6
"""With 5 speakers the smallest p that sign flips can give is 1/16, above 0.05."""

TOO_FEW_SPEAKERS = "too few speakers for a test"

EXACT_UP_TO = 40
"""Up to this many speakers all 2^S sign flips are counted; beyond, some are drawn."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """Utterances that only one of two systems gets right, and the exact two-sided binomial p of that split.

    The test takes utterances as independent, which those of one speaker are not: its p is too small wherever speakers
    differ. With several runs, an utterance goes to the system that is right on it in more runs, and to neither where
    they tie; where the systems have different numbers of runs, only the first runs of the one with more are taken.
    """

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """System a against system b, speaker by speaker.

    Attributes:
        difference: mean over speakers of score a - score b, with its t interval; None of one speaker.
        pooled: pooled score a - pooled score b, in which a speaker counts by the number of utterances.
        speakers: how many.
        p: two-sided, of the sign-flip permutation test; None below 6 speakers.
        smallest_p: the smallest p that these speakers could have given, those without any difference left aside.
        exact: whether p counts all sign flips rather than a sample of them.
        effect: Cohen's d_z, the mean over the standard deviation of the speakers' differences; None where they do not
            vary or there is one speaker.
        effect_interval: of d_z, from the noncentral t distribution.
        mcnemar: the test on utterances.
        remark: "too few speakers for a test" or nothing.

    """

    difference: Interval | None
    pooled: float
    speakers: int
    p: float | None
    smallest_p: float
    exact: bool
    effect: float | None
    effect_interval: tuple[float, float] | None
    mcnemar: McNemar
    remark: str


def compare(
    a: Answers, b: Answers, metric: Metric, *, level: float = 0.95, resamples: int = 99_999, seed: int = 0
) -> Comparison:
    """Compare two systems on the same utterances; the speaker is the unit.

    The k-th run of a is set against the k-th of b. Where they have different numbers of runs, both need the same
    utterances over all; either way a speaker's score is the mean over runs.

    The permutation test asks how often a mean difference as far from 0 would come up if each speaker's difference were
    as likely to have the other sign. Up to 40 speakers it counts all flips; beyond, ``resamples`` drawn ones, the
    observed one added.

    Reference: Good, Permutation, parametric and bootstrap tests of hypotheses, 2005, chapter 3; d_z: Lakens,
    Calculating and reporting effect sizes, 2013, equation 7.

    Raises:
        MetricError: a and b differ in classes, utterances, truths or speakers; the metric is unknown; the level is not
            in (0, 1); or signs must be drawn and there are fewer than 100 resamples.

    """
    mcnemar = _mcnemar(*_paired(a, b))
    of_a, of_b = tally(a), tally(b)
    differences = scores_by_speaker(of_a, metric) - scores_by_speaker(of_b, metric)
    differences[np.abs(differences) < 1e-12] = 0.0  # equal scores, summed in another order
    count = len(differences)
    too_few = count < LEAST_SPEAKERS
    difference = mean_interval(differences, level=level, method="t on speaker differences", lowest=-1.0)
    effect, effect_interval = effect_size(differences, level=level)
    exact = count <= EXACT_UP_TO
    smallest = min(1.0, 2.0 ** (1 - int(np.count_nonzero(differences))))
    return Comparison(
        difference=difference,
        pooled=pooled_score(of_a, metric) - pooled_score(of_b, metric),
        speakers=count,
        p=None if too_few else sign_flip_p(differences, resamples=resamples, seed=seed),
        smallest_p=smallest if exact else max(smallest, 1 / (resamples + 1)),
        exact=exact,
        effect=effect,
        effect_interval=effect_interval,
        mcnemar=mcnemar,
        remark=TOO_FEW_SPEAKERS if too_few else "",
    )


def sign_flip_p(differences: NDArray[np.float64], *, resamples: int = 99_999, seed: int = 0) -> float:
    """Two-sided p of the mean of paired differences (S,), by flipping signs.

    Exact up to 40 speakers, without going through all 2^S: the sums that each half of the speakers can give are
    listed, and pairs of them counted by binary search (Horowitz and Sahni, 1974).
    """
    observed, slack = abs(float(differences.sum())), 1e-9 * float(np.abs(differences).sum())
    if len(differences) <= EXACT_UP_TO:
        half = len(differences) // 2
        left, right = _signed_sums(differences[:half]), np.sort(_signed_sums(differences[half:]))
        # The distribution is symmetric: what lies as far above lies as far below.
        above = len(right) - np.searchsorted(right, observed - slack - left)
        p: float = min(1.0, 2 * int(above.sum()) / 2 ** len(differences))
        return p
    if resamples < 100:
        raise MetricError(f"{resamples} resamples; give at least 100, better 99999")
    generator, as_far, left_over = np.random.default_rng(seed), 0, resamples
    while left_over:
        signs = generator.integers(0, 2, size=(min(left_over, 10_000), len(differences))) * 2.0 - 1
        as_far += int((np.abs(signs @ differences) >= observed - slack).sum())
        left_over -= len(signs)
    return (as_far + 1) / (resamples + 1)


def effect_size(
    differences: NDArray[np.float64], *, level: float = 0.95
) -> tuple[float | None, tuple[float, float] | None]:
    """Cohen's d_z of paired differences (S,) with its interval; (None, None) where they do not vary.

    The interval holds the noncentralities d, over the square root of S, under which the observed t is neither too large
    nor too small (Cumming and Finch, A primer on confidence intervals, 2001). P(T <= t | d) = P(d <= t X - Z) with X =
    chi_(S-1) / sqrt(S - 1) and Z normal, so that the bounds are quantiles of t X - Z. X is taken at 2,000 quantiles:
    `scipy.stats.nct` gives NaN over much of the range that is needed here.
    """
    count = len(differences)
    if count < 2 or (deviation := float(differences.std(ddof=1))) < 1e-9:
        return None, None
    effect = float(differences.mean()) / deviation
    shares = (np.arange(2000) + 0.5) / 2000
    centres = effect * math.sqrt(count) * np.sqrt(stats.chi2.ppf(shares, count - 1) / (count - 1))

    def quantile(share: float) -> float:
        ends = float(centres.min()) - 9, float(centres.max()) + 9
        return float(optimize.brentq(lambda d: special.ndtr(d - centres).mean() - share, *ends))

    low, high = quantile((1 - level) / 2), quantile((1 + level) / 2)
    return effect, (low / math.sqrt(count), high / math.sqrt(count))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p of each test of a family, in the order given; a test that was not made (None) stays None.

    Reference: Holm, A simple sequentially rejective multiple test procedure, 1979.

    Raises:
        MetricError: a p is not in [0, 1].

    >>> holm([0.03, None, 0.01])
    [0.03, None, 0.02]

    """
    made = [(p, place) for place, p in enumerate(ps) if p is not None]
    if bad := [p for p, _ in made if not 0 <= p <= 1]:
        raise MetricError(f"p values {bad}; give values in [0, 1], or None for a test that was not made")
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, place) in enumerate(sorted(made)):
        largest = max(largest, min(1.0, (len(made) - rank) * p))
        adjusted[place] = largest
    return adjusted


def _signed_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2^S,) sums of values (S,) under all their signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _paired(a: Answers, b: Answers) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Utterance, whether a is right, whether b is, of each answer that both gave in their k-th run."""
    if a.num_classes != b.num_classes:
        raise MetricError(f"answers among {a.num_classes} and {b.num_classes} classes; compare systems of the same")
    names, place = np.unique(np.concatenate([a.utterance, b.utterance]), return_inverse=True)
    place_a, place_b = place[: len(a.utterance)], place[len(a.utterance) :]
    runs_a, run_a = np.unique(a.run, return_inverse=True)
    runs_b, run_b = np.unique(b.run, return_inverse=True)
    if len(runs_a) == len(runs_b):
        for k in range(len(runs_a)):
            where = f" in their run {k + 1} of {len(runs_a)}" if len(runs_a) > 1 else ""
            _check_same(names, place_a[run_a == k], place_b[run_b == k], where)
    else:
        _check_same(names, place_a, place_b, "")
    for what in ("truth", "speaker"):
        first_a, first_b = (np.unique(place, return_index=True)[1] for place in (place_a, place_b))
        held_a, held_b = getattr(a, what)[first_a], getattr(b, what)[first_b]
        if (other := np.flatnonzero(held_a != held_b)).size:
            here = other[0]
            raise MetricError(
                f"utterance {names[here]} has {what} {held_a[here]} in one system and {held_b[here]} in the other; "
                "compare systems on one corpus, read in one way"
            )
    _, in_a, in_b = np.intersect1d(
        run_a * len(names) + place_a, run_b * len(names) + place_b, assume_unique=True, return_indices=True
    )
    return place_a[in_a], (a.truth == a.prediction)[in_a], (b.truth == b.prediction)[in_b]


def _check_same(names: NDArray[np.str_], a: NDArray[np.int64], b: NDArray[np.int64], where: str) -> None:
    only_a, only_b = np.setdiff1d(a, b), np.setdiff1d(b, a)
    if len(only_a) or len(only_b):
        example = names[np.concatenate([only_a, only_b])[0]]
        raise MetricError(
            f"the two systems did not answer the same utterances{where}: {len(only_a)} only the first, {len(only_b)} "
            f"only the second, such as {example}; compare them over the folds that both have finished"
        )


def _mcnemar(utterance: NDArray[np.int64], right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> McNemar:
    lead = np.bincount(utterance, weights=right_a.astype(float) - right_b)
    only_a, only_b = int((lead > 0).sum()), int((lead < 0).sum())
    both = only_a + only_b
    return McNemar(
        only_a, only_b, min(1.0, 2 * float(stats.binom.cdf(min(only_a, only_b), both, 0.5))) if both else 1.0
    )
