"""Scores per class and per speaker: bars or dots for a few systems and speakers, a table of coloured cells for many."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from serotone.errors import MetricError
from serotone.reports.figures.style import (
    COLOURS,
    GREY,
    HATCHES,
    MARKERS,
    PALE,
    TINY,
    WIDE,
    heading,
    legend,
    names,
    new,
    note,
    percent,
    percent_axis,
    shares,
    style,
    wrapped,
)
from serotone.reports.figures.tables import cells, name_columns

BARS, DOTS = 4, 5
"""How many systems stand side by side as bars or dots; more make a table."""
ACROSS, DOWN = 26, 40
"""How many speakers stand side by side in a table, or below each other as dots; more make blocks of rows."""


def recall_bars(recalls: Mapping[str, ArrayLike], labels: Sequence[str], *, title: str = "") -> Figure:
    """The recall (C,) in [0, 1] of each class, by system; NaN where a class is absent from truth."""
    rows = _rows("recalls", recalls, labels)
    return _per_class(rows, labels, "true emotion", "Recall (%)", title)


def neutral_share(shares_of: Mapping[str, ArrayLike], labels: Sequence[str], *, title: str = "") -> Figure:
    """The share (C,) in [0, 1] of each other emotion that was called neutral, by system.

    The value at neutral itself is not read. Raises MetricError also where no class is called neutral, or no other is
    there.
    """
    if "neutral" not in labels or len(labels) < 2:
        raise MetricError(f"labels {', '.join(labels)}; expected neutral and another; leave this figure out without it")
    rows = _rows("shares called neutral", shares_of, labels)
    others = [place for place, label in enumerate(labels) if label != "neutral"]
    kept = {name: values[others] for name, values in rows.items()}
    return _per_class(kept, [labels[place] for place in others], "true emotion", "Called neutral (%)", title)


def speaker_scores(scores: Mapping[str, Mapping[str, float]], *, score: str = "UA", title: str = "") -> Figure:
    """The score in [0, 1] of each speaker, by system, the speakers sorted by their mean over the systems.

    A speaker that a system lacks was not run; of one that it scores NaN it has no clip; the figure tells them apart.
    ``score`` names what is drawn. Raises MetricError: there is no system or no speaker, or a score is out of range.
    """
    systems = names("systems", list(scores))
    speakers = names("speakers", list(dict.fromkeys(speaker for row in scores.values() for speaker in row)))
    values = np.array([[scores[system].get(speaker, np.nan) for speaker in speakers] for system in systems])
    values = shares(f"{score} of speakers", values, (len(systems), len(speakers)))
    # Their mean over the systems, NaN (last) where no system scored one; equals stay in their order.
    found = np.isfinite(values).sum(axis=0)
    means = np.nansum(values, axis=0) / np.where(found > 0, found, np.nan)
    order = np.argsort(-means, kind="stable")
    values, speakers = values[:, order], [speakers[place] for place in order]
    mute = np.array([[speaker in scores[system] for speaker in speakers] for system in systems]) & np.isnan(values)
    if len(speakers) > (ACROSS if len(systems) > DOTS else DOWN):
        return _blocks(values, mute, systems, speakers, f"{score} (%)", title)
    if len(systems) > DOTS:
        return _table(values, mute, systems, speakers, "speaker, best to worst", f"{score} (%)", title)
    return _dots(values, mute, systems, speakers, f"{score} (%)", title)


def _rows(what: str, given: Mapping[str, ArrayLike], labels: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    names("labels", labels)
    names("systems", list(given))
    return {name: shares(f"{what} of {name}", values, (len(labels),)) for name, values in given.items()}


def _per_class(
    rows: Mapping[str, NDArray[np.float64]], labels: Sequence[str], class_title: str, value_title: str, title: str
) -> Figure:
    if len(rows) > BARS:
        values = np.array(list(rows.values()))
        mute = np.zeros(values.shape, dtype=np.bool_)
        return _table(values, mute, list(rows), labels, class_title, value_title, title, "no utterance of the class")
    return _bars(rows, labels, class_title, value_title, title)


@style()
def _bars(
    rows: Mapping[str, NDArray[np.float64]], labels: Sequence[str], class_title: str, value_title: str, title: str
) -> Figure:
    group = max(0.3 + 0.2 * len(rows), 0.5)
    width = min(WIDE, max(3.4, 0.7 + group * len(labels)))
    figure = new(width, 2.7)
    axes = figure.add_subplot()
    bar = 0.84 / len(rows)
    inches = (width - 0.7) / len(labels) * bar
    for place, values in enumerate(rows.values()):
        x = np.arange(len(labels)) + (place - (len(rows) - 1) / 2) * bar
        look: dict[str, Any] = {
            "facecolor": COLOURS[place],
            "hatch": HATCHES[place],
            "edgecolor": "white",
            "linewidth": 0.4,
        }
        axes.bar(x, 100 * np.nan_to_num(values), width=bar, **look)
        for left, value in zip(x, values, strict=True):
            known = bool(np.isfinite(value))
            axes.text(
                left,
                100 * value + 1.5 if known else 1.5,
                percent(value) if known else "absent",
                ha="center",
                va="bottom",
                rotation=0 if known and inches > 0.17 else 90,
                fontsize=TINY + (0.5 if inches > 0.19 else 0),
                color="black" if known else GREY,
            )
    axes.set(xlim=(-0.6, len(labels) - 0.4), ylim=(0, 109), yticks=range(0, 101, 20), xlabel=class_title.capitalize())
    percent_axis(axes.yaxis, value_title)
    name_columns(axes, labels, (width - 0.7) / len(labels), first=0.0)
    axes.tick_params(axis="x", length=0)
    if len(rows) > 1:
        handles = [
            Patch(facecolor=COLOURS[place], hatch=HATCHES[place], edgecolor="white") for place in range(len(rows))
        ]
        legend(figure, handles, list(rows), title=title)
    else:
        heading(figure, ": ".join(filter(None, [title, *rows])))
    return figure


@style()
def _table(
    values: NDArray[np.float64],
    mute: NDArray[np.bool_],
    systems: Sequence[str],
    columns: Sequence[str],
    column_title: str,
    value_title: str,
    title: str,
    hatched: str = "not run",
) -> Figure:
    """Systems in rows; the value in percent in each cell, a dash in ``mute`` ones."""
    letters = max(16, min(32, int((WIDE - 0.6 - 0.21 * len(columns)) / 0.062)))
    sides = [wrapped(system, letters) for system in systems]
    lines = [side.split("\n") for side in sides]
    room = 0.062 * max(len(line) for side in lines for line in side) + 0.4
    cell = min(0.55, max(0.21, (WIDE - 0.2 - room) / len(columns)))
    height = 0.1 + 0.1 * max(len(side) for side in lines)
    figure = new(room + cell * len(columns) + 0.2, height * len(systems) + 1.2)
    axes = figure.add_subplot()
    cells(axes, values, _printed(values, mute), bare=mute, size=7 if cell > 0.3 else TINY)
    name_columns(axes, columns, cell)
    axes.set_yticks(np.arange(len(systems)) + 0.5, sides)
    axes.set(xlabel=f"{value_title} by {column_title}", ylabel="System")
    heading(figure, title)
    _say_why(figure, values, mute, hatched)
    return figure


@style()
def _blocks(
    values: NDArray[np.float64],
    mute: NDArray[np.bool_],
    systems: Sequence[str],
    speakers: Sequence[str],
    value_title: str,
    title: str,
) -> Figure:
    """Speakers in rows, systems in columns; the rows go on in as many blocks side by side as the page has room for."""
    corpora = {speaker.rpartition("/")[0] for speaker in speakers}
    shown = [speaker.rpartition("/")[2] if len(corpora) == 1 else speaker for speaker in speakers]
    letters = 24
    while any(wrapped(system, letters).count("\n") > 1 for system in systems):  # a cell has room for two lines
        letters += 1
    names_above = [wrapped(system, letters) for system in systems]
    room = 0.05 * max(map(len, shown)) + 0.3
    cell = min(0.3, max(0.2, (WIDE - 0.2) / 4 / len(systems)))
    number = max(1, min(int((WIDE - 0.4) / (room + cell * len(systems))), -(-len(speakers) // 20)))
    rows = -(-len(speakers) // number)
    longest = max(len(line) for name in names_above for line in name.split("\n"))
    figure = new(0.4 + number * (room + cell * len(systems)), 0.058 * longest + 0.14 * rows + 0.9)
    blocks = figure.subplots(1, number, squeeze=False)[0]
    for place, axes in enumerate(blocks):
        part = slice(place * rows, (place + 1) * rows)
        of, silent = values[:, part].T, mute[:, part].T
        cells(axes, of, _printed(of, silent), bare=silent, size=TINY)
        axes.set_ylim(rows, 0)
        axes.set_yticks(np.arange(len(of)) + 0.5, shown[part], fontsize=TINY)
        axes.set_xticks(np.arange(len(systems)) + 0.5, names_above, rotation=90, fontsize=TINY)
        axes.tick_params(axis="x", labeltop=True, labelbottom=False)
        axes.set_xlabel(value_title)
    corpus = f" of {corpora.pop()}" if len(corpora) == 1 and "" not in corpora else ""
    blocks[0].set_ylabel(f"Speaker{corpus}, best to worst")
    heading(figure, title)
    _say_why(figure, values, mute)
    return figure


def _printed(values: NDArray[np.float64], mute: NDArray[np.bool_]) -> NDArray[Any]:
    """Whole percent, a dash where there is no clip, nothing where there is no value for another reason."""
    texts = np.vectorize(lambda share: "" if np.isnan(share) else percent(share), otypes=[object])(values)
    return np.where(mute, "\N{EN DASH}", texts)


def _say_why(figure: Figure, values: NDArray[np.float64], mute: NDArray[np.bool_], hatched: str = "not run") -> None:
    """Under the figure, why cells hold no value."""
    reasons = [f"Hatched: {hatched}."] if (np.isnan(values) & ~mute).any() else []
    reasons += ["Dash: no clip of the speaker in a test part."] if mute.any() else []
    if reasons:
        note(figure, " ".join(reasons))


@style()
def _dots(
    values: NDArray[np.float64],
    mute: NDArray[np.bool_],
    systems: Sequence[str],
    speakers: Sequence[str],
    value_title: str,
    title: str,
) -> Figure:
    """Speakers in rows, one marker a system, and the mean of the speakers below; what has no score, in a strip."""
    absent = np.isnan(values)
    rows = len(speakers)
    figure = new(WIDE * 0.75, (0.2 if len(systems) > 3 else 0.17) * (rows + 2) + 1.1)
    ratios = [1, 0.13] if absent.any() else [1]
    panels = figure.subplots(1, len(ratios), width_ratios=ratios, sharey=True, squeeze=False)[0]
    axes = panels[0]
    nudge = 0.5 / max(len(systems) - 1, 1) if len(systems) > 1 else 0.0
    y = np.arange(rows, dtype=np.float64)
    for row in range(rows):
        found = 100 * values[~absent[:, row], row]
        if len(found) > 1:
            axes.plot([found.min(), found.max()], [row, row], color=PALE, linewidth=3, solid_capstyle="round", zorder=1)
    handles = []
    for place, system in enumerate(systems):
        look: dict[str, Any] = {
            **{"marker": MARKERS[place], "color": COLOURS[place], "linestyle": "none"},
            **{"markeredgecolor": "black", "markeredgewidth": 0.4},
        }
        shift = (place - (len(systems) - 1) / 2) * nudge
        axes.plot(100 * values[place], y + shift, **look, zorder=3)
        if not absent[place].all():
            axes.plot([100 * np.nanmean(values[place])], [rows + 0.4 + shift], **{**look, "markersize": 6}, zorder=3)
        if absent.any():
            for why, face in ((absent[place] & ~mute[place], COLOURS[place]), (mute[place], "white")):
                panels[1].plot(np.full(why.sum(), place), y[why], **look, markerfacecolor=face)
        handles.append(Line2D([], [], label=system, **look))
    axes.axhline(rows - 0.3, color=GREY, linewidth=0.6)
    axes.set_yticks([*y, rows + 0.4], [*speakers, "mean"])
    axes.set(ylim=(rows + 1, -0.7), ylabel="Speaker")
    percent_axis(axes.xaxis, value_title)
    low, high = np.nanmin(values) if not absent.all() else 0, np.nanmax(values) if not absent.all() else 1
    axes.set_xlim(max(0, 100 * low - 4) if low > 0.2 else -2, min(102, 100 * high + 4))
    if absent.any():
        panels[1].set(xlim=(-0.8, len(systems) - 0.2), xticks=[], xlabel="no score")
        panels[1].tick_params(left=False, labelleft=False)
        panels[1].set_facecolor("#F2F2F2")
        panels[1].spines[:].set_visible(False)
    legend(figure, handles, systems, title=title)
    if absent.any():
        reasons = ["filled: not run"] if (absent & ~mute).any() else []
        reasons += ["hollow: no clip of the speaker in a test part"] if mute.any() else []
        note(figure, f"No score, {'; '.join(reasons)}. The mean of a system is that of the speakers it has.")
    return figure
