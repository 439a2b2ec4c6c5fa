"""Sounds, the bytes of files that hold them, and streams: what the tests of audio read."""

import io
import os
import struct
import threading
from pathlib import Path

import numpy as np
import soundfile

from serotone import audio
from serotone.errors import (
    AudioError,
    MissingExtraError,
)

SRC = str(Path(audio.__file__).parents[2])


def speechlike(seconds: float = 3.0, rate: int = 16000, seed: int = 0) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(times))
    return (0.3 * np.sin(2 * np.pi * 220 * times) + 0.03 * noise).astype(np.float32)


def encoded(samples: np.ndarray, rate: int = 16000, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def with_sizes(content: bytes, riff: int | None, data: int) -> bytes:
    changed = bytearray(content)
    if riff is not None:
        changed[4:8] = struct.pack("<I", riff)
    changed[40:44] = struct.pack("<I", data)
    return bytes(changed)


def read_or_refuse(content: bytes, **kwargs) -> audio.Audio | None:
    """None where it was refused with an error of ours that names the source; any other error passes through."""
    message = "<bytes>: "
    try:
        return audio.read(content, **kwargs)
    except (AudioError, MissingExtraError) as error:
        message = str(error)
    assert message.startswith("<bytes>: ")
    return None


class Unseekable(io.RawIOBase):
    """Bytes that come in dribs and drabs and only once, as from a socket."""

    def __init__(self, content: bytes, piece: int = 1000) -> None:
        self._content, self._piece = io.BytesIO(content), piece

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(self._piece if size < 0 else min(size, self._piece))


def through_pipe(content: bytes, **kwargs) -> audio.Audio:
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb") as sink:
            sink.write(content)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as stream:
            return audio.read(stream, **kwargs)
    finally:
        thread.join()


def env(*folders: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([*folders, SRC, os.environ.get("PYTHONPATH", "")])}
