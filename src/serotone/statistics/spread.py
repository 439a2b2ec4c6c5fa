"""How much of a score's spread is the fold's doing, and how much the seed's."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from serotone.errors import MetricError


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviations of a score that was measured on F folds with S seeds.

    Attributes:
        between_folds: of the folds, the seeds' doing taken out; None of one fold.
        between_seeds: of what a seed does to all folds alike; None of one seed.
        residual: of what a seed does to one fold and not to the others. None where it cannot be told apart: with one
            seed it is part of ``between_folds``, with one fold part of ``between_seeds``.

    """

    between_folds: float | None
    between_seeds: float | None
    residual: float | None

    @property
    def within_fold(self) -> float | None:
        """Standard deviation of one fold's score when the seed changes; None of one seed."""
        return None if self.between_seeds is None else math.hypot(self.between_seeds, self.residual or 0.0)


def spread(scores: ArrayLike) -> Spread:
    """Spread of scores (F, S), rows folds and columns seeds: variance components of the two-way layout.

    score = mean + fold + seed + residual, each random; from the mean squares, residual^2 = MS_residual, folds^2 =
    (MS_folds - MS_residual) / S and seeds^2 = (MS_seeds - MS_residual) / F, where a negative one counts as 0.

    Reference: Searle, Casella and McCulloch, Variance components, 1992, section 4.7.

    Raises:
        MetricError: scores are no table, or one is missing or not finite.

    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise MetricError(f"scores of shape {table.shape}; give a table, one row per fold and one column per seed")
    if not np.isfinite(table).all():
        holes = int((~np.isfinite(table)).sum())
        raise MetricError(f"{holes} of {table.size} scores are missing; give the folds that every seed has finished")
    folds, seeds = table.shape
    if folds == 1 or seeds == 1:
        deviation = float(table.std(ddof=1)) if table.size > 1 else None
        return Spread(deviation if folds > 1 else None, deviation if seeds > 1 else None, None)
    fold, seed = table.mean(axis=1), table.mean(axis=0)
    rest = table - fold[:, None] - seed + table.mean()
    residual = float((rest**2).sum()) / ((folds - 1) * (seeds - 1))
    between_folds = max(0.0, float(fold.var(ddof=1)) - residual / seeds)
    between_seeds = max(0.0, float(seed.var(ddof=1)) - residual / folds)
    return Spread(math.sqrt(between_folds), math.sqrt(between_seeds), math.sqrt(residual))
