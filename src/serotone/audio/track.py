"""What the readers of every format share: a file that never raises into a decoder, and an opened source."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from serotone.errors import AudioError

BLOCK_VALUES = 2**18  # float32 values decoded at a time, over all channels
UNKNOWN_FRAMES = 2**62


@dataclass
class Track:
    """An opened source: what it says of itself, and a way to its float32 blocks, (T, channels)."""

    rate: int
    frames: int | None  # None: unknown until decoded
    channels: int = 1
    blocks: Callable[[int, int | None], Iterator[NDArray[np.float32]]] = lambda first, last: iter(())
    slack: float = 0.0  # seconds by which `frames` may be off
    warnings: list[str] = field(default_factory=list)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Let what a source raises inside be an AudioError: files and tensors of the caller's may raise anything."""
    try:
        yield
    except AudioError:
        raise
    except Exception as error:
        raise reading_error(name, error) from error


def reading_error(name: str, error: Exception) -> AudioError:
    """The error of a source that raised one of its own while it was read."""
    words = " ".join(str(error).split())
    if not words or not isinstance(error, OSError | ValueError):
        words = f"{type(error).__name__}: {words}".removesuffix(": ")
    return AudioError(f"{name}: reading it failed: {words}")


class Input:
    """A seekable file that never raises into a decoder, and whose header can be corrected without copying it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._error: BaseException | None = None
        self._position = 0
        self._file_size = file.seek(0, io.SEEK_END)  # once, for a file of the caller's may raise anything there
        self.patches: list[tuple[int, bytes]] = []
        self.restore()

    def lead(self, prefix: bytes, skip: int) -> None:
        """Put ``prefix`` in the place of the first ``skip`` bytes."""
        self._prefix, self._skip = prefix, skip
        self.size = self._end - self._begin - skip + len(prefix)

    def restrict(self, begin: int, end: int) -> None:
        """Be only these bytes of the file, without any correction."""
        self._begin, self._end = begin, end
        self.patches = []
        self.lead(b"", 0)

    def restore(self) -> None:
        """Be the whole file, without any correction."""
        self.restrict(0, self._file_size)

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes from here on, corrections included; none where the file raises."""
        at = self._position
        end = self.size if size < 0 else min(at + size, self.size)
        data = bytearray(self._prefix[at:end])
        try:
            self._file.seek(self._begin + self._skip + max(at - len(self._prefix), 0))
            while len(data) < end - at and (more := self._file.read(end - at - len(data))):
                data += more
        except BaseException as error:  # also Ctrl-C: a decoder's callback would print and lose it; check() raises it
            self._error = error
            return b""
        for where, patch in self.patches:
            for i, value in enumerate(patch, where - at):
                if 0 <= i < len(data):
                    data[i] = value
        self._position = at + len(data)
        return bytes(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go there; beyond either end is no error."""
        origin = {io.SEEK_CUR: self._position, io.SEEK_END: self.size}.get(whence, 0)
        self._position = max(0, origin + offset)  # also where a header points outside the file
        return self._position

    def tell(self) -> int:
        """Where it stands."""
        return self._position

    def at(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset`` on."""
        self.seek(offset)
        return self.read(size)

    def check(self, name: str) -> None:
        """Raise what reading the file raised."""
        if isinstance(self._error, Exception):
            raise reading_error(name, self._error) from self._error
        if self._error is not None:
            raise self._error


def float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Values of any sample type as float32, integers scaled to -1 .. 1."""
    floats = values.astype(np.float32, copy=False)
    if values.dtype.kind == "i":
        return floats / np.float32(2 ** (8 * values.dtype.itemsize - 1))
    return (floats - np.float32(128)) / np.float32(128) if values.dtype.kind == "u" else floats
