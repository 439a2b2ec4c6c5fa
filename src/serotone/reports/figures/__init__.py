"""Arrays -> matplotlib figures for a report or a paper; nothing is read from disk, and only `save` writes.

Shares are in [0, 1] and drawn in percent. NaN is a value that does not exist: the figure says so, and never draws it as
0. Colours are those of Okabe and Ito, or one hue from light to dark, and nothing depends on colour alone: markers, line
styles and printed values say it again. The same data give the same bytes.

Importing this package without matplotlib raises a MissingExtraError.
"""

from serotone.reports.figures.confusions import confusion, percent_confusion
from serotone.reports.figures.forest import intervals
from serotone.reports.figures.lines import curves, sweep
from serotone.reports.figures.plane import embedding_plane
from serotone.reports.figures.reliability import reliability
from serotone.reports.figures.style import save

__all__ = [
    "confusion",
    "curves",
    "embedding_plane",
    "intervals",
    "percent_confusion",
    "reliability",
    "save",
    "sweep",
]
