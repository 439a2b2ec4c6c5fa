"""A recipe over the folds and repetitions of its protocol; finished folds are skipped, an interrupted one resumes."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serotone import metrics
from serotone.corpora import Utterance
from serotone.errors import RunError
from serotone.experiments.run import opened, plan
from serotone.experiments.units import FINISHED, Materials, Unit, run_unit
from serotone.files import write_json
from serotone.recipes import Recipe
from serotone.splits import Split, leak_report
from serotone.training.loggers import require


@dataclass(frozen=True, slots=True)
class FoldScore:
    """Scores of one finished fold's test part, between 0 and 1."""

    repetition: int
    fold: int
    wa: float
    ua: float
    clips: int
    step: int


def crossval(
    recipe: Recipe,
    utterances: Sequence[Utterance],
    out: Path,
    *,
    repetitions: int = 1,
    only: Collection[int] | None = None,
    log: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, object]:
    """Run the folds that are not finished yet and return the summary of those that are.

    Args:
        recipe: What is trained.
        utterances: On what.
        out: The run folder; one sub-folder ``fold-<repetition>-<fold>`` each.
        repetitions: How often the protocol is dealt anew; the summary counts those of earlier calls, too.
        only: Numbers of the folds to run; None runs all.
        log: Tools to log to beside ``curves.csv``: keys of `serotone.training.loggers.KINDS`.
        tell: Called with one line of progress at a time.

    Raises:
        MissingExtraError: A tool in ``log`` is not installed.
        RunError: The protocol has no test part, a fold in ``only`` does not exist, or the folder is another run's.
    """
    require(log)
    begun = [int(folder.name.split("-")[1]) + 1 for folder in out.glob("fold-*-*")]
    splits = [split for r in range(max([repetitions, *begun])) for split in plan(recipe, utterances, repetition=r)]
    if not all(split.test for split in splits):
        raise RunError(
            f"protocol {recipe.protocol.name} has no test part; crossval needs one, such as leave-one-speaker-out"
        )
    chosen = [split for split in splits if split.repetition < repetitions and (only is None or split.fold in only)]
    if only is not None and set(only) - {split.fold for split in splits}:
        raise RunError(f"folds {sorted(only)} were asked for; this protocol has 0 to {max(s.fold for s in splits)}")
    with opened(out, recipe, utterances):
        units = [unit_of(recipe, split, utterances, out, log=log) for split in chosen]
        waiting = [unit for unit in units if not unit.finished]
        materials = Materials(utterances, tell)
        for number, unit in enumerate(waiting, start=1):
            results = run_unit(unit, materials(recipe))
            write_json(out / "summary.json", summarise(recipe, splits, out))
            tell(
                f"fold {unit.split.repetition}-{unit.split.fold} ({number} of {len(waiting)}):"
                f" WA {results['test']['wa']:.4f}  UA {results['test']['ua']:.4f}  {results['seconds']} s"
            )
        summary = summarise(recipe, splits, out)
        write_json(out / "summary.json", summary)
    return summary


def unit_of(
    recipe: Recipe,
    split: Split,
    utterances: Sequence[Utterance],
    out: Path,
    *,
    row: str | None = None,
    embeddings: bool = False,
    log: Sequence[str] = (),
) -> Unit:
    """One fold of a run folder as something to run."""
    return Unit(
        row=row or recipe.name,
        seed=recipe.seed,
        recipe=recipe,
        split=split,
        folder=fold_folder(out, split),
        leaks=leak_report(split, utterances).to_dict(),
        embeddings=embeddings,
        log=tuple(map(str, log)),
    )


def fold_folder(out: Path, split: Split) -> Path:
    """Where a fold's files lie."""
    return out / f"fold-{split.repetition}-{split.fold}"


def read_fold(folder: Path) -> dict[str, Any]:
    """What a finished fold's ``metrics.json`` says."""
    value: dict[str, Any] = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
    return value


def read_scores(out: Path) -> dict[str, Any]:
    """The summary of a run folder."""
    value: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return value


def summarise(recipe: Recipe, splits: Sequence[Split], out: Path) -> dict[str, object]:
    """Scores per finished fold, their mean and SD, and those of the pooled confusion matrix, named as such."""
    scores: list[FoldScore] = []
    matrices = []
    labels: list[str] = []
    leaks: dict[str, set[str]] = {"speakers": set(), "sentences": set()}
    for split in splits:
        folder = fold_folder(out, split)
        if not (folder / FINISHED).is_file():
            continue
        test = read_fold(folder)["test"]
        selection = json.loads((folder / "selection.json").read_text(encoding="utf-8"))
        leak = json.loads((folder / "leaks.json").read_text(encoding="utf-8"))
        leaks["speakers"] |= set(leak["shared_speakers"])
        leaks["sentences"] |= set(leak["shared_sentences"])
        labels = test["labels"]
        matrix = np.array(test["confusion"], dtype=np.int64)
        matrices.append(matrix)
        scores.append(
            FoldScore(split.repetition, split.fold, test["wa"], test["ua"], int(matrix.sum()), selection["step"])
        )
    summary: dict[str, object] = {
        "schema": 1,
        "recipe": recipe.name,
        "schedule": recipe.schedule,
        "length": recipe.chosen.length,
        "precision": recipe.chosen.precision,
        "protocol": recipe.protocol.name,
        "seed": recipe.seed,
        "monitor": recipe.monitor,
        "labels": labels,
        "folds_planned": len(splits),
        "folds_finished": len(scores),
        "shared_speakers": len(leaks["speakers"]),
        "shared_sentences": len(leaks["sentences"]),
        "folds": [
            {"repetition": s.repetition, "fold": s.fold, "wa": s.wa, "ua": s.ua, "clips": s.clips, "step": s.step}
            for s in scores
        ],
    }
    if scores:
        pooled = metrics.pooled(matrices)
        for key in ("wa", "ua"):
            mean, deviation = metrics.mean_and_sd([getattr(score, key) for score in scores])
            summary[f"{key}_mean_of_folds"] = mean
            summary[f"{key}_sd_of_folds"] = deviation
        summary["wa_pooled"] = metrics.weighted_accuracy_from_confusion(pooled)
        summary["ua_pooled"] = metrics.unweighted_accuracy_from_confusion(pooled)
        summary["confusion_pooled"] = pooled.tolist()
    return summary
