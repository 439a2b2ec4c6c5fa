"""The process around a command: its three standard streams, and the signals that end it."""

import codecs
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

from serotone.errors import NO_ROOM

AGAIN_SECONDS = 0.02
"""How soon a signal is sent anew that arrived where nothing may be raised."""


def as_json(value: object, stream: TextIO, *, indent: int | None = None) -> str:
    """JSON that the stream can hold: letters as they are where it is UTF-8, escaped elsewhere."""
    known = codecs.lookup(stream.encoding or "utf-8").name == "utf-8"
    return json.dumps(value, ensure_ascii=not known, allow_nan=False, indent=indent)


class SignalledError(KeyboardInterrupt):
    """A signal that asks this process to end; ``status`` is what it then exits with."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


@contextmanager
def ends_in_order() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C, SIGTERM and SIGHUP raise SignalledError inside, so that all three are put in order alike.

    Yields a function that raises it, too, where a signal came and its exception was lost: call it after work in C,
    before the result is used. A library that calls Python back from C (libsndfile reads its files so) cannot let an
    exception through; it would go on with a wrong byte, and print a traceback. A signal that arrives there is
    therefore sent anew a moment later, to the main thread, so that it ends what that waits for. One that somebody
    ignores (nohup) or handles already stays theirs; so do all outside the main thread.
    """
    received: list[int] = []
    timers: list[threading.Timer] = []

    def heed(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if not _called_back(frame):
            raise SignalledError(number)
        timers.append(threading.Timer(AGAIN_SECONDS, _send, [threading.get_ident(), number]))
        timers[-1].start()

    def check() -> None:
        if received:
            raise SignalledError(received[0])

    with _handled(heed):
        try:
            yield check
        finally:
            for timer in timers:
                timer.cancel()
                timer.join()


def _send(thread: int, number: int) -> None:
    """Send a signal to a thread: one that another thread receives would not end what this one waits for."""
    if hasattr(signal, "pthread_kill"):  # not on Windows
        signal.pthread_kill(thread, number)
    else:
        signal.raise_signal(number)


@contextmanager
def notes_signals() -> Iterator[Callable[[], int | None]]:
    """Let Ctrl-C, SIGTERM and SIGHUP only be noted, for work that ends by itself when it sees one.

    Yields a function that gives the exit status that the first one asks for, None before it. The second raises
    SignalledError, wherever the work is.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise SignalledError(number)

    with _handled(note):
        yield lambda: 128 + received[0] if received else None


@contextmanager
def _handled(heed: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let ``heed`` handle the signals that end this process, where nobody ignores or handles them already."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number, old in before.items() if old in (signal.SIG_DFL, signal.default_int_handler)]
    for number in taken:
        signal.signal(number, heed)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


class _Messages(io.TextIOWrapper):
    """Standard error, on which no result depends: what it does not take, as on a full disk, is lost.

    A pipe whose reader went away still raises BrokenPipeError.
    """

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError:
            return


def open_standard_streams() -> None:
    """Make writing to a standard stream that the caller closed an error of that stream, and let names be any bytes.

    A closed descriptor is taken by the null device, so that no file opened later gets its number: writing to standard
    output then fails as on a full disk does, and messages vanish, as they do where standard error takes nothing more.
    Standard input stays None where it is closed.
    """
    for descriptor, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # the lowest free number is this one
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115 - open for the whole process
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115
    # A file name need not be valid text; in JSON the replacement is the right escape.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stderr = _Messages(sys.stderr.buffer, sys.stderr.encoding, "backslashreplace", line_buffering=True)


def give_up_standard_output() -> bool:
    """Whether what is still to be written to standard output cannot be; it is then dropped, also when Python exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def write_problem(error: OSError, where: str) -> str:
    """What to tell whoever asked for results in a place that does not take them."""
    remedy = "choose another path or free this one"
    if error.errno in NO_ROOM:
        remedy = "free some space, or write to another place"
    return f"{where}: {error.strerror or error}; {remedy}"


def _called_back(frame: FrameType | None) -> bool:
    """Whether a frame runs inside a function that soundfile hands to libsndfile."""
    while frame is not None:
        if frame.f_code.co_name.startswith("vio_") and frame.f_globals.get("__name__") == "soundfile":
            return True
        frame = frame.f_back
    return False
