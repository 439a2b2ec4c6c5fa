"""Windows become segments.

The recording is cut into cells of half a second. A cell's answer is the mean of the log-probabilities of the windows
that cover it, each weighted by how close the cell lies to its middle: that averaging is the only smoothing. A cell with
less than a tenth of speech has no label. Neighbours with the same label are one segment, whose probabilities are their
speech-weighted mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from serotone.recognition.windows import Speech, pooled

CELL_SECONDS = 0.5

LEAST_SPEECH = 0.1
"""Share of a cell that must be speech for it to have a label."""

LEAST_WEIGHT = 0.05
"""Weight of a window at its edges, where 1 is that at its middle."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples ``start`` to ``stop``, their seconds of speech and their probabilities (C,), None without speech."""

    start: int
    stop: int
    speech_seconds: float
    probabilities: NDArray[np.float64] | None

    @property
    def answer(self) -> int | None:
        """Index of the most probable class."""
        return None if self.probabilities is None else int(self.probabilities.argmax())


def stretches(
    spans: Sequence[tuple[int, int]],
    probabilities: NDArray[np.floating],
    speech: Speech,
    *,
    total: int,
    sample_rate: int,
) -> list[Stretch]:
    """Merged stretches that cover a recording of ``total`` samples without gaps, from its windows.

    ``spans`` are the N windows in samples, in order, ``probabilities`` (N, C) their answers.
    """
    cell = round(CELL_SECONDS * sample_rate)
    edges = np.append(np.arange(0, total, cell), total)
    starts, stops = np.array(spans, np.int64).reshape(-1, 2).T
    cells = []
    for start, stop, seconds in zip(edges[:-1].tolist(), edges[1:].tolist(), speech.between(edges).tolist()):
        first, last = np.searchsorted(stops, start, "right"), np.searchsorted(starts, stop, "left")
        heard = slice(int(first), int(last))
        silent = seconds * sample_rate < LEAST_SPEECH * (stop - start) or first >= last
        weights = _closeness((start + stop) / 2, starts[heard], stops[heard])
        cells.append(Stretch(start, stop, seconds, None if silent else pooled(probabilities[heard], weights)))
    return [_merge(list(group)) for _, group in groupby(cells, key=lambda cell: cell.answer)]


def _closeness(place: float, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.float64]:
    """How close a place is to the middle of windows (N,): 1 there, `LEAST_WEIGHT` at their edges and beyond."""
    lengths = np.maximum(stops - starts, 1)
    return np.asarray(np.maximum(1 - np.abs(2 * place - starts - stops) / lengths, LEAST_WEIGHT), np.float64)


def _merge(cells: Sequence[Stretch]) -> Stretch:
    """One stretch from neighbours with the same answer."""
    rows = [cell.probabilities for cell in cells if cell.probabilities is not None]
    weights = np.array([cell.speech_seconds for cell in cells])
    return Stretch(
        cells[0].start,
        cells[-1].stop,
        float(weights.sum()),
        pooled(np.stack(rows), weights) if rows else None,
    )
