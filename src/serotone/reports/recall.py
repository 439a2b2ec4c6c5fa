"""Recall of each class, one row of a comparison against the other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serotone import metrics
from serotone.reports.analysis import Analysis, Key, Result, restricted
from serotone.reports.cells import Cell, Table, signed
from serotone.reports.classes import labels_of
from serotone.reports.tables import question_of


def differences(analysis: Analysis) -> Table | None:
    """Recall of a minus that of b in every comparison that could be made; None where none could."""
    compared = [paired for paired in analysis.pairs if paired.comparisons is not None]
    if not compared:
        return None
    labels = labels_of(analysis.results[paired.pair.a] for paired in compared)
    lines = []
    for paired in compared:
        a, b = analysis.results[paired.pair.a], analysis.results[paired.pair.b]
        recalls = (_recalls(side, paired.common) for side in (a, b))
        both = dict(zip(a.labels, zip(*recalls, strict=True), strict=True))
        cells = (_difference(*both.get(label, (np.nan, np.nan))) for label in labels)
        lines.append((Cell(question_of(analysis, paired)), *cells))
    return Table(
        "recall-differences",
        "Differences in recall, a − b",
        ("question", *labels),
        tuple(lines),
        "In points, and in brackets relative to the recall of b, where that is not 0: of 40 % against 50 %, −10.0"
        " points are −20 %. Recalls are of the answers that are compared above, folds and seeds together. None of these"
        " differences is tested.",
    )


def _recalls(found: Result, keys: Sequence[Key]) -> NDArray[np.float64]:
    """Recall (C,) over these answers alone."""
    answers = restricted(found, keys)
    return metrics.recall_per_class(answers.truth, answers.prediction, labels=range(len(found.labels)))


def _difference(a: float, b: float) -> Cell:
    if np.isnan(a) or np.isnan(b):
        return Cell("absent")
    points = 100 * (a - b)
    numbers = [("recall difference", float(points), "points")]
    if not b:
        return Cell(f"{signed(points)} (b: 0)", tuple(numbers))
    relative = 100 * (a / b - 1)
    numbers.append(("recall difference, relative", float(relative), "percent"))
    return Cell(f"{signed(points)} ({signed(relative, 0)} %)", tuple(numbers))
