"""What a driver needs of Ray: a cluster, how much room it has, and quiet."""

import contextlib
import io
import logging
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from serotone.errors import RunError
from serotone.experiments.executors.processes import Lines
from serotone.experiments.executors.ray_task import MARKER
from serotone.experiments.units import reason
from serotone.files import write_text


def room(threads: int, gpus: float) -> int:
    """How many units the cluster can hold at a time."""
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
        raise RunError(f"{address}: run the study on a machine of the cluster, and give host:port of its head, or auto")
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
def marked(folder: Path, token: str) -> Iterator[None]:
    """Let workers find out whether they see this folder."""
    marker = folder / MARKER
    try:
        write_text(marker, token)
        yield
    finally:
        marker.unlink(missing_ok=True)


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
