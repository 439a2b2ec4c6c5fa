"""Intervals under each other, as a forest plot: scores, or differences of scores around 0."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from serotone.reports.figures import style
from serotone.statistics import Interval, fewest_simulated


class Line(NamedTuple):
    """One line of a forest plot, in [-1, 1]; None is what was not run, not published or has no chance level."""

    label: str
    interval: Interval | None
    published: float | None = None
    chance: float | None = None


@style.look()
def intervals(rows: Sequence[Line], *, x_title: str, zero: bool = False, source: str = "") -> Figure:
    """Estimate, interval, published value and chance level of each row, printed beside the axes.

    An interval of fewer speakers than were simulated is dotted. ``zero`` draws a line at 0, for differences in points.
    ``source`` is what the legend calls the published values. An interval may end outside of what is possible.
    """
    sides, guess = [style.wrapped(row.label, 34) for row in rows], fewest_simulated()
    most = max(side.count("\n") for side in sides) + 1  # lines of a label
    figure = style.new(style.WIDE, (0.24 if most == 1 else 0.05 + 0.13 * most) * len(rows) + 1.2)
    axes = figure.add_subplot()
    names: dict[str, Line2D] = {}
    for y, (_, interval, published, chance) in enumerate(rows):
        if interval is None:
            _print(axes, "not run", y, 0, style.GREY)
        else:
            low, estimate, high = (100 * value for value in (interval.low, interval.estimate, interval.high))
            unsure = interval.speakers < guess
            line: dict[str, Any] = {"color": style.GREY if unsure else style.BLUE, "zorder": 2}
            axes.plot([low, high], [y, y], linewidth=1.6, linestyle=":" if unsure else "-", **line)
            axes.plot([low, low, np.nan, high, high], [y - 0.18, y + 0.18, y, y - 0.18, y + 0.18], **line)
            axes.plot([estimate], [y], marker="o", markersize=5, **line)
            _print(axes, f"{estimate:.1f} [{low:.1f}, {high:.1f}]".replace("-", "\N{MINUS SIGN}"), y, 0, style.BLACK)
            sure = f"estimate and {100 * interval.level:g} % interval"
            name = f"fewer than {guess} speakers: a guess" if unsure else sure
            names[name] = Line2D([], [], marker="o", linestyle=":" if unsure else "-", **line)
        if published is not None:
            look: dict[str, Any] = {"marker": "D", "color": "white"}
            look |= {"markeredgecolor": style.RED, "markeredgewidth": 1.2}
            axes.plot([100 * published], [y], zorder=4, **look)
            _print(axes, f"{100 * published:.1f}", y, 1, style.RED)
            names[source] = Line2D([], [], linestyle="none", **look)
        if chance is not None:
            dashed: dict[str, Any] = {"color": style.BLACK, "linestyle": "--", "linewidth": 0.9}
            axes.plot([100 * chance] * 2, [y - 0.35, y + 0.35], zorder=1, **dashed)
            names["chance"] = Line2D([], [], **dashed)
    axes.set_yticks(range(len(rows)), sides)
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(rows) - 0.4, -0.6), ylabel="Comparison" if zero else "System")
    axes.set_xlabel(x_title)
    axes.xaxis.grid(True)
    if zero:
        axes.axvline(0, color=style.BLACK, linewidth=0.8, zorder=1)
    _print(axes, "ours", -0.85, 0, style.GREY)
    if source in names:
        _print(axes, "published", -0.85, 1, style.GREY)
    style.legend(figure, names)
    return figure


def _print(axes: Any, text: str, y: float, column: int, colour: str) -> None:
    """Print next to the axes, at this row and in the first or second column."""
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    offset = (8 + 84 * column, 0)
    axes.annotate(text, (1, y), xytext=offset, fontsize=style.SMALL, color=colour, annotation_clip=False, **place)
