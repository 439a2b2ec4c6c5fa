"""The one windowing path: where windows lie, how much speech is in each, how their answers become one.

A frame of 20 ms counts as speech when its level is within 35 dB of the recording's loudest frame and above -70 dBFS.
That is a measure of energy, no detector of voices: noise and music count too. `serotone.recognition.vad` has one.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

FRAME_SECONDS = 0.02
RELATIVE_DB = 35.0
FLOOR_DBFS = -70.0

PROBABILITY_FLOOR = 1e-7
"""Least probability that enters a mean of logarithms: float32 cannot tell 1 from 1 - 3e-8, so less says no more."""


def spans(num_samples: int, window: int, hop: int) -> list[tuple[int, int]]:
    """Start and stop of each window, in samples: one every ``hop``, and a last one that ends with the recording.

    All are ``window`` long, so they can share a batch; a recording no longer than that is one span.

    >>> spans(10, window=4, hop=2)
    [(0, 4), (2, 6), (4, 8), (6, 10)]
    >>> spans(9, window=4, hop=4)
    [(0, 4), (4, 8), (5, 9)]
    >>> spans(3, window=4, hop=2)
    [(0, 3)]
    """
    if num_samples <= window:
        return [(0, num_samples)]
    starts = list(range(0, num_samples - window + 1, hop))
    if starts[-1] + window < num_samples:
        starts.append(num_samples - window)
    return [(start, start + window) for start in starts]


def widened(start: int, stop: int, least: int, total: int) -> tuple[int, int]:
    """The stretch, made ``least`` samples long about its middle where it is shorter, within 0 and ``total``.

    >>> widened(4, 6, 6, 100), widened(0, 2, 6, 100), widened(0, 2, 6, 3), widened(2, 90, 6, 100)
    ((2, 8), (0, 6), (0, 3), (2, 90))
    """
    length = min(max(stop - start, least), total)
    start = min(max(0, (start + stop - length) // 2), total - length)
    return start, start + length


class Meter(ABC):
    """Seconds of speech in any stretch of a recording, and where windows lie in it; how speech is told is a subclass's.

    ``edges`` (N + 1,) are samples in ascending order from 0 to the recording's end, ``speech`` (N,) how many samples
    between two of them are speech.
    """

    def __init__(self, edges: NDArray[np.int64], speech: NDArray[np.int64], sample_rate: int) -> None:
        self.total = int(edges[-1])
        self._sample_rate = sample_rate
        self._edges = edges
        self._speech = np.concatenate([[0], np.cumsum(speech)])

    def seconds(self, start: int = 0, stop: int | None = None) -> float:
        """Seconds of speech between two samples; the whole recording where none are given."""
        low, high = np.interp([start, self.total if stop is None else stop], self._edges, self._speech)
        return float(high - low) / self._sample_rate

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return self._edges.nbytes + self._speech.nbytes

    @property
    @abstractmethod
    def silence(self) -> str:
        """What to tell a person where there is no speech."""

    @abstractmethod
    def whole(self, least: int) -> tuple[int, int]:
        """Start and stop of what a recogniser hears of the recording where that goes through in one piece."""

    @abstractmethod
    def windows(self, window: int, hop: int, least: int) -> list[tuple[int, int]]:
        """Start and stop of the windows, in order, each ``least`` to ``window`` samples long or the whole recording."""


class SpeechMeter(Meter):
    """Speech by level: the measure of this module. All of a recording is heard, with its silence.

    ``samples`` is (T,) mono at ``sample_rate`` Hz; full scale is 1.
    """

    silence = f"no speech: nothing above {FLOOR_DBFS:g} dBFS"

    def __init__(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        frame = max(1, round(FRAME_SECONDS * sample_rate))
        whole = len(samples) // frame
        frames = samples[: whole * frame].reshape(whole, frame)
        frames = frames - frames.mean(axis=1, keepdims=True)
        power = (np.einsum("ij,ij->i", frames, frames) / frame).astype(np.float64)  # var() is four times as slow
        if rest := samples[whole * frame :].size:
            power = np.append(power, samples[-rest:].var(dtype=np.float64))
        loudest = power.max(initial=0.0)
        threshold = max(loudest * 10 ** (-RELATIVE_DB / 10), 10 ** (FLOOR_DBFS / 10))
        lengths = np.full(len(power), frame)
        lengths[whole:] = rest
        edges = np.concatenate([[0], np.cumsum(lengths)])
        super().__init__(edges, np.where(power >= threshold, lengths, 0), sample_rate)

    def whole(self, least: int) -> tuple[int, int]:
        """All of it."""
        return 0, self.total

    def windows(self, window: int, hop: int, least: int) -> list[tuple[int, int]]:
        """Windows over all of it, of equal length."""
        return spans(self.total, window, hop)


def pooled(probabilities: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted mean of logarithms of probabilities (N, C), renormalised: (C,), summing to 1.

    ``weights`` (N,) are not negative and not all zero.

    >>> pooled(np.array([[0.8, 0.2], [0.2, 0.8]], np.float32), np.array([1.0, 1.0])).round(3).tolist()
    [0.5, 0.5]
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), PROBABILITY_FLOOR))
    mean = weights @ logs / weights.sum()
    answer = np.exp(mean - mean.max())
    return np.asarray(answer / answer.sum(), np.float64)
