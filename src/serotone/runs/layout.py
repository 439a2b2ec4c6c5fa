"""What lies where in the folders of runs, studies, searches and evaluations: all names of files are here, once.

    RUN/recipe.yaml, corpus.json, utterances.csv    what was run on what, written before anything is trained
    RUN/summary.json, failures.json                 scores so far, how many folds there are to be, and which failed
    RUN/fold-<repetition>-<fold>/                   what came of one fold; metrics.json is written last
    STUDY/study.yaml, failures.json
    STUDY/<row>/seed-<seed>/                        a run
    SEARCH/search.db, trials.csv, best.yaml         the trials of a search, and the best of them as a recipe

A run of a single training has no such folders: the files of its one fold lie in its own folder, next to ``bundle/``.
"""

import re
from pathlib import Path

RECIPE, CORPUS, UTTERANCES = "recipe.yaml", "corpus.json", "utterances.csv"
SUMMARY = "summary.json"
BUNDLE = "bundle"
LOCK = ".lock"

SPLIT, LEAKS = "split.json", "leaks.json"
VERSIONS = "versions.json"
CURVES, SELECTION = "curves.csv", "selection.json"
VALIDATION, PREDICTIONS = "validation.csv", "predictions.csv"
EMBEDDINGS = "embeddings.npz"
METRICS = "metrics.json"
SPEAKERS = "speakers.csv"

CHECKPOINT, DISTIL_CHECKPOINT = "last.ckpt", "distil.ckpt"
WEIGHTS, TEACHER, SOLVED = "weights.json", "distil.json", "solved.json"
STUDENT = "student.safetensors"
"""The encoder's weights as a distillation left them: what another run's ``weights.source`` may name."""
LOGGED = "runs.json"

STUDY, FAILURES = "study.yaml", "failures.json"
SEARCH, TRIALS, BEST = "search.db", "trials.csv", "best.yaml"

_FOLD = re.compile(r"fold-(\d+)-(\d+)")


def fold_folder(run: Path, repetition: int, fold: int) -> Path:
    """Where a fold's files lie."""
    return run / f"fold-{repetition}-{fold}"


def folds_in(run: Path) -> list[tuple[int, int, Path]]:
    """Repetition, number and folder of each fold that was begun, in order."""
    found = [(_FOLD.fullmatch(path.name), path) for path in run.glob("fold-*-*")]
    return sorted((int(match[1]), int(match[2]), path) for match, path in found if match)


def is_fold(folder: Path) -> bool:
    """Whether a folder is called as that of a fold is."""
    return _FOLD.fullmatch(folder.name) is not None


def adapted_answers(way: str) -> str:
    """What an evaluation calls its table of answers that were adapted in one way."""
    return f"predictions-{way}.csv"


def seed_folder(study: Path, row: str, seed: int) -> Path:
    """Where the run of a study's row with one seed lies."""
    return study / row / f"seed-{seed}"


def finished(fold: Path) -> bool:
    """Whether a fold's results lie on disk, whole."""
    return (fold / METRICS).is_file()


def is_training(folder: Path) -> bool:
    """Whether a folder is one of a single training that is finished, with a test part or without one."""
    return all((folder / name).is_file() for name in (RECIPE, CORPUS, METRICS)) and not folds_in(folder)


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run: a recipe, a corpus, and folds, a summary, or the answers of one training."""
    if not all((folder / name).is_file() for name in (RECIPE, CORPUS)):
        return False
    tested = is_training(folder) and (folder / PREDICTIONS).is_file()
    return tested or (folder / SUMMARY).is_file() or bool(folds_in(folder))


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / STUDY).is_file()


def runs_below(folder: Path) -> list[Path]:
    """Every run folder below a folder, in order."""
    return sorted(path.parent for path in folder.rglob(RECIPE) if is_run(path.parent))
