"""Who runs a unit changes nothing about it: this process, worker processes, Ray; whatever dies on the way."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from ray_nodes import Nodes, own_token, tree, two_nodes, until
from serotone import cluster
from serotone.corpora import Utterance, parse_corpora, synthetic
from serotone.errors import MissingExtraError, RunError
from serotone.experiments.executors import Place, Work, processes, ray_task, run
from serotone.experiments.executors import ray as on_ray
from serotone.experiments.planning import plan
from serotone.experiments.units import Event, Unit, unit_of
from serotone.recipes import load
from serotone.runs.layout import CHECKPOINT
from started import heed_interrupts, start, write_to

RECIPE = (
    "schedule=budget",
    "schedules.budget.precision=float32",  # bfloat16 is slow where a processor lacks it
    "schedules.budget.steps=40",  # 10 epochs: not over before a blow falls
    "schedules.budget.batch_size=4",
    "schedules.budget.validate_every=3",
    "schedules.budget.select_from=2",
    "protocol=leave-one-speaker-out",
    "max_frames=80",
    "frontend.num_mels=64",
)
FILES = ("predictions.csv", "validation.csv", "curves.csv", "selection.json", "split.json", "leaks.json")
CUT = "42 clips of more than 0.8 s: only the middle is used, to train and to test"
"""What is told of the corpus: ``max_frames`` is short."""

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture(scope="module", autouse=True)
def _a_token() -> Iterator[None]:
    with own_token():
        yield


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers, and a file that is no audio."""
    root = tmp_path_factory.mktemp("corpora") / "synthetic"
    synthetic.make(root, speakers=3, seed=0, sentences=2)
    (root / "syn00_angry_99.wav").write_bytes(b"no audio")
    return root


@pytest.fixture(scope="module")
def utterances(voices: Path) -> list[Utterance]:
    return parse_corpora([f"synthetic={voices}"])


def study(utterances: Sequence[Utterance], out: Path, *changes: str) -> list[Unit]:
    """Three folds of one row."""
    recipe = load("crnn-mel", (*RECIPE, *changes))
    return [unit_of(recipe, split, utterances, out / "row" / "seed-0") for split in plan(recipe, utterances)]


def hopeless(unit: Unit) -> Unit:
    """One whose training part lacks classes."""
    split = replace(unit.split, fold=77, train=unit.split.train[:1])
    return replace(unit, split=split, folder=unit.folder.with_name("hopeless"))


@dataclass
class Diary:
    """What an executor reports."""

    act: Callable[[Event], None] = lambda event: None
    events: list[Event] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def follow(
        self,
        units: Sequence[Unit],
        utterances: Sequence[Utterance],
        place: Place,
        *,
        more: Callable[[], bool] = lambda: True,
    ) -> None:
        """Run the units, each of which lies below the same folder as the first run's."""
        out = units[0].folder.parents[2] if units else Path()
        with contextlib.closing(run(units, Work(utterances, out, self.lines.append, more), place)) as events:
            for event in events:
                self.events.append(event)
                self.act(event)

    def kinds(self, unit: Unit) -> list[str]:
        return [event.kind for event in self.events if event.unit == unit]

    def text(self, kind: str) -> str:
        (event,) = (event for event in self.events if event.kind == kind)
        return event.text


def times(number: int) -> Callable[[], bool]:
    """Yes so many times, then no, and never asked again."""
    answers = iter([True] * number + [False])
    return lambda: next(answers)


@pytest.fixture(scope="module")
def expected(utterances: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of each fold as this process writes them."""
    units = study(utterances, tmp_path_factory.mktemp("here"))
    diary = Diary()
    diary.follow(units, utterances, Place(threads=1))
    assert [event.kind for event in diary.events] == ["started", "finished"] * 3
    return {unit.folder.name: written(unit) for unit in units}


def written(unit: Unit) -> dict[str, bytes]:
    return {name: (unit.folder / name).read_bytes() for name in FILES}


def whole(unit: Unit, expected: dict[str, dict[str, bytes]]) -> bool:
    """Finished as in this process, and nothing left lying about."""
    names = {path.name for path in unit.folder.iterdir()}
    return (
        unit.finished
        and names == {*FILES, "metrics.json", "versions.json"}
        and written(unit) == expected[unit.folder.name]
    )


# ------------------------------------------------------------------------------------------------------------ processes


def test_processes_finish_what_can_be_finished(
    utterances: list[Utterance], expected: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    units = study(utterances, tmp_path)
    bad, late = hopeless(units[0]), replace(units[0], folder=tmp_path / "late")
    diary = Diary()
    diary.follow([bad, *units, late], utterances, Place(jobs=2, threads=1), more=times(4))
    assert all(whole(unit, expected) for unit in units)
    assert all(diary.kinds(unit) == ["started", "finished"] for unit in units)
    assert diary.kinds(bad) == ["started", "failed"]
    assert diary.text("failed").startswith("the training part has no clip of")
    assert diary.kinds(late) == []
    assert [line for line in diary.lines if "left out" in line] == [line for line in diary.lines if "99.wav" in line]
    assert [line for line in diary.lines if "99.wav" not in line] == [CUT]
    assert [event.results["clips"] for event in diary.events if event.results] == 3 * [{"train": 14, "validation": 14}]
    assert not multiprocessing.active_children()


def test_a_killed_worker_loses_nothing_and_a_deadly_unit_fails(
    utterances: list[Utterance], expected: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    deadly, struck = study(utterances, tmp_path)[:2]
    struck.folder.mkdir(parents=True)
    (struck.folder / ".curves.csv.123.tmp").touch()  # of a process that was killed before

    def kill() -> None:
        (worker,) = multiprocessing.active_children()
        worker.kill()

    def kill_after_an_epoch() -> None:
        until((struck.folder / CHECKPOINT).exists)
        kill()

    def act(event: Event) -> None:
        if event.kind == "started" and event.unit == deadly:
            kill()
        if event.kind == "started" and diary.kinds(struck) == ["started"]:
            blow.start()

    diary = Diary(act)
    blow = threading.Thread(target=kill_after_an_epoch)
    work = Work(utterances, tmp_path)
    with contextlib.closing(processes.run([deadly, struck], work, Place(jobs=1, threads=1))) as events:
        for event in events:
            diary.events.append(event)
            diary.act(event)
    blow.join()
    assert diary.kinds(deadly) == ["started", "again", "started", "failed"]
    assert (
        diary.text("failed")
        == "its worker died twice, exit code -9; the machine is probably out of memory: try fewer --jobs"
    )
    assert diary.kinds(struck) == ["started", "again", "started", "finished"]
    assert whole(struck, expected)


def test_threads_are_shares_of_the_processors_that_this_process_may_use(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Worker:
        def __init__(self, threads: int, unit: Unit) -> None:
            raise RunError(f"{threads} threads")

    monkeypatch.setattr(processes, "_Worker", Worker)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {8, 9, 10, 11}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("serotone.processors.QUOTA", tmp_path / "none")
    with pytest.raises(RunError, match=r"^2 threads"):
        next(processes.run(study(utterances, tmp_path), Work(utterances, tmp_path), Place(jobs=2)))


def test_workers_that_cannot_start_are_an_error(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_work", os._exit)  # which takes no such arguments
    diary = Diary()
    with pytest.raises(
        RunError, match="3 worker processes in a row died at their start, the last one with exit code 1"
    ):
        diary.follow(study(utterances, tmp_path), utterances, Place(jobs=2, threads=1))
    assert diary.events == []


def work_once(folder: Path, *given: Any) -> None:
    """The first worker works, the others die at their start."""
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        os._exit(1)
    processes._work(*given)


def test_workers_that_cannot_start_matter_only_where_something_is_left_undone(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_work", partial(work_once, tmp_path))
    diary = Diary()
    units = study(utterances, tmp_path, "schedules.budget.steps=3")
    diary.follow(units, utterances, Place(jobs=4, threads=1))
    assert all(diary.kinds(unit)[-1] == "finished" for unit in units)


# ------------------------------------------------------------------------------------------- Ctrl-C, and a parent's end


def alone(how: str, utterances: Sequence[Utterance], out: Path) -> None:
    """A study in a process of its own, which takes minutes: Ray's workers live on for seconds after their driver."""
    os.setsid()
    heed_interrupts()
    write_to(out / "out", out / "err")
    units = study(utterances, out, "schedules.budget.steps=4000")[:1]
    Diary().follow(units, utterances, Place(threads=1, **PLACES[how]))


PLACES: dict[str, dict[str, Any]] = {"processes": {"jobs": 2}, "ray": {"executor": "ray"}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "blow"),
    [
        ("processes", signal.SIGINT),
        ("processes", signal.SIGKILL),
        pytest.param("ray", signal.SIGINT, marks=needs_ray),  # what becomes of Ray after a SIGKILL is Ray's affair
    ],
)
def test_nothing_survives_the_parent(
    how: str, blow: signal.Signals, utterances: list[Utterance], tmp_path: Path
) -> None:
    parent = start(alone, how, utterances, tmp_path)
    with tree(parent.pid) as everyone:
        folder = tmp_path / "row" / "seed-0" / "fold-0-0"
        until(lambda: (folder / CHECKPOINT).exists() or not parent.is_alive())
        assert parent.is_alive(), (tmp_path / "err").read_text()
        # Ray's own agents look for their parent once in a while, and end within a minute or so.
        family = [process for process in everyone() if "Agent" not in " ".join(process.cmdline())]
        if blow == signal.SIGINT:
            os.killpg(parent.pid, blow)  # as a terminal does
        else:
            os.kill(parent.pid, blow)
        parent.join(300)
        assert parent.exitcode == (1 if blow == signal.SIGINT else -blow)
        _, alive = psutil.wait_procs(family, timeout=120)
        assert alive == []
    out, err = ((tmp_path / name).read_text() for name in ("out", "err"))
    assert out == ""
    assert ("KeyboardInterrupt" in err) == (blow == signal.SIGINT)
    assert err.count("Traceback") == (blow == signal.SIGINT)
    assert (folder / CHECKPOINT).exists(), "the blow came too late to test anything"
    assert not (folder / "metrics.json").exists()


# ------------------------------------------------------------------------------------------------------------------ Ray


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"training on a Ray cluster .* 'serotone\[ray\]'"):
        Diary().follow([], [], Place("ray"))


@needs_ray
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://head:10001", "run this on a machine of the cluster"),
        ("head", "no Ray at head: ValueError: expected host:port"),
        ("127.0.0.1:1", "no Ray at 127.0.0.1:1: ConnectionRefusedError.* ray start --head"),
    ],
)
def test_an_address_where_no_cluster_is(address: str, words: str) -> None:
    with pytest.raises(RunError, match=words):
        Diary().follow([], [], Place("ray", address=address))


@needs_ray
def test_a_unit_that_fits_nowhere_on_this_machine_is_an_error(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(on_ray, "cluster", lambda address: contextlib.nullcontext())
    needs_and_room = {(2, 0): 5, (1, 0): 11, (2, 1): 2, (2, 0.5): 4, (1, 0.3): 6, (1, 0.1): 8, (2, 2): 1, (9, 0): 0}
    assert {needs: cluster.room(*needs) for needs in needs_and_room} == needs_and_room
    with pytest.raises(RunError, match="does not have the 2 processors and 3 GPUs that one fold needs"):
        Diary().follow(study(utterances, tmp_path), utterances, Place("ray", threads=2, gpus=3))


def test_a_worker_without_the_corpora_says_so(utterances: list[Utterance], tmp_path: Path) -> None:
    unit = study(utterances, tmp_path)[0]
    moved = [*utterances[:-1], replace(utterances[-1], path=tmp_path / "gone.wav")]
    terms = ray_task.Terms("token", tmp_path, 1, True, frozenset(), "0")
    with pytest.raises(RunError, match=r"1 of 43 files of the corpora are not on .*, such as .*gone\.wav"):
        ray_task._decoded(unit, moved, terms, [])
    known = replace(terms, missing=frozenset({utterances[-1].id}))  # the driver does not have it either
    lines: list[str] = []
    assert len(ray_task._decoded(unit, moved, known, lines).waveforms) == 41
    assert [name in line for name, line in zip(("99.wav", "gone.wav"), lines, strict=False)] == [True, True]
    assert lines[2:] == [CUT.replace("42", "41")]
    ray_task._CACHES.clear()


@needs_ray
@pytest.mark.slow
def test_ray_finishes_what_can_be_finished(
    utterances: list[Utterance],
    expected: dict[str, dict[str, bytes]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(on_ray, "LOSSES", 1)
    units = study(utterances, tmp_path)
    bad, late = hopeless(units[0]), replace(units[0], folder=tmp_path / "late")
    deadly = units.pop()
    workers: list[int] = []

    def act(event: Event) -> None:
        if event.kind == "started" and event.unit == deadly:
            until(lambda: bool(task_processes(deadly.name)))
            for process in task_processes(deadly.name):
                workers.append(process.pid)
                process.kill()

    diary = Diary(act)
    before = signal.signal(signal.SIGTERM, our_handler)
    try:
        diary.follow([bad, *units, deadly, late], utterances, Place("ray", jobs=1), more=times(5))
        assert signal.getsignal(signal.SIGTERM) is our_handler  # Ray had put its own in its place
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [diary.kinds(unit) for unit in units] == [["started", "finished"]] * 2, [
        (event.kind, event.unit.folder.name, event.text) for event in diary.events
    ]
    assert all(whole(unit, expected) for unit in units)
    assert diary.kinds(bad) == ["started", "failed"]
    assert diary.kinds(deadly) == ["started", "again", "started", "failed"]
    assert len(set(workers)) == 2
    reasons = [event.text for event in diary.events if event.kind == "failed"]
    assert reasons[0].startswith("the training part has no clip of")
    assert reasons[1] == "its worker died; it was started 2 times, and its worker was lost each time"
    assert diary.kinds(late) == []
    assert len([line for line in diary.lines if "left out" in line]) == 1
    assert not list(tmp_path.rglob(ray_task.MARKER))
    assert capsys.readouterr().out == ""
    assert not [process for process in psutil.Process().children(recursive=True) if "ray" in process.name()]


def our_handler(number: int, frame: object) -> None:
    raise AssertionError(f"nobody sends signal {number} in these tests")


def task_processes(name: str) -> list[psutil.Process]:
    """The Ray workers below this process that are at a task of that name."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(name in part for part in process.cmdline()):
                found.append(process)
    return found


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with two_nodes() as cluster:
        yield cluster


@needs_ray
@pytest.mark.slow
def test_a_disk_that_workers_do_not_see_is_written_by_the_driver(
    nodes: Nodes,
    utterances: list[Utterance],
    expected: dict[str, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    unit = study(utterances, Path("relative"))[0]
    unit.folder.mkdir(parents=True)
    (unit.folder / CHECKPOINT).write_text("of another run: whoever reads it fails")
    monkeypatch.setattr(on_ray, "write_text", lambda path, text: path.write_text("another token"))
    diary = Diary()
    diary.follow([unit], utterances, Place("ray", address=nodes.address, corpora="shared"))
    assert diary.kinds(unit) == ["started", "finished"]
    assert whole(unit, expected)
    assert [line for line in diary.lines if "left out" in line] == [line for line in diary.lines if "99.wav" in line]
    host = socket.gethostname()
    assert (
        f"{host} cannot see relative, so a unit that is interrupted there starts again from its beginning"
        in diary.lines
    )
    assert len(diary.lines) == 3
    assert CUT in diary.lines


@needs_ray
@pytest.mark.slow
def test_a_study_outlives_a_node(
    nodes: Nodes, utterances: list[Utterance], expected: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    units = study(utterances, tmp_path)

    def act(event: Event) -> None:
        if event.kind == "started" and event.text and not blows:  # it is not the driver's node
            until((event.unit.folder / CHECKPOINT).exists)
            blows.append(event.unit)
            for process in nodes.everyone():
                with contextlib.suppress(psutil.Error):
                    process.kill()

    import ray

    blows: list[Unit] = []
    diary = Diary(act)
    ray.init(nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        until(lambda: sum(node["Alive"] for node in ray.nodes()) == 2)
        diary.follow(units, utterances, Place("ray", address=nodes.address))
        assert ray.is_initialized()  # it was not run()'s to leave
    finally:
        ray.shutdown()
    (struck,) = blows
    assert diary.kinds(struck) == ["started", "again", "started", "finished"]
    assert diary.text("again") in ("its node died", "its worker died")
    assert all(whole(unit, expected) for unit in units)
    assert all(diary.kinds(unit) == ["started", "finished"] for unit in units if unit != struck)
