"""Points of a plane by class: what an embedding looks like in two dimensions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from serotone.reports.figures import style

_LOOKS: Mapping[str, dict[str, Any]] = {
    "train": {"s": 8, "alpha": 0.6, "edgecolor": style.BLACK, "linewidth": 0.2, "zorder": 2},
    "test": {"s": 18, "alpha": 0.9, "edgecolor": style.BLACK, "linewidth": 0.5, "zorder": 3},
}
_CENTRE: dict[str, Any] = {"s": 170, "facecolor": "none", "edgecolor": style.BLACK, "linewidth": 1.1, "zorder": 4}


@style.look()
def embedding_plane(
    points: Mapping[str, NDArray[np.float64]],
    classes: Mapping[str, NDArray[np.int64]],
    labels: Sequence[str],
    axes_titles: Sequence[str],
    *,
    title: str,
) -> Figure:
    """Points (N, 2) of the training and the test part next to each other, with the class (N,) of each.

    Class centres are large and hollow. Both panels show the same section of the plane, and both axes have the same
    scale. A class without a point in a panel is named under the figure.
    """
    figure = style.new(style.WIDE, 4.1)
    panels = figure.subplots(1, 2)
    notes = ["Large and hollow: class centres."]
    for axes, (part, look) in zip(panels, _LOOKS.items(), strict=True):
        for index in np.unique(classes[part]):
            of = points[part][classes[part] == index]
            axes.scatter(*of.T, marker=style.MARKERS[index], facecolor=style.COLOURS[index], **look)
            axes.scatter(*of.mean(axis=0)[:, None], marker=style.MARKERS[index], **_CENTRE)
        axes.set(title="Training part" if part == "train" else "Test part")
        axes.set(xlabel=axes_titles[0], ylabel=axes_titles[1])
        axes.locator_params(nbins=6)
        axes.grid(True)
        if gone := [label for index, label in enumerate(labels) if index not in classes[part]]:
            notes.append(f"Absent from the {part} part: {', '.join(gone)}.")
    edge: dict[str, Any] = {"linestyle": "none", "markeredgecolor": style.BLACK, "markeredgewidth": 0.4}
    looks = zip(labels, style.MARKERS, style.COLOURS)
    names = {label: Line2D([], [], marker=marker, color=colour, **edge) for label, marker, colour in looks}
    style.legend(figure, names, title=title)
    style.note(figure, " ".join(notes))
    figure.draw_without_rendering()  # arranges the panels, whose shape decides how much of a plane they can show
    every = np.concatenate(list(points.values()))
    low, high = every.min(axis=0), every.max(axis=0)
    for axes in panels:
        sides = np.array(axes.get_window_extent().size)
        half = sides * (float(((high - low) / sides).max()) or 1.0) * 0.54
        (left, bottom), (right, top) = (low + high) / 2 - half, (low + high) / 2 + half
        axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    return figure
