"""Lines: a score over a value that was varied, learning curves, and confidence against accuracy."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from serotone.errors import MetricError
from serotone.reports.figures.style import (
    BLACK,
    BLUE,
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    RED,
    SMALL,
    WIDE,
    heading,
    legend,
    names,
    new,
    note,
    percent_axis,
    shares,
    style,
    wrapped,
)

if TYPE_CHECKING:
    from serotone.statistics import Reliability

NAMED = 12
"""How many folds are told apart in `curves`."""


@style()
def sweep(
    x: ArrayLike,
    mean: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    x_label: str,
    log: bool = False,
    published: tuple[ArrayLike, ArrayLike] | None = None,
    y_label: str = "UA (%)",
    band: str = "95 % interval",
    source: str = "published",
    title: str = "",
) -> Figure:
    """A score in [0, 1] over a value x (K,) that was varied, between low and high, beside the published points.

    ``mean`` is NaN where a value was not run, which is written at its place; ``low`` and ``high`` are NaN where there
    is no interval, which need not hold the mean. ``log`` spaces x by its logarithm. ``band`` names what low and high
    are, and ``source`` the published points. Raises MetricError: lengths differ, x is not finite or repeats, x is not
    positive under ``log``, a value is out of range, or low exceeds high.
    """
    values = np.asarray(x, dtype=np.float64).reshape(-1)
    order = np.argsort(values)
    values = _positions("x", values[order], log)
    centre = 100 * shares("mean", np.asarray(mean), values.shape)[order]
    lower, upper = (
        100 * shares(name, np.asarray(given), values.shape, low=-np.inf, high=np.inf)[order]
        for name, given in (("low", low), ("high", high))
    )
    known = np.isfinite(centre)
    ranged = known & np.isfinite(lower) & np.isfinite(upper)
    if np.any(lower[ranged] > upper[ranged]):
        raise MetricError("an interval whose low exceeds its high; expected low <= high at every x")
    figure = new(3.6, 2.9)
    axes = figure.add_subplot()
    if log:
        axes.set_xscale("log")
    axes.fill_between(values, lower, upper, where=ranged, color=BLUE, alpha=0.15, linewidth=0)
    middle, reach = (upper + lower)[ranged] / 2, (upper - lower)[ranged] / 2
    axes.errorbar(values[ranged], middle, yerr=reach, fmt="none", ecolor=BLUE, elinewidth=0.8, capsize=2)
    axes.plot(values, centre, color=BLUE, marker="o", zorder=3)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    handles: list[Any] = [Line2D([], [], color=BLUE, marker="o")]
    texts = [f"ours, {band}" if ranged.any() else "ours"]
    places = values
    if published is not None:
        theirs = _positions("published x", np.asarray(published[0], dtype=np.float64).reshape(-1), log)
        heights = 100 * shares("published", np.asarray(published[1]), theirs.shape)
        rank = np.argsort(theirs)
        look: dict[str, Any] = {"color": RED, "linestyle": "--", "marker": "D", "markerfacecolor": "white"}
        axes.plot(theirs[rank], heights[rank], **look, zorder=2)
        handles.append(Line2D([], [], **look))
        texts.append(source)
        places = np.union1d(values, theirs)
    _ticks(axes, places, log)
    percent_axis(axes.yaxis, y_label)
    axes.set_xlabel(x_label)
    axes.margins(y=0.12)
    for missing in values[~known]:
        axes.text(
            missing,
            0.02,
            "not run",
            transform=axes.get_xaxis_transform(),
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=GREY,
        )
    if not known.any() and published is None:
        axes.set_ylim(0, 100)
    legend(figure, handles, texts, title=title)
    bare = values[known & ~ranged]
    if len(bare) and ranged.any():
        note(figure, f"No interval at {', '.join(f'{value:g}' for value in bare)}.")
    return figure


@style()
def curves(
    folds: Sequence[tuple[str, Mapping[str, ArrayLike]]],
    selected: Sequence[int | None],
    *,
    score: str | None = "ua",
    title: str = "",
) -> Figure:
    """Training loss and a validation score in [0, 1] over steps, one thin line a fold and the mean of all in black.

    Each fold has the columns ``step``, ``loss`` and the one ``score`` names, NaN where nothing was measured; without a
    ``score`` the loss stands alone. Folds differ in marker and line style as well as in colour; more than a dozen are
    not told apart. A large marker stands on the step that was selected, none where ``selected`` is None. The mean is
    drawn over the steps that every fold has. Raises MetricError: there is no fold, a name repeats, a column is missing
    or of another length, ``selected`` is of another length or a step that its fold does not have.
    """
    labels = names("folds", [name for name, _ in folds])
    if len(selected) != len(labels):
        raise MetricError(f"{len(selected)} selected steps for {len(labels)} folds; give one per fold, None where none")
    tables = [_columns(name, columns, score) for name, columns in folds]
    drawn = [("loss", 1), *([(score, 100)] if score else [])]
    figure = new(WIDE, 4.4 if score else 2.9)
    panels = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    many = len(tables) > NAMED
    handles = []
    for place, (table, step) in enumerate(zip(tables, selected, strict=True)):
        line, point = _looks(0 if many else place, alpha=0.35 if many else 0.9)
        at = table["step"] == (np.nan if step is None else step)
        if step is not None and not at.any():
            raise MetricError(f"{labels[place]}: selected step {step} is none of its curve's; give one of them")
        apart = max(1, len(at) // 3)
        where = {} if many else {"marker": point["marker"], "markevery": (place * apart // len(tables), apart)}
        for axes, (name, factor) in zip(panels, drawn, strict=True):
            axes.plot(table["step"], factor * table[name], markersize=3.2, **line, **where)
        if score:
            panels[1].plot(table["step"][at], 100 * table[score][at], linestyle="none", zorder=4, **point)
        handles.append(Line2D([], [], **{**line, **point}))
    if many:
        labels, handles = [f"{len(tables)} folds, one line each"], [Line2D([], [], **{**line, **point})]
    if len(tables) > 1:
        steps = _common([table["step"] for table in tables])
        for axes, (name, factor) in zip(panels, drawn, strict=True):
            rows = np.array([table[name][np.searchsorted(table["step"], steps)] for table in tables])
            axes.plot(steps, factor * rows.mean(axis=0), color=BLACK, linewidth=1.8, zorder=3)
        handles.append(Line2D([], [], color=BLACK, linewidth=1.8))
    panels[0].set_ylabel("Training loss (a.u.)")
    panels[0].grid(True)
    if score:
        percent_axis(panels[1].yaxis, f"Validation {score.upper()} (%)")
        panels[1].grid(True)
    panels[-1].set_xlabel("Optimiser step")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, handles, [*labels, *(["mean of the folds"] if len(tables) > 1 else [])], title=title)
    none = sum(step is None for step in selected)
    marked = "Large marker: the step that was selected." if score and none < len(tables) else ""
    last = f"No step was selected in {none} of {len(tables)} folds: the last one counts." if none else ""
    note(figure, f"{marked} {last}".strip())
    return figure


@style()
def reliability(rows: "Mapping[str, Reliability]", *, title: str = "") -> Figure:
    """Accuracy against confidence, one panel a system, with the share of the utterances in each bin below.

    Bins without an utterance are not drawn. The ECE of these bins stands in each panel. Raises MetricError: there is no
    system, its three arrays differ in shape, a value is out of range, or it has no utterance.
    """
    systems = names("systems", list(rows))
    columns = min(4, len(systems))
    across = -(-len(systems) // columns)
    figure = new(max(3.0, 1.75 * columns + 0.2), 2.55 * across + 0.6)
    heights = [3, 1] * across
    grid = figure.subplots(2 * across, columns, height_ratios=heights, sharex=True, squeeze=False)
    for place in range(across * columns):
        row, column = divmod(place, columns)
        upper, lower = grid[2 * row, column], grid[2 * row + 1, column]
        if place >= len(systems):
            upper.set_visible(False)
            lower.set_visible(False)
            continue
        _calibration(upper, lower, systems[place], rows[systems[place]])
        if not column:
            upper.set_ylabel("Accuracy (%)")
            lower.set_ylabel("Utterances\n(%)")
        if place + columns >= len(systems):
            lower.set_xlabel("Confidence (%)")
            lower.tick_params(labelbottom=True)
    figure.align_ylabels(grid[:, 0])
    heading(figure, title)
    note(figure, "Dashed: confidence as high as accuracy. Area: utterances of a bin; empty bins are not drawn.")
    return figure


def _looks(place: int, *, alpha: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The line and the marker of a fold."""
    colour = COLOURS[place % 6]
    line = {"color": colour, "linestyle": LINES[place % len(LINES)], "linewidth": 0.8, "alpha": alpha}
    edge = {"markeredgecolor": "black", "markeredgewidth": 0.5}
    return line, {"color": colour, "marker": MARKERS[place % len(MARKERS)], "alpha": 1.0, **edge}


def _calibration(upper: Any, lower: Any, name: str, found: "Reliability") -> None:
    count = np.asarray(found.count, dtype=np.float64)
    if count.ndim != 1 or not np.all(count >= 0) or not count.sum():
        raise MetricError(f"{name}: counts {count.tolist()}; expected one per bin, at least one of them above 0")
    confidence = shares(f"confidence of {name}", found.confidence, count.shape)
    accuracy = shares(f"accuracy of {name}", found.accuracy, count.shape)
    filled = count > 0
    if not np.isfinite(confidence[filled] + accuracy[filled]).all():
        raise MetricError(f"{name}: a bin with utterances has no confidence or accuracy; expected numbers")
    gap = float(np.sum(count[filled] * np.abs(accuracy[filled] - confidence[filled])) / count.sum())
    x, y = 100 * confidence[filled], 100 * accuracy[filled]
    upper.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=0.8)
    upper.vlines(x, x, y, color=RED, linewidth=1.0, alpha=0.6)
    upper.plot(x, y, color=BLUE, linewidth=0.8)
    upper.scatter(x, y, s=6 + 120 * count[filled] / count.sum(), color=BLUE, zorder=3, clip_on=False)
    edges = np.linspace(0, 100, len(count) + 1)
    lower.bar(edges[:-1], 100 * count / count.sum(), width=np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    said = f"ECE {gap:.3f}, n = {int(count.sum())}"
    upper.set_title(f"{wrapped(name, 27)}\n{said}", fontsize=7, fontweight="normal")
    upper.set(xlim=(0, 100), ylim=(0, 100), xticks=[0, 25, 50, 75, 100], yticks=[0, 25, 50, 75, 100])
    upper.grid(True)
    lower.locator_params(axis="y", nbins=2)


def _positions(what: str, values: NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """The values where they can stand on an axis."""
    if not len(values) or not np.isfinite(values).all() or len(np.unique(values)) < len(values):
        raise MetricError(f"{what} {values.tolist()}; expected at least one finite value, none of them twice")
    if log and values.min() <= 0:
        raise MetricError(
            f"{what} holds {values.min():g}; a logarithmic axis needs values above 0; draw it without log"
        )
    return values


def _ticks(axes: Any, places: NDArray[np.float64], log: bool) -> None:
    """Limits around the values, and ticks at the values themselves, but for those that would touch the one before."""
    scaled = np.log10(places) if log else places
    span = float(np.ptp(scaled)) or 1.0
    kept = [0]
    for index in range(1, len(places)):
        letters = (len(f"{places[index]:g}") + len(f"{places[kept[-1]]:g}")) / 2
        if (scaled[index] - scaled[kept[-1]]) / span * 2.5 > 0.065 * letters + 0.06:
            kept.append(index)
    ends = scaled[0] - 0.08 * span, scaled[-1] + 0.08 * span
    axes.set_xlim(*(10**end if log else end for end in ends))
    axes.xaxis.set_major_locator(FixedLocator([float(place) for place in places[kept]]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _columns(fold: str, given: Mapping[str, ArrayLike], score: str | None) -> dict[str, NDArray[np.float64]]:
    """Step, loss and the score, if there is one, as float64, sorted by step."""
    wanted = ["step", "loss", *([score] if score else [])]
    absent = [name for name in wanted if name not in given]
    if absent:
        raise MetricError(f"{fold}: no column {', '.join(absent)}; expected {', '.join(wanted)}, as in curves.csv")
    columns = {name: np.asarray(given[name], dtype=np.float64) for name in wanted}
    lengths = {column.shape for column in columns.values()}
    if len(lengths) != 1 or columns["step"].ndim != 1 or not len(columns["step"]):
        raise MetricError(f"{fold}: columns of shapes {sorted(lengths)}; expected one length, of at least 1, for all")
    if score:
        shares(f"{score} of {fold}", columns[score], columns["step"].shape)
    order = np.argsort(columns["step"], kind="stable")
    return {name: column[order] for name, column in columns.items()}


def _common(steps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The steps that every fold has."""
    shared = steps[0]
    for other in steps[1:]:
        shared = np.intersect1d(shared, other)
    return shared
