"""Files, bytes, streams and arrays to mono float32 at one rate: in blocks, however the source is encoded."""

from __future__ import annotations

import io
import math
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from serotone.audio.containers import container_track
from serotone.audio.formats import sniff
from serotone.audio.libsndfile import soundfile_track
from serotone.audio.track import BLOCK_VALUES, Input, Track, float32, mono
from serotone.errors import (
    AudioEmptyError,
    AudioError,
    AudioFormatError,
    AudioMissingError,
    AudioNotFiniteError,
    AudioTooLongError,
    AudioTooShortError,
    AudioTruncatedError,
)

MAX_SECONDS = 4 * 3600.0
"""The longest audio that is read where the caller states no bound."""

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1000, 768_000
"""Rates in Hz outside which a header is taken to be damaged."""

_START_VALUES = 2**22  # output values allocated before any are there, whatever the header says
_STREAM_BYTES_PER_SECOND = 3_000_000  # 8 channels of 32 bits at 96 kHz
_STREAM_BYTES = 2**32  # of a stream without an end
_SPOOL_BYTES = 2**26  # of a stream held in memory; more goes to a temporary file
_ROUNDING = 0.6  # of a frame, by which a bound in seconds may miss a whole number of frames


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono sound in memory.

    ``samples`` is float32 of shape (T,), nominally within -1 and 1 (float files may exceed that); ``sample_rate`` is in
    Hz. ``warnings`` says what was odd about the source, ``silent`` that every sample is exactly zero, ``name`` what the
    source is called in messages.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    warnings: tuple[str, ...] = ()
    silent: bool = False
    name: str = ""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate


def read(
    source: str | Path | bytes | BinaryIO | NDArray[Any],
    *,
    sample_rate: int = 16000,
    source_rate: int | None = None,
    min_seconds: float = 0.0,
    max_seconds: float | None = None,
    strict: bool = False,
    start: float | None = None,
    end: float | None = None,
) -> Audio:
    """Mono audio at the asked rate from a path, the bytes of a file, an open binary file or an array.

    The channels are averaged and the result resampled by soxr (HQ). A seekable file is read from its beginning and left
    where it stood; any other stream is read to its end. An array has shape (T,), or (T, channels) or (channels, T): of
    two axes the shorter holds the channels. Floats are taken as they are; int8, int16 and int32 are divided by their
    full scale, uint8 is centred at 128.

    Args:
        source: what to read; ``bytes`` are the content of a file, not its name.
        sample_rate: of the result, in Hz.
        source_rate: of an array, in Hz; files state their own.
        min_seconds: least duration of the result, in seconds.
        max_seconds: greatest duration of the result, in seconds, ``MAX_SECONDS`` unless stated. Where the header tells
            the duration, nothing is decoded before this is checked.
        strict: whether audio that ends before its header says is an error; otherwise it is what decodes and a warning.
        start: where to begin, in seconds of the source; what comes before is not decoded where the format can seek.
        end: where to stop, in seconds of the source.

    Raises:
        AudioMissingError: there is no such file, or it is a folder.
        AudioFormatError: it is not audio, is damaged, or is an array whose meaning is not clear.
        AudioEmptyError: it holds no samples, or none between start and end.
        AudioNotFiniteError: a sample is NaN or infinite.
        AudioTooShortError, AudioTooLongError: the duration is out of bounds.
        AudioTruncatedError: it ends early, and ``strict`` is true.
        AudioError: it cannot be read for another reason, such as its permissions.
        MissingExtraError: it is in a container that needs the ``codecs`` extra.
        ValueError: an argument other than the source is out of range.

    >>> tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    >>> audio = read(tone, source_rate=44100)
    >>> audio.samples.shape, audio.samples.dtype, audio.seconds, audio.silent
    ((16000,), dtype('float32'), 1.0, False)
    """
    longest = MAX_SECONDS if max_seconds is None else max_seconds
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise ValueError(f"sample_rate is {sample_rate}; expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz")
    if not 0 <= min_seconds <= longest:
        raise ValueError(f"min_seconds is {min_seconds} and max_seconds {longest}; expected 0 <= min <= max")
    name = _name(source)
    begin = 0.0 if start is None else start
    if not (0 <= begin < math.inf and (end is None or begin < end < math.inf)):
        raise AudioError(f"{name}: asked from {start} to {end} s; expected 0 <= start < end")

    with ExitStack() as stack, np.errstate(over="ignore", invalid="ignore"):
        track = _open(source, name, source_rate, longest, stack)
        rate = track.rate
        first, last = round(begin * rate), None if end is None else round(end * rate)
        if track.frames is not None and 0 < track.frames <= first:
            raise AudioEmptyError(f"{name}: nothing from {begin:g} s on; it ends at {track.frames / rate:.2f} s")
        known_ends = [n for n in (track.frames, last) if n is not None]
        known = min(known_ends) - first if known_ends else None
        if known is not None and track.frames is not None and known > (longest + track.slack) * rate + _ROUNDING:
            raise AudioTooLongError(_too_long(name, f"{known / rate:.1f} s", longest))
        samples, frames = _gather(track.blocks(first, last), rate, sample_rate, known, longest, name)
        if track.input is not None:
            track.input.check(name)

    if frames == 0:
        why = f": {track.warnings[0]}" if track.warnings else " between start and end" if first or last else ""
        raise AudioEmptyError(f"{name}: not one sample of audio{why}")
    if last is not None and first + frames < last - max(1, 0.05 * rate) and not track.warnings:
        track.warnings.append(f"asked until {end:g} s, but it ends at {(first + frames) / rate:.2f} s")
    if strict and track.warnings:
        raise AudioTruncatedError(f"{name}: {track.warnings[0]}")
    if frames + _ROUNDING < min_seconds * rate or not len(samples):
        least = min_seconds or 1 / sample_rate
        raise AudioTooShortError(f"{name}: {frames / rate:.3g} s of audio; at least {least:.3g} s are needed")
    return Audio(samples, sample_rate, tuple(track.warnings), not samples.any(), name)


def _name(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        return str(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) and name else "<stream>"
    return "<array>"


def _too_long(name: str, length: str, longest: float) -> str:
    return f"{name}: {length} of audio; at most {longest:g} s are read here (max_seconds, or a start and an end)"


def _open(source: Any, name: str, source_rate: int | None, longest: float, stack: ExitStack) -> Track:
    if isinstance(source, (str, os.PathLike)):
        file: IO[bytes] = stack.enter_context(_open_path(source, name))
    elif isinstance(source, (bytes, bytearray, memoryview)):
        file = io.BytesIO(source)
    elif hasattr(source, "read"):
        if isinstance(source, io.TextIOBase):
            raise AudioError(f"{name}: opened as text; open it in binary mode, as in open(path, 'rb')")
        file = source
    elif hasattr(source, "__array__"):
        return _array_track(np.asarray(source), source_rate, name)
    else:
        kind = type(source).__name__
        raise AudioFormatError(f"{name}: cannot read a {kind}; give a path, bytes, a binary file or an array")

    try:
        if hasattr(file, "seekable") and file.seekable():
            if file is source:
                stack.callback(file.seek, file.tell())
        else:
            file = stack.enter_context(_spool(file, name, longest))
        content = Input(file)
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: reading it failed: {error}") from error
    if content.size == 0:
        raise AudioEmptyError(f"{name}: empty (0 bytes); expected audio")
    head = content.at(0, 64)
    content.check(name)
    kind, container, readable = sniff(head, name)
    track = soundfile_track(content, head, stack) if readable else None
    content.check(name)
    if track is None:
        track = container_track(content, kind, container, readable, name, stack)
    content.check(name)
    if not MIN_SAMPLE_RATE <= track.rate <= MAX_SAMPLE_RATE:
        expected = f"expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}"
        raise AudioFormatError(f"{name}: its header says {track.rate} Hz, {expected}; the file is damaged")
    track.input = content
    return track


def _open_path(source: str | os.PathLike[str], name: str) -> BinaryIO:
    try:
        file = Path(source).open("rb")  # noqa: SIM115 - the caller closes it
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioMissingError(f"{name}: no such file") from error
    except IsADirectoryError as error:
        raise AudioMissingError(f"{name}: is a folder; expected an audio file") from error
    except (OSError, ValueError) as error:
        if os.path.isdir(source):  # noqa: PTH112 - where opening a folder is "permission denied"; bad names give False
            raise AudioMissingError(f"{name}: is a folder; expected an audio file") from error
        raise AudioError(f"{name}: cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISCHR(os.fstat(file.fileno()).st_mode) and file.seekable():
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
                raise AudioError(f"{name}: gave {type(data).__name__} instead of bytes; open it in binary mode")
            spool.write(data)
            if total < 64 <= total + len(data):  # before reading on from what is not audio and may have no end
                spool.seek(0)
                sniff(spool.read(64), name)
                spool.seek(0, io.SEEK_END)
            total += len(data)
            if total > most:
                raise AudioTooLongError(f"{name}: more than {most} bytes; at most {longest:g} s of audio are read here")
    except BaseException:
        spool.close()
        raise
    return spool


def _array_track(array: NDArray[Any], rate: int | None, name: str) -> Track:
    if rate is None:
        raise AudioFormatError(f"{name}: an array has no rate of its own; state source_rate in Hz")
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise AudioFormatError(f"{name}: source_rate is {rate}; expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz")
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[0] == array.shape[1] > 1):
        raise AudioFormatError(f"{name}: shape {array.shape}; expected (T,), (T, channels) or (channels, T)")
    if array.dtype.kind != "f" and array.dtype not in (np.int8, np.int16, np.int32, np.uint8):
        raise AudioFormatError(f"{name}: dtype {array.dtype}; expected a float, int8, int16, int32 or uint8")
    frames = array[:, None] if array.ndim == 1 else array.T if array.shape[0] < array.shape[1] else array
    if array.size == 0:
        frames = np.empty((0, 1), np.float32)

    def blocks(first: int, last: int | None) -> Iterator[NDArray[np.float32]]:
        step = max(1, BLOCK_VALUES // frames.shape[1])
        stop = len(frames) if last is None else min(last, len(frames))
        for i in range(first, stop, step):
            yield mono(float32(frames[i : min(i + step, stop)]))

    return Track(int(rate), len(frames), blocks)


def _gather(
    blocks: Iterator[NDArray[np.float32]], rate: int, sample_rate: int, known: int | None, longest: float, name: str
) -> tuple[NDArray[np.float32], int]:
    """Blocks at ``rate`` to one array at ``sample_rate``, and how many frames they held."""
    resample: Callable[..., NDArray[np.float32]] | None = None
    if rate != sample_rate:
        import soxr  # here: not every read needs it

        resample = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ").resample_chunk
    expected = _START_VALUES if known is None else math.ceil(known / rate * sample_rate) + 1
    out = np.empty(min(expected, _START_VALUES), np.float32)
    filled = frames = 0

    def append(block: NDArray[np.float32]) -> None:
        nonlocal filled
        if filled + len(block) > len(out):
            out.resize(max(filled + len(block), len(out) * 3 // 2), refcheck=False)
        out[filled : filled + len(block)] = block
        filled += len(block)

    for block in blocks:
        finite = np.isfinite(block)
        if not finite.all():
            seconds = (frames + int(finite.argmin())) / rate
            raise AudioNotFiniteError(f"{name}: NaN or infinity {seconds:.3f} s in; expected finite samples")
        frames += len(block)
        if frames > longest * rate + _ROUNDING:
            raise AudioTooLongError(_too_long(name, f"more than {longest:g} s", longest))
        append(block if resample is None else resample(np.ascontiguousarray(block)))
    if resample is not None and frames:
        append(resample(np.empty(0, np.float32), last=True))
        if not np.isfinite(out[:filled]).all():
            raise AudioNotFiniteError(f"{name}: samples near the limit of float32; expected about -1 to 1")
    out.resize(filled, refcheck=False)
    return out, frames
