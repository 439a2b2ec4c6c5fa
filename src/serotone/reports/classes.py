"""Tables of classes and speakers, confusion matrices, calibration and the most confident mistakes."""

from collections.abc import Iterable
from itertools import islice

import numpy as np

from serotone.reports.analysis import METRICS, Analysis, Result
from serotone.reports.cells import NOT_RUN, Cell, Table, number, percent, share_of, text
from serotone.reports.collect import Row
from serotone.reports.tables import by_row

SHOWN_MISTAKES = 10


def recalls(analysis: Analysis) -> Table:
    """Recall per class, ours and published."""
    labels = labels_of(analysis.results.values())
    lines = []
    for row in analysis.collection.rows:
        of, told = analysis.of(row), row.published
        values = dict(zip(of.labels, of.recall, strict=True)) if of else {}
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


def neutral(analysis: Analysis) -> Table | None:
    """How much of the other emotions was called neutral; None where no row knows neutral."""
    results = [of for of in analysis.results.values() if "neutral" in of.labels]
    labels = [label for label in labels_of(results) if label != "neutral"]
    lines = []
    for of in results:
        counts = {label: (line[of.labels.index("neutral")], line.sum()) for label, line in zip(of.labels, of.confusion)}
        del counts["neutral"]
        called = {label: called / every for label, (called, every) in counts.items() if every}
        together, every = np.sum(list(counts.values()), axis=0) if counts else (0, 0)
        cells = (percent(called.get(label), "called neutral", missing="absent") for label in labels)
        lines.append((text(of.row.label), percent(together / every if every else None, "called neutral"), *cells))
    columns = ("row", "all other emotions", *labels)
    return Table("neutral", "Other emotions called neutral", columns, tuple(lines), shaded=True) if lines else None


def labels_of(results: Iterable[Result]) -> tuple[str, ...]:
    """Every label of the results, in the order of the first that has it."""
    return tuple(dict.fromkeys(label for of in results for label in of.labels))


def speakers(analysis: Analysis) -> list[Table]:
    """UA and WA of every speaker, speakers down and rows across."""
    results = [of for of in analysis.results.values() if of.speakers_known]
    # An utterance counts once, however many runs and rows tested it.
    heard = {pair for of in results for pair in zip(of.answers.utterance.tolist(), of.answers.speaker.tolist())}
    names = sorted({speaker for _, speaker in heard})
    if not names:
        return []
    counts = {name: sum(speaker == name for _, speaker in heard) for name in names}
    columns = ("speaker", "utterances", *(of.row.label for of in results))
    tables = []
    for metric in METRICS:
        scores = [of.scores[metric].speakers for of in results]
        lines = tuple(
            (
                text(name),
                number(counts[name], "utterances", "utterances"),
                *(percent(of.get(name), metric.upper(), missing=NOT_RUN) for of in scores),
            )
            for name in names
        )
        tables.append(Table(f"speakers-{metric}", f"{metric.upper()} per speaker", columns, lines, shaded=True))
    return tables


def confusion(of: Result | None) -> Table | None:
    """A row's confusion matrix: counts, and percent of each line; None where it was not run."""
    if of is None:
        return None
    lines = []
    for label, counts in zip(of.labels, of.confusion.tolist(), strict=True):
        total = sum(counts)
        cells = []
        for count in counts:
            share = 100 * count / total if total else None
            shown = "0" if share is None else f"{count} ({share:.1f} %)"
            numbers = [] if share is None else [("row percent", share, "percent")]
            cells.append(Cell(shown, (("count", float(count), "answers"), *numbers)))
        lines.append((text(label), *cells, number(total, "count", "answers")))
    columns = ("true", *(f"called {label}" for label in of.labels), "all")
    return Table(f"confusion-{of.row.name}", f"Confusion matrix: {of.row.label}", columns, tuple(lines))


def published_confusion(row: Row) -> Table | None:
    """The published matrix in percent; None where there is none."""
    told = row.published.confusion
    if told is None:
        return None
    lines = tuple(
        (text(label), *(percent(share_of(one), "row percent published", missing="not stated") for one in line))
        for label, line in zip(told.labels, told.percent, strict=True)
    )
    columns = ("true", *(f"called {label}" for label in told.labels))
    return Table(f"confusion-published-{row.name}", f"Published confusion matrix: {row.label}", columns, lines)


@by_row("calibration", "ECE and Brier score", "ECE", "Brier score, 0 to 2", "mean confidence", "accuracy")
def calibration(of: Result) -> tuple[Cell, ...]:
    """How far confidence can be believed."""
    return (
        percent(of.ece, "ECE"),
        number(of.brier, "Brier", "squared probability", decimals=3),
        percent(float(of.probabilities.max(axis=1).mean()), "mean confidence"),
        percent(float((of.answers.truth == of.answers.prediction).mean()), "accuracy"),
    )


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
    several = len(set(answers.run.tolist())) > 1
    columns = ("file", "utterance", "true", "called", "confidence", "probability of the true emotion")
    lines = []
    for name, n in islice(surest.items(), SHOWN_MISTAKES):
        truth, called = (of.labels[label] for label in (answers.truth[n], answers.prediction[n]))
        shares = (percent(confidence[n], columns[4]), percent(chances[n, answers.truth[n]], columns[5]))
        same = answers.utterance == name
        times = [text(f"{(same & wrong).sum()} of {same.sum()} runs")] if several else []
        lines.append((text(files[name] or "not known"), text(name), text(truth), text(called), *shares, *times))
    title = f"Most confident mistakes: {of.row.label}"
    return Table(f"mistakes-{of.row.name}", title, (*columns, "wrong in") if several else columns, tuple(lines))
