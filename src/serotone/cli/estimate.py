"""``serotone study --estimate``: hours, before they are spent."""

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import typer

from serotone.cli.messages import Progress, remark
from serotone.corpora import Utterance
from serotone.experiments.estimate import estimate, hours
from serotone.experiments.planning import check_folds
from serotone.experiments.study import lay_out, units_of
from serotone.experiments.units import Materials
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
    """Time a few steps of each row and print what its unfinished units will take on this machine."""
    with tempfile.TemporaryDirectory() as nowhere:
        runs, failures = lay_out(study, utterances, out or Path(nowhere), rows=rows)
    for failure in failures:
        remark(f"cannot run: {failure['row']}: {failure['error']}")
    if not runs:
        raise typer.Exit(1)
    check_folds(folds, [split for run in runs for split in run.splits])
    units = [unit for unit in units_of(study, runs, utterances) if folds is None or unit.split.fold in folds]
    waiting = [unit for unit in units if not unit.finished]
    first = {unit.row: unit for unit in reversed(waiting)}
    materials = Materials(utterances, remark)
    progress = Progress(len(first), "rows timed")
    estimates = {}
    for row, unit in first.items():
        estimates[row] = estimate(unit, materials)
        progress.step()
    progress.clear()
    width = max(len(row) for row in ("row", *first)) + 2
    typer.echo(f"{'row':<{width}}units left   s/step    steps   min/unit      hours")
    for row in dict.fromkeys(unit.row for unit in waiting):
        cost, mine = estimates[row], [unit for unit in waiting if unit.row == row]
        at_most = "at most" if cost.at_most else ""
        typer.echo(
            f"{row:<{width}}{len(mine):>10} {cost.seconds_per_step:>8.3f} {cost.steps:>8} {cost.seconds / 60:>10.1f}"
            f" {hours(estimates, mine):>10.2f}  {at_most}".rstrip()
        )
    total = hours(estimates, waiting, jobs=jobs)
    typer.echo(
        f"\n{total:.1f} hours for {len(waiting)} units with {jobs} at a time, {len(units) - len(waiting)} finished"
        " before; timed on this machine under its present load"
    )
    if failures:
        raise typer.Exit(1)
