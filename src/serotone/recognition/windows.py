"""Windows over what is heard of a recording, as it comes; seconds of speech; how the answers of windows become one."""

from collections.abc import Iterable
from copy import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serotone.recognition.squeeze import Piece

TURN_PAUSE_SECONDS = 0.5
"""A longer pause ends a turn, and no window reaches over it: another emotion or voice may follow."""

PROBABILITY_FLOOR = 1e-7
"""Least probability that enters a mean of logarithms: float32 cannot tell 1 from 1 - 3e-8, so less says no more."""


class Window(NamedTuple):
    """The pieces that the graph hears at once, in order.

    ``speech`` is how many samples of speech it is the first to hear: each second of speech counts once.
    """

    pieces: tuple[Piece, ...]
    speech: int

    @property
    def start(self) -> int:
        """Where in the recording it begins, in samples."""
        return self.pieces[0].start

    @property
    def stop(self) -> int:
        """The sample of the recording that follows it."""
        return self.pieces[-1].stop

    @property
    def samples(self) -> NDArray[np.float32]:
        """What the graph hears, (T,): the pieces, joined."""
        return np.concatenate([piece.samples for piece in self.pieces])

    def without(self, start: int, stop: int) -> NDArray[np.float32]:
        """The same but for what lies from ``start`` to ``stop`` in the recording, (T',)."""
        parts = [part for piece in self.pieces for part in (piece.until(start), piece.since(stop))]
        return np.concatenate([part.samples for part in parts])


class Cutter:
    """Cuts what is heard into windows: one ends every ``hop`` samples of a turn, and one with the turn.

    A window looks back ``length`` samples, or to where its turn began. The first ends after ``least`` samples where
    that is more than a hop; a turn that ends before is heard with the end of the one before it. No window ends within
    the first ``least`` samples of all: turns that end there are heard with the next one.
    """

    def __init__(self, length: int, hop: int, least: int, pause: int) -> None:
        self._length, self._hop, self._least, self._pause = length, hop, least, pause
        self._pieces: list[Piece] = []  # as far as the next window may look back
        self._all = 0  # samples so far
        self._turn = self._cut = 0  # samples of this turn, and those of them that a window has heard
        self._speech = 0  # samples of speech that no window has heard

    def feed(self, pieces: Iterable[Piece]) -> list[Window]:
        """The windows that are whole now."""
        found = []
        for piece in pieces:
            found += self._append(piece)
            if self._turn >= max(self._cut + self._hop, self._least):
                found.append(self._window())
        return found

    def wait(self, place: int) -> list[Window]:
        """The window that ends with the turn, where nobody has spoken for so long that it is over; ``place`` is now."""
        return self.finish() if self._over(place) and self._all >= self._least else []

    def finish(self) -> list[Window]:
        """The window that ends with the turn, where it has speech that no other has heard."""
        found = [self._window()] if self._speech else []
        self._turn = self._cut = 0
        return found

    def ahead(self, pieces: Iterable[Piece], place: int) -> Window | None:
        """The window that would end with the turn after these further ``pieces``; None where it is over by ``place``.

        Its ``speech`` is what none of the windows that were cut has heard. Nothing is cut by it.
        """
        other = copy(self)
        other._pieces = self._pieces.copy()
        for piece in pieces:
            other._append(piece)
        return None if other._over(place) else other._window()

    def _append(self, piece: Piece) -> list[Window]:
        """Take in a piece; the window that ends with the turn before, where this one begins another."""
        found = self.wait(piece.start)
        self._pieces.append(piece)
        self._all += len(piece.samples)
        self._turn += len(piece.samples)
        self._speech += len(piece.samples) if piece.speech else 0
        return found

    def _over(self, place: int) -> bool:
        """Whether nobody has spoken for so long before ``place`` that the turn is over, or nobody yet."""
        return not self._pieces or place - self._pieces[-1].stop > self._pause

    def _window(self) -> Window:
        missing = min(max(self._turn, self._least), self._length)
        taken: list[Piece] = []
        for piece in reversed(self._pieces):
            if missing <= 0:
                break
            skip = max(0, len(piece.samples) - missing)
            taken.append(Piece(piece.start + skip, piece.samples[skip:], piece.speech))
            missing -= len(piece.samples)
        taken.reverse()
        self._pieces = taken.copy()
        speech, self._speech = self._speech, 0
        self._cut = self._turn
        return Window(tuple(taken), speech)


class Speech:
    """Seconds of speech in any stretch of a recording, as its pieces become known."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._starts: list[int] = []
        self._stops: list[int] = []

    def add(self, pieces: Iterable[Piece]) -> None:
        """Take in further pieces, in order."""
        for piece in pieces:
            if not piece.speech:
                continue
            if self._stops and self._stops[-1] == piece.start:
                self._stops[-1] = piece.stop
            else:
                self._starts.append(piece.start)
                self._stops.append(piece.stop)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes, about."""
        return 80 * len(self._starts)

    @property
    def total(self) -> float:
        """Seconds of speech in all."""
        return (sum(self._stops) - sum(self._starts)) / self._sample_rate

    def between(self, edges: NDArray[np.int64]) -> NDArray[np.float64]:
        """Seconds of speech (N - 1,) between neighbours of ``edges`` (N,), samples in ascending order."""
        starts, stops = np.array([0, *self._starts]), np.array([0, *self._stops])
        after = np.cumsum(stops - starts)
        known, count = np.column_stack([starts, stops]), np.column_stack([after - (stops - starts), after])
        return np.asarray(np.diff(np.interp(edges, known.ravel(), count.ravel())) / self._sample_rate, np.float64)


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
