"""Answers on disk -> every number of a report. Nothing is taken over from a summary."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serotone import metrics, statistics
from serotone.reports.collect import Collection, Row
from serotone.runs.records import Fold, Run
from serotone.statistics import Answers, Comparison, Interval, Metric
from serotone.studies.schema import Sweep

METRICS: tuple[Metric, Metric] = ("ua", "wa")
NOBODY = "not known"  # stands for the speaker where the corpus names none; no interval or test is made then

Key = tuple[int, int, str]  # seed, repetition, utterance


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one row, in [0, 1]."""

    folds: Mapping[tuple[int, int, int], float]  # by seed, repetition and number
    mean: float  # of the folds
    sd: float | None  # of the same
    pooled: float  # of all answers of a run together, mean over runs
    interval: Interval | None  # None where a speaker is not known


@dataclass(frozen=True, slots=True)
class Result:
    """One row with at least one finished fold."""

    row: Row
    labels: tuple[str, ...]
    answers: Answers
    keys: tuple[Key, ...]
    parts: tuple[str, ...]  # of each answer's fold: the fingerprint of who trains, validates and tests
    probabilities: NDArray[np.float64]  # (N, C)
    scores: Mapping[Metric, Score]
    speakers_known: bool
    confusion: NDArray[np.int64]  # (C, C), rows truth, all runs together

    @property
    def with_shared_speakers(self) -> int | None:
        """In how many folds test speakers are in training, too; None where a fold does not record it."""
        shared = [fold.shared for _, fold in self.row.finished]
        return None if None in shared else sum(bool(of.speakers) for of in shared if of is not None)

    @property
    def with_unknown_speakers(self) -> int:
        """In how many folds test speakers and training speakers are not named, and so may be the same."""
        return sum(fold.shared.unknown_speakers for _, fold in self.row.finished if fold.shared is not None)

    def chance(self, metric: Metric) -> float:
        """What an answer that is always the same scores at best: 1 over the classes, or the share of the largest."""
        totals = self.confusion.sum(axis=1)
        return float(1 / (totals > 0).sum() if metric == "ua" else totals.max() / totals.sum())


@dataclass(frozen=True, slots=True)
class Paired:
    """Two rows on the answers that both have."""

    question: str
    a: Row
    b: Row
    common: tuple[Key, ...] = ()  # the answers that are compared
    left_out: int = 0  # answers that only one of the two has
    other_parts: int = 0  # answers that both have, of folds that differ in a part; left out as well
    comparisons: Mapping[Metric, Comparison] = field(default_factory=dict)  # empty where they were not compared
    holm: Mapping[Metric, float | None] = field(default_factory=dict)  # over all pairs, each metric a family of its own
    remark: str = ""


@dataclass(frozen=True, slots=True)
class SweepCurve:
    """A sweep over one key while the other keys of the grid stand still."""

    sweep: Sweep
    fixed: str  # ``scale 10``; empty where nothing else varies
    points: tuple[tuple[Any, Row], ...]  # value and row, in order

    @property
    def title(self) -> str:
        """``center.weight, alpha 0.5``."""
        return f"{self.sweep.key}, {self.fixed}" if self.fixed else self.sweep.key

    @property
    def known(self) -> list[tuple[Any, Row]]:
        """The points but those of rows that were not run and whose value only a run would tell."""
        return [(value, row) for value, row in self.points if value is not None or row.runs]

    @property
    def numeric(self) -> bool:
        """Whether the values can be drawn on an axis: numbers, each of them once."""
        ranks = [_rank(point) for point in self.known]
        return len(set(ranks)) == len(ranks) and all(kind == 0 for kind, *_ in ranks)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Every number of a report."""

    collection: Collection
    results: Mapping[str, Result]  # by row name; rows that were not run are absent
    pairs: tuple[Paired, ...]
    curves: tuple[SweepCurve, ...]


def analyse(collection: Collection) -> Analysis:
    """Every number, from the answers of the test parts.

    Raises:
        MetricError: Answers that cannot be scored.
    """
    rows = {row.name: row for row in collection.rows}
    results = {row.name: result(row) for row in collection.rows if row.folds}
    pairs = [compare(pair.question, rows[pair.a], rows[pair.b], results) for pair in collection.study.compare]
    curves = [curve for sweep in collection.study.sweeps for curve in sweep_curves(sweep, collection.rows)]
    return Analysis(collection, results, corrected(pairs), tuple(curves))


def result(row: Row) -> Result:
    """A row scored over all of its runs and finished folds."""
    folds = row.finished
    labels = folds[0][1].labels
    keys = tuple((run.seed, fold.repetition, name) for run, fold in folds for name in fold.ids)
    speakers = [run.utterances[name].speaker for run, fold in folds for name in fold.ids]
    answers = Answers(
        truth=np.concatenate([fold.truth for _, fold in folds]),
        prediction=np.concatenate([fold.prediction for _, fold in folds]),
        speaker=np.array([speaker or NOBODY for speaker in speakers]),
        utterance=np.array([name for _, _, name in keys]),
        run=_numbered(keys),
        num_classes=len(labels),
    )
    return Result(
        row=row,
        labels=labels,
        answers=answers,
        keys=keys,
        parts=tuple(fold.parts for _, fold in folds for _ in fold.ids),
        probabilities=np.concatenate([fold.probabilities for _, fold in folds]),
        scores={metric: _score(metric, folds, answers, all(speakers)) for metric in METRICS},
        speakers_known=all(speakers),
        confusion=metrics.confusion_matrix(answers.truth, answers.prediction, labels=range(len(labels))),
    )


def _numbered(keys: Sequence[Key]) -> NDArray[np.int64]:
    """The run (N,) of each answer: one for each seed and repetition."""
    return np.unique([key[:2] for key in keys], axis=0, return_inverse=True)[1].ravel()


def _score(metric: Metric, folds: Sequence[tuple[Run, Fold]], answers: Answers, known: bool) -> Score:
    score, labels = metrics.SCORES[metric], range(answers.num_classes)
    of_folds = {
        (run.seed, fold.repetition, fold.number): score(fold.truth, fold.prediction, labels=labels)
        for run, fold in folds
    }
    pooled = statistics.pooled_score(statistics.tally(answers), metric)
    interval = statistics.interval(answers, metric) if known else None
    return Score(of_folds, *metrics.mean_and_sd(of_folds.values()), pooled, interval)


def best(results: Iterable[Result]) -> Iterable[dict[str, Any]]:
    """The highest UA among the rows of each corpus, protocol, classes and utterances: only those can be compared.

    A row without one of the study's seeds takes part, one with a seed that is run in part only where there is no other.
    """
    groups: dict[tuple[str, str, str, frozenset[str]], list[Result]] = {}
    for of in results:
        run, _ = of.row.finished[0]
        where = f"{run.corpora}, {run.protocol}{', test speakers also in training' if of.with_shared_speakers else ''}"
        fingerprint = str(run.corpus["fingerprint"])
        groups.setdefault((where, fingerprint, ", ".join(of.labels), run.used), []).append(of)
    classes = len({labels for _, _, labels, _ in groups}) > 1
    for (where, _, labels, _), group in groups.items():
        whole = [of for of in group if of.row.rounded]
        scores = [(of, of.scores["ua"]) for of in whole or group]
        highest = round(max(score.pooled for _, score in scores), 4)
        tied = [of for of, score in scores if round(score.pooled, 4) == highest]
        limits = tied[0].scores["ua"].interval
        others = [score.interval for _, score in scores if round(score.pooled, 4) < highest]
        yield {
            "where": f"{where}, {labels}" if classes else where,
            "results": tied,  # several where they share it
            "rows": len(group),
            "finished": 0 < len(whole) < len(group),  # only rows without a seed that is run in part were looked at
            "close": sum(limits is not None and of is not None and of.high >= limits.low for of in others),
        }


def compare(question: str, row_a: Row, row_b: Row, results: Mapping[str, Result]) -> Paired:
    """The answers that both rows gave to the same utterances, under the same seed and repetition, in like folds."""
    paired = Paired(question, row_a, row_b)
    if missing := [row.label for row in (row_a, row_b) if row.name not in results]:
        return replace(paired, remark=f"not run: {' and '.join(missing)}")
    a, b = results[row_a.name], results[row_b.name]
    for what, of in _ALIKE.items():
        if of(a) != of(b):
            return replace(paired, remark=f"not compared: the rows differ in {what}")
    both = set(a.keys) & set(b.keys)
    if not both:
        return replace(paired, remark="not compared: no fold of one seed is finished in both rows")
    like = set(zip(a.keys, a.parts, strict=True)) & set(zip(b.keys, b.parts, strict=True))
    common = tuple(sorted(key for key, _ in like))
    if not common:
        return replace(paired, remark="not compared: the rows were not trained, validated and tested on the same parts")
    if not (a.speakers_known and b.speakers_known):
        return replace(paired, remark="not compared: the corpus does not say who speaks")
    left, right = restricted(a, common), restricted(b, common)
    return replace(
        paired,
        common=common,
        left_out=len(set(a.keys) ^ set(b.keys)),
        other_parts=len(both) - len(common),
        comparisons={metric: statistics.compare(left, right, metric) for metric in METRICS},
    )


_ALIKE: Mapping[str, Callable[[Result], object]] = {
    "corpus": lambda of: {run.corpus["fingerprint"] for run in of.row.runs},
    "protocol": lambda of: {run.protocol for run in of.row.runs},
    "their labels": lambda of: of.labels,
}


def restricted(side: Result, common: Sequence[Key]) -> Answers:
    """A row's answers of these keys alone, in their order."""
    place = {key: n for n, key in enumerate(side.keys)}
    order, old = np.array([place[key] for key in common]), side.answers
    rows = {name: getattr(old, name)[order] for name in ("truth", "prediction", "speaker", "utterance")}
    return replace(old, run=_numbered(common), **rows)


def corrected(pairs: Sequence[Paired]) -> tuple[Paired, ...]:
    """The same with Holm's p over all pairs that could be tested, for each metric."""
    ps = {
        metric: statistics.holm([paired.comparisons[metric].p if paired.comparisons else None for paired in pairs])
        for metric in METRICS
    }
    return tuple(replace(paired, holm={metric: ps[metric][n] for metric in METRICS}) for n, paired in enumerate(pairs))


def sweep_curves(sweep: Sweep, rows: Iterable[Row]) -> list[SweepCurve]:
    """A sweep's points in order, one curve for each setting of the grid's other keys."""
    groups: dict[str, list[tuple[Any, Row]]] = {}
    for row in rows:
        if row.name in sweep.rows or (row.at and not sweep.rows):
            fixed = ", ".join(f"{key.rsplit('.', 1)[-1]} {value}" for key, value in row.at.items() if key != sweep.key)
            value = row.at[sweep.key] if sweep.key in row.at else _of_recipe(row, sweep.key)
            groups.setdefault(fixed, []).append((value, row))
    return [SweepCurve(sweep, fixed, tuple(sorted(points, key=_rank))) for fixed, points in groups.items()]


def _rank(point: tuple[Any, Row]) -> tuple[int, float, str]:
    """Numbers first, by their size."""
    value = point[0]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, float(value), "") if number else (1, 0.0, str(value))


def _of_recipe(row: Row, key: str) -> Any:
    """The value of a dotted key in the recipe of a row; None where it was not run or has no such key."""
    value: Any = row.runs[0].recipe if row.runs else None
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
