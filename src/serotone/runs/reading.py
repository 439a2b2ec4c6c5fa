"""The one reader of a run folder: its folds, answers and circumstances; every file is checked as it is read."""

import csv
import hashlib
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import RunError
from serotone.runs import layout
from serotone.runs.layout import CORPUS, RECIPE, UTTERANCES
from serotone.runs.records import Fold, Overlap, Run, UtteranceInfo

Value = TypeVar("Value")


def read_run(folder: Path, read_recipe: Callable[[Path], Any]) -> Run:
    """A run folder with its finished folds, in order.

    Args:
        folder: The run's.
        read_recipe: The plain values in a file of YAML, which is not read here.

    Raises:
        RunError: A file is missing, damaged or not what its name says.
    """
    recipe = _mapping(read_recipe(folder / RECIPE), folder / RECIPE)
    _need(recipe, folder / RECIPE, name=str, seed=int, protocol=dict, schedule=str, schedules=dict)
    if not isinstance(recipe["schedules"].get(recipe["schedule"]), dict) or "name" not in recipe["protocol"]:
        raise RunError(
            f"{folder / RECIPE}: it does not have its schedule {recipe['schedule']!r}, or its protocol has no name;"
            " restore the file"
        )
    corpus = _mapping(read_json(folder / CORPUS), folder / CORPUS)
    _need(corpus, folder / CORPUS, fingerprint=str, utterances=int, emotions=dict, speakers=int)
    utterances = _utterances(folder)
    alone = layout.is_training(folder)
    return Run(
        folder=folder,
        recipe=recipe,
        corpus=corpus,
        utterances=utterances,
        folds=_folds(folder, [_trained(folder)] if alone else layout.folds_in(folder), utterances),
        planned=1 if alone else _said(folder, "folds_planned", int),
        repetitions=1 if alone else _said(folder, "repetitions", int),
        dealt=_said(folder, "protocol", str),
    )


def read_json(path: Path) -> Any:
    """The value in a JSON file; RunError, naming the file, where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: expected JSON: {error}; {_remedy(path)}") from None


def read_metrics(fold: Path) -> dict[str, Any]:
    """What a finished fold's ``metrics.json`` says."""
    return _mapping_in(fold / layout.METRICS)


def read_selection(fold: Path) -> dict[str, Any]:
    """Which step of a training counts, by which score."""
    return _mapping_in(fold / layout.SELECTION)


def read_leaks(fold: Path) -> dict[str, Any]:
    """Who and what stands in more than one part of a fold."""
    return _mapping_in(fold / layout.LEAKS)


def read_split(fold: Path) -> dict[str, Any]:
    """Who was in which part."""
    return _mapping_in(fold / layout.SPLIT)


def read_summary(run: Path) -> dict[str, Any]:
    """The scores of a run so far."""
    return _mapping_in(run / layout.SUMMARY)


def read_embeddings(fold: Fold) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.int64]]]:
    """Of the parts ``train`` and ``test`` the points (N, D), and their classes (N,) as places among the labels."""
    path = fold.folder / layout.EMBEDDINGS
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            part, truth, points = (file[key] for key in ("part", "truth", "embedding"))
        classes = np.array([fold.labels.index(str(one)) for one in truth], dtype=np.int64)
        if not np.isfinite(points).all():
            raise ValueError("an embedding is NaN or infinite, because its training diverged")
        parts = {name: part == name for name in ("train", "test")}
        return {p: points[at].astype(np.float64) for p, at in parts.items()}, {
            p: classes[at] for p, at in parts.items()
        }
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        what = "damaged" if "pickle" in str(error) else error  # numpy would have it loaded all the same
        raise RunError(
            f"{path}: {what}; expected the arrays part, truth and embedding, with the classes"
            f" {', '.join(fold.labels)}; remove the file"
        ) from None


def check_beginning(fold: Path, name: str, beginning: Mapping[str, Any]) -> None:
    """Make sure that a fold begins with what the finished folds of its run began with.

    Args:
        fold: Its folder.
        name: The file that says so in every fold.
        beginning: What it says of this fold.

    Raises:
        RunError: It says something else of another fold: a file that the recipe names has changed since.
    """
    others = layout.folds_in(fold.parent) if layout.is_fold(fold) else []
    for path in (other / name for _, _, other in others if other != fold and layout.finished(other)):
        before = _mapping_in(path) if path.is_file() else {}
        if changed := [key for key in beginning if key in before and before[key] != beginning[key]]:
            raise RunError(
                f"{path}: {changed[0]} is {before[changed[0]]}, but {fold.name} would begin with"
                f" {beginning[changed[0]]}; put back the file that the recipe names, or use another --out"
            )


def read_failures(folder: Path) -> list[dict[str, Any]]:
    """The units of a study or of a cross-validation that ended in an error; none where no file says so."""
    path = folder / layout.FAILURES
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged: {error}; delete it, and the same command writes it again") from None
    if not isinstance(entries, list) or not all(_is_failure(entry) for entry in entries):
        raise RunError(f"{path}: expected a list of failures; delete it, and the same command writes it again")
    return entries


def _is_failure(entry: Any) -> bool:
    return isinstance(entry, dict) and {"row", "seed", "error"} <= entry.keys()


def _mapping_in(path: Path) -> dict[str, Any]:
    return _mapping(read_json(path), path)


def _mapping(value: Any, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RunError(f"{path}: expected keys and values, got {type(value).__name__}; restore the file")
    return value


def _need(tree: Mapping[str, Any], path: Path, **kinds: type | tuple[type, ...]) -> None:
    for key, kind in kinds.items():
        if key not in tree or not isinstance(tree[key], kind) or isinstance(tree[key], bool):
            raise RunError(f"{path}: {key} is {tree.get(key)!r}, which serotone never writes there; {_remedy(path)}")


def _remedy(path: Path) -> str:
    """What to do about a damaged file: the folder of a fold is trained again, that of a run holds all of them."""
    if path.name in (layout.SUMMARY, layout.UTTERANCES):
        return "delete it, and run the same command again, which skips finished folds and writes the file"
    return "restore the file, or remove its folder" if layout.is_fold(path.parent) else "restore the file"


def _said(folder: Path, key: str, kind: type[Value]) -> Value | None:
    """What a run's summary says of its plan; none of its scores is read."""
    path = folder / layout.SUMMARY
    said = _mapping(read_json(path), path).get(key) if path.is_file() else None
    return said if isinstance(said, kind) else None


def _table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path}: expected a table: {error}; {_remedy(path)}") from None
    columns = list(reader.fieldnames or ())
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise RunError(f"{path}: line {number} does not have as many columns as the first line; restore the file")
    return columns, rows


def _utterances(folder: Path) -> dict[str, UtteranceInfo]:
    path = folder / UTTERANCES
    if not path.is_file():
        raise RunError(
            f"{folder}: no {UTTERANCES}, which says who speaks; an older serotone wrote this run: run the same"
            " command again, which skips finished folds and writes the file"
        )
    columns, rows = _table(path)
    wanted = {"id", "speaker", "gender", "sentence", "file"}
    if wanted - set(columns):
        absent = ", ".join(sorted(wanted - set(columns)))
        raise RunError(f"{path}: no column {absent}; it has {', '.join(columns)}: restore the file")
    return {row["id"]: UtteranceInfo(row["speaker"], row["gender"], row["sentence"], row["file"]) for row in rows}


def _folds(
    folder: Path, entries: Iterable[tuple[int, int, Path]], utterances: Mapping[str, UtteranceInfo]
) -> tuple[Fold, ...]:
    folds = tuple(_fold(*entry, utterances) for entry in entries if layout.finished(entry[2]))
    for fold in folds:
        if fold.labels != folds[0].labels:
            raise RunError(
                f"{fold.folder}: its labels are {', '.join(fold.labels)}, but those of {folds[0].folder} are"
                f" {', '.join(folds[0].labels)}; remove the one that belongs to another run"
            )
    for repetition in {fold.repetition for fold in folds}:
        heard = [name for fold in folds if fold.repetition == repetition for name in fold.ids]
        if len(set(heard)) < len(heard):
            raise RunError(
                f"{folder}: two folds of repetition {repetition} test the same utterance; remove the folds that"
                " belong to another run"
            )
    return folds


def _trained(folder: Path) -> tuple[int, int, Path]:
    """The one fold of a single training, as `layout.folds_in` has those of a cross-validation."""
    split = read_split(folder)
    _need(split, folder / layout.SPLIT, repetition=int, fold=int)
    return split["repetition"], split["fold"], folder


def _fold(repetition: int, number: int, folder: Path, utterances: Mapping[str, UtteranceInfo]) -> Fold:
    measured, chosen = read_metrics(folder), read_selection(folder)
    _need(measured, folder / layout.METRICS, seconds=(int, float, NoneType), clips=dict)
    _need(chosen, folder / layout.SELECTION, step=int, monitor=str)
    labels, ids, truth, prediction, probabilities = _answers(folder / layout.PREDICTIONS, utterances)
    parts = _parts(folder / layout.SPLIT)
    return Fold(
        repetition=repetition,
        number=number,
        folder=folder,
        labels=labels,
        ids=ids,
        truth=truth,
        prediction=prediction,
        probabilities=probabilities,
        curves=_curves(folder / layout.CURVES),
        monitor=chosen["monitor"],
        step=chosen["step"],
        score=chosen.get("score"),
        seconds=None if measured["seconds"] is None else float(measured["seconds"]),
        clips={str(part): int(count) for part, count in measured["clips"].items()},
        shared=_shared(folder / layout.LEAKS),
        parts=hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
        used=frozenset(name for part in parts for name in part),
        versions=_versions(folder / layout.VERSIONS) or _versions(folder.parent / layout.VERSIONS),
    )


def _versions(path: Path) -> tuple[dict[str, Any], ...]:
    """What computed a fold; one beside the folds, of an older serotone, is not in a list."""
    if not path.is_file():
        return ()
    value = read_json(path)
    return tuple(_mapping(entry, path) for entry in (value if isinstance(value, list) else [value]))


def _answers(
    path: Path, utterances: Mapping[str, UtteranceInfo]
) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    columns, rows = _table(path)
    labels = tuple(column.removeprefix("p_") for column in columns if column.startswith("p_"))
    if columns[:3] != ["id", "truth", "prediction"] or len(columns) != 3 + len(labels) or not labels or not rows:
        raise RunError(
            f"{path}: it has the columns {', '.join(columns) or '(none)'} and {len(rows)} lines below them; expected"
            " id, truth, prediction and one p_<label> for each label, and at least one line: restore the file"
        )
    ids = tuple(row["id"] for row in rows)
    if len(set(ids)) < len(ids):
        raise RunError(f"{path}: an utterance has two lines; expected one for each: restore the file")
    if strangers := [name for name in ids if name not in utterances]:
        raise RunError(
            f"{path}: utterance {strangers[0]} is not in {UTTERANCES}; remove the fold if it belongs to another run"
        )
    place = {label: index for index, label in enumerate(labels)}
    try:
        truth, prediction = (np.array([place[r[key]] for r in rows], dtype=np.int64) for key in ("truth", "prediction"))
        probabilities = np.array([[float(row[f"p_{label}"]) for label in labels] for row in rows])
    except (KeyError, ValueError) as error:
        raise RunError(
            f"{path}: {error}; expected labels among {', '.join(labels)} and numbers: restore the file"
        ) from None
    if not (np.all(probabilities >= 0) and np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)):
        raise RunError(f"{path}: some probabilities are negative, are NaN or do not sum to 1; restore the file")
    return labels, ids, truth, prediction, probabilities


def _curves(path: Path) -> dict[str, NDArray[np.float64]]:
    if not path.is_file() or not path.stat().st_size:
        return {}
    columns, rows = _table(path)
    try:
        return {column: np.array([float(row[column] or math.nan) for row in rows]) for column in columns}
    except ValueError as error:
        raise RunError(f"{path}: {error}; expected numbers; restore the file") from None


def _parts(path: Path) -> list[list[str]]:
    """Who trains, validates and tests, in an order that is always the same."""
    split = read_json(path)
    try:
        return [sorted(map(str, split[part])) for part in ("train", "validation", "test")]
    except (KeyError, TypeError):
        raise RunError(f"{path}: expected the ids of train, validation and test; restore the file") from None


def _shared(path: Path) -> Overlap | None:
    if not path.is_file():
        return None
    leaks = _mapping(read_json(path), path)
    _need(leaks, path, shared_speakers=list, shared_sentences=list, validation_speakers_in_train=list)
    _need(leaks, path, test_speakers=int, test_sentences=int, test_without_sentence=int)
    speakers, validating = (list(map(str, leaks[key])) for key in ("shared_speakers", "validation_speakers_in_train"))
    return Overlap(
        speakers=tuple(name for name in speakers if name != UNKNOWN_SPEAKER),
        unknown_speakers=UNKNOWN_SPEAKER in speakers,
        sentences=tuple(map(str, leaks["shared_sentences"])),
        validation_speakers=tuple(name for name in validating if name != UNKNOWN_SPEAKER),
        unknown_validation_speakers=UNKNOWN_SPEAKER in validating,
        test_speakers=leaks["test_speakers"],
        test_sentences=leaks["test_sentences"],
        without_sentence=leaks["test_without_sentence"],
        copies=tuple(map(str, leaks["test_copies"])) if "test_copies" in leaks else None,
    )
