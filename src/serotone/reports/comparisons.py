"""Tables of rows against each other: differences with their tests, by speaker, by utterance and by class."""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from serotone import metrics
from serotone.reports.analysis import METRICS, Analysis, Paired, restricted
from serotone.reports.cells import NOTHING, Cell, Table, interval, number, probability, signed, text
from serotone.reports.classes import labels_of
from serotone.statistics import Comparison, Metric

TESTED = ("difference, a − b", "pooled", "p", "smallest p possible", "p after Holm", "effect size d_z", "speakers")
COUNTED = ("utterances", "only a right", "only b right", "p")


def comparisons(analysis: Analysis) -> list[Table]:
    """Paired differences in UA and in WA with their tests, then McNemar's test."""
    tested = [
        _table(analysis, f"comparisons-{metric}", f"Differences in {metric.upper()}", TESTED, partial(_tested, metric))
        for metric in METRICS
    ]
    title = "McNemar's test on utterances"
    return [*tested, _table(analysis, "comparisons-utterances", title, COUNTED, _counted)]


def _table(
    analysis: Analysis, key: str, title: str, columns: tuple[str, ...], cells: Callable[[Paired], Iterable[Cell]]
) -> Table:
    """A line for each comparison; the remark alone where it could not be made."""
    none = (text(None),) * len(columns)
    lines = (
        (_question(paired), *(cells(paired) if paired.comparisons else (*none, text(paired.remark))))
        for paired in analysis.pairs
    )
    return Table(key, title, ("question", *columns, "remark"), tuple(lines))


def _question(paired: Paired) -> Cell:
    """The question with both rows by their labels."""
    return text(f"{paired.question} (a: {paired.a.label}; b: {paired.b.label})".strip())


def _tested(metric: Metric, paired: Paired) -> Iterable[Cell]:
    of, name = paired.comparisons[metric], metric.upper()
    missing = of.remark or NOTHING
    yield interval(of.difference, f"{name} difference", points=True, missing=missing)
    yield Cell(signed(100 * of.pooled), ((f"{name} pooled difference", 100 * of.pooled, "points"),))
    yield probability(of.p, f"{name} p", missing=missing)
    yield probability(of.smallest_p, f"{name} smallest p")
    yield probability(paired.holm[metric], f"{name} p after Holm", missing=missing)
    yield _effect(of, name)
    yield number(of.speakers, "speakers", "speakers")
    sampled = "" if of.p is None or of.exact else "p by sampled permutations"
    shown = [round(100 * of.pooled, 1), 0.0 if of.difference is None else round(100 * of.difference.estimate, 1)]
    against = "the pooled scores differ the other way" if min(shown) < 0 < max(shown) else ""
    yield text("; ".join(part for part in (of.remark, sampled, against, *_extent(paired)) if part))


def _counted(paired: Paired) -> Iterable[Cell]:
    of = paired.comparisons["wa"].mcnemar
    yield number(len({utterance for *_, utterance in paired.common}), "utterances", "utterances")
    yield number(of.only_a, "only a right", "utterances")
    yield number(of.only_b, "only b right", "utterances")
    yield probability(of.p, "McNemar p")
    yield text("; ".join(_extent(paired)))


def _extent(paired: Paired) -> Iterable[str]:
    """Over which seeds a comparison is, where there are several, and which answers it leaves out."""
    if paired.a.several_seeds:
        seeds = sorted({seed for seed, *_ in paired.common})
        yield f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    if paired.left_out:
        yield f"left out: {paired.left_out} answers that only one row has"
    if paired.other_parts:
        yield f"left out: {paired.other_parts} answers of folds whose parts differ between the rows"


def _effect(of: Comparison, name: str) -> Cell:
    if of.effect is None or of.effect_interval is None or of.remark:  # of two or three speakers it can take any size
        return text("too few speakers" if of.remark else None)
    effect, low, high = of.effect, *of.effect_interval
    numbers = ((f"{name} d_z", effect, "SD"), (f"{name} d_z low", low, "SD"), (f"{name} d_z high", high, "SD"))
    return Cell(f"{signed(effect, 2)} [{signed(low, 2)}, {signed(high, 2)}]", numbers)


def recall_differences(analysis: Analysis) -> Table:
    """Recall of a minus that of b in every comparison that could be made."""
    compared = [paired for paired in analysis.pairs if paired.comparisons]
    labels = labels_of(analysis.results[paired.a.name] for paired in compared)
    lines = []
    for paired in compared:
        sides = [restricted(analysis.results[row.name], paired.common) for row in (paired.a, paired.b)]
        own = analysis.results[paired.a.name].labels
        recalls = [metrics.recall_per_class(of.truth, of.prediction, labels=range(len(own))) for of in sides]
        both = dict(zip(own, zip(*recalls, strict=True), strict=True))
        lines.append((_question(paired), *(_difference(*both.get(label, (np.nan, np.nan))) for label in labels)))
    title, columns = "Differences in recall, a − b", ("question", *labels)
    return Table("recall-differences", title, columns, tuple(lines))


def _difference(a: float, b: float) -> Cell:
    if np.isnan(a) or np.isnan(b):
        return Cell("absent")
    points = float(100 * (a - b))
    number = ("recall difference", points, "points")
    if not b:
        return Cell(f"{signed(points)} (b: 0)", (number,))
    relative = float(100 * (a / b - 1))
    numbers = (number, ("recall difference, relative", relative, "percent"))
    return Cell(f"{signed(points)} ({signed(relative, 0)} %)", numbers)
