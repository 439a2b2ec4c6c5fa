"""Coloured cells with their value in print: what matrices and crowded comparisons are drawn with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from serotone.reports.figures.style import GREY, SEQUENTIAL, SMALL, TINY


def cells(
    axes: Any,
    values: NDArray[np.float64],
    texts: NDArray[Any],
    small: NDArray[Any] | None = None,
    *,
    absent: str = "",
    bare: NDArray[np.bool_] | None = None,
    size: float = 7.5,
) -> None:
    """Draw values (R, C) in [0, 1], NaN absent, as cells [c, c + 1] x [r, r + 1], the first row on top.

    ``texts`` and ``small`` (R, C) are printed in the cells. An absent cell is hatched, unless ``bare`` (R, C) says that
    it is not; a row without any value says ``absent`` instead.
    """
    rows, columns = values.shape
    hatched = np.isnan(values) if bare is None else np.isnan(values) & ~bare
    for row, column in np.ndindex(rows, columns):
        share = values[row, column]
        face = "white" if np.isnan(share) else SEQUENTIAL(float(share))
        hatch = "/////" if hatched[row, column] else None
        edge = "#CCCCCC" if np.isnan(share) else "#E5E5E5"
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor=edge, hatch=hatch, linewidth=0.5))
        ink = "black" if np.isnan(share) else _ink(SEQUENTIAL(float(share)))
        below = small is not None and bool(small[row, column])
        place = column + 0.5, row + (0.38 if below else 0.5)
        axes.text(*place, texts[row, column], ha="center", va="center", color=ink, fontsize=size)
        if small is not None and below:
            lower = column + 0.5, row + 0.76
            axes.text(*lower, small[row, column], ha="center", va="center", color=ink, fontsize=TINY)
    for row in np.flatnonzero(np.isnan(values).all(axis=1)) if absent else ():
        axes.text(
            columns / 2,
            row + 0.5,
            absent,
            ha="center",
            va="center",
            color=GREY,
            fontsize=SMALL,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def name_columns(axes: Any, labels: Sequence[str], cell: float, *, first: float = 0.5) -> None:
    """Name columns ``cell`` inches wide and centred at first, first + 1, ...; on a slant where a name is wider."""
    slanted = max(len(label) for label in labels) * 0.062 > cell - 0.04
    turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(np.arange(len(labels)) + first, labels, **turned)


def _ink(face: tuple[float, float, float, float]) -> str:
    """Black or white, whichever stands out more from this colour (WCAG 2, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in face[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"
