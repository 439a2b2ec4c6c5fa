"""How long `serotone predict clip.wav` takes as a whole process, beside `python -c "import torch"`.

    python benchmarks/cold_start.py [--core-python .venv-core/bin/python] [--torch-python .venv/bin/python] [--out F]

Cold: the first run after the files of both environments were dropped from the page cache (where the system lets a user
ask for that; otherwise merely the first). Warm: the median of the runs after it. The two commands take turns, so that
whatever else the machine does falls on both. The aim: at most half the time of importing torch, about 0.6 s warm.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Measure, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core-python", type=Path, default=ROOT / ".venv-core/bin/python", help="has serotone's core")
    parser.add_argument("--torch-python", type=Path, default=ROOT / ".venv/bin/python", help="has torch")
    parser.add_argument("--clip", type=Path, help="the clip to recognise (default: the first of examples/)")
    parser.add_argument("--runs", type=int, default=10, help="warm runs of each command")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()

    clip = arguments.clip or min((ROOT / "examples").glob("*.wav"), default=None)
    for path, remedy in ((arguments.core_python, "make demo"), (arguments.torch_python, "make test"), (clip, "--clip")):
        if path is None or not path.exists():
            parser.error(f"{path}: missing; make it with, or give it by: {remedy}")

    commands = {
        "serotone predict": [str(arguments.core_python.parent / "serotone"), "predict", str(clip)],
        "import torch": [str(arguments.torch_python), "-c", "import torch"],
    }
    drop_from_cache(arguments.core_python)
    dropped = drop_from_cache(arguments.torch_python)
    cold = {name: seconds_of(command) for name, command in commands.items()}
    warm: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(arguments.runs):
        for name, command in commands.items():
            warm[name].append(seconds_of(command))

    median = {name: statistics.median(runs) for name, runs in warm.items()}
    ratio = {
        "cold": cold["serotone predict"] / cold["import torch"],
        "warm": median["serotone predict"] / median["import torch"],
    }
    print(f"{'seconds, whole process':26}{'cold':>8}{'warm median':>14}{'warm least':>12}{'warm most':>11}")
    for name in commands:
        runs = warm[name]
        print(f"{name:26}{cold[name]:8.2f}{median[name]:14.3f}{min(runs):12.3f}{max(runs):11.3f}")
    print(f"{'ratio':26}{ratio['cold']:8.2f}{ratio['warm']:14.2f}      (aim: at most 0.50 warm)")
    print(
        f"cold: {'files dropped from the page cache first' if dropped else 'the first run; the cache was not dropped'}"
    )

    if arguments.out:
        figures = {
            "schema": 1,
            "machine": machine(),
            "python": platform.python_version(),
            "clip": clip.name,
            "cache_dropped": dropped,
            "cold_seconds": cold,
            "warm_seconds": warm,
            "warm_median_seconds": median,
            "ratio": ratio,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def seconds_of(command: list[str]) -> float:
    """Wall-clock seconds of one process from start to end; a failing one ends the benchmark."""
    start = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return seconds


def drop_from_cache(python: Path) -> bool:
    """Ask the system to forget the files of an interpreter's environment and standard library; False if it cannot."""
    if not hasattr(os, "posix_fadvise"):
        return False
    program = "import sysconfig as s; print(*{s.get_path(p) for p in ('stdlib', 'purelib', 'platlib')}, sep='\\n')"
    folders = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()
    os.sync()  # only clean pages can be dropped
    for folder in [*folders, ROOT / "src"]:
        for path in Path(folder).rglob("*"):
            if path.is_file():
                handle = os.open(path, os.O_RDONLY)
                try:
                    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(handle)
    return True


if __name__ == "__main__":
    sys.exit(main())
