"""Confusion matrices: each row in percent, the counts in small print, each class's recall at the side."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from serotone.errors import MetricError
from serotone.metrics import (
    recall_per_class_from_confusion,
    unweighted_accuracy_from_confusion,
    weighted_accuracy_from_confusion,
)
from serotone.reports.figures.style import BLUE, GREY, TINY, heading, names, new, percent, shares, style
from serotone.reports.figures.tables import cells, name_columns


def confusion(matrix: ArrayLike, labels: Sequence[str], *, title: str = "") -> Figure:
    """A confusion matrix (C, C) of counts, rows the truth; an empty row is hatched and said to be.

    Over it stand WA and UA, the latter over the classes that occur. Raises MetricError: the matrix is not (C, C), holds
    a value that is no count, or is empty.
    """
    names("labels", labels)
    counts = np.asarray(matrix)
    if counts.shape != (len(labels), len(labels)):
        raise MetricError(
            f"a confusion matrix of shape {counts.shape} for {len(labels)} labels; expected "
            f"{(len(labels), len(labels))}; give one row and one column per label"
        )
    if not np.all(np.mod(counts, 1) == 0):
        raise MetricError("a confusion matrix of other than whole numbers; give counts, or use percent_confusion")
    recalls = recall_per_class_from_confusion(counts)
    totals = counts.sum(axis=1)
    rows = np.full(counts.shape, np.nan)
    np.divide(counts, totals[:, None], out=rows, where=totals[:, None] > 0)
    scores = (
        f"WA {100 * weighted_accuracy_from_confusion(counts):.1f} %, "
        f"UA {100 * unweighted_accuracy_from_confusion(counts):.1f} %, {int(totals.sum())} utterances"
    )
    sides = [f"{label} ({int(total)})" for label, total in zip(labels, totals, strict=True)]
    return _drawn(rows, counts, recalls, labels, sides, "True emotion (utterances)", title, scores)


def percent_confusion(matrix: ArrayLike, labels: Sequence[str], *, title: str = "") -> Figure:
    """A confusion matrix (C, C) of which only the percent of each row are known, as publications print them.

    Values in [0, 100]; NaN where the publication says nothing. Raises MetricError: the shape is not (C, C), a value is
    out of range, or a row adds up to more than 105, which rounding does not explain.
    """
    names("labels", labels)
    rows = shares("percent over 100", np.asarray(matrix, dtype=np.float64) / 100, (len(labels), len(labels)))
    sums = np.nansum(rows, axis=1)
    if np.any(sums > 1.05):
        place = int(sums.argmax())
        raise MetricError(
            f"row {labels[place]} adds up to {100 * sums[place]:.1f} %; expected 100; give percent of rows"
        )
    recalls = np.diag(rows)
    unweighted = f"UA {100 * recalls.mean():.1f} %" if np.isfinite(recalls).all() else "UA not stated"
    return _drawn(rows, None, recalls, labels, list(labels), "True emotion", title, f"{unweighted}; counts not stated")


@style()
def _drawn(
    rows: NDArray[np.float64],
    counts: NDArray[Any] | None,
    recalls: NDArray[np.float64],
    labels: Sequence[str],
    sides: Sequence[str],
    side_title: str,
    title: str,
    scores: str,
) -> Figure:
    size = len(labels)
    cell = max(0.5, 2 / size) if size <= 8 else 0.42
    width = size * cell + 1.1 + 0.065 * max(len(side) for side in sides) + 0.4
    figure = new(width, size * cell * 0.86 + 1.15)
    grid = figure.add_gridspec(1, 2, width_ratios=[size * cell, 1.1], wspace=0.02)
    main = figure.add_subplot(grid[0])
    side = figure.add_subplot(grid[1], sharey=main)
    if counts is None:
        texts, small, absent = _each(rows, lambda share: f"{100 * share:.1f}".removesuffix(".0")), None, "not stated"
    else:
        texts, small, absent = _each(rows, percent), _each(counts, lambda n: f"{int(n)}" if n else ""), "no utterance"
    cells(main, rows, texts, small, absent=absent)
    name_columns(main, labels, cell)
    main.set_yticks(np.arange(size) + 0.5, sides)
    main.set_ylabel(side_title)
    said = "% of the row" if counts is None else "% of the row, count below"
    main.set_xlabel("Predicted emotion" + (" " if size * cell > 3 else "\n") + f"({said})")
    _bars(side, recalls, "not stated" if counts is None else "absent")
    main.set_title(scores, fontweight="normal", fontsize=7)
    heading(figure, title)
    return figure


def _bars(axes: Any, recalls: NDArray[np.float64], absent: str) -> None:
    """Recall in percent, one bar a row."""
    places = np.arange(len(recalls)) + 0.5
    axes.barh(places, 100 * np.nan_to_num(recalls), height=0.62, color=BLUE)
    for place, recall in zip(places, recalls, strict=True):
        known = np.isfinite(recall)
        inside = known and recall > 0.55
        axes.text(
            100 * recall - 4 if inside else (100 * recall + 4 if known else 4),
            place,
            f"{100 * recall:.1f}" if known else absent,
            ha="right" if inside else "left",
            va="center",
            color="white" if inside else (GREY if not known else "black"),
            fontsize=TINY + 1,
        )
    axes.set(xlim=(0, 100), xticks=[0, 50, 100], xlabel="Recall (%)")
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.spines["left"].set_visible(False)


def _each(values: NDArray[Any], printed: Callable[[float], str]) -> NDArray[Any]:
    """Every value in print, nothing where it is NaN."""
    return np.array([["" if np.isnan(value) else printed(value) for value in row] for row in values], dtype=object)
