"""Which recordings a command line means."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from serotone.cli.messages import remark
from serotone.errors import AudioMissingError, SerotoneError

STDIN = "-"

Found = tuple[str, SerotoneError | None]
"""The name of a recording to hear, or of a path where there is none and why."""


def find_recordings(paths: Iterable[str]) -> Iterator[Found]:
    """The recordings that the paths of a command line mean, in order; a folder's are sorted, hidden ones left out."""
    from serotone.audio import audio_in

    for path in paths:
        if not path:  # to Path it would be the folder that the command runs in
            yield path, AudioMissingError("a PATH is empty; give the path of a recording, or . for this folder")
            continue
        if path == STDIN or not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where nobody may look
            yield path, None
            continue
        yield from audio_in(path, remark)


def read_once(name: str) -> bool:
    """Whether a recording can be read only once: standard input, or a pipe by its name."""
    if name == STDIN:
        return True
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def called(name: str) -> str:
    """What a recording that can be read only once is called in an error."""
    return "standard input" if name == STDIN else f"the pipe {name}"


def source_of(name: str) -> str | BinaryIO:
    """What to hear under a name of the command line."""
    if name != STDIN:
        return name
    if sys.stdin is None:
        raise AudioMissingError("-: standard input is closed; pipe a recording into it, or give a path")
    return sys.stdin.buffer
