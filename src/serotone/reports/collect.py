"""What lies below a folder: one run, a study, or runs of any kind, as rows of one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from serotone import studies
from serotone.documents import Documents
from serotone.errors import RunError
from serotone.runs.layout import STUDY, is_run, is_study, is_training, runs_below, seed_folder
from serotone.runs.reading import read_failures, read_metrics
from serotone.runs.reading import read_run as read
from serotone.runs.records import Fold, Run
from serotone.studies.reading import load_study
from serotone.studies.schema import Published, Study

RECIPES = Documents("recipe", "recipes", RunError)  # those that runs hold: a damaged one is a damaged run
NONE = Published.model_validate({})  # of a row for which nothing is published


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the runs of one recipe, one a seed; those that are not there were not run."""

    name: str
    label: str
    runs: tuple[Run, ...] = ()
    published: Published = NONE
    at: Mapping[str, Any] = field(default_factory=dict)  # the row's cell of the study's grid
    missing_seeds: tuple[int, ...] = ()

    @property
    def finished(self) -> list[tuple[Run, Fold]]:
        """The finished folds of every run."""
        return [(run, fold) for run in self.runs for fold in run.folds]

    @property
    def folds(self) -> int:
        """How many folds are finished, over all seeds."""
        return len(self.finished)

    @property
    def planned(self) -> int | None:
        """How many folds there are to be, over all seeds; None where no file says so."""
        known = [run.planned for run in self.runs if run.planned is not None]
        if len(known) < len(self.runs) or not known:
            return None
        return max(sum(known) + len(self.missing_seeds) * max(known), self.folds)

    @property
    def done(self) -> str:
        """``9 of 10``: folds that are finished and planned, with a question mark where no file says how many."""
        return f"{self.folds} of {self.planned or '?'}"

    @property
    def whole(self) -> bool:
        """Whether every planned fold of every seed is finished."""
        return self.planned is not None and self.folds == self.planned

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of which a fold is finished."""
        return tuple(run.seed for run in self.runs if run.folds)

    @property
    def several_seeds(self) -> bool:
        """Whether more than one seed was asked for, run or not."""
        return len(self.runs) + len(self.missing_seeds) > 1

    @property
    def rounded(self) -> bool:
        """Whether no seed is run in part: each has all of its planned folds finished, or none."""
        return all(run.planned == len(run.folds) for run in self.runs if run.folds)


@dataclass(frozen=True, slots=True)
class Collection:
    """Rows, and the study that they are of; for runs without a study it is one that asks nothing."""

    study: Study
    rows: tuple[Row, ...]
    failures: tuple[Mapping[str, Any], ...] = ()  # units that ended in an error, as failures.json has them

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run that has a finished fold."""
        return tuple(run for row in self.rows for run in row.runs if run.folds)


def collect(path: Path) -> Collection:
    """Read a run folder (of a crossval or of one training), a study folder, or every run folder below another folder.

    Raises:
        RunError: There is no run, or a file is damaged or foreign; the message names it.
    """
    if is_study(path):
        study = load_study(path / STUDY)
        ats = [*({} for _ in study.rows), *(study.grid.cells() if study.grid else ())]
        table = tuple(_row(path, row, study, at) for row, at in zip(study.table, ats, strict=True))
        return Collection(study, table, tuple(read_failures(path)))
    if is_run(path):
        run = read_run(path)
        name = str(run.recipe["name"]) or path.resolve().name
        title = f"One training of {name}, fold {run.folds[0].name}" if run.alone else f"Cross-validation of {name}"
        return _asks_nothing(title, [Row(name, name, (run,))], read_failures(path))
    if is_training(path) and "test" not in read_metrics(path):
        raise RunError(
            f"{path}: this training has no test part (protocol=all trains on every utterance), so there is nothing to"
            " report; serotone evaluate scores its bundle on another corpus"
        )
    if not path.is_dir():
        what = "is a file" if path.exists() else "no such folder"
        raise RunError(f"{path}: {what}; give the folder of a run, of a study, or one that holds runs")
    folders = {folder.relative_to(path).as_posix(): folder for folder in runs_below(path)}
    if not folders:
        raise RunError(f"{path}: no finished run in or below it; give what train, crossval, study or evaluate writes")
    rows = [Row(name, name, (read_run(folder),)) for name, folder in folders.items()]
    return _asks_nothing(f"Runs in {path.resolve().name}", rows)


def read_run(folder: Path) -> Run:
    """A run folder; RunError, naming the file, where one is damaged."""
    return read(folder, lambda path: RECIPES.tree(str(path))[0])


def _asks_nothing(title: str, rows: Sequence[Row], failures: Sequence[Mapping[str, Any]] = ()) -> Collection:
    """Runs that no study asked for."""
    return Collection(Study.model_construct(title=title, description=""), tuple(rows), tuple(failures))


def _row(folder: Path, row: studies.Row, study: Study, at: Mapping[str, Any]) -> Row:
    runs = {seed: seed_folder(folder, row.name, seed) for seed in study.seeds}
    there = {seed: _repeated(read_run(run), study.repetitions) for seed, run in runs.items() if is_run(run)}
    labels = {fold.labels for run in there.values() for fold in run.folds}
    if len(labels) > 1:
        raise RunError(f"{folder / row.name}: its seeds have different labels; the runs of a row have the same ones")
    missing = tuple(seed for seed in study.seeds if seed not in there)
    return Row(row.name, row.label, tuple(there.values()), row.published or NONE, at, missing)


def _repeated(run: Run, repetitions: int) -> Run:
    """A run as it is planned now: a later call for other rows may have asked for more repetitions of all."""
    if run.planned is None or run.repetitions is None or run.repetitions >= repetitions:
        return run
    return replace(run, planned=run.planned // run.repetitions * repetitions, repetitions=repetitions)
