"""The child processes that decode with FFmpeg, from the parent's side: started when first needed, and used again.

A damaged file may crash FFmpeg, make it work without end or make it ask for all the memory there is. All of that
happens to a child process (``decoder``), and comes out here as one AudioFormatError. A child serves many files one
after another. Where one fails that has served others before, a new one takes over at that point: an earlier file may
have left FFmpeg's memory damaged.
"""

from __future__ import annotations

import atexit
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serotone.audio import decoder
from serotone.audio.track import UNKNOWN_FRAMES, Input
from serotone.errors import AudioError, AudioFormatError

START_SECONDS = 60.0
STALL_SECONDS = 30.0
"""How long the decoder may work without delivering sound, reading the file not counted."""
TOTAL_SECONDS = 1800.0
"""How long the decoder may work on one file, reading the file not counted."""

_IDLE_CHILDREN = 2  # kept for the next file; more run only while more threads read at once
_FILES_PER_CHILD = 500  # so that a leak in FFmpeg stays small
_LONGEST_ANSWER = 2**28


def command() -> list[str]:
    """What starts a child: this interpreter, isolated, with the places where this process finds modules."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise AudioError("decoding with PyAV must start a Python interpreter, and a frozen application has none")
    program = Path(decoder.__file__).absolute()
    return [sys.executable, "-I", "-S", str(program), *(str(Path(place).absolute()) for place in sys.path)]


class DecoderFailedError(AudioFormatError):
    """The child crashed on a recording, or had to be ended."""


class _DiedError(Exception):
    """The child ended, or was ended, in the middle of an answer."""


class DecoderProcess:
    """One child process and the recording that it is decoding."""

    def __init__(self) -> None:
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows alone has it
        self._files = 0
        self._busy = False  # between a command and the last of its answers
        self._late = False
        self._name = self._kind = ""
        self._patience = self._time_left = START_SECONDS
        try:
            self._process = subprocess.Popen(
                command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=flags,
            )
        except (OSError, ValueError) as error:
            raise AudioError(f"the process that decodes audio could not be started: {error}") from error

    def greet(self) -> None:
        """Wait until it is ready."""
        try:
            kind, content = self._answer()
        except _DiedError:
            raise AudioError(f"the process that decodes audio did not start ({self._ending()})") from None
        if kind != decoder.HELLO:
            reason = content.decode(errors="replace")
            raise AudioError(f"PyAV, which the extra codecs installs, cannot be loaded ({reason}); install it again")

    def open(self, content: Input, container: str, kind: str, name: str) -> tuple[int, int, float]:
        """Begin with a recording: its rate in Hz, its number of channels, its seconds by its header or -1."""
        self._files += 1
        self._name, self._kind = name, kind
        self._content = content
        self._time_left = TOTAL_SECONDS
        self._command(decoder.OPEN, content.size, 0, container)
        answer, about = self._next()
        if answer != decoder.TRACK or len(about) != decoder.ABOUT.size:
            raise self._broken()
        self._busy = False
        rate, channels, seconds = decoder.ABOUT.unpack(about)
        return rate, channels, seconds

    def blocks(self, first: int, last: int | None, channels: int) -> Generator[NDArray[np.float32], None, str]:
        """The frames from ``first`` to before ``last``, shape (T, channels); returns what ended them early, or ''."""
        self._command(decoder.DECODE, min(first, UNKNOWN_FRAMES), min(last or 0, UNKNOWN_FRAMES))
        while True:
            kind, content = self._next()
            if kind == decoder.END:
                self._busy = False
                return content.decode(errors="replace")
            if kind != decoder.BLOCK or len(content) % (4 * channels):
                raise self._broken()
            if content:
                yield np.frombuffer(content, "<f4").astype(np.float32, copy=False).reshape(-1, channels)

    def close(self) -> bool:
        """Let go of the recording; whether the child can take another."""
        if self._busy or self._files >= _FILES_PER_CHILD:
            return False
        try:
            self._command(decoder.CLOSE)
            kind, _ = self._answer()
        except (_DiedError, AudioError):
            return False
        self._busy = False
        return kind == decoder.END and self._process.poll() is None

    @property
    def fresh(self) -> bool:
        """Whether it has served no recording before this one."""
        return self._files <= 1

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the child, whatever it does."""
        self._process.kill()
        self._shut()

    def dismiss(self) -> None:
        """End the child, which has nothing to do."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(1.0)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
        self._shut()

    def forget(self) -> None:
        """In a fork of the process that started it: leave it alone."""
        self._process.returncode = 0

    def _shut(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:
                continue  # what it had not read yet
        self._process.wait()

    def _command(self, kind: bytes, first: int = 0, second: int = 0, text: str = "") -> None:
        self._busy = True
        self._patience = STALL_SECONDS
        try:
            self._write(decoder.COMMAND.pack(kind, first, second, text.encode("ascii")))
        except (_DiedError, struct.error):
            raise self._broken() from None

    def _next(self) -> tuple[bytes, bytes]:
        """The next answer about the recording; what the child wants to read of it is given on the way."""
        try:
            while True:
                kind, content = self._answer()
                if kind == decoder.READ and len(content) == decoder.WANT.size:
                    data = self._content.at(*decoder.WANT.unpack(content))
                    self._write(decoder.COUNT.pack(len(data)) + data)
                elif kind == decoder.DAMAGED:
                    self._busy = False
                    self._content.check(self._name)
                    what = "it is damaged or contains no audio that can be decoded"
                    reason = f": {text}" if (text := content.decode(errors="replace")) else ""
                    raise AudioFormatError(f"{self._name}: begins like {self._kind}, but {what}{reason}")
                elif kind == decoder.MEMORY:
                    raise DecoderFailedError(
                        f"{self._name}: decoding this {self._kind} takes more than {decoder.MEMORY_BYTES >> 20} MiB of "
                        "memory; it is damaged, or should be converted to WAV or FLAC first"
                    )
                else:
                    self._patience = STALL_SECONDS
                    return kind, content
        except _DiedError:
            raise self._broken() from None

    def _broken(self) -> DecoderFailedError:
        return DecoderFailedError(
            f"{self._name}: begins like {self._kind}, but the decoder failed on it ({self._ending()}); it is damaged"
        )

    def _ending(self) -> str:
        if self._late:
            return "it did not finish in time"
        try:
            status = self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            return "its output is not what was expected"
        if status < 0:
            try:
                return f"it crashed: {signal.Signals(-status).name}"
            except ValueError:
                return f"it was ended by signal {-status}"
        return f"it ended with exit status {status}"

    def _answer(self) -> tuple[bytes, bytes]:
        began = time.monotonic()
        alarm = threading.Timer(max(0.0, min(self._patience, self._time_left)), self._expire)
        alarm.daemon = True
        alarm.start()
        try:
            kind, size = decoder.ANSWER.unpack(self._read(decoder.ANSWER.size))
            if size > _LONGEST_ANSWER:
                raise _DiedError
            return kind, self._read(size)
        finally:
            alarm.cancel()
            alarm.join()
            taken = time.monotonic() - began
            self._patience -= taken
            self._time_left -= taken

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        try:
            data = self._process.stdout.read(size) if size else b""
        except OSError:
            data = b""
        if len(data) < size:
            raise _DiedError
        return data

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            raise _DiedError from None

    def _expire(self) -> None:
        self._late = True
        self._process.kill()


_idle: list[DecoderProcess] = []
_lock = threading.Lock()
_prepared = False


def take(*, new: bool = False) -> DecoderProcess:
    """A child that has nothing to do, a new one if there is none or if asked; give it back with ``release``."""
    global _prepared
    with _lock:
        if not _prepared:
            _prepared = True
            atexit.register(dismiss_idle)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_forget_idle)
        while _idle and not new:
            child = _idle.pop()
            if child.alive():
                return child
            child.kill()
    child = DecoderProcess()
    try:
        child.greet()
    except BaseException:
        child.kill()
        raise
    return child


def release(child: DecoderProcess) -> None:
    """Keep a child for the next recording, or end it where it is in the middle of something."""
    try:
        fit = child.close()
    except BaseException:
        child.kill()
        raise
    if fit:
        with _lock:
            if len(_idle) < _IDLE_CHILDREN:
                _idle.append(child)
                return
    child.kill()


def dismiss_idle() -> None:
    """End the children that wait for a next recording."""
    with _lock:
        children = _idle[:]
        _idle.clear()
    for child in children:
        child.dismiss()


def _forget_idle() -> None:
    """In a fork: the children belong to the process that started them."""
    global _lock
    _lock = threading.Lock()
    for child in _idle:
        child.forget()
    _idle.clear()
