"""A study: every (recipe, fold, seed) is a unit; finished ones are skipped, failed ones reported, the rest go on."""

import contextlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serotone.corpora import Utterance, fingerprint
from serotone.errors import RunError, SerotoneError, reason
from serotone.experiments.executors import HERE, Place, Work
from serotone.experiments.planning import check_folds, opened, plan, protocol_of
from serotone.experiments.running import Outcome, Run, run_units
from serotone.experiments.units import Event, Unit
from serotone.problems import in_words
from serotone.recipes import Recipe, load
from serotone.runs.layout import CORPUS, FAILURES, RECIPE, STUDY, seed_folder
from serotone.runs.reading import read_failures, read_json
from serotone.runs.writing import begun, held, write_failures, write_study
from serotone.studies import Row, Study, load_study
from serotone.studies.schema import bare
from serotone.training.loggers import require


def resolve(study: Study, row: Row, seed: int, corpora: Collection[str]) -> Recipe:
    """The recipe of a row with one seed.

    The folds are those of the study's first seed whatever the seed, so that seeds and folds can be told apart.

    Raises:
        RecipeError: It is not valid.
    """
    changes = [*study.set_, *row.set_, f"seed={seed}"]
    recipe = load(row.recipe, changes, corpora=corpora)
    if seed == study.seeds[0] or recipe.protocol.seed is not None:
        return recipe
    return load(row.recipe, [*changes, f"protocol.seed={study.seeds[0]}"], corpora=corpora)


def lay_out(
    study: Study,
    utterances: Sequence[Utterance],
    out: Path,
    *,
    rows: Collection[str] | None = None,
) -> tuple[list[Run], list[dict[str, Any]]]:
    """The runs of a study, seed by seed; and, for those that cannot be, why.

    Raises:
        RunError: A row in ``rows`` is not the study's.
    """
    table = study.table
    study.check_rows(rows or ())
    corpora = {utterance.corpus for utterance in utterances}
    runs, failures = [], []
    for seed in study.seeds:
        for row in table:
            if rows is not None and row.name not in rows:
                continue
            try:
                recipe = resolve(study, row, seed, corpora)
                splits = tuple(s for r in range(study.repetitions) for s in plan(recipe, utterances, repetition=r))
                if not all(split.test for split in splits):
                    raise RunError(
                        f"protocol {recipe.protocol.name} has no test part; choose another, such as"
                        " leave-one-speaker-out"
                    )
            except SerotoneError as error:
                failures.append({"row": row.name, "seed": seed, "error": reason(error)})
                continue
            protocol = protocol_of(recipe, utterances)
            runs.append(Run(row.name, recipe, seed_folder(out, row.name, seed), splits, protocol))
    return runs, failures


def units_of(study: Study, runs: Sequence[Run], utterances: Sequence[Utterance], log: Sequence[str] = ()) -> list[Unit]:
    """All units, fold by fold over the rows: whenever time runs out, the rows have the same folds."""
    units = [u for run in runs for u in run.units(utterances, embeddings=study.embeddings, log=log)]
    places = {seed: place for place, seed in enumerate(study.seeds)}
    return sorted(units, key=lambda unit: (places[unit.seed], unit.split.repetition, unit.split.fold))


def run_study(
    study: Study,
    utterances: Sequence[Utterance],
    out: Path,
    *,
    place: Place = HERE,
    rows: Collection[str] | None = None,
    folds: Collection[int] | None = None,
    log: Sequence[str] = (),
    more: Callable[[], bool] = lambda: True,
    tell: Callable[[str], None] = lambda line: None,
    on_plan: Callable[[Sequence[Run], Sequence[Unit]], None] = lambda runs, units: None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Outcome:
    """Run what is not finished yet.

    Args:
        study: Rows, seeds and questions; kept as ``study.yaml``, a later call's seeds, repetitions and rows joined
            to it.
        utterances: On what.
        out: The study's folder: one run folder ``<row>/seed-<seed>`` each, and ``failures.json``.
        place: Where units run, and how many at a time.
        rows: Names of the rows to run; None runs all.
        folds: Numbers of the folds to run; None runs all.
        log: Tools that every unit is logged to beside its ``curves.csv``: keys of `serotone.training.loggers.KINDS`.
        more: Asked before each unit; once it says no, none is started any more.
        tell: Called with each line there is to say, such as a file that is left out.
        on_plan: Called with the runs and the units asked for before the first starts.
        on_event: Called with what happens to a unit.

    Raises:
        MissingExtraError: A tool in ``log``, or Ray, is not installed here.
        RunError: The folder is another study's, in use or damaged, or a row or fold does not exist.
    """
    require(log)
    with contextlib.ExitStack() as stack:
        if (out / RECIPE).is_file():
            raise RunError(f"{out}: this is the folder of a single run; use another --out")
        if (out / STUDY).is_file() and not (out / FAILURES).is_file() and not _corpora_in(out):
            raise RunError(
                f"{out / STUDY}: serotone study did not write this file and would replace it; use another --out"
            )
        stack.enter_context(held(out))
        asked = study
        study = joined(study, out / STUDY)
        _check_corpus(out, utterances)
        runs, failures = lay_out(study, utterances, out, rows=rows)
        outcome = Outcome(failures=failures)
        if runs:
            check_folds(folds, [split for run in runs for split in run.splits])
        elif not (out / STUDY).is_file():
            return outcome  # no row can be run: nothing is pinned down by its mistake
        usable = []
        for run in runs:
            try:
                stack.enter_context(opened(run.folder, run.recipe, utterances))
                usable.append(run)
            except SerotoneError as error:
                failures.append({"row": run.row, "seed": run.recipe.seed, "error": reason(error)})
        units = units_of(study, usable, utterances, log)
        outcome.planned = len(units)
        units = [unit for unit in units if _is_asked(unit, asked, folds)]
        others = _others(out, rows, {(u.row, u.seed, u.split.repetition, u.split.fold) for u in units})
        write_failures(out, [*others, *failures])
        # A file to which this call adds nothing keeps its comments.
        if not (out / STUDY).is_file() or study != load_study(out / STUDY):
            write_study(out, study.to_yaml())

        def note(event: Event) -> None:
            if event.kind == "failed":
                write_failures(out, [*others, *failures])
            on_event(event)

        work = Work(utterances, out, tell, more)
        run_units(usable, units, outcome, work, place, on_plan=on_plan, on_event=note)
    return outcome


def _check_corpus(out: Path, utterances: Sequence[Utterance]) -> None:
    """Refuse another corpus than that of the runs that are there, before any is made.

    Raises:
        RunError: It is another one.
    """
    mine = fingerprint(utterances)
    for path in filter(lambda path: begun(path.parent), _corpora_in(out)):
        corpus = read_json(path)
        if not isinstance(corpus, dict) or corpus.get("fingerprint") != mine:
            raise RunError(
                f"{out}: the runs in this folder are of another corpus (see {path}); give that one, or use another"
                " --out"
            )


def _corpora_in(out: Path) -> list[Path]:
    """What the runs of a study are on, a file each."""
    return sorted(out.glob(f"*/seed-*/{CORPUS}"))


def _is_asked(unit: Unit, asked: Study, folds: Collection[int] | None) -> bool:
    """Whether this call means the unit; an earlier one may have meant other rows, seeds or repetitions."""
    return (
        unit.row in {row.name for row in asked.table}
        and unit.seed in asked.seeds
        and unit.split.repetition < asked.repetitions
        and (folds is None or unit.split.fold in folds)
    )


def _others(out: Path, rows: Collection[str] | None, asked: Collection[tuple[object, ...]]) -> list[dict[str, Any]]:
    """Failures of earlier calls that this one was not asked to try again."""
    return [
        failure
        for failure in read_failures(out)
        if (rows is not None and failure["row"] not in rows)
        or ("fold" in failure and (*(failure[key] for key in ("row", "seed", "repetition", "fold")),) not in asked)
    ]


_CALLED = {"name": "the name", "set_": "the overrides"}
"""What of a study must stay from call to call, in words."""


def joined(study: Study, path: Path) -> Study:
    """The study together with what an earlier call kept of it: seeds, rows and questions add up.

    Raises:
        RunError: The folder holds another study, the same with other overrides, or something else.
    """
    if not path.is_file():
        return study
    old = load_study(path)
    for what in _CALLED:
        before, now = getattr(old, what), getattr(study, what)
        if before != now and not _reordered(before, now):
            raise RunError(
                f"{path.parent}: the study in this folder has {_CALLED[what]} {_words(before)}, but this one has"
                f" {_words(now)}; use another --out"
            )
    rows = {row.name: row for row in old.table}
    for row in study.table:
        before_row = rows.get(row.name)
        if before_row is not None and _asks(before_row) != _asks(row):
            raise RunError(
                f"{path.parent}: the row {row.name} was started with another recipe or other overrides; give the row"
                " another name, or use another --out"
            )
    seeds = (*old.seeds, *(seed for seed in study.seeds if seed not in old.seeds))
    labels = {row.label for row in study.table}
    gone = [
        row.model_copy(update={"label": row.name}) if row.label in labels else row  # its label has gone to another row
        for row in old.table
        if row.name not in {row.name for row in study.table}
    ]
    pairs = {(question.a, question.b) for question in study.compare}
    asked = (*study.compare, *(question for question in old.compare if (question.a, question.b) not in pairs))
    repetitions = max(old.repetitions, study.repetitions)
    added = {"seeds": seeds, "repetitions": repetitions, "rows": (*study.rows, *gone), "compare": asked}
    whole = study.model_copy(update=added)
    tree = whole.model_dump(by_alias=True)
    try:
        Study.model_validate(tree)
    except ValidationError as error:
        problem = in_words(error, Study, tree, "study")
        raise RunError(
            f"{path.parent}: this study and the one in this folder do not fit together: {problem}; use another --out"
        ) from None
    return whole


def _asks(row: Row) -> tuple[str, list[str]]:
    """A row's recipe and overrides; the path of a recipe may be spelled otherwise from another folder."""
    return bare(row.recipe), sorted(row.set_)


def _reordered(before: object, now: object) -> bool:
    """Whether these are the same overrides in another order; each run compares the recipe that they make."""
    return isinstance(before, tuple) and isinstance(now, tuple) and sorted(before) == sorted(now)


def _words(value: object) -> str:
    return (" ".join(map(str, value)) or "none") if isinstance(value, tuple) else repr(value)
