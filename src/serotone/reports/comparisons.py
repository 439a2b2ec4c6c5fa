"""Tables of rows against each other: differences with their tests, by speaker, by utterance and by class."""

import numpy as np

from serotone import metrics
from serotone.reports.analysis import METRICS, Analysis, Metric, Paired, restricted
from serotone.reports.cells import NOTHING, Cell, Table, interval, number, probability, signed, text
from serotone.reports.classes import labels_of
from serotone.statistics import TOO_FEW_SPEAKERS, Comparison


def comparisons(analysis: Analysis) -> list[Table]:
    """Paired differences in UA and in WA with their tests, then McNemar's test; none where nothing is compared."""
    if not analysis.pairs:
        return []
    tests = ("p", "smallest p possible", "p after Holm", "effect size d_z", "speakers", "remark")
    columns = ("question", "difference, a − b", *tests)
    by_score = [
        Table(
            f"comparisons-{metric}",
            f"Differences in {metric.upper()}",
            columns,
            tuple(_compared(analysis, paired, metric) for paired in analysis.pairs),
        )
        for metric in METRICS
    ]
    lines = tuple(_utterances(analysis, paired) for paired in analysis.pairs)
    counted = ("question", "utterances", "only a right", "only b right", "p", "remark")
    return [*by_score, Table("comparisons-utterances", "McNemar's test on utterances", counted, lines)]


def _question(analysis: Analysis, paired: Paired) -> Cell:
    """The question with both rows by their labels."""
    labels = {row.name: row.label for row in analysis.collection.rows}
    a, b = (labels.get(name, name) for name in (paired.pair.a, paired.pair.b))
    return text(f"{paired.pair.question} (a: {a}; b: {b})".strip())


def _compared(analysis: Analysis, paired: Paired, metric: Metric) -> tuple[Cell, ...]:
    question, name = _question(analysis, paired), metric.upper()
    if paired.comparisons is None or paired.holm is None:
        return (question, *(text(None),) * 6, text(paired.remark))
    of = paired.comparisons[metric]
    missing = TOO_FEW_SPEAKERS if of.remark else NOTHING
    sampled = "" if of.p is None or of.exact else "p by sampled permutations"
    return (
        question,
        interval(of.difference, f"{name} difference", points=True, missing=missing),
        probability(of.p, f"{name} p", missing=missing),
        probability(of.smallest_p, f"{name} smallest p"),
        probability(paired.holm.get(metric), f"{name} p after Holm", missing=missing),
        _effect(of, name),
        number(of.speakers, "speakers", "speakers"),
        text("; ".join(part for part in (of.remark, sampled, *_left_out(paired)) if part)),
    )


def _left_out(paired: Paired) -> list[str]:
    """Which answers a comparison leaves out, and what it cannot know."""
    remarks = []
    if paired.left_out:
        remarks.append(f"left out: {paired.left_out} answers that only one row has")
    if paired.other_parts:
        remarks.append(f"left out: {paired.other_parts} answers of folds whose parts differ between the rows")
    if paired.unrecorded:
        remarks.append(f"the parts behind {paired.unrecorded} answers are not recorded")
    return remarks


def _effect(of: Comparison, name: str) -> Cell:
    if of.effect is None or of.remark:  # with two or three speakers it can take any size
        return text("too few speakers" if of.remark else None)
    shown, numbers = signed(of.effect, 2), [(f"{name} d_z", of.effect, "SD")]
    if of.effect_interval:
        low, high = of.effect_interval
        shown += f" [{signed(low, 2)}, {signed(high, 2)}]"
        numbers += [(f"{name} d_z low", low, "SD"), (f"{name} d_z high", high, "SD")]
    return Cell(shown, tuple(numbers))


def _utterances(analysis: Analysis, paired: Paired) -> tuple[Cell, ...]:
    question = _question(analysis, paired)
    if paired.comparisons is None:
        return (question, *(text(None),) * 4, text(paired.remark))
    of = paired.comparisons["wa"].mcnemar
    return (
        question,
        number(paired.utterances, "utterances", "utterances"),
        number(of.only_a, "only a right", "utterances"),
        number(of.only_b, "only b right", "utterances"),
        probability(of.p, "McNemar p"),
        text("; ".join(_left_out(paired))),
    )


def recall_differences(analysis: Analysis) -> Table | None:
    """Recall of a minus that of b in every comparison that could be made; None where none could."""
    compared = [paired for paired in analysis.pairs if paired.comparisons is not None]
    if not compared:
        return None
    labels = labels_of(analysis.results[paired.pair.a] for paired in compared)
    lines = []
    for paired in compared:
        a, b = (analysis.results[name] for name in (paired.pair.a, paired.pair.b))
        answers = [restricted(side, paired.common) for side in (a, b)]
        recalls = [metrics.recall_per_class(of.truth, of.prediction, labels=range(len(a.labels))) for of in answers]
        both = dict(zip(a.labels, zip(*recalls, strict=True), strict=True))
        cells = (_difference(*both.get(label, (np.nan, np.nan))) for label in labels)
        lines.append((_question(analysis, paired), *cells))
    return Table("recall-differences", "Differences in recall, a − b", ("question", *labels), tuple(lines))


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
