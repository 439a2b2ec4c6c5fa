"""Run and study folders made by hand: leave-one-speaker-out over a toy corpus, small enough to score on paper.

Each speaker says six utterances, two a class. Where an answer is wrong it is the next class in the circle angry, happy,
neutral; its probability is ``sure``, the rest is shared evenly.
"""

import csv
import json
from pathlib import Path

import numpy as np
import yaml

LABELS = ("angry", "happy", "neutral")
EACH = 6


def name_of(speaker, item):
    return f"toy/s{speaker}u{item}"


def write_table(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def answer(speaker, item, wrong, sure=0.7):
    truth = item % len(LABELS)
    prediction = (truth + 1) % len(LABELS) if wrong else truth
    chances = np.full(len(LABELS), (1 - sure) / 2)
    chances[prediction] = sure
    return {"id": name_of(speaker, item), "truth": LABELS[truth], "prediction": LABELS[prediction]} | {
        f"p_{label}": f"{chance:.6f}" for label, chance in zip(LABELS, chances, strict=True)
    }


def make_run(
    folder,
    *,
    name="toy",
    seed=0,
    speakers=6,
    wrong=lambda speaker, item: False,
    sure=lambda speaker, item: 0.7,
    folds=None,
    recipe=None,
    named=True,
    repetitions=1,
):
    """A run folder; ``wrong`` and ``sure`` say of each answer what it is, ``folds`` which are finished."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    said = {
        "schema": 1,
        "name": name,
        "protocol": {"name": "leave-one-speaker-out", "folds": None, "seed": None},
        "seed": seed,
        "center": {"weight": 0.0},
        "monitor": "ua",
        "schedule": "budget",
        "schedules": {"budget": {"steps": 20, "precision": "bfloat16", "select_from": 10}},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(said | (recipe or {})))
    emotions = {f"toy/{label}": 2 * speakers for label in LABELS}
    corpus = {"fingerprint": "f" * 8, "utterances": EACH * speakers, "emotions": emotions, "speakers": speakers}
    (folder / "corpus.json").write_text(json.dumps(corpus))
    (folder / "versions.json").write_text(json.dumps({"python": "3.11.7", "torch": "2.13.0"}))
    # Scores that no report may believe.
    (folder / "summary.json").write_text(json.dumps({"folds_planned": speakers * repetitions, "wa_pooled": 0.99}))
    write_table(
        folder / "utterances.csv",
        [
            {
                "id": name_of(speaker, item),
                "corpus": "toy",
                "speaker": f"toy/s{speaker}" if named else "",
                "gender": "",
                "session": "",
                "sentence": f"toy/{item}",
                "file": f"s{speaker}u{item}.wav",
            }
            for speaker in range(speakers)
            for item in range(EACH)
        ],
    )
    for repetition in range(repetitions):
        for speaker in range(speakers) if folds is None else folds:
            rows = [answer(speaker, i, wrong(speaker, i), sure(speaker, i)) for i in range(EACH)]
            make_fold(folder / f"fold-{repetition}-{speaker}", speaker, rows, speakers)
    return folder


def make_fold(folder, speaker, rows, speakers=6):
    folder.mkdir()
    write_table(folder / "predictions.csv", rows)
    write_table(
        folder / "curves.csv",
        [{"step": 10.0 * n, "epoch": n, "loss": 2.0 / n, "ua": 0.3 * n, "wa": 0.3 * n} for n in (1, 2)],
    )
    leaks = {
        "shared_speakers": [],
        "shared_sentences": ["toy/0", "toy/1"],
        "validation_speakers_in_train": [],
        "test_speakers": 1,
        "test_sentences": EACH,
        "test_without_sentence": 0,
    }
    (folder / "leaks.json").write_text(json.dumps(leaks))
    others = [name_of(other, item) for other in range(speakers) for item in range(EACH) if other != speaker]
    parts = {"train": others, "validation": [], "test": [row["id"] for row in rows]}
    (folder / "split.json").write_text(json.dumps(parts))
    (folder / "selection.json").write_text(json.dumps({"step": 20, "monitor": "ua", "score": 0.6}))
    # Scores that no report may believe, again.
    told = {"seconds": 36.0, "clips": {"train": 24, "validation": 6}, "test": {"wa": 0.99, "ua": 0.99}}
    (folder / "metrics.json").write_text(json.dumps(told))


def make_training(folder, *, fold=0, tested=True, **more):
    """The folder of one training, whose fold's files lie in its own; without ``tested`` it has no test part."""
    folder = make_run(folder, folds=[fold], **more)
    inner = folder / f"fold-0-{fold}"
    parts = json.loads((inner / "split.json").read_text())
    (inner / "split.json").write_text(json.dumps({"repetition": 0, "fold": fold} | parts))
    for path in inner.iterdir():
        path.rename(folder / path.name)
    inner.rmdir()
    (folder / "summary.json").unlink()
    if not tested:
        (folder / "predictions.csv").unlink()
        (folder / "metrics.json").write_text(json.dumps({"seconds": 36.0, "clips": {"train": 30, "validation": 6}}))
    return folder


def make_study(folder, *, rows, seeds=(0,), failures=(), **more):
    """A study's own files; its runs are made beside with `make_run`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"recipe": row["name"], **row} for row in rows]
    tree = {"schema": 1, "title": "A toy", "description": "", "seeds": list(seeds), "repetitions": 1, "rows": rows}
    (folder / "study.yaml").write_text(yaml.safe_dump(tree | more, sort_keys=False))
    (folder / "failures.json").write_text(json.dumps(list(failures)))
    return folder
