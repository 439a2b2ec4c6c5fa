"""MP4, WebM and other containers, by PyAV (the ``codecs`` extra)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from serotone.audio.track import UNKNOWN_FRAMES, Input, Track, float32, mono
from serotone.errors import AudioFormatError, MissingExtraError


def container_track(content: Input, kind: str, container: str, readable: bool, name: str, stack: ExitStack) -> Track:
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
    declared = math.floor(seconds * rate) if seconds is not None and 0 < seconds < UNKNOWN_FRAMES / 1e6 else None
    track = Track(rate, declared, slack=1.0)

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
                    yield mono(float32(values[low:high]))
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
