"""A system's answers, and the counts per run, speaker and class from which every score comes."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serotone.errors import MetricError

Metric = Literal["wa", "ua"]
"""WA, the share of correct answers, or UA, the mean of the classes' recalls over the classes that are there."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One system's answers to N utterances; the rows of several runs (seeds, repetitions) stand below one another.

    Attributes:
        truth: (N,) classes, 0 to num_classes - 1.
        prediction: (N,) classes.
        speaker: (N,) who speaks.
        utterance: (N,) which utterance; once per run.
        run: (N,) which run the answer is of.
        num_classes: how many classes there are.

    Raises:
        MetricError: lengths differ, there is no row, a class is out of range, a speaker or utterance has no name, a
            run holds an utterance twice, or an utterance has another truth or speaker in another run.

    """

    truth: NDArray[np.int64]
    prediction: NDArray[np.int64]
    speaker: NDArray[np.str_]
    utterance: NDArray[np.str_]
    run: NDArray[np.int64]
    num_classes: int

    def __post_init__(self) -> None:
        for name in ("truth", "prediction", "run"):
            object.__setattr__(self, name, _integers(name, getattr(self, name)))
        for name in ("speaker", "utterance"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        shapes = {name: getattr(self, name).shape for name in ("truth", "prediction", "speaker", "utterance", "run")}
        if len(set(shapes.values())) > 1 or self.truth.ndim != 1 or not len(self.truth):
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise MetricError(f"answers of shapes {found}; give vectors of one length, at least one row")
        for name in ("truth", "prediction"):
            values = getattr(self, name)
            if values.min() < 0 or values.max() >= self.num_classes:
                raise MetricError(
                    f"{name} from {values.min()} to {values.max()} among {self.num_classes} classes; "
                    f"give 0 to {self.num_classes - 1}"
                )
        self._check_utterances()

    def _check_utterances(self) -> None:
        names, first, place = np.unique(self.utterance, return_index=True, return_inverse=True)
        for what, values in (("truths", self.truth), ("speakers", self.speaker)):
            if (other := np.flatnonzero(values != values[first][place])).size:
                here, there = other[0], first[place[other[0]]]
                raise MetricError(
                    f"utterance {self.utterance[here]} has two {what}, {values[there]} and {values[here]}; "
                    "give answers of one corpus, read in one way"
                )
        keys = np.unique(self.run, return_inverse=True)[1] * len(names) + place
        found, count = np.unique(keys, return_counts=True)
        if (count > 1).any():
            twice = names[found[count > 1][0] % len(names)]
            raise MetricError(f"utterance {twice} appears {count.max()} times in one run; give each run its own number")


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Counts of R runs, S speakers and C classes.

    Attributes:
        speakers: the S names, sorted.
        hits: (R, S, C) correct answers by true class.
        totals: (R, S, C) utterances by true class.

    """

    speakers: tuple[str, ...]
    hits: NDArray[np.float64]
    totals: NDArray[np.float64]


def tally(answers: Answers) -> Tally:
    """Count the answers by run, speaker and true class."""
    runs, run = np.unique(answers.run, return_inverse=True)
    speakers, speaker = np.unique(answers.speaker, return_inverse=True)
    shape = (len(runs), len(speakers), answers.num_classes)
    cell = np.ravel_multi_index((run, speaker, answers.truth), shape)
    size = int(np.prod(shape))
    right = (answers.truth == answers.prediction).astype(np.float64)
    hits, totals = (np.bincount(cell, weights=each, minlength=size) for each in (right, np.ones_like(right)))
    floats = [np.asarray(each, dtype=np.float64).reshape(shape) for each in (hits, totals)]
    return Tally(tuple(str(name) for name in speakers), *floats)


def score(hits: NDArray[np.float64], totals: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """WA or UA (...), in [0, 1], of counts (..., C) by true class; NaN where there is no utterance.

    UA is over the classes that have an utterance there.
    """
    if metric not in get_args(Metric):
        raise MetricError(f"metric {metric!r}; choose 'wa' or 'ua'")
    if metric == "wa":
        return _ratio(hits.sum(axis=-1), totals.sum(axis=-1))
    recalls = np.divide(hits, totals, out=np.zeros_like(hits), where=totals > 0)
    return _ratio(recalls.sum(axis=-1), (totals > 0).sum(axis=-1))


def scores_by_speaker(counted: Tally, metric: Metric) -> NDArray[np.float64]:
    """(S,) scores: of each speaker, the mean over the runs that hold the speaker."""
    scores: NDArray[np.float64] = np.nanmean(score(counted.hits, counted.totals, metric), axis=0)
    return scores


def speaker_scores(answers: Answers, metric: Metric) -> dict[str, float]:
    """Score of each speaker, in [0, 1], speakers sorted: the mean over the runs that hold the speaker.

    A speaker's UA is over the classes which that speaker has.

    >>> rows = dict(truth=[0, 0, 1], prediction=[0, 1, 1], utterance=["u", "v", "w"], run=[0, 0, 0], num_classes=3)
    >>> speaker_scores(Answers(speaker=["ann", "ann", "ann"], **rows), "ua")
    {'ann': 0.75}

    """
    counted = tally(answers)
    return dict(zip(counted.speakers, scores_by_speaker(counted, metric).tolist(), strict=True))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    result = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _integers(name: str, values: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise MetricError(f"{name} of type {array.dtype}; give integers")
    return array.astype(np.int64)


def _names(name: str, values: ArrayLike) -> NDArray[np.str_]:
    array = np.asarray(values)
    if array.size and not all(isinstance(value, str) and value for value in array.ravel().tolist()):
        raise MetricError(f"answers without a {name}; give each row the name of its {name}, a string that is not empty")
    return array.astype(np.str_)
