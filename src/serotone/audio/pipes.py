"""Sound from a pipe as it arrives: WAV, or raw 16-bit samples. It never waits for the end, which may not come."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from serotone.audio.decoding import LOUDEST, check_values
from serotone.audio.sources import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from serotone.audio.track import float32
from serotone.errors import AudioEmptyError, AudioFormatError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_TYPES = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}
_MOST_HEADER = 2**20
"""Bytes of chunks before the samples: a picture may stand there, hours of something else may not."""
_ENDLESS = 0x7FFF0000
"""Size of the samples from which on a header means that it does not know it."""


class PipedSound:
    """Sound that arrives through a binary stream; ``rate`` is given for raw samples, mono int16, lowest byte first.

    ``sample_rate`` (Hz) and ``channels`` are known from the start: the header is read first. ``warnings`` says what was
    odd about the sound, complete at its end.

    Raises AudioEmptyError: nothing arrives.
    Raises AudioFormatError: without a rate, what arrives is not WAV, or WAV of samples that only a decoder reads.
    """

    def __init__(self, stream: IO[bytes], name: str, rate: int | None = None) -> None:
        self.name = name
        self.warnings: list[str] = []
        self._stream = stream
        self._announced: int | None = None  # bytes of samples; None: until the end
        self._type, self._width = "<i2", 2
        self.sample_rate, self.channels = rate or 0, 1
        if rate is None:
            self._read_header()

    def frames(self, seconds: float, channel: int | None = None) -> Iterator[NDArray[np.float32]]:
        """The sound, (T, channels) at a time, T at most ``seconds`` of it; a part of a frame at the end is left out.

        Raises AudioNotFiniteError: a sample, of ``channel`` if one is given, is NaN, infinite or far beyond audio; what
        comes before it is given first. Raises AudioEmptyError: there is not one sample.
        """
        size = self._width * self.channels
        most = max(1, round(seconds * self.sample_rate)) * size
        announced, read = self._announced, 0
        while data := self._read(most if announced is None else min(most, announced - read)):
            if whole := len(data) // size * size:
                frames = self._values(data[:whole]).reshape(-1, self.channels)
                yield from self._checked(frames, channel, read // size)
            read += len(data)
        if read < size:
            raise AudioEmptyError(f"{self.name}: contains no audio")
        if announced is not None and read < announced:
            self.warnings.append(
                f"truncated: its header announces {announced} bytes of samples, but only {read} arrived"
            )

    def _checked(self, frames: NDArray[np.float32], channel: int | None, before: int) -> Iterator[NDArray[np.float32]]:
        """These frames, of which so many came before, up to one that is no sound in the channel, or in any."""
        usable = np.abs(frames if channel is None else frames[:, [channel]]) <= LOUDEST
        whole = usable.all(axis=1)
        good = len(frames) if whole.all() else int(whole.argmin())
        if good:
            yield frames[:good]
        if good < len(frames):
            values = frames[good] if channel is None else frames[good, [channel]]
            check_values(values[~usable[good]][:1], self.name, before + good, self.sample_rate)

    def _values(self, data: bytes) -> NDArray[np.float32]:
        if self._type:
            with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite
                return float32(np.frombuffer(data, self._type))
        wide = np.zeros((len(data) // 3, 4), np.uint8)  # 24 bits are the upper three bytes of 32
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return float32(wide.view("<i4")[:, 0])

    def _read_header(self) -> None:
        head = self._read(12)
        if not head:
            raise AudioEmptyError(f"{self.name}: empty (0 bytes); expected audio")
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise AudioFormatError(
                f"{self.name}: begins with {head[:8]!r}; expected WAV, or raw 16-bit samples with --rate HZ. "
                "Convert other formats to WAV first: ffmpeg -i ... -f wav - | serotone listen -"
            )
        read = 0
        described = False
        while read < _MOST_HEADER:
            kind, size = struct.unpack("<4sI", self._read(8).ljust(8, b"\0"))
            if kind == b"data" and described:
                self._announced = None if size == 0 or size >= _ENDLESS else size
                return
            if kind == b"\0\0\0\0" or size > _MOST_HEADER:
                break
            body = self._read(size + size % 2)
            if len(body) < size:
                break
            read += 8 + len(body)
            if kind == b"fmt ":
                self._describe(body)
                described = True
        raise AudioFormatError(f"{self.name}: a WAV header without samples after it; the file is damaged")

    def _describe(self, body: bytes) -> None:
        """Take in a format chunk."""
        tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body.ljust(16, b"\0"))
        if tag == _EXTENSIBLE and len(body) >= 26:
            (tag,) = struct.unpack_from("<H", body, 24)
        if (tag, bits) not in _TYPES:
            raise AudioFormatError(
                f"{self.name}: WAV of {bits}-bit samples (format tag {tag:#x}); through a pipe, expected 8 to 32-bit "
                "integers or floats"
            )
        if not (MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE and channels):
            raise AudioFormatError(
                f"{self.name}: its header says {rate} Hz and {channels} channels; "
                f"expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz and at least 1; it is damaged"
            )
        self.sample_rate, self.channels = rate, channels
        self._type, self._width = _TYPES[tag, bits], bits // 8

    def _read(self, size: int) -> bytes:
        """So many bytes, or what there is before the end."""
        data = bytearray()
        while len(data) < size and (more := self._stream.read(size - len(data))):
            data += more
        return bytes(data)
