"""Confusion matrices: each row in percent, the counts in small print, the recall of each class at the side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from serotone.metrics import weighted_accuracy_from_confusion
from serotone.reports.figures import style


@style.look()
def confusion(matrix: NDArray[Any], labels: Sequence[str], *, title: str, counted: bool = True) -> Figure:
    """A confusion matrix (C, C), rows the truth; UA is over the classes that occur.

    Where it is not ``counted`` it holds the published share of each row, NaN where the source states none.
    """
    size, totals = len(labels), matrix.sum(axis=1)
    shares = np.divide(matrix, totals[:, None], where=totals[:, None] > 0, out=np.full(matrix.shape, np.nan))
    if counted:
        wa, ua = weighted_accuracy_from_confusion(matrix), np.nanmean(np.diag(shares))
        scores = f"WA {100 * wa:.1f} %, UA {100 * ua:.1f} %, {totals.sum()} answers"
        sides = [f"{label} ({total})" for label, total in zip(labels, totals, strict=True)]
    else:
        shares, sides, ua = matrix, list(labels), np.diag(matrix).mean()
        scores = (f"UA {100 * ua:.1f} %" if np.isfinite(ua) else "UA not stated") + "; counts not stated"
    cell = max(0.5, 2 / size) if size <= 8 else 0.42
    figure = style.new(size * cell + 1.5 + 0.065 * max(map(len, sides)), size * cell * 0.86 + 1.15)
    figure.suptitle(style.fitted(title, figure), x=0.01, ha="left", fontsize=8, fontweight="bold")
    grid = figure.add_gridspec(1, 2, width_ratios=[size * cell, 1.1], wspace=0.02)
    main = figure.add_subplot(grid[0])
    _cells(main, shares, matrix if counted else None)
    slanted = max(map(len, labels)) * 0.062 > cell - 0.04
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    main.set_xticks(np.arange(size) + 0.5, labels, **turned)
    main.set_yticks(np.arange(size) + 0.5, sides)
    main.set_ylabel("True emotion (answers)" if counted else "True emotion")
    printed = "% of the row, count below" if counted else "% of the row"
    main.set_xlabel("Predicted emotion" + (" " if size * cell > 3 else "\n") + f"({printed})")
    main.set_title(scores, fontweight="normal", fontsize=7)
    _bars(figure.add_subplot(grid[1], sharey=main), np.diag(shares), "absent" if counted else "not stated")
    return figure


def _cells(axes: Any, shares: NDArray[np.float64], counts: NDArray[np.int64] | None) -> None:
    """Coloured cells with their percent, and the count below it; a row without any value says why."""
    size = len(shares)
    centred: dict[str, Any] = {"ha": "center", "va": "center"}
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share):
            look: dict[str, Any] = {"facecolor": "white", "hatch": "///", "edgecolor": "#CCC"}
            axes.add_patch(Rectangle((column, row), 1, 1, linewidth=0.5, **look))
            continue
        colour = style.SEQUENTIAL(share)
        axes.add_patch(Rectangle((column, row), 1, 1, linewidth=0.5, facecolor=colour, edgecolor="#E5E5E5"))
        count = "" if counts is None or not counts[row, column] else str(counts[row, column])
        text = f"{100 * share:.1f}".removesuffix(".0") if counts is None else percent(share)
        axes.text(column + 0.5, row + (0.38 if count else 0.5), text, fontsize=7.5, **centred)
        axes.text(column + 0.5, row + 0.76, count, fontsize=style.TINY, **centred)
    for row in np.flatnonzero(np.isnan(shares).all(axis=1)):
        why = "not stated" if counts is None else "no utterance"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
        axes.text(size / 2, row + 0.5, why, color=style.GREY, fontsize=style.SMALL, bbox=box, **centred)
    axes.set(xlim=(0, size), ylim=(size, 0))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def percent(share: float) -> str:
    """A share as whole percent; what is not nothing is never printed as 0, nor what is not all as 100.

    >>> percent(0.0), percent(0.004), percent(0.625), percent(0.998), percent(1.0)
    ('0', '<1', '62', '>99', '100')

    """
    if 0 < share < 0.005:
        return "<1"
    if 0.995 <= share < 1:
        return ">99"
    return f"{100 * share:.0f}"


def _bars(axes: Any, recalls: NDArray[np.float64], absent: str) -> None:
    """Recall in percent, one bar a row."""
    places = np.arange(len(recalls)) + 0.5
    axes.barh(places, 100 * np.nan_to_num(recalls), height=0.62, color=style.BLUE)
    for place, recall in zip(places, recalls, strict=True):
        side: dict[str, Any] = {"ha": "left", "va": "center", "fontsize": style.TINY + 1}
        if np.isnan(recall):
            axes.text(4, place, absent, color=style.GREY, **side)
        elif recall > 0.55:
            axes.text(100 * recall - 4, place, f"{100 * recall:.1f}", color="white", **side | {"ha": "right"})
        else:
            axes.text(100 * recall + 4, place, f"{100 * recall:.1f}", color="black", **side)
    axes.set(xlim=(0, 100), xticks=[0, 50, 100], xlabel="Recall (%)")
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.spines["left"].set_visible(False)
