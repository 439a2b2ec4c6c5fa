"""Signals that end a command: raised where they may be, later where they may not, never lost."""

import signal
import time
from contextlib import suppress

import pytest

from serotone.cli.streams import SignalledError, ends_in_order


@pytest.fixture(autouse=True)
def handlers():
    """Those of a new process: a test before may have used a library that puts its own in place."""
    defaults = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def called_back(name, module):
    """A function as soundfile hands to libsndfile, during which the signal comes."""
    namespace = {"__name__": module, "signal": signal}
    exec(f"def {name}(number):\n    signal.raise_signal(number)\n    return 'finished'\n", namespace)
    return namespace[name]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_raises_and_its_handler_comes_back(number, status):
    before = signal.getsignal(number)
    with pytest.raises(SignalledError) as caught, ends_in_order():
        called_back("read", "elsewhere")(number)
    assert caught.value.status == status
    assert signal.getsignal(number) is before


def test_a_signal_during_a_callback_from_c_is_sent_anew():
    finished = []

    def hear():
        with ends_in_order():
            finished.append(called_back("vio_tell", "soundfile")(signal.SIGTERM))
            time.sleep(30)  # ended by the signal that comes again
            finished.append("slept")

    began = time.monotonic()
    with pytest.raises(SignalledError):
        hear()
    assert finished == ["finished"]
    assert time.monotonic() - began < 20


def test_a_signal_whose_exception_was_lost_is_noticed_before_the_answer_is_used():
    used = []

    def hear():
        with ends_in_order() as check:
            check()
            with suppress(SignalledError):  # as a library does that lets no exception through
                signal.raise_signal(signal.SIGTERM)
            check()
            used.append("an answer")

    with pytest.raises(SignalledError):
        hear()
    assert used == []


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends_in_order() as check:
            signal.raise_signal(signal.SIGHUP)
            check()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
