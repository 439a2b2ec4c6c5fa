"""What a recogniser heard in a recording: all that an answer needs, whatever profile it is adapted to, and no audio."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serotone.recognition.windows import Meter


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """What the graph said to N windows of a recording.

    ``spans`` are their starts and stops in samples, ``weights`` (N,) their seconds of speech, ``probabilities`` (N, C),
    ``embedded`` the embeddings (N, D) where the bundle can be adapted; rows of weight 0 are zeros.
    """

    spans: list[tuple[int, int]]
    weights: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    embedded: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class Hearing:
    """What was heard in one recording: ``windows`` for its answer, ``segments`` for its timeline, or None."""

    name: str
    silent: bool
    warnings: tuple[str, ...]
    meter: Meter
    windows: Windows
    segments: Windows | None

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The embeddings (N, D) of the windows with speech; (0, 0) where there is none."""
        if self.windows.embedded is None:
            return np.zeros((0, 0), np.float32)
        return self.windows.embedded[self.windows.weights > 0]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes, about."""
        parts = [part for part in (self.windows, self.segments) if part is not None]
        arrays = [array for part in parts for array in (part.weights, part.probabilities, part.embedded)]
        return self.meter.nbytes + sum(array.nbytes for array in arrays if array is not None)
