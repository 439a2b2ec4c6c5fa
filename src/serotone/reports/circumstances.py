"""Tables of how the numbers came about: protocol, schedule, machines, shared speakers, chosen step, what is missing."""

from collections.abc import Iterable
from statistics import median

from serotone.reports.analysis import METRICS, Result
from serotone.reports.cells import NOT_RUN, Cell, Table, literal, number, text
from serotone.reports.collect import NAMED, Collection, Row
from serotone.reports.tables import by_row, folds_of, length_of, listed, precision_of, seeds_of
from serotone.runs.reading import Fold, Run
from serotone.splits import PROTOCOLS


def conditions(collection: Collection) -> Table:
    """Corpus, protocol, schedule, folds, seeds and hours of every row."""
    what = ("recipe", "corpus", "utterances", "speakers", "protocol", "schedule", "length", "precision")
    columns = ("row", *what, "folds", "seeds", "hours")
    lines = tuple(_conditions(row) for row in collection.rows)
    return Table("conditions", "Corpus, protocol and schedule", columns, lines)


def _conditions(row: Row) -> tuple[Cell, ...]:
    values = [
        (
            *(run.recipe["name"], " + ".join(run.corpora), run.corpus["utterances"], run.corpus["speakers"]),
            *(run.protocol, run.recipe["schedule"], length_of(run), precision_of(run)),
        )
        for run in row.runs
    ]
    words = [text(listed(each)) for each in zip(*values, strict=True)] or [Cell(NOT_RUN)] * 8
    seconds = [fold.seconds for run in row.runs for fold in run.folds if fold.seconds is not None]
    missing = "not recorded" if row.folds else NOT_RUN
    last = number(sum(seconds) / 3600 if seconds else None, "hours", "hours", decimals=2, missing=missing)
    return (text(row.label), *words, folds_of(row), seeds_of(row), last)


def protocols(collection: Collection) -> list[tuple[str, str]]:
    """What each protocol of the rows is, in words."""
    names = dict.fromkeys(str(run.recipe["protocol"]["name"]) for row in collection.rows for run in row.runs)
    return [(name, PROTOCOLS[name].description) for name in names if name in PROTOCOLS]


def versions(collection: Collection) -> Table:
    """What computed the numbers, and on what data: one line for each distinct answer."""
    lines: dict[tuple[str, str], dict[str, None]] = {}
    for row in collection.rows:
        for run in row.runs:
            for fold in run.folds:
                each = (", ".join(f"{name} {value}" for name, value in of.items()) for of in fold.versions)
                key = "; then ".join(each) or "not recorded", str(run.corpus["fingerprint"])
                lines.setdefault(key, {})[row.label] = None
    columns = ("rows", "computed with", "corpus fingerprint (SHA-256 of ids, labels, speakers and file sizes)")
    return literal("versions", "Versions and data", columns, (("; ".join(rows), *of) for of, rows in lines.items()))


@by_row(
    "shared",
    "Speakers and sentences in training and test",
    *("folds with test speakers in training", "those speakers", "folds with test sentences in training"),
    *("those sentences", "test utterances whose sentence is not known", "validation speakers in training"),
)
def shared(of: Result) -> Iterable[Cell]:
    """Which speakers and sentences training and test have in common."""
    folds = [fold.shared for run in of.row.runs for fold in run.folds]
    known = [fold for fold in folds if fold is not None]
    if len(known) < len(folds):
        return [Cell("not recorded")] * 6
    words = (
        f"{sum(bool(fold.speakers) for fold in known)} of {len(known)}",
        some(name for fold in known for name in fold.speakers),
        f"{sum(bool(fold.sentences) for fold in known)} of {len(known)}",
        some(name for fold in known for name in fold.sentences),
        str(sum(fold.without_sentence for fold in known)),
        some(name for fold in known for name in fold.validation_speakers),
    )
    return map(text, words)


def some(names: Iterable[str]) -> str:
    """The names in order, those beyond a dozen counted."""
    every = sorted(set(names))
    rest = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return f"{len(every)}: {', '.join(every[:NAMED])}{rest}" if every else "none"


@by_row(
    *("selection", "How the step was chosen", "rule", "judged on"),
    *("chosen step: median (range)", "last step on the curve"),
)
def selection(of: Result) -> tuple[Cell, ...]:
    """How the step that counts was chosen."""
    pairs = [(run, fold) for run in of.row.runs for fold in run.folds]
    steps = [fold.step for _, fold in pairs]
    ends = [int(fold.curves["step"].max()) for _, fold in pairs if "step" in fold.curves]
    middle = number(float(median(steps)), "median step", "steps")
    return (
        text(listed(rule(run, fold) for run, fold in pairs)),
        text(listed(judge(fold) for _, fold in pairs)),
        Cell(f"{middle.text} ({min(steps)} to {max(steps)})", middle.numbers),
        number(max(ends, default=None), "last step", "steps", missing="not recorded"),
    )


def rule(run: Run, fold: Fold) -> str:
    """How a fold's step was chosen, in words."""
    if not run.trained:
        return "nothing was trained"
    if fold.monitor == "none" or fold.score is None:
        return "the last step"
    first = run.schedule.get("select_from")
    return f"highest validation {fold.monitor.upper()}" + (f" from step {first} on" if first else "")


def judge(fold: Fold) -> str:
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


@by_row(
    *("spread", "Spread between folds and between seeds"),
    *(f"{m}: SD {part} (points)" for m in ("UA", "WA") for part in ("between folds", "between seeds", "left over")),
    "folds under another seed",
)
def spread(of: Result) -> list[Cell]:
    """Spread between seeds told apart from spread between folds."""
    cells: list[Cell] = []
    for metric in METRICS:
        name, found = f"{metric.upper()} SD", of.scores[metric].spread
        if found is None:
            cells += [Cell("no fold is finished under every seed")] * 3
            continue
        for value, part, why in (
            (found.between_folds, "folds", "one fold"),
            (found.between_seeds, "seeds", "one seed"),
            (found.residual, "left over", "not told apart"),
        ):
            points = None if value is None else 100 * value
            cells.append(number(points, f"{name} {part}", "points", decimals=1, missing=why))
    dealt = "other test parts, which count as an effect of the seed" if of.redealt else "the same test parts"
    return [*cells, text("one seed" if len({seed for seed, _, _ in of.keys}) < 2 else dealt)]


def not_run(collection: Collection) -> Table | None:
    """What is missing; None where everything was run."""
    rows = [(row.label, "everything" if not row.folds else "; ".join(row.missing)) for row in collection.rows]
    missing = [row for row in rows if row[1]]
    return literal("not-run", "Not run", ("row", "not run"), missing) if missing else None


def failures(collection: Collection) -> Table | None:
    """What ended in an error; None where nothing did."""
    labels = {row.name: row.label for row in collection.rows}
    lines = [
        (
            labels.get(f["row"], f["row"]),
            f["seed"],
            f"{f['repetition']}-{f['fold']}" if "fold" in f else "all",
            f["error"],
        )
        for f in collection.failures
    ]
    return literal("failures", "Failures", ("row", "seed", "fold", "error"), lines) if lines else None
