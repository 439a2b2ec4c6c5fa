"""Points of a plane by class: what an embedding looks like in two dimensions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from serotone.errors import MetricError
from serotone.reports.figures.style import BLACK, COLOURS, MARKERS, WIDE, legend, names, new, note, style, wrapped


class Panel(NamedTuple):
    """One panel: points (N, 2), the place (N,) of each one's class among the labels, and its part.

    ``part`` is "train" or "test", one for all or (N,) of them. ``axes`` name the two directions, with their unit.
    Panels of one ``plane``, which is any name, show the same part of it.
    """

    title: str
    points: ArrayLike
    classes: ArrayLike
    part: str | Sequence[str]
    axes: tuple[str, str] = ("Component 1", "Component 2")
    plane: str = ""


_TRAIN: dict[str, Any] = {"s": 8, "alpha": 0.6, "edgecolor": BLACK, "linewidth": 0.2, "zorder": 2}
_TEST: dict[str, Any] = {"s": 18, "alpha": 0.9, "edgecolor": BLACK, "linewidth": 0.5, "zorder": 3}
_CENTRE: dict[str, Any] = {"s": 170, "facecolor": "none", "edgecolor": BLACK, "linewidth": 1.1, "zorder": 4}


@style()
def embedding_plane(panels: Sequence[Panel], labels: Sequence[str], *, title: str = "") -> Figure:
    """Points by class, two panels a row: test edged, train pale and small, the test's class centres large and hollow.

    Where a panel has no test its centres are those of train. Both axes of a panel have the same scale. A class without
    a point in a panel is named under the figure. Raises MetricError: there is no panel, shapes do not
    fit, a point is not finite, a class is none of the labels, a part is neither, or there are more than eleven labels.
    """
    names("labels", labels)
    if not panels:
        raise MetricError("no panel to draw; give at least one")
    if len(labels) > len(MARKERS):
        raise MetricError(f"{len(labels)} classes; {len(MARKERS)} can be told apart; merge some or leave some out")
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    side = 3.3 if columns == 2 else 4.2
    figure = new(WIDE if columns == 2 else side + 0.3, side * 0.94 * rows + 1.0)
    shown = [Panel(*panel) for panel in panels]
    checked = [_checked(panel, len(labels)) for panel in shown]
    missing, drawn = [], []
    for place, (panel, (points, classes, tests)) in enumerate(zip(shown, checked, strict=True)):
        axes: Any = figure.add_subplot(rows, columns, place + 1)
        for index in np.unique(classes):
            mine = classes == index
            look = {"marker": MARKERS[index], "facecolor": COLOURS[index]}
            pale, full = points[mine & ~tests], points[mine & tests]
            axes.scatter(*pale.T, **look, **_TRAIN)
            axes.scatter(*full.T, **look, **_TEST)
            centre = (full if len(full) else pale).mean(axis=0)[:, None]
            axes.scatter(*centre, marker=MARKERS[index], **_CENTRE)
        axes.set_title(wrapped(panel.title, 46))
        axes.set(xlabel=panel.axes[0], ylabel=panel.axes[1])
        axes.locator_params(nbins=6)
        axes.grid(True)
        drawn.append(axes)
        gone = [label for index, label in enumerate(labels) if index not in classes]
        if gone:
            missing.append(f"{', '.join(gone)} in {panel.title or f'panel {place + 1}'}")
    handles = [
        Line2D([], [], linestyle="none", marker=marker, color=colour, markeredgecolor="black", markeredgewidth=0.4)
        for marker, colour in zip(MARKERS, COLOURS, strict=True)
    ]
    legend(figure, handles[: len(labels)], labels, title=title)
    said = "Large and hollow: class centres. Small and pale: train; larger: test."
    note(figure, " ".join([said, *(f"Absent: {text}." for text in missing)]))
    figure.draw_without_rendering()  # arranges the panels, whose shape decides how much of a plane they can show
    for axes, panel, (points, _, _) in zip(drawn, shown, checked, strict=True):
        same = [found[0] for other, found in zip(shown, checked, strict=True) if other.plane == panel.plane != ""]
        _show(axes, np.concatenate(same or [points]))
    return figure


def _checked(panel: Panel, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (N, 2), classes (N,) and which of them are test (N,)."""
    points = np.asarray(panel.points, dtype=np.float64)
    classes = np.asarray(panel.classes)
    parts = np.full(len(points), panel.part) if isinstance(panel.part, str) else np.asarray(panel.part)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise MetricError(f"{panel.title}: points of shape {points.shape}; expected (N, 2) with N of at least 1")
    if classes.shape != (len(points),) or parts.shape != (len(points),):
        raise MetricError(
            f"{panel.title}: {len(points)} points, classes of shape {classes.shape} and parts of shape {parts.shape}; "
            "give one class and one part per point"
        )
    if not np.isfinite(points).all():
        raise MetricError(f"{panel.title}: a point is NaN or infinite; leave such points out and say so")
    if not np.issubdtype(classes.dtype, np.integer) or classes.min() < 0 or classes.max() >= size:
        raise MetricError(f"{panel.title}: classes {np.unique(classes).tolist()}; expected integers in [0, {size})")
    if not np.isin(parts, ["train", "test"]).all():
        raise MetricError(f"{panel.title}: parts {np.unique(parts).tolist()}; expected train or test")
    return points, classes, parts == "test"


def _show(axes: Any, points: np.ndarray) -> None:
    """Limits that hold the points with a margin, both axes at the same scale."""
    low, high = points.min(axis=0), points.max(axis=0)
    sides = np.array(axes.get_window_extent().size)
    half = sides * (float(((high - low) / sides).max()) or 1.0) * 0.54
    (left, bottom), (right, top) = (low + high) / 2 - half, (low + high) / 2 + half
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
