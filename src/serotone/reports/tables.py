"""The table of scores, the tables of sweeps, and the cells that several tables share."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from serotone.recipes import schedules
from serotone.reports.analysis import METRICS, Analysis, Result, SweepCurve
from serotone.reports.cells import NOT_RUN, Cell, Table, interval, mean_and_sd, percent, share_of, text
from serotone.reports.collect import Row
from serotone.runs.records import Run

OVERVIEW = ("row", *(f"{m}, {what}" for m in ("UA", "WA") for what in ("pooled", "95 % interval")), "folds")
"""The columns of the table of scores that a terminal has room for: the interval is of the pooled score."""


Cells: TypeAlias = Callable[[Result], Iterable[Cell]]


def by_row(key: str, title: str, *columns: str) -> Callable[[Cells], Callable[[Analysis], Table]]:
    """Turns a function that gives the cells of a result into a table of all rows, "not run" where there is none."""

    def table(cells: Cells, analysis: Analysis) -> Table:
        each = ((row.label, analysis.results.get(row.name)) for row in analysis.collection.rows)
        lines = ((text(label), *(cells(of) if of else [Cell(NOT_RUN)] * len(columns))) for label, of in each)
        return Table(key, title, ("row", *columns), tuple(lines))

    return lambda cells: partial(table, cells)


@by_row(
    *("scores", "UA and WA of every row"),
    *(f"{m}, {what}" for m in ("UA", "WA") for what in ("mean ± SD of folds", "pooled", "95 % interval")),
    *("folds", "seeds", "schedule", "precision"),
)
def scores(of: Result) -> Iterable[Cell]:
    """WA and UA of every row: the main table."""
    for metric in METRICS:
        score, name = of.scores[metric], metric.upper()
        yield mean_and_sd(score.mean, score.sd, name)
        yield percent(score.pooled, f"{name} pooled")
        yield interval(score.interval, f"{name} interval", alone=True, missing=why_none(of))
    yield folds_of(of.row)
    yield seeds_of(of.row)
    yield text(listed(map(schedule_of, of.row.runs)))
    yield text(listed(map(precision_of, of.row.runs)))


def sweep(analysis: Analysis, curve: SweepCurve) -> Table:
    """A sweep's values with their scores."""
    lines = []
    published = any(getattr(row.published, metric) is not None for _, row in curve.points for metric in METRICS)
    for x, row in curve.points:
        of, cells = analysis.results.get(row.name), [text(row.label if x is None else x)]
        for metric in METRICS:
            score = of.scores[metric].interval if of else None
            cells.append(interval(score, metric.upper(), missing=why_none(of)))
            if published:
                theirs = share_of(getattr(row.published, metric))
                cells.append(percent(theirs, f"{metric.upper()} published", missing="not stated"))
        lines.append((*cells, folds_of(row)))
    kinds = ("95 % interval", *(["published"] if published else []))
    columns = (f"{metric}, {what}" for metric in ("UA", "WA") for what in kinds)
    fixed = f"-{curve.fixed.replace(' ', '-').replace(',', '')}" if curve.fixed else ""
    key, title = f"sweep-{curve.sweep.key}{fixed}", f"Sweep of {curve.title}"
    return Table(key, title, (curve.sweep.key, *columns, "folds"), tuple(lines))


def why_none(of: Result | None) -> str:
    """Why a row has no interval."""
    if of is None:
        return NOT_RUN
    return "one speaker" if of.speakers_known else "speakers not known"


def listed(values: Iterable[object]) -> str:
    """Every different value once, in order."""
    return "; ".join(dict.fromkeys(map(str, values)))


def schedule_of(run: Run) -> str:
    """``budget, 20 steps``: the name of a run's schedule and its length."""
    return f"{run.recipe['schedule']}, {length_of(run)}"


def length_of(run: Run) -> str:
    """The length of a run's schedule in words."""
    return schedules.length_of(run.schedule) if run.trained else "nothing was trained"


def precision_of(run: Run) -> str:
    """The precision in which a run trains."""
    if not run.trained:
        return "the bundle's"
    return schedules.SOLVED_IN if run.schedule.get("solver") else str(run.schedule.get("precision", "float32"))


def folds_of(row: Row) -> Cell:
    """``9 of 10``."""
    if not row.folds:
        return Cell(NOT_RUN)
    numbers = [("folds finished", float(row.folds), "folds")]
    if row.planned is not None:
        numbers.append(("folds planned", float(row.planned), "folds"))
    return Cell(row.done, tuple(numbers))


def seeds_of(row: Row) -> Cell:
    """``0, 1 (not run: 2)``."""
    there = ", ".join(map(str, row.seeds))
    missing = [*(run.seed for run in row.runs if not run.folds), *row.missing_seeds]
    return text(f"{there} ({NOT_RUN}: {', '.join(map(str, missing))})" if missing else there)
