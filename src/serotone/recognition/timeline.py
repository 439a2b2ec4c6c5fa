"""Windows become segments.

The recording is cut into cells one hop long. A cell's answer is the mean of the log-probabilities of the windows that
cover it, each weighted by its speech and by how much of the cell it covers: that averaging is the only smoothing. A
cell with less than a tenth of speech has no label. Neighbours with the same label are one segment, whose
probabilities are their speech-weighted mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from serotone.recognition.windows import Meter, pooled

LEAST_SPEECH = 0.1
"""Share of a cell that must be speech for it to have a label."""


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
    probabilities: NDArray[np.float32],
    weights: NDArray[np.float64],
    meter: Meter,
    *,
    hop: int,
    sample_rate: int,
) -> list[Stretch]:
    """Merged stretches that cover a recording without gaps, from its windows.

    ``spans`` are the N windows in samples, ``probabilities`` (N, C) their answers and ``weights`` (N,) their seconds of
    speech; rows of weight 0 are not looked at.
    """
    edges = np.array(spans)
    total = meter.total
    cells = []
    for start in range(0, total, hop):
        stop = min(start + hop, total)
        speech = meter.seconds(start, stop)
        overlap = np.minimum(edges[:, 1], stop) - np.maximum(edges[:, 0], start)
        weight = np.maximum(overlap, 0) * weights
        heard = weight > 0
        silent = speech * sample_rate < LEAST_SPEECH * (stop - start) or not heard.any()
        cells.append(Stretch(start, stop, speech, None if silent else pooled(probabilities[heard], weight[heard])))
    return [_merge(list(group)) for _, group in groupby(cells, key=lambda cell: cell.answer)]


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
