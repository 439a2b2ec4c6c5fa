"""What a worker is asked, and what it answers: plain data that travels as JSON between processes and machines."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from serotone.names import utf8
from serotone.recognition.part import Part


@dataclass(frozen=True, slots=True)
class Recording:
    """One thing to hear: ``source`` is an absolute path or a URL, ``start`` and ``end`` are seconds into it.

    ``problem`` is the kind and the message of an error that is known before anything is opened. ``place`` is the row of
    a manifest, or the folder, that gave it: what an error is filed under while there is nothing to hear at that place.
    """

    source: str
    start: float | None = None
    end: float | None = None
    problem: tuple[str, str] | None = None
    place: str | None = None

    @property
    def name(self) -> str:
        """The source, and for a stretch of it its seconds as a media fragment (W3C), such as ``a.wav#t=1.5,3``.

        Bytes that are no UTF-8 are written out in hexadecimal, because a table holds text.
        """
        if self.start is None and self.end is None:
            return utf8(self.source)
        return f"{utf8(self.source)}#t={self.start or 0:.12g}{'' if self.end is None else f',{self.end:.12g}'}"

    def to_json(self) -> str:
        """On one line."""
        return json.dumps([self.source, self.start, self.end])

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """What `to_json` wrote."""
        return cls(*json.loads(line))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a recording: its ``rows`` by column, or the kind of its ``error`` and a ``message``."""

    name: str
    rows: tuple[Mapping[str, object], ...] = ()
    error: str = ""
    message: str = ""

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """What `to_json` wrote."""
        fields = json.loads(line)
        return cls(**(fields | {"rows": tuple(fields["rows"])}))


@dataclass(frozen=True, slots=True)
class Terms:
    """How all recordings are answered.

    ``bundle`` is a shipped name or an absolute path, ``sha256`` its digest, ``profile`` the absolute path of one.
    ``time_limit`` is how many seconds a worker may take for one recording.
    """

    bundle: str
    sha256: str
    version: str
    timeline: bool = False
    embeddings: bool = False
    part: Part = field(default_factory=Part)
    profile: str | None = None
    time_limit: float = 3600.0

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """What `to_json` wrote."""
        fields = json.loads(line)
        return cls(**(fields | {"part": Part(**fields["part"])}))

    def part_of(self, recording: Recording) -> Part:
        """Which part of a recording is heard."""
        return replace(self.part, start=recording.start, end=recording.end)
