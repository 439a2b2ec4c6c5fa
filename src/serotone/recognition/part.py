"""Which part of a recording is heard."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from serotone.audio import Source

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Part:
    """What of each recording is heard: from ``start`` to ``end`` in seconds, one ``channel`` or each of them apart."""

    start: float | None = None
    end: float | None = None
    channel: int | None = None
    apart: bool = False
    max_seconds: float | None = None
    strict: bool = False

    def terms(self) -> dict[str, object]:
        """What two commands must have in common for the one to go on with the other's file."""
        return {
            "--start": self.start,
            "--end": self.end,
            "--channel": self.channel,
            "--channels": self.apart or None,
            "--max-seconds": self.max_seconds,
            "--strict": self.strict,
        }

    def each(self, source: "Source", do: Callable[..., Answer], *, timeline: bool) -> list[Answer]:
        """What ``do``, a recogniser's ``hear`` or ``predict``, makes of a source: one answer, or one for each channel.

        Raises AudioError.
        """
        from serotone import audio  # which a command that is given wrong need not load

        channels: Iterable[int | None] = [self.channel]
        if self.apart:
            with audio.blocks(source) as opened:
                channels = range(opened.channels) if opened.channels > 1 else [None]
        return [
            do(
                source,
                timeline=timeline,
                max_seconds=self.max_seconds,
                strict=self.strict,
                start=self.start,
                end=self.end,
                channel=channel,
            )
            for channel in channels
        ]
