"""What the study runner adds to bare training: `python benchmarks/study_overhead.py [--corpus NAME=ROOT] [--out F]`.

The same short units, side by side in one process on one thread: the corpus decoded once and `run_fold` in a loop,
against a whole `run_study` with everything that it writes. Both alternate, so that a busy machine slows them alike; the
figure is the median of the pairs' ratios. Real units are many times longer, and the share is smaller there.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from serotone.corpora import parse_corpora
from serotone.experiments.planning import gather
from serotone.experiments.study import lay_out, run_study
from serotone.studies import load_study
from serotone.training.fit import run_fold

STUDY = """
schema: 1
title: overhead
description: what the runner costs
rows: [crnn-mel]
set: [schedule=budget, schedules.budget.steps={steps}, schedules.budget.select_from=0,
  schedules.budget.validate_every=12, protocol=speakers-out, protocol.folds=2]
"""


def main() -> None:
    """Run pairs and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.environ.get("SEROTONE_DATA")
    default = f"emodb={root}/emodb" if root else "synthetic=" + tempfile.mkdtemp()
    parser.add_argument("--corpus", default=default, metavar="NAME=ROOT")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    utterances = parse_corpora([arguments.corpus])
    bare, through = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "overhead.yaml"
        path.write_text(STUDY.format(steps=arguments.steps))
        study = load_study(path)
        for pair in range(arguments.pairs):
            start = time.perf_counter()
            (run,), _ = lay_out(study, utterances, Path(folder) / f"bare-{pair}")
            material, _ = gather(run.recipe, utterances)
            for split in run.splits:
                run_fold(run.recipe, split, material, run.folder / f"fold-{split.fold}")
            bare.append(time.perf_counter() - start)
            start = time.perf_counter()
            run_study(study, utterances, Path(folder) / f"study-{pair}")
            through.append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(bare, through, strict=True)]
    results = {
        "corpus": arguments.corpus.split("=")[0],
        "units": len(run.splits),
        "steps_per_unit": arguments.steps,
        "bare_seconds": bare,
        "study_seconds": through,
        "overhead": statistics.median(ratios) - 1,
    }
    print(f"bare {statistics.median(bare):.1f} s, study {statistics.median(through):.1f} s, ", end="")
    print(f"overhead {results['overhead']:.1%} (median of {len(ratios)} pairs)")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
