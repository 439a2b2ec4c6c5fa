"""The one writer of a run folder: pinned down before anything runs, held by one process, no file half written."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serotone import metrics
from serotone.corpora import Utterance, fingerprint
from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import RunError
from serotone.files import write_csv, write_json, write_text, write_whole
from serotone.locks import lock
from serotone.names import first_few, utf8
from serotone.runs import layout
from serotone.runs.reading import read_split
from serotone.splits import Split
from serotone.splits.parts import sentence_of


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, made where it does not exist, for this process.

    Raises:
        RunError: Another process holds it, or its disk knows no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / layout.LOCK).open("w") as file:
        try:
            lock(file.fileno())
        except BlockingIOError:
            raise RunError(
                f"{folder}: another serotone process is running here; wait for it, or use another --out"
            ) from None
        except OSError as error:  # of a network's disk, for example
            raise RunError(f"{folder}: cannot be locked: {error.strerror}; use an --out on another disk") from None
        yield


@contextlib.contextmanager
def opened(
    folder: Path, recipe: str, utterances: Sequence[Utterance], *, differences: Callable[[Path], Sequence[str]]
) -> Iterator[None]:
    """Hold a run folder for this process: write recipe and corpus into a new one, compare an old one.

    Args:
        folder: The run's.
        recipe: Its recipe, as YAML.
        utterances: What it runs on.
        differences: What the recipe in a file and this one say differently, in words; nothing where they mean the same.

    Raises:
        RunError: The folder is a study's, holds somebody's own recipe, or belongs to another recipe or other data, or
            another process is running in it.
    """
    if layout.is_study(folder):
        raise RunError(f"{folder}: this is the folder of a study; use another --out")
    if (folder / layout.RECIPE).is_file() and not (folder / layout.CORPUS).is_file():
        raise RunError(
            f"{folder / layout.RECIPE}: serotone did not write this file and would replace it; use another --out"
        )
    with held(folder):
        if not begun(folder):  # what was refused before anything was trained pins nothing down
            for name in _PINNED:
                (folder / name).unlink(missing_ok=True)
        corpus = {
            "fingerprint": fingerprint(utterances),
            "utterances": len(utterances),
            "emotions": dict(Counter(f"{u.corpus}/{u.emotion}" for u in utterances)),
            "speakers": len({u.speaker for u in utterances}),
        }
        # The corpus first: a recipe without one beside it is not ours.
        _same_or_new(
            folder / layout.CORPUS, json.dumps(corpus, indent=2) + "\n", "corpus", lambda path: [f"see {path.name}"]
        )
        _same_or_new(folder / layout.RECIPE, recipe, "recipe", differences)
        if not (folder / layout.UTTERANCES).is_file():
            write_csv(folder / layout.UTTERANCES, [_described(utterance) for utterance in utterances])
        yield


_PINNED = (layout.RECIPE, layout.CORPUS, layout.UTTERANCES, layout.SUMMARY)
_BEFORE = (*_PINNED, layout.FAILURES, layout.LOCK, layout.VERSIONS, layout.LEAKS, layout.SPLIT)


def begun(folder: Path) -> bool:
    """Whether anything lies in a run folder but what is written before a training's first epoch."""
    return any(path.is_file() and path.name not in _BEFORE for path in folder.rglob("*"))


def _described(utterance: Utterance) -> dict[str, str]:
    """What a report must know of an utterance: whose it is, and how to find it; nothing of where the corpus lies."""
    return {
        "id": utterance.id,
        "corpus": utterance.corpus,
        "speaker": "" if utterance.speaker == UNKNOWN_SPEAKER else utterance.speaker,
        "gender": utterance.gender or "",
        "session": utterance.session or "",
        "sentence": sentence_of(utterance) if utterance.sentence else "",
        "file": utf8(utterance.path.name),
    }


def _same_or_new(path: Path, text: str, what: str, differences: Callable[[Path], Sequence[str]]) -> None:
    """Write a new file, or make sure that the old one says the same: to the letter, or without differences."""
    if not path.is_file():
        write_text(path, text)
    elif path.read_text(encoding="utf-8") != text and (different := differences(path)):
        words = first_few(different, apart="; ")
        raise RunError(f"{path.parent}: this run was started with another {what} ({words}); use another --out")


# ------------------------------------------------------------------------------------------------------------- one fold


def write_leaks(fold: Path, leaks: Mapping[str, Any], copies: Sequence[str]) -> None:
    """Who and what stands in more than one part; ``copies`` are test recordings that do so under another name."""
    write_json(fold / layout.LEAKS, {**leaks, "test_copies": list(copies)})


def note_versions(fold: Path, mine: Mapping[str, object]) -> None:
    """Add what computes a fold to ``versions.json``: longer than one where a training was taken up by other software.

    Raises:
        RunError: The file that is there is damaged.
    """
    path = fold / layout.VERSIONS
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}; delete it, and run the same command again") from None
    known = known if isinstance(known, list) else [known]  # before 2026-11-21 it was one, not in a list
    if mine not in known:
        write_json(path, [*known, mine])


def write_training(
    fold: Path, curves: Sequence[Mapping[str, object]], *, step: int, monitor: str, score: float | None
) -> None:
    """How a training went: what each validation gave, and which step counts by which score."""
    write_csv(fold / layout.CURVES, curves)
    write_json(fold / layout.SELECTION, {"step": step, "monitor": monitor, "score": score})


def write_answers(
    path: Path, labels: Sequence[str], truth: Mapping[str, str], answers: Mapping[str, NDArray[np.floating]]
) -> dict[str, Any]:
    """Write truth, prediction and probabilities of each utterance; what `serotone.metrics.summary` says of them.

    Args:
        path: ``predictions.csv`` of the test part, ``validation.csv`` of the validation part.
        labels: The C classes, in order.
        truth: Class by utterance id.
        answers: Probabilities (C,) by utterance id.
    """
    rows = [
        {"id": name, "truth": truth[name], "prediction": labels[int(answers[name].argmax())]}
        | {f"p_{label}": f"{value:.6f}" for label, value in zip(labels, answers[name], strict=True)}
        for name in sorted(answers)
    ]
    write_csv(path, rows)
    return metrics.summary([row["truth"] for row in rows], [row["prediction"] for row in rows], labels=labels)


def write_embeddings(
    fold: Path,
    *,
    part: NDArray[np.str_],
    ids: NDArray[np.str_],
    truth: NDArray[np.str_],
    embedding: NDArray[np.float32],
) -> None:
    """Part, id and truth (N,) and embedding (N, D) of whole clips."""

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, part=part, id=ids, truth=truth, embedding=embedding)

    write_whole(fold / layout.EMBEDDINGS, save)


def write_parts(fold: Path, split: Split) -> None:
    """Who is in which part."""
    write_json(fold / layout.SPLIT, split.to_dict())


def check_parts(fold: Path, split: Split) -> None:
    """Make sure that a fold was begun, if it was, with the parts that it has now.

    Raises:
        RunError: It was begun with others: what it learned from may be what it is to be tested on.
    """
    path = fold / layout.SPLIT
    if not path.is_file() or not any(file.is_file() for file in fold.iterdir() if file.name not in _BEFORE):
        return
    before, now = read_split(fold), split.to_dict()
    if any(sorted(before.get(part, ())) != sorted(now[part]) for part in ("train", "validation", "test")):
        raise RunError(
            f"{fold}: this fold was started with other training, validation or test parts than it has now. They are"
            " those of another fold, or the corpus has changed; use another --out"
        )


def finish(fold: Path, results: Mapping[str, Any]) -> None:
    """Write ``metrics.json``, last of all: where it lies, the fold is done."""
    write_json(fold / layout.METRICS, results)


def tidy(fold: Path) -> None:
    """Remove what a process was writing as it was killed."""
    for unfinished in fold.glob(".*.tmp"):
        unfinished.unlink(missing_ok=True)


# ---------------------------------------------------------------------------------------------------------------- study


def write_summary(run: Path, summary: Mapping[str, object]) -> None:
    """The scores of a run so far."""
    write_json(run / layout.SUMMARY, summary)


def write_study(folder: Path, study: str) -> None:
    """What a study asks, as YAML."""
    write_text(folder / layout.STUDY, study)


def write_failures(folder: Path, failures: Sequence[Mapping[str, Any]]) -> None:
    """The units of a study or of a cross-validation that ended in an error."""
    write_json(folder / layout.FAILURES, failures)
