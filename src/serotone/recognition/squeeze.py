"""What of a recording is heard: speech with a margin on either side; the rest of every pause is left out.

A detector gives each block its probability of speech. Blocks of speech that lie close together are a phrase, and a
phrase counts when it holds enough of them. All of it is causal and decided block by block, so it makes no difference
in which pieces a recording comes. Training and recognition both hear through this module.
"""

from collections import deque
from collections.abc import Iterable
from copy import copy
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from serotone.recognition.vad import SAMPLE_RATE, SpeechDetector

SPEECH = 0.15
"""Probability from which on a block may be speech: whispers and sobs hardly reach more."""

SURE = 0.3
"""Probability from which on a block of ordinary speech lies."""

LEAST_SPEECH, LEAST_SURE = 8, 6
"""Blocks that a phrase must hold to count: sure ones, or so many that may be speech where nothing surer has come.

Music has a few of either, noise and hum none: ``benchmarks/speech_or_not.py``.
"""

MARGIN_SECONDS = 0.16
"""What is kept before speech and after it. A pause of twice as long is kept whole, a longer one shortened to that."""

PHRASE_PAUSE_SECONDS = 0.5
"""A longer pause ends a phrase."""

PATIENCE_SECONDS = 2.0
"""How long blocks that may be speech wait for surer ones before they are taken for a whisper."""


FAINT_DB = 50.0
"""Samples so far below the peak around them are no sound: a recording played quieter loses them to rounding."""

ONSET_SECONDS = 0.5
"""How much of a recording is read, from its first sample that is not zero, to know where its sound begins."""


class Detector(Protocol):
    """Tells speech in each block of a stream, as it arrives; in which pieces the stream comes makes no difference."""

    block: int
    """Samples of one block."""

    silence: str
    """What to tell a person where there is no speech."""

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probability of speech (N,) in each of the N blocks that are whole now; ``samples`` is (T,) mono."""
        ...

    def finish(self) -> NDArray[np.float32]:
        """The probability of the last block, which is not whole: (1,), or (0,) where nothing is left over."""
        ...


class Piece(NamedTuple):
    """A block of a recording, or part of one: ``samples`` (T,), where the first of them lies, whether it is speech."""

    start: int
    samples: NDArray[np.float32]
    speech: bool

    @property
    def stop(self) -> int:
        """The sample of the recording that follows it."""
        return self.start + len(self.samples)

    def until(self, place: int) -> "Piece":
        """What of it lies before ``place`` in the recording."""
        return self._replace(samples=self.samples[: max(0, place - self.start)])

    def since(self, place: int) -> "Piece":
        """What of it lies at ``place`` in the recording, and after."""
        skip = max(0, place - self.start)
        return self._replace(start=self.start + skip, samples=self.samples[skip:])


class Squeezer:
    """The pieces of a stream that are heard, as they are known, in order.

    Blocks count from where its sound begins, so that digital silence before a recording changes nothing.
    A recording with speech keeps at least ``least`` samples, where it has so many: what lies around the speech joins it
    at the end.
    """

    def __init__(self, detector: Detector, sample_rate: int, *, least: int = 0) -> None:
        seconds = detector.block / sample_rate
        self.total = 0
        self._detector = detector
        self._phrases = _Phrases(round(PHRASE_PAUSE_SECONDS / seconds), round(PATIENCE_SECONDS / seconds))
        margin = round(MARGIN_SECONDS / seconds)
        self._margin = margin * detector.block
        self._pauses = _Pauses(margin, least)
        self._waiting = np.zeros(0, np.float32)
        self._begun = False
        self._onset = np.zeros(0, np.float32)  # what there is until it has
        self._enough = round(ONSET_SECONDS * sample_rate)
        self.silent_until = 0
        """The sample up to which no further piece can begin, as of the last block in which nobody spoke."""

    @property
    def opening(self) -> bool:
        """Whether sound has come, and too little of it to know where it begins."""
        return len(self._onset) > 0

    def feed(self, samples: NDArray[np.float32]) -> list[Piece]:
        """What is known to be heard now; ``samples`` is (T,) mono."""
        self.total += len(samples)
        if not self._begun:
            samples = self._begin(samples)
        self._waiting = np.concatenate([self._waiting, samples])
        return self._pass_on(self._detector.feed(samples))

    def finish(self) -> list[Piece]:
        """What remains, at the end of the stream; pieces before the first one join it where it is short."""
        found = []
        if not self._begun and len(self._onset):
            self._waiting = self._from_onset()
            found += self._pass_on(self._detector.feed(self._waiting))
        found += self._pass_on(self._detector.finish())
        for block in self._phrases.finish():
            found += self._pauses.feed(block)
        return found + self._pauses.finish()

    def ahead(self) -> list[Piece]:
        """The pieces after those given out that would be heard if the stream ended with the last whole block.

        Nothing is decided by it: what comes next may still say otherwise.
        """
        return self._pauses.ahead(self._phrases.ahead())

    def _begin(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The samples from where the sound begins, once enough of them are there; until then none."""
        if not len(self._onset):
            samples = samples[int((samples != 0).argmax()) :] if samples.any() else samples[:0]
        self._onset = np.concatenate([self._onset, samples])
        return self._from_onset() if len(self._onset) >= self._enough else samples[:0]

    def _from_onset(self) -> NDArray[np.float32]:
        """What is held back, from its first sound on: within `FAINT_DB` of the peak of the first half second."""
        held, self._onset, self._begun = self._onset, self._onset[:0], True
        first, _ = _sound([held[: self._enough]])
        return held[first:]

    def _pass_on(self, probabilities: NDArray[np.float32]) -> list[Piece]:
        block, start = self._detector.block, self.total - len(self._waiting)
        found = []
        for number, probability in enumerate(probabilities.tolist()):
            samples = self._waiting[number * block : (number + 1) * block]
            for piece in self._phrases.feed(Piece(start + number * block, samples, False), probability):
                found += self._pauses.feed(piece)
            if not self._phrases.waiting and not self._pauses.speaking:
                # What comes may be speech, with this margin before it.
                self.silent_until = start + (number + 1) * block - self._margin
        self._waiting = self._waiting[len(probabilities) * block :].copy()
        return found


class _Phrases:
    """Says of each block whether it is speech: it waits where a phrase may have begun, until it counts or has ended.

    In a phrase of ordinary speech the sure blocks are speech. Until such a phrase has come, one of blocks that only may
    be speech counts, too: whispers and sobs; where the recording has more than those, they are what lies around speech.
    """

    def __init__(self, pause: int, patience: int) -> None:
        self._pause, self._patience = pause, patience
        self._held: list[tuple[Piece, float]] = []
        self._threshold: float | None = None  # from which on a block of this phrase is speech; None: not decided
        self._ordinary = False  # whether a phrase of sure blocks has come
        self._faint = self._sure = self._silent = 0

    @property
    def waiting(self) -> bool:
        """Whether blocks wait for what follows."""
        return bool(self._held)

    def feed(self, block: Piece, probability: float) -> list[Piece]:
        """The blocks that are decided now, in order."""
        self._held.append((block, probability))
        self._faint += probability >= SPEECH
        self._sure += probability >= SURE
        self._silent = 0 if probability >= (self._threshold or SPEECH) else self._silent + 1
        ended = self._silent > self._pause
        waited = ended or self._faint == 0 or len(self._held) > self._patience
        if self._sure >= LEAST_SURE:
            self._threshold, self._ordinary = SURE, True
        elif self._threshold is None and waited:
            self._threshold = self._whisper()
        found = self._release() if self._threshold is not None or waited else []
        if ended:
            self._threshold, self._faint, self._sure = None, 0, 0
        return found

    def finish(self) -> list[Piece]:
        """The blocks of a phrase that the end of the stream decides."""
        self._threshold = self._threshold or self._whisper()
        return self._release()

    def ahead(self) -> list[Piece]:
        """The same blocks as they look now, undecided."""
        return self._judge(self._threshold or self._whisper())

    def _whisper(self) -> float | None:
        return SPEECH if self._faint >= LEAST_SPEECH and not self._ordinary else None

    def _release(self) -> list[Piece]:
        blocks, self._held = self._judge(self._threshold), []
        return blocks

    def _judge(self, threshold: float | None) -> list[Piece]:
        least = 2.0 if threshold is None else threshold
        return [block._replace(speech=probability >= least) for block, probability in self._held]


class _Pauses:
    """Leaves out what lies further from speech than the margin, and digital silence next to what it leaves out."""

    def __init__(self, margin: int, least: int) -> None:
        self._margin = margin
        self._least = least
        self._kept = 0
        self._speech: Piece | None = None  # the last block of speech, until it is known what follows
        self._pause: deque[Piece] = deque()  # the blocks after it
        self._left: list[Piece] = []  # what was left out since, as far as `least` samples may need it
        self._before: list[Piece] = []  # the same of what came before the first speech

    @property
    def speaking(self) -> bool:
        """Whether speech goes on, or a pause that may turn out to be short."""
        return self._speech is not None

    def feed(self, block: Piece) -> list[Piece]:
        """The pieces that are kept for certain now."""
        if block.speech:
            return self._go_on(block)
        self._pause.append(block)
        if self._speech is None:
            self._leave_out(self._margin)
        elif len(self._pause) > 2 * self._margin:
            return self._close()
        return []

    def finish(self) -> list[Piece]:
        """The last stretch, and what joins a recording that would be too short."""
        found = self._close() if self._speech is not None else []
        self._leave_out(0)
        missing = self._least - self._kept
        if not self._kept or missing <= 0:
            return found
        before, after = (sum(len(piece.samples) for piece in pieces) for pieces in (self._before, self._left))
        earlier = min(before, max(missing // 2, missing - after))
        return [*_last(self._before, earlier), *found, *_first(self._left, missing - earlier)]

    def ahead(self, blocks: Iterable[Piece]) -> list[Piece]:
        """The pieces that would be kept if the stream ended after these further ``blocks``."""
        other = copy(self)
        other._pause, other._left = self._pause.copy(), self._left.copy()
        found = [piece for block in blocks for piece in other.feed(block)]
        return found + (other._close() if other.speaking else [])

    def _go_on(self, block: Piece) -> list[Piece]:
        """A short pause is kept; a stretch that begins has a margin before it."""
        if self._speech is not None:
            stretch = [self._speech, *self._pause, block]
        else:
            stretch = _from_sound([*self._pause, block])
            if not self._kept:
                self._before = self._left
            self._left = []
        self._pause.clear()
        self._speech = stretch.pop()
        return self._keep(stretch)

    def _close(self) -> list[Piece]:
        """The end of a stretch: its last speech and the margin after it."""
        assert self._speech is not None
        margin = [self._pause.popleft() for _ in range(min(self._margin, len(self._pause)))]
        stretch, self._speech = _to_sound([self._speech, *margin]), None
        found = self._keep(stretch)
        self._leave_out(self._margin)
        return found

    def _keep(self, stretch: list[Piece]) -> list[Piece]:
        self._kept += sum(len(piece.samples) for piece in stretch)
        return stretch

    def _leave_out(self, but: int) -> None:
        """Leave out all but so many of the blocks that wait."""
        while len(self._pause) > but:
            self._left.append(self._pause.popleft())
        self._left = _first(self._left, self._least) if self._kept else _last(self._left, self._least)


def squeezed(samples: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """What of a clip is heard, joined, by Silero's detector; None without speech. ``samples`` are (T,) at 16 kHz."""
    squeezer = Squeezer(SpeechDetector(), SAMPLE_RATE)
    pieces = [*squeezer.feed(samples), *squeezer.finish()]
    return np.concatenate([piece.samples for piece in pieces]) if pieces else None


def _first(pieces: Iterable[Piece], count: int) -> list[Piece]:
    """The first ``count`` samples of pieces."""
    found = []
    for piece in pieces:
        if count > 0:
            found.append(piece._replace(samples=piece.samples[:count]))
            count -= len(piece.samples)
    return found


def _last(pieces: list[Piece], count: int) -> list[Piece]:
    """The last ``count`` samples of pieces."""
    found = []
    for piece in reversed(pieces):
        if count > 0:
            skip = max(0, len(piece.samples) - count)
            found.append(Piece(piece.start + skip, piece.samples[skip:], piece.speech))
            count -= len(piece.samples)
    return found[::-1]


def _from_sound(pieces: list[Piece]) -> list[Piece]:
    """Pieces without what is too faint at their beginning."""
    count = sum(len(piece.samples) for piece in pieces)
    return _last(pieces, count - _sound([piece.samples for piece in pieces])[0])


def _to_sound(pieces: list[Piece]) -> list[Piece]:
    """Pieces without what is too faint at their end."""
    return _first(pieces, _sound([piece.samples for piece in pieces])[1])


def _sound(parts: Iterable[NDArray[np.float32]]) -> tuple[int, int]:
    """Where the sound in joined ``parts`` begins and ends, in samples; (0, 0) where all of it is zero."""
    size = np.abs(np.concatenate(list(parts)))
    loud = np.flatnonzero(size > size.max(initial=0) * np.float32(10 ** (-FAINT_DB / 20)))
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, 0)
