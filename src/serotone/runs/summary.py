"""The scores of a run so far, from the files of its finished folds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from serotone import metrics
from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import RunError
from serotone.runs.layout import finished, fold_folder
from serotone.runs.reading import read_leaks, read_metrics, read_selection
from serotone.splits import Split


@dataclass(frozen=True, slots=True)
class FoldScore:
    """Scores of one finished fold's test part, between 0 and 1."""

    repetition: int
    fold: int
    wa: float
    ua: float
    clips: int
    step: int


def summarise(run: Path, splits: Sequence[Split], about: Mapping[str, object]) -> dict[str, object]:
    """Scores per finished fold, their mean and SD, and those of the pooled confusion matrix, named as such.

    Args:
        run: The run's folder.
        splits: The folds that there are to be.
        about: What else the summary says of the run: its recipe and its protocol.
    """
    scores: list[FoldScore] = []
    matrices = []
    labels: list[str] = []
    leaks: dict[str, set[str]] = {"speakers": set(), "sentences": set(), "recordings": set()}
    without_sentence = False
    for split in splits:
        folder = fold_folder(run, split.repetition, split.fold)
        if not finished(folder):
            continue
        test = read_metrics(folder).get("test")
        if test is None:
            raise RunError(f"{folder}: none of its test clips could be read; repair them, and remove this folder")
        step, leak = read_selection(folder)["step"], read_leaks(folder)
        leaks["speakers"] |= set(leak["shared_speakers"])
        leaks["sentences"] |= set(leak["shared_sentences"])
        leaks["recordings"] |= set(leak.get("test_copies", ()))  # an older serotone did not look
        without_sentence = without_sentence or bool(leak.get("test_without_sentence"))
        labels = test["labels"]
        matrix = np.array(test["confusion"], dtype=np.int64)
        matrices.append(matrix)
        scores.append(FoldScore(split.repetition, split.fold, test["wa"], test["ua"], int(matrix.sum()), step))
    summary: dict[str, object] = {
        "schema": 1,
        **about,
        "labels": labels,
        "folds_planned": len(splits),
        "repetitions": len({split.repetition for split in splits}),
        "folds_finished": len(scores),
        "shared_speakers": len(leaks["speakers"]),
        "shared_sentences": len(leaks["sentences"]),
        "shared_recordings": len(leaks["recordings"]),
        "unknown_speakers": UNKNOWN_SPEAKER in leaks["speakers"],
        "unknown_sentences": without_sentence,
        "folds": [asdict(score) for score in scores],
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
