"""Confusion matrices: each row in percent, the counts in small print, the recall of each class at the side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from serotone.metrics import (
    recall_per_class_from_confusion,
    unweighted_accuracy_from_confusion,
    weighted_accuracy_from_confusion,
)
from serotone.reports.figures.style import (
    BLUE,
    GREY,
    SEQUENTIAL,
    SMALL,
    TINY,
    heading,
    name_columns,
    new,
    percent,
    style,
)


def confusion(counts: NDArray[np.int64], labels: Sequence[str], *, title: str) -> Figure:
    """A confusion matrix (C, C) of counts, rows the truth; UA is over the classes that occur."""
    totals = counts.sum(axis=1)
    rows = np.full(counts.shape, np.nan)
    np.divide(counts, totals[:, None], out=rows, where=totals[:, None] > 0)
    scores = (
        f"WA {100 * weighted_accuracy_from_confusion(counts):.1f} %, "
        f"UA {100 * unweighted_accuracy_from_confusion(counts):.1f} %, {int(totals.sum())} utterances"
    )
    sides = [f"{label} ({total})" for label, total in zip(labels, totals, strict=True)]
    return _drawn(rows, counts, recall_per_class_from_confusion(counts), labels, sides, title, scores)


def percent_confusion(rows: NDArray[np.float64], labels: Sequence[str], *, title: str) -> Figure:
    """A published matrix (C, C) of which only the share of each row is known; NaN where the source states none."""
    recalls = np.diag(rows)
    unweighted = f"UA {100 * recalls.mean():.1f} %" if np.isfinite(recalls).all() else "UA not stated"
    return _drawn(rows, None, recalls, labels, list(labels), title, f"{unweighted}; counts not stated")


@style()
def _drawn(
    rows: NDArray[np.float64],
    counts: NDArray[np.int64] | None,
    recalls: NDArray[np.float64],
    labels: Sequence[str],
    sides: Sequence[str],
    title: str,
    scores: str,
) -> Figure:
    size = len(labels)
    cell = max(0.5, 2 / size) if size <= 8 else 0.42
    figure = new(size * cell + 1.5 + 0.065 * max(map(len, sides)), size * cell * 0.86 + 1.15)
    grid = figure.add_gridspec(1, 2, width_ratios=[size * cell, 1.1], wspace=0.02)
    main = figure.add_subplot(grid[0])
    _cells(main, rows, counts)
    name_columns(main, labels, cell)
    main.set_yticks(np.arange(size) + 0.5, sides)
    main.set_ylabel("True emotion" if counts is None else "True emotion (utterances)")
    printed = "% of the row" if counts is None else "% of the row, count below"
    main.set_xlabel("Predicted emotion" + (" " if size * cell > 3 else "\n") + f"({printed})")
    main.set_title(scores, fontweight="normal", fontsize=7)
    _bars(figure.add_subplot(grid[1], sharey=main), recalls, "not stated" if counts is None else "absent")
    heading(figure, title)
    return figure


def _cells(axes: Any, rows: NDArray[np.float64], counts: NDArray[np.int64] | None) -> None:
    """Coloured cells with their percent, and the count below it; a row without any value says why."""
    size = len(rows)
    for row, column in np.ndindex(size, size):
        share = float(rows[row, column])
        known = np.isfinite(share)
        look: dict[str, Any] = {"facecolor": SEQUENTIAL(share) if known else "white", "hatch": None if known else "///"}
        axes.add_patch(Rectangle((column, row), 1, 1, edgecolor="#E5E5E5" if known else "#CCC", linewidth=0.5, **look))
        if not known:
            continue
        count = "" if counts is None or not counts[row, column] else str(counts[row, column])
        text = f"{100 * share:.1f}".removesuffix(".0") if counts is None else percent(share)
        place: dict[str, Any] = {"ha": "center", "va": "center"}
        axes.text(column + 0.5, row + (0.38 if count else 0.5), text, fontsize=7.5, **place)
        axes.text(column + 0.5, row + 0.76, count, fontsize=TINY, **place)
    for row in np.flatnonzero(np.isnan(rows).all(axis=1)):
        why = "not stated" if counts is None else "no utterance"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
        axes.text(size / 2, row + 0.5, why, ha="center", va="center", color=GREY, fontsize=SMALL, bbox=box)
    axes.set(xlim=(0, size), ylim=(size, 0))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _bars(axes: Any, recalls: NDArray[np.float64], absent: str) -> None:
    """Recall in percent, one bar a row."""
    places = np.arange(len(recalls)) + 0.5
    axes.barh(places, 100 * np.nan_to_num(recalls), height=0.62, color=BLUE)
    for place, recall in zip(places, recalls, strict=True):
        known = np.isfinite(recall)
        inside = known and recall > 0.55
        axes.text(
            100 * np.nan_to_num(recall) + (-4 if inside else 4),
            place,
            f"{100 * recall:.1f}" if known else absent,
            ha="right" if inside else "left",
            va="center",
            color="white" if inside else "black" if known else GREY,
            fontsize=TINY + 1,
        )
    axes.set(xlim=(0, 100), xticks=[0, 50, 100], xlabel="Recall (%)")
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.spines["left"].set_visible(False)
