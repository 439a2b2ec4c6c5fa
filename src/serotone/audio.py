"""Files, bytes, streams and arrays to mono float32 at one rate.

Whatever comes in is decided by its content, never by its name: libsndfile decodes WAV, FLAC, OGG, MP3, AIFF and their
relatives, PyAV (the ``codecs`` extra) what is in MP4, WebM and other containers. Decoding, mixing and resampling run in
blocks, so that memory holds the result and little else, and no number in a header decides what is allocated.
"""

from __future__ import annotations

import io
import math
import os
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from serotone.errors import (
    AudioEmptyError,
    AudioError,
    AudioFormatError,
    AudioMissingError,
    AudioNotFiniteError,
    AudioTooLongError,
    AudioTooShortError,
    AudioTruncatedError,
    MissingExtraError,
)

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".wav", ".wave", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd",
    ".caf", ".sph", ".m4a", ".mp4", ".mov", ".aac", ".webm", ".mka", ".mkv", ".wma", ".amr", ".3gp",
})
# fmt: on
"""Lower-case suffixes that corpus readers and folder scans take for audio."""

MAX_SECONDS = 4 * 3600.0
"""The longest audio that is read where the caller states no bound."""

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1000, 768_000
"""Rates in Hz outside which a header is taken to be damaged."""

_BLOCK_VALUES = 2**18  # float32 values decoded at a time, over all channels
_START_VALUES = 2**22  # output values allocated before any are there, whatever the header says
_STREAM_BYTES_PER_SECOND = 3_000_000  # 8 channels of 32 bits at 96 kHz
_STREAM_BYTES = 2**32  # of a stream without an end
_SPOOL_BYTES = 2**26  # of a stream held in memory; more goes to a temporary file
_UNKNOWN_SIZE = 0x7FFFF000  # chunk sizes from here on are what writers to a pipe put for "unknown"
_UNKNOWN_FRAMES = 2**62
_ROUNDING = 0.6  # of a frame, by which a bound in seconds may miss a whole number of frames

# (offset, magic, what it is, FFmpeg's name for it, whether libsndfile reads it)
_FORMATS: tuple[tuple[int, bytes, str, str, bool], ...] = (
    (0, b"RIFF", "WAV", "wav", True),
    (0, b"RIFX", "WAV", "", True),
    (0, b"RF64", "WAV (RF64)", "wav", True),
    (0, b"BW64", "WAV (BW64)", "wav", True),
    (0, b"riff", "WAV (W64)", "w64", True),
    (0, b"fLaC", "FLAC", "flac", True),
    (0, b"OggS", "Ogg", "ogg", True),
    (0, b"FORM", "AIFF", "aiff", True),
    (0, b".snd", "AU", "au", True),
    (0, b"caff", "CAF", "caf", True),
    (0, b"NIST_1A", "NIST Sphere", "", True),
    (0, b"ID3", "MP3", "mp3", True),
    (4, b"ftyp", "MP4 or M4A", "mov", False),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska", "matroska", False),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA", "asf", False),
    (0, b"#!AMR", "AMR", "amr", False),
)
_PICTURE_BRANDS = (b"heic", b"heix", b"heif", b"hevc", b"avif", b"avis", b"mif1", b"msf1", b"crx ")


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


@dataclass
class _Track:
    """An opened source: what it says of itself, and a way to its mono float32 blocks."""

    rate: int
    frames: int | None  # None: unknown until decoded
    blocks: Callable[[int, int | None], Iterator[NDArray[np.float32]]] = lambda first, last: iter(())
    slack: float = 0.0  # seconds by which `frames` may be off
    warnings: list[str] = field(default_factory=list)
    input: _Input | None = None


class _Input:
    """A seekable file that never raises into a decoder, and whose header can be corrected without copying it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._error: BaseException | None = None
        self._position = 0
        self._prefix, self._skip = b"", 0
        self.patches: list[tuple[int, bytes]] = []
        self.size = file.seek(0, io.SEEK_END)

    def lead(self, prefix: bytes, skip: int) -> None:
        """Put ``prefix`` in the place of the first ``skip`` bytes."""
        self._prefix, self._skip = prefix, skip
        self.size = self._file.seek(0, io.SEEK_END) - skip + len(prefix)

    def read(self, size: int = -1) -> bytes:
        at = self._position
        end = self.size if size < 0 else min(at + size, self.size)
        data = bytearray(self._prefix[at:end])
        try:
            self._file.seek(max(at - len(self._prefix), 0) + self._skip)
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
        origin = {io.SEEK_CUR: self._position, io.SEEK_END: self.size}.get(whence, 0)
        self._position = max(0, origin + offset)  # also where a header points outside the file
        return self._position

    def tell(self) -> int:
        return self._position

    def at(self, offset: int, size: int) -> bytes:
        self.seek(offset)
        return self.read(size)

    def check(self, name: str) -> None:
        """Raise what reading the file raised."""
        if isinstance(self._error, Exception):
            raise AudioError(f"{name}: reading it failed: {self._error}") from self._error
        if self._error is not None:
            raise self._error


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


def _open(source: Any, name: str, source_rate: int | None, longest: float, stack: ExitStack) -> _Track:
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
        content = _Input(file)
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: reading it failed: {error}") from error
    if content.size == 0:
        raise AudioEmptyError(f"{name}: empty (0 bytes); expected audio")
    head = content.at(0, 64)
    content.check(name)
    kind, container, readable = _sniff(head, name)
    track = _soundfile_track(content, head, stack) if readable else None
    content.check(name)
    if track is None:
        track = _container_track(content, kind, container, readable, name, stack)
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
                _sniff(spool.read(64), name)
                spool.seek(0, io.SEEK_END)
            total += len(data)
            if total > most:
                raise AudioTooLongError(f"{name}: more than {most} bytes; at most {longest:g} s of audio are read here")
    except BaseException:
        spool.close()
        raise
    return spool


def _sniff(head: bytes, name: str) -> tuple[str, str, bool]:
    """What the first bytes are: in words, in FFmpeg's terms, and whether libsndfile reads it."""
    for offset, magic, kind, container, readable in _FORMATS:
        if head.startswith(magic, offset) and not (magic == b"ftyp" and head[8:12] in _PICTURE_BRANDS):
            return kind, container, readable
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # the sync word of an MPEG audio frame
        return ("AAC", "aac", False) if head[1] & 0xF6 == 0xF0 else ("MP3", "mp3", True)
    raise AudioFormatError(
        f"{name}: not audio (it begins with {head[:8]!r}); expected WAV, FLAC, OGG, MP3 or AIFF, "
        "or with the codecs extra M4A, MP4, WebM, AAC, WMA or AMR"
    )


# Arrays, and what blocks of any source share


def _array_track(array: NDArray[Any], rate: int | None, name: str) -> _Track:
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
        step = max(1, _BLOCK_VALUES // frames.shape[1])
        stop = len(frames) if last is None else min(last, len(frames))
        for i in range(first, stop, step):
            yield _mono(_float32(frames[i : min(i + step, stop)]))

    return _Track(int(rate), len(frames), blocks)


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Values of any sample type as float32, integers scaled to -1 .. 1."""
    floats = values.astype(np.float32, copy=False)
    if values.dtype.kind == "i":
        return floats / np.float32(2 ** (8 * values.dtype.itemsize - 1))
    return (floats - np.float32(128)) / np.float32(128) if values.dtype.kind == "u" else floats


def _mono(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, channels) to (T,): the mean of the channels."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    total = frames[:, 0].copy()
    for channel in range(1, frames.shape[1]):
        total += frames[:, channel]
    total /= np.float32(frames.shape[1])
    return total


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


# libsndfile: WAV, FLAC, OGG, MP3, AIFF and their relatives


def _soundfile_track(content: _Input, head: bytes, stack: ExitStack) -> _Track | None:
    """None: not something that libsndfile can open."""
    import soundfile  # here: arrays need no decoder

    warnings = []
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"):
        warnings = _check_chunks(content, head)
    estimated = (head[:3] == b"ID3" or head[0] == 0xFF) and _lift_mp3_estimate(content, head)
    content.seek(0)
    try:
        file = stack.enter_context(soundfile.SoundFile(content))
    except (soundfile.SoundFileError, ValueError, TypeError, OverflowError):
        return None
    declared = file.frames if 0 < file.frames < _UNKNOWN_FRAMES and not estimated else None
    inexact, position = 0, content.tell()
    if file.format == "OGG" and not _ogg_is_whole(content):
        warnings.append("truncated: its last page is not marked as the end")
    elif file.format == "MP3":
        inexact = 3 * 1152  # encoders count their padding differently
        if not _mp3_is_whole(content):
            warnings.append("truncated: its last frame is incomplete")
    content.seek(position)  # the decoder believes that it stands there
    track = _Track(file.samplerate, declared, warnings=warnings)

    def blocks(first: int, last: int | None) -> Iterator[NDArray[np.float32]]:
        stop = min((n for n in (declared, last) if n is not None), default=_UNKNOWN_FRAMES)
        buffer = np.empty((max(1, _BLOCK_VALUES // file.channels), file.channels), np.float32)
        at, failed = 0, False
        if first:
            try:
                at = file.seek(first)
            except soundfile.SoundFileError:  # beyond where a truncated file ends
                warnings.append(f"truncated or damaged: nothing can be decoded from {first / file.samplerate:.2f} s on")
                return
        while at < stop and not failed:
            block = buffer[: min(len(buffer), stop - at)]
            block.fill(np.nan)
            try:
                count = len(file.read(out=block))
            except soundfile.SoundFileError:  # raised after part of the block was decoded: up to the first NaN
                failed = True
                missing = np.isnan(block[:, 0])
                count = int(missing.argmax()) if missing.any() else len(block)
            if count == 0:
                break
            at += count
            yield _mono(block[:count])
        if declared is not None and at < stop - inexact and not warnings:
            warnings.append(
                f"truncated or damaged: its header announces {declared / file.samplerate:.2f} s, "
                f"{at / file.samplerate:.2f} s could be decoded"
            )

    track.blocks = blocks
    return track


def _check_chunks(content: _Input, head: bytes) -> list[str]:
    """Hold a RIFF or AIFF file's data chunk against the bytes there are.

    A writer to a pipe cannot go back to fill in the size: it leaves 0 or nearly the greatest number, and the samples go
    on to the end. libsndfile takes a 0 literally, so that one is overlaid.
    """
    order = "<" if head[:4] in (b"RIFF", b"RF64", b"BW64") else ">"
    size, at, wide, wide_at = content.size, 12, None, 0
    for _ in range(1000):
        header = content.at(at, 8)
        if len(header) < 8:
            break
        kind, length = struct.unpack(order + "4sI", header)
        if kind == b"ds64" and len(body := content.at(at + 8, 16)) == 16:
            wide, wide_at = struct.unpack("<8xQ", body)[0], at + 16
        elif kind in (b"data", b"SSND"):
            there = size - (at + 8)
            (riff,) = struct.unpack(order + "I", head[4:8])
            if wide is not None:
                if wide >= _UNKNOWN_FRAMES or (wide == 0 and there > 0):
                    content.patches = [(wide_at - 8, struct.pack("<QQ", size - 8, there))]
                    return []
                length = wide
            elif length >= _UNKNOWN_SIZE:
                return []
            elif kind == b"data" and length == 0 and there > 0 and (riff + 8 <= at + 8 or riff >= _UNKNOWN_SIZE):
                content.patches = [(at + 4, b"\xff\xff\xff\xff")]
                return []
            if there < length:
                return [f"truncated: its header announces {length} bytes of samples, {there} are there"]
            break
        at += 8 + length + length % 2
    return []


def _ogg_is_whole(content: _Input) -> bool:
    """Whether the last page bears the end-of-stream mark (RFC 3533, section 6) and is all there."""
    size = content.size
    tail = content.at(max(0, size - 70_000), 70_000)  # a page has at most 65,307 bytes
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[27 : 27 + page[26]]
    return len(segments) == page[26] and len(page) >= 27 + page[26] + sum(segments)


_MP3_KBITS = ((0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5, layer III
              (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320))  # fmt: skip  # MPEG 1, layer III


def _mp3_frame_bytes(header: bytes) -> int:
    """Length of the layer III frame that begins with these four bytes, 0 if none does (ISO 11172-3, 2.4.1.3)."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return 0
    mpeg1 = version == 3
    hertz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if mpeg1 else 72) * _MP3_KBITS[mpeg1][bits] * 1000 // hertz + (header[2] >> 1 & 1)


def _lift_mp3_estimate(content: _Input, head: bytes) -> bool:
    """Whether an MP3 does not say how many frames it has, in which case it is made to say "very many".

    libsndfile then estimates the number from the first frame's bit rate and stops there: where the bit rate varies, in
    the middle. A leading frame with a Xing tag lifts that bound, and decoding goes on to the end of the file.
    """
    at = 0
    if head.startswith(b"ID3"):
        at = 10 + sum((value & 0x7F) << shift for value, shift in zip(head[6:10], (21, 14, 7, 0)))
    first = content.at(at, 4)
    length = _mp3_frame_bytes(first)
    if not length or any(tag in content.at(at, length) for tag in (b"Xing", b"Info", b"VBRI")):
        return False
    mpeg1, mono = first[1] >> 3 & 3 == 3, first[3] >> 6 == 3
    side = bytes((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    for bits in range(1, 15):
        header = bytes([first[0], first[1] | 1, bits << 4 | first[2] & 0x0C, first[3]])
        frame = header + side + b"Xing" + struct.pack(">II", 1, 2**31 - 1)
        if (length := _mp3_frame_bytes(header)) >= len(frame):
            content.lead(frame + bytes(length - len(frame)), at)
            return True
    return False


def _mp3_is_whole(content: _Input) -> bool:
    """False only where a chain of frames plainly ends in the middle of one; anything unclear passes."""
    size = content.size
    tail = content.at(max(0, size - 16_384), 16_384)
    for begin in range(max(0, len(tail) - 4)):
        at, frames = begin, 0
        while length := _mp3_frame_bytes(tail[at : at + 4]):
            at, frames = at + length, frames + 1
        if frames >= 4:
            return at <= len(tail)
    return True


# PyAV: containers


def _container_track(content: _Input, kind: str, container: str, readable: bool, name: str, stack: ExitStack) -> _Track:
    """What libsndfile does not read, by FFmpeg's demuxer for just this format (nothing that follows references)."""
    damaged = AudioFormatError(f"{name}: begins like {kind}, but it is damaged or holds no sound that can be decoded")
    try:
        import av
    except ImportError as error:
        if readable:
            raise damaged from None
        raise MissingExtraError(f"{name}: {kind} audio", "codecs") from error
    if not container:
        raise damaged
    content.patches = []
    content.lead(b"", 0)
    content.seek(0)
    try:
        file = stack.enter_context(av.open(content, format=container, metadata_errors="replace"))
        if not file.streams.audio or file.streams.audio[0].codec_context is None:
            raise damaged
        stream = file.streams.audio[0]
        stream.codec_context.thread_count = 1
        rate = int(stream.codec_context.sample_rate or 0)
    except (av.FFmpegError, ValueError, OSError, RuntimeError, OverflowError) as error:
        raise damaged from error
    seconds: float | None = None
    if container in ("mov", "matroska", "asf"):
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif file.duration and len(file.streams) == 1:
            seconds = file.duration / 1e6
    declared = math.floor(seconds * rate) if seconds is not None and 0 < seconds < _UNKNOWN_FRAMES / 1e6 else None
    track = _Track(rate, declared, slack=1.0)

    def blocks(first: int, last: int | None) -> Iterator[NDArray[np.float32]]:
        at = 0
        try:
            for frame in file.decode(stream):
                if frame.sample_rate != rate:
                    raise AudioFormatError(f"{name}: its rate changes from {rate} to {frame.sample_rate} Hz")
                values = frame.to_ndarray()
                values = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
                low, high = max(first - at, 0), len(values) if last is None else min(last - at, len(values))
                at += len(values)
                if low < high:
                    yield _mono(_float32(values[low:high]))
                if last is not None and at >= last:
                    return
        except (av.FFmpegError, ValueError, OSError, RuntimeError, OverflowError):
            track.warnings.append(f"truncated or damaged: decoding stopped at {at / max(rate, 1):.2f} s")
            return
        if declared is not None and at < declared - 0.25 * rate:
            track.warnings.append(
                f"truncated: its header announces {declared / rate:.2f} s, {at / rate:.2f} s could be decoded"
            )

    track.blocks = blocks
    return track
