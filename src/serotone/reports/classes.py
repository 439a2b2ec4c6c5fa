"""Tables of classes and speakers, confusion matrices, sweeps and calibration."""

from collections.abc import Iterable

import numpy as np

from serotone.reports.analysis import METRICS, Analysis, Result, SweepCurve, published_of
from serotone.reports.cells import NOT_RUN, Cell, Table, interval, number, percent, text
from serotone.reports.collect import Row
from serotone.reports.tables import folds_of, why_none


def recalls(analysis: Analysis) -> Table:
    """Recall per class, ours and published."""
    labels = labels_of(analysis.results.values())
    lines = []
    for row in analysis.collection.rows:
        found, told = analysis.of(row), published_of(row)
        values = dict(zip(found.labels, found.recall, strict=True)) if found else {}
        missing = "absent" if found else NOT_RUN
        lines.append((text(row.label), *(percent(values.get(label), "recall", missing=missing) for label in labels)))
        theirs = {**dict(zip(told.labels, np.diag(told.confusion), strict=True))} if told.confusion is not None else {}
        theirs |= told.recall
        if theirs:
            cells = (percent(theirs.get(label), "recall published", missing="not stated") for label in labels)
            lines.append((text(f"{row.label}, published"), *cells))
    return Table(
        "recall",
        "Recall per class",
        ("row", *labels),
        tuple(lines),
        "Of the utterances of a class, the share that was called so; all folds and seeds together.",
    )


def neutral(analysis: Analysis) -> Table | None:
    """How much of the other emotions was called neutral; None where no row knows neutral."""
    found = [r for r in analysis.results.values() if r.as_neutral is not None]
    if not found:
        return None
    labels = [label for label in labels_of(found) if label != "neutral"]
    lines = []
    for result in found:
        share = dict(zip(result.labels, result.as_neutral if result.as_neutral is not None else (), strict=True))
        cells = (percent(share.get(label), "called neutral", missing="absent") for label in labels)
        lines.append((text(result.row.label), percent(result.others_as_neutral, "called neutral"), *cells))
    return Table(
        "neutral",
        "Other emotions called neutral",
        ("row", "all other emotions", *labels),
        tuple(lines),
        "Of the utterances of each other emotion, the share that was called neutral.",
    )


def labels_of(results: Iterable[Result]) -> tuple[str, ...]:
    """Every label of the results, in the order of the first that has it."""
    return tuple(dict.fromkeys(label for found in results for label in found.labels))


def speakers(analysis: Analysis) -> list[Table]:
    """UA and WA of every speaker, speakers down and rows across."""
    results = [found for found in analysis.results.values() if found.scores["ua"].speakers]
    names = sorted({speaker for found in results for speaker in found.scores["ua"].speakers})
    if not names:
        return []
    counts: dict[str, int] = {}
    for found in results:  # an utterance once, however many runs and rows tested it
        spoke = dict(zip(found.answers.utterance.tolist(), found.answers.speaker.tolist(), strict=True))
        for speaker in names:
            counts[speaker] = max(counts.get(speaker, 0), sum(who == speaker for who in spoke.values()))
    return [
        Table(
            f"speakers-{metric}",
            f"{metric.upper()} per speaker",
            ("speaker", "utterances", *(found.row.label for found in results)),
            tuple(
                (
                    text(speaker),
                    number(counts[speaker], "utterances", "utterances"),
                    *(
                        percent(found.scores[metric].speakers.get(speaker), metric.upper(), missing=NOT_RUN)
                        for found in results
                    ),
                )
                for speaker in names
            ),
            "UA over the classes that the speaker has; mean over seeds." if metric == "ua" else "Mean over seeds.",
        )
        for metric in METRICS
    ]


def confusion(found: Result) -> Table:
    """A row's confusion matrix: counts, and percent of each line."""
    totals = found.confusion.sum(axis=1)
    lines = []
    for index, label in enumerate(found.labels):
        cells = [
            Cell(
                f"{count} ({100 * count / totals[index]:.1f} %)" if totals[index] else "0",
                (
                    ("count", float(count), "answers"),
                    *([("row percent", 100 * count / totals[index], "percent")] if totals[index] else []),
                ),
            )
            for count in found.confusion[index]
        ]
        lines.append((text(label), *cells, number(int(totals[index]), "count", "answers")))
    return Table(
        f"confusion-{found.row.name}",
        f"Confusion matrix: {found.row.label}",
        ("true", *(f"called {label}" for label in found.labels), "all"),
        tuple(lines),
        "Counts of answers over all folds and seeds, and percent of each line.",
    )


def published_confusion(row: Row) -> Table | None:
    """The published matrix in percent; None where there is none."""
    told = published_of(row)
    if told.confusion is None:
        return None
    return Table(
        f"confusion-published-{row.name}",
        f"Published confusion matrix: {row.label}",
        ("true", *(f"called {label}" for label in told.labels)),
        tuple(
            (text(label), *(percent(value, "row percent published", missing="not stated") for value in line))
            for label, line in zip(told.labels, told.confusion, strict=True)
        ),
        "Percent of each line, as published.",
    )


def sweep(curve: SweepCurve) -> Table:
    """A sweep's values with their scores."""
    fixed = f", {curve.fixed}" if curve.fixed else ""
    lines = []
    for point in curve.points:
        told, found = published_of(point.row), point.result
        cells = [text(point.row.label if point.x is None else point.x)]
        for metric in METRICS:
            score = found.scores[metric].interval if found else None
            cells.append(interval(score, metric.upper(), missing=why_none(found)))
            theirs = told.ua if metric == "ua" else told.wa
            cells.append(percent(theirs, f"{metric.upper()} published", missing="not stated"))
        lines.append((*cells, folds_of(point.row)))
    return Table(
        f"sweep-{curve.sweep.key}{'-' + curve.fixed.replace(' ', '-').replace(',', '') if curve.fixed else ''}",
        f"Sweep of {curve.sweep.key}{fixed}",
        (curve.sweep.key, "UA, 95 % interval", "UA, published", "WA, 95 % interval", "WA, published", "folds"),
        tuple(lines),
        "Intervals as in the table of scores; each is of its own value, none is of a difference between values.",
    )


def calibration(analysis: Analysis) -> Table:
    """How far confidence can be believed."""
    lines: list[tuple[Cell, ...]] = []
    for row in analysis.collection.rows:
        found = analysis.of(row)
        if found is None:
            lines.append((text(row.label), *(Cell(NOT_RUN),) * 4))
            continue
        lines.append(
            (
                text(row.label),
                percent(found.ece, "ECE"),
                number(found.brier, "Brier", "squared probability", decimals=3),
                percent(float(found.probabilities.max(axis=1).mean()), "mean confidence"),
                percent(float((found.answers.truth == found.answers.prediction).mean()), "accuracy"),
            )
        )
    return Table(
        "calibration",
        "ECE and Brier score",
        ("row", "ECE", "Brier score, 0 to 2", "mean confidence", "accuracy"),
        tuple(lines),
        "ECE, the expected calibration error: how far confidence stands from accuracy, averaged over answers, in 15"
        " bins. The Brier score is the squared distance between probabilities and truth, summed over classes: 0 is"
        " perfect. Probabilities are those of the trained system, not calibrated afterwards.",
    )
