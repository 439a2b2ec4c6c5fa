"""Work off the event loop: as many threads as there are workers, and a bounded number of calls that wait for one."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from serotone.serving.problems import ProblemError

Answer = TypeVar("Answer")

_MEMORY = 0.2
"""Weight of the newest call in the mean that predicts how long the next ones take."""


class Pool:
    """Runs blocking calls; where ``workers`` are busy and ``queue`` calls wait, the next one is refused."""

    def __init__(self, workers: int, queue: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="serotone")
        self._workers, self._most = workers, workers + queue
        self._seconds = 1.0  # that a call takes, about
        self.held = 0

    @property
    def waiting(self) -> int:
        """Calls that no worker has taken yet."""
        return max(0, self.held - self._workers)

    def check(self) -> None:
        """Raise ProblemError, with status 503, where there is no room for another call."""
        if self.held >= self._most:
            seconds = max(1, math.ceil(self.held / self._workers * self._seconds))
            raise ProblemError(
                503,
                f"the server is busy: {self.held} requests are being answered or are waiting; try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )

    async def run(self, call: Callable[[], Answer]) -> Answer:
        """What the call returns or raises; raises ProblemError as `check`."""
        self.check()
        self.held += 1
        begun = time.monotonic()
        waited = self.waiting
        future = asyncio.get_running_loop().run_in_executor(self._threads, call)
        future.add_done_callback(lambda done: self._done(done, time.monotonic() - begun, waited))
        return await asyncio.shield(future)  # the thread goes on to the end, whoever stops waiting for it

    def close(self) -> None:
        """Wait for what runs, and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: asyncio.Future[Any], seconds: float, waited: int) -> None:
        self.held -= 1
        if not future.cancelled():
            future.exception()  # whoever waits for it gets it; if nobody does, asyncio would log it as never retrieved
        alone = seconds * self._workers / (self._workers + waited)
        self._seconds += _MEMORY * (alone - self._seconds)
