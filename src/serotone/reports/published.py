"""Ours next to the published figures, and in what the two differ."""

from collections.abc import Iterable

from serotone.emotions import in_order
from serotone.reports.analysis import METRICS, Analysis, Result
from serotone.reports.cells import NOT_RUN, Cell, Table, literal, mean_and_sd, percent, share_of, signed, text
from serotone.reports.collect import NONE, Collection, Row
from serotone.reports.tables import precision_of, schedule_of

READ = "see the protocol"
NOT_STATED = "not stated"
SCHEDULE_PUBLISHED = "paper, as far as stated"
SPEAKERS_PUBLISHED = {"speakers shared": "yes", "speakers apart": "no"}
"""The clauses of a published protocol that say whether its test speakers are heard in training."""


def published(analysis: Analysis) -> Table:
    """Ours next to the published figures, and the rows of the literature."""
    rows = [row for row in analysis.collection.rows if row.published != NONE]
    each = ("published", "ours (mean ± SD of folds)", "ours − published")
    columns = ("row", *(f"{metric}, {what}" for metric in ("UA", "WA") for what in each), "quoted from")
    lines = [(text(row.label), *_cells(analysis, row), text(None)) for row in rows]
    for quoted in analysis.collection.study.literature:
        ua, wa = percent(share_of(quoted.ua), "UA published"), percent(share_of(quoted.wa), "WA published")
        cells = (cell for score in (ua, wa) for cell in (score, Cell("quoted"), text(None)))
        lines.append((text(quoted.system), *cells, text(quoted.source)))
    return Table("published", "Ours next to the published figures", columns, tuple(lines))


def _cells(analysis: Analysis, row: Row) -> Iterable[Cell]:
    of = analysis.results.get(row.name)
    for metric in METRICS:
        name, ours = metric.upper(), of.scores[metric] if of else None
        theirs, sd = (share_of(getattr(row.published, key)) for key in (metric, f"{metric}_sd"))
        yield mean_and_sd(theirs, sd, f"{name} published", missing=NOT_STATED)
        yield mean_and_sd(ours.mean, ours.sd, f"{name} ours") if ours else Cell(NOT_RUN)
        if ours is None or theirs is None:
            yield text(None)
        elif why := other(analysis.collection, row):
            yield Cell(why)
        else:
            points = 100 * (ours.mean - theirs)
            yield Cell(f"{signed(points)} points", ((f"{name} ours - published", points, "points"),))


def other(collection: Collection, row: Row) -> str:
    """Why the scores of a row are not set against the published ones; empty where they are."""
    study, runs = collection.study, row.runs or collection.runs  # of a row not run, as the others
    if {study.published_on} != {run.corpora for run in runs}:
        return "other corpus"
    classes = {tuple(in_order(fold.labels)) for run in runs for fold in run.folds}
    theirs = tuple(in_order(study.published_classes))
    return "other classes" if theirs and classes != {theirs} else ""


def differences(analysis: Analysis) -> Table:
    """In what ours and the published figures are alike and in what not."""
    study, runs = analysis.collection.study, analysis.collection.runs
    classes = in_order(study.published_classes)
    protocol = "" if study.published_protocol == NOT_STATED else study.published_protocol
    clauses = [] if protocol.startswith(NOT_STATED) else [clause.strip() for clause in protocol.split(";")]
    unsaid = READ if protocol else ""  # a protocol that nobody states says nothing of its speakers
    heard = next((SPEAKERS_PUBLISHED[clause] for clause in clauses if clause in SPEAKERS_PUBLISHED), unsaid)
    results = analysis.results.values()
    each: list[tuple[str, str, set[str]]] = [
        ("corpus", study.published_on, {run.corpora for run in runs}),
        ("classes", ", ".join(classes), {", ".join(in_order(of.labels)) for of in results}),
        ("number of classes", str(len(classes) or ""), {str(len(of.labels)) for of in results}),
        ("protocol", protocol, {run.protocol for run in runs}),
        ("schedule", SCHEDULE_PUBLISHED, set(map(schedule_of, runs))),
        ("precision", "", set(map(precision_of, runs))),
        ("test speakers also in training", heard, set(map(_heard, results))),
    ]
    lines = (
        (what, theirs or NOT_STATED, "; ".join(sorted(ours)) or NOT_RUN, _same(what, theirs, ours))
        for what, theirs, ours in each
    )
    columns = ("what", "published", "ours", "the same?")
    return literal("differences", "Differences between ours and the published", columns, lines)


def _heard(of: Result) -> str:
    if of.with_shared_speakers is None:
        return "not recorded"
    return "yes" if of.with_shared_speakers else "not known" if of.with_unknown_speakers else "no"


def _same(what: str, theirs: str, ours: set[str]) -> str:
    if not ours:
        return NOT_RUN
    if not theirs:
        return NOT_STATED
    if what == "schedule" and any(value.split(",")[0] != "paper" for value in ours):
        return "no"
    if what in ("protocol", "schedule") or READ in theirs or ours & {"not recorded", "not known"}:
        return "read both"
    return "yes" if ours == {theirs} else "no"
