"""``serotone study --estimate``: hours, before they are spent."""

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import typer

from serotone.cli.messages import Progress, remark
from serotone.corpora import Utterance
from serotone.errors import SerotoneError
from serotone.experiments.estimate import Estimate, estimate, hours
from serotone.experiments.planning import check_folds
from serotone.experiments.study import lay_out, units_of
from serotone.experiments.units import Materials
from serotone.names import count_of
from serotone.studies import Study


def print_estimate(
    study: Study,
    utterances: Sequence[Utterance],
    out: Path | None,
    *,
    rows: Collection[str] | None,
    folds: Collection[int] | None,
    jobs: int,
) -> None:
    """Time a few steps of each row and print what its unfinished units will take on this machine.

    Convex rows are listed and not timed.
    """
    with tempfile.TemporaryDirectory() as nowhere:
        runs, failures = lay_out(study, utterances, out or Path(nowhere), rows=rows)
    for failure in failures:
        remark(f"cannot run: {failure['row']}: {failure['error']}")
    if not runs:
        raise typer.Exit(1)
    check_folds(folds, [split for run in runs for split in run.splits])
    units = [unit for unit in units_of(study, runs, utterances) if folds is None or unit.split.fold in folds]
    waiting = [unit for unit in units if not unit.finished]
    timed = [unit for unit in waiting if unit.recipe.convex is None]
    first = {unit.row: unit for unit in reversed(timed)}
    materials = Materials(utterances, remark)
    progress = Progress(len(first), "rows timed")
    estimates: dict[str, Estimate] = {}
    cannot: set[str] = set()
    for row, unit in first.items():
        try:
            estimates[row] = estimate(unit, materials)
        except SerotoneError as error:
            cannot.add(row)
            progress.clear()
            remark(f"cannot run: {row}: {error}")
        progress.step()
    progress.clear()
    waiting, timed = ([unit for unit in these if unit.row not in cannot] for these in (waiting, timed))
    rows_left = list(dict.fromkeys(unit.row for unit in waiting))
    width = max(len(row) for row in ("row", *rows_left)) + 2
    typer.echo(f"{'row':<{width}}units left   s/step    steps   min/unit      hours")
    for row in rows_left:
        mine = [unit for unit in waiting if unit.row == row]
        if row not in estimates:
            typer.echo(f"{row:<{width}}{len(mine):>10} not timed: its head is solved, not trained in steps")
            continue
        cost = estimates[row]
        at_most = "at most" if cost.at_most else ""
        typer.echo(
            f"{row:<{width}}{len(mine):>10} {cost.seconds_per_step:>8.3f} {cost.steps:>8} {cost.seconds / 60:>10.1f}"
            f" {hours(estimates, mine):>10.2f}  {at_most}".rstrip()
        )
    total = hours(estimates, timed, jobs=jobs)
    untimed = len(waiting) - len(timed)
    without = f", without the {untimed} that are not timed" if untimed else ""
    typer.echo(
        f"\n{total:.1f} hours for {count_of(len(timed), 'unit')} with {jobs} at a time{without},"
        f" {len(units) - len(waiting)} finished before; timed on this machine at its current load"
    )
    if failures or cannot:
        raise typer.Exit(1)
