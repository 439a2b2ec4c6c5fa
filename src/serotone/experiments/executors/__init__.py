"""Who runs units: this process, worker processes of this machine, or Ray. One door, `run`, for all of them."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serotone.corpora import Utterance
from serotone.experiments.units import Event, Unit


@dataclass(frozen=True, slots=True)
class Place:
    """Where units run, and how many at a time: the options that `serotone study`, `crossval` and `search` share."""

    executor: Literal["local", "ray"] = "local"
    jobs: int | None = None
    """Units at a time; None is one here, and on Ray as many as there is room for."""
    threads: int = 0
    """Torch's threads in each; 0 leaves that to torch, or shares out the processors that may be used. On Ray 0 is 1."""
    gpus: float = 0
    """Ray: GPUs of each unit, or a share of one."""
    address: str | None = None
    """Ray: ``host:port`` of a cluster that this machine belongs to, or ``auto``; None starts one on this machine."""
    corpora: Literal["store", "shared"] = "store"
    """Ray: audio decoded here, once, and sent out; or decoded by every worker from the same paths."""


HERE = Place()
"""This process, one unit after the other."""


@dataclass(frozen=True, slots=True)
class Work:
    """What units have in common, wherever they run."""

    utterances: Sequence[Utterance]
    out: Path
    """The folder below which all units have theirs."""
    tell: Callable[[str], None] = lambda line: None
    """Called once with each line there is to say: files left out, warnings of workers."""
    more: Callable[[], bool] = lambda: True
    """Asked before a unit starts; once it says no, none is started any more."""


def run(units: Iterable[Unit], work: Work, place: Place) -> Generator[Event]:
    """Run units and say what happens to them, as it happens; a unit that fails keeps no other from running.

    Close it (`contextlib.closing`) where it may not be read to its end: that stops what is running.

    Args:
        units: Drawn one by one, as there is room for one. So a generator may wait with the choice of the next unit
            until it has seen what came of those before.
        work: What they have in common.
        place: Where they run.

    Raises:
        MissingExtraError: Ray is asked for and not installed.
        RunError: There is no cluster at the address, a unit needs more than the machine has, or workers cannot start.
    """
    if place.executor == "ray":
        from serotone.experiments.executors import ray as executor
    elif place.jobs is not None and place.jobs > 1:
        from serotone.experiments.executors import processes as executor  # type: ignore[no-redef]
    else:
        from serotone.experiments.executors import local as executor  # type: ignore[no-redef]
    yield from executor.run(units, work, place)


class Queue:
    """Units that wait to start: those that lost their worker first, then the others in their order."""

    def __init__(self, units: Iterable[Unit], more: Callable[[], bool]) -> None:
        self._units = iter(units)
        self._lost: deque[Unit] = deque()
        self._more = more
        self.closed = False
        """Whether time is up."""

    def draw(self) -> Unit | None:
        """The next unit; None where there is none, or time is up."""
        self.closed = self.closed or not self._more()
        if self.closed:
            return None
        return self._lost.popleft() if self._lost else next(self._units, None)

    def put_back(self, unit: Unit) -> None:
        """The unit waits again, in front of all others."""
        self._lost.appendleft(unit)
