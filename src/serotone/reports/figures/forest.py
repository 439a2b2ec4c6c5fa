"""Intervals under each other, as a forest plot: scores, or differences of scores around 0."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from serotone.reports.figures.style import (
    BLACK,
    BLUE,
    GREY,
    RED,
    SMALL,
    WIDE,
    legend,
    new,
    percent_axis,
    style,
    wrapped,
)
from serotone.statistics import Interval


class Line(NamedTuple):
    """One line of a forest plot, in [-1, 1]; None is what was not run, not published or has no chance level."""

    label: str
    interval: Interval | None
    published: float | None = None
    chance: float | None = None


@style()
def intervals(rows: Sequence[Line], *, x_title: str, zero: bool = False, source: str = "", guess: int = 0) -> Figure:
    """Estimate, interval, published value and chance level of each row, printed beside the axes.

    An interval of fewer than ``guess`` speakers is dashed. ``zero`` draws a line at 0, for differences in points.
    ``source`` is what the legend calls the published values. An interval may end outside of what is possible.
    """
    sides = [wrapped(row.label, 34) for row in rows]
    figure = new(WIDE, (0.31 if any("\n" in side for side in sides) else 0.24) * len(rows) + 1.2)
    axes = figure.add_subplot()
    drawn = [0.0] if zero else []
    for y, (_, interval, published, chance) in enumerate(rows):
        if interval is None:
            _print(axes, "not run", y, 0, GREY)
        else:
            low, estimate, high = (100 * value for value in (interval.low, interval.estimate, interval.high))
            unsure = interval.speakers < guess
            line: dict[str, Any] = {"color": GREY if unsure else BLUE, "zorder": 2}
            axes.plot([low, high], [y, y], linewidth=1.6, linestyle=":" if unsure else "-", **line)
            axes.plot([low, low, np.nan, high, high], [y - 0.18, y + 0.18, y, y - 0.18, y + 0.18], **line)
            axes.plot([estimate], [y], marker="o", markersize=5, **line)
            drawn += [low, high]
            _print(axes, f"{estimate:.1f} [{low:.1f}, {high:.1f}]".replace("-", "\N{MINUS SIGN}"), y, 0, BLACK)
        if published is not None:
            look: dict[str, Any] = {"marker": "D", "color": "white", "markeredgecolor": RED, "markeredgewidth": 1.2}
            axes.plot([100 * published], [y], zorder=4, **look)
            drawn.append(100 * published)
            _print(axes, f"{100 * published:.1f}", y, 1, RED)
        if chance is not None:
            axes.plot([100 * chance] * 2, [y - 0.35, y + 0.35], color=BLACK, linestyle="--", linewidth=0.9, zorder=1)
            drawn.append(100 * chance)
    axes.set_yticks(range(len(rows)), sides)
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(rows) - 0.4, -0.6), ylabel="Comparison" if zero else "System")
    percent_axis(axes.xaxis, x_title)
    axes.yaxis.grid(False)
    low, high = min(drawn, default=0), max(drawn, default=100)
    margin = 0.04 * (high - low) + 1
    axes.set_xlim(low - margin, high + margin)
    if zero:
        axes.axvline(0, color=BLACK, linewidth=0.8, zorder=1)
    _print(axes, "ours", -0.85, 0, GREY)
    names = {f"estimate and {100 * row.interval.level:g} % interval": Line2D([], [], color=BLUE, marker="o")
             for row in rows if row.interval is not None and row.interval.speakers >= guess}  # fmt: skip
    if any(row.interval is not None and row.interval.speakers < guess for row in rows):
        names[f"fewer than {guess} speakers: a guess"] = Line2D([], [], color=GREY, marker="o", linestyle=":")
    if any(row.published is not None for row in rows):
        names[source] = Line2D([], [], linestyle="none", marker="D", color="white", markeredgecolor=RED)
        _print(axes, "published", -0.85, 1, GREY)
    if any(row.chance is not None for row in rows):
        names["chance"] = Line2D([], [], color=BLACK, linestyle="--", linewidth=0.9)
    legend(figure, list(names.values()), list(names))
    return figure


def _print(axes: Any, text: str, y: float, column: int, colour: str) -> None:
    """Print next to the axes, at this row and in the first or second column."""
    axes.annotate(
        text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(8 + 84 * column, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=colour,
        annotation_clip=False,
    )
