"""MP4, WebM and other containers, by PyAV (the ``codecs`` extra) in a child process."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from serotone.audio.formats import Format
from serotone.audio.track import UNKNOWN_FRAMES, Input, Track
from serotone.errors import AudioFormatError, MissingExtraError


def container_track(content: Input, form: Format, name: str, stack: ExitStack) -> Track:
    """What libsndfile does not read, by FFmpeg's demuxer for just this format (nothing that follows references)."""
    codec = form.foreign_codec(content) if form.by_libsndfile else form.kind
    if find_spec("av") is None:
        if codec is None:
            raise AudioFormatError(f"{name}: begins like {form.kind}, but it is damaged or contains no audio")
        raise MissingExtraError(f"{name}: {codec} audio", "codecs")
    if not form.container:
        raise AudioFormatError(f"{name}: begins like {form.kind}, but it is damaged or contains no audio")
    from serotone.audio import decoder_process  # here: most files need no child process

    content.restore()
    child = decoder_process.take()
    stack.callback(lambda: decoder_process.release(child))

    def begin() -> tuple[int, int, float]:
        return child.open(content, form.container, form.kind, name)

    def replace_child() -> None:
        nonlocal child
        child.kill()
        child = decoder_process.take(new=True)

    try:
        rate, channels, seconds = begin()
    except decoder_process.DecoderFailedError:
        if child.fresh:
            raise
        replace_child()
        rate, channels, seconds = begin()
    declared = math.floor(seconds * rate) if 0 < seconds < UNKNOWN_FRAMES / 1e6 else None
    track = Track(rate, declared, channels, slack=1.0)

    def blocks(first: int, last: int | None) -> Iterator[NDArray[np.float32]]:
        at = first
        while True:
            decoding = child.blocks(at, last, channels)
            try:
                while True:
                    block = next(decoding)
                    at += len(block)
                    yield block
            except StopIteration as end:
                problem = end.value
                break
            except decoder_process.DecoderFailedError:
                if child.fresh:
                    raise
                replace_child()
                begin()
        if problem:
            track.warnings.append(f"truncated or damaged: decoding stopped at {at / rate:.2f} s: {problem}")
        elif declared is not None and at < declared - 0.25 * rate and (last is None or at < last):
            track.warnings.append(
                f"truncated: its header announces {declared / rate:.2f} s, but only {at / rate:.2f} s could be decoded"
            )

    track.blocks = blocks
    return track
