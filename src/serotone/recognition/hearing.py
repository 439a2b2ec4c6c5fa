"""What a recogniser heard in a recording: all that an answer needs, whatever profile it is adapted to, and no audio."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from serotone.recognition.bundle import Bundle
from serotone.recognition.levels import LevelDetector
from serotone.recognition.squeeze import Piece, Squeezer
from serotone.recognition.vad import SpeechDetector
from serotone.recognition.windows import TURN_PAUSE_SECONDS, Cutter, Speech, Window

Graph = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32] | None]]
"""From a waveform (T,) to its probabilities (C,), and its embedding (D,) where the graph gives one."""

STEP_SECONDS = 10
"""What goes through the detector in one piece: enough to be fast, and little to hold in memory."""


class Sound(Protocol):
    """Mono float32 blocks (T,) at one rate, and what is known of their source once they have been taken.

    `serotone.audio.Blocks` is one.
    """

    @property
    def name(self) -> str:
        """What the source is called in messages."""

    @property
    def silent(self) -> bool:
        """Whether every sample is exactly zero."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the source."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done that is not odd."""

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """The blocks, once."""


class Row(NamedTuple):
    """What the graph said to a stretch of a recording, from ``start`` to ``stop`` in samples.

    ``weight`` is how many seconds of speech it is the first to hear.
    """

    start: int
    stop: int
    weight: float
    probabilities: NDArray[np.floating]
    embedding: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class Hearing:
    """What was heard in one recording of ``total`` samples.

    ``whole`` is what the graph said to all of its speech at once, None where there is more than the bundle takes, or
    none. ``rows`` are its windows, for the answer where there is no ``whole`` and for the timeline; None where nobody
    needs them. ``timeline`` says that they were asked for. ``kept`` is how many samples were heard, pauses shortened.
    ``profile`` names the profile that the probabilities are adapted to already, if any. ``notes`` and ``channel`` are
    those of `Prediction`. ``begin`` is where in its source, in seconds, the recording begins; samples count from there.
    ``bundle`` is the SHA-256 of the bundle that heard it, whose answers it holds.
    """

    name: str
    silent: bool
    warnings: tuple[str, ...]
    total: int
    speech: Speech
    silence: str
    whole: Row | None
    rows: tuple[Row, ...] | None
    timeline: bool
    kept: int
    profile: Mapping[str, object] | None = None
    notes: tuple[str, ...] = ()
    channel: int | None = None
    begin: float = 0.0
    bundle: str | None = None

    @property
    def answering(self) -> Sequence[Row]:
        """What the answer to the recording is made from."""
        return (self.whole,) if self.whole is not None else self.rows or ()

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The embeddings (N, D) of what the answer is made from; (0, 0) where there are none."""
        found = [row.embedding for row in self.answering if row.embedding is not None]
        return np.stack(found) if found else np.zeros((0, 0), np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes, about."""
        rows = [*([self.whole] if self.whole else []), *(self.rows or ())]
        arrays = [array for row in rows for array in (row.probabilities, row.embedding) if array is not None]
        return self.speech.nbytes + sum(array.nbytes for array in arrays)


def all_of_it(row: Row) -> Row:
    """The row as it is."""
    return row


def without_embedding(row: Row) -> Row:
    """The row without its embedding, so that it cannot be adapted any more."""
    return row._replace(embedding=None)


class Listener:
    """Hears a recording as it comes: the one path of clips, long recordings, timelines and microphones.

    What is heard of a recording goes through the graph at once where it is no longer than the bundle's ``max_seconds``,
    and in windows where it is longer, or where ``windows`` asks for them. What is heard is speech, its pauses
    shortened; a bundle without a detector of speech was trained on whole clips, and hears those of up to
    ``max_seconds`` whole. Memory holds twice ``max_seconds`` of audio at most, and of each window what ``keep`` makes
    of its row: an hour of embeddings takes tens of megabytes.
    """

    def __init__(self, bundle: Bundle, graph: Graph, *, windows: bool, keep: Callable[[Row], Row] = all_of_it) -> None:
        rate = bundle.sample_rate
        self._bundle, self._graph, self._windows, self._keep = bundle, graph, windows, keep
        self._least, self._most = round(bundle.min_seconds * rate), round(bundle.max_seconds * rate)
        detector = SpeechDetector() if bundle.speech == "silero" else LevelDetector(rate)
        self.silence = detector.silence
        self._squeezer = Squeezer(detector, rate, least=self._least)
        self._cutter = self._new_cutter()
        self._speech = Speech(rate)
        self._whole: list[Piece] | None = []  # until it is too long to go through at once
        self._clip: list[NDArray[np.float32]] | None = None if bundle.speech else []  # as such a bundle was trained
        self._size = 0
        self._waiting: list[Window] = []
        self._rows: list[Row] = []

    @property
    def total(self) -> int:
        """Samples so far."""
        return self._squeezer.total

    def feed(self, samples: NDArray[np.float32]) -> list[Row]:
        """What the graph says to the windows that are whole now; ``samples`` is (T,) mono, at the bundle's rate."""
        step = STEP_SECONDS * self._bundle.sample_rate
        found: list[Row] = []
        if self.total + len(samples) > self._most:
            self._clip = None
        elif self._clip is not None:
            self._clip.append(samples.copy())
        for first in range(0, len(samples), step):
            found += self._take(self._squeezer.feed(samples[first : first + step]))
        return found

    @property
    def opening(self) -> bool:
        """Whether the first half second of sound is still being read, of which nothing is known before it is whole."""
        return self._squeezer.opening

    def now(self) -> Row | None:
        """What the graph says to the turn that goes on, as if the recording ended here; None where nobody speaks.

        It changes nothing that is heard. Its weight is how many seconds of speech no window has heard so far.
        """
        window = self._cutter.ahead(self._squeezer.ahead(), self._squeezer.total)
        return None if window is None else self.row(window)

    def finish(self, name: str, *, silent: bool, warnings: tuple[str, ...] = ()) -> tuple[list[Row], Hearing]:
        """What the graph says to the last windows, and all that was heard."""
        last = self._squeezer.finish()
        self._add(last)
        whole = None
        if self._whole:
            # What joins a short recording at its end may lie before the rest.
            pieces = sorted(self._whole, key=lambda piece: piece.start)
            if not self._rows and not self._waiting:
                self._cutter, last = self._new_cutter(), pieces
            window = _joined(pieces)
            if self._clip is not None:
                self._size = self.total
                window = window._replace(pieces=(Piece(0, np.concatenate(self._clip), speech=True),))
            whole = self.row(window)
        self._waiting += self._cutter.feed(last) + self._cutter.finish()
        found = self._hear_waiting() if self._windows or self._whole is None else []
        rows = tuple(self._rows) if self._windows or self._whole is None else None
        heard = Hearing(
            name=name,
            silent=silent,
            warnings=warnings,
            total=self.total,
            speech=self._speech,
            silence=self.silence,
            whole=whole,
            rows=rows,
            timeline=self._windows,
            kept=self._size,
            bundle=self._bundle.sha256,
        )
        return found, heard

    def _new_cutter(self) -> Cutter:
        bundle = self._bundle
        seconds = (bundle.window_seconds, bundle.hop_seconds, bundle.min_seconds, TURN_PAUSE_SECONDS)
        return Cutter(*(round(value * bundle.sample_rate) for value in seconds))

    def _take(self, pieces: list[Piece]) -> list[Row]:
        self._add(pieces)
        self._waiting += self._cutter.feed(pieces)
        self._waiting += self._cutter.wait(self._squeezer.silent_until)
        return self._hear_waiting() if self._windows or self._whole is None else []

    def _add(self, pieces: list[Piece]) -> None:
        self._speech.add(pieces)
        self._size += sum(len(piece.samples) for piece in pieces)
        if self._whole is not None:
            self._whole = self._whole + pieces if self._size <= self._most else None

    def _hear_waiting(self) -> list[Row]:
        # One at a time: a batch was no faster on one thread.
        found = [self.row(window) for window in self._waiting]
        self._waiting = []
        self._rows += map(self._keep, found)
        return found

    def row(self, window: Window) -> Row:
        """What the graph says to a window."""
        samples = np.pad(window.samples, (0, max(0, self._least - len(window.samples))))
        probabilities, embedding = self._graph(samples)
        return Row(window.start, window.stop, window.speech / self._bundle.sample_rate, probabilities, embedding)


def _joined(pieces: list[Piece]) -> Window:
    """All of the pieces as one window."""
    speech = sum(len(piece.samples) for piece in pieces if piece.speech)
    return Window(tuple(pieces), speech)
