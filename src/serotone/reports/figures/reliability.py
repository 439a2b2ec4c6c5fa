"""Confidence against accuracy, a panel for each system."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from serotone.reports.figures.style import BLUE, GREY, RED, new, note, style, wrapped
from serotone.statistics import Reliability


@style()
def reliability(rows: Mapping[str, Reliability]) -> Figure:
    """Accuracy against confidence, one panel a system, with the share of the utterances in each bin below.

    Bins without an utterance are not drawn. The ECE of these bins stands in each panel.
    """
    columns = min(4, len(rows))
    across = -(-len(rows) // columns)
    figure = new(max(3.0, 1.75 * columns + 0.2), 2.55 * across + 0.6)
    grid = figure.subplots(2 * across, columns, height_ratios=[3, 1] * across, sharex=True, squeeze=False)
    panels = [(upper, lower) for row in range(across) for upper, lower in zip(grid[2 * row], grid[2 * row + 1])]
    for axes in (axes for pair in panels[len(rows) :] for axes in pair):
        axes.set_visible(False)
    for place, ((upper, lower), (name, of)) in enumerate(zip(panels, rows.items())):
        _panel(upper, lower, name, of)
        if place % columns == 0:
            upper.set_ylabel("Accuracy (%)")
            lower.set_ylabel("Utterances\n(%)")
        if place + columns >= len(rows):
            lower.set_xlabel("Confidence (%)")
            lower.tick_params(labelbottom=True)
    figure.align_ylabels(grid[:, 0])
    note(
        figure, "Dashed: confidence equals accuracy. Area of a point: utterances of its bin; empty bins are not drawn."
    )
    return figure


def _panel(upper: Any, lower: Any, name: str, of: Reliability) -> None:
    filled, share = of.count > 0, of.count / of.count.sum()
    gap = float(np.sum(share[filled] * np.abs(of.accuracy[filled] - of.confidence[filled])))
    x, y = 100 * of.confidence[filled], 100 * of.accuracy[filled]
    upper.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=0.8)
    upper.vlines(x, x, y, color=RED, linewidth=1.0, alpha=0.6)
    upper.plot(x, y, color=BLUE, linewidth=0.8)
    upper.scatter(x, y, s=6 + 120 * share[filled], color=BLUE, zorder=3, clip_on=False)
    edges = np.linspace(0, 100, len(of.count) + 1)
    lower.bar(edges[:-1], 100 * share, width=np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    ece = f"ECE {gap:.3f}, n = {int(of.count.sum())}"
    upper.set_title(f"{wrapped(name, 27)}\n{ece}", fontsize=7, fontweight="normal")
    upper.set(xlim=(0, 100), ylim=(0, 100), xticks=[0, 25, 50, 75, 100], yticks=[0, 25, 50, 75, 100])
    upper.grid(True)
    lower.locator_params(axis="y", nbins=2)
