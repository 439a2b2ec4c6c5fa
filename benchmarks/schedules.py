"""Which schedule a family's `budget` is: candidates by their validation curves on EmoDB; no test part is ever read.

`python benchmarks/schedules.py` prints the curves that are kept in results/schedules.
`python benchmarks/schedules.py --family dycnn --corpus emodb=ROOT` trains that family's candidates first, those that
are not kept yet, on one thread. A candidate trains on the training part of fold 0 of the family's published protocol,
a quarter of which validates where the publication has no validation part; with `--draws 3`, on that of three draws of
the protocol, and its curve is their mean. In the second half of a training the same
weights are scored three times at every validation: with batch norm's running statistics, with those statistics taken
anew over the training part, and as a moving average of the weights with statistics of its own. A candidate that
validates an average anyway is scored with both kinds of statistics.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from serotone.corpora import Utterance, parse_corpora
from serotone.experiments.planning import gather, plan
from serotone.files import write_json
from serotone.metrics import SCORES
from serotone.recipes import Recipe, load
from serotone.splits import Split
from serotone.training.answers import predict
from serotone.training.averaging import Average, counted
from serotone.training.data import Clips, derived_seed, in_order
from serotone.training.fit import fit_standardiser, prepare, run_loop
from serotone.training.material import Material
from serotone.training.module import Training

FOLDER = Path(__file__).parent.parent / "results" / "schedules"
DECAY = 0.98
"""Of the moving average: it looks back over some fifty steps."""

BEFORE = "constant rate, as until November 2026"
SPEECH = "standardise_over=speech-frames"
SILENCE = "standardise_over=frames"


def steps(count: int, batch: int, rate: float, shape: str = "one-cycle", **more: Any) -> list[str]:
    """Overrides of a schedule of so many steps, validated eight times."""
    values = {"steps": count, "batch_size": batch, "learning_rate": rate, "shape": shape, "select_from": 0}
    values |= {"validate_every": -(-count // 8), "precision": "float32", "patience": None, **more}
    return [f"schedules.budget.{key}={'null' if value is None else value}" for key, value in values.items()]


QUARTER = "protocol.validation_share=0.25"
FAMILIES: Mapping[str, tuple[str, tuple[str, ...], Mapping[str, list[str]]]] = {
    "dycnn": (
        "dycnn-bilstm",
        (QUARTER, "schedules.budget.optimiser=adam"),
        {
            BEFORE: [*steps(250, 64, 1e-3, "constant", clip_norm=1.0), SILENCE],
            "one cycle to 2e-3, 400 steps of 32": [*steps(400, 32, 2e-3, clip_norm=None), SPEECH],
            "one cycle to 2e-3, 800 steps of 16": [*steps(800, 16, 2e-3, clip_norm=None), SPEECH],
            "one cycle to 2e-3, 1,600 steps of 8": [*steps(1600, 8, 2e-3, clip_norm=None), SPEECH],
            "one cycle to 2e-3, 1,600 steps of 16": [*steps(1600, 16, 2e-3, clip_norm=None), SPEECH],
            "one cycle to 1e-3, 800 steps of 16": [*steps(800, 16, 1e-3, clip_norm=None), SPEECH],
            "one cycle to 4e-3, 800 steps of 16": [*steps(800, 16, 4e-3, clip_norm=None), SPEECH],
            "one cycle to 1e-3, 1,200 steps of 16": [*steps(1200, 16, 1e-3, clip_norm=None), SPEECH],
            "one cycle to 5e-4, 1,200 steps of 16": [*steps(1200, 16, 5e-4, clip_norm=None), SPEECH],
            "one cycle to 2.5e-4, 1,200 steps of 16": [*steps(1200, 16, 2.5e-4, clip_norm=None), SPEECH],
            "one cycle to 2e-3, 800 steps of 16, over silence too": [*steps(800, 16, 2e-3, clip_norm=None), SILENCE],
            "one cycle to 2e-3, 800 steps of 16, clips at their own length": [
                *steps(800, 16, 2e-3, clip_norm=None),
                SILENCE,
                "clip_seconds=null",
            ],
            **{
                f"one cycle to 2e-3, 800 steps of 16, {words}": [*steps(800, 16, 2e-3, clip_norm=None), SPEECH, *keys]
                for words, keys in {
                    "temperature falls for ten epochs": ["annealing.share=0.34"],
                    "mean pooled": ["pooling.name=mean"],
                    "pooled by attention": ["pooling.name=attentive-mean"],
                    "256 units in each direction": ["encoder.hidden=256"],
                    "decibels, at most 80 below a clip's maximum": ["frontend.logarithm=db", "frontend.top_db=80"],
                }.items()
            },
        },
    ),
    "crnn": (
        "crnn-center-mel",
        (),
        {
            BEFORE: steps(352, 32, 1e-3, "constant"),
            "one cycle to 1e-3, 352 steps": steps(352, 32, 1e-3),
            "one cycle to 2e-3, 352 steps": steps(352, 32, 2e-3),
            "one cycle to 1e-3, 1,056 steps, bfloat16": steps(1056, 32, 1e-3, precision="bfloat16"),
            "constant rate of 1e-3, 1,056 steps, bfloat16": steps(1056, 32, 1e-3, "constant", precision="bfloat16"),
        },
    ),
    "resnet": (
        "resnet-mel-softmax",
        (QUARTER,),
        {
            BEFORE: [*steps(143, 64, 1e-3, "constant", average=None), SILENCE],
            "one cycle to 1e-3, 143 steps of 64, standardised over speech": [
                *steps(143, 64, 1e-3, average=None),
                SPEECH,
            ],
            "one cycle to 1e-3, 143 steps of 64, standardised over speech, average=0.98": [
                *steps(143, 64, 1e-3, validate_every=13, average=0.98),  # 143 as well: the last step counts
                SPEECH,
            ],
        },
    ),
    "cnn-blstm": (
        "cnn-blstm-attention",
        (),
        {
            BEFORE: [*steps(300, 32, 1e-3, "constant"), SILENCE],
            "one cycle to 2e-3, standardised over speech": [*steps(300, 32, 2e-3), SPEECH],
        },
    ),
    "vlcrnn": (
        "vlcrnn-variable-length",
        (),
        {
            BEFORE: steps(352, 32, 1e-3, "constant"),
            "one cycle to 1e-3, 352 steps": steps(352, 32, 1e-3),
        },
    ),
}


class Watch(pl.Callback):
    """Scores the validation part three times with the weights of a step."""

    def __init__(self, train: Clips, validation: Clips, material: Material) -> None:
        self.train, self.validation, self.material = train, validation, material
        self.points: list[dict[str, float]] = []
        self.average: Average | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, Training)
        if self.average is None:
            self.average = Average(pl_module.system, DECAY)
        self.average.update(pl_module.system, trainer.global_step - 1)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Training)
        point = dict(pl_module.curves[-1])
        point = {"step": point["step"], "loss": point["loss"], "wa": point["wa"], "ua": point["ua"]}
        if 2 * point["step"] <= pl_module.steps:
            self.points.append({key: round(value, 4) for key, value in point.items()})
            return
        system, norms = pl_module.system, any("running_mean" in name for name in pl_module.system.state_dict())
        for name, average in (("re-estimated", None), ("averaged", self.average)):
            if (average is None and not norms) or (average is not None and pl_module.average is not None):
                continue
            modes = {module: module.training for module in system.modules()}
            batches = in_order(self.train, batch_size=32) if norms else None
            with counted(system, average=average, batches=batches, device=torch.device("cpu")):
                point |= {f"{name} {key}": value for key, value in self.scores(pl_module).items()}
            for module, mode in modes.items():
                module.training = mode
        self.points.append({key: round(value, 4) for key, value in point.items()})

    def scores(self, training: Training) -> dict[str, float]:
        """WA and UA of the validation part."""
        answers, labels = predict(training.system, self.validation), self.material.labels
        truth = [labels[self.material.targets[clip]] for clip in answers]
        said = [labels[int(row.argmax())] for row in answers.values()]
        return {key: score(truth, said, labels=labels) for key, score in SCORES.items()}


def curve(recipe: Recipe, split: Split, material: Material) -> list[dict[str, float]]:
    """Train a candidate; its validation curve."""
    seed = derived_seed(recipe.seed, split.repetition, split.fold)
    train = material.clips(split.train, piece=recipe.clip_samples if recipe.segments else None)
    validation = material.clips(split.validation)
    module = prepare(recipe, train, material.labels, seed=seed)
    fit_standardiser(module.system, train)
    watch = Watch(train, validation, material)
    with tempfile.TemporaryDirectory() as folder:
        run_loop(module, validation, Path(folder), [watch])
    return watch.points


def mean(curves: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    """The mean of curves that were validated after the same steps."""
    together = zip(*curves, strict=True)
    return [{key: round(sum(p[key] for p in points) / len(points), 4) for key in points[0]} for points in together]


def train(family: str, utterances: list[Utterance], more: Sequence[str], draws: int) -> None:
    """Train the candidates of a family that are not kept yet; ``more`` are overrides for all of them."""
    name, settings, candidates = FAMILIES[family]
    path = FOLDER / f"{family}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    for candidate, overrides in candidates.items():
        if candidate in [entry["candidate"] for entry in kept]:
            continue
        recipe = load(name, ["schedule=budget", *settings, *overrides, *more], corpora={u.corpus for u in utterances})
        splits = [plan(recipe, utterances, repetition=draw)[0] for draw in range(draws)]
        material, _ = gather(recipe, utterances)
        start = time.process_time()
        points = mean([curve(recipe, split, material) for split in splits])
        kept.append(
            {
                "candidate": candidate,
                "recipe": name,
                "protocol": recipe.protocol.name,
                "set": [*settings, *overrides, *more],
                "draws": draws,
                "clips": {"train": len(splits[0].train), "validation": len(splits[0].validation)},
                "processor_seconds": round(time.process_time() - start),
                "curve": points,
            }
        )
        write_json(path, kept)


def table(kept: list[dict[str, Any]]) -> list[str]:
    """A family's candidates as Markdown: WA and UA by step, in percent, and the mean of the second half."""
    lines = []
    for entry in kept:
        points = entry["curve"]
        in_draws = f" in each of {entry['draws']} draws" if entry.get("draws", 1) > 1 else ""
        lines += [
            f"{entry['candidate']} ({entry['recipe']}, {entry['protocol']}, {entry['clips']['validation']} clips"
            f" validate{in_draws}, {entry['processor_seconds']} s):",
            "",
            "| validation | measure | " + " | ".join(f"{point['step']:.0f}" for point in points) + " | last half |",
            "|---" * (len(points) + 3) + "|",
        ]
        measures = (
            ("", "running statistics"),
            ("re-estimated ", "statistics taken anew"),
            ("averaged ", "averaged, statistics taken anew"),
        )
        for prefix, words in measures:
            for key in ("wa", "ua"):
                if f"{prefix}{key}" not in points[-1]:
                    continue
                half = [100 * point[f"{prefix}{key}"] for point in points[len(points) // 2 :]]
                first = [f"{100 * p[key]:.1f}" if not prefix else "" for p in points[: len(points) // 2]]
                cells = " | ".join([*first, *(f"{value:.1f}" for value in [*half, sum(half) / len(half)])])
                lines.append(f"| {words} | {key.upper()} | {cells} |")
        lines.append("")
    return lines


def main() -> None:
    """Train what is asked for, and print what is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.environ.get("SEROTONE_DATA")
    parser.add_argument("--family", choices=FAMILIES, action="append", default=[], help="train its candidates first")
    parser.add_argument("--corpus", action="append", metavar="NAME=ROOT", help="where EmoDB lies")
    parser.add_argument("--draws", type=int, default=1, metavar="N", help="of the protocol, for each candidate")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe key in all")
    arguments = parser.parse_args()
    if arguments.family:
        corpora = arguments.corpus or ([f"emodb={root}/emodb"] if root else parser.error("--family needs --corpus"))
        torch.set_num_threads(1)
        for family in arguments.family:
            train(family, parse_corpora(corpora), arguments.set, arguments.draws)
    for family in FAMILIES:
        path = FOLDER / f"{family}.json"
        if path.is_file():
            print(f"## {family}\n\n" + "\n".join(table(json.loads(path.read_text(encoding="utf-8")))))


if __name__ == "__main__":
    main()
