"""What rounding the encoder's weights to 8 bits changes: labels and UA on speakers that trained nothing.

`python benchmarks/eight_bits.py --corpus emodb=ROOT --corpus ravdess=ROOT [--recipe default] [--set KEY=VALUE...]
[--out results/strangers/eight_bits.json]`; one thread. Every clip is encoded twice, with float32 weights and with
rounded ones, and both are kept in the cache. A fold's head is fitted on the vectors of the rounded encoder, as in a
bundle, and then reads the test clips as either encoder hears them. The limits are 99 % of the labels and .5 points.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from serotone.corpora import parse_corpora
from serotone.files import write_json
from serotone.metrics import unweighted_accuracy
from serotone.recipes import Recipe, load
from serotone.training.strangers import fit_head
from strangers import BY_SPEAKER, Study, folds, vectors

LEAST_SAME, MOST_LOST = 0.99, 0.005


def main(arguments: Sequence[str] | None = None) -> int:
    """Encode, compare, write; 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", required=True, metavar="NAME=ROOT")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("results/strangers/eight_bits.json"))
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = load(given.recipe, [*given.set, "schedules.convex.distorted_copies=0"])
    utterances = parse_corpora(given.corpus)
    studies = {}
    for precision in ("int8", "float32"):
        (rows,), key = vectors(with_precision(recipe, precision), utterances)
        studies[precision] = Study(recipe, utterances, rows, key)
    rows = {corpus: compared(studies, corpus) for corpus in BY_SPEAKER if any(u.corpus == corpus for u in utterances)}
    print(f"{'':10}{'clips':>6}{'same label':>12}{'UA float32':>12}{'UA int8':>9}")
    for corpus, row in rows.items():
        print(f"{corpus:10}{row['clips']:6}{row['same_label']:12.2%}{row['ua_float32']:12.1%}{row['ua_int8']:9.1%}")
    write_json(given.out, studies["int8"].header | {"section": "eight_bits", "rows": rows})
    kept = all(
        row["same_label"] >= LEAST_SAME and row["ua_float32"] - row["ua_int8"] <= MOST_LOST for row in rows.values()
    )
    print(f"{given.out}: limits of {LEAST_SAME:.0%} and {100 * MOST_LOST:.1f} points {'kept' if kept else 'NOT KEPT'}")
    return 0 if kept else 1


def with_precision(recipe: Recipe, precision: str) -> Recipe:
    """The recipe with an encoder of that precision."""
    return recipe.model_copy(update={"bundle": recipe.bundle.model_copy(update={"precision": precision})})


def compared(studies: dict[str, Study], corpus: str) -> dict[str, Any]:
    """Clips, share of the same label, and UA of both, over all folds of a corpus."""
    rounded, groups = folds(studies["int8"], corpus)
    whole, _ = folds(studies["float32"], corpus)
    answers = {"int8": np.zeros(len(groups), dtype=int), "float32": np.zeros(len(groups), dtype=int)}
    strength, shrinkage = max(studies["int8"].strengths), studies["int8"].shrinkage
    for group in np.unique(groups):
        test = groups == group
        training = rounded.part(~test)
        linear = fit_head(training, level="plain", strength=strength, shrinkage=shrinkage)
        standard = training.standard()
        for name, table in (("int8", rounded), ("float32", whole)):
            answers[name][test] = linear.logits(standard.apply(table.vectors[test])).argmax(axis=1)
    truth, classes = rounded.targets.tolist(), range(len(rounded.labels))
    return {
        "clips": len(groups),
        "same_label": float((answers["int8"] == answers["float32"]).mean()),
        **{f"ua_{name}": unweighted_accuracy(truth, found.tolist(), labels=classes) for name, found in answers.items()},
    }


if __name__ == "__main__":
    raise SystemExit(main())
