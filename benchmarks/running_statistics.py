"""Whether batch norm's running statistics are what a fold's scores hang on.

`python benchmarks/running_statistics.py --corpus emodb=ROOT [--recipe cnn-blstm-attention] [--fold 2] [--step 112]
[--out FILE]`; one thread. Trains a fold of leave-one-speaker-out by the budget schedule up to a step, selects as ever,
and scores the three parts by UA: with the running statistics that training left, and with statistics taken anew over
the training part in one pass, with dropout as in training and without it as in use. The weights are the same in all
three.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from serotone.corpora import parse_corpora
from serotone.experiments.planning import gather, plan
from serotone.files import write_json
from serotone.metrics import unweighted_accuracy
from serotone.modeling.system import System
from serotone.recipes import load
from serotone.training.data import Clips, in_order
from serotone.training.fit import Material, fit, predict


def scores(system: System, parts: dict[str, Clips], material: Material) -> dict[str, float]:
    """UA of each part, in percent."""
    found = {}
    for name, clips in parts.items():
        answers = predict(system, clips)
        truth = [material.labels[material.targets[clip]] for clip in answers]
        said = [material.labels[int(answers[clip].argmax())] for clip in answers]
        found[name] = round(100 * unweighted_accuracy(truth, said, labels=material.labels), 1)
    return found


def take_anew(system: System, clips: Clips, *, dropout: bool) -> None:
    """Replace the running statistics by plain means over all batches of a part."""
    system.eval()
    for module in system.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # a plain mean, not a moving one
            module.train()
        elif isinstance(module, torch.nn.Dropout):
            module.train(dropout)
    torch.manual_seed(0)
    with torch.no_grad():
        for batch in in_order(clips, batch_size=32):
            system(batch.waveforms, batch.lengths)


def main() -> None:
    """Train the fold and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.environ.get("SEROTONE_DATA")
    parser.add_argument("--corpus", action="append", metavar="NAME=ROOT", required=not root)
    parser.add_argument("--recipe", default="cnn-blstm-attention")
    parser.add_argument("--fold", type=int, default=2)
    parser.add_argument("--step", type=int, default=112, help="the last, such as the one that a kept run selected")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    corpora = arguments.corpus or [f"emodb={root}/emodb"]
    utterances = parse_corpora(corpora)
    settings = (
        "schedule=budget",
        "protocol=leave-one-speaker-out",
        f"schedules.budget.steps={arguments.step}",
        "schedules.budget.norm_statistics=running",
    )
    recipe = load(arguments.recipe, settings, corpora={utterance.corpus for utterance in utterances})
    material, _ = gather(recipe, utterances)
    split = next(split for split in plan(recipe, utterances) if split.fold == arguments.fold)
    parts = {name: material.clips(getattr(split, name)) for name in ("train", "validation", "test")}
    with tempfile.TemporaryDirectory() as folder:
        system, _ = fit(recipe, split, material, Path(folder))
        selected = json.loads((Path(folder) / "selection.json").read_text(encoding="utf-8"))

    ua = {"as training left them": scores(system, parts, material)}
    for dropout, name in ((True, "anew, with dropout"), (False, "anew, without dropout")):
        take_anew(system, parts["train"], dropout=dropout)
        ua[name] = scores(system, parts, material)
    report = {
        "recipe": recipe.name,
        "corpora": sorted({utterance.corpus for utterance in utterances}),
        "protocol": "leave-one-speaker-out",
        "schedule": "budget",
        "seed": recipe.seed,
        "fold": arguments.fold,
        "step": selected["step"],
        "UA": ua,
    }
    print(json.dumps(report, indent=2))
    if arguments.out:
        write_json(arguments.out, report)


if __name__ == "__main__":
    main()
