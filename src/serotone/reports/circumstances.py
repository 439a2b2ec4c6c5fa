"""Tables of how the numbers came about: protocol, schedule, machines, shared speakers, the chosen step, mistakes."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from serotone.emotions import in_order
from serotone.reports.analysis import METRICS, Analysis, Result
from serotone.reports.cells import NOT_RUN, Cell, Table, number, percent, text
from serotone.reports.collect import Collection, Row
from serotone.reports.tables import folds_of, length_of, literal, precision_of, seeds_of
from serotone.runs.reading import Fold, Run, Shared
from serotone.splits import PROTOCOLS

NAMED = 12
"""How many speakers or sentences are named before the rest are only counted."""


def conditions(collection: Collection) -> Table:
    """Corpus, protocol, schedule, folds, seeds and hours of every row."""
    columns = ("row", "recipe", "corpus", "utterances", "speakers", "protocol", "schedule", "length", "precision")
    return Table(
        "conditions",
        "Corpus, protocol and schedule",
        (*columns, "folds", "seeds", "hours"),
        tuple(_conditions(row) for row in collection.rows),
        " ".join([*protocols(collection), "The paper schedule is as published, the budget schedule ours and shorter."]),
    )


def _conditions(row: Row) -> tuple[Cell, ...]:
    def each(of: Any) -> Cell:
        return text("; ".join(dict.fromkeys(str(of(run)) for run in row.runs)) or NOT_RUN)

    hours = sum(fold.seconds for run in row.runs for fold in run.folds) / 3600
    return (
        text(row.label),
        each(lambda run: run.recipe["name"]),
        each(lambda run: " + ".join(run.corpora)),
        each(lambda run: run.corpus["utterances"]),
        each(lambda run: run.corpus["speakers"]),
        each(lambda run: run.protocol),
        each(lambda run: run.recipe["schedule"]),
        each(lambda run: length_of(run.schedule)),
        each(lambda run: precision_of(run.schedule)),
        folds_of(row),
        seeds_of(row),
        number(hours if row.folds else None, "hours", "hours", decimals=2, missing=NOT_RUN),
    )


def protocols(collection: Collection) -> list[str]:
    """What each protocol of the rows is, in words."""
    names = dict.fromkeys(str(run.recipe["protocol"]["name"]) for row in collection.rows for run in row.runs)
    return [f"{name}: {PROTOCOLS[name].description}." for name in names if name in PROTOCOLS]


def versions(collection: Collection) -> Table:
    """What computed the numbers, and on what data: one line for each distinct answer."""
    lines: dict[tuple[str, str], list[str]] = {}
    for row in collection.rows:
        for run in row.runs:
            for of in dict.fromkeys(_computed_with(fold) for fold in run.folds):
                rows = lines.setdefault((of, str(run.corpus["fingerprint"])), [])
                if row.label not in rows:
                    rows.append(row.label)
    return literal(
        "Versions and data",
        "versions",
        ("rows", "computed with", "corpus fingerprint (SHA-256 of ids, labels, speakers and file sizes)"),
        (("; ".join(rows), of, fingerprint) for (of, fingerprint), rows in lines.items()),
    )


def _computed_with(fold: Fold) -> str:
    each = (", ".join(f"{name} {value}" for name, value in versions.items()) for versions in fold.versions)
    return "; then ".join(each) or "not recorded"


def differences(collection: Collection) -> Table | None:
    """In what ours and the published figures are alike and in what not; None where nothing is published."""
    if not any(row.published for row in collection.rows):
        return None
    runs = [run for row in collection.rows for run in row.runs]
    ours_corpora = {" + ".join(run.corpora) for run in runs}
    theirs = collection.published_on
    classes = {tuple(in_order(fold.labels)) for run in runs for fold in run.folds[:1]}
    speakers = {_speakers_shared(run) for run in runs if run.folds}
    published_speakers = _speakers_published(collection.published_protocol)
    lines = [
        ("corpus", theirs or "not named", _several(ours_corpora), _judged(theirs, ours_corpora)),
        ("classes", *_classes(in_order(collection.published_classes), classes)),
        ("protocol", collection.published_protocol or "not named", _several({_told(run) for run in runs}), "read both"),
        (
            "schedule",
            "the paper's",
            _several({f"{run.recipe['schedule']}, {length_of(run.schedule)}" for run in runs}),
            _judged("paper", {str(run.recipe["schedule"]) for run in runs}),
        ),
        (
            "precision",
            "float32, unless the source says otherwise",
            _several({precision_of(run.schedule) for run in runs}),
            _judged("float32", {precision_of(run.schedule) for run in runs}),
        ),
        (
            "speakers of the test part in training",
            published_speakers,
            _several(speakers),
            _judged(published_speakers, speakers) if {published_speakers, *speakers} <= {"yes", "no"} else "read both",
        ),
    ]
    return literal(
        "Where ours and the published differ", "differences", ("what", "published", "ours", "the same?"), lines
    )


def _classes(theirs: list[str], ours: set[tuple[str, ...]]) -> tuple[str, str, str]:
    told, shown = ", ".join(theirs), {", ".join(labels) for labels in ours}
    judged, sizes = _judged(told, shown), sorted({len(labels) for labels in ours})
    if judged == "no" and sizes != [len(theirs)]:
        judged = f"no: {' or '.join(map(str, sizes))} here, {len(theirs)} there"
    return told or "not named", _several(shown), judged


SPEAKERS_PUBLISHED = {"speakers shared": "yes", "speakers apart": "no"}
"""The clauses of a published protocol that say whether its test speakers are heard in training."""


def _speakers_published(protocol: str) -> str:
    if protocol.startswith("not stated"):
        return "not stated"
    clauses = [clause.strip() for clause in protocol.split(";")]
    return next((SPEAKERS_PUBLISHED[clause] for clause in clauses if clause in SPEAKERS_PUBLISHED), "see the protocol")


def _several(values: Iterable[str]) -> str:
    return "; ".join(sorted(set(values))) or NOT_RUN


def _judged(theirs: str, ours: set[str]) -> str:
    if not ours:
        return NOT_RUN
    if not theirs:
        return "not told"
    return "yes" if ours == {theirs} else "no"


def _told(run: Run) -> str:
    name = str(run.recipe["protocol"]["name"])
    return f"{run.protocol}: {PROTOCOLS[name].description}" if name in PROTOCOLS else run.protocol


def _speakers_shared(run: Run) -> str:
    known = [fold.shared for fold in run.folds if fold.shared is not None]
    if len(known) < len(run.folds):
        return "not recorded"
    return "yes" if any(shared.speakers for shared in known) else "no"


def shared(analysis: Analysis) -> Table:
    """Which speakers and sentences training and test have in common."""
    lines: list[tuple[str, ...]] = []
    for row in analysis.collection.rows:
        folds = [fold for run in row.runs for fold in run.folds]
        known = [fold.shared for fold in folds if fold.shared is not None]
        if not folds:
            lines.append((row.label, *(NOT_RUN,) * 6))
        elif len(known) < len(folds):
            lines.append((row.label, *("not recorded",) * 6))
        else:
            lines.append((row.label, *_shared(known)))
    columns = ("row", "folds with test speakers in training", "those speakers", "folds with test sentences in training")
    return literal(
        "Speakers and sentences in training and test",
        "shared",
        (*columns, "those sentences", "test utterances of no known sentence", "validation speakers in training"),
        lines,
        "Training means the training and validation parts together. A recogniser that has heard a speaker, or the very"
        " sentence, scores higher than it will with strangers.",
    )


def _shared(folds: Sequence[Shared]) -> tuple[str, ...]:
    return (
        f"{sum(bool(fold.speakers) for fold in folds)} of {len(folds)}",
        some(name for fold in folds for name in fold.speakers),
        f"{sum(bool(fold.sentences) for fold in folds)} of {len(folds)}",
        some(name for fold in folds for name in fold.sentences),
        str(sum(fold.without_sentence for fold in folds)),
        some(name for fold in folds for name in fold.validation_speakers),
    )


def some(names: Iterable[str]) -> str:
    """The names in order, those beyond a dozen counted."""
    every = sorted(set(names))
    rest = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return f"{len(every)}: {', '.join(every[:NAMED])}{rest}" if every else "none"


def selection(analysis: Analysis) -> Table:
    """How the step that counts was chosen."""
    lines = []
    for row in analysis.collection.rows:
        pairs = [(run, fold) for run in row.runs for fold in run.folds]
        if not pairs:
            lines.append((text(row.label), *(Cell(NOT_RUN),) * 4))
            continue
        steps = [fold.step for _, fold in pairs]
        ends = [int(fold.curves["step"].max()) for _, fold in pairs if "step" in fold.curves]
        middle = number(float(median(steps)), "median step", "steps")
        lines.append(
            (
                text(row.label),
                text("; ".join(dict.fromkeys(rule(run, fold) for run, fold in pairs))),
                text("; ".join(dict.fromkeys(part(fold) for _, fold in pairs))),
                Cell(f"{middle.text} ({min(steps)} to {max(steps)})", middle.numbers),
                number(max(ends) if ends else None, "last step", "steps", missing="not recorded"),
            )
        )
    return Table(
        "selection",
        "How the step was chosen",
        ("row", "rule", "judged on", "chosen step: median (range)", "last step on the curve"),
        tuple(lines),
        "The test part never chooses anything.",
    )


def rule(run: Run, fold: Fold) -> str:
    """How a fold's step was chosen, in words."""
    if fold.monitor == "none" or fold.score is None:
        return "the last step"
    first = run.schedule.get("select_from")
    return f"highest validation {fold.monitor.upper()}" + (f" from step {first} on" if first else "")


def part(fold: Fold) -> str:
    """On what a fold's step was judged, in words."""
    if not fold.clips.get("validation"):
        return "nothing: no validation part"
    if fold.monitor == "none":
        return "nothing: the last step counts"
    if fold.shared is None:
        return "the validation part; its speakers are not recorded"
    if fold.shared.validation_speakers:
        return "the validation part, whose speakers are in training"
    return "the validation part, of other speakers"


def spread(analysis: Analysis) -> Table:
    """Spread between seeds told apart from spread between folds."""
    columns = ["row"]
    for metric in METRICS:
        name = metric.upper()
        columns += [f"{name}: SD {what} (points)" for what in ("between folds", "between seeds", "left over")]
    lines = []
    for row in analysis.collection.rows:
        found = analysis.of(row)
        cells = [text(row.label)]
        for metric in METRICS:
            of = found.scores[metric].spread if found else None
            missing = NOT_RUN if found is None else "no fold has every seed"
            if of is None:
                cells += [Cell(missing)] * 3
                continue
            name = f"{metric.upper()} SD"
            for value, what, why in (
                (of.between_folds, "folds", "one fold"),
                (of.between_seeds, "seeds", "one seed"),
                (of.residual, "left over", "not told apart"),
            ):
                cells.append(number(scaled(value), f"{name} {what}", "points", decimals=1, missing=why))
        lines.append((*cells, text(_dealing(found))))
    return Table(
        "spread",
        "Spread between folds and between seeds",
        (*columns, "folds under another seed"),
        tuple(lines),
        "Standard deviations by variance components of folds by seeds. The folds of another repetition are further"
        " folds. What is left over is what a seed does to one fold alone; with one seed it is part of the spread"
        " between folds, with one fold of that between seeds. Only folds that are finished under every seed count.",
    )


def scaled(share: float | None) -> float | None:
    """A share as points of percent."""
    return None if share is None else 100 * share


def _dealing(found: Result | None) -> str:
    if found is None:
        return NOT_RUN
    if len({seed for seed, _, _ in found.keys}) < 2:
        return "one seed"
    return "other test parts: the seed's doing holds that of the dealing" if found.redealt else "the same test parts"


def mistakes(found: Result) -> Table:
    """The surest mistakes of a row, with their files."""
    several = len(set(found.answers.run.tolist())) > 1
    columns = ("file", "utterance", "true", "called", "confidence", "probability of the true one")
    return Table(
        f"mistakes-{found.row.name}",
        f"Most confident mistakes: {found.row.label}",
        (*columns, "wrong in") if several else columns,
        tuple(
            (
                text(mistake.file or "not known"),
                text(mistake.utterance),
                text(mistake.truth),
                text(mistake.prediction),
                percent(mistake.confidence, "confidence"),
                percent(mistake.for_truth, "probability of the true one"),
                *([text(f"{mistake.wrong} of {mistake.runs} runs")] if several else []),
            )
            for mistake in found.mistakes
        ),
    )


def failures(collection: Collection) -> Table | None:
    """What ended in an error; None where nothing did."""
    if not collection.failures:
        return None
    labels: Mapping[str, str] = {row.name: row.label for row in collection.rows}
    return literal(
        "Failures",
        "failures",
        ("row", "seed", "fold", "error"),
        ((labels.get(f.row, f.row), f.seed, f.fold, f.error) for f in collection.failures),
    )
