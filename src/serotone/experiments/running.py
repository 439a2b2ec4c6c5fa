"""Runs of a study or a cross-validation: their units go to an executor, what comes back into summaries."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serotone.corpora import Utterance
from serotone.experiments.executors import Place, Work
from serotone.experiments.executors import run as execute
from serotone.experiments.units import Event, Unit, check_disk, unit_of
from serotone.recipes import Recipe
from serotone.runs.layout import fold_folder
from serotone.runs.summary import summarise as summary_of
from serotone.runs.writing import check_parts, write_summary
from serotone.splits import Split
from serotone.training.fit import clear


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe with one seed: its name among others, a run folder, and the folds that its protocol deals."""

    row: str
    recipe: Recipe
    folder: Path
    splits: tuple[Split, ...]
    protocol: str
    """By which the folds are dealt: the recipe's, or what its rule comes to on these utterances."""

    def units(
        self, utterances: Sequence[Utterance], *, embeddings: bool = False, log: Sequence[str] = ()
    ) -> list[Unit]:
        """Its folds as something to run."""
        return [
            unit_of(self.recipe, split, utterances, self.folder, row=self.row, embeddings=embeddings, log=log)
            for split in self.splits
        ]

    def summarise(self) -> dict[str, object]:
        """The summary of what is finished so far, which is written into the folder."""
        about = {
            "recipe": self.recipe.name,
            "schedule": self.recipe.schedule,
            "length": self.recipe.chosen.length,
            "precision": self.recipe.chosen.precision,
            "protocol": self.protocol,
            "seed": self.recipe.seed,
            "monitor": self.recipe.monitor,
        }
        summary = summary_of(self.folder, self.splits, about)
        write_summary(self.folder, summary)
        return summary


@dataclass(slots=True)
class Outcome:
    """What came of the units that were asked for, in numbers, and the failures in words."""

    planned: int = 0
    """Units of the whole."""
    chosen: int = 0
    """Those that this call was asked for."""
    before: int = 0
    """Those of them that were finished already."""
    finished: int = 0
    """Those that this call finished."""
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Asked for, neither finished nor failed: there was no time."""
        return self.chosen - self.before - self.finished - sum("fold" in failure for failure in self.failures)


def run_units(
    runs: Sequence[Run],
    units: Sequence[Unit],
    outcome: Outcome,
    work: Work,
    place: Place,
    *,
    on_plan: Callable[[Sequence[Run], Sequence[Unit]], None] = lambda runs, units: None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> None:
    """Run those units that are not finished, and keep count and summaries up to date.

    Args:
        runs: Whose folders are held by the caller.
        units: Of these runs; those asked for.
        outcome: What is counted here.
        work: What the units have in common.
        place: Where they run.
        on_plan: Called with the runs and the units before the first starts.
        on_event: Called with what happens to a unit, once it is counted.
    """
    for run in runs:
        for split in run.splits:
            check_parts(fold_folder(run.folder, split.repetition, split.fold), split)
    waiting = []
    for unit in units:
        if unit.finished:
            clear(unit.folder)  # a kill may have come between the end of the fold and this
        else:
            waiting.append(unit)
    outcome.chosen, outcome.before = len(units), len(units) - len(waiting)
    for run in runs:
        run.summarise()
    on_plan(runs, units)
    by_folder = {run.folder: run for run in runs}
    if not waiting:
        return
    with closing(execute(waiting, work, place)) as events:
        for event in events:
            unit, split = event.unit, event.unit.split
            if event.kind == "finished":
                outcome.finished += 1
                by_folder[unit.folder.parent].summarise()
            elif event.kind == "failed":
                check_disk(work.out, event)
                where = {"row": unit.row, "seed": unit.seed, "repetition": split.repetition, "fold": split.fold}
                outcome.failures.append(where | {"error": event.text})
            on_event(event)
