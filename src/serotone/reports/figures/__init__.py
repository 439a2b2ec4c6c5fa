"""Arrays -> matplotlib figures for a report or a paper; nothing is read from disk, and only `save` writes.

Shares are given in [0, 1] and drawn in percent. NaN is a value that does not exist: it is drawn as absent and said to
be, never as 0. Colours are those of Okabe and Ito, or one hue from light to dark, and nothing depends on colour alone:
markers, hatches, line styles and printed values say it again. The same data give the same bytes.

Every function raises a MetricError where shapes do not fit or a value is out of its range, and importing this package
without matplotlib raises a MissingExtraError.
"""

from serotone.reports.figures.confusions import confusion, percent_confusion
from serotone.reports.figures.forest import intervals
from serotone.reports.figures.lines import curves, reliability, sweep
from serotone.reports.figures.plane import Panel, embedding_plane
from serotone.reports.figures.scores import neutral_share, recall_bars, speaker_scores
from serotone.reports.figures.style import save

__all__ = [
    "Panel",
    "confusion",
    "curves",
    "embedding_plane",
    "intervals",
    "neutral_share",
    "percent_confusion",
    "recall_bars",
    "reliability",
    "save",
    "speaker_scores",
    "sweep",
]
