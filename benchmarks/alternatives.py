"""What people would use instead of `light` and `default`: cost, and accuracy where it can be learned from our corpora.

    python benchmarks/alternatives.py --corpus emodb=ROOT [--corpus NAME=ROOT ...] [--exchange korean/angry=sad]
        [--cap 200] [--clips 60] [--only costs accuracy] [--others-python PYTHON] [--keep DIR] [--out F]
    python benchmarks/alternatives.py --table [--out F]

The first prints and writes figures; the second prints those of F as Markdown (benchmarks/README.md) and draws F.svg.

Costs: every alternative answers the same clips in a fresh process on one thread, reading and decoding included.
Seconds are those of the processor, which other work on the machine disturbs least; F has those of the clock, too.
Accuracy: EmoDB by leaving out one speaker, RAVDESS by five folds of speakers, and every corpus left out in turn, four
emotions, at most --cap clips of each. What `default` is worth, and `light` on EmoDB and RAVDESS, is in
results/strangers. openSMILE and librosa live in an environment that is made for them, unless --others-python names one
that has them.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from machine import machine
from serotone.corpora import Utterance, parse_corpora
from serotone.files import write_json

HERE = Path(__file__).resolve().parent
OTHERS = HERE / "others"
RESULTS = HERE.parent / "results"
INSTALLED = ("opensmile", "librosa", "scikit-learn", "soundfile", "soxr", "packaging")
"""What the environment of the others is made of."""

PROTOCOLS = ("emodb", "ravdess", "corpora")

LENGTHS = (1, 3, 10, 30)
"""Seconds of the clips that cost is measured over."""

ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")
} | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}  # fmt: skip


class Kind(NamedTuple):
    """An alternative: what it is, what is installed for it, and whether that is the environment of the others."""

    what: str
    packages: tuple[str, ...]
    others: bool = False
    model: bool = False


KINDS = {
    "light": Kind("serotone, `light`", ("serotone",)),
    "default": Kind("serotone, `default`", ("serotone",)),
    "egemaps": Kind("openSMILE eGeMAPS, scikit-learn SVM", ("opensmile", "scikit-learn"), others=True, model=True),
    "compare": Kind("openSMILE ComParE, scikit-learn SVM", ("opensmile", "scikit-learn"), others=True, model=True),
    "librosa": Kind("librosa log-mel, the network of `light` in torch", ("librosa", "torch")),
    "wav2vec2": Kind(
        "transformers, wav2vec2-base in size, random weights", ("transformers", "torch", "soundfile"), model=True
    ),
}


def main() -> int:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", default=[], metavar="NAME=ROOT")
    parser.add_argument("--exchange", action="append", default=[], metavar="CORPUS/A=B", help="as strangers.py has it")
    parser.add_argument("--cap", type=int, default=200, help="clips of each corpus, for leave one corpus out")
    parser.add_argument("--clips", type=int, default=60, help="clips that costs are measured over")
    parser.add_argument("--only", nargs="+", choices=("costs", "accuracy"), default=["costs", "accuracy"])
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=tuple(KINDS), help="all unless given")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS, help="all unless given")
    parser.add_argument("--others-python", type=Path, help="an interpreter with openSMILE, librosa and scikit-learn")
    parser.add_argument("--keep", type=Path, help="keep features here, and go on with those that are there")
    parser.add_argument("--out", type=Path, default=RESULTS / "benchmarks" / "alternatives.json")
    parser.add_argument("--table", action="store_true", help="print the tables and draw the picture of --out")
    given = parser.parse_args()
    if given.table:
        from others import tables

        figures = json.loads(given.out.read_text(encoding="utf-8"))
        print(tables.markdown(figures, {name: kind.what for name, kind in KINDS.items()}))
        tables.draw(figures, given.out.with_suffix(".svg"))
        return 0
    if not given.corpus:
        parser.error("no recordings: give --corpus emodb=ROOT, and other corpora to learn from")
    sys.path.insert(0, str(OTHERS))
    from strangers import exchanged

    utterances = exchanged(parse_corpora(given.corpus), given.exchange)
    figures = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else {"schema": 1}
    with tempfile.TemporaryDirectory(prefix="serotone-others-") as place:
        folder = Path(place)
        python = given.others_python or made(folder / "environment")
        if "costs" in given.only:
            for name in given.kinds:
                costs(figures, name, spread(utterances, given.clips), folder, python)
                write_json(given.out, figures)
        if "accuracy" in given.only:
            from others import folds

            keep = given.keep or folder
            keep.mkdir(parents=True, exist_ok=True)

            def features_of(some: Sequence[Utterance], name: str) -> Mapping[str, Any]:
                return extracted(some, keep / f"{name}.npz", python)

            found = figures.setdefault("accuracy", {})
            for title, part in folds.measured(utterances, given.cap, given.kinds, given.protocols, features_of):
                found[title] = found.get(title, {}) | part | {"exchanged": given.exchange}
                write_json(given.out, figures)
    print(f"figures: {given.out}")
    return 0


def made(folder: Path) -> Path:
    """The interpreter of a new environment with `INSTALLED`."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *INSTALLED], check=True)
    return python


def spread(utterances: Sequence[Utterance], count: int) -> list[str]:
    """The files of so many clips, from all over the corpora."""
    whole = [u for u in utterances if u.start is None]
    return [str(u.path) for u in whole[:: max(1, len(whole) // count)][:count]]


def extracted(clips: Sequence[Utterance], path: Path, python: Path) -> Mapping[str, Any]:
    """The arrays that ``others/features.py`` makes of clips, kept in a file."""
    if not path.is_file():
        asked = {"clips": [[u.id, str(u.path), u.start, u.end] for u in clips], "out": str(path)}
        command = [str(python), str(OTHERS / "features.py")]
        subprocess.run(command, input=json.dumps(asked), text=True, check=True, env=os.environ | ONE_THREAD)
    with np.load(path) as kept:
        arrays = dict(kept)
    if arrays["id"].tolist() != [u.id for u in clips]:
        sys.exit(f"{path}: holds the features of other clips; delete it")
    return arrays


def costs(figures: dict[str, Any], name: str, clips: list[str], folder: Path, python: Path) -> None:
    """Measure an alternative over the clips, over lengths and over processes at a time; the row goes into figures."""
    kind = KINDS[name]
    own = python if kind.others else Path(sys.executable)
    model = prepared(name, clips, folder / name, own) if kind.model else None
    long = lengthened(clips, folder)
    (run,) = answered(name, own, [clips + long], model)
    count = len(clips)
    spent, grown = run["cpu_seconds"][:count], run["cpu_seconds"][count:]
    some = clips[: max(1, count // 3)]
    together = {1: count / sum(run["clock_seconds"][:count])}
    for processes in range(2, (os.cpu_count() or 1) + 1):
        runs = answered(name, own, [some] * processes, model)
        together[processes] = sum(len(some) / sum(each["clock_seconds"]) for each in runs)
    seconds = [soundfile.info(path).duration for path in clips]
    row = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "load_average": os.getloadavg()[0],
        "first_answer_cpu_seconds": run["first_cpu_seconds"],
        "first_answer_clock_seconds": run["first_clock_seconds"],
        "clips_per_cpu_second": count / sum(spent),
        "times_real_time": sum(seconds) / sum(spent),
        "peak_mb": run["peak_mb"][count - 1],
        "packages_bytes": installed(own, kind.packages),
        "model_bytes": 0 if model is None else size(model),
        "cpu_seconds_by_clip": spent,
        "cpu_seconds_by_length": grown,
        "peak_mb_by_length": run["peak_mb"][count:],
        "clips_per_clock_second_by_processes": together,
    }
    about = {
        "machine": machine(),
        "python": platform.python_version(),
        "clips": count,
        "audio_seconds": sum(seconds),
        "lengths": LENGTHS,
    }
    rows = figures.get("costs", {}).get("rows", {})
    figures["costs"] = about | {"rows": rows | {name: row}}
    print(f"{name}: {row['clips_per_cpu_second']:.1f} clips a second, {row['peak_mb']:.0f} MB", flush=True)


def lengthened(clips: list[str], folder: Path) -> list[str]:
    """Files of `LENGTHS` of speech, clips one after another."""
    import features

    speech = np.concatenate([features.heard(path) for path in clips])
    paths = []
    for seconds in LENGTHS:
        paths.append(str(folder / f"{seconds}.wav"))
        soundfile.write(paths[-1], np.resize(speech, seconds * features.RATE), features.RATE)
    return paths


def prepared(name: str, clips: list[str], path: Path, python: Path) -> Path:
    """What an alternative answers with."""
    command = [str(python), str(OTHERS / "prepare.py"), name, str(path)]
    asked = json.dumps({"clips": clips[:14]})
    subprocess.run(command, input=asked, text=True, check=True, env=os.environ | ONE_THREAD)
    return path


def answered(name: str, python: Path, work: Sequence[list[str]], model: Path | None) -> list[dict[str, Any]]:
    """What processes that start together say of the clips that each is given."""
    command = [str(python), str(OTHERS / "answering.py"), name]
    children = []
    for clips in work:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD
        )
        assert child.stdin is not None
        child.stdin.write(json.dumps({"clips": clips, "model": None if model is None else str(model)}))
        child.stdin.close()
        children.append((child, began))
    found = []
    for child, began in children:
        assert child.stdout is not None
        first = child.stdout.readline()
        clock = time.perf_counter() - began
        rest = child.stdout.readline()
        if child.wait() != 0:
            sys.exit(f"{' '.join(command)}: exit status {child.returncode}")
        found.append(json.loads(first) | json.loads(rest) | {"first_clock_seconds": clock})
    return found


def installed(python: Path, packages: Sequence[str]) -> int:
    """Bytes that packages and what they need take of an interpreter's site-packages."""
    done = subprocess.run(
        [str(python), str(OTHERS / "install.py"), *packages], capture_output=True, text=True, check=True
    )
    return sum(json.loads(done.stdout).values())


def size(path: Path) -> int:
    """Bytes of a file or a folder."""
    return sum(p.stat().st_size for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file())


if __name__ == "__main__":
    sys.exit(main())
