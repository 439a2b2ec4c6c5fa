"""Tables of how the numbers came about: protocol, schedule, machines, shared speakers, chosen step, what is missing."""

from collections.abc import Iterable, Sequence
from itertools import chain
from statistics import median

from serotone import statistics
from serotone.names import first_few
from serotone.reports.analysis import METRICS, Result
from serotone.reports.cells import Cell, Table, literal, number, text
from serotone.reports.collect import Collection, Row
from serotone.reports.tables import by_row, folds_of, length_of, listed, precision_of, seeds_of
from serotone.runs.records import Fold, Run

NAMED = 12
"""How many folds, speakers or sentences are named before they are only counted."""


@by_row(
    *("conditions", "Corpus, protocol and schedule", "recipe", "corpus", "utterances used", "speakers", "protocol"),
    *("schedule", "length", "precision", "folds", "seeds", "hours"),
)
def conditions(of: Result) -> Iterable[Cell]:
    """Corpus, protocol, schedule, folds, seeds and hours of every row."""
    each = (
        (
            *(run.recipe["name"], run.corpora, len(run.used), speakers_of(run), run.protocol),
            *(run.recipe["schedule"], length_of(run), precision_of(run)),
        )
        for run in of.row.runs
    )
    yield from (text(listed(values)) for values in zip(*each, strict=True))
    yield folds_of(of.row)
    yield seeds_of(of.row)
    seconds = [fold.seconds for _, fold in of.row.finished if fold.seconds is not None]
    hours = sum(seconds) / 3600 if seconds else None
    yield number(hours, "hours", "hours", shown="{:.2f}", missing="not recorded")


def speakers_of(run: Run) -> str:
    """How many speakers a run's utterances have, as far as the corpus names them."""
    names = {heard.speaker for name, heard in run.utterances.items() if name in run.used}
    known = len(names - {""})
    return f"{known}{' and unknown ones' if known else 'not known'}" if "" in names else str(known)


def versions(collection: Collection) -> Table:
    """What computed the numbers, and on what data: one line for each distinct answer."""
    lines: dict[tuple[str, str], list[str]] = {}
    for row in collection.rows:
        for run, fold in row.finished:
            each = (", ".join(f"{name} {value}" for name, value in of.items()) for of in fold.versions)
            key = "; then ".join(each) or "not recorded", str(run.corpus["fingerprint"])
            lines.setdefault(key, []).append(row.label)
    columns = ("rows", "computed with", "corpus fingerprint (SHA-256 of ids, labels, speakers and file sizes)")
    return literal("versions", "Versions and data", columns, ((listed(rows), *of) for of, rows in lines.items()))


@by_row(
    "shared",
    "Speakers, sentences and recordings in training and test",
    *("folds with test speakers in training", "those speakers", "folds with test sentences in training"),
    *("those sentences", "test utterances whose sentence is not known", "validation speakers in training"),
    "test recordings in training under another name",
)
def shared(of: Result) -> Iterable[Cell]:
    """What training and test have in common."""
    if of.with_shared_speakers is None:
        return [Cell("not recorded")] * 7
    known = [fold.shared for _, fold in of.row.finished if fold.shared]
    unknown_validating = any(fold.unknown_validation_speakers for fold in known)
    words = (
        f"{of.with_shared_speakers} of {len(known)}",
        some((fold.speakers for fold in known), of.with_unknown_speakers > 0),
        f"{sum(bool(fold.sentences) for fold in known)} of {len(known)}",
        some(fold.sentences for fold in known),
        sum(fold.without_sentence for fold in known),
        some((fold.validation_speakers for fold in known), unknown_validating),
        "not recorded" if any(fold.copies is None for fold in known) else some(fold.copies or () for fold in known),
    )
    return map(text, words)


def some(names: Iterable[Sequence[str]], unknown: bool = False) -> str:
    """The names of all folds in order, those beyond a dozen counted, and whether there are unknown ones."""
    every = sorted(set(chain.from_iterable(names)))
    if not every:
        return "not known" if unknown else "none"
    return f"{len(every)}: {first_few(every, NAMED)}{', and unknown ones' if unknown else ''}"


@by_row(
    *("selection", "How the step was chosen", "rule", "judged on"),
    *("chosen step: median (range)", "last step on the curve"),
)
def selection(of: Result) -> Iterable[Cell]:
    """How the step that counts was chosen."""
    folds = [fold for _, fold in of.row.finished]
    steps = [fold.step for fold in folds]
    ends = [int(fold.curves["step"].max()) for fold in folds if "step" in fold.curves]
    shown = f"{{:.0f}} ({min(steps)} to {max(steps)})"
    yield text(listed(rule(run, fold) for run, fold in of.row.finished))
    yield text(listed(map(judge, folds)))
    yield number(float(median(steps)), "median step", "steps", shown=shown)
    yield number(max(ends, default=None), "last step", "steps", missing="not recorded")


def rule(run: Run, fold: Fold) -> str:
    """How a fold's step was chosen, in words."""
    if not run.trained:
        return "nothing was trained"
    if run.schedule.get("solver"):
        return "no step, as the head is the optimum"
    if fold.monitor == "none" or fold.score is None:
        return "the last step"
    first = run.schedule.get("select_from")
    return f"highest validation {fold.monitor.upper()}" + (f" from step {first} on" if first else "")


def judge(fold: Fold) -> str:
    """On what a fold's step was judged, in words."""
    if not fold.clips.get("validation"):
        return "nothing: no validation part"
    if fold.monitor == "none":
        return "nothing: the last step is used"
    if fold.score is None:
        return "nothing: no validation at or after the first step that may be chosen"
    if fold.shared is None:
        return "the validation part; its speakers are not recorded"
    if fold.shared.validation_speakers:
        return "the validation part, whose speakers are in training"
    if fold.shared.unknown_validation_speakers:
        return "the validation part; whether its speakers are in training is not known"
    return "the validation part, of other speakers"


def choice(run: Run, fold: Fold) -> str:
    """How a fold's step was chosen, and on what."""
    why = judge(fold)
    return rule(run, fold) if why.startswith("nothing") else f"{rule(run, fold)} ({why})"


@by_row(
    *("spread", "Spread between folds and between seeds"),
    *(f"{m}: SD {part} (points)" for m in ("UA", "WA") for part in ("between folds", "between seeds", "left over")),
    "folds under another seed",
)
def spread(of: Result) -> Iterable[Cell]:
    """Spread between seeds told apart from spread between folds."""
    folds = of.scores["ua"].folds
    seeds = sorted({seed for seed, *_ in folds})
    whole = [fold for fold in sorted({key[1:] for key in folds}) if all((seed, *fold) in folds for seed in seeds)]
    for metric in METRICS:
        if not whole:
            yield from [Cell("no fold is finished under every seed")] * 3
            continue
        scores = of.scores[metric].folds
        parts = statistics.spread([[scores[seed, *fold] for seed in seeds] for fold in whole])
        for value, part, why in (
            (parts.between_folds, "folds", "one fold"),
            (parts.between_seeds, "seeds", "one seed"),
            (parts.residual, "left over", "not told apart"),
        ):
            points = None if value is None else 100 * value
            yield number(points, f"{metric.upper()} SD {part}", "points", shown="{:.1f}", missing=why)
    tested: dict[str, set[str]] = {}  # by the fold's name, under the first seed
    redealt = any(tested.setdefault(fold.name, set(fold.ids)) != set(fold.ids) for _, fold in of.row.finished)
    dealt = "other test parts, which count as an effect of the seed" if redealt else "the same test parts"
    yield text("one seed" if len(seeds) < 2 else dealt)


def not_run(collection: Collection) -> Table:
    """What is missing."""
    dealt = collection.study.repetitions
    rows = ((row.label, "; ".join(_missing(row, dealt)) if row.folds else "everything") for row in collection.rows)
    return literal("not-run", "Not run", ("row", "not run"), (row for row in rows if row[1]))


def _missing(row: Row, dealt: int) -> Iterable[str]:
    """What was not run: ``seed 0: 1 of 10 folds: 0-7``, ``seed 1``; folds by name where their names can be told.

    ``dealt`` is how often the study deals the protocol's folds, for runs that do not say so.
    """
    for run in row.runs:
        if run.planned is None:
            yield f"seed {run.seed}: how many folds are planned is not recorded"
        elif (absent := run.planned - len(run.folds)) > 0:
            begun = max((fold.repetition for fold in run.folds), default=0) + 1
            repetitions = run.repetitions or max(begun, dealt)
            planned = [f"{r}-{n}" for r in range(repetitions) for n in range(run.planned // repetitions)]
            names = [name for name in planned if name not in {fold.name for fold in run.folds}]
            named = f": {', '.join(names)}" if len(names) == absent <= NAMED else ""
            yield f"seed {run.seed}: {absent} of {run.planned} folds{named}"
    yield from (f"seed {seed}" for seed in row.missing_seeds)


def failures(collection: Collection) -> Table:
    """What ended in an error."""
    labels = {row.name: row.label for row in collection.rows}
    lines = []
    for failure in collection.failures:
        fold = f"{failure['repetition']}-{failure['fold']}" if "fold" in failure else "all"
        lines.append((labels.get(failure["row"], failure["row"]), failure["seed"], fold, failure["error"]))
    return literal("failures", "Failures", ("row", "seed", "fold", "error"), lines)
