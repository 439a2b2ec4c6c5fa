"""Live speech: audio in, in pieces of any size and at any rate; updates on the way, and a prediction at the end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
from numpy.typing import NDArray

from serotone.audio import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from serotone.audio.decoding import check_values, loudness_remarks, whole
from serotone.recognition.hearing import Listener, Row, without_embedding
from serotone.recognition.prediction import Prediction, Segment
from serotone.recognition.profile import LEAST_COUNT, ProfileBuilder, check_speaker

if TYPE_CHECKING:
    from serotone.recognition.recognizer import Recognizer

SHRINKAGE = 15.0
"""Weight, in windows, of the bundle's training data in the profile that grows: a few windows do not say much yet."""


UPDATE_SECONDS = 0.5
"""How often a stream says what it hears now: as often as a turn can end."""

LEAST_UPDATE_SECONDS = 0.1

LONGEST_UPDATE_SECONDS = 1e9
"""About thirty years; what is longer counts as this, so that it has a number of samples."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a stream hears: the ``segment`` of one window. ``profile`` is as in `Prediction`.

    Where it is ``final``, the window is one of those from which the timeline is made. Otherwise it says what the stream
    hears now, before it is known where the turn or a pause ends: the last words so far, answered as if they were all.
    Its label is None where nobody speaks now.
    """

    segment: Segment
    profile: dict[str, object] | None
    final: bool

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON: that of the segment, ``final`` and ``profile``."""
        return {"final": self.final, **self.segment.to_dict(), "profile": self.profile}


class Stream:
    """Hears live speech; `serotone.Recognizer.stream` makes one. Not to be shared between threads.

    Every ``every_seconds`` of the stream an update says what is heard now, at once; it is not final. Each window of the
    timeline has one that is, as soon as the window is known; the last windows are known only at the end, and their
    updates are in ``last_updates`` once `finish` has returned. The same audio gives the same updates and answers in
    whatever pieces it comes, and the same answers as the recording of it would.

    With ``adapt`` the stream has a profile of its own, a collection of the windows heard so far. From `LEAST_COUNT` of
    them on each further window is answered adapted to it, and the update says so. What was answered stays as it was.
    """

    def __init__(
        self,
        recognizer: "Recognizer",
        *,
        sample_rate: int,
        name: str,
        speaker: str | None,
        adapt: bool,
        every_seconds: float | None,
    ) -> None:
        check_speaker(speaker)
        bundle = recognizer.bundle
        sample_rate = whole("sample_rate", sample_rate)
        if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
            raise ValueError(f"sample_rate is {sample_rate}; expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz")
        if every_seconds is not None and not LEAST_UPDATE_SECONDS <= every_seconds < math.inf:
            raise ValueError(f"every_seconds is {every_seconds}; expected at least {LEAST_UPDATE_SECONDS}, or None")
        if adapt and recognizer.current_profile is not None:
            raise ValueError("this recogniser is adapted to a profile already; use a plain one, or adapt=False")
        self._recognizer, self._name, self._speaker, self._rate = recognizer, name, speaker, bundle.sample_rate
        self._adaptation = recognizer.adaptation() if adapt else None
        self._builder = ProfileBuilder("stream", bundle)  # under its own name, which may be longer than a profile's
        self._listener = Listener(bundle, recognizer.graph, windows=True, keep=without_embedding)
        self._source_rate, self._fed = sample_rate, 0
        self._resample = None
        if sample_rate != bundle.sample_rate:
            self._resample = soxr.ResampleStream(sample_rate, bundle.sample_rate, 1, dtype="float32", quality="HQ")
        self._every = None
        if every_seconds is not None:
            self._every = round(min(every_seconds, LONGEST_UPDATE_SECONDS) * bundle.sample_rate)
        self._profile: dict[str, object] | None = None  # what is said of the stream's own
        self._rows: list[Row] = []  # the windows of the timeline, answered
        self.last_updates: tuple[Update, ...] = ()
        self._silent, self._finished, self._peak = True, False, 0.0

    @property
    def seconds(self) -> float:
        """How much of the stream has been heard."""
        return self._listener.total / self._rate

    def feed(self, samples: NDArray[Any] | Sequence[float]) -> list[Update]:
        """The updates that are known now; ``samples`` is (T,) mono, floats of -1 to 1.

        Raises AudioNotFiniteError: a sample is NaN, infinite or far beyond audio.
        Raises ValueError: the array has two axes or holds integers, or the stream is finished.
        """
        if self._finished:
            raise ValueError("this stream is finished; make another one")
        samples = np.asarray(samples)
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise ValueError(
                f"samples are {samples.dtype} {samples.shape}; expected floats (T,) of one channel: "
                "divide integers by their full scale, such as 32768"
            )
        if len(samples):
            self._peak = max(self._peak, check_values(samples, self._name, self._fed, self._source_rate))
            self._fed += len(samples)
        mono = np.ascontiguousarray(samples, np.float32)
        return self._hear(mono if self._resample is None else self._resample.resample_chunk(mono))

    def finish(self) -> Prediction:
        """The answer to all of it, with its timeline; up to ``max_seconds`` of speech go through the graph at once.

        The updates that only the end gives are then in ``last_updates``. The answer warns of samples that are far too
        loud, such as integers given as floats.

        Raises ValueError: the stream is finished already.
        """
        if self._finished:
            raise ValueError("this stream is finished; make another one")
        updates: list[Update] = []
        if self._resample is not None:
            updates += self._hear(self._resample.resample_chunk(np.zeros(0, np.float32), last=True))
        self._finished = True
        warnings = tuple(loudness_remarks(self._peak))
        rows, hearing = self._listener.finish(self._name, silent=self._silent, warnings=warnings)
        self.last_updates = (*updates, *map(self._decided, rows))
        whole = None if hearing.whole is None else self._answered(hearing.whole)
        hearing = replace(hearing, rows=tuple(self._rows), whole=whole, profile=self._known())
        return self._recognizer.answer(hearing, speaker=self._speaker)

    def _hear(self, samples: NDArray[np.float32]) -> list[Update]:
        """Updates from samples at the bundle's rate, cut where one is due, so that each has heard the same."""
        found: list[Update] = []
        while len(samples):
            due = len(samples) if self._every is None else self._every - self._listener.total % self._every
            part, samples = np.split(samples, [due])
            self._silent = self._silent and not part.any()
            found += [self._decided(row) for row in self._listener.feed(part)]
            if self._every is not None and self._listener.total % self._every == 0 and not self._listener.opening:
                found.append(self._now(self._every / self._rate))
        return found

    def _decided(self, row: Row) -> Update:
        """The update of one window of the timeline, which joins the stream's own profile first."""
        if self._adaptation is not None and row.embedding is not None:
            self._builder.add(row.embedding[None])
            if self._builder.count >= LEAST_COUNT:
                self._profile = {"name": self._name, "count": self._builder.count, "speaker": None}
        answered = self._answered(row)
        self._rows.append(answered)
        return self._update(answered, final=True)

    def _now(self, every_seconds: float) -> Update:
        """The update of what is heard now."""
        row = self._listener.now()
        if row is not None:
            return self._update(self._answered(row), final=False)
        end = self.seconds
        return Update(Segment(end - every_seconds, end, None, {}, 0.0, True, 0.0), self._known(), final=False)

    def _update(self, row: Row, *, final: bool) -> Update:
        """The update of one window, answered already."""
        recognizer, known = self._recognizer, self._known()
        said = recognizer.named(np.asarray(row.probabilities, np.float64), recognizer.uncertain_below(known))
        segment = Segment(row.start / self._rate, row.stop / self._rate, *said, row.weight)
        return Update(segment, known, final)

    def _known(self) -> dict[str, object] | None:
        """The profile that answers are adapted to now."""
        return self._profile if self._adaptation is not None else self._recognizer.profile_for(self._speaker)

    def _answered(self, row: Row) -> Row:
        """What the graph said, adapted to the recogniser's profile or to the stream's own, where there is one yet."""
        if self._adaptation is None:
            return self._recognizer.answered(row, self._speaker)
        if self._profile is None or row.embedding is None:
            return without_embedding(row)
        answers = self._adaptation.probabilities(row.embedding[None], self._builder.profile(), shrinkage=SHRINKAGE)
        return row._replace(probabilities=answers[0], embedding=None)
