"""Units of a study per hour: one local Ray worker against two, and the same of bare processes, one thread each.

    python benchmarks/ray_workers.py [--recipe crnn-center-mel] [--steps 30] [--units 4] [--out F]

Every unit is the same training on the same fold of the synthetic corpus. The rate is that of a worker at work: its
start, and the first unit, are not counted. The aim is 1.7 times. Two bare processes side by side show what the hardware
has to give: where two processors share one core, or the memory, they do not reach twice the rate of one either. Run it
on an idle machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from machine import machine
from serotone.corpora import Utterance, parse_corpora
from serotone.experiments.executors import Place, Work, run
from serotone.experiments.planning import plan
from serotone.experiments.units import Unit, unit_of
from serotone.recipes import load

AIM = 1.7


def units_of(arguments: argparse.Namespace, utterances: list[Utterance], number: int, out: Path) -> list[Unit]:
    """The same unit so many times, each in a folder of its own."""
    changes = ["protocol=leave-one-speaker-out", "schedule=budget", f"schedules.budget.steps={arguments.steps}"]
    changes += ["schedules.budget.select_from=0"]
    recipe = load(arguments.recipe, changes)
    split = plan(recipe, utterances)[0]
    return [unit_of(recipe, split, utterances, out / f"run-{copy}") for copy in range(number)]


def timed(units: list[Unit], utterances: list[Utterance], out: Path, place: Place) -> list[float]:
    """When each unit finished, in seconds."""
    times = []
    for event in run(units, Work(utterances, out), place):
        if event.kind in ("failed", "again"):
            raise SystemExit(f"{event.unit.name}: {event.kind}: {event.text}")
        if event.kind == "finished":
            times.append(time.time())
    return times


def per_hour(finished: list[float], workers: int) -> float:
    """Units an hour, from when as many have finished as there are workers."""
    finished = sorted(finished)
    return 3600 * (len(finished) - workers) / (finished[-1] - finished[workers - 1])


def by_ray(arguments: argparse.Namespace, utterances: list[Utterance], workers: int) -> float:
    """The rate of so many Ray workers on this machine."""
    with tempfile.TemporaryDirectory() as out:
        units = units_of(arguments, utterances, workers * arguments.units, Path(out))
        return per_hour(timed(units, utterances, Path(out), Place("ray", jobs=workers, threads=1)), workers)


def by_processes(arguments: argparse.Namespace, root: Path, workers: int) -> float:
    """The rate of so many processes that know nothing of each other."""
    command = [sys.executable, __file__, "--recipe", arguments.recipe, "--steps", str(arguments.steps)]
    command += ["--units", str(arguments.units), "--bare", str(root)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(workers)]
    answers = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("a bare process failed")
    return per_hour([moment for answer in answers for moment in json.loads(answer)], workers)


def bare(arguments: argparse.Namespace) -> None:
    """One bare process: run the units and print when each finished."""
    utterances = parse_corpora([f"synthetic={arguments.bare}"])
    with tempfile.TemporaryDirectory() as out:
        units = units_of(arguments, utterances, arguments.units, Path(out))
        print(json.dumps(timed(units, utterances, Path(out), Place(threads=1))))


def main() -> int:
    """Measure, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="crnn-center-mel")
    parser.add_argument("--steps", type=int, default=30, help="training steps of a unit")
    parser.add_argument("--units", type=int, default=4, help="units of each worker, the first of which is not counted")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.units < 2:
        parser.error(f"--units {arguments.units}: the first of each worker is not counted; ask for 2 or more")
    if arguments.bare:
        bare(arguments)
        return 0
    if (os.cpu_count() or 1) < 2:
        parser.error("this machine has one processor; two workers need two")
    os.environ["OMP_NUM_THREADS"] = "1"

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "synthetic"
        utterances = parse_corpora([f"synthetic={root}"])
        rates = {
            "ray": [by_ray(arguments, utterances, workers) for workers in (1, 2)],
            "processes": [by_processes(arguments, root, workers) for workers in (1, 2)],
        }
    ratios = {name: two / one for name, (one, two) in rates.items()}
    print(f"{arguments.recipe}, {arguments.steps} steps, {len(utterances)} clips, one thread each; units an hour")
    print(f"{'':24}{'one':>8}{'two':>8}{'ratio':>8}")
    print(f"{'Ray workers':24}{rates['ray'][0]:8.0f}{rates['ray'][1]:8.0f}{ratios['ray']:8.2f}      (aim: {AIM})")
    print(
        f"{'bare processes':24}{rates['processes'][0]:8.0f}{rates['processes'][1]:8.0f}{ratios['processes']:8.2f}"
        "      (what the hardware gives)"
    )

    if arguments.out:
        figures = {
            "schema": 1,
            "machine": machine(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "recipe": arguments.recipe,
            "steps": arguments.steps,
            "units_per_worker": arguments.units,
            "clips": len(utterances),
            "ray_units_per_hour": {"1": rates["ray"][0], "2": rates["ray"][1]},
            "process_units_per_hour": {"1": rates["processes"][0], "2": rates["processes"][1]},
            "ray_ratio": ratios["ray"],
            "process_ratio": ratios["processes"],
            "share_of_the_hardware": ratios["ray"] / ratios["processes"],
            "aim": AIM,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
