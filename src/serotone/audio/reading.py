"""Files, bytes, streams and arrays to mono float32 at one rate, as one array in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serotone.audio.decoding import Blocks, Source

MAX_SECONDS = 2 * 3600.0
"""The longest audio that is read where the caller states no bound: 460 MB at 16 kHz."""


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono sound in memory.

    ``samples`` is float32 of shape (T,), nominally within -1 and 1 (float files may exceed that); ``sample_rate`` is in
    Hz. ``warnings`` says what was odd about the source, ``silent`` that every sample is exactly zero, ``name`` what the
    source is called in messages. ``channels`` is how many the source has, and ``notes`` says what was done that is not
    odd, but that the user may want to know: channels that differ were mixed to one.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    warnings: tuple[str, ...] = ()
    silent: bool = False
    name: str = ""
    channels: int = 1
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate


def read(
    source: Source,
    *,
    sample_rate: int = 16000,
    source_rate: int | None = None,
    min_seconds: float = 0.0,
    max_seconds: float | None = None,
    strict: bool = False,
    start: float | None = None,
    end: float | None = None,
    channel: int | None = None,
) -> Audio:
    """Mono audio at the asked rate from a path, the bytes of a file, an open binary file or an array.

    Several channels are averaged, and the mean is brought to the level of the channels that carry sound: those within
    20 dB of the loudest one. Channels that cancel each other are not averaged: the loudest is taken, with a warning.
    Then soxr (HQ) resamples. A seekable file is read from its beginning and left where it stood; any other stream is
    read to its end, and so is a named pipe. An array has shape (T,), or (T, channels) or (channels, T): of two axes the
    shorter holds the channels. Floats are taken as they are; int8, int16 and int32 are divided by their full scale,
    uint8 is centred at 128.

    What FFmpeg decodes is decoded in a child process, with a bound on memory and time, so that a damaged file that
    crashes the decoder is an AudioFormatError. Memory in this process is that of the result (230 MB for an hour at
    16 kHz) and a few blocks.

    Args:
        source: what to read; ``bytes`` are the content of a file, not its name.
        sample_rate: of the result, in Hz.
        source_rate: of an array, in Hz; files state their own.
        min_seconds: least duration of the result, in seconds.
        max_seconds: greatest duration of the result, in seconds, ``MAX_SECONDS`` unless stated. Where the header tells
            the duration, nothing is decoded before this is checked.
        strict: whether audio that ends before its header says is an error; otherwise it is what decodes and a warning.
        start: where to begin, in seconds of the source; what comes before is not decoded where the format can seek.
        end: where to stop, in seconds of the source; it is a warning where the source ends before, also if strict.
        channel: take this channel, counted from 0, instead of mixing all.

    Raises:
        AudioMissingError: there is no such file, or it is a folder.
        AudioFormatError: it is not audio, is damaged so far that too little is left, crashes its decoder, or is an
            array whose meaning is not clear.
        AudioEmptyError: it holds no samples, or none between start and end.
        AudioNotFiniteError: a sample is NaN, infinite or beyond a million times full scale.
        AudioTooShortError, AudioTooLongError: the duration is out of bounds.
        AudioTruncatedError: it ends early, and ``strict`` is true.
        AudioError: it cannot be read for another reason, such as its permissions or an error that it raises itself, or
            it has no such channel.
        MissingExtraError: it is in a container that needs the ``codecs`` extra.
        ValueError: an argument other than the source is out of range.

    >>> tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    >>> audio = read(tone, source_rate=44100)
    >>> audio.samples.shape, audio.samples.dtype, audio.seconds, audio.silent
    ((16000,), dtype('float32'), 1.0, False)
    """
    with Blocks(
        source,
        sample_rate=sample_rate,
        source_rate=source_rate,
        min_seconds=min_seconds,
        max_seconds=MAX_SECONDS if max_seconds is None else max_seconds,
        strict=strict,
        start=start,
        end=end,
        channel=channel,
    ) as blocks:
        samples = blocks.gather()
    return Audio(samples, sample_rate, blocks.warnings, blocks.silent, blocks.name, blocks.channels, blocks.notes)
