"""Lines: a score over a value that was varied, and learning curves."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from serotone.reports.figures import style

NAMED = 12
"""How many folds are told apart in `curves`."""


@style.look()
def sweep(
    x: Sequence[float], scores: NDArray[np.float64], *, log: bool, source: str, x_label: str, y_label: str
) -> Figure:
    """Scores (4, K) over K rising values x: score, low and high, and the published score, which is called ``source``.

    Shares in [0, 1]. The score is NaN where a value was not run, which is written at its place; low and high are NaN
    where there is no interval, the published score where there is none. ``log`` spaces x by its logarithm.
    """
    values = np.array(x, dtype=np.float64)
    centre, lower, upper, published = 100 * scores
    ranged, known = np.isfinite(centre + lower + upper), np.isfinite(published)
    figure = style.new(3.6, 2.9)
    axes = figure.add_subplot()
    axes.set_xscale("log" if log else "linear")
    axes.fill_between(values, lower, upper, where=ranged.tolist(), color=style.BLUE, alpha=0.15, linewidth=0)
    middle, reach = (upper + lower)[ranged] / 2, (upper - lower)[ranged] / 2
    axes.errorbar(values[ranged], middle, yerr=reach, fmt="none", ecolor=style.BLUE, elinewidth=0.8, capsize=2)
    axes.plot(values, centre, color=style.BLUE, marker="o", zorder=3)
    names = {"ours, 95 % interval" if ranged.any() else "ours": Line2D([], [], color=style.BLUE, marker="o")}
    if known.any():
        look: dict[str, Any] = {"color": style.RED, "linestyle": "--", "marker": "D", "markerfacecolor": "white"}
        (names[source],) = axes.plot(values[known], published[known], **look, zorder=2)
    _ticks(axes, values, log)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.yaxis.grid(True)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.margins(y=0.12)
    for missing in values[np.isnan(centre)]:
        words: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": style.SMALL, "color": style.GREY}
        axes.text(missing, 0.02, "not run", rotation=90, transform=axes.get_xaxis_transform(), **words)
    style.legend(figure, names)
    bare = values[np.isfinite(centre) & ~ranged]
    if len(bare) and ranged.any():
        style.note(figure, f"No interval at {', '.join(f'{value:g}' for value in bare)}.")
    return figure


def _ticks(axes: Any, places: NDArray[np.float64], log: bool) -> None:
    """Limits around the values, and ticks at the values themselves, except those that would touch the one before."""
    scaled = np.log10(places) if log else places
    span = float(np.ptp(scaled)) or 1.0
    kept = [0]
    for index in range(1, len(places)):
        letters = (len(f"{places[index]:g}") + len(f"{places[kept[-1]]:g}")) / 2
        if (scaled[index] - scaled[kept[-1]]) / span * 2.5 > 0.065 * letters + 0.06:
            kept.append(index)
    ends = np.array([scaled[0] - 0.08 * span, scaled[-1] + 0.08 * span])
    axes.set_xlim(10**ends if log else ends)
    axes.set_xticks(places[kept], [f"{place:g}" for place in places[kept]])
    axes.set_xticks([], minor=True)


@style.look()
def curves(
    folds: Mapping[str, Mapping[str, NDArray[np.float64]]], selected: Sequence[int | None], *, validated: bool
) -> Figure:
    """Training loss and the UA of the validation part over steps, one thin line a fold and the mean of all in black.

    Each fold has the columns ``step``, ``loss`` and ``ua`` in [0, 1], NaN where nothing was measured. The loss
    stands alone if they are not ``validated``. More than a dozen folds are not told apart. A large marker stands on the
    step that was selected, none where ``selected`` is None. The mean is drawn over the steps that every fold has.
    """
    drawn = [("loss", 1, "Training loss (a.u.)"), ("ua", 100, "Validation UA (%)")][: 2 if validated else 1]
    figure = style.new(style.WIDE, 4.4 if validated else 2.9)
    panels = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    many = len(folds) > NAMED
    names: dict[str, Line2D] = {}
    for place, ((name, table), step) in enumerate(zip(folds.items(), selected, strict=True)):
        look = 0 if many else place
        line: dict[str, Any] = {"color": style.COLOURS[look % 6], "linestyle": style.LINES[look % 4], "linewidth": 0.8}
        line["alpha"] = 0.35 if many else 0.9
        point: dict[str, Any] = {"marker": style.MARKERS[look % len(style.MARKERS)], "markeredgecolor": "black"}
        point |= {"color": line["color"], "markeredgewidth": 0.5, "alpha": 1.0}
        apart = max(1, len(table["step"]) // 3)
        where = {} if many else {"marker": point["marker"], "markevery": (place * apart // len(folds), apart)}
        for axes, (column, factor, _) in zip(panels, drawn, strict=True):
            axes.plot(table["step"], factor * table[column], markersize=3.2, **line, **where)
        if validated:
            at = table["step"] == (np.nan if step is None else step)
            panels[1].plot(table["step"][at], 100 * table["ua"][at], linestyle="none", zorder=4, **point)
        names[f"{len(folds)} folds, one line each" if many else name] = Line2D([], [], **{**line, **point})
    if len(folds) > 1:
        steps = reduce(np.intersect1d, [table["step"] for table in folds.values()])
        for axes, (column, factor, _) in zip(panels, drawn, strict=True):
            rows = [table[column][np.isin(table["step"], steps)] for table in folds.values()]
            mean = factor * np.mean(rows, axis=0)
            (names["mean of the folds"],) = axes.plot(steps, mean, color=style.BLACK, linewidth=1.8, zorder=3)
    for axes, (_, _, title) in zip(panels, drawn, strict=True):
        axes.set_ylabel(title)
        axes.grid(True)
    panels[-1].set_xlabel("Optimiser step")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend(figure, names)
    none = sum(step is None for step in selected)
    marked = "Large marker: the step that was selected." if validated and none < len(folds) else ""
    last = f"No step was selected in {none} of {len(folds)} folds: the last one counts." if none else ""
    style.note(figure, f"{marked} {last}".strip())
    return figure
