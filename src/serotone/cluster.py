"""What a driver of Ray needs, for studies and for scoring: a cluster, how much room it has, and quiet."""

import contextlib
import io
import logging
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any

from serotone.errors import MissingExtraError, RunError, reason


def require_ray(what: str) -> None:
    """Name the extra to install where it is not.

    Raises:
        MissingExtraError: Ray is missing.
    """
    if find_spec("ray") is None:
        raise MissingExtraError(what, "ray")


def room(threads: int, gpus: float) -> int:
    """How many tasks of so many processors and GPUs the cluster can hold at a time."""
    import ray

    number = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            fits = has.get("CPU", 0) // threads
            if gpus >= 1:
                fits = min(fits, has.get("GPU", 0) // gpus)
            elif gpus:
                fits = min(fits, has.get("GPU", 0) * int(1 / gpus + 1e-9))
            number += int(fits)
    return number


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Join a cluster, or start one on this machine.

    Raises:
        RunError: There is none at the address.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    own: dict[str, Any] = {}
    if address is None:
        own = {"include_dashboard": False}
    elif address.startswith("ray://"):
        raise RunError(f"{address}: run this on a machine of the cluster, and give host:port of its head, or auto")
    try:
        if address not in (None, "auto"):
            _knock(address)
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise RunError(
            f"no Ray at {address or 'this machine'}: {reason(error)}; a cluster is made by: ray start --head, and on"
            " every other machine: ray start --address=HOST:PORT; one that asks for a token needs RAY_AUTH_MODE=token"
        ) from error
    try:
        yield
    finally:
        with contextlib.redirect_stdout(io.StringIO()):  # repetitions of messages that it had held back
            ray.shutdown()


def _knock(address: str) -> None:
    """Find out in seconds whether anything listens at ``host:port``; Ray tries for minutes.

    Raises:
        OSError: Nothing does.
        ValueError: It is no address.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("expected host:port, or auto")
    socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Put back the signal handlers that Ray replaces: once it is over, a SIGTERM means what it meant before."""
    ours = threading.current_thread() is threading.main_thread()  # no other thread may set a handler, nor does Ray
    before = {number: signal.getsignal(number) for number in signal.valid_signals() if ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) != handler:  # None: not set by Python
                signal.signal(number, handler)


@contextlib.contextmanager
def set_aside() -> Iterator[Callable[[], Iterator[str]]]:
    """Keep what Ray's own threads print off standard output; yields what returns it, a sentence of each message."""
    messages: SimpleQueue[str] = SimpleQueue()

    def said() -> Iterator[str]:
        while not messages.empty():
            yield "Ray: " + re.sub(r"\x1b\[[0-9;]*m", "", messages.get()).split(". ")[0]

    with contextlib.redirect_stdout(_OfThisThread(sys.stdout, Lines(messages.put))):
        yield said


class _OfThisThread:
    """A stream for the thread that made it; what any other writes goes elsewhere."""

    def __init__(self, stream: Any, elsewhere: io.TextIOBase) -> None:
        self._stream = stream
        self._elsewhere = elsewhere
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        """Write to the one or the other."""
        stream = self._stream if threading.get_ident() == self._thread else self._elsewhere
        return int(stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Lines(io.TextIOBase):
    """A text stream that hands on whole lines, and is no terminal: a progress bar draws nothing there.

    Args:
        tell: Called with each line that is not blank.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._begun = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Take text in; its last line waits for its end."""
        *lines, self._begun = (self._begun + text).split("\n")
        with contextlib.suppress(OSError):  # at exit there may be nobody left to hear
            for line in lines:
                if line.strip():
                    self._tell(line)
        return len(text)
