"""Whether batch norm's running statistics are what a fold's scores hang on.

`python benchmarks/running_statistics.py --corpus emodb=ROOT [--recipe cnn-blstm-attention] [--fold 2] [--step 112]
[--out FILE]`; one thread. Trains a fold of leave-one-speaker-out by the budget schedule up to a step and scores its
three parts by UA: with the running statistics that training left, and with statistics taken anew over the training
part in one pass, with dropout as in training and without it as in use. The weights are the same in all three, and
nothing here selects.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from serotone.corpora import parse_corpora
from serotone.experiments.run import gather, plan
from serotone.files import write_json
from serotone.metrics import unweighted_accuracy
from serotone.modeling.system import System
from serotone.training.data import Clips, derived_seed, in_order
from serotone.training.fit import Material, fit_standardiser, predict, prepare, run_loop
from serotone.training.recipe import load


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
    parser.add_argument("--step", type=int, default=112, help="the step that the kept run selected")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    corpora = arguments.corpus or [f"emodb={root}/emodb"]
    utterances = parse_corpora(corpora)
    settings = ("schedule=budget", "protocol=leave-one-speaker-out", f"schedules.budget.steps={arguments.step}")
    recipe = load(arguments.recipe, settings, corpora={utterance.corpus for utterance in utterances})
    material, _ = gather(recipe, utterances)
    split = next(split for split in plan(recipe, utterances) if split.fold == arguments.fold)
    train = material.clips(split.train)
    parts = {"train": train, "validation": material.clips(split.validation), "test": material.clips(split.test)}
    seed = derived_seed(recipe.seed, split.repetition, split.fold)
    module = prepare(recipe, train, material.labels, seed=seed)
    fit_standardiser(module.system, train)
    with tempfile.TemporaryDirectory() as folder:
        run_loop(module, parts["validation"], Path(folder))

    ua = {"as training left them": scores(module.system, parts, material)}
    for dropout, name in ((True, "anew, with dropout"), (False, "anew, without dropout")):
        take_anew(module.system, train, dropout=dropout)
        ua[name] = scores(module.system, parts, material)
    report = {
        "recipe": recipe.name,
        "corpora": sorted({utterance.corpus for utterance in utterances}),
        "protocol": "leave-one-speaker-out",
        "schedule": "budget",
        "seed": recipe.seed,
        "fold": arguments.fold,
        "step": arguments.step,
        "UA": ua,
    }
    print(json.dumps(report, indent=2))
    if arguments.out:
        write_json(arguments.out, report)


if __name__ == "__main__":
    main()
