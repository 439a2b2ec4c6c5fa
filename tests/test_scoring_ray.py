"""``serotone score`` on Ray Data: the rows of one machine, on two nodes, one of which is killed."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import soundfile

from ray_nodes import own_token, two_nodes, until
from serotone.scoring import on_ray
from serotone.scoring.inputs import find
from serotone.scoring.scoring import Place, score, terms_of
from toy_bundle import SAMPLE_RATE, buzz, tone

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'serotone[score]'")
from pyarrow import dataset

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:ray"),  # of Ray Data by itself
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'serotone[ray]'"),
]


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """48 recordings of two kinds, two of them none."""
    folder = tmp_path_factory.mktemp("calls")
    soundfile.write(folder / "000.wav", tone(1, 0.9), SAMPLE_RATE)
    soundfile.write(folder / "001.wav", buzz(1, 0.2), SAMPLE_RATE)
    (folder / "002.wav").write_text("hello", encoding="utf-8")
    for number in range(3, 48):
        (folder / f"{number:03}.wav").hardlink_to(folder / ("002.wav" if number == 34 else f"{number % 2:03}.wav"))
    return folder


SLOW = """
import json, sys, time
if any("serotone.scoring.worker" in word for word in sys.orig_argv):
    loads = json.loads
    json.loads = lambda *given, **named: time.sleep(0.25) or loads(*given, **named)
"""
"""Run by every Python that starts on the nodes: a worker takes its time over each recording, so that it can be hit."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slow")
    (folder / "sitecustomize.py").write_text(SLOW)
    with own_token(), two_nodes(PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])) as cluster:
        yield cluster


DRIVE = "import sys, test_scoring_ray as t; t.drive(*sys.argv[1:])"


def drive(address: str, bundle: str, folder: str, out: str) -> None:
    """Score on the cluster, and note how many were answered and how many failed: in a process of its own, since Ray
    reads the way nodes know each other once, and another test may have imported it."""
    import ray

    def joined() -> bool:
        """Whether the driver has found the head, which takes its time to start."""
        with contextlib.suppress(ConnectionError):
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        return bool(ray.is_initialized())

    on_ray.BATCH = 4
    until(joined, 300)
    until(lambda: sum(node["Alive"] for node in ray.nodes()) == 2, 300)
    loaded, terms = terms_of(bundle, embeddings=True)
    tally = score(find([folder]), Path(out), loaded, terms, Place(executor="ray", address=address))
    Path(out, "tally.json").write_text(json.dumps([tally.answered, tally.failed]), encoding="utf-8")


def tables(out: Path) -> list[list[dict]]:
    found = [dataset.dataset(out / name).to_table().to_pylist() for name in ("clips", "errors")]
    return [sorted(rows, key=lambda row: row["name"]) for rows in found]


def test_a_cluster_that_loses_a_worker_and_a_node_gives_the_rows_of_one_machine(nodes, adaptable, calls, tmp_path):
    recordings = find([str(calls)])
    loaded, terms = terms_of(str(adaptable), embeddings=True)
    score(recordings, tmp_path / "here", loaded, terms, Place(jobs=1))

    struck = []

    def hearing() -> list[psutil.Process]:
        found = []
        for process in nodes.everyone():
            with contextlib.suppress(psutil.Error):  # it has just ended
                if "scoring.worker" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def strike() -> None:
        """Kill a worker process that hears, then every process of the second node."""
        until(lambda: bool(hearing()))
        workers = hearing()
        time.sleep(1.0)
        for process in workers:
            process.kill()
            struck.append("worker")
        time.sleep(1.0)
        for process in nodes.everyone():
            with contextlib.suppress(psutil.Error):
                process.kill()
                struck.append("node")

    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVE, nodes.address, str(adaptable), str(calls), str(tmp_path / "there")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        stdout=subprocess.DEVNULL,
    )
    blow = threading.Thread(target=strike, daemon=True)
    try:
        blow.start()
        assert driver.wait(timeout=500) == 0
    finally:
        driver.kill()
    blow.join(timeout=60)
    assert {"worker", "node"} <= set(struck)
    assert json.loads((tmp_path / "there" / "tally.json").read_text(encoding="utf-8")) == [46, 2]
    assert tables(tmp_path / "there") == tables(tmp_path / "here")
