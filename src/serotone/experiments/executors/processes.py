"""Units in worker processes of this machine; one that dies takes no unit with it but its own, which runs once more.

The parent hands out units one at a time. It alone hears Ctrl-C, and then ends the workers where they stand: what they
have on disk are whole epochs. A worker whose parent is gone ends by itself. Workers are forks of a server that has
imported torch and done nothing with it, so that only the first takes seconds to start.
"""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

import torch

from serotone.cluster import Lines
from serotone.errors import RunError, reason
from serotone.experiments.executors import Place, Queue, Work
from serotone.experiments.units import Event, Materials, Unit, run_unit
from serotone.processors import processors

BIRTHS = 3
"""So many workers in a row may die before they ask for a unit; then no more are started."""

DYING_SECONDS = 10
"""How long a process may take to end once its line has."""


def run(units: Iterable[Unit], work: Work, place: Place) -> Generator[Event]:
    """Run units in ``place.jobs`` processes (:func:`serotone.experiments.executors.run`); each decodes the corpora.

    Raises:
        RunError: Workers die as soon as they start; or this is Windows.
    """
    if sys.platform == "win32":
        raise RunError("worker processes need Linux or macOS; on Windows use --jobs 1, or --executor ray")
    jobs = place.jobs or 1
    threads = place.threads or max(1, processors() // jobs)
    queue = Queue(units, work.more)
    workers: list[_Worker] = []
    lost: Counter[Path] = Counter()
    told: set[str] = set()
    births, code = 0, None
    try:
        while True:
            while len(workers) < jobs and births < BIRTHS and (unit := queue.draw()):
                workers.append(_Worker(threads, unit))
            if not workers:
                break
            for worker in _speaking(workers):
                unit = worker.unit
                try:
                    kind, value = worker.line.recv()
                except (EOFError, OSError):
                    workers.remove(worker)
                    code = worker.exit_code()
                    if not worker.at_work:
                        births += 1
                        queue.put_back(unit)
                    elif lost[unit.folder]:
                        why = (
                            "; the machine is probably out of memory: try fewer --jobs"
                            if code == -signal.SIGKILL
                            else ""
                        )
                        yield Event("failed", unit, text=f"its worker died twice, exit code {code}{why}")
                    else:
                        lost[unit.folder] += 1
                        queue.put_back(unit)
                        yield Event("again", unit, text=f"its worker died, exit code {code}")
                    continue
                if kind == "says":
                    if value not in told:
                        told.add(value)
                        work.tell(value)
                    continue
                if kind == "ready":
                    births = 0
                    worker.hand(work.utterances)
                else:
                    yield Event(kind, unit, **value)
                    following = queue.draw()
                    if following is None:
                        workers.remove(worker)
                        worker.end()
                        continue
                    worker.unit = following
                worker.at_work = worker.hand(worker.unit)
                if worker.at_work:
                    yield Event("started", worker.unit)
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.end()
    if births >= BIRTHS and queue.draw():
        raise RunError(
            f"{BIRTHS} worker processes in a row died at their start, the last one with exit code {code}; see above for"
            " the reason. A script must start a study under: if __name__ == '__main__'"
        )


class _Worker:
    """A process, the line to it, and the unit that it is for."""

    def __init__(self, threads: int, unit: Unit) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, threads), daemon=True)
        self.unit = unit
        self.at_work = False
        """Whether the unit has reached it."""
        # What is blocked stays blocked in the child: Ctrl-C at a terminal reaches every process of the group.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()  # so that the line ends when the process does

    def hand(self, value: object) -> bool:
        """Send it something; False where it is gone, as the end of its line then tells."""
        try:
            self.line.send(value)
        except OSError:
            return False
        return True

    def exit_code(self) -> int | None:
        """How a process ended whose line has."""
        self.process.join(DYING_SECONDS)
        code = self.process.exitcode
        self.end()
        return code

    def end(self) -> None:
        """Be rid of it; between two units it has nothing to lose."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.line.close()


def _speaking(workers: Sequence[_Worker]) -> list[_Worker]:
    """Wait until at least one has something to say, or is dead."""
    lines = connection.wait([worker.line for worker in workers])
    return [worker for worker in workers if worker.line in lines]


def _work(line: Any, threads: int) -> None:
    """The worker: ask for units, run them, say what came of each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # not blocked where the fork server is older than the first worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    speaking = threading.Lock()

    def say(kind: str, value: object = None) -> None:
        with speaking:
            line.send((kind, value))

    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # results are the parent's to print
    sys.stdout = sys.stderr = Lines(lambda text: say("says", text))
    torch.set_num_threads(threads)
    say("ready")
    materials = Materials(line.recv(), lambda text: say("says", text))
    while True:
        unit = line.recv()
        try:
            results = run_unit(unit, materials(unit.recipe))
        except Exception as error:
            say("failed", {"text": reason(error)})
        else:
            say("finished", {"results": results})


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
