"""Servers for tests: the toy bundle behind the application, and behind a process of its own."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import soundfile

from serotone.serving import schemas
from serotone.serving.app import make_app
from serotone.serving.limits import Limits
from serotone.serving.service import Service
from toy_bundle import SAMPLE_RATE

SOURCE = Path(__file__).resolve().parent.parent / "src"

SMALL = {"workers": 1, "queue": 2, "idle_seconds": 5.0, "grace_seconds": 10.0, "streams": 2}


def make_server(*bundles, token=None, hosts=None, profiles=None, profiles_kept=100, **limits):
    """The application over bundles, with limits small enough to be reached."""
    service = Service(bundles, limits=Limits(profiles=profiles_kept, **(SMALL | limits)), profiles=profiles)
    return make_app(service, token=token, hosts=hosts)


def wav(samples, rate=SAMPLE_RATE, *, subtype="FLOAT", format="WAV"):
    """Samples (T,) or (T, channels) as the bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def check_problem(answer):
    """The problem that an answer is, as RFC 9457 and the API describe it."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    schemas.Problem.model_validate(problem)
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    return problem


class Process:
    """``serotone serve`` in a process of its own, at a port of its own."""

    def __init__(self, *arguments, **environment):
        command = [sys.executable, "-m", "serotone", "serve", "--port", "0", *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(SOURCE)} | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"listens at (http://\S+)", line):
                self.url = found[1]
                break
        else:
            raise AssertionError("".join(self.log))
        self.reading = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reading.start()

    def client(self, timeout=60):
        return httpx.Client(base_url=self.url, timeout=timeout)

    def ask_to_end(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=30):
        return self.process.wait(seconds)


@contextmanager
def running(*arguments, **environment):
    """The same, and its end."""
    server = Process(*arguments, **environment)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.reading.join()
        server.process.stderr.close()


def until(holds, *, seconds=20.0):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)
