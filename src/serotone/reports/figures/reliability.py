"""Confidence against accuracy, a panel for each system."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from serotone.reports.figures import style
from serotone.statistics import Reliability


@style.look()
def reliability(rows: Mapping[str, Reliability]) -> Figure:
    """Accuracy against confidence, one panel a system, with the share of the utterances in each bin below.

    Bins without an utterance are not drawn. The ECE of these bins stands in each panel.
    """
    columns = min(4, len(rows))
    across = -(-len(rows) // columns)
    figure = style.new(max(3.0, 1.75 * columns + 0.2), 2.55 * across + 0.6)
    grid = figure.add_gridspec(2 * across, columns, height_ratios=[3, 1] * across)
    for place, (name, of) in enumerate(rows.items()):
        row, column = divmod(place, columns)
        upper = figure.add_subplot(grid[2 * row, column])
        lower = figure.add_subplot(grid[2 * row + 1, column], sharex=upper)
        _panel(upper, lower, name, of)
        if column == 0:
            upper.set_ylabel("Accuracy (%)")
            lower.set_ylabel("Utterances\n(%)")
        last = place + columns >= len(rows)
        upper.tick_params(labelbottom=False)
        lower.tick_params(labelbottom=last)
        lower.set_xlabel("Confidence (%)" if last else "")
    figure.align_ylabels()
    empty = "Area of a point: utterances of its bin; empty bins are not drawn."
    style.note(figure, f"Dashed: confidence equals accuracy. {empty}")
    return figure


def _panel(upper: Any, lower: Any, name: str, of: Reliability) -> None:
    filled, share = of.count > 0, of.count / of.count.sum()
    x, y = 100 * of.confidence[filled], 100 * of.accuracy[filled]
    upper.plot([0, 100], [0, 100], color=style.GREY, linestyle="--", linewidth=0.8)
    upper.vlines(x, x, y, color=style.RED, linewidth=1.0, alpha=0.6)
    upper.plot(x, y, color=style.BLUE, linewidth=0.8)
    upper.scatter(x, y, s=6 + 120 * share[filled], color=style.BLUE, zorder=3, clip_on=False)
    edges = np.linspace(0, 100, len(of.count) + 1)
    lower.bar(edges[:-1], 100 * share, width=np.diff(edges), align="edge", color=style.BLUE, edgecolor="white")
    ece = f"ECE {of.ece:.3f}, n = {int(of.count.sum())}"
    upper.set_title(f"{style.wrapped(name, 27)}\n{ece}", fontsize=7, fontweight="normal")
    upper.set(xlim=(0, 100), ylim=(0, 100), xticks=[0, 25, 50, 75, 100], yticks=[0, 25, 50, 75, 100])
    upper.grid(True)
    lower.locator_params(axis="y", nbins=2)
