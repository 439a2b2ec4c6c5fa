"""Recordings on a Ray cluster, by Ray Data: actors that keep a worker process each, with backpressure and retries.

A file that ends the worker process is an error of that file, here as on one machine; the actor lives on. What was with
an actor or a node that is lost is heard again by another. serotone must be installed, in one version, on every machine,
and paths must be the same there; URLs need no shared disk.
"""

import contextlib
import logging
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from serotone.cluster import cluster, require_ray, room, set_aside, signals_kept
from serotone.errors import AudioMissingError, RunError, reason
from serotone.scoring.pool import Worker
from serotone.scoring.terms import Outcome, Recording, Terms

BATCH = 16
"""Recordings that are sent to an actor at a time, and heard again where it is lost."""

LOG_LEVEL = "RAY_BACKEND_LOG_LEVEL"

FAILURES = 3
"""How often Ray Data may give up before anything has come of it."""


def run(recordings: Sequence[Recording], terms: Terms, jobs: int | None, address: str | None) -> Generator[Outcome]:
    """What comes of each recording, in the order in which it is known, as `serotone.scoring.pool.run`.

    A Ray that this process has joined already is used as it is; one that is started here is stopped in the end.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: There is no cluster at the address, a node lacks files that are here, or Ray fails again and again.
    """
    require_ray("scoring on a Ray cluster")
    left = {recording.name: recording for recording in recordings}
    with signals_kept(), set_aside(), _quiet(), cluster(address):
        failures = 0
        while left:
            before = len(left)
            try:
                with contextlib.closing(_heard(list(left.values()), terms, jobs)) as outcomes:
                    for outcome in outcomes:
                        if left.pop(outcome.name, None) is not None:  # Ray may hear twice what it lost
                            _demand_file(outcome)
                            yield outcome
            except _ray_errors() as error:
                failures = 1 if len(left) < before else failures + 1
                if failures > FAILURES or (cause := _own(error)):
                    raise RunError(cause or f"Ray gave up {failures} times: {reason(error)}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray's own processes from printing what they do about actors that may restart."""
    before = os.environ.get(LOG_LEVEL)
    os.environ.setdefault(LOG_LEVEL, "fatal")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(LOG_LEVEL, None)


def _heard(recordings: Sequence[Recording], terms: Terms, jobs: int | None) -> Generator[Outcome]:
    """One pass over recordings by Ray Data."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    items = [{"recording": recording.to_json()} for recording in recordings]
    blocks = -(-len(items) // BATCH)
    actors = max(1, min(jobs or room(1, 0), blocks))  # at first; without --jobs the pool grows with the cluster
    heard = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
        _Actor,
        fn_constructor_args=(terms.to_json(),),
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(min_size=actors, max_size=jobs),
        num_cpus=1,
    )
    for batch in heard.iter_batches(batch_size=None, prefetch_batches=1):
        yield from map(Outcome.from_json, batch["outcome"])


class _Actor:
    """Lives on a node and keeps a worker process there."""

    def __init__(self, terms: str) -> None:
        self._worker = Worker(Terms.from_json(terms))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Outcomes for a batch, as JSON: rows of Arrow hold nothing else alike."""
        return {"outcome": [self._worker.answer(Recording.from_json(line)).to_json() for line in batch["recording"]]}


def _demand_file(outcome: Outcome) -> None:
    """An error row would be wrong where the file is here and not on the node."""
    path = outcome.name.partition("#t=")[0]
    if outcome.error == AudioMissingError.__name__ and Path(path).is_file():
        raise RunError(
            f"{path}: is on this machine, but not on a node; mount it at the same path on every machine, or give URLs"
        )


def _ray_errors() -> type[BaseException]:
    from ray.exceptions import RayError

    base: type[BaseException] = RayError
    return base


def _own(error: BaseException) -> str:
    """The message of an error of serotone's that an actor raised; trying again would not mend it."""
    text = str(error)
    mark = f"{RunError.__name__}: "
    return text.rpartition(mark)[2].splitlines()[0] if mark in text else ""
