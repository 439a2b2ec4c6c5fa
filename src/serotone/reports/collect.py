"""What lies below a folder: one run, a study, or runs of any kind, as rows of one table."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from serotone.errors import RunError
from serotone.runs.layout import STUDY, is_run, is_study, runs_below, seed_folder
from serotone.runs.reading import Run, read_failures
from serotone.runs.reading import read_run as read


@dataclass(frozen=True, slots=True)
class Published:
    """Published figures in [0, 1]; None, or absent, where the source does not state one."""

    wa: float | None = None
    ua: float | None = None
    wa_sd: float | None = None
    ua_sd: float | None = None
    recall: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    confusion: NDArray[np.float64] | None = None  # (C, C), rows sum to 1, NaN where not stated


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the runs of one recipe, one a seed; those that are not there were not run."""

    name: str
    label: str
    runs: tuple[Run, ...] = ()
    published: Published | None = None
    at: Mapping[str, Any] = field(default_factory=dict)  # the row's cell of the study's grid
    missing_seeds: tuple[int, ...] = ()

    @property
    def folds(self) -> int:
        """How many folds are finished, over all seeds."""
        return sum(len(run.folds) for run in self.runs)

    @property
    def planned(self) -> int | None:
        """How many folds there are to be, over all seeds; None where no file says so."""
        counts = [run.planned for run in self.runs]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts) or not counts:
            return None
        return max(sum(known) + len(self.missing_seeds) * max(known), self.folds)

    @property
    def whole(self) -> bool:
        """Whether every planned fold of every seed is finished."""
        return self.planned is not None and self.folds == self.planned

    @property
    def missing(self) -> tuple[str, ...]:
        """What was not run, in words: ``seed 0: fold 0-7``, ``seed 1``."""
        return tuple(words for run in self.runs if (words := _missing(run))) + tuple(
            f"seed {seed}" for seed in self.missing_seeds
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """A question that two rows answer; ``a`` is the newer idea."""

    a: str
    b: str
    question: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """A score over the values of one key of the recipe."""

    key: str
    rows: tuple[str, ...]
    log: bool


@dataclass(frozen=True, slots=True)
class Quoted:
    """A row of the literature, in [0, 1]; not run."""

    system: str
    wa: float | None
    ua: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A unit of a study that ended in an error."""

    row: str
    seed: str
    fold: str
    error: str


@dataclass(frozen=True, slots=True)
class Collection:
    """Rows, and for a study what it asks and what was published."""

    kind: Literal["run", "study", "folder"]
    title: str
    rows: tuple[Row, ...]
    description: str = ""
    source: str = ""
    published_on: str = ""
    published_protocol: str = ""
    published_classes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    repetitions: int = 1
    compare: tuple[Pair, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    literature: tuple[Quoted, ...] = ()
    notes: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()


def _missing(run: Run) -> str:
    """The folds of a run that are not there, by name where their names can be told."""
    if run.planned is None:
        return f"seed {run.seed}: how many folds there are to be is not recorded"
    absent = run.planned - len(run.folds)
    if absent <= 0:
        return ""
    repetitions = max((fold.repetition for fold in run.folds), default=0) + 1
    there = {(fold.repetition, fold.number) for fold in run.folds}
    missing = {
        repetition: [n for n in range(run.planned // repetitions) if (repetition, n) not in there]
        for repetition in range(repetitions)
    }
    if sum(map(len, missing.values())) != absent:
        return f"seed {run.seed}: {absent} of {run.planned} folds"
    words = [
        (f"repetition {repetition} " if repetitions > 1 else "") + f"fold{'s' * (len(numbers) > 1)} {_ranges(numbers)}"
        for repetition, numbers in missing.items()
        if numbers
    ]
    return f"seed {run.seed}: {', '.join(words)}"


def _ranges(numbers: Sequence[int]) -> str:
    """``1, 3 to 5``: sorted numbers, those in a row together."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(str(g[0]) if len(g) == 1 else f"{g[0]}{' to ' if len(g) > 2 else ', '}{g[-1]}" for g in groups)


def collect(path: Path) -> Collection:
    """Read a run folder, a study folder, or every run folder below another folder.

    Raises:
        RunError: There is no run, or a file is damaged or foreign; the message names it.
    """
    if is_study(path):
        return _study(path)
    if is_run(path):
        run = read_run(path)
        name = str(run.recipe["name"]) or path.resolve().name
        return Collection("run", f"Cross-validation of {name}", (Row(name, name, (run,)),))
    if not path.is_dir():
        raise RunError(f"{path}: no such folder; give a run, a study, or a folder that holds runs")
    folders = runs_below(path)
    if not folders:
        raise RunError(f"{path}: no run in or below it; expected what serotone crossval or serotone study writes")
    names = [folder.relative_to(path).as_posix() for folder in folders]
    rows = tuple(Row(name, name, (read_run(folder),)) for name, folder in zip(names, folders, strict=True))
    return Collection("folder", f"Runs in {path.resolve().name}", rows)


def _study(folder: Path) -> Collection:
    path = folder / STUDY
    tree = read_yaml(path)
    try:
        seeds = tuple(int(seed) for seed in tree["seeds"])
        grid = tree.get("grid") or {}
        cells = list(_cells(grid))
        rows = [
            *(_row(folder, entry, entry.get("label"), seeds, {}, entry.get("published")) for entry in tree["rows"]),
            *(_row(folder, {"name": name}, name, seeds, at, told) for name, at, told in cells),
        ]
        return Collection(
            kind="study",
            title=str(tree["title"]),
            rows=_told_apart(rows),
            description=str(tree.get("description") or "").strip(),
            source=str(tree.get("source") or ""),
            published_on=str(tree.get("published_on") or ""),
            published_protocol=str(tree.get("published_protocol") or ""),
            published_classes=tuple(map(str, tree.get("published_classes") or ())),
            seeds=seeds,
            repetitions=int(tree.get("repetitions") or 1),
            compare=tuple(Pair(p["a"], p["b"], str(p.get("question") or "")) for p in tree.get("compare") or ()),
            sweeps=tuple(
                Sweep(s["key"], tuple(s.get("rows") or (name for name, _, _ in cells)), bool(s.get("log")))
                for s in tree.get("sweeps") or ()
            ),
            literature=tuple(
                Quoted(str(q["system"]), _share(q.get("wa")), _share(q.get("ua")), str(q.get("source") or ""))
                for q in tree.get("literature") or ()
            ),
            notes=tuple(str(note) for note in tree.get("notes") or ()),
            failures=_failures(folder),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: not a study that serotone wrote: {type(error).__name__} {error}") from None


def _cells(grid: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any], Mapping[str, Any] | None]]:
    """Name, values and published figures of every cell of a grid."""
    for values in itertools.product(*grid.get("values", {"": ()}).values()):
        at = dict(zip(grid["values"], values, strict=True))
        name = "+".join(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in at.items())
        yield name, at, next((told for told in grid.get("published") or () if told["at"] == at), None)


def _row(
    folder: Path,
    entry: Mapping[str, Any],
    label: str | None,
    seeds: tuple[int, ...],
    at: Mapping[str, Any],
    published: Mapping[str, Any] | None,
) -> Row:
    name = str(entry["name"])
    runs = {seed: seed_folder(folder, name, seed) for seed in seeds}
    there = {seed: read_run(run) for seed, run in runs.items() if is_run(run)}
    labels = {fold.labels for run in there.values() for fold in run.folds}
    if len(labels) > 1:
        raise RunError(f"{folder / name}: its seeds have different labels; the runs of a row answer among the same")
    missing = tuple(seed for seed in seeds if seed not in there)
    return Row(name, str(label or name), tuple(there.values()), _published(published), at, missing)


def _told_apart(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows; where several have one label, their names join it."""
    labels = [row.label for row in rows]
    return tuple(
        replace(row, label=f"{row.label} ({row.name})") if labels.count(row.label) > 1 else row for row in rows
    )


def _published(told: Mapping[str, Any] | None) -> Published | None:
    if not told:
        return None
    confusion = told.get("confusion") or {}
    percent = [[np.nan if cell is None else float(cell) for cell in line] for line in confusion.get("percent", ())]
    return Published(
        **{key: _share(told.get(key)) for key in ("wa", "ua", "wa_sd", "ua_sd")},
        recall={str(label): float(value) / 100 for label, value in (told.get("recall") or {}).items()},
        labels=tuple(map(str, confusion.get("labels", ()))),
        confusion=np.array(percent) / 100 if percent else None,
    )


def _share(percent: Any) -> float | None:
    return None if percent is None else float(percent) / 100


def _failures(folder: Path) -> tuple[Failure, ...]:
    return tuple(
        Failure(
            row=str(entry.get("row", "")),
            seed=str(entry.get("seed", "")),
            fold=f"{entry.get('repetition', 0)}-{entry['fold']}" if "fold" in entry else "all",
            error=str(entry.get("error", "")),
        )
        for entry in read_failures(folder)
    )


def read_run(folder: Path) -> Run:
    """A run folder; RunError, naming the file, where one is damaged."""
    return read(folder, read_yaml)


def read_yaml(path: Path) -> Any:
    """The value in a YAML file; RunError, naming the file, where it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RunError(f"{path}: expected YAML: {error}; restore the file, or remove its folder") from None
