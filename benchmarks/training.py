"""Training speed on a corpus: seconds per epoch, time outside the network, frames that grouping by length saves.

`python benchmarks/training.py --corpus emodb=ROOT [--recipe crnn-center-mel] [--out FILE]`; one thread. The network's
time is that of standardiser, convolutions, recurrence, head and loss, forward and backward; the frontend, collating,
the optimiser, checkpoints and Lightning count as outside. Validation is not timed.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from serotone.corpora import parse_corpora
from serotone.experiments.planning import gather, plan
from serotone.recipes import load
from serotone.training.data import Clips, GroupedByLength
from serotone.training.fit import fit_standardiser, prepare, run_loop
from serotone.training.module import Training


class Watch(pl.Callback):
    """Sums what the network's forward and backward take, and the length of each epoch."""

    def __init__(self) -> None:
        self.network = self.frontend = 0.0
        self.epochs: list[float] = []
        self._epoch = self._backward = 0.0

    def watch(self, module: Training) -> None:
        """Time the two parts of the module's forward."""
        step, analyse = module.training_step, module.system.analyse

        def timed_analyse(*inputs: Any) -> Any:
            start = time.perf_counter()
            answer = analyse(*inputs)
            self.frontend += time.perf_counter() - start
            return answer

        def timed_step(*inputs: Any) -> Any:
            start, before = time.perf_counter(), self.frontend
            answer = step(*inputs)
            self.network += time.perf_counter() - start - (self.frontend - before)
            return answer

        module.system.analyse = timed_analyse  # type: ignore[method-assign]
        module.training_step = timed_step  # type: ignore[method-assign]

    def on_train_epoch_start(self, *_: Any) -> None:
        self._epoch = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.epochs.append(time.perf_counter() - self._epoch)

    def on_before_backward(self, *_: Any) -> None:
        self._backward = time.perf_counter()

    def on_after_backward(self, *_: Any) -> None:
        self.network += time.perf_counter() - self._backward


def padded_share(clips: Clips, *, batch_size: int, pool_batches: int) -> float:
    """Share of the computed samples that are padding, under a way of batching."""
    samples = clips.samples()
    batches = list(GroupedByLength(samples, batch_size=batch_size, pool_batches=pool_batches, seed=0))
    computed = sum(max(samples[i] for i in batch) * len(batch) for batch in batches)
    return 1 - sum(samples) / computed


def main() -> None:
    """Train a few epochs and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.environ.get("SEROTONE_DATA")
    default = [f"emodb={root}/emodb"] if root else ["synthetic=" + tempfile.mkdtemp()]
    parser.add_argument("--corpus", action="append", metavar="NAME=ROOT")
    parser.add_argument("--recipe", default="crnn-center-mel")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    corpora = arguments.corpus or default
    utterances = parse_corpora(corpora)
    steps = arguments.epochs * -(-len(utterances) // 32)
    change = [f"schedules.paper.steps={steps}", f"schedules.paper.precision={arguments.precision}", "protocol=all"]
    recipe = load(arguments.recipe, change)
    material, _ = gather(recipe, utterances)
    train = material.clips(plan(recipe, utterances)[0].train)
    module = prepare(recipe, train, material.labels, seed=0)
    fit_standardiser(module.system, train)
    schedule = recipe.training
    watch = Watch()
    watch.watch(module)
    with tempfile.TemporaryDirectory() as folder:
        run_loop(module, material.clips(()), Path(folder), callbacks=[watch])
    longest = 1 - sum(train.samples()) / (max(train.samples()) * len(train))
    results = {
        "corpus": [name.split("=")[0] for name in corpora],
        "recipe": recipe.name,
        "precision": schedule.precision,
        "clips": len(train),
        "seconds_per_epoch_median": sorted(watch.epochs)[len(watch.epochs) // 2],
        "share_outside_network": 1 - watch.network / sum(watch.epochs),
        "share_frontend": watch.frontend / sum(watch.epochs),
        "padding_all_to_longest": longest,
        "padding_shuffled": padded_share(train, batch_size=schedule.batch_size, pool_batches=1),
        "padding_grouped": padded_share(train, batch_size=schedule.batch_size, pool_batches=schedule.pool_batches),
    }
    results["frames_saved_by_grouping"] = 1 - (1 - longest) / (1 - float(str(results["padding_grouped"])))
    for key, value in results.items():
        print(f"{key:<28} {value:.3f}" if isinstance(value, float) else f"{key:<28} {value}")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
