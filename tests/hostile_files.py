"""Files that try to break whatever reads them: broken fields, truncations, odd sounds, bombs, odd names, odd things.

`make` writes some 400 of them into a folder; all are made here, from half a second of tone.
"""

import io
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000

# (offset, bytes) of every field of the header; what follows the last is sound
FIELDS: dict[str, tuple[tuple[int, int], ...]] = {
    # RIFF, size, WAVE, "fmt ", its size, tag, channels, rate, bytes a second, block, bits, "data", its size
    "wav": ((0, 4), (4, 4), (8, 4), (12, 4), (16, 4), (20, 2), (22, 2), (24, 4), (28, 4), (32, 2), (34, 2), (36, 4),
            (40, 4)),
    # mark, block type, its length, block sizes, frame sizes, rate and channels and bits, samples, MD5, first frame
    "flac": ((0, 4), (4, 1), (5, 3), (8, 2), (10, 2), (12, 3), (15, 3), (18, 3), (20, 2), (22, 4), (26, 16), (42, 1),
             (43, 3)),
    # mark, version, type, position, serial, number, CRC, segments, table; then Vorbis: kind, name, version, channels,
    # rate, three bit rates, block sizes, end; the second page
    "ogg": ((0, 4), (4, 1), (5, 1), (6, 8), (14, 4), (18, 4), (22, 4), (26, 1), (27, 1), (28, 1), (29, 6), (35, 4),
            (39, 1), (40, 4), (44, 4), (48, 4), (52, 4), (56, 1), (57, 1), (58, 4), (84, 1), (85, 3)),
    # sync and version and layer, bit rate and rate, channels, side information, the tag "Info" and its numbers
    "mp3": ((0, 2), (1, 1), (2, 1), (3, 1), (4, 8), (12, 9), (21, 4), (25, 4), (29, 4), (33, 8)),
}  # fmt: skip
KINDS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
CUTS = (0, 1, 3, 4, 8, 11, 12, 20, 27, 35, 42, 44, 45, 60, 100)


def encoded(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def tone(seconds: float = 0.5, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def make(folder: Path) -> int:
    """Write all of them; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (*_broken(), *_cut(), *_sounds(), *_bombs(), *_foreign()):
        (folder / name).write_bytes(content)
    _names(folder)
    _things(folder)
    return sum(len(files) for _, _, files in os.walk(folder))


def _whole() -> dict[str, bytes]:
    return {suffix: encoded(tone(), kind=kind, subtype=subtype) for suffix, (kind, subtype) in KINDS.items()}


def _broken() -> Iterator[tuple[str, bytes]]:
    """Each field of each format with each of five values; Ogg pages get the CRC that fits."""
    for suffix, content in _whole().items():
        for at, size in FIELDS[suffix]:
            old = int.from_bytes(content[at : at + size], "little")
            top = 256**size
            for number, value in enumerate((0, 1, top - 1, top // 2, (old + 1) % top, old ^ 0x55)):
                changed = bytearray(content)
                changed[at : at + size] = (value % top).to_bytes(size, "little")
                fitting = _with_crc(changed) if suffix == "ogg" and at not in (22, 58, 84, 85) else bytes(changed)
                yield f"field-{at:03}-{number}.{suffix}", fitting


def _with_crc(page: bytearray) -> bytes:
    """The first page of an Ogg file with the CRC of what it holds (RFC 3533; polynomial 0x04c11db7)."""
    end = 27 + page[26] + sum(page[27 : 27 + page[26]])
    page[22:26] = bytes(4)
    crc = 0
    for byte in page[:end]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 1 << 31 else crc << 1) & 0xFFFFFFFF
    page[22:26] = crc.to_bytes(4, "little")
    return bytes(page)


def _cut() -> Iterator[tuple[str, bytes]]:
    """Truncated in and behind the header, in the middle, at the last byte; and with something behind the end."""
    for suffix, content in _whole().items():
        for length in (*CUTS, len(content) // 2, len(content) - 1):
            yield f"cut-{length:06}.{suffix}", content[:length]
        yield f"longer.{suffix}", content + bytes(1000)
        yield f"twice.{suffix}", content + content


def _sounds() -> Iterator[tuple[str, bytes]]:
    """Sound that nobody sends on purpose."""
    sounds = {
        "nothing": np.zeros(0),
        "one-sample": np.ones(1) * 0.5,
        "two-samples": np.ones(2) * 0.5,
        "silence": np.zeros(RATE),
        "constant": np.full(RATE, 0.7),
        "least": np.full(RATE, 1e-40),
        "not-a-number": np.full(RATE, np.nan),
        "one-nan": np.where(np.arange(RATE) == 9999, np.nan, tone(1.0)),
        "infinite": np.full(RATE, np.inf),
        "minus-infinite": np.where(np.arange(RATE) == 3, -np.inf, tone(1.0)),
        "huge": np.full(RATE, 1e30),
        "loud": tone(1.0) * 1000,
    }
    for name, samples in sounds.items():
        yield f"sound-{name}.wav", encoded(samples.astype(np.float32), subtype="FLOAT")
        yield f"sound-{name}-64.wav", encoded(samples.astype(np.float64), subtype="DOUBLE")
    for channels in (2, 3, 32, 255):
        frames = np.tile(tone()[:, None], (1, channels))
        yield f"channels-{channels}.wav", encoded(frames)
        frames[:, 1::2] *= -1
        yield f"channels-{channels}-opposed.wav", encoded(frames)
    for rate in (1, 100, 1000, 8000, 11025, 192_000, 384_000, 768_000, 2_000_000):
        yield f"rate-{rate}.wav", encoded(tone(0.5, max(rate, 100)), rate)
    for subtype in ("PCM_U8", "PCM_24", "PCM_32", "ULAW", "ALAW", "IMA_ADPCM", "GSM610"):
        yield f"kind-{subtype}.wav", encoded(tone(), subtype=subtype)


def _bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that say or hold much."""
    content = encoded(tone())
    yield "bomb-size.wav", content[:40] + struct.pack("<I", 2**32 - 8) + content[44:]
    yield "bomb-chunks.wav", content[:12] + b"junk\0\0\0\0" * 50_000 + content[12:]
    yield "bomb-list.wav", content[:12] + b"LIST\xff\xff\xff\x7f" + content[12:]
    yield "bomb-format.wav", content[:16] + b"\xff\xff\xff\x7f" + content[20:]
    yield "bomb-tag.mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + encoded(tone(), kind="MP3")
    yield "bomb-tags.mp3", b"ID3\x04\0\0\0\0\0\0" * 20_000 + encoded(tone(), kind="MP3")
    hours = bytearray(encoded(np.zeros(RATE * 600, np.int16), kind="FLAC"))
    yield "bomb-silence.flac", bytes(hours)
    hours[21] &= 0xF0
    hours[22:26] = bytes(4)  # its number of samples: unknown
    yield "bomb-silence-unknown.flac", bytes(hours)
    yield "bomb-blocks.flac", b"fLaC" + b"\x01\0\0\0" * 50_000
    yield "bomb-pages.ogg", encoded(tone(), kind="OGG")[:58] * 5000


def _foreign() -> Iterator[tuple[str, bytes]]:
    """What is no audio, under the name of it."""
    marks = {
        "text": b"hello", "png": b"\x89PNG\r\n\x1a\n", "elf": b"\x7fELF\x02\x01\x01", "pdf": b"%PDF-1.7",
        "gzip": b"\x1f\x8b\x08", "zeros": bytes(5000), "ones": b"\xff" * 5000, "heic": b"\0\0\0\x18ftypheic",
        "mp4": b"\0\0\0\x18ftypM4A \0\0\0\0", "webm": b"\x1a\x45\xdf\xa3\xff\xff\xff\xff",
        "asf": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "riff": b"RIFF\0\0\0\0AVI ",
    }  # fmt: skip
    noise = np.random.default_rng(0)
    for name, mark in marks.items():
        yield f"foreign-{name}.wav", mark
        yield f"foreign-{name}-and-noise.mp3", mark + noise.bytes(3000)
    for suffix in KINDS:
        yield f"noise.{suffix}", noise.bytes(5000)


def _names(folder: Path) -> None:
    """Whole files with names that trip up what prints, sorts or stores them."""
    content = encoded(tone())
    names = [
        b"\xff\xfe.wav", b"new\nline.wav", b"-rf.wav", b"--help.wav", b"\x1b[31mred.wav", b"a#t=1,2.wav", b"100%.wav",
        b" .wav", b"quote'\".wav", b"comma,.wav", b"back\\slash.wav", "\u202egnp.wav".encode(), b"a" * 251 + b".wav",
        b"LOUD.WAV", b"=1+1.wav", b"file:.wav", b"tab\t.wav",
    ]  # fmt: skip
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(content)


def _things(folder: Path) -> None:
    """What is no regular file, or only looks like one."""
    os.mkfifo(folder / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket may not be long
        try:
            made.bind("socket.wav")
        finally:
            os.chdir(here)
    (folder / "dangling.wav").symlink_to(folder / "nowhere.wav")
    (folder / "loop-a.wav").symlink_to(folder / "loop-b.wav")
    (folder / "loop-b.wav").symlink_to(folder / "loop-a.wav")
    (folder / "endless.wav").symlink_to("/dev/zero")
    (folder / "folder.wav").mkdir()
    (folder / "up").symlink_to(folder)
    (folder / "empty.wav").touch()
    sparse = folder / "sparse.wav"
    sparse.write_bytes(encoded(tone())[:40] + struct.pack("<I", 2**32 - 8))
    os.truncate(sparse, 2**38)
    (folder / "sparse-zeros.wav").touch()
    os.truncate(folder / "sparse-zeros.wav", 2**38)
