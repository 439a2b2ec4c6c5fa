"""WAV, FLAC, OGG, MP3, AIFF and their relatives, by libsndfile: whole, streamed and truncated ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serotone.audio.track import BLOCK_VALUES, UNKNOWN_FRAMES, Input, Track

_UNKNOWN_SIZE = 0x7FFFF000  # chunk sizes from here on are what writers to a pipe put for "unknown"


def soundfile_track(content: Input, head: bytes, stack: ExitStack) -> Track | None:
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
    declared = file.frames if 0 < file.frames < UNKNOWN_FRAMES and not estimated else None
    inexact, position = 0, content.tell()
    if file.subtype.startswith("DWVW"):  # says that it can seek, and cannot: soundfile would fail after each block
        file.seekable = lambda: False
    if file.format == "OGG" and not _ogg_is_whole(content):
        warnings.append("truncated: its last page is not marked as the end")
    elif file.subtype.startswith("MPEG"):
        inexact = 3 * 1152  # encoders count their padding differently
    if file.format == "MP3" and not _mp3_is_whole(content):
        warnings.append("truncated: its last frame is incomplete")
    content.seek(position)  # the decoder believes that it stands there
    track = Track(file.samplerate, declared, file.channels, warnings=warnings)

    def blocks(first: int, last: int | None) -> Iterator[NDArray[np.float32]]:
        stop = min((n for n in (declared, last) if n is not None), default=UNKNOWN_FRAMES)
        buffer = np.empty((max(1, BLOCK_VALUES // file.channels), file.channels), np.float32)
        first = min(first, UNKNOWN_FRAMES)
        at, failed = _go_to(file, first), False
        while at < stop and not failed:
            block = buffer[: min(len(buffer), (first if at < first else stop) - at)]
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
            if at > first:
                yield block[:count]
        if declared is not None and at < stop - inexact and not warnings:
            warnings.append(
                f"truncated or damaged: its header announces {declared / file.samplerate:.2f} s, "
                f"but only {at / file.samplerate:.2f} s could be decoded"
            )

    track.blocks = blocks
    return track


def _go_to(file: Any, frame: int) -> int:
    """The frame at which the sound file now stands: this one, or 0 where all before it has to be decoded."""
    import soundfile

    if frame and file.seekable():
        for goal in (frame, 0):
            with suppress(soundfile.SoundFileError):  # beyond where a truncated file ends, for example
                return int(file.seek(goal))
    return 0


def _check_chunks(content: Input, head: bytes) -> list[str]:
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
                if wide >= UNKNOWN_FRAMES or (wide == 0 and there > 0):
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


def _ogg_is_whole(content: Input) -> bool:
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


def mp3_frame_bytes(header: bytes) -> int:
    """Length of the layer III frame that begins with these four bytes, 0 if none does (ISO 11172-3, 2.4.1.3)."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return 0
    mpeg1 = version == 3
    hertz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if mpeg1 else 72) * _MP3_KBITS[mpeg1][bits] * 1000 // hertz + (header[2] >> 1 & 1)


def id3_bytes(head: bytes) -> int:
    """Length of the ID3v2 tag that begins with these ten bytes, 0 if none does."""
    if not head.startswith(b"ID3"):
        return 0
    return 10 + sum((value & 0x7F) << shift for value, shift in zip(head[6:10], (21, 14, 7, 0)))


def _lift_mp3_estimate(content: Input, head: bytes) -> bool:
    """Whether an MP3 does not say how many frames it has, in which case it is made to say "very many".

    libsndfile then estimates the number from the first frame's bit rate and stops there: where the bit rate varies, in
    the middle. A leading frame with a Xing tag lifts that bound, and decoding goes on to the end of the file.
    """
    at = id3_bytes(head)
    first = content.at(at, 4)
    length = mp3_frame_bytes(first)
    if not length or any(tag in content.at(at, length) for tag in (b"Xing", b"Info", b"VBRI")):
        return False
    mpeg1, mono = first[1] >> 3 & 3 == 3, first[3] >> 6 == 3
    side = bytes((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    for bits in range(1, 15):
        header = bytes([first[0], first[1] | 1, bits << 4 | first[2] & 0x0C, first[3]])
        frame = header + side + b"Xing" + struct.pack(">II", 1, 2**31 - 1)
        if (length := mp3_frame_bytes(header)) >= len(frame):
            content.lead(frame + bytes(length - len(frame)), at)
            return True
    return False


def _mp3_is_whole(content: Input) -> bool:
    """False only where a chain of frames plainly ends in the middle of one; anything unclear passes."""
    size = content.size
    tail = content.at(max(0, size - 16_384), 16_384)
    for begin in range(max(0, len(tail) - 4)):
        at, frames = begin, 0
        while length := mp3_frame_bytes(tail[at : at + 4]):
            at, frames = at + length, frames + 1
        if frames >= 4:
            return at <= len(tail)
    return True
