"""Kill training, a study and scoring with SIGKILL at random moments, and compare what they end with.

    python benchmarks/kills.py [--kills 50] [--only train study score] [--seed 0] [--out F]

Each command runs once unbroken. Then it is started again and again in another folder, and its whole process group is
killed at a moment drawn evenly from the time that the unbroken run took, until it has been killed as often as asked; a
run that ends sooner is compared, and the next begins in a new folder. The last is left to its end. Every folder that
was finished must hold what the unbroken one holds: the predictions and curves of each fold to the byte, or the same
rows of Parquet. Exit status 1 where one does not. `make test` has short versions for training and scoring.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyarrow import dataset

from machine import machine
from serotone.corpora import synthetic
from serotone.runs import layout

FILES = (layout.PREDICTIONS, layout.VALIDATION, layout.CURVES, layout.SELECTION, layout.SPLIT)
QUICK = {
    "schedule": "budget",
    "schedules.budget.precision": "float32",
    "schedules.budget.steps": "40",
    "schedules.budget.batch_size": "4",
    "schedules.budget.validate_every": "3",
    "schedules.budget.select_from": "2",
    "protocol": "leave-one-speaker-out",
    "max_frames": "80",
}
SMALL_PARTS = "from serotone.scoring import folder; folder.PART_ROWS = 5; from serotone.cli import main; main()"
"""`serotone` with a part of Parquet every five rows: as much to go wrong in a minute as otherwise in a day."""


def main() -> int:
    """Kill, compare, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="how often each command is killed")
    parser.add_argument("--only", nargs="+", choices=("train", "study", "score"), default=["train", "study", "score"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        voices = folder / "synthetic"
        synthetic.make(voices, speakers=3, seed=0, sentences=2)
        changes = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
        trains = ["--corpus", f"synthetic={voices}", "--threads", "1", "--folds", "0", *changes]
        serotone = [sys.executable, "-m", "serotone"]
        commands: dict[str, tuple[list[str], Callable[[Path], object]]] = {
            "train": ([*serotone, "crossval", "crnn-center-mel", *trains], answers),
            "study": ([*serotone, "study", "main-rows", "--rows", "crnn-mel", "--seeds", "0", *trains], answers),
            "score": ([sys.executable, "-c", SMALL_PARTS, "score", str(voices), "--jobs", "2"], rows),
        }
        for name in arguments.only:
            dice = random.Random(f"{arguments.seed} {name}")
            figures[name] = killed(*commands[name], folder / name, arguments.kills, dice)
            print(f"{name}: {figures[name]}", flush=True)
            if arguments.out:
                about = {
                    "schema": 1,
                    "machine": machine(),
                    "seed": arguments.seed,
                }
                arguments.out.parent.mkdir(parents=True, exist_ok=True)
                arguments.out.write_text(json.dumps(about | figures, indent=2) + "\n", encoding="utf-8")
    return int(any(entry["different"] for entry in figures.values()))


def killed(
    command: list[str], contents: Callable[[Path], object], folder: Path, kills: int, dice: random.Random
) -> dict[str, object]:
    """How often a command was killed and finished, and how many of the finished folders differ from the unbroken."""
    began = time.monotonic()
    start(command, folder / "unbroken").wait()
    seconds = time.monotonic() - began
    expected = contents(folder / "unbroken")
    if not expected:
        sys.exit(f"{' '.join(command)}: left nothing to compare")
    struck = finished = different = 0
    while struck < kills or not finished:
        run = folder / f"broken-{finished}"
        process = start(command, run)
        try:
            process.wait(dice.uniform(0, seconds) if struck < kills else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            struck += 1
            continue
        finished += 1
        different += contents(run) != expected
        if contents(run) == expected:
            shutil.rmtree(run)
    return {"kills": struck, "finished": finished, "different": different, "unbroken_seconds": seconds}


def start(command: list[str], out: Path) -> subprocess.Popen[bytes]:
    """The command, with nothing shown, as a process group of its own."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    return subprocess.Popen([*command, "--out", str(out)], **quiet)


def answers(run: Path) -> dict[str, bytes]:
    """What every fold below a folder answers and how it was trained, by path."""
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.name in FILES}


def rows(out: Path) -> list[dict[str, object]]:
    """The rows of both tables, by name."""
    found = [
        row
        for table in ("clips", "errors")
        if (out / table).is_dir()
        for row in dataset.dataset(out / table).to_table().to_pylist()
    ]
    return sorted(found, key=lambda row: str(row["name"]))


if __name__ == "__main__":
    sys.exit(main())
