"""Answers on disk -> every number of a report. Nothing is taken over from a summary."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from serotone import metrics, statistics
from serotone.reports.collect import Collection, Row
from serotone.runs.reading import Fold, Run
from serotone.statistics import Answers, Comparison, Interval, Reliability, Spread
from serotone.studies.schema import Compare, Sweep

Metric = Literal["ua", "wa"]
METRICS: tuple[Metric, Metric] = ("ua", "wa")
NOBODY = "not known"  # stands for the speaker where the corpus names none; no interval or test is made then

Key = tuple[int, int, str]  # seed, repetition, utterance


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one row, in [0, 1]."""

    mean: float  # of the folds of every run
    sd: float | None  # of the same
    pooled: float  # of all answers of a run together, mean over runs
    interval: Interval | None  # None where a speaker is not known
    speakers: Mapping[str, float]  # empty where a speaker is not known
    spread: Spread | None  # None where no fold is finished under every seed


@dataclass(frozen=True, slots=True)
class Result:
    """One row with at least one finished fold."""

    row: Row
    labels: tuple[str, ...]
    answers: Answers
    keys: tuple[Key, ...]
    probabilities: NDArray[np.float64]  # (N, C)
    scores: Mapping[Metric, Score]
    speakers_known: bool
    confusion: NDArray[np.int64]  # (C, C), rows truth, all runs together
    recall: NDArray[np.float64]  # (C,), NaN where absent
    ece: float
    brier: float
    reliability: Reliability
    redealt: bool  # folds of one repetition and number test other utterances under another seed

    def chance(self, metric: Metric) -> float:
        """What an answer that is always the same scores at best: 1 over the classes, or the share of the largest."""
        totals = self.confusion.sum(axis=1)
        return float(1 / (totals > 0).sum() if metric == "ua" else totals.max() / totals.sum())


@dataclass(frozen=True, slots=True)
class Paired:
    """Two rows on the answers that both have."""

    pair: Compare
    utterances: int = 0
    common: tuple[Key, ...] = ()  # the answers that are compared
    left_out: int = 0  # answers that only one of the two has
    other_parts: int = 0  # answers that both have, of folds that differ in a part; left out as well
    unrecorded: int = 0  # answers of folds whose parts are not on disk; not left out
    comparisons: Mapping[Metric, Comparison] | None = None
    holm: Mapping[Metric, float | None] | None = None  # over all pairs, each metric a family of its own
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a sweep; ``result`` is None where it was not run."""

    x: Any
    row: Row
    result: Result | None


@dataclass(frozen=True, slots=True)
class SweepCurve:
    """A sweep over one key while the other keys of the grid stand still."""

    sweep: Sweep
    fixed: str  # ``scale 10``; empty where nothing else varies
    points: tuple[Point, ...]

    @property
    def title(self) -> str:
        """``center.weight, alpha 0.5``."""
        return f"{self.sweep.key}, {self.fixed}" if self.fixed else self.sweep.key

    @property
    def numeric(self) -> bool:
        """Whether the values can be drawn on an axis: numbers, each of them once."""
        values = [p.x for p in self.points]
        return len(set(map(str, values))) == len(values) and all(_is_number(value) for value in values)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Every number of a report."""

    collection: Collection
    results: Mapping[str, Result]  # by row name; rows that were not run are absent
    pairs: tuple[Paired, ...]
    curves: tuple[SweepCurve, ...]

    def of(self, row: Row) -> Result | None:
        """A row's result, or None where it was not run."""
        return self.results.get(row.name)


def analyse(collection: Collection) -> Analysis:
    """Every number, from the answers of the test parts.

    Raises:
        MetricError: Answers that cannot be scored.
    """
    results = {row.name: result(row) for row in collection.rows if row.folds}
    labels = {row.name: row.label for row in collection.rows}
    pairs = [compare(pair, results.get(pair.a), results.get(pair.b), labels) for pair in collection.compare]
    curves = [curve for sweep in collection.sweeps for curve in sweep_curves(sweep, collection.rows, results)]
    return Analysis(collection, results, corrected(pairs), tuple(curves))


def result(row: Row) -> Result:
    """A row scored over all of its runs and finished folds."""
    folds = [(run, fold) for run in row.runs for fold in run.folds]
    labels = folds[0][1].labels
    keys = tuple((run.seed, fold.repetition, name) for run, fold in folds for name in fold.ids)
    speakers = [run.utterances[name].speaker for run, fold in folds for name in fold.ids]
    answers = Answers(
        truth=np.concatenate([fold.truth for _, fold in folds]),
        prediction=np.concatenate([fold.prediction for _, fold in folds]),
        speaker=np.array([speaker or NOBODY for speaker in speakers]),
        utterance=np.array([name for _, _, name in keys]),
        run=_numbered([key[:2] for key in keys]),
        num_classes=len(labels),
    )
    probabilities = np.concatenate([fold.probabilities for _, fold in folds])
    confusion = metrics.confusion_matrix(answers.truth, answers.prediction, labels=range(len(labels)))
    return Result(
        row=row,
        labels=labels,
        answers=answers,
        keys=keys,
        probabilities=probabilities,
        scores={metric: _score(metric, folds, answers, all(speakers)) for metric in METRICS},
        speakers_known=all(speakers),
        confusion=confusion,
        recall=metrics.recall_per_class_from_confusion(confusion),
        ece=metrics.expected_calibration_error(probabilities, answers.truth, labels=range(len(labels))),
        brier=statistics.brier(probabilities, answers.truth),
        reliability=statistics.reliability(probabilities, answers.truth),
        redealt=_redealt(folds),
    )


def _numbered(values: Sequence[Any]) -> NDArray[np.int64]:
    places = {value: place for place, value in enumerate(sorted(set(values)))}
    return np.array([places[value] for value in values], dtype=np.int64)


def _scored(metric: Metric, truth: NDArray[np.int64], prediction: NDArray[np.int64], classes: int) -> float:
    """WA, or UA over the classes that occur."""
    matrix = metrics.confusion_matrix(truth, prediction, labels=range(classes))
    wa, ua = metrics.weighted_accuracy_from_confusion, metrics.unweighted_accuracy_from_confusion
    return wa(matrix) if metric == "wa" else ua(matrix)


def _score(metric: Metric, folds: Sequence[tuple[Run, Fold]], answers: Answers, known: bool) -> Score:
    classes = answers.num_classes
    scores = {
        (run.seed, fold.repetition, fold.number): _scored(metric, fold.truth, fold.prediction, classes)
        for run, fold in folds
    }
    mean, sd = metrics.mean_and_sd(scores.values())
    runs = [answers.run == run for run in np.unique(answers.run)]
    pooled = [_scored(metric, answers.truth[run], answers.prediction[run], classes) for run in runs]
    return Score(
        mean=mean,
        sd=sd,
        pooled=float(np.mean(pooled)),
        interval=statistics.interval(answers, metric) if known else None,
        speakers=statistics.speaker_scores(answers, metric) if known else {},
        spread=_spread(scores),
    )


def _spread(scores: Mapping[tuple[int, int, int], float]) -> Spread | None:
    """Over the folds, of every repetition, that are finished under every seed; scores by seed, repetition and fold."""
    seeds = sorted({key[0] for key in scores})
    whole = [fold for fold in sorted({key[1:] for key in scores}) if all((seed, *fold) in scores for seed in seeds)]
    if not whole:
        return None
    return statistics.spread(np.array([[scores[(seed, *fold)] for seed in seeds] for fold in whole]))


def _redealt(folds: Sequence[tuple[Run, Fold]]) -> bool:
    tested: dict[str, tuple[str, ...]] = {}
    return any(set(tested.setdefault(fold.name, fold.ids)) != set(fold.ids) for _, fold in folds)


def compare(pair: Compare, a: Result | None, b: Result | None, labels: Mapping[str, str]) -> Paired:
    """The answers that both rows gave to the same utterances, under the same seed and repetition, in like folds."""
    if a is None or b is None:
        missing = " and ".join(labels.get(name, name) for name, side in ((pair.a, a), (pair.b, b)) if side is None)
        return Paired(pair, remark=f"not run: {missing}")
    for what, of in _ALIKE.items():
        values = [{of(run) for run in side.row.runs} for side in (a, b)]
        if values[0] != values[1]:
            return Paired(pair, remark=f"not compared: the rows differ in {what}")
    if a.labels != b.labels:
        return Paired(pair, remark="not compared: the rows differ in their labels")
    both = sorted(set(a.keys) & set(b.keys))
    if not both:
        return Paired(pair, remark="not compared: no fold of one seed is finished in both rows")
    dealt = [_dealt(side) for side in (a, b)]
    unrecorded = {key for key in both if any(of[key] is None for of in dealt)}
    common = [key for key in both if key in unrecorded or dealt[0][key] == dealt[1][key]]
    if not common:
        return Paired(pair, remark="not compared: the rows were not trained, validated and tested on the same parts")
    if not (a.speakers_known and b.speakers_known):
        return Paired(pair, remark="not compared: the corpus does not say who speaks")
    left, right = restricted(a, common), restricted(b, common)
    return Paired(
        pair,
        utterances=len({key[2] for key in common}),
        common=tuple(common),
        left_out=len(set(a.keys) ^ set(b.keys)),
        other_parts=len(both) - len(common),
        unrecorded=len(unrecorded),
        comparisons={metric: statistics.compare(left, right, metric) for metric in METRICS},
    )


_ALIKE: Mapping[str, Callable[[Run], str]] = {
    "corpus": lambda run: str(run.corpus["fingerprint"]),
    "protocol": lambda run: run.protocol,
}


def _dealt(side: Result) -> dict[Key, str | None]:
    """Of every answer the parts of its fold."""
    return {
        (run.seed, fold.repetition, name): fold.parts
        for run in side.row.runs
        for fold in run.folds
        for name in fold.ids
    }


def restricted(side: Result, common: Sequence[Key]) -> Answers:
    """A row's answers of these keys alone, in their order."""
    place = {key: n for n, key in enumerate(side.keys)}
    order = np.array([place[key] for key in common])
    old = side.answers
    return Answers(
        truth=old.truth[order],
        prediction=old.prediction[order],
        speaker=old.speaker[order],
        utterance=old.utterance[order],
        run=_numbered([key[:2] for key in common]),
        num_classes=old.num_classes,
    )


def corrected(pairs: Sequence[Paired]) -> tuple[Paired, ...]:
    """The same with Holm's p over all pairs, for each metric."""
    tested = [n for n, paired in enumerate(pairs) if paired.comparisons]
    found: list[dict[Metric, float | None]] = [{} for _ in pairs]
    for metric in METRICS:
        ps = [c[metric].p for n in tested if (c := pairs[n].comparisons) is not None]
        for n, p in zip(tested, statistics.holm(ps), strict=True):
            found[n][metric] = p
    return tuple(replace(paired, holm=holm) if paired.comparisons else paired for paired, holm in zip(pairs, found))


def sweep_curves(sweep: Sweep, rows: Iterable[Row], results: Mapping[str, Result]) -> list[SweepCurve]:
    """A sweep's points in order, one curve for each setting of the grid's other keys."""
    groups: dict[str, list[Point]] = {}
    for row in rows:
        if row.name not in sweep.rows:
            continue
        fixed = ", ".join(f"{key.rsplit('.', 1)[-1]} {value}" for key, value in row.at.items() if key != sweep.key)
        value = row.at[sweep.key] if sweep.key in row.at else _of_recipe(row, sweep.key)
        groups.setdefault(fixed, []).append(Point(value, row, results.get(row.name)))
    return [SweepCurve(sweep, fixed, tuple(sorted(points, key=_rank))) for fixed, points in groups.items()]


def _rank(point: Point) -> tuple[int, float, str]:
    return (0, float(point.x), "") if _is_number(point.x) else (1, 0.0, str(point.x))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_recipe(row: Row, key: str) -> Any:
    """The value of a dotted key in the recipe of a row; None where it was not run or has no such key."""
    value: Any = row.runs[0].recipe if row.runs else None
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
