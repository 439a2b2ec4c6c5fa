"""The tables that answer: scores, ours beside the published figures, comparisons; and what was not run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from serotone.reports.analysis import METRICS, Analysis, Metric, Paired, Result, published_of
from serotone.reports.cells import (
    NOT_RUN,
    NOTHING,
    Cell,
    Table,
    bounds,
    interval,
    mean_and_sd,
    number,
    percent,
    probability,
    signed,
    text,
)
from serotone.reports.collect import Collection, Row
from serotone.statistics import TOO_FEW_SPEAKERS, Comparison, simulated_coverage

OVERVIEW = (
    "row",
    "UA, mean ± SD of folds",
    "UA, 95 % interval",
    "WA, mean ± SD of folds",
    "WA, 95 % interval",
    "folds",
)
"""The columns of the table of scores that a terminal has room for."""


def scores(analysis: Analysis) -> Table:
    """WA and UA of every row: the main table."""
    columns = ["row"]
    for metric in ("UA", "WA"):
        columns += [f"{metric}, mean ± SD of folds", f"{metric}, pooled", f"{metric}, 95 % interval"]
    return Table(
        "scores",
        "UA and WA of every row",
        (*columns, "folds", "seeds", "schedule", "precision"),
        tuple(_scores(analysis, row) for row in analysis.collection.rows),
        _methods(tuple(analysis.results.values())),
    )


def _scores(analysis: Analysis, row: Row) -> tuple[Cell, ...]:
    found = analysis.of(row)
    cells = [text(row.label)]
    for metric in METRICS:
        name, score = metric.upper(), found.scores[metric] if found else None
        if score is None:
            cells += [Cell(NOT_RUN)] * 3
            continue
        cells += [
            mean_and_sd(score.mean, score.sd, name),
            percent(score.pooled, f"{name} pooled"),
            bounds(score.interval, f"{name} interval", missing=why_none(found)),
        ]
    schedules = dict.fromkeys(f"{run.recipe['schedule']}, {length_of(run.schedule)}" for run in row.runs)
    precisions = dict.fromkeys(precision_of(run.schedule) for run in row.runs)
    return (*cells, folds_of(row), seeds_of(row), text("; ".join(schedules)), text("; ".join(precisions)))


def why_none(found: Result | None) -> str:
    """Why a row has no interval."""
    if found is None:
        return NOT_RUN
    return "one speaker" if found.speakers_known else "speakers not known"


def _methods(results: Sequence[Result]) -> str:
    methods: dict[str, list[str]] = {}
    for found in results:
        for metric in METRICS:
            score = found.scores[metric].interval
            if score is not None:
                names = methods.setdefault(f"{score.method}, {score.speakers} speakers", [])
                if found.row.label not in names:
                    names.append(found.row.label)
    if not methods:
        return "Intervals: none, the corpus does not say who speaks."
    if len(methods) == 1:
        words = f"Intervals: {next(iter(methods))}."
    else:
        words = "Intervals: " + "; ".join(f"{method} ({', '.join(names)})" for method, names in methods.items()) + "."
    return f"{words} {_held(results)}"


def _held(results: Sequence[Result]) -> str:
    """How often such intervals held the true score in simulation, at the numbers of speakers that occur."""
    intervals = [found.scores["ua"].interval for found in results]
    sizes = {interval.speakers for interval in intervals if interval is not None}
    fewest = simulated_coverage("ua", 0)[2]
    shares = {}
    for size in sorted(size for size in sizes if size >= fewest):
        low, high, simulated = simulated_coverage("ua", size)
        shares[simulated] = f"{100 * low:.1f} to {100 * high:.1f} % at {simulated} speakers"
    held = [f"Of such 95 % intervals of UA, simulated, {'; '.join(shares.values())} held the true score."]
    unknown = [
        f"From fewer than {fewest} speakers, how many hold it was not simulated: take such an interval for a guess."
    ]
    return " ".join((held if shares else []) + (unknown if min(sizes, default=fewest) < fewest else []))


def length_of(schedule: Mapping[str, Any]) -> str:
    """A schedule's length in words."""
    words = f"{schedule['steps']} steps" if schedule.get("steps") else f"{schedule.get('epochs')} epochs"
    return words if schedule.get("patience") is None else f"at most {words}, patience {schedule['patience']}"


def precision_of(schedule: Mapping[str, Any]) -> str:
    """The precision that a schedule trains in."""
    return str(schedule.get("precision", "float32"))


def folds_of(row: Row) -> Cell:
    """``9 of 10``."""
    if not row.folds:
        return Cell(NOT_RUN)
    planned = "?" if row.planned is None else str(row.planned)
    numbers = [("folds finished", float(row.folds), "folds")]
    if row.planned is not None:
        numbers.append(("folds planned", float(row.planned), "folds"))
    return Cell(f"{row.folds} of {planned}", tuple(numbers))


def seeds_of(row: Row) -> Cell:
    """``0, 1 (not run: 2)``."""
    there = ", ".join(str(run.seed) for run in row.runs if run.folds)
    missing = [*(str(run.seed) for run in row.runs if not run.folds), *map(str, row.missing_seeds)]
    if not there:
        return Cell(NOT_RUN)
    return text(f"{there} ({NOT_RUN}: {', '.join(missing)})" if missing else there)


def published(analysis: Analysis) -> Table | None:
    """Ours beside the published figures, and the rows of the literature; None where there are neither."""
    collection = analysis.collection
    rows = [row for row in collection.rows if row.published is not None]
    if not rows and not collection.literature:
        return None
    columns = ["row"]
    for metric in ("UA", "WA"):
        columns += [f"{metric}, published", f"{metric}, ours (mean ± SD of folds)", f"{metric}, ours − published"]
    lines = [(*_beside(analysis, row), text(None)) for row in rows]
    lines += [
        (
            text(quoted.system),
            *(percent(quoted.ua, "UA published"), Cell("quoted"), text(None)),
            *(percent(quoted.wa, "WA published"), Cell("quoted"), text(None)),
            text(quoted.source),
        )
        for quoted in collection.literature
    ]
    where = collection.published_on or "a corpus not named"
    return Table(
        "published",
        "Ours beside the published figures",
        (*columns, "quoted from"),
        tuple(lines),
        f"Published figures are of {where} under: {collection.published_protocol or 'a protocol not named'}. Source:"
        f" {collection.source or 'not named'}. Rows marked as quoted are figures of the literature and were not run"
        " here. A difference between corpora or protocols is no test of either system.",
    )


def _beside(analysis: Analysis, row: Row) -> tuple[Cell, ...]:
    told, found, cells = published_of(row), analysis.of(row), [text(row.label)]
    for metric in METRICS:
        theirs, sd = (told.ua, told.ua_sd) if metric == "ua" else (told.wa, told.wa_sd)
        ours = found.scores[metric] if found else None
        name = metric.upper()
        cells += [
            mean_and_sd(theirs, sd, f"{name} published", missing="not stated"),
            mean_and_sd(ours.mean, ours.sd, f"{name} ours") if ours else Cell(NOT_RUN),
            points(ours.mean - theirs, f"{name} ours - published") if ours and theirs is not None else text(None),
        ]
    return tuple(cells)


def points(difference: float, measure: str) -> Cell:
    """A difference of shares, in points of percent."""
    return Cell(f"{signed(100 * difference)} points", ((measure, 100 * difference, "points"),))


def comparisons(analysis: Analysis) -> list[Table]:
    """Paired differences with their tests, in UA, in WA and by utterances; none where nothing is compared."""
    if not analysis.pairs:
        return []
    questions = [question_of(analysis, paired) for paired in analysis.pairs]
    asked = list(zip(questions, analysis.pairs, strict=True))
    columns = (
        "question",
        "difference, a − b",
        "p",
        "smallest p possible",
        "p after Holm",
        "effect size d_z",
        "speakers",
    )
    note = (
        "The difference is the mean over speakers of a minus b, with its 95 % interval; p is of a permutation test that"
        " flips the signs of speakers. Holm's correction counts the comparisons of this table that could be tested."
    )
    by_score = [
        Table(
            f"comparisons-{metric}",
            f"Differences in {metric.upper()}",
            (*columns, "remark"),
            tuple(_compared(question, paired, metric) for question, paired in asked),
            note,
        )
        for metric in METRICS
    ]
    return [*by_score, _utterances(asked)]


def question_of(analysis: Analysis, paired: Paired) -> str:
    """The question with both rows by their labels."""
    labels = {row.name: row.label for row in analysis.collection.rows}
    a, b = (labels.get(name, name) for name in (paired.pair.a, paired.pair.b))
    return f"{paired.pair.question} (a: {a}; b: {b})".strip()


def _compared(question: str, paired: Paired, metric: Metric) -> tuple[Cell, ...]:
    if paired.comparisons is None or paired.holm is None:
        return (text(question), *(text(None),) * 6, text(paired.remark))
    found, name = paired.comparisons[metric], metric.upper()
    missing = TOO_FEW_SPEAKERS if found.remark else NOTHING
    sampled = "" if found.p is None or found.exact else "p by sampled permutations"
    return (
        text(question),
        interval(found.difference, f"{name} difference", points=True, missing=missing),
        probability(found.p, f"{name} p", missing=missing),
        probability(found.smallest_p, f"{name} smallest p"),
        probability(paired.holm.get(metric), f"{name} p after Holm", missing=missing),
        _effect(found, name),
        number(found.speakers, "speakers", "speakers"),
        text("; ".join(part for part in (found.remark, sampled, *_left_out(paired)) if part)),
    )


def _left_out(paired: Paired) -> list[str]:
    """On how much less than both rows' answers a comparison stands, and how surely."""
    remarks = []
    if paired.left_out:
        remarks.append(f"left out: {paired.left_out} answers that only one row has")
    if paired.other_parts:
        remarks.append(f"left out: {paired.other_parts} answers of folds whose parts differ between the rows")
    if paired.unrecorded:
        remarks.append(f"the parts behind {paired.unrecorded} answers are not recorded")
    return remarks


def _effect(found: Comparison, name: str) -> Cell:
    if found.effect is None or found.remark:  # of two or three speakers it is as large as you like
        return text("too few speakers" if found.remark else None)
    limits = found.effect_interval
    shown = f" [{signed(limits[0], 2)}, {signed(limits[1], 2)}]" if limits else ""
    numbers = [(f"{name} d_z", found.effect, "SD")]
    numbers += [(f"{name} d_z low", limits[0], "SD"), (f"{name} d_z high", limits[1], "SD")] if limits else []
    return Cell(signed(found.effect, 2) + shown, tuple(numbers))


def _utterances(asked: Sequence[tuple[str, Paired]]) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for question, paired in asked:
        if paired.comparisons is None:
            lines.append((text(question), *(text(None),) * 4, text(paired.remark)))
            continue
        found = paired.comparisons["wa"].mcnemar
        lines.append(
            (
                text(question),
                number(paired.utterances, "utterances", "utterances"),
                number(found.only_a, "only a right", "utterances"),
                number(found.only_b, "only b right", "utterances"),
                probability(found.p, "McNemar p"),
                text("; ".join(_left_out(paired))),
            )
        )
    return Table(
        "comparisons-utterances",
        "McNemar's test on utterances",
        ("question", "utterances", "only a right", "only b right", "p", "remark"),
        tuple(lines),
        "The test takes utterances for independent, which those of one speaker are not: it errs towards too small a p,"
        " and is not corrected. It is here because papers print it.",
    )


def literal(title: str, key: str, columns: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> Table:
    """A table of words."""
    return Table(key, title, tuple(columns), tuple(tuple(map(text, row)) for row in rows), note)


def not_run(collection: Collection) -> Table | None:
    """What is missing; None where everything was run."""
    rows = [(row.label, "everything" if not row.folds else "; ".join(row.missing)) for row in collection.rows]
    missing = [row for row in rows if row[1]]
    return literal("Not run", "not-run", ("row", "not run"), missing) if missing else None
