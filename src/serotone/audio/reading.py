"""Files, bytes, streams and arrays to mono float32 at one rate: in blocks, however the source is encoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from serotone.audio.containers import container_track
from serotone.audio.formats import sniff
from serotone.audio.libsndfile import soundfile_track
from serotone.audio.mixing import Mixer
from serotone.audio.sources import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, array_track, name_of, open_content
from serotone.audio.track import UNKNOWN_FRAMES, Input, Track
from serotone.errors import (
    AudioEmptyError,
    AudioError,
    AudioFormatError,
    AudioNotFiniteError,
    AudioTooLongError,
    AudioTooShortError,
    AudioTruncatedError,
)

MAX_SECONDS = 2 * 3600.0
"""The longest audio that is read where the caller states no bound: 460 MB at 16 kHz."""

_START_VALUES = 2**22  # output values allocated before any are there, whatever the header says
_ROUNDING = 0.6  # of a frame, by which a bound in seconds may miss a whole number of frames
_LOUDEST = 1e6  # times full scale: beyond it nothing is audio
_ODDLY_LOUD = 32.0  # times full scale (30 dB): what a gain in a chain of effects may give, and integers do not


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
    source: str | Path | bytes | BinaryIO | NDArray[Any],
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
        end: where to stop, in seconds of the source.
        channel: take this channel, counted from 0, instead of mixing all.

    Raises:
        AudioMissingError: there is no such file, or it is a folder.
        AudioFormatError: it is not audio, is damaged so far that too little is left, crashes its decoder, or is an
            array whose meaning is not clear.
        AudioEmptyError: it holds no samples, or none between start and end.
        AudioNotFiniteError: a sample is NaN, infinite or beyond a million times full scale.
        AudioTooShortError, AudioTooLongError: the duration is out of bounds.
        AudioTruncatedError: it ends early, and ``strict`` is true.
        AudioError: it cannot be read for another reason, such as its permissions, or it has no such channel.
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
    if channel is not None and channel < 0:
        raise ValueError(f"channel is {channel}; expected 0 for the first, 1 for the second and so on")
    name = name_of(source)
    begin = 0.0 if start is None else start
    if not (0 <= begin < math.inf and (end is None or begin < end < math.inf)):
        raise AudioError(f"{name}: asked from {start} to {end} s; expected 0 <= start < end")

    with ExitStack() as stack, np.errstate(over="ignore", invalid="ignore"):
        is_array = hasattr(source, "__array__")
        content = None if is_array else open_content(source, name, longest, stack)

        def open_track() -> Track:
            return (
                array_track(np.asarray(source), source_rate, name) if content is None else _open(content, name, stack)
            )

        track = open_track()
        rate = track.rate
        if channel is not None and channel >= track.channels:
            count = f"{track.channels} channel{'s' if track.channels > 1 else ''}"
            raise AudioError(f"{name}: has {count}, and channel {channel} was asked for (0 is the first)")
        first, last = round(begin * rate), None if end is None else round(end * rate)
        if track.frames is not None and 0 < track.frames <= first:
            raise AudioEmptyError(f"{name}: nothing from {begin:g} s on; it ends at {track.frames / rate:.2f} s")
        known_ends = [n for n in (track.frames, last) if n is not None]
        known = min(known_ends) - first if known_ends else None
        if known is not None and track.frames is not None and known > (longest + track.slack) * rate + _ROUNDING:
            raise AudioTooLongError(_too_long(name, f"{known / rate:.1f} s", longest))

        # One frame more than is allowed is asked for, so that decoding ends by itself and the child is not interrupted.
        too_many = first + math.floor(min(longest * rate, UNKNOWN_FRAMES) + _ROUNDING) + 1
        until = too_many if last is None else min(last, too_many)

        def gather(track: Track, mixer: Mixer) -> tuple[NDArray[np.float32], int, float]:
            gathered = _gather(track.blocks(first, until), mixer, rate, sample_rate, known, longest, name)
            if content is not None:
                content.check(name)
            return gathered

        mixer = Mixer(track.channels, channel)
        samples, frames, peak = gather(track, mixer)
        cancelled = mixer.cancelled
        if cancelled:
            del samples
            mixer = Mixer(track.channels, mixer.loudest)
            track = open_track()
            samples, frames, peak = gather(track, mixer)

    least = f"{min_seconds or 1 / sample_rate:.3g} s"
    damaged = bool(track.warnings)
    if frames == 0:
        if damaged and not first:
            raise AudioFormatError(f"{name}: not one sample of audio can be decoded: {track.warnings[0]}")
        why = f": {track.warnings[0]}" if damaged else " between start and end" if first or last else ""
        raise AudioEmptyError(f"{name}: not one sample of audio{why}")
    if last is not None and first + frames < last - max(1, 0.05 * rate) and not damaged:
        track.warnings.append(f"asked until {end:g} s, but it ends at {(first + frames) / rate:.2f} s")
    if strict and track.warnings:
        raise AudioTruncatedError(f"{name}: {track.warnings[0]}")
    if frames + _ROUNDING < min_seconds * rate or not len(samples):
        if damaged:
            raise AudioFormatError(f"{name}: {track.warnings[0]}; at least {least} are needed")
        raise AudioTooShortError(f"{name}: {frames / rate:.3g} s of audio; at least {least} are needed")
    notes = [f"{track.channels} channels mixed to one"] if mixer.differ else []
    if cancelled:
        track.warnings.append(
            f"its channels cancel each other (one is inverted): only channel {(mixer.only or 0) + 1} of "
            f"{track.channels} was taken"
        )
    if peak > _ODDLY_LOUD:
        track.warnings.append(
            f"samples up to {peak:.3g}, where -1 to 1 is expected; divide integers by their full scale, such as 32768"
        )
    silent = not samples.any()
    return Audio(samples, sample_rate, tuple(track.warnings), silent, name, track.channels, tuple(notes))


def _too_long(name: str, length: str, longest: float) -> str:
    return (
        f"{name}: {length} of audio; at most {longest:g} s are read here. Raise the bound (--max-seconds, or "
        "max_seconds in Python), or cut the recording into parts"
    )


def _open(content: Input, name: str, stack: ExitStack) -> Track:
    content.restore()
    head = content.at(0, 64)
    content.check(name)
    form = sniff(head, name)
    track = soundfile_track(content, head, stack) if form.by_libsndfile else None
    content.check(name)
    if track is None:
        track = container_track(content, form, name, stack)
    content.check(name)
    if not MIN_SAMPLE_RATE <= track.rate <= MAX_SAMPLE_RATE:
        expected = f"expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}"
        raise AudioFormatError(f"{name}: its header says {track.rate} Hz, {expected}; the file is damaged")
    return track


def _gather(
    blocks: Iterator[NDArray[np.float32]],
    mixer: Mixer,
    rate: int,
    sample_rate: int,
    known: int | None,
    longest: float,
    name: str,
) -> tuple[NDArray[np.float32], int, float]:
    """Blocks at ``rate`` to one array at ``sample_rate``; how many frames they held; the greatest magnitude."""
    resample: Callable[..., NDArray[np.float32]] | None = None
    if rate != sample_rate:
        import soxr  # here: not every read needs it

        resample = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ").resample_chunk
    expected = _START_VALUES if known is None else math.ceil(known / rate * sample_rate) + 1
    out = np.empty(min(expected, _START_VALUES), np.float32)
    filled = frames = 0
    peak = 0.0

    def append(block: NDArray[np.float32]) -> None:
        nonlocal filled
        if filled + len(block) > len(out):
            out.resize(max(filled + len(block), len(out) * 3 // 2), refcheck=False)
        out[filled : filled + len(block)] = block
        filled += len(block)

    for frames_block in blocks:
        block = mixer.mix(frames_block)
        extreme = max(abs(float(block.min())), abs(float(block.max())))  # NaN where there is one
        if not extreme <= _LOUDEST:
            bad = ~(np.abs(block) <= _LOUDEST)
            seconds, value = (frames + int(bad.argmax())) / rate, float(block[bad.argmax()])
            what = f"a sample of {value:.3g}" if math.isfinite(value) else "NaN or infinity"
            raise AudioNotFiniteError(f"{name}: {what} {seconds:.3f} s in; expected samples of about -1 to 1")
        peak = max(peak, extreme)
        frames += len(block)
        append(block if resample is None else resample(np.ascontiguousarray(block)))
    if frames > longest * rate + _ROUNDING:
        raise AudioTooLongError(_too_long(name, f"more than {longest:g} s", longest))
    if resample is not None and frames:
        append(resample(np.empty(0, np.float32), last=True))
    out.resize(filled, refcheck=False)
    if mixer.gain != 1.0:
        out *= np.float32(mixer.gain)
    return out, frames, peak * mixer.gain
