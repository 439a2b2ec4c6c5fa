"""Commands in processes that may be killed: forks of a server that has imported what training needs.

Only the first takes seconds to start. Its signals and its standard streams are those of a process of its own.
"""

import os
import signal
import sys
from multiprocessing import get_context
from multiprocessing.process import BaseProcess


def start(*arguments: str) -> BaseProcess:
    """``serotone ARGUMENTS``; what it writes is dropped."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["serotone.experiments.executors.processes"])
    process = context.Process(target=_main, args=(arguments,))
    process.start()
    return process


def _main(arguments: tuple[str, ...]) -> None:
    # A test run in the background of a shell has SIGINT ignored, and would hand that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.argv = ["serotone", *arguments]
    from serotone.cli import main

    main()
