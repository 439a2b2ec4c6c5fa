"""The program of the child process that decodes what FFmpeg reads; ``decoder_process`` starts it and talks to it.

FFmpeg ends the whole process on some damaged files, so it runs here, alone, under a limit on memory. This file is run
as a script and imports nothing but PyAV. It opens no file: it asks its parent for bytes of the recording, and gives
back blocks of float32. When its parent goes away, its standard input ends, and so does it.

The parent sends a ``COMMAND``: OPEN (size of the recording, 0, FFmpeg's name for its format), DECODE (first frame, last
frame + 1 or 0 for all) or CLOSE. The child sends ``ANSWER`` and as many bytes as that says:

- READ: ``WANT``, the offset and size of what it needs; the parent replies with ``COUNT`` and the bytes.
- HELLO, or BROKEN: why PyAV cannot be used.
- TRACK: ``ABOUT``.
- BLOCK: float32 frames, the channels of one frame next to each other; empty while it passes over what comes before the
  first one.
- END: nothing, or what went wrong after the last block.
- DAMAGED: nothing, or why.
- MEMORY: it ran out of memory.
"""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

COMMAND = struct.Struct("<cQQ16s")
ANSWER = struct.Struct("<cI")
WANT = struct.Struct("<QI")
COUNT = struct.Struct("<I")
ABOUT = struct.Struct("<IId")  # rate in Hz, channels, seconds according to the container or -1
OPEN, DECODE, CLOSE = b"O", b"D", b"C"
READ, HELLO, BROKEN, TRACK, BLOCK, END, DAMAGED, MEMORY = b"R", b"H", b"X", b"T", b"B", b"E", b"F", b"M"

MEMORY_BYTES = 2**29  # beyond what the interpreter and the libraries take
MAX_CHANNELS = 64  # FFmpeg's resampler takes no more
BLOCK_BYTES = 2**20
STALL_SECONDS = 60  # of work without a word to the parent, which loses patience earlier; this is for when it is gone
_READ_BYTES = 2**16


class RefusedError(ValueError):
    """The recording is not decoded, for a reason of ours that can be told to the user."""


class _Recording(io.RawIOBase):
    """The recording, which the parent holds: a seekable file of bytes."""

    def __init__(self, link: _Link, size: int) -> None:
        self._link, self._size, self._at = link, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_CUR: self._at, io.SEEK_END: self._size}.get(whence, 0))
        return self._at

    def read(self, size: int = -1) -> bytes:
        data = self._link.fetch(self._at, max(0, min(size if size >= 0 else _READ_BYTES, self._size - self._at)))
        self._at += len(data)
        return data


class _Link:
    """Both ends of the talk with the parent; while the parent is waited for, no time-out runs."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink

    def command(self) -> tuple[bytes, int, int, str]:
        faulthandler.cancel_dump_traceback_later()
        kind, first, second, text = COMMAND.unpack(self._receive(COMMAND.size))
        self._watch()
        return kind, first, second, text.rstrip(b"\0").decode("ascii")

    def fetch(self, offset: int, size: int) -> bytes:
        if size == 0:
            return b""
        self._send(READ, WANT.pack(offset, size))
        data = self._receive(COUNT.unpack(self._receive(COUNT.size))[0])
        self._watch()
        return data

    def tell(self, kind: bytes, content: bytes = b"") -> None:
        self._send(kind, content)
        self._watch()

    def _send(self, kind: bytes, content: bytes) -> None:
        faulthandler.cancel_dump_traceback_later()
        try:
            self._sink.write(ANSWER.pack(kind, len(content)))
            self._sink.write(content)
            self._sink.flush()
        except OSError:
            os._exit(0)  # the parent is gone; nothing here is worth tidying, and FFmpeg may be further down the stack

    def _receive(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            os._exit(0)
        return data

    @staticmethod
    def _watch() -> None:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - no pathlib in here
            faulthandler.dump_traceback_later(STALL_SECONDS, exit=True, file=nowhere)


def limit_memory(most_bytes: int = MEMORY_BYTES) -> None:
    """Bound what this process may take from now on. Windows has no such limit, and macOS does not enforce it."""
    try:
        import resource
    except ImportError:
        return
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - no pathlib in here
            taken = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        taken = 2**33  # macOS maps this much for its shared libraries
    for kind, most in ((resource.RLIMIT_AS, taken + most_bytes), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def serve(av: Any, link: _Link) -> None:
    """Answer commands until the parent closes its end."""
    errors = (av.FFmpegError, ValueError, OSError, RuntimeError, OverflowError, AttributeError, LookupError)
    # What FFmpeg holds is freed before END is sent: a crash while it tidies up then belongs to this recording.
    frames: Iterator[Any] | None = None
    about = (0, 0)
    while True:
        kind, first, second, text = link.command()
        try:
            if kind == OPEN:
                frames, about, seconds = _open(av, _Recording(link, first), text)
                link.tell(TRACK, ABOUT.pack(*about, seconds))
            else:
                problem = "" if frames is None or kind == CLOSE else _decode(av, link, frames, about, first, second)
                frames = None
                link.tell(END, problem.encode())
        except MemoryError:
            link.tell(MEMORY)
        except RefusedError as error:
            link.tell(DAMAGED, str(error).encode())
        except errors:
            link.tell(DAMAGED)


def _open(av: Any, file: _Recording, container: str) -> tuple[Iterator[Any], tuple[int, int], float]:
    """Frames to come, their rate and number of channels (those of the first frame), and seconds or -1."""
    # Titles may be no UTF-8. From PyAV 19 on there is no such option, and they are never an error.
    replacing = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
    opened = av.open(file, format=container, buffer_size=_READ_BYTES, **replacing)
    if not opened.streams.audio or opened.streams.audio[0].codec_context is None:
        raise RefusedError("it has no audio track that FFmpeg can decode")
    stream = opened.streams.audio[0]
    stream.codec_context.thread_count = 1
    frames = opened.decode(stream)
    frame = next(frames, None)
    if frame is None:
        raise RefusedError("no audio could be decoded")
    channels = frame.layout.nb_channels
    if not 1 <= channels <= MAX_CHANNELS:
        raise RefusedError(f"it has {channels} channels; at most {MAX_CHANNELS} are decoded")
    seconds = -1.0
    if container in ("mov", "matroska", "asf"):
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif opened.duration and len(opened.streams) == 1:
            seconds = opened.duration / 1e6

    def all_frames() -> Iterator[Any]:
        yield frame
        yield from frames

    return all_frames(), (int(frame.sample_rate), channels), seconds


def _decode(av: Any, link: _Link, frames: Iterator[Any], about: tuple[int, int], first: int, last: int) -> str:
    """Send the frames from ``first`` to before ``last`` (0: to the end) in blocks; empty, or what ended them early."""
    rate, channels = about
    width = 4 * channels
    resampler = None
    at, passed, block = 0, 0, bytearray()
    problem = ""
    try:
        for frame in frames:
            if (frame.sample_rate, frame.layout.nb_channels) != about:
                changed = f"{frame.layout.nb_channels} channels at {frame.sample_rate} Hz"
                problem = f"it changes from {channels} channels at {rate} Hz to {changed}"
                break
            if resampler is None:  # to_ndarray() overruns planar frames of more than 7 channels
                resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=rate)
            for packed in resampler.resample(frame):
                count = packed.samples
                low, high = max(first - at, 0), min(last - at, count) if last else count
                at += count
                passed += count
                if low < high:
                    block += memoryview(packed.planes[0])[low * width : high * width]
            if len(block) >= BLOCK_BYTES or (not block and passed * width >= BLOCK_BYTES):
                link.tell(BLOCK, bytes(block))
                passed, block = 0, bytearray()
            if last and at >= last:
                break
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError, OSError, RuntimeError, OverflowError) as error:
        problem = f"its data is damaged ({type(error).__name__})"
    if block:
        link.tell(BLOCK, bytes(block))
    return problem


def main() -> None:
    """Serve the parent on standard input and output; the arguments are where Python finds its modules."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    sys.path[:] = sys.argv[1:]
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "r+b") as nowhere:  # noqa: PTH123 - no pathlib in here; nobody else speaks on the pipes
        for number in (0, 1, 2):
            os.dup2(nowhere.fileno(), number)
    link = _Link(source, sink)
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x8003)  # a crash ends the process instead of opening a window
    try:
        import av
    except Exception as error:  # whatever a broken installation raises is told to the user by the parent
        link.tell(BROKEN, f"{type(error).__name__}: {error}".encode(errors="replace")[:1000])
        return
    limit_memory()
    link.tell(HELLO)
    serve(av, link)


if __name__ == "__main__":
    main()
