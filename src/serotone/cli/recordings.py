"""Which recordings a command line means."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from serotone.errors import AudioError, AudioMissingError

STDIN = "-"

Found = tuple[str, AudioError | None]
"""The name of a recording to hear, or of a path where there is none and why."""


def find_recordings(paths: Iterable[str]) -> Iterator[Found]:
    """The recordings that the paths of a command line mean, in order; a folder's are sorted, hidden ones left out."""
    from serotone.audio import audio_in

    for path in paths:
        if not path:  # to Path it would be the folder that the command runs in
            yield path, AudioMissingError("a PATH is empty; give the path of a recording, or . for this folder")
            continue
        if path == STDIN or not Path(path).is_dir():
            yield path, None
            continue
        yield from audio_in(path)


def source_of(name: str) -> str | BinaryIO:
    """What to hear under a name of the command line."""
    if name != STDIN:
        return name
    if sys.stdin is None:
        raise AudioMissingError("-: standard input is closed; pipe a recording into it, or give a path")
    return sys.stdin.buffer
