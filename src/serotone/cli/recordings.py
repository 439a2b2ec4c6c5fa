"""Which recordings a command line means, and which part of each is heard."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from serotone.errors import AudioError, AudioFormatError, AudioMissingError

STDIN = "-"

Answer = TypeVar("Answer")

Found = tuple[str, AudioError | None]
"""The name of a recording to hear, or of a path where there is none and why."""


def find_recordings(paths: Iterable[str]) -> Iterator[Found]:
    """The recordings that the paths of a command line mean, in order; a folder's are sorted, hidden ones left out."""
    from serotone.audio import AUDIO_SUFFIXES, scan_folder

    for path in paths:
        if not path:  # to Path it would be the folder that the command runs in
            yield path, AudioMissingError("a PATH is empty; give the path of a recording, or . for this folder")
            continue
        if path == STDIN or not Path(path).is_dir():
            yield path, None
            continue
        inside = scan_folder(path)
        if not inside.files and not inside.irregular:
            known = ", ".join(sorted(AUDIO_SUFFIXES))
            passed = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in inside.others.items())
            over = f" (passed over: {passed})" if passed else ""
            yield path, AudioMissingError(f"{path}: no audio in this folder{over}; expected files that end in {known}")
        found = dict.fromkeys(inside.files) | {name: _special(name) for name in inside.irregular}
        yield from sorted(found.items(), key=lambda item: item[0])


def _special(name: str) -> AudioError | None:
    """Why something irregular in a folder is not heard: a pipe, say, would be waited for, and nobody named it."""
    if not Path(name).exists():  # a link to nothing: hearing it says so
        return None
    return AudioFormatError(f"{name}: a pipe, socket or device; a folder's files are heard, name this one to hear it")


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

    def each(self, name: str, do: Callable[..., Answer], *, timeline: bool) -> list[Answer]:
        """What ``do``, a recogniser's ``hear`` or ``predict``, makes of what a name of the command line means.

        There is one answer, or one for each channel. Raises AudioError.
        """
        from serotone import audio

        source = source_of(name)
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


def source_of(name: str) -> str | BinaryIO:
    """What to hear under a name of the command line."""
    if name != STDIN:
        return name
    if sys.stdin is None:
        raise AudioMissingError("-: standard input is closed; pipe a recording into it, or give a path")
    return sys.stdin.buffer
