"""What a study says while it runs: one table on a terminal, a line for each event elsewhere."""

import contextlib
import io
import os
import pty
import re
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.file_proxy import FileProxy

from serotone.cli import app
from serotone.cli.progress import StudyProgress
from serotone.corpora import parse_corpora, synthetic
from serotone.experiments.planning import plan
from serotone.experiments.units import Event, Unit, unit_of
from serotone.recipes import load
from serotone.training import progress

SETTINGS = (
    "schedule=budget",
    "schedules.budget.precision=float32",  # bfloat16 is slow where a processor lacks it
    "schedules.budget.steps=4",
    "schedules.budget.validate_every=2",
)
SETTINGS += ("schedules.budget.select_from=2", "protocol=leave-one-speaker-out")


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpora") / "synthetic"
    synthetic.make(root, speakers=3, seed=0, sentences=1)
    return root


@pytest.fixture
def units(voices: Path, tmp_path: Path) -> list[Unit]:
    """Three folds of each of two rows."""
    utterances = parse_corpora([f"synthetic={voices}"])
    found = []
    for row in ("crnn-mel", "crnn-center-mel"):
        recipe = load(row, SETTINGS)
        folder = tmp_path / row / "seed-0"
        found += [unit_of(recipe, split, utterances, folder, row=row) for split in plan(recipe, utterances)]
    return found


def finished(unit: Unit, ua: float) -> Event:
    return Event("finished", unit, results={"test": {"ua": ua, "wa": ua}, "seconds": 60.0})


def drawn(progress: StudyProgress) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(progress._table())
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_the_table_counts_units_by_row(units: list[Unit], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = StudyProgress(jobs=2)
    progress.plan((), units)
    assert drawn(progress)[-1] == "time left ?"
    for unit, ua in zip(units[:3], (0.5, 0.7, None), strict=True):
        progress.event(Event("started", unit))
        now[0] += 60
        progress.event(finished(unit, ua) if ua else Event("failed", unit, text="diverged"))
    progress.event(Event("started", units[3]))
    now[0] += 60
    progress.event(finished(units[3], 0.9))
    progress.event(Event("started", units[4]))
    progress.event(Event("again", units[4], text="its worker died"))
    progress.event(Event("started", units[5]))
    assert drawn(progress) == [
        "row done running failed of mean UA",
        "crnn-mel 2 0 1 3 60.0%",
        "crnn-center-mel 1 1 0 3 90.0%",
        "time left 1 min",  # two units of a minute, two at a time
    ]
    table = progress._table()
    assert [getattr(cell, "style", None) for cell in table.columns[0].cells] == ["", "bold"]  # the best so far


def test_elsewhere_every_event_is_a_line(units: list[Unit], capsys: pytest.CaptureFixture[str]) -> None:
    with StudyProgress() as progress:
        progress.plan((), units)
        progress.event(Event("started", units[0]))
        progress.event(finished(units[0], 0.5))
        progress.event(Event("again", units[1], text="its worker died"))
        progress.event(Event("failed", units[1], text="diverged"))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert "6 units, 0 finished before" in lines[0]
    assert re.search(r"crnn-mel, seed 0, fold 0-0 \(1 of 6\): WA 50\.0%  UA 50\.0%  60\.0 s; left ", lines[1])
    assert [line.split(": ", 1)[1] for line in lines[2:]] == [
        "again: crnn-mel, seed 0, fold 0-1: its worker died",
        "failed: crnn-mel, seed 0, fold 0-1: diverged",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_fold_draws_no_bar_into_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert len(progress.bars("fold-0-0")) == 1
    monkeypatch.setattr(sys, "stderr", FileProxy(Console(), Terminal()))
    assert progress.bars("fold-0-0") == []


def test_on_a_terminal(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "small.yaml"
    study.write_text("schema: 1\ntitle: Small\ndescription: Is it drawn?\nsource: ours\nrows: [crnn-mel]\n")
    command = ["study", str(study), "--corpus", f"synthetic={voices}", "--out", str(tmp_path / "out")]
    command += [word for setting in SETTINGS for word in ("--set", setting)]
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65536):
                shown.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        app(command, standalone_mode=False)
    reader.join()
    os.close(ours)
    assert "3 units finished now" in capsys.readouterr().out
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", bytes(shown)).decode()
    assert "mean UA" in text
    assert re.search(r"time left \d+ min", text)
    assert "validation UA" not in text, "a fold's own bar was drawn over the table"
