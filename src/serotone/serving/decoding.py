"""The children that decode uploads, from the parent's side: a fixed number, started early and used again.

A hostile file may crash a decoder, make it work without end or ask for all the memory there is. That happens to a child
(`decoder`), comes out here as one DecoderFailedError, and another child takes its place.
"""

import json
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serotone import errors
from serotone.audio.decoder_process import DecoderFailedError
from serotone.errors import AudioError, SerotoneError
from serotone.serving import decoder

START_SECONDS = 60.0
"""How long a child may take to start, on a machine that is busy."""

STOP_SECONDS = 2.0
"""How long a child may take to let go of a recording that nobody wants any more."""

LOOK_SECONDS = 0.5
"""How often it is looked whether anybody still wants a recording of which nothing comes, as while it is measured."""

_LONGEST_MESSAGE = 1 << 28


class _DiedError(Exception):
    """The child ended, or was ended."""


class NotStartedError(SerotoneError):
    """A child could not be started, which is no fault of any recording."""


class GoneError(Exception):
    """Whoever asked has gone away."""


class Decoder:
    """One child process."""

    def __init__(self, memory_bytes: int) -> None:
        context = get_context("spawn")  # a fork of a process with threads may hang
        try:
            self._link, child = context.Pipe()
            self._process = context.Process(target=decoder.serve, args=(child, memory_bytes), daemon=True)
            self._process.start()
        except OSError as error:
            raise NotStartedError(f"the process that decodes audio did not start: {error}") from error
        child.close()

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return self._process.pid

    def greet(self) -> None:
        """Wait until it is ready; raises NotStartedError where it does not start."""
        try:
            self.receive(START_SECONDS)
        except _DiedError as error:
            self.kill()
            raise NotStartedError(f"the process that decodes audio did not start: {error}") from None

    def send(self, request: Mapping[str, object] | None) -> None:
        """Ask for a recording; None: let go of it."""
        try:
            self._link.send_bytes(b"" if request is None else json.dumps(request).encode())
        except OSError:
            raise _DiedError(self._ending()) from None

    def receive(self, seconds: float, cancelled: threading.Event | None = None) -> tuple[bytes, bytes]:
        """The kind and the content of its next message; raises GoneError where ``cancelled`` is set before it comes."""
        until = time.monotonic() + seconds
        try:
            while not self._link.poll(max(0.0, min(LOOK_SECONDS, until - time.monotonic()))):
                if cancelled is not None and cancelled.is_set():
                    raise GoneError
                if time.monotonic() >= until:
                    raise _DiedError("it did not finish in time")
            message = self._link.recv_bytes(_LONGEST_MESSAGE)
        except (EOFError, OSError):
            raise _DiedError(self._ending()) from None
        return message[:1], message[1:]

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.is_alive()

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._link.close()
        self._process.join()

    def dismiss(self) -> None:
        """End it in order: it has nothing to do."""
        self._link.close()
        self._process.join(1.0)
        self._process.kill()
        self._process.join()

    def _ending(self) -> str:
        self._process.join(1.0)
        return f"it ended with exit code {self._process.exitcode}"


class Decoded:
    """The sound of an upload, block by block; what `serotone.recognition.hearing.Sound` asks for.

    ``channels`` is how many the upload has, once `begin` has returned.
    """

    def __init__(self, child: Decoder, name: str, seconds: float, cancelled: threading.Event | None) -> None:
        self.name = name
        self.silent = False
        self.warnings: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.finished = False
        self._child, self._left, self._cancelled = child, seconds, cancelled
        self.channels = 0

    @property
    def gone(self) -> bool:
        """Whether nobody wants it any more."""
        return self._cancelled is not None and self._cancelled.is_set()

    def begin(self) -> None:
        """Wait until the upload is open; raises AudioError where it cannot be opened, GoneError as `message`."""
        self.channels = json.loads(self.message()[1])["channels"]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """The blocks.

        Raises AudioError: the recording cannot be heard. Raises GoneError: nobody wants it any more.
        """
        while True:
            kind, content = self.message()
            if kind == decoder.END:
                about = json.loads(content)
                self.silent, self.warnings, self.notes = (
                    about["silent"],
                    *map(tuple, (about["warnings"], about["notes"])),
                )
                return
            yield np.frombuffer(content, np.float32)
            if self.gone:
                raise GoneError

    def message(self) -> tuple[bytes, bytes]:
        """The child's next message, but for an error, which is raised; only the time that it lets us wait counts.

        Raises GoneError: nobody wants it any more.
        """
        begun = time.monotonic()
        try:
            kind, content = self._child.receive(self._left, self._cancelled)
        except _DiedError as error:
            self._child.kill()
            raise DecoderFailedError(f"{self.name}: the decoder failed on it ({error}); is the file damaged?") from None
        self._left -= time.monotonic() - begun
        self.finished = kind in (decoder.END, decoder.ERROR)
        if kind == decoder.ERROR:
            raise _error(**json.loads(content))
        return kind, content


class Decoders:
    """A fixed number of children; `opened` takes one, and waits where all are busy."""

    def __init__(self, count: int, *, memory_bytes: int, seconds: float) -> None:
        self._memory_bytes, self._seconds = memory_bytes, seconds
        self._idle: queue.LifoQueue[Decoder | None] = queue.LifoQueue()
        self._count = count
        self.failures = 0
        first = [Decoder(memory_bytes) for _ in range(count)]  # they start side by side
        try:
            for child in first:
                child.greet()
                self._idle.put(child)
        except BaseException:
            for child in first:
                child.kill()
            raise

    @contextmanager
    def opened(
        self, path: Path, name: str, *, cancelled: threading.Event | None = None, **asked: Any
    ) -> Iterator[Decoded]:
        """The sound of a file; ``asked`` is what `serotone.audio.blocks` and ``decoder`` take.

        Raises AudioError: it cannot be opened. Raises NotStartedError: no child can be started, for lack of memory for
        example. Raises GoneError: nobody wants it any more.
        """
        child = self._idle.get()
        try:
            if child is None or not child.alive():
                if child is not None:
                    child.kill()
                child = None  # until there is another one
                child = self._another()
            child.send({"path": str(path), "name": name, **asked})
            sound = Decoded(child, name, self._seconds, cancelled)
            try:
                sound.begin()
                yield sound
            finally:
                if not self._let_go(child, sound):
                    child = None
        except _DiedError as error:
            raise DecoderFailedError(f"{name}: the decoder failed on it ({error})") from None
        finally:
            self._idle.put(child)

    def _another(self) -> Decoder:
        try:
            child = Decoder(self._memory_bytes)
            child.greet()
        except NotStartedError:
            self.failures += 1
            raise
        return child

    def close(self) -> None:
        """End the children; to be called when none is in use."""
        for _ in range(self._count):
            if (child := self._idle.get()) is not None:
                child.dismiss()

    def _let_go(self, child: Decoder, sound: Decoded) -> bool:
        """Bring a child to where it can take the next recording; False, and its end, where it does not come there."""
        alive = child.alive()
        if alive and sound.finished:
            return True
        with suppress(_DiedError):
            if not alive:
                raise _DiedError
            child.send(None)
            until = time.monotonic() + STOP_SECONDS
            while child.receive(until - time.monotonic())[0] not in (decoder.END, decoder.ERROR):
                pass
            return True
        if not (alive and sound.gone):  # it may have been measuring a long recording, which is no failure
            self.failures += 1
        child.kill()
        return False


def _error(error: str, message: str) -> AudioError:
    """The error that a child met."""
    known: Any = getattr(errors, error, DecoderFailedError if error == "DecoderFailedError" else AudioError)
    return known(message) if issubclass(known, AudioError) else AudioError(message)
