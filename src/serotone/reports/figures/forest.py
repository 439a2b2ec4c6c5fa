"""Intervals under each other, as a forest plot: scores, or differences of scores around 0."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from serotone.errors import MetricError
from serotone.reports.figures.style import (
    BLACK,
    BLUE,
    GREY,
    RED,
    SMALL,
    WIDE,
    legend,
    names,
    new,
    percent_axis,
    style,
    wrapped,
)

if TYPE_CHECKING:
    from serotone.statistics import Interval


@style()
def intervals(
    rows: "Sequence[tuple[str, Interval | None, float | None]]",
    *,
    x_title: str = "UA (%)",
    zero: bool = False,
    absent: str = "not run",
    source: str = "published",
    title: str = "",
) -> Figure:
    """Estimate, interval and published value, in [-1, 1], of each row; ``absent`` is printed where it is None.

    ``zero`` draws a line at 0, for differences in points. ``source`` is what the legend calls the published values. An
    interval may end outside of what is possible, and need not hold its estimate. Raises MetricError: there is no row, a
    label repeats, low exceeds high, or a value is out of range.
    """
    labels = names("rows", [label for label, _, _ in rows])
    sides = [wrapped(label, 34) for label in labels]
    figure = new(WIDE, (0.31 if any("\n" in side for side in sides) else 0.24) * len(labels) + 1.2)
    axes = figure.add_subplot()
    drawn = []
    for y, (label, interval, published) in enumerate(rows):
        _print(axes, wrapped(absent, 22) if interval is None else "", y, 0, GREY)
        if interval is not None:
            low, estimate, high = (100 * value for value in (interval.low, interval.estimate, interval.high))
            if not (low <= high and abs(estimate) <= 100 and np.isfinite([low, high]).all()):
                raise MetricError(
                    f"{label}: {interval.estimate:g} [{interval.low:g}, {interval.high:g}]; expected an estimate in "
                    "[-1, 1] and low <= high"
                )
            axes.plot([low, high], [y, y], color=BLUE, linewidth=1.6, solid_capstyle="butt", zorder=2)
            axes.plot([low, low, np.nan, high, high], [y - 0.18, y + 0.18, y, y - 0.18, y + 0.18], color=BLUE, zorder=2)
            axes.plot([estimate], [y], marker="o", color=BLUE, markersize=5, zorder=3)
            drawn += [low, high]
            _print(axes, f"{estimate:.1f} [{low:.1f}, {high:.1f}]", y, 0, BLACK)
        if published is not None:
            if not abs(published) <= 1:
                raise MetricError(f"{label}: published {published:g}; expected [-1, 1]; divide percent by 100")
            value = 100 * published
            axes.plot([value], [y], marker="D", color="white", markeredgecolor=RED, markeredgewidth=1.2, zorder=4)
            drawn.append(value)
            _print(axes, f"{value:.1f}", y, 1, RED)
    axes.set_yticks(range(len(labels)), sides)
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(labels) - 0.4, -0.6), ylabel="System" if not zero else "Comparison")
    percent_axis(axes.xaxis, x_title)
    axes.yaxis.grid(False)
    edges = [*drawn, 0.0] if zero else drawn or [0.0, 100.0]
    margin = 0.04 * (max(edges) - min(edges)) + 1
    axes.set_xlim(min(edges) - margin, max(edges) + margin)
    if zero:
        axes.axvline(0, color=BLACK, linewidth=0.8, zorder=1)
    levels = sorted({interval.level for _, interval, _ in rows if interval is not None})
    handles, texts = [], []
    if levels:
        handles.append(Line2D([], [], color=BLUE, marker="o"))
        texts.append(f"estimate and {' or '.join(f'{100 * level:g}' for level in levels)} % interval")
        _print(axes, "ours", -0.85, 0, GREY)
    if any(published is not None for _, _, published in rows):
        handles.append(Line2D([], [], linestyle="none", marker="D", color="white", markeredgecolor=RED))
        texts.append(source)
        _print(axes, "published", -0.85, 1, GREY)
    legend(figure, handles, texts, title=title)
    return figure


def _print(axes: Any, text: str, y: float, column: int, colour: str) -> None:
    """Print beside the axes, at this row and in the first or second column."""
    axes.annotate(
        text.replace("-", "\N{MINUS SIGN}") if column == 0 and "[" in text else text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(8 + 84 * column, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=colour,
        annotation_clip=False,
    )
