"""Worker processes, from the side of whoever keeps them busy: one at a time, or a pool of them on this machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from queue import SimpleQueue
from typing import IO, Any

from serotone.errors import AudioError, RunError
from serotone.scoring.terms import Outcome, Recording, Terms
from serotone.scoring.worker import FATAL, READY

START_SECONDS = 120.0
"""How long a worker may take to start, on a busy machine and a slow disk."""

TRIES = 2
"""How often a recording is heard whose worker dies; once may be the fault of whatever else the machine does."""

PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from serotone.scoring.worker import main; main()"


class _DiedError(Exception):
    """The process ended before it answered; says how."""


class Worker:
    """One process that hears recordings, started when it is first needed and again when it has died."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        self._late = False
        self._lock = threading.Lock()

    def answer(self, recording: Recording) -> Outcome:
        """What comes of a recording, whatever it does to the process that hears it.

        Raises:
            RunError: No process can be started that hears anything.
        """
        died = ""
        for _ in range(TRIES):
            process = self._started()
            try:
                return Outcome.from_json(self._ask(process, recording.to_json(), self._terms.time_limit))
            except _DiedError as error:
                died = str(error)
                self._end()
                if self._late:  # another hour would be no better
                    break
        why = (
            f"ended {TRIES} times the process that hears it ({died}); it is damaged, or needs more memory than there is"
        )
        if self._late:
            why = f"takes more than {self._terms.time_limit:g} s, the limit for one recording"
        return Outcome(recording.name, error=AudioError.__name__, message=f"{recording.name}: {why}")

    def close(self) -> None:
        """End the process, whatever it does."""
        with self._lock:
            self._closed = True
        self._end()

    def _started(self) -> subprocess.Popen[str]:
        """The process, which is new where there is none; one that is killed while it starts is started again."""
        if self._process is not None:
            return self._process
        for attempt in range(1, TRIES + 1):
            process = self._launched()
            try:
                greeting = json.loads(self._ask(process, self._terms.to_json(), START_SECONDS))
                break
            except _DiedError as error:
                self._end()
                if attempt == TRIES or self._late:
                    raise RunError(
                        f"a worker process could not start ({error}); try serotone predict on one file, which may say"
                        " why"
                    ) from error
        if FATAL in greeting:
            raise RunError(f"the worker processes cannot score: {greeting[FATAL]}")
        if greeting[READY] != self._terms.version:
            raise RunError(
                f"a worker process has serotone {greeting[READY]}, and this command has {self._terms.version}; "
                "install one version everywhere"
            )
        return process

    def _launched(self) -> subprocess.Popen[str]:
        """A new process, which has not been asked yet."""
        with self._lock:
            if self._closed:
                raise RunError("scoring was stopped")
            self._process = process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *map(os.path.abspath, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # decoders print there what a damaged file makes them
                text=True,
                encoding="utf-8",
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        return process

    def _ask(self, process: "subprocess.Popen[str]", line: str, seconds: float) -> str:
        """The line that answers a line.

        Raises:
            _DiedError: There is none.
        """
        self._late = False
        stdin, stdout = _pipes(process)

        def expire() -> None:
            self._late = True
            process.kill()

        alarm = threading.Timer(seconds, expire)
        alarm.daemon = True
        alarm.start()
        try:
            stdin.write(line + "\n")
            stdin.flush()
            answer = stdout.readline()
        except (OSError, ValueError):  # ValueError: closed by `close`
            answer = ""
        finally:
            alarm.cancel()
        if not answer.endswith("\n"):
            raise _DiedError(_ending(process))
        return answer

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in _pipes(process):
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()


def _pipes(process: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _ending(process: "subprocess.Popen[str]") -> str:
    """How a process ended whose output has."""
    try:
        status = process.wait(5.0)
    except subprocess.TimeoutExpired:
        return "its output ended"
    if status >= 0:
        return f"exit status {status}"
    known = {number.value: number.name for number in signal.Signals}
    return known.get(-status, f"signal {-status}")


def run(recordings: Iterable[Recording], terms: Terms, jobs: int) -> Generator[Outcome]:
    """What comes of each recording, heard by ``jobs`` processes of this machine, in the order in which it is known.

    Close it (`contextlib.closing`) where it may not be read to its end: that ends the processes.

    Raises:
        RunError: No worker can be started.
    """
    workers = [Worker(terms) for _ in range(jobs)]
    idle: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def answer(recording: Recording) -> Outcome:
        worker = idle.get()
        try:
            return worker.answer(recording)
        finally:
            idle.put(worker)

    todo = iter(recordings)
    threads = ThreadPoolExecutor(jobs)
    try:
        flying: set[Any] = {threads.submit(answer, recording) for recording in islice(todo, 2 * jobs)}
        while flying:
            done, flying = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            flying |= {threads.submit(answer, recording) for recording in islice(todo, len(done))}
    finally:
        for worker in workers:
            worker.close()
        threads.shutdown(cancel_futures=True)
