"""What can be read: a path, bytes, an open file or an array, each brought to one form before anything is decoded."""

from __future__ import annotations

import io
import math
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from serotone.audio.formats import sniff
from serotone.audio.track import BLOCK_VALUES, Input, Track, float32, reading
from serotone.errors import AudioEmptyError, AudioError, AudioFormatError, AudioMissingError, AudioTooLongError

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1000, 768_000
"""Rates in Hz outside which a header is taken to be damaged."""

_STREAM_BYTES_PER_SECOND = 3_000_000  # 8 channels of 32 bits at 96 kHz
_STREAM_BYTES = 2**32  # of a stream without an end
_SPOOL_BYTES = 2**26  # of a stream held in memory; more goes to a temporary file


def name_of(source: object) -> str:
    """What a source is called in messages."""
    if isinstance(source, (str, os.PathLike)):
        return str(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) and name else "<stream>"
    return "<array>" if hasattr(source, "__array__") else f"<{type(source).__name__}>"


def open_content(source: Any, name: str, longest: float, stack: ExitStack) -> Input:
    """A source that is a file of some kind, opened, with at least one byte in it."""
    if isinstance(source, (str, os.PathLike)):
        file: IO[bytes] = stack.enter_context(_open_path(source, name))
    elif isinstance(source, (bytes, bytearray, memoryview)):
        file = io.BytesIO(source)
    elif isinstance(source, io.TextIOBase):
        raise AudioError(f"{name}: opened as text; open it in binary mode, as in open(path, 'rb')")
    elif hasattr(source, "read"):
        file = source
    else:
        kind = type(source).__name__
        raise AudioFormatError(
            f"{name}: {'an' if kind[0].lower() in 'aeiou' else 'a'} {kind} cannot be read; give a path, the bytes of a "
            "file, an open binary file or a NumPy array"
        )
    with reading(name):
        if hasattr(file, "seekable") and file.seekable():
            if file is source:
                stack.callback(_go_back, file, file.tell(), name)
        else:
            file = stack.enter_context(_spool(file, name, longest))
        content = Input(file)
    if content.size == 0:
        raise AudioEmptyError(f"{name}: empty (0 bytes); expected audio")
    return content


def as_array(source: Any, name: str) -> NDArray[Any]:
    """A source that says that it is an array, as one of NumPy's."""
    with reading(name):
        return np.asarray(source)


def _go_back(file: IO[bytes], place: int, name: str) -> None:
    """Leave a file of the caller's where it stood."""
    with reading(name):
        file.seek(place)


def _open_path(source: str | os.PathLike[str], name: str) -> BinaryIO:
    if not name:  # to Path it would be the folder at hand
        raise AudioMissingError("the path of a recording is empty; give the path of an audio file")
    try:
        file = Path(source).open("rb")  # noqa: SIM115 - the caller closes it
    except (FileNotFoundError, NotADirectoryError) as error:
        remedy = "; this reads files only, so download it first; serotone score reads URLs" if "://" in name else ""
        raise AudioMissingError(f"{name}: no such file{remedy}") from error
    except IsADirectoryError as error:
        raise AudioMissingError(f"{name}: is a folder; expected an audio file") from error
    except (OSError, ValueError) as error:
        if os.path.isdir(source):  # noqa: PTH112 - where opening a folder is "permission denied"; bad names give False
            raise AudioMissingError(f"{name}: is a folder; expected an audio file") from error
        raise AudioError(f"{name}: cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and file.seekable()):
        file.close()
        raise AudioFormatError(f"{name}: is a device; expected an audio file")
    return file


def _spool(stream: IO[bytes], name: str, longest: float) -> IO[bytes]:
    """Everything a stream that cannot seek will ever give, in memory or beyond some size in a temporary file."""
    most = int(min(_STREAM_BYTES, 2**20 + longest * _STREAM_BYTES_PER_SECOND))
    spool = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        total = 0
        while data := stream.read(2**16):
            if not isinstance(data, bytes):
                raise AudioError(f"{name}: returned {type(data).__name__} instead of bytes; open it in binary mode")
            with _room_for(name):
                spool.write(data)
            if total < 64 <= total + len(data):  # before reading on from what is not audio and may have no end
                spool.seek(0)
                sniff(spool.read(64), name)
                spool.seek(0, io.SEEK_END)
            total += len(data)
            if total > most:
                bound = "" if longest == math.inf else f" for at most {longest:g} s of audio"
                raise AudioTooLongError(
                    f"{name}: more than {most} bytes, the limit for a pipe{bound}; write it to a file first"
                )
        with _room_for(name):
            spool.flush()
    except BaseException:
        with suppress(OSError):  # of what could not be written before
            spool.close()
        raise
    return spool


@contextmanager
def _room_for(name: str) -> Iterator[None]:
    """Let an error inside be that of the folder in which a stream is kept, such as a full disk."""
    try:
        yield
    except OSError as error:
        folder = tempfile.tempdir or "the folder of temporary files"
        raise AudioError(
            f"{name}: more than {_SPOOL_BYTES >> 20} MiB of a stream go to a temporary file, and {folder} has no room "
            f"({error.strerror or error}); free some space there, or set TMPDIR to another folder"
        ) from error


def array_track(array: NDArray[Any], rate: int | None, name: str) -> Track:
    """An array as it is, its channels along the shorter of its axes."""
    if rate is None:
        raise AudioFormatError(f"{name}: an array has no sample rate; give source_rate in Hz")
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise AudioFormatError(f"{name}: source_rate is {rate}; expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz")
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[0] == array.shape[1] > 1):
        raise AudioFormatError(f"{name}: shape {array.shape}; expected (T,), (T, channels) or (channels, T)")
    if array.dtype.kind != "f" and array.dtype.newbyteorder("=") not in (np.int8, np.int16, np.int32, np.uint8):
        raise AudioFormatError(f"{name}: dtype {array.dtype}; expected a float, int8, int16, int32 or uint8")
    frames = array[:, None] if array.ndim == 1 else array.T if array.shape[0] < array.shape[1] else array
    if array.size == 0:
        frames = np.empty((0, 1), np.float32)

    def blocks(first: int, last: int | None) -> Iterator[NDArray[np.float32]]:
        step = max(1, BLOCK_VALUES // frames.shape[1])
        stop = len(frames) if last is None else min(last, len(frames))
        for i in range(first, stop, step):
            yield float32(frames[i : min(i + step, stop)])

    return Track(int(rate), len(frames), frames.shape[1], blocks)
