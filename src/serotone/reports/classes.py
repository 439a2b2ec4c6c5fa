"""Tables of classes and speakers, confusion matrices, calibration and the most confident mistakes."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

import numpy as np

from serotone import metrics
from serotone.reports.analysis import METRICS, Analysis, Result
from serotone.reports.cells import NOT_RUN, Cell, Table, number, percent, share_of, text
from serotone.reports.collect import Row
from serotone.reports.tables import by_row
from serotone.statistics import brier, speaker_scores
from serotone.studies.schema import Confusion

SHOWN_MISTAKES = 10


def recalls(analysis: Analysis) -> Table:
    """Recall per class, ours and published."""
    labels = labels_of(analysis.results.values())
    lines = []
    for row in analysis.collection.rows:
        of, told = analysis.results.get(row.name), row.published
        values = dict(zip(of.labels, metrics.recall_per_class_from_confusion(of.confusion), strict=True)) if of else {}
        missing = "absent" if of else NOT_RUN
        lines.append((text(row.label), *(percent(values.get(label), "recall", missing=missing) for label in labels)))
        matrix = told.confusion
        theirs = {label: matrix.percent[n][n] for n, label in enumerate(matrix.labels)} if matrix else {}
        theirs |= told.recall
        if theirs:
            shares = (share_of(theirs.get(label)) for label in labels)
            cells = (percent(share, "recall published", missing="not stated") for share in shares)
            lines.append((text(f"{row.label}, published"), *cells))
    return Table("recall", "Recall per class", ("row", *labels), tuple(lines), shaded=True)


def neutral(analysis: Analysis) -> Table:
    """How much of the other emotions was called neutral, by the rows that know neutral."""
    results = [of for of in analysis.results.values() if "neutral" in of.labels]
    labels = [label for label in labels_of(results) if label != "neutral"]
    lines = []
    for of in results:
        others = [n for n, label in enumerate(of.labels) if label != "neutral"]
        called, every = of.confusion[others, of.labels.index("neutral")], of.confusion[others].sum(axis=1)
        shares = {of.labels[n]: one / total for n, one, total in zip(others, called, every, strict=True) if total}
        cells = (percent(shares.get(label), "called neutral", missing="absent") for label in labels)
        together = called.sum() / every.sum() if every.any() else None
        lines.append((text(of.row.label), percent(together, "called neutral"), *cells))
    columns = ("row", "all other emotions", *labels)
    return Table("neutral", "Other emotions called neutral", columns, tuple(lines), shaded=True)


def labels_of(results: Iterable[Result]) -> tuple[str, ...]:
    """Every label of the results, in the order of the first that has it."""
    return tuple(dict.fromkeys(label for of in results for label in of.labels))


def speakers(analysis: Analysis) -> list[Table]:
    """UA and WA of every speaker, speakers down and rows across."""
    results = [of for of in analysis.results.values() if of.speakers_known]
    # An utterance counts once, however many runs and rows tested it.
    heard = {pair for of in results for pair in zip(of.answers.utterance.tolist(), of.answers.speaker.tolist())}
    counts = Counter(speaker for _, speaker in heard)
    columns = ("speaker", "utterances", *(of.row.label for of in results))
    tables = []
    for metric in METRICS:
        scores = [speaker_scores(of.answers, metric) for of in results]
        lines = tuple(
            (
                text(name),
                number(counts[name], "utterances", "utterances"),
                *(percent(of.get(name), metric.upper(), missing=NOT_RUN) for of in scores),
            )
            for name in sorted(counts)
        )
        tables.append(Table(f"speakers-{metric}", f"{metric.upper()} per speaker", columns, lines, shaded=True))
    return tables


def confusions(analysis: Analysis) -> Iterable[Table]:
    """Of every row the confusion matrix and the published one, where they are known."""
    for row in analysis.collection.rows:
        if of := analysis.results.get(row.name):
            yield _confusion(of)
        if matrix := row.published.confusion:
            yield _published_confusion(row, matrix)


def _confusion(of: Result) -> Table:
    """A row's confusion matrix: counts, and percent of each line."""
    lines = []
    for label, counts in zip(of.labels, of.confusion.tolist(), strict=True):
        total, cells = sum(counts), []
        for count in counts:
            share = percent(count / total if total else None, "row percent")
            shown = f"{count} ({share.text})" if total else "0"
            cells.append(Cell(shown, (("count", float(count), "answers"), *share.numbers)))
        lines.append((text(label), *cells, number(total, "count", "answers")))
    columns = ("true", *(f"predicted {label}" for label in of.labels), "all")
    return Table(f"confusion-{of.row.name}", f"Confusion matrix: {of.row.label}", columns, tuple(lines))


def _published_confusion(row: Row, matrix: Confusion) -> Table:
    """The published matrix in percent."""
    lines = tuple(
        (text(label), *(percent(share_of(one), "row percent published", missing="not stated") for one in line))
        for label, line in zip(matrix.labels, matrix.percent, strict=True)
    )
    columns = ("true", *(f"predicted {label}" for label in matrix.labels))
    return Table(f"confusion-published-{row.name}", f"Published confusion matrix: {row.label}", columns, lines)


@by_row("calibration", "ECE and Brier score", "ECE", "Brier score, 0 to 2", "mean confidence", "accuracy")
def calibration(of: Result) -> Iterable[Cell]:
    """How far confidence can be believed."""
    truth, labels = of.answers.truth, range(len(of.labels))
    yield percent(metrics.expected_calibration_error(of.probabilities, truth, labels=labels), "ECE")
    yield number(brier(of.probabilities, truth), "Brier", "squared probability", shown="{:.3f}")
    yield percent(float(of.probabilities.max(axis=1).mean()), "mean confidence")
    yield percent(metrics.weighted_accuracy_from_confusion(of.confusion), "accuracy")


def mistakes(of: Result) -> Table:
    """The most confident mistakes of a row, with their files; of an utterance that several runs tested, the surest."""
    answers, chances = of.answers, of.probabilities
    confidence = chances[np.arange(len(chances)), answers.prediction]
    wrong = answers.truth != answers.prediction
    surest: dict[str, int] = {}
    order = sorted(np.flatnonzero(wrong).tolist(), key=lambda n: (-confidence[n], answers.utterance[n], answers.run[n]))
    for n in order:
        surest.setdefault(str(answers.utterance[n]), n)
    files = {name: heard.file for run in of.row.runs for name, heard in run.utterances.items()}
    several = len(np.unique(answers.run)) > 1
    columns = ("file", "utterance", "true", "predicted", "confidence", "probability of the true emotion")
    lines = []
    for name, n in islice(surest.items(), SHOWN_MISTAKES):
        truth, called = answers.truth[n], answers.prediction[n]
        words = map(text, (files[name] or "not known", name, of.labels[truth], of.labels[called]))
        shares = percent(confidence[n], columns[4]), percent(chances[n, truth], columns[5])
        same = answers.utterance == name
        times = [text(f"{(same & wrong).sum()} of {same.sum()} runs")] if several else []
        lines.append((*words, *shares, *times))
    title = f"Most confident mistakes: {of.row.label}"
    return Table(f"mistakes-{of.row.name}", title, (*columns, "wrong in") if several else columns, tuple(lines))
