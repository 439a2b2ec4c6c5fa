"""A Ray cluster of two nodes on this machine, one of which may be killed."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import pytest


def until(condition: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


@contextlib.contextmanager
def own_token() -> Iterator[None]:
    """Nodes and drivers of a file of tests know each other by it; Ray would keep one in the home directory.

    Nor does Ray start workers ahead: those would not have the environment variables of a task, and never get one. And
    it waits as long as a machine takes that is busy with other things.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "300")
        patch.setenv("RAY_agent_register_timeout_ms", "300000")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
        yield


@contextlib.contextmanager
def tree(root: int) -> Iterator[Callable[[], list[psutil.Process]]]:
    """Yields what lists a process with all below it, and all of its session; nothing of that is left in the end."""
    seen: set[psutil.Process] = set()

    def everyone() -> list[psutil.Process]:
        found = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
                above = {parent.pid for parent in process.parents()}
                if root in {process.pid, os.getsid(process.pid), *above} or seen & set(process.parents()):
                    found.add(process)
        seen.update(found)
        return [process for process in found if process.is_running()]

    try:
        yield everyone
    finally:
        for process in {*everyone(), *seen}:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(seen, timeout=30)


@dataclass
class Nodes:
    """Two nodes of one processor each; the driver joins the head."""

    address: str
    everyone: Callable[[], list[psutil.Process]]
    """The processes of the second node."""


@contextlib.contextmanager
def two_nodes(**variables: str) -> Iterator[Nodes]:
    """A cluster for the length of a test or of a file of tests; ``variables`` are of its environment."""
    place = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # Ray's sockets allow no long path
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "RAY_health_check_period_ms": "500",  # a dead node is seen after one second, not fifteen
        "RAY_health_check_failure_threshold": "2",
        "RAY_health_check_timeout_ms": "5000",
        "OMP_NUM_THREADS": "1",
        **variables,
    }

    def start(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"]
        node = ["--num-cpus=1", "--num-gpus=0", "--node-ip-address=127.0.0.1", "--object-store-memory=100000000"]
        return subprocess.Popen(
            [*command, *node, "--disable-usage-stats", *more],
            env=os.environ | settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    try:
        port = address.split(":")[1]
        # Neither a dashboard nor what watches over machines that are hired by the hour is needed here.
        head = start("--head", f"--port={port}", f"--temp-dir={place}", "--include-dashboard=false", "--no-monitor")
        with head, tree(head.pid):
            until(lambda: listens(address))
            with start(f"--address={address}") as second, tree(second.pid) as everyone:
                yield Nodes(address, everyone)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def listens(address: str) -> bool:
    with socket.socket() as line:
        host, port = address.split(":")
        return line.connect_ex((host, int(port))) == 0
