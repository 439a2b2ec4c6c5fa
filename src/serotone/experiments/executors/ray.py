"""Units as Ray tasks: on this machine, or on every machine of a cluster.

A task declares its processors and GPUs. A unit that is lost with its worker or its machine runs again: from its last
whole epoch where the worker sees the study's folder; elsewhere anew, and its files come back with its results.
serotone must be installed, in one version, on every machine.
"""

import contextlib
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serotone import __version__
from serotone.cluster import cluster, require_ray, room, set_aside, signals_kept
from serotone.corpora import Utterance
from serotone.errors import RunError, reason
from serotone.experiments.executors import Place, Queue, Work
from serotone.experiments.executors.ray_task import MARKER, Answer, Terms, missing, train
from serotone.experiments.units import Event, Materials, Unit
from serotone.files import write_bytes, write_text
from serotone.recipes import Recipe
from serotone.runs.layout import METRICS
from serotone.training.fit import clear

LOSSES = 3
"""So often a unit may be lost with its worker and run again."""

SPARE = 2
"""Tasks in a cluster's queue beyond its room: where it can grow, they are what makes it grow."""

HEARTBEAT_SECONDS = 1.0
"""The longest wait between two looks at the cluster's size and at what Ray has to say."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run(units: Iterable[Unit], work: Work, place: Place) -> Generator[Event]:
    """Run units on Ray (:func:`serotone.experiments.executors.run`); ``started`` says where, if on another node.

    A Ray that this process has joined already is used as it is; one that is started here is stopped in the end.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: There is no cluster at the address, or a unit needs more than this machine has.
    """
    require_ray("training on a Ray cluster")
    told: set[str] = set()

    def once(line: str) -> None:
        if line not in told:
            told.add(line)
            work.tell(line)

    threads, gpus, alone = max(1, place.threads), place.gpus, place.address is None
    needs = f"{threads} processors" + (f" and {gpus:g} GPUs" if gpus else "")
    shared = place.corpora == "shared"
    utterances = [replace(utterance, path=utterance.path.absolute()) for utterance in work.utterances]
    terms = Terms(secrets.token_hex(8), work.out.absolute(), threads, shared, missing(utterances), __version__)
    with contextlib.ExitStack() as stack:
        stack.enter_context(signals_kept())
        said = stack.enter_context(set_aside())
        stack.enter_context(cluster(place.address))
        if alone and not room(threads, gpus):
            raise RunError(
                f"this machine does not have the {needs} that one fold needs; give fewer with --threads or --gpus"
            )
        stack.enter_context(_marked(work.out, terms.token))
        store = _Everything(utterances) if shared else _Store(utterances, once)
        flights = _Flights(terms, gpus, work.out, once)
        stack.callback(flights.cancel)
        queue = Queue(units, work.more)
        while True:
            while not queue.closed:
                places = room(threads, gpus)
                if not places:
                    once(f"no node of the cluster has the {needs} that a unit needs: waiting for one to join")
                if len(flights) >= min(places + (0 if alone else SPARE), place.jobs or sys.maxsize):
                    break
                unit = queue.draw()
                if queue.closed:
                    flights.cancel(started=False)
                if unit is None:
                    break
                try:
                    flights.submit(unit, store(unit.recipe))
                except Exception as error:
                    yield Event("started", unit)
                    yield Event("failed", unit, text=reason(error))
            if not flights:
                if alone and not room(threads, gpus):
                    raise RunError(
                        "the Ray that was started on this machine has stopped; run the same command again to continue"
                    )
                return
            for event in flights.news():
                if event.kind == "again":
                    queue.put_back(event.unit)
                yield event
            for line in said():
                once(line)


@contextlib.contextmanager
def _marked(folder: Path, token: str) -> Iterator[None]:
    """Let workers find out whether they see this folder."""
    marker = folder / MARKER
    try:
        write_text(marker, token)
        yield
    finally:
        marker.unlink(missing_ok=True)


class _Store(Materials):
    """What tasks train on, in Ray's object store: decoded once for all units of a kind."""

    limit = sys.maxsize  # Ray moves to disk what does not fit

    def make(self, recipe: Recipe) -> Any:
        """A reference to it."""
        import ray

        return ray.put(super().make(recipe))


class _Everything:
    """The bare utterances, once in Ray's object store."""

    def __init__(self, utterances: list[Utterance]) -> None:
        import ray

        self._reference = ray.put(utterances)

    def __call__(self, recipe: Recipe) -> Any:
        """A reference to them."""
        return self._reference


@dataclass(slots=True)
class _Flight:
    unit: Unit
    started: bool = False


class _Flights:
    """Tasks that are submitted and not over."""

    def __init__(self, terms: Terms, gpus: float, out: Path, tell: Callable[[str], None]) -> None:
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
        self._out = out
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
                    self._tell(
                        f"{answer.host} cannot see {self._out}, so a unit that is interrupted there starts again from"
                        " its beginning"
                    )
                yield Event("started", flight.unit, text="" if answer.node == self._node else f"on {answer.host}")

    def _broken(self, unit: Unit, error: BaseException) -> Event:
        """A unit whose task ended without an answer: lost with its worker, or by an error of the cluster's."""
        why = _loss(error)
        if not why:
            return Event("failed", unit, text=reason(getattr(error, "cause", None) or error))
        self._lost[unit.folder] += 1
        if self._lost[unit.folder] > LOSSES:
            return Event(
                "failed", unit, text=f"{why}; it was started {LOSSES + 1} times, and its worker was lost each time"
            )
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
            write_bytes(unit.folder / name, answer.files[name])
        clear(unit.folder)  # the checkpoint of an earlier run, which the worker did not see
    except OSError as error:
        return Event("failed", unit, text=reason(error))
    return Event("finished", unit, results=answer.results)


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
