"""A recipe over the folds and repetitions of its protocol; finished folds are skipped, an interrupted one resumes."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from serotone.corpora import Utterance
from serotone.errors import RunError
from serotone.experiments.planning import opened, plan
from serotone.experiments.units import Materials, Unit, run_unit
from serotone.recipes import Recipe
from serotone.runs.layout import fold_folder, folds_in
from serotone.runs.summary import summarise as summary_of
from serotone.runs.writing import write_summary
from serotone.splits import Split, leak_report
from serotone.training.loggers import require


def crossval(
    recipe: Recipe,
    utterances: Sequence[Utterance],
    out: Path,
    *,
    repetitions: int = 1,
    only: Collection[int] | None = None,
    log: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, object]:
    """Run the folds that are not finished yet and return the summary of those that are.

    Args:
        recipe: What is trained.
        utterances: On what.
        out: The run folder; one sub-folder ``fold-<repetition>-<fold>`` each.
        repetitions: How often the protocol is dealt anew; the summary counts those of earlier calls, too.
        only: Numbers of the folds to run; None runs all.
        log: Tools to log to beside ``curves.csv``: keys of `serotone.training.loggers.KINDS`.
        tell: Called with one line of progress at a time.

    Raises:
        MissingExtraError: A tool in ``log`` is not installed.
        RunError: The protocol has no test part, a fold in ``only`` does not exist, or the folder is another run's.
    """
    require(log)
    begun = [repetition + 1 for repetition, _, _ in folds_in(out)]
    splits = [split for r in range(max([repetitions, *begun])) for split in plan(recipe, utterances, repetition=r)]
    if not all(split.test for split in splits):
        raise RunError(
            f"protocol {recipe.protocol.name} has no test part; crossval needs one, such as leave-one-speaker-out"
        )
    chosen = [split for split in splits if split.repetition < repetitions and (only is None or split.fold in only)]
    if only is not None and set(only) - {split.fold for split in splits}:
        raise RunError(f"folds {sorted(only)} were asked for; this protocol has 0 to {max(s.fold for s in splits)}")
    with opened(out, recipe, utterances):
        units = [unit_of(recipe, split, utterances, out, log=log) for split in chosen]
        waiting = [unit for unit in units if not unit.finished]
        materials = Materials(utterances, tell)
        for number, unit in enumerate(waiting, start=1):
            results = run_unit(unit, materials(recipe))
            summarise(recipe, splits, out)
            tell(
                f"fold {unit.split.repetition}-{unit.split.fold} ({number} of {len(waiting)}):"
                f" WA {results['test']['wa']:.4f}  UA {results['test']['ua']:.4f}  {results['seconds']} s"
            )
        return summarise(recipe, splits, out)


def unit_of(
    recipe: Recipe,
    split: Split,
    utterances: Sequence[Utterance],
    out: Path,
    *,
    row: str | None = None,
    embeddings: bool = False,
    log: Sequence[str] = (),
) -> Unit:
    """One fold of a run folder as something to run."""
    return Unit(
        row=row or recipe.name,
        seed=recipe.seed,
        recipe=recipe,
        split=split,
        folder=fold_folder(out, split.repetition, split.fold),
        leaks=leak_report(split, utterances).to_dict(),
        embeddings=embeddings,
        log=tuple(map(str, log)),
    )


def summarise(recipe: Recipe, splits: Sequence[Split], out: Path) -> dict[str, object]:
    """The summary of a recipe's run so far, which is written into its folder."""
    about = {
        "recipe": recipe.name,
        "schedule": recipe.schedule,
        "length": recipe.chosen.length,
        "precision": recipe.chosen.precision,
        "protocol": recipe.protocol.name,
        "seed": recipe.seed,
        "monitor": recipe.monitor,
    }
    summary = summary_of(out, splits, about)
    write_summary(out, summary)
    return summary
