"""A source of sound in blocks of mono float32 at one rate: the one place that decodes, mixes, resamples and checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from serotone.audio.containers import container_track
from serotone.audio.formats import AAC, begins_aac, sniff
from serotone.audio.joined import joined_track
from serotone.audio.libsndfile import id3_bytes, soundfile_track
from serotone.audio.mixing import Mixer
from serotone.audio.sources import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, array_track, as_array, name_of, open_content
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
from serotone.names import count_of

Source = str | Path | bytes | BinaryIO | NDArray[Any]
"""What can be read: a path, the bytes of a file, an open binary file, or an array of samples."""

LOUDEST = 1e6
"""Times full scale: beyond it nothing is audio."""

_START_VALUES = 2**22  # values allocated before any are there, whatever the header says
_ROUNDING = 0.6  # of a frame, by which a bound in seconds may miss a whole number of frames
_ODDLY_LOUD = 32.0  # times full scale (30 dB): what a gain in a chain of effects may give, and integers do not


def whole(what: str, value: object) -> int:
    """A whole number of NumPy's or Python's, as Python's; ValueError, naming what it is, for anything else."""
    if isinstance(value, bool | np.bool_) or not (isinstance(value, Integral) or getattr(value, "is_integer", bool)()):
        raise ValueError(f"{what} is {value!r}; expected a whole number")
    return int(value)  # type: ignore[call-overload, no-any-return]


def check_values(samples: NDArray[Any], name: str, before: int, rate: int) -> float:
    """The greatest absolute value of samples (T,) of at least one; ``before`` samples at ``rate`` came before them.

    Raises AudioNotFiniteError: one is NaN, infinite or far beyond audio.
    """
    extreme = max(abs(float(samples.min())), abs(float(samples.max())))  # NaN where there is one
    if not extreme <= LOUDEST:
        first = int((~(np.abs(samples) <= np.float32(LOUDEST))).argmax())  # beyond what float16 holds
        value = float(samples[first])
        what = f"a sample of {value:.3g}" if math.isfinite(value) else "NaN or infinity"
        seconds = (before + first) / rate
        raise AudioNotFiniteError(f"{name}: {what} {seconds:.3f} s in; expected samples of about -1 to 1")
    return extreme


def loudness_remarks(peak: float) -> list[str]:
    """What to say of samples whose greatest absolute value is this; nothing where that is plausible."""
    if peak <= _ODDLY_LOUD:
        return []
    return [f"samples reach {peak:.3g}, but -1 to 1 is expected; divide integers by their full scale, such as 32768"]


def distinct_texts(one: float, other: float) -> tuple[str, str]:
    """Two numbers to three digits, or to as many as it takes to tell them apart.

    >>> distinct_texts(0.3, 0.5), distinct_texts(7999 / 16000, 0.5)
    (('0.3', '0.5'), ('0.4999', '0.5'))
    """
    texts = ((f"{one:.{digits}g}", f"{other:.{digits}g}") for digits in range(3, 18))
    return next((pair for pair in texts if pair[0] != pair[1]), (f"{one:.3g}", f"{other:.3g}"))


class Blocks(Iterator[NDArray[np.float32]]):
    """An opened source that gives its sound block by block, once; close it, or use it in a ``with`` statement.

    A block is mono float32 of shape (T,), T at least 1 and otherwise as it comes; it belongs to the caller. Arguments
    and errors are those of `read`, without a bound on the length unless ``max_seconds`` is given. What opening shows is
    raised at once. The rest is raised by the block where it shows, and so is what only the end can show: audio that is
    too short, or truncated where ``strict`` is set.

    Memory is that of a few blocks, however long the source is. A source of one channel, or of which one ``channel`` is
    taken, is decoded once. How several channels are mixed depends on all of them, to their ends: such a source is
    decoded twice, first to measure its channels. A stream that cannot seek is copied first, to its end: into memory, or
    from 64 MiB on into a temporary file.

    ``name``, ``sample_rate`` (Hz), ``channels`` and ``source_rate`` (Hz) are known from the start. ``notes`` and
    ``warnings`` are those of `Audio`, as far as they are known yet. ``silent`` says that all samples so far are exactly
    zero, ``seconds`` how long the blocks so far are.

    >>> tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    >>> with Blocks(tone, source_rate=44100) as blocks:
    ...     print(sum(len(block) for block in blocks), blocks.seconds)
    16000 1.0
    """

    def __init__(
        self,
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
    ) -> None:
        longest = math.inf if max_seconds is None else max_seconds
        sample_rate = whole("sample_rate", sample_rate)
        channel = None if channel is None else whole("channel", channel)
        if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
            raise ValueError(f"sample_rate is {sample_rate}; expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz")
        if not 0 <= min_seconds <= longest:
            raise ValueError(f"min_seconds is {min_seconds} and max_seconds {longest}; expected 0 <= min <= max")
        if channel is not None and channel < 0:
            raise ValueError(f"channel is {channel}; expected 0 for the first, 1 for the second and so on")
        self.name = name_of(source)
        begin, end = 0.0 if start is None else float(start), None if end is None else float(end)
        if not (0 <= begin < math.inf and (end is None or begin < end < math.inf)):
            raise AudioError(f"{self.name}: start is {start} and end is {end}; expected 0 <= start < end, in seconds")
        self.sample_rate = sample_rate
        self.silent = True
        self.notes: tuple[str, ...] = ()
        self._min_seconds, self._longest, self._strict, self._end = min_seconds, longest, strict, end
        self._remarks: list[str] = []  # warnings that are not about where the source ends
        self._gain = 1.0
        self._given = self._frames = 0
        self._peak = 0.0
        with np.errstate(over="ignore", invalid="ignore"), ExitStack() as stack:
            if hasattr(source, "__array__"):
                self._content, array = None, as_array(source, self.name)
                rate = None if source_rate is None else whole("source_rate", source_rate)
                self._open: Callable[[], Track] = lambda: array_track(array, rate, self.name)
            else:
                self._content = content = open_content(source, self.name, longest, stack)
                if source_rate is not None:
                    raise ValueError(f"{self.name}: source_rate is {source_rate}, but a file says its own rate")
                self._open = lambda: _open(content, self.name, self._stack)
            self._stack = stack
            self._track = self._open()
            self._check_header(begin, channel)
            self._stack = stack.pop_all()
        self._mixer = Mixer(self.channels, channel)
        self._blocks = self._run()

    def _check_header(self, begin: float, channel: int | None) -> None:
        """What the header alone can tell, and the frames that are asked for."""
        name, track, end = self.name, self._track, self._end
        self.channels, self.source_rate = track.channels, track.rate
        rate = track.rate
        if channel is not None and channel >= track.channels:
            count = count_of(track.channels, "channel")
            raise AudioError(f"{name}: has {count}, and channel {channel} was asked for (0 is the first)")
        first = round(min(begin * rate, UNKNOWN_FRAMES))
        last = None if end is None else round(min(end * rate, UNKNOWN_FRAMES))
        if track.frames is not None and 0 < track.frames <= first:
            raise AudioEmptyError(f"{name}: no audio after {begin:g} s; it ends at {track.frames / rate:.2f} s")
        known_ends = [n for n in (track.frames, last) if n is not None]
        self._known = max(0, min(known_ends) - first) if known_ends else None
        most = (self._longest + track.slack) * rate + _ROUNDING
        if self._known is not None and track.frames is not None and self._known > most:
            raise self._too_long(f"{self._known / rate:.1f} s")
        # One frame more than is allowed is asked for, so that decoding ends by itself and the child is not interrupted.
        too_many = first + math.floor(min(self._longest * rate, UNKNOWN_FRAMES) + _ROUNDING) + 1
        self._first, self._last = first, last
        self._until = too_many if last is None else min(last, too_many)

    @property
    def seconds(self) -> float:
        """How long the blocks so far are, in seconds."""
        return self._given / self.sample_rate

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the source, as far as it is known yet."""
        return (*self._track.warnings, *self._remarks)

    def __next__(self) -> NDArray[np.float32]:
        """The next block."""
        return next(self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the source; there are no more blocks. Closing twice changes nothing."""
        self._blocks.close()
        self._stack.close()

    def gather(self) -> NDArray[np.float32]:
        """All of the sound in one array (T,), for a source of which no block was taken yet.

        Nothing is decoded twice for it, but where channels cancel each other.
        """
        samples = self._gathered()
        if self._judge_channels():
            del samples
            self._reopen()
            samples = self._gathered()
        if self._gain != 1.0:
            samples *= np.float32(self._gain)
        self._conclude()
        return samples

    def _run(self) -> Generator[NDArray[np.float32], None, None]:
        """The blocks; several channels are measured before."""
        with self._stack:
            if self._mixer.measures:
                for _ in self._decoded():
                    pass
                self._judge_channels()
                self._reopen()
            for block in self._resampled():
                if self._gain != 1.0:
                    block *= np.float32(self._gain)
                yield block
            self._conclude()

    def _gathered(self) -> NDArray[np.float32]:
        known, rate = self._known, self.source_rate
        expected = _START_VALUES if known is None else math.ceil(known / rate * self.sample_rate) + 1
        out = np.empty(min(expected, _START_VALUES), np.float32)
        filled = 0
        for block in self._resampled():
            if filled + len(block) > len(out):
                out.resize(max(filled + len(block), len(out) * 3 // 2), refcheck=False)
            out[filled : filled + len(block)] = block
            filled += len(block)
        out.resize(filled, refcheck=False)
        return out

    def _resampled(self) -> Iterator[NDArray[np.float32]]:
        """Mono blocks at the asked rate, each an array of its own, before the gain; none is empty."""
        self._given = 0
        for block in self._at_rate():
            if len(block):
                self._given += len(block)
                self.silent = self.silent and not block.any()
                yield block

    def _at_rate(self) -> Iterator[NDArray[np.float32]]:
        if self.source_rate == self.sample_rate:
            for block in self._decoded():
                yield block.copy()  # decoders fill the same buffer again
            return
        import soxr  # here: not every read needs it

        stream = soxr.ResampleStream(self.source_rate, self.sample_rate, 1, dtype="float32", quality="HQ")
        for block in self._decoded():
            yield stream.resample_chunk(np.ascontiguousarray(block))
        if self._frames:
            yield stream.resample_chunk(np.empty(0, np.float32), last=True)

    def _decoded(self) -> Iterator[NDArray[np.float32]]:
        """Mono blocks at the rate of the source, checked one by one."""
        self._frames, self._peak = 0, 0.0
        decoding = self._track.blocks(self._first, self._until)
        while True:
            with np.errstate(over="ignore", invalid="ignore"):  # not around a yield, where it would be the caller's
                frames = next(decoding, None)
                if frames is None:
                    break
                block = self._mixer.mix(frames)
                self._peak = max(self._peak, check_values(block, self.name, self._frames, self.source_rate))
            self._frames += len(block)
            yield block
        if self._frames > self._longest * self.source_rate + _ROUNDING:
            raise self._too_long(f"more than {self._longest:g} s")
        if self._content is not None:
            self._content.check(self.name)

    def _judge_channels(self) -> bool:
        """Decide by all that was mixed how loud the mean is to be; True: channels cancel, and one is to be taken."""
        mixer = self._mixer
        if mixer.cancelled:
            self._mixer = Mixer(self.channels, mixer.loudest)
            self._remarks.append(
                f"its {self.channels} channels cancel each other out (one is inverted), so only "
                f"channel {mixer.loudest} was used (0 is the first)"
            )
            return True
        self._gain = mixer.gain
        self.notes = (f"{self.channels} channels mixed to one",) if mixer.differ else ()
        return False

    def _reopen(self) -> None:
        self._track = self._open()
        if (self._track.rate, self._track.channels) != (self.source_rate, self.channels):
            raise AudioError(f"{self.name}: changed while it was being read; try again")

    def _conclude(self) -> None:
        """What only the end can show."""
        name, rate, frames, track = self.name, self.source_rate, self._frames, self._track
        damaged = bool(track.warnings)
        if frames == 0:
            if damaged and not self._first:
                raise AudioFormatError(f"{name}: no audio could be decoded: {track.warnings[0]}")
            asked = self._first or self._last
            why = f": {track.warnings[0]}" if damaged else " between start and end" if asked else ""
            raise AudioEmptyError(f"{name}: contains no audio{why}")
        stop = self._first + frames
        if self._last is not None and stop < self._last - max(1, 0.05 * rate) and not damaged:
            self._remarks.append(f"asked for audio up to {self._end:g} s, but it ends at {stop / rate:.2f} s")
        if self._strict and track.warnings:
            raise AudioTruncatedError(f"{name}: {track.warnings[0]}")
        if frames + _ROUNDING < self._min_seconds * rate or not self._given:
            length, least = distinct_texts(frames / rate, self._min_seconds or 1 / self.sample_rate)
            if damaged:
                raise AudioFormatError(f"{name}: {track.warnings[0]}; at least {least} s are needed")
            raise AudioTooShortError(f"{name}: {length} s of audio; at least {least} s are needed")
        self._remarks += loudness_remarks(self._peak * self._gain)

    def _too_long(self, length: str) -> AudioTooLongError:
        return AudioTooLongError(
            f"{self.name}: {length} of audio; at most {self._longest:g} s are accepted here. Raise the limit "
            "(--max-seconds, or max_seconds in Python), or cut the recording into parts"
        )


def _open(content: Input, name: str, stack: ExitStack) -> Track:
    content.restore()
    head = content.at(0, 64)
    content.check(name)
    form = sniff(head, name)
    if (tag := id3_bytes(head)) and begins_aac(content.at(tag, 2)):  # as in streams over HTTP (HLS)
        form = AAC
    track = None
    if form.by_libsndfile:
        track = joined_track(content, head) or soundfile_track(content, head, stack)
    content.check(name)
    if track is None:
        track = container_track(content, form, name, stack)
    content.check(name)
    if not MIN_SAMPLE_RATE <= track.rate <= MAX_SAMPLE_RATE:
        expected = f"expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}"
        raise AudioFormatError(f"{name}: its header says {track.rate} Hz, {expected}; the file is damaged")
    return track
