"""Ours next to the published figures, and in what the two differ."""

from serotone.emotions import in_order
from serotone.reports.analysis import METRICS, Analysis
from serotone.reports.cells import NOT_RUN, Cell, Table, literal, mean_and_sd, percent, share_of, signed, text
from serotone.reports.collect import NONE, Collection, Row
from serotone.reports.tables import length_of, precision_of
from serotone.runs.reading import Run

READ = "see the protocol"
SPEAKERS_PUBLISHED = {"speakers shared": "yes", "speakers apart": "no"}
"""The clauses of a published protocol that say whether its test speakers are heard in training."""


def published(analysis: Analysis) -> Table | None:
    """Ours next to the published figures, and the rows of the literature; None where there are neither."""
    collection = analysis.collection
    rows = [row for row in collection.rows if row.published != NONE]
    if not rows and not collection.literature:
        return None
    each = ("published", "ours (mean ± SD of folds)", "ours − published")
    columns = ("row", *(f"{metric}, {what}" for metric in ("UA", "WA") for what in each), "quoted from")
    lines = [(*_line(analysis, row), text(None)) for row in rows]
    for quoted in collection.literature:
        scores = ((share_of(quoted.ua), "UA published"), (share_of(quoted.wa), "WA published"))
        cells = (cell for score, name in scores for cell in (percent(score, name), Cell("quoted"), text(None)))
        lines.append((text(quoted.system), *cells, text(quoted.source)))
    return Table("published", "Ours next to the published figures", columns, tuple(lines))


def _line(analysis: Analysis, row: Row) -> list[Cell]:
    of, cells = analysis.of(row), [text(row.label)]
    for metric in METRICS:
        name, ours = metric.upper(), of.scores[metric] if of else None
        theirs, sd = (share_of(getattr(row.published, key)) for key in (metric, f"{metric}_sd"))
        cells.append(mean_and_sd(theirs, sd, f"{name} published", missing="not stated"))
        cells.append(mean_and_sd(ours.mean, ours.sd, f"{name} ours") if ours else Cell(NOT_RUN))
        if ours is None or theirs is None:
            cells.append(text(None))
        elif why := other(analysis.collection, row):
            cells.append(Cell(why))
        else:
            points = 100 * (ours.mean - theirs)
            cells.append(Cell(f"{signed(points)} points", ((f"{name} ours - published", points, "points"),)))
    return cells


def other(collection: Collection, row: Row) -> str:
    """Why the scores of a row are not set against the published ones; empty where they are."""
    runs = row.runs or [run for one in collection.rows for run in one.runs]  # of a row not run, as the others
    if {collection.published_on} != {" + ".join(run.corpora) for run in runs}:
        return "other corpus"
    classes = {tuple(in_order(fold.labels)) for run in runs for fold in run.folds}
    theirs = tuple(in_order(collection.published_classes))
    return "other classes" if theirs and classes != {theirs} else ""


def differences(collection: Collection) -> Table | None:
    """In what ours and the published figures are alike and in what not; None where nothing is published."""
    if all(row.published == NONE for row in collection.rows):
        return None
    runs = [run for row in collection.rows for run in row.runs]
    classes, protocol = in_order(collection.published_classes), collection.published_protocol
    clauses = [] if protocol.startswith("not stated") else [clause.strip() for clause in protocol.split(";")]
    heard = next((SPEAKERS_PUBLISHED[clause] for clause in clauses if clause in SPEAKERS_PUBLISHED), READ)
    labels = {", ".join(in_order(fold.labels)) for run in runs for fold in run.folds}
    each: list[tuple[str, str, set[str]]] = [
        ("corpus", collection.published_on, {" + ".join(run.corpora) for run in runs}),
        ("classes", ", ".join(classes), labels),
        ("number of classes", str(len(classes) or ""), {str(names.count(", ") + 1) for names in labels}),
        ("protocol", protocol, {run.protocol for run in runs}),
        ("schedule", "paper", {f"{run.recipe['schedule']}, {length_of(run)}" for run in runs}),
        ("precision", "float32", set(map(precision_of, runs))),
        ("test speakers also in training", heard, {_speakers(run) for run in runs if run.folds}),
    ]
    lines = ((what, theirs or "not stated", "; ".join(sorted(ours)) or NOT_RUN, _same(what, theirs, ours))
             for what, theirs, ours in each)  # fmt: skip
    columns = ("what", "published", "ours", "the same?")
    return literal("differences", "Differences between ours and the published", columns, lines)


def _same(what: str, theirs: str, ours: set[str]) -> str:
    if not ours:
        return NOT_RUN
    if not theirs:
        return "not stated"
    if what == "protocol" or READ in theirs or "not recorded" in ours:
        return "read both"
    return "yes" if {value.split(",")[0] if what == "schedule" else value for value in ours} == {theirs} else "no"


def _speakers(run: Run) -> str:
    if any(fold.shared is None for fold in run.folds):
        return "not recorded"
    return "yes" if any(fold.shared and fold.shared.speakers for fold in run.folds) else "no"
