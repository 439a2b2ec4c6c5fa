"""An evaluation on disk: its own files, and next to them a study of runs, which ``serotone report`` reads.

    DIR/metrics.json, predictions.csv, speakers.csv   what `Evaluation.write` and `Comparison.write` write
    DIR/study.yaml                                    a row for plain answers, and one for each way of adapting
    DIR/<row>/seed-0/fold-0-<number>/                 the answers to one corpus: each corpus is a fold

The YAML here is written as JSON, which is YAML too: the core install has no YAML.
"""

import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serotone import __version__
from serotone.corpora import Utterance
from serotone.errors import RunError
from serotone.evaluation.comparison import Comparison
from serotone.evaluation.result import Evaluation
from serotone.evaluation.rows import NO_ANSWER, Row
from serotone.evaluation.terms import Terms
from serotone.recognition.bundle import Bundle
from serotone.runs import layout, writing
from serotone.splits import Split

NAME = "evaluation"
"""The name of every study that is written here, and of its protocol."""

PLAIN, SEED = "plain", 0

WAYS = {
    PLAIN: "plain",
    "collection": "adapted to the collection",
    "speaker": "adapted to the collection, then the speaker",
    "profile": "adapted to a profile",
}
"""How a row's answers came about, by the row's name."""


def check_folder(folder: Path) -> None:
    """Make sure that an evaluation may be written into a folder, before hours of reading; nothing is made.

    Raises:
        RunError: The folder holds a training, a cross-validation or a study, or files that would be overwritten.
    """
    if (folder / layout.RECIPE).is_file() or (layout.is_study(folder) and not _is_ours(folder)):
        raise RunError(
            f"{folder} holds a training, a cross-validation or a study, which an evaluation must not mix with; "
            "give another folder"
        )
    written = (
        layout.METRICS,
        layout.PREDICTIONS,
        layout.SPEAKERS,
        *(layout.adapted_answers(way) for way in WAYS),
        *WAYS,
    )
    foreign = [name for name in written if (folder / name).exists()]
    if foreign and not layout.is_study(folder):
        raise RunError(f"{folder} holds a {foreign[0]} that serotone evaluate did not write; give another folder")


def save(folder: Path, result: Evaluation | Comparison, utterances: Sequence[Utterance]) -> None:
    """Write an evaluation, or plain and adapted ones side by side, instead of one that lies there.

    Args:
        folder: Made where it does not exist.
        result: Of ``serotone.evaluation.evaluate`` or ``compare``.
        utterances: Those that were scored, and others, which are passed over.

    Raises:
        RunError: The folder is a training's, a cross-validation's or a study's, or another process writes into it.
    """
    check_folder(folder)
    comparison = result if isinstance(result, Comparison) else None
    plain = result.plain if isinstance(result, Comparison) else result
    evaluations = {PLAIN: plain, **(comparison.adapted if comparison else {})}
    lacking = any(row.failure is not None for each in evaluations.values() for row in each.scored)
    labels = (*plain.shared, NO_ANSWER) if lacking else plain.shared
    scored = {row.id for row in plain.rows}
    known = [utterance for utterance in utterances if utterance.id in scored]
    with writing.held(folder):
        if _is_ours(folder):
            for way in WAYS:
                # The runs alone: whatever else somebody has put there stays.
                shutil.rmtree(layout.seed_folder(folder, way, SEED), ignore_errors=True)
                with contextlib.suppress(OSError):
                    (folder / way).rmdir()
                (folder / layout.adapted_answers(way)).unlink(missing_ok=True)
        # First, so that a folder is known as ours, and may be given again, whatever stops the rest.
        writing.write_study(folder, _json(_study(plain, comparison)))
        result.write(folder)
        for way, evaluation in evaluations.items():
            _save_run(layout.seed_folder(folder, way, SEED), evaluation, labels, known)


def _is_ours(folder: Path) -> bool:
    """Whether the study in a folder, if there is one, was written here: the others are not JSON."""
    try:
        study = json.loads((folder / layout.STUDY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(study, dict) and study.get("name") == NAME


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _named(bundle: Bundle) -> str:
    return f"{bundle.name} {bundle.version}"


def _study(plain: Evaluation, comparison: Comparison | None) -> dict[str, object]:
    """What is asked: which rows there are, and whether adapted answers are better than plain ones."""
    adapted = tuple(comparison.adapted) if comparison else ()
    return {
        "schema": 1,
        "name": NAME,
        "title": f"{_named(plain.bundle)} on {', '.join(plain.corpora)}",
        "description": "The answers of a bundle to the clips of one or more corpora. Nothing was trained.",
        "seeds": [SEED],
        "rows": [
            {"name": way, "recipe": _named(plain.bundle), "label": f"{plain.bundle.name}, {WAYS[way]}"}
            for way in (PLAIN, *adapted)
        ],
        "compare": [
            {"a": way, "b": PLAIN, "question": f"Are answers {WAYS[way]} better than plain ones?"} for way in adapted
        ],
        "notes": _notes(plain, comparison),
    }


def _notes(plain: Evaluation, comparison: Comparison | None) -> list[str]:
    """What a reader of the report must know."""
    bundle, lacking = plain.bundle, sum(row.failure is not None for row in plain.rows)
    notes = [
        "Each corpus is one fold: the mean of folds is the mean of corpora, and the pooled score is that of all clips.",
        f"Scored on the emotions that bundle and corpus both have: {', '.join(plain.shared)}. Each clip is answered "
        "with one of the emotions of its corpus, whose probabilities are scaled to sum to 1.",
    ]
    if plain.trained_on:
        notes.append(
            f"{bundle.name} was trained on {', '.join(plain.trained_on)}: these are not figures for unseen speakers."
        )
    if lacking and plain.leave_out_failed:
        notes.append(f"Clips without an answer: {lacking}, which are left out.")
    elif lacking:
        notes.append(
            f"Clips without an answer: {lacking}. They count as wrong, and in the calibration as wrong with"
            " confidence 1."
        )
    if comparison is not None:
        drawn = [f"{corpus}: {count} recordings" for corpus, count in comparison.recordings.items()]
        names = sorted({profile.name for profile in comparison.profiles.values()})
        notes.append(
            f"Adapted without labels, to {', '.join(drawn)}." if drawn else f"Adapted to the profile {names[0]}."
        )
    return notes


def _save_run(run: Path, evaluation: Evaluation, labels: Sequence[str], utterances: Sequence[Utterance]) -> None:
    """One run, whose folds are the corpora."""
    bundle, terms = evaluation.bundle, evaluation.terms
    recipe = {
        "name": _named(bundle),
        "seed": SEED,
        "bundle": bundle.sha256,
        "labels": list(evaluation.shared),
        "merge": dict(terms.merge),
        "leave_out_failed": evaluation.leave_out_failed,
        "protocol": {"name": NAME},
        "schedule": "none",
        "schedules": {"none": {}},
    }
    rows: dict[str, list[Row]] = {}
    for row in evaluation.scored:
        rows.setdefault(row.corpus, []).append(row)
    computed = {
        "serotone": __version__,
        **{name: version(name) for name in ("numpy", "onnxruntime")},
        "bundle": f"{_named(bundle)} (SHA-256 {bundle.sha256})",
    }
    with writing.opened(run, _json(recipe), utterances, differences=lambda path: [f"see {path.name}"]):
        for number, corpus in enumerate(sorted(rows)):
            fold = layout.fold_folder(run, 0, number)
            truth = {row.id: row.truth for row in rows[corpus]}
            answers = {row.id: _probabilities(row, labels, terms) for row in rows[corpus]}
            test = writing.write_answers(fold / layout.PREDICTIONS, labels, truth, answers)
            writing.note_versions(fold, computed)
            writing.write_training(fold, [], step=0, monitor="none", score=None)
            clips = {"train": 0, "validation": 0, "test": len(truth)}
            split = Split(number, 0, train=(), validation=(), test=tuple(sorted(truth)))
            writing.write_parts(fold, split)
            writing.finish(fold, {"clips": clips, "test": test, "seconds": None})
        writing.write_summary(run, {"schema": 1, "recipe": _named(bundle), "folds_planned": len(rows)})


def _probabilities(row: Row, labels: Sequence[str], terms: Terms) -> NDArray[np.float64]:
    """Those of the emotions that are scored on the row's corpus, scaled to sum to 1, in the order of ``labels`` (C,).

    Where nothing is left to scale they are alike. Without an answer, all is on `NO_ANSWER`.
    """
    if row.probabilities is None:
        return np.array([label == NO_ANSWER for label in labels], dtype=np.float64)
    named: Mapping[str, float] = terms.merged(row.probabilities)
    scored = np.array([label in terms.shared[row.corpus] for label in labels])
    values = np.where(scored, [named.get(label, 0.0) for label in labels], 0.0)
    kept: NDArray[np.float64] = values if values.sum() > 0 else scored.astype(np.float64)
    scaled: NDArray[np.float64] = kept / kept.sum()
    return scaled
