"""Work done ahead of whoever takes its results, in threads: onnxruntime and decoders let Python go on meanwhile."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from serotone.processors import check_count

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(do: Callable[[Item], Result], items: Iterable[Item], *, jobs: int) -> Iterator[Result]:
    """What ``do`` makes of each item, in their order, ``jobs`` of them at a time.

    With one job nothing is done before its result is asked for. With more, at most twice as many items as jobs are
    taken before the result of the first is, so that neither items nor results pile up. An item's exception is raised
    where its result would come, and that of ``items`` after the results of those that came before it. Whoever stops
    early waits for what has begun.

    Raises ValueError: ``jobs`` is not a whole number of at least 1.
    """
    check_count("jobs", jobs)
    if jobs == 1:
        yield from map(do, items)
        return
    waiting: deque[Future[Result]] = deque()
    problem: Exception | None = None
    pool = ThreadPoolExecutor(jobs)
    try:
        left = iter(items)
        while True:
            try:
                waiting.append(pool.submit(do, next(left)))
            except StopIteration:
                break
            except Exception as error:
                problem = error
                break
            if len(waiting) == 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    if problem is not None:
        raise problem
