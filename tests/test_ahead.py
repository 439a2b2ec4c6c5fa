"""Results in order, whatever works on them at once."""

import threading
import time

import pytest

from serotone.ahead import ahead


def test_results_come_in_order_and_two_items_are_worked_on_at_once():
    both = threading.Barrier(2)

    def do(item):
        both.wait(timeout=30)  # passes only where two are here at the same time
        time.sleep(0.02 * (item % 2 == 0))  # the second of each pair is ready first
        return item * item

    assert list(ahead(do, range(10), jobs=2)) == [n * n for n in range(10)]


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (3, 6)])
def test_no_more_items_are_taken_than_are_needed(jobs, most):
    taken = []
    results = ahead(str, (taken.append(n) or n for n in range(100)), jobs=jobs)
    assert (next(results), len(taken)) == ("0", most)
    results.close()
    assert len(taken) == most


@pytest.mark.parametrize("jobs", [1, 4])
def test_an_error_comes_where_its_result_would_have(jobs):
    got = []
    with pytest.raises(ZeroDivisionError):
        got.extend(ahead(lambda n: 6 // n, [3, 2, 0, 1], jobs=jobs))
    assert got == [2, 3]


@pytest.mark.parametrize("jobs", [1, 4])
def test_an_error_of_the_items_comes_after_the_results_before_it(jobs):
    def items():
        yield from (1, 2)
        raise LookupError("no more")

    got = []
    with pytest.raises(LookupError, match="no more"):
        got.extend(ahead(str, items(), jobs=jobs))
    assert got == ["1", "2"]


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "2"])
def test_jobs_that_are_no_number_of_threads_are_refused(jobs):
    with pytest.raises(ValueError, match="expected a whole number of at least 1"):
        list(ahead(str, [1], jobs=jobs))
