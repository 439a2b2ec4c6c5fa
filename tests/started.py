"""Processes that may be killed: forks of a server that has imported what training needs, so that only the first takes
seconds to start. Their signals are those of a process of its own.
"""

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """Call a function of a module in a process of its own, whose environment is that of this one."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["serotone.experiments.executors.processes"])
    process = context.Process(target=_call, args=(dict(os.environ), target, *arguments))
    process.start()
    return process


def _call(environment: dict[str, str], target: Callable[..., None], *arguments: object) -> None:
    os.environ.clear()  # the server's, which may be older
    os.environ.update(environment)
    target(*arguments)


def serotone(*arguments: str) -> None:
    """``serotone ARGUMENTS``; what it writes is dropped."""
    heed_interrupts()
    write_to(os.devnull, os.devnull)
    sys.argv = ["serotone", *arguments]
    from serotone.cli import main

    main()


def heed_interrupts() -> None:
    """In a child: a test run in the background of a shell has SIGINT ignored, and would hand that on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def write_to(out: str | os.PathLike[str], err: str | os.PathLike[str]) -> None:
    """Let standard output and standard error be files."""
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
