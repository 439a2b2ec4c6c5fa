"""A recipe over the folds and repetitions of its protocol: a study of one row, whose folder is that of its one run."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from serotone.corpora import Utterance
from serotone.errors import RunError
from serotone.experiments.executors import HERE, Place, Work
from serotone.experiments.planning import check_folds, opened, plan, protocol_of
from serotone.experiments.running import Outcome, Run, run_units
from serotone.experiments.units import Event, Unit
from serotone.recipes import Recipe
from serotone.runs.layout import folds_in
from serotone.runs.writing import write_failures
from serotone.training.loggers import require


class FoldsFailedError(RunError):
    """Folds failed; ``summary`` is that of the others, which have run all the same."""

    def __init__(self, message: str, summary: dict[str, object]) -> None:
        super().__init__(message)
        self.summary = summary


def crossval(
    recipe: Recipe,
    utterances: Sequence[Utterance],
    out: Path,
    *,
    place: Place = HERE,
    repetitions: int = 1,
    only: Collection[int] | None = None,
    log: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
    on_plan: Callable[[Sequence[Run], Sequence[Unit]], None] = lambda runs, units: None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> dict[str, object]:
    """Run the folds that are not finished yet and return the summary of those that are.

    Args:
        recipe: What is trained.
        utterances: On what.
        out: The run folder; one sub-folder ``fold-<repetition>-<fold>`` each.
        place: Where the folds run, and how many at a time.
        repetitions: How often the protocol is dealt anew; the summary counts those of earlier calls, too.
        only: Numbers of the folds to run; None runs all.
        log: Tools to log to beside ``curves.csv``: keys of `serotone.training.loggers.KINDS`.
        tell: Called with each line there is to say, such as a file that is left out.
        on_plan: Called with the run and the folds asked for before the first starts.
        on_event: Called with what happens to a fold.

    Raises:
        MissingExtraError: A tool in ``log``, or Ray, is not installed.
        FoldsFailedError: A fold failed; ``failures.json`` says why, and the others have run all the same.
        RunError: The protocol has no test part, a fold in ``only`` does not exist, or the folder is another run's.
    """
    require(log)
    begun = [repetition + 1 for repetition, _, _ in folds_in(out)]
    splits = tuple(s for r in range(max([repetitions, *begun])) for s in plan(recipe, utterances, repetition=r))
    if not all(split.test for split in splits):
        raise RunError(
            f"protocol {recipe.protocol.name} has no test part, and crossval needs one; give --set"
            " protocol=leave-one-speaker-out"
        )
    check_folds(only, splits, recipe.protocol.name)
    run, outcome = Run(recipe.name, recipe, out, splits, protocol_of(recipe, utterances)), Outcome(planned=len(splits))
    with opened(out, recipe, utterances):
        units = [
            unit
            for unit in run.units(utterances, log=log)
            if unit.split.repetition < repetitions and (only is None or unit.split.fold in only)
        ]
        run_units([run], units, outcome, Work(utterances, out, tell), place, on_plan=on_plan, on_event=on_event)
        write_failures(out, outcome.failures)
        summary = run.summarise()
        if outcome.failures:
            errors = "; ".join(f"fold {f['repetition']}-{f['fold']}: {f['error']}" for f in outcome.failures)
            number = f"{len(outcome.failures)} of {outcome.chosen} folds failed"
            raise FoldsFailedError(f"{number}; the same command tries them again: {errors}", summary)
        return summary
