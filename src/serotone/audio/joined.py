"""Recordings joined to one file byte by byte (``cat a.mp3 b.mp3``), each of which has a header of its own.

For Ogg this is a legal stream, a chain (RFC 3533, section 4). libsndfile alone stops after the first recording.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from serotone.audio.libsndfile import id3_bytes, mp3_frame_bytes, soundfile_track
from serotone.audio.track import Input, Track

_OGG_BEGINNING = re.compile(rb"OggS\0[\x02\x06]\0{8}")  # a page that begins a stream, at position 0
_SCAN_BYTES = 2**20


def joined_track(content: Input, head: bytes) -> Track | None:
    """All recordings of an MP3 or Ogg file one after another; None: there is one, or the first cannot be opened."""
    if head[:4] == b"OggS":
        begins = _ogg_begins(content)
    elif head[:3] == b"ID3" or head[0] == 0xFF:
        begins = _mp3_begins(content)
    else:
        return None
    parts = list(pairwise([*begins, content.size]))
    if len(parts) < 2:
        return None
    with ExitStack() as stack:
        opened = _open_part(content, parts[0], stack)
    if opened is None:
        content.restore()
        return None
    rate, channels = opened.rate, opened.channels
    track = Track(rate, None, channels)

    def blocks(first: int, last: int | None) -> Iterator[NDArray[np.float32]]:
        at = 0
        for place in parts:
            if last is not None and at >= last:
                return
            with ExitStack() as stack:
                part = _open_part(content, place, stack)
                if part is None or (part.rate, part.channels) != (rate, channels):
                    why = "cannot be decoded"
                    if part is not None:
                        why = f"has {part.rate} Hz and {part.channels} channels, not {rate} Hz and {channels}"
                    track.warnings.append(
                        "truncated: this file consists of several recordings, and the one that begins at "
                        f"{at / rate:.2f} s {why}; only what comes before it was read. "
                        "Put each recording into a file of its own"
                    )
                    return
                skipped = max(0, first - at)
                if part.frames is not None and part.frames <= skipped:
                    at += part.frames
                    continue
                begin, at = at, at + skipped
                for block in part.blocks(skipped, None if last is None else last - begin):
                    at += len(block)
                    yield block
                track.warnings += [f"{warning} (in the part from {begin / rate:.2f} s on)" for warning in part.warnings]

    track.blocks = blocks
    return track


def _open_part(content: Input, place: tuple[int, int], stack: ExitStack) -> Track | None:
    content.restrict(*place)
    return soundfile_track(content, content.at(0, 64), stack)


def _ogg_begins(content: Input) -> list[int]:
    """Where recordings begin: with a page that begins a stream and does not follow another one such."""
    begins, after = [0], 0
    for start in range(0, content.size, _SCAN_BYTES):
        for found in _OGG_BEGINNING.finditer(content.at(start, _SCAN_BYTES + 13)):
            at = start + found.start()
            if at != after:
                begins.append(at)
            header = content.at(at, 27 + 255).ljust(27, b"\0")
            after = at + 27 + header[26] + sum(header[27 : 27 + header[26]])
    return begins


def _mp3_begins(content: Input) -> list[int]:
    """Where recordings begin: one that has a tag with its size in bytes is followed by whole frames."""
    begins = [0]
    while (at := _after_mp3(content, begins[-1])) and _begins_mp3(content, at):
        begins.append(at)
    return begins


def _after_mp3(content: Input, begin: int) -> int:
    """Where an MP3 that begins there ends by its Xing or Info tag, tags behind it included; 0: it does not say."""
    begin += id3_bytes(content.at(begin, 10))
    frame = content.at(begin, mp3_frame_bytes(content.at(begin, 4)))
    tag = re.search(rb"(?:Xing|Info)\0\0\0(.)(.{8})", frame, re.DOTALL)
    if tag is None or not tag[1][0] & 2:
        return 0
    size: int = struct.unpack_from(">I", tag[2], 4 * (tag[1][0] & 1))[0]  # after the number of frames, if that is there
    at = begin + max(size, len(frame))
    while True:
        head = content.at(at, 32)
        if head[:3] == b"TAG":
            at += 128
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            at += 32 + int.from_bytes(head[12:16], "little")
        else:
            return at


def _begins_mp3(content: Input, at: int) -> bool:
    """Whether an MP3 begins there: four frames in a row, perhaps after an ID3 tag."""
    at += id3_bytes(content.at(at, 10))
    for _ in range(4):
        length = mp3_frame_bytes(content.at(at, 4))
        at += length
        if not length or at > content.size:
            return False
    return True
