"""Units as Ray tasks: on this machine, or on every machine of a cluster.

A task declares its processors and GPUs. A unit that is lost with its worker or its machine runs again: from its last
whole epoch where the worker sees the study's folder; elsewhere anew, and its files come back with its results.
serotone must be installed, in one version, on every machine.
"""

import contextlib
import io
import logging
import re
import secrets
import signal
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from serotone import __version__
from serotone.corpora import Utterance
from serotone.errors import MissingExtraError, RunError
from serotone.experiments.planning import gather
from serotone.experiments.processes import Lines
from serotone.experiments.ray_task import MARKER, Answer, Terms, missing, train
from serotone.experiments.units import Event, Unit, material_key, reason
from serotone.files import write_text, write_whole
from serotone.runs.layout import METRICS
from serotone.training.fit import Material, clear

LOSSES = 3
"""So often a unit may be lost with its worker and run again."""

SPARE = 2
"""Tasks in a cluster's queue beyond its room: where it can grow, they are what makes it grow."""

HEARTBEAT_SECONDS = 1.0
"""The longest wait between two looks at the cluster's size and at what Ray has to say."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run(
    units: Sequence[Unit],
    utterances: Sequence[Utterance],
    *,
    address: str | None,
    threads: int,
    gpus: float = 0,
    on_event: Callable[[Event], None],
    more: Callable[[], bool] = lambda: True,
    corpora: Literal["store", "shared"] = "store",
    jobs: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Run units on Ray.

    Args:
        units: Submitted in their order, as there is room.
        utterances: The corpora.
        address: ``host:port`` of a cluster that this machine belongs to, or ``auto``; None starts a Ray of this
            machine alone and stops it in the end. A Ray that this process has joined already is used as it is.
        threads: Processors of each unit, and torch's threads in it; 0 counts as 1.
        gpus: GPUs of each unit; may be a fraction.
        on_event: Called with what happens, as it happens; ``started`` says where if that is another node.
        more: Asked before each unit; once it says no, none is started any more.
        corpora: ``store`` decodes here, once, and shares the audio through Ray's object store; ``shared`` lets every
            worker decode from the paths, which must then hold the same everywhere.
        jobs: Units at a time; None means as many as there is room for.
        tell: Called once with each line there is to say: files left out, machines that do not see the study's folder.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: There is no cluster at the address, or a unit needs more than this machine has.
    """
    if find_spec("ray") is None:
        raise MissingExtraError("studies on a Ray cluster", "ray")
    told: set[str] = set()

    def once(line: str) -> None:
        if line not in told:
            told.add(line)
            tell(line)

    threads = max(1, threads)
    needs = f"{threads} processors" + (f" and {gpus:g} GPUs" if gpus else "")
    terms = Terms(secrets.token_hex(8), threads, corpora == "shared", missing(utterances), __version__)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_signals_kept())
        said = stack.enter_context(_set_aside())
        stack.enter_context(_cluster(address))
        if address is None and not _room(threads, gpus):
            raise RunError(f"this machine does not have the {needs} that a unit is to have; ask for fewer")
        stack.enter_context(_marked({unit.folder.parent for unit in units}, terms.token))
        store = _Store(units, utterances, once, shared=terms.shared)
        flights = _Flights(terms, gpus, once)
        stack.callback(flights.cancel)
        waiting = deque(units)
        closed = False
        while True:
            while waiting and not closed:
                room = _room(threads, gpus)
                if not room:
                    once(f"no node of the cluster has the {needs} that a unit is to have: waiting for one to join")
                if len(flights) >= min(room + (SPARE if address else 0), jobs or sys.maxsize):
                    break
                if not more():
                    closed = True
                    flights.cancel(started=False)
                    break
                unit = waiting.popleft()
                try:
                    flights.submit(unit, store(unit))
                except Exception as error:
                    on_event(Event("started", unit))
                    on_event(Event("failed", unit, text=reason(error)))
            if not flights:
                return
            for event in flights.news():
                if event.kind == "again":
                    waiting.appendleft(event.unit)
                elif event.kind != "started":
                    store.release(event.unit)
                on_event(event)
            for line in said():
                once(line)


class _Store:
    """What tasks train on, in Ray's object store: decoded once for all units of a kind, or the bare utterances."""

    def __init__(
        self, units: Sequence[Unit], utterances: Sequence[Utterance], tell: Callable[[str], None], *, shared: bool
    ) -> None:
        self._utterances = [replace(utterance, path=utterance.path.absolute()) for utterance in utterances]
        self._tell = tell
        self._shared = shared
        self._left = Counter(self._key(unit) for unit in units)
        self._kept: dict[str, Any] = {}

    def _key(self, unit: Unit) -> str:
        return "" if self._shared else material_key(unit.recipe)

    def __call__(self, unit: Unit) -> Any:
        """A reference to it.

        Raises:
            RunError: The unit's recipe finds nothing to train on.
        """
        import ray

        key = self._key(unit)
        if key not in self._kept:
            try:
                self._kept[key] = ray.put(self._utterances if self._shared else self._gathered(unit))
            except Exception as error:  # the same for every unit of the kind
                self._kept[key] = error
        kept = self._kept[key]
        if isinstance(kept, Exception):
            raise kept
        return kept

    def _gathered(self, unit: Unit) -> Material:
        material, problems = gather(unit.recipe, self._utterances)
        for problem in problems:
            self._tell(f"left out: {problem}")
        return material

    def release(self, unit: Unit) -> None:
        """The unit is done with; what no other needs leaves the store."""
        key = self._key(unit)
        self._left[key] -= 1
        if not self._left[key]:
            self._kept.pop(key, None)


@dataclass(slots=True)
class _Flight:
    unit: Unit
    started: bool = False


class _Flights:
    """Tasks that are submitted and not over."""

    def __init__(self, terms: Terms, gpus: float, tell: Callable[[str], None]) -> None:
        import ray

        variables = dict.fromkeys(THREAD_VARIABLES, str(terms.threads))
        if not gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ""  # what is not declared is not used
        self._task = ray.remote(train)
        self._options: dict[str, Any] = {
            "num_cpus": terms.threads,
            "num_gpus": gpus,
            "num_returns": "streaming",  # the first thing that a task says is that it has started
            "max_retries": 0,  # lost units are counted and reported here
            "runtime_env": {"env_vars": variables},
        }
        self._terms = ray.put(terms)
        self._node = ray.get_runtime_context().get_node_id()
        self._tell = tell
        self._flying: dict[Any, _Flight] = {}
        self._lost: Counter[Path] = Counter()

    def __len__(self) -> int:
        return len(self._flying)

    def submit(self, unit: Unit, corpora: Any) -> None:
        """Queue a unit in the cluster."""
        sent = replace(unit, folder=unit.folder.absolute())
        task = self._task.options(name=unit.name, **self._options).remote(sent, corpora, self._terms)
        self._flying[task] = _Flight(unit)

    def news(self) -> Iterator[Event]:
        """What has happened since the last call; waits a little where nothing has."""
        import ray

        for task in ray.wait(list(self._flying), num_returns=1, timeout=HEARTBEAT_SECONDS)[0]:
            flight = self._flying[task]
            try:
                answer: Answer = ray.get(next(task))
            except (StopIteration, ray.exceptions.RayError) as error:
                del self._flying[task]
                yield self._broken(flight.unit, error)
                continue
            for line in answer.lines:
                self._tell(line)
            if flight.started:
                del self._flying[task]
                yield _ended(flight.unit, answer)
            else:
                flight.started = True
                if not answer.sees:
                    folder = flight.unit.folder.parents[2]
                    self._tell(f"{answer.host} does not see {folder}: a unit that is interrupted there begins anew")
                yield Event("started", flight.unit, text="" if answer.node == self._node else f"on {answer.host}")

    def _broken(self, unit: Unit, error: BaseException) -> Event:
        """A unit whose task ended without an answer: lost with its worker, or by an error of the cluster's."""
        why = _loss(error)
        if not why:
            return Event("failed", unit, text=reason(getattr(error, "cause", None) or error))
        self._lost[unit.folder] += 1
        if self._lost[unit.folder] > LOSSES:
            return Event("failed", unit, text=f"{why}; it ran {LOSSES + 1} times and was lost each time")
        return Event("again", unit, text=why)

    def cancel(self, *, started: bool = True) -> None:
        """Stop what is queued and, unless told otherwise, at once what has started."""
        import ray

        for task, flight in list(self._flying.items()):
            if started or not flight.started:
                ray.cancel(task, force=True)
                del self._flying[task]


def _ended(unit: Unit, answer: Answer) -> Event:
    """What came of a unit; the files that came with it are written, the one that says so last."""
    if answer.results is None:
        return Event("failed", unit, text=answer.error)
    try:
        for name in sorted(answer.files, key=lambda name: name == METRICS):
            write_whole(unit.folder / name, partial(_write, answer.files[name]))
        clear(unit.folder)  # the checkpoint of an earlier run, which the worker did not see
    except OSError as error:
        return Event("failed", unit, text=reason(error))
    return Event("finished", unit, results=answer.results)


def _write(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _loss(error: BaseException) -> str:
    """Why a unit was lost with its worker; nothing where it was not."""
    from ray import exceptions

    reasons: dict[type[BaseException], str] = {
        exceptions.WorkerCrashedError: "its worker died",
        exceptions.OutOfMemoryError: "its node ran out of memory, and Ray stopped its worker",
        exceptions.NodeDiedError: "its node died",
        exceptions.LocalRayletDiedError: "its node died",
        exceptions.ObjectLostError: "its results were lost with their node",
    }
    return next((words for kind, words in reasons.items() if isinstance(error, kind)), "")


# ---------------------------------------------------------------------------------------------------------- the cluster


def _room(threads: int, gpus: float) -> int:
    """How many units the cluster can hold at a time."""
    import ray

    room = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            fits = has.get("CPU", 0) // threads
            if gpus >= 1:
                fits = min(fits, has.get("GPU", 0) // gpus)
            elif gpus:
                fits = min(fits, has.get("GPU", 0) * int(1 / gpus + 1e-9))
            room += int(fits)
    return room


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[None]:
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
def _marked(folders: Iterable[Path], token: str) -> Iterator[None]:
    """Let workers find out whether they see these folders."""
    markers = [folder / MARKER for folder in folders]
    try:
        for marker in markers:
            write_text(marker, token)
        yield
    finally:
        for marker in markers:
            marker.unlink(missing_ok=True)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
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
def _set_aside() -> Iterator[Callable[[], Iterator[str]]]:
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
