"""``serotone study``: the rows of a published table, or of one's own, over folds and seeds."""

import sys
import time
from collections.abc import Collection, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from serotone.cli.formats import Format
from serotone.cli.messages import remark
from serotone.cli.output import check_out_folder
from serotone.cli.streams import as_json, ends_in_order
from serotone.cli.training import (
    AddressOption,
    CorporaOption,
    CorpusOption,
    ExecutorOption,
    FoldsOption,
    GpusOption,
    JobsOption,
    LogOption,
    SetOption,
    ThreadsOption,
    changed,
    check_changes,
    numbers_of,
    place_of,
    ray_options,
    remark_idle,
    require_documents,
    require_train,
    set_threads,
    shipped,
)
from serotone.cli.usage import blaming, check_ray, completing, finite, utterances_of
from serotone.errors import RecipeError, RunError
from serotone.names import count_of, guess

if TYPE_CHECKING:
    from serotone.experiments.running import Outcome, Run
    from serotone.experiments.units import Unit
    from serotone.studies import Row, Study


StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A shipped study (serotone study list) or a .yaml file.",
        autocompletion=completing(lambda: shipped("studies")),
    ),
]


class _Group(TyperGroup):
    """Sub-commands, of which ``run`` need not be typed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the name of a study for ``run`` and that name; a misspelt sub-command is no study."""
        if args and args[0] not in (*self.commands, "--help"):
            if args[0].isalpha() and (near := guess(args[0], self.commands)):
                ctx.fail(f"No study and no sub-command {args[0]!r}{near}.")
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The sub-commands, and the studies, whose names may stand in their place."""
        (study,) = (parameter for parameter in self.commands["run"].params if parameter.name == "name")
        return [*super().shell_complete(ctx, incomplete), *study.shell_complete(ctx, incomplete)]


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    help="Run a study: the recipes of a published table over folds and seeds. `serotone study STUDY ...` runs one.",
    rich_markup_mode=None,
)


@app.command()
def run(
    name: StudyArgument,
    corpus: CorpusOption = None,  # type: ignore[assignment]
    out: Annotated[Path | None, typer.Option(help="The study's folder. Finished trainings in it are skipped.")] = None,
    changes: SetOption = None,
    rows: Annotated[str | None, typer.Option(help="Only these rows, such as crnn-mel,crnn-center-mel.")] = None,
    folds: FoldsOption = None,
    seeds: Annotated[str | None, typer.Option(help="Use these seeds instead of the study's, such as 0,1,2.")] = None,
    repetitions: Annotated[
        int | None,
        typer.Option(min=1, help="How often to repeat the protocol with new folds, instead of the study's number."),
    ] = None,
    executor: ExecutorOption = "local",
    jobs: JobsOption = None,
    threads: ThreadsOption = 1,
    gpus: GpusOption = 0,
    address: AddressOption = None,
    corpora: CorporaOption = "store",
    log: LogOption = None,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate", help="Time a few steps of each row, print the hours that the study needs, and exit."
        ),
    ] = False,
    max_hours: Annotated[
        float | None, typer.Option(min=0, callback=finite, help="Start no more trainings after this many hours.")
    ] = None,
) -> None:
    """Run a study's recipes over folds and seeds. `serotone report` then makes the report."""
    require_train("running a study")
    from serotone.studies import load_study

    check_changes(changes or ())
    chosen_rows = None if rows is None else [row.strip() for row in rows.split(",")]
    chosen_seeds = _seeds_of(seeds)

    def checked(changes: Sequence[str]) -> "Study":
        study = load_study(name, changes, seeds=chosen_seeds, repetitions=repetitions)
        with blaming("--rows"):
            study.check_rows(chosen_rows or ())
        _check_some_row(study, chosen_rows)
        return study

    wanted = changed(checked, changes or ())
    if not corpus:
        raise typer.BadParameter(
            f"none; give NAME=ROOT, such as: serotone study {name} --corpus emodb=/data/emodb", param_hint="--corpus"
        )
    if out is None and not estimate:
        raise typer.BadParameter("none; give a folder for the results", param_hint="--out")
    chosen_folds = numbers_of(folds)
    check_ray(executor, ray_options(gpus, address, corpora))
    if out is not None:
        check_out_folder(out)
    utterances = utterances_of(corpus)
    if estimate:
        from serotone.cli.estimate import print_estimate

        set_threads(threads)
        print_estimate(wanted, utterances, out, rows=chosen_rows, folds=chosen_folds, jobs=jobs or 1)
        return
    assert out is not None
    from serotone.cli.progress import StudyProgress
    from serotone.experiments.study import run_study  # torch: seconds, in which a mistake is not to wait

    begun = time.monotonic()

    def planned(runs: Sequence["Run"], units: Sequence["Unit"]) -> None:
        remark_idle(changes or (), [run.recipe for run in runs])
        progress.plan(runs, units)

    def more() -> bool:
        return max_hours is None or time.monotonic() - begun < max_hours * 3600

    with ends_in_order(), StudyProgress(jobs=jobs) as progress:
        outcome = run_study(
            wanted,
            utterances,
            out,
            place=place_of(executor, jobs, threads, gpus, address, corpora),
            rows=chosen_rows,
            folds=chosen_folds,
            log=log or (),
            more=more,
            tell=remark,
            on_plan=planned,
            on_event=progress.event,
        )
    typer.echo(summary(progress.runs, outcome))
    if outcome.before + outcome.finished:
        typer.echo(f"\nserotone report {out} writes tables, figures and report.html")
    if outcome.failures:
        for failure in outcome.failures:
            remark(f"failed: {failure['row']}, seed {failure['seed']}{_fold(failure)}: {failure['error']}")
        raise typer.Exit(1)


def _seeds_of(text: str | None) -> list[int] | None:
    """The seeds in ``0,1``; None where nothing is said.

    Raises typer.BadParameter (exit status 2): they are no numbers, one is below 0, or one is there twice.
    """
    seeds = numbers_of(text, "--seeds")
    if seeds is not None and (min(seeds) < 0 or len(set(seeds)) < len(seeds)):
        raise typer.BadParameter(
            f"{text!r}: expected different whole numbers of at least 0, such as 0,1", param_hint="--seeds"
        )
    return seeds


def _fold(failure: dict[str, object]) -> str:
    return f", fold {failure['repetition']}-{failure['fold']}" if "fold" in failure else ""


@app.command("list")
def list_studies(
    format: Annotated[Format, typer.Option("--format", help="How to print the list.")] = Format.table,
) -> None:
    """List the studies that ship with serotone."""
    require_documents("reading studies")
    from serotone.studies import load_study, shipped_studies

    studies = {name: load_study(name) for name in shipped_studies()}
    if format is Format.json:
        about = [
            {
                "name": name,
                "title": entry.title,
                "description": entry.description,
                "source": entry.source,
                "published_on": entry.published_on,
                "rows": {row.name: row.recipe for row in entry.table},
            }
            for name, entry in studies.items()
        ]
        typer.echo(as_json({"schema": 1, "studies": about}, sys.stdout, indent=2))
        return
    width = max(map(len, studies)) + 2
    for name, entry in studies.items():
        typer.echo(f"{name:<{width}}{count_of(len(entry.table), 'row'):>8}  {entry.title}")


@app.command()
def show(name: StudyArgument, changes: SetOption = None) -> None:
    """Show what a study compares: its rows, the published figures, its questions and notes."""
    require_documents("reading studies")
    check_changes(changes or ())
    wanted = changed(lambda changes: _checked(name, changes), changes or ())
    facts = {
        "source": wanted.source,
        "published": "; ".join(part for part in (wanted.published_on, wanted.published_protocol) if part),
        "classes": ", ".join(wanted.published_classes),
        "seeds": ", ".join(map(str, wanted.seeds)),
        "repetitions": str(wanted.repetitions),
        "set": ", ".join(wanted.set_),
    }
    typer.echo(f"{wanted.title}\n{wanted.description}\n")
    for key, value in facts.items():
        if value:
            typer.echo(f"{key:<12} {value}")
    lines = [("row", "WA", "UA", "recipe")]
    for row in wanted.table:
        figures = (None, None) if row.published is None else (row.published.wa, row.published.ua)
        wa, ua = ("-" if percent is None else f"{percent:g}" for percent in figures)
        lines.append((row.name, wa, ua, " ".join((row.recipe, *row.set_))))
    width = max(len(line[0]) for line in lines) + 2
    typer.echo("\nrows, with the published WA and UA in percent:")
    for first, wa, ua, recipe in lines:
        typer.echo(f"  {first:<{width}}{wa:>6}{ua:>7}  {recipe}")
    for title, entries in (("questions:", [pair.question for pair in wanted.compare]), ("notes:", wanted.notes)):
        if entries:
            typer.echo("\n" + "\n".join((title, *(f"  {entry}" for entry in entries))))


def _check_some_row(study: "Study", rows: Collection[str] | None) -> None:
    """Make sure that a study has a row to run; those that cannot be are otherwise reported, and the others run.

    Raises:
        RunError: The recipe of every row is not valid.
    """
    asked = [row for row in study.table if rows is None or row.name in rows]
    errors = list(takewhile(bool, (_mistake(study, row) for row in asked)))
    if len(errors) == len(asked):
        others = f"; nor can {count_of(len(errors) - 1, 'other row')} be run" if errors[1:] else ""
        raise RunError(f"{errors[0]}{others}")


def _checked(name: str, changes: Sequence[str]) -> "Study":
    """A study whose rows' recipes are valid with these changes.

    Raises:
        RunError: The study is missing or not valid, or the recipe of a row is.
    """
    from serotone.studies import load_study

    study = load_study(name, changes)
    for row in study.table:
        if mistake := _mistake(study, row):
            raise RunError(f"{name}, {mistake}")
    return study


def _mistake(study: "Study", row: "Row") -> str:
    """What is wrong with the recipe of a row, which is named; nothing where it is valid."""
    from serotone.recipes import load

    try:
        load(row.recipe, [*study.set_, *row.set_])
    except RecipeError as error:
        return f"row {row.name}: {error}"
    return ""


_CELL = len("100.0% (100.0%)")


def summary(runs: Sequence["Run"], outcome: "Outcome") -> str:
    """The scores so far as lines of text, and what is left."""
    from serotone.runs.reading import read_summary

    width = max(map(len, ["row", *(run.row for run in runs)])) + 2
    lines = [f"{'row':<{width}}seed  folds  {'WA (SD)':>{_CELL}}  {'UA (SD)':>{_CELL}}"]
    for run in runs:
        scores = read_summary(run.folder)
        done = f"{scores['folds_finished']}/{scores['folds_planned']}"
        cells = [_cell(scores, key) for key in ("wa", "ua")]
        lines.append(f"{run.row:<{width}}{run.recipe.seed:>4}  {done:>5}  {cells[0]}  {cells[1]}".rstrip())
    counts = [f"{count_of(outcome.finished, 'unit')} finished now", f"{outcome.before} before"]
    if outcome.left:
        counts.append(f"{outcome.left} left: run the same command again to continue")
    if outcome.failures:
        counts.append(f"{len(outcome.failures)} failed")
    return "\n".join([*lines, "", ", ".join(counts)])


def _cell(scores: dict[str, object], key: str) -> str:
    mean, deviation = scores.get(f"{key}_mean_of_folds"), scores.get(f"{key}_sd_of_folds")
    if not isinstance(mean, float):
        return f"{'not run':>{_CELL}}"
    spread = f" ({deviation:5.1%})" if isinstance(deviation, float) else ""
    return f"{mean:6.1%}{spread}".ljust(_CELL)
