"""One look for every figure: sizes, colours, markers, legends, notes, and how a figure is saved.

Colours: M. Okabe and K. Ito, Color universal design, 2008; three more stand behind them for more than eight classes.
The state of matplotlib is set only while a figure is made or saved, and pyplot is never imported.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from serotone.files import write_whole

WIDE = 7.2
"""Inches; the width of a page's text, which no figure exceeds unless its rows or columns force it to."""

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PINK = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW, BLACK, "#882255", "#999933", "#888888", "#664400")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
LINES = ("-", "--", "-.", ":")
GREY = "#595959"
SMALL, TINY = 6.5, 5.5
"""Points; the sizes of print below the usual 8."""

SEQUENTIAL = LinearSegmentedColormap.from_list("serotone", ["#FFFFFF", "#C6DBEF", "#7DB8DA"])
"""One hue that gets darker, so that it reads the same in grey; black print stands out from all of it."""

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "legend.fontsize": 7,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "serotone",
}


@contextmanager
def look() -> Iterator[None]:
    """The look of every figure, whatever the user's own settings; also a decorator."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def new(width: float, height: float) -> Figure:
    """An empty figure of this size in inches that arranges its parts itself."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write a figure whole as ``<stem>.png``, at 150 dots per inch, and ``<stem>.svg``; returns both paths.

    Neither file holds a date, and the SVG holds its letters as shapes: both look the same everywhere.
    """
    png, svg = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "svg"))  # a stem may hold dots
    with look():
        write_whole(png, lambda path: figure.savefig(path, format="png", dpi=150, metadata={"Software": None}))
        about = {"Date": None, "Creator": "serotone"}
        write_whole(svg, lambda path: figure.savefig(path, format="svg", metadata=about))
    return png, svg


def wrapped(text: str, width: int) -> str:
    """The text in lines of at most ``width`` letters, broken between words or after one of ``-_/`` in a name."""
    if len(text) <= width:
        return text
    lines = textwrap.wrap(re.sub("([-_/])", "\\1 \u200b", text), width, break_on_hyphens=False)
    return "\n".join(line.replace(" \u200b", "").replace("\u200b", "") for line in lines)


def legend(figure: Figure, names: Mapping[str, Line2D], *, title: str = "") -> None:
    """A title and a legend above the axes, in as many columns as the figure is wide for."""
    texts = [wrapped(name, 44) for name in names]
    longest = max(len(line) for text in texts for line in text.split("\n"))
    columns = max(1, min(len(texts), int((figure.get_figwidth() - 0.2) / (longest * 0.056 + 0.4))))
    columns = -(-len(texts) // -(-len(texts) // columns))  # rows of even length
    place: dict[str, Any] = {"loc": "outside upper left", "alignment": "left", "columnspacing": 1.2}
    shown = fitted(title, figure) if title else None
    made = figure.legend(list(names.values()), texts, title=shown, ncols=columns, handlelength=1.8, **place)
    made.get_title().set_fontweight("bold")


def note(figure: Figure, text: str) -> None:
    """A line of small print below everything."""
    width = max(20, int(figure.get_figwidth() / 0.051))
    made = figure.legend([], [], loc="outside lower left", title="\n".join(textwrap.wrap(text, width)), borderpad=0)
    made.get_title().set(fontsize=SMALL, color=GREY)


def fitted(title: str, figure: Figure) -> str:
    """The title of a figure in lines that are no wider than it."""
    return wrapped(title, max(12, int(figure.get_figwidth() / 0.078)))
