"""What a recogniser answers: one prediction per recording, and its segments where a timeline was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from serotone.errors import MissingExtraError

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = 1
"""Version of the JSON form; new keys may join it, none changes its meaning."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a recording with one answer: ``start`` and ``end`` in seconds, ``label`` None without speech."""

    start: float
    end: float
    label: str | None
    probabilities: Mapping[str, float]
    confidence: float
    uncertain: bool
    speech_seconds: float

    def to_dict(self) -> dict[str, object]:
        """The segment as JSON holds it."""
        return {
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "label": self.label,
            "confidence": self.confidence,
            "uncertain": self.uncertain,
            "probabilities": dict(self.probabilities),
            "speech_seconds": round(self.speech_seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one recording.

    ``label`` is the most probable emotion and ``confidence`` its probability. Where there is no speech nothing is made
    up: ``label`` is None, ``probabilities`` is empty, ``confidence`` 0 and ``reason`` says why. ``uncertain`` marks an
    answer below the bundle's threshold, or none; ``reason`` says why then too, and is None otherwise. ``windows`` is 1
    for a recording that went through whole, and the number of windows averaged for a longer one. ``bundle`` is the
    recogniser's name and version. ``profile`` is None for an answer that depends on the recording and the bundle
    alone; an adapted one has the profile's ``name`` and ``count``, and the ``speaker`` whose own statistics it used,
    or None.
    ``segments`` is empty unless a timeline was asked for. ``shares`` has the share of the speech that each emotion has
    over time, the largest first; it is empty where a clip went through whole and no timeline was asked for.
    ``channel`` is the one that was heard, 0 the first, and None where all were. ``warnings`` says what was odd about
    the recording, ``notes`` what was done that is not odd, such as channels that were mixed. Predictions can be
    pickled, compared and shared between threads.
    """

    name: str
    label: str | None
    probabilities: Mapping[str, float]
    confidence: float
    uncertain: bool
    reason: str | None
    speech_seconds: float
    duration_seconds: float
    windows: int
    warnings: tuple[str, ...]
    bundle: str
    segments: tuple[Segment, ...] = ()
    profile: Mapping[str, object] | None = None
    channel: int | None = None
    notes: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What people call it: the name, and the channel where one was heard."""
        return self.name if self.channel is None else f"{self.name}, channel {self.channel}"

    @property
    def adaptation(self) -> str:
        """``adapted to office, count 6, then to the speaker anna``; empty for a plain answer."""
        if self.profile is None:
            return ""
        speaker = "" if self.profile["speaker"] is None else f", then to the speaker {self.profile['speaker']}"
        return f"adapted to {self.profile['name']}, count {self.profile['count']}{speaker}"

    def to_dict(self) -> dict[str, object]:
        """The prediction as JSON holds it; documented in ``docs/prediction.md``."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "label": self.label,
            "confidence": self.confidence,
            "uncertain": self.uncertain,
            "reason": self.reason,
            "probabilities": dict(self.probabilities),
            "speech_seconds": round(self.speech_seconds, 3),
            "duration_seconds": round(self.duration_seconds, 3),
            "windows": self.windows,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "bundle": self.bundle,
            "channel": self.channel,
            "profile": None if self.profile is None else dict(self.profile),
            "shares": dict(self.shares),
            "segments": [segment.to_dict() for segment in self.segments],
        }

    def to_pandas(self) -> "DataFrame":
        """The segments as a table: a row for each, empty without a timeline.

        The columns are those of the CSV file that ``serotone predict --timeline`` writes; without speech, those of
        probabilities are left out.
        What is unknown is missing (None or NaN).

        Raises MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("to_pandas", "pandas") from error
        from serotone.recognition.rows import columns, rows

        found = rows(self, timeline=True)
        labels = dict.fromkeys(label for segment in self.segments for label in segment.probabilities)
        return pandas.DataFrame(found, columns=columns(list(labels), timeline=True))
