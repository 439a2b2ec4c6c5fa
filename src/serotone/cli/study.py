"""``serotone study``: the rows of a published table, or of one's own, over folds and seeds."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serotone.cli.messages import remark
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
    numbers_of,
    place_of,
    require_documents,
    require_train,
    set_threads,
)
from serotone.errors import RunError

if TYPE_CHECKING:
    from serotone.experiments.running import Outcome, Run


def study(
    name: Annotated[
        str, typer.Argument(metavar="STUDY", help="A shipped study (serotone study list) or a .yaml file.")
    ],
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
        float | None, typer.Option(min=0, help="Start no more trainings after this many hours.")
    ] = None,
) -> None:
    """Run a study's recipes over folds and seeds. `serotone report` then makes the report."""
    if name == "list":
        _list()
        return
    require_train("studies")
    if not corpus:
        raise RunError(f"no corpus; give --corpus NAME=ROOT, such as: serotone study {name} --corpus emodb=/data/emodb")
    if out is None and not estimate:
        raise RunError("no folder; give --out DIR for the results")
    from serotone.corpora import parse_corpora
    from serotone.experiments.study import run_study
    from serotone.studies import load_study

    wanted = load_study(name, changes or (), seeds=numbers_of(seeds, "--seeds"), repetitions=repetitions)
    utterances = parse_corpora(corpus)
    chosen_rows = None if rows is None else [row.strip() for row in rows.split(",")]
    chosen_folds = numbers_of(folds)
    if estimate:
        from serotone.cli.estimate import print_estimate

        set_threads(threads)
        print_estimate(wanted, utterances, out, rows=chosen_rows, folds=chosen_folds, jobs=jobs or 1)
        return
    assert out is not None
    from serotone.cli.progress import StudyProgress

    begun = time.monotonic()

    def more() -> bool:
        return max_hours is None or time.monotonic() - begun < max_hours * 3600

    with StudyProgress(jobs=jobs) as progress:
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
            on_plan=progress.plan,
            on_event=progress.event,
        )
    typer.echo(summary(progress.runs, outcome))
    typer.echo(f"\nserotone report {out} writes tables, figures and report.html")
    if outcome.failures:
        for failure in outcome.failures:
            remark(f"failed: {failure['row']}, seed {failure['seed']}{_fold(failure)}: {failure['error']}")
        raise typer.Exit(1)


def _fold(failure: dict[str, object]) -> str:
    return f", fold {failure['repetition']}-{failure['fold']}" if "fold" in failure else ""


def _list() -> None:
    require_documents("reading studies")
    from serotone.studies import load_study, shipped_studies

    names = shipped_studies()
    width = max(map(len, names)) + 2
    for shipped in names:
        entry = load_study(shipped)
        rows = f"{len(entry.table)} row{'s' if len(entry.table) > 1 else ''}"
        typer.echo(f"{shipped:<{width}}{rows:>8}  {entry.title}")


def summary(runs: Sequence["Run"], outcome: "Outcome") -> str:
    """The scores so far as lines of text, and what is left."""
    from serotone.runs.reading import read_summary

    width = max(map(len, ["row", *(run.row for run in runs)])) + 2
    lines = [f"{'row':<{width}}seed  folds       WA (SD)       UA (SD)"]
    for run in runs:
        scores = read_summary(run.folder)
        done = f"{scores['folds_finished']}/{scores['folds_planned']}"
        cells = [_cell(scores, key) for key in ("wa", "ua")]
        lines.append(f"{run.row:<{width}}{run.recipe.seed:>4}  {done:>5}  {cells[0]}  {cells[1]}")
    counts = [f"{outcome.finished} units finished now", f"{outcome.before} before"]
    if outcome.left:
        counts.append(f"{outcome.left} left: run the same command again to continue")
    if outcome.failures:
        counts.append(f"{len(outcome.failures)} failed")
    return "\n".join([*lines, "", ", ".join(counts)])


def _cell(scores: dict[str, object], key: str) -> str:
    mean, deviation = scores.get(f"{key}_mean_of_folds"), scores.get(f"{key}_sd_of_folds")
    if not isinstance(mean, float):
        return f"{'not run':>12}"
    spread = f"({deviation:5.1%})" if isinstance(deviation, float) else ""
    return f"{mean:6.1%} {spread:<8}"[:15].ljust(12)
