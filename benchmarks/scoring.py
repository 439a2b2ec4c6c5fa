"""What `serotone score` costs, and what a million hours would: cores, hours, memory, storage and money.

    SEROTONE_DATA=/data python benchmarks/scoring.py [--core-hour 0.04] [--gigabyte-month 0.023] [--out F]

Measured in CPU seconds, which other work on the machine disturbs less than the clock: those of the worker process and
those of the driver, which hands out recordings and writes Parquet. The recordings are the FLAC files below the folder,
as they are and joined to calls of five minutes; answers are a row a recording, with and without embeddings, and a row a
segment. Then what grows with the number of recordings: the driver's memory for names, and the time to read the names of
a folder that is continued. The prices are assumptions, in dollars; give your own.
"""

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import soundfile

from machine import machine
from serotone.scoring import pool
from serotone.scoring.folder import ERRORS, Folder, schema
from serotone.scoring.inputs import find
from serotone.scoring.scoring import Place, score, terms_of
from serotone.scoring.terms import Outcome, Recording

MILLION_HOURS = 1_000_000
CALL_SECONDS = 300
ECHO = """
import sys
from serotone import __version__
sys.stdin.readline()
print('{"ready": "%s"}' % __version__, flush=True)
row = {"label": "neutral", "confidence": 0.5, "uncertain": False, "windows": 1, "p_neutral": 0.5, "speech_seconds": 1.0}
import json
for line in sys.stdin:
    name = json.loads(line)[0]
    print(json.dumps({"name": name, "rows": [row | {"name": name}], "error": "", "message": ""}), flush=True)
"""
"""A worker that hears nothing: what is left is what the driver does."""

ECHOES = 5000

NAMES = 200_000
"""Recordings of the measurement of what grows with their number."""


def main() -> int:
    """Measure, reckon, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SEROTONE_DATA"), help="default: SEROTONE_DATA")
    parser.add_argument("--clips", type=int, default=300, help="recordings of each measurement")
    parser.add_argument(
        "--core-hour", type=float, default=0.04, help="assumed price of an hour of one core, in dollars"
    )
    parser.add_argument(
        "--gigabyte-month", type=float, default=0.023, help="assumed price of a gigabyte for a month, in dollars"
    )
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--cases", type=Path, metavar="F", help="keep what an earlier run measured of the workers")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("no recordings: set SEROTONE_DATA, or give --data, a folder with FLAC files in it")
    every = sorted(Path(arguments.data).rglob("*.flac"))
    files = every[:: max(1, len(every) // arguments.clips)][: arguments.clips]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if arguments.cases:
            kept = json.loads(arguments.cases.read_text(encoding="utf-8"))["cases"]
            cases = {name: {key: case[key] for key in MEASURED} for name, case in kept.items()}
        else:
            calls = joined(files, folder / "calls")
            cases = {
                "clips, light": measure(files, folder, "light"),
                "clips, default": measure(files, folder, "default"),
                "clips with embeddings, default": measure(files, folder, "default", embeddings=True),
                "calls, default": measure(calls, folder, "default"),
                "calls with a timeline, default": measure(calls, folder, "default", timeline=True),
            }
        growth = growing(folder / "growth")
    for name, figures in cases.items():
        figures |= reckoned(figures, growth, arguments.core_hour, arguments.gigabyte_month)
        if "with" in name:  # the driver was measured with a plain row a recording; others are more work
            del figures["million_hours_driver_hours"], figures["cores_that_one_driver_feeds"]
        print(f"{name}: {figures['recordings']} recordings, {figures['audio_hours']:.2f} h of audio")
        for key, value in figures.items():
            if key not in ("recordings", "audio_hours"):
                print(f"    {key.replace('_', ' '):44}{value:14,.4g}")
    print("with the number of recordings")
    for key, value in growth.items():
        print(f"    {key.replace('_', ' '):44}{value:14,.4g}")
    if arguments.out:
        figures = {
            "schema": 1,
            "machine": machine(),
            "python": platform.python_version(),
            "prices": {"core_hour_dollars": arguments.core_hour, "gigabyte_month_dollars": arguments.gigabyte_month},
            "cases": cases,
            "growth": growth,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def joined(files: list[Path], folder: Path) -> list[Path]:
    """The recordings one after another, with half a second between them, as calls of five minutes at 16 kHz."""
    folder.mkdir()
    pieces: list[np.ndarray] = []
    for path in files:
        samples, rate = soundfile.read(path, dtype="float32")
        if rate == 16000 and samples.ndim == 1:
            pieces += [samples, np.zeros(8000, np.float32)]
    sound = np.concatenate(pieces)
    size = CALL_SECONDS * 16000
    sound = np.resize(sound, 2 * size)  # repeated where it is too short
    for number in range(2):
        soundfile.write(folder / f"{number}.flac", sound[number * size : (number + 1) * size], 16000)
    return sorted(folder.iterdir())


def measure(files: list[Path], folder: Path, bundle: str, **options: bool) -> dict[str, float]:
    """CPU seconds of the worker, peak memory so far, and bytes on disk.

    The first recording is heard by itself before, and what that takes is left out: it is the start of a worker.
    """
    out = Path(tempfile.mkdtemp(dir=folder))
    loaded, terms = terms_of(bundle, **options)
    recordings = find(map(str, files))

    def spent(name: str, some: list[Recording]) -> float:
        """CPU seconds of the worker."""
        before = seconds(resource.getrusage(resource.RUSAGE_CHILDREN))
        tally = score(some, out / name, loaded, terms, Place(jobs=1))
        if tally.answered != len(some):
            sys.exit(f"{tally.failed} of {len(some)} recordings failed; the figures would not be those of answers")
        return seconds(resource.getrusage(resource.RUSAGE_CHILDREN)) - before

    first = spent("first", recordings[:1])
    worker_seconds = spent("run", recordings) - first
    abouts = [soundfile.info(path) for path in files]
    hours = [about.frames / about.samplerate / 3600 for about in abouts]
    audio = sum(hours[1:])
    size = sum(path.stat().st_size for path in (out / "run").rglob("*.parquet"))
    return {
        "recordings": len(files),
        "audio_hours": sum(hours),
        "worker_cpu_seconds_per_audio_hour": worker_seconds / audio,
        "times_real_time_per_core": 3600 * audio / worker_seconds,
        "worker_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000,
        "output_bytes_per_recording": size / len(files),
        "output_mb_per_audio_hour": size / sum(hours) / 1e6,
        "recordings_per_audio_hour": len(files) / sum(hours),
    }


def seconds(usage: resource.struct_rusage) -> float:
    """CPU seconds."""
    return usage.ru_utime + usage.ru_stime


MEASURED = (
    "recordings",
    "audio_hours",
    "worker_cpu_seconds_per_audio_hour",
    "times_real_time_per_core",
    "worker_peak_mb",
    "output_bytes_per_recording",
    "output_mb_per_audio_hour",
    "recordings_per_audio_hour",
)


def reckoned(
    figures: dict[str, float], growth: dict[str, float], core_hour: float, gigabyte_month: float
) -> dict[str, float]:
    """The same for a million hours of audio; the driver is one core."""
    core_hours = figures["worker_cpu_seconds_per_audio_hour"] * MILLION_HOURS / 3600
    recordings = figures["recordings_per_audio_hour"] * MILLION_HOURS
    driver_hours = growth["driver_cpu_milliseconds_per_recording"] / 1000 * recordings / 3600
    gigabytes = figures["output_mb_per_audio_hour"] * MILLION_HOURS / 1000
    return {
        "million_hours_core_hours": core_hours,
        "million_hours_dollars": core_hours * core_hour,
        "million_hours_driver_hours": driver_hours,
        "cores_that_one_driver_feeds": core_hours / driver_hours,
        "million_hours_output_gb": gigabytes,
        "million_hours_output_dollars_a_month": gigabytes * gigabyte_month,
    }


def driver_seconds(folder: Path) -> float:
    """CPU seconds of the driver for a recording: to hand it out, take in the answer and write it."""
    loaded, terms = terms_of("light")
    recordings = [Recording(f"/archive/{number:010}.flac") for number in range(ECHOES)]
    program, pool.PROGRAM = pool.PROGRAM, "import sys; sys.path[:] = sys.argv[1:]" + ECHO
    try:
        before = seconds(resource.getrusage(resource.RUSAGE_SELF))
        tally = score(recordings, folder, loaded, terms, Place(jobs=1))
        after = seconds(resource.getrusage(resource.RUSAGE_SELF))
    finally:
        pool.PROGRAM = program
    if tally.answered != ECHOES:
        sys.exit("the worker that hears nothing did not answer everything")
    return (after - before) / ECHOES


def growing(folder: Path) -> dict[str, float]:
    """What a recording costs before and after it is heard: memory for its name, and reading it from the folder."""
    tracemalloc.start()
    recordings = {r.name: r for r in (Recording(f"/archive/2026/11/27/line-07/{n:010}.flac") for n in range(NAMES))}
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    row = {"label": "neutral", "confidence": 0.5, "uncertain": False, "windows": 1, "p_neutral": 0.5}
    folder.mkdir()
    tables = schema(["neutral"], {}, timeline=False, embeddings=False)
    written = Folder(folder, "clips", tables)
    began = seconds(resource.getrusage(resource.RUSAGE_SELF))
    for name in recordings:
        written.add(Outcome(name, ({"name": name} | row,)))
    written.flush()
    middle = seconds(resource.getrusage(resource.RUSAGE_SELF))
    again = Folder(folder, "clips", tables)
    end = seconds(resource.getrusage(resource.RUSAGE_SELF))
    if len(again.answered) != NAMES or (folder / ERRORS).exists():
        sys.exit("the folder does not hold what was written to it")
    return {
        "driver_bytes_per_recording": memory / NAMES,
        "driver_cpu_milliseconds_per_recording": 1000 * driver_seconds(folder / "driver"),
        "seconds_to_write_a_million_rows": (middle - began) / NAMES * 1e6,
        "seconds_to_continue_after_a_million": (end - middle) / NAMES * 1e6,
    }


if __name__ == "__main__":
    sys.exit(main())
