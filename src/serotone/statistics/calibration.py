"""Do probabilities mean what they say? The Brier score and the reliability curve; ECE is in `serotone.metrics`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serotone.errors import MetricError
from serotone.metrics import check_distributions, confidence_bins


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """A reliability curve over equally wide bins of confidence.

    Attributes:
        confidence: (bins,) mean highest probability of the answers in the bin; NaN where there is none.
        accuracy: (bins,) share of them that are right; NaN where there is none.
        count: (bins,) how many they are.

    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """The expected calibration error over these bins, in [0, 1]."""
        gaps = np.abs(self.accuracy - self.confidence)[self.count > 0]
        return float(gaps @ self.count[self.count > 0] / self.count.sum())


def brier(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Brier score, in [0, 2], lower is better: squared error of the probabilities, summed over classes.

    Mean over utterances of the sum over classes of (p_c - [c is true])^2. Twice what two-class texts print.

    Reference: Brier, Verification of forecasts expressed in terms of probability, 1950, equation 2.

    Args:
        probabilities: (N, C), rows in [0, 1] that sum to 1.
        truth: (N,) classes, 0 to C - 1.

    Raises:
        MetricError: shapes do not fit, a row is no distribution, a class is out of range, or there is no row.

    >>> brier([[0.5, 0.5], [1.0, 0.0]], [0, 0])
    0.25

    """
    rows, target = _checked(probabilities, truth)
    wrong = rows.copy()
    wrong[np.arange(len(target)), target] -= 1
    return float((wrong**2).sum(axis=1).mean())


def reliability(probabilities: ArrayLike, truth: ArrayLike, bins: int = 15) -> Reliability:
    """Accuracy against confidence over ``bins`` equally wide bins (low, high].

    The bins are those of `serotone.metrics.expected_calibration_error`, which is the mean of |accuracy - confidence|
    over them, weighted by count.

    Args:
        probabilities: (N, C), rows in [0, 1] that sum to 1.
        truth: (N,) classes, 0 to C - 1.
        bins: how many.

    Raises:
        MetricError: as `brier`, or there is no bin.

    >>> reliability([[0.75, 0.25]] * 4, [0, 0, 0, 1], bins=2).accuracy
    array([ nan, 0.75])

    """
    rows, target = _checked(probabilities, truth)
    inside = confidence_bins(rows, bins)
    count = np.bincount(inside, minlength=bins)
    sums = [np.bincount(inside, weights=v, minlength=bins) for v in (rows.max(axis=1), rows.argmax(axis=1) == target)]
    means = [np.divide(s, count, out=np.full(bins, np.nan), where=count > 0) for s in sums]
    return Reliability(means[0], means[1], count.astype(np.int64))


def _checked(probabilities: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows, target = np.asarray(probabilities, dtype=np.float64), np.asarray(truth)
    if rows.ndim != 2 or target.shape != rows.shape[:1] or not rows.size:
        raise MetricError(
            f"probabilities of shape {rows.shape} for truth of shape {target.shape}; give one row per true class and "
            "one column per class, at least one row"
        )
    check_distributions(rows)
    if target.dtype.kind not in "iu" or target.min() < 0 or target.max() >= rows.shape[1]:
        raise MetricError(f"truth that is not among {rows.shape[1]} classes; give integers, 0 to {rows.shape[1] - 1}")
    return rows, target.astype(np.int64)
