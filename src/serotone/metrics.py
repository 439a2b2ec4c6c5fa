"""Truth and prediction -> how good a recogniser is, with numpy alone.

``WA``, weighted accuracy, is the share of correct answers; ``UA``, unweighted accuracy, is the mean of the classes'
recalls. Every score comes from a confusion matrix whose rows are the truth. A class without a true example has no
recall; the parameter ``absent`` says what a mean over classes does then: ``"skip"`` leaves the class out, ``"zero"``
counts it as 0, ``"raise"`` raises a MetricError.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serotone.errors import MetricError
from serotone.names import first_few

LISTED = 12
"""So many labels are named in a message at most."""

Absent = Literal["skip", "zero", "raise"]
"""What a mean over classes does with a class that has no true example."""


def confusion_matrix(
    truth: Iterable[Hashable], prediction: Iterable[Hashable], *, labels: Sequence[Hashable]
) -> NDArray[np.int64]:
    """Counts (C, C): row i, column j holds how many utterances of ``labels[i]`` were called ``labels[j]``.

    Raises:
        MetricError: truth and prediction differ in length, hold a label that is not in ``labels``, or labels repeat.

    >>> confusion_matrix(["sad", "sad", "happy"], ["sad", "happy", "happy"], labels=["happy", "sad"]).tolist()
    [[1, 0], [1, 1]]

    """
    places = {label: place for place, label in enumerate(labels)}
    if len(places) < len(labels):
        raise MetricError(f"labels repeat: {first_few(labels, LISTED)}; give each class once")
    rows, columns = _places("truth", truth, places), _places("prediction", prediction, places)
    if len(rows) != len(columns):
        raise MetricError(f"{len(rows)} true labels and {len(columns)} predictions; give one prediction per true label")
    cells = np.bincount(rows * len(labels) + columns, minlength=len(labels) ** 2)
    return cells.reshape(len(labels), len(labels)).astype(np.int64)


def weighted_accuracy(
    truth: Iterable[Hashable], prediction: Iterable[Hashable], *, labels: Sequence[Hashable]
) -> float:
    """WA, in [0, 1]: correct answers over all answers.

    Raises:
        MetricError: as `confusion_matrix`, or there is nothing to score.

    >>> weighted_accuracy(["sad", "sad", "sad", "happy"], ["sad", "sad", "happy", "happy"], labels=["happy", "sad"])
    0.75

    """
    return weighted_accuracy_from_confusion(confusion_matrix(truth, prediction, labels=labels))


def weighted_accuracy_from_confusion(matrix: ArrayLike) -> float:
    """WA, in [0, 1], of a confusion matrix (C, C)."""
    counts = _counts(matrix)
    return float(np.trace(counts) / counts.sum())


def unweighted_accuracy(
    truth: Iterable[Hashable],
    prediction: Iterable[Hashable],
    *,
    labels: Sequence[Hashable],
    absent: Absent = "skip",
) -> float:
    """UA, in [0, 1]: the mean of the classes' recalls.

    Only classes that occur in truth count unless ``absent`` says otherwise.

    Raises:
        MetricError: as `confusion_matrix`, there is nothing to score, or a class is absent and ``absent="raise"``.

    >>> unweighted_accuracy(["sad", "sad", "happy"], ["sad", "happy", "happy"], labels=["happy", "sad", "calm"])
    0.75

    """
    return unweighted_accuracy_from_confusion(confusion_matrix(truth, prediction, labels=labels), absent=absent)


def unweighted_accuracy_from_confusion(matrix: ArrayLike, *, absent: Absent = "skip") -> float:
    """UA, in [0, 1], of a confusion matrix (C, C)."""
    counts = _counts(matrix)
    return _mean_over_classes(_recall(counts), counts, absent)


SCORES: Mapping[str, Callable[..., float]] = {"ua": unweighted_accuracy, "wa": weighted_accuracy}
"""The two by which recognisers are compared, by the names that files have for them."""


def recall_per_class(
    truth: Iterable[Hashable], prediction: Iterable[Hashable], *, labels: Sequence[Hashable]
) -> NDArray[np.float64]:
    """Recalls (C,), in [0, 1] and in the order of ``labels``; NaN for a class that is absent from truth.

    Raises:
        MetricError: as `confusion_matrix`, or there is nothing to score.

    >>> recall_per_class(["sad", "sad", "happy"], ["sad", "happy", "happy"], labels=["happy", "sad", "calm"])
    array([1. , 0.5, nan])

    """
    return recall_per_class_from_confusion(confusion_matrix(truth, prediction, labels=labels))


def recall_per_class_from_confusion(matrix: ArrayLike) -> NDArray[np.float64]:
    """Recalls (C,), in [0, 1] or NaN, of a confusion matrix (C, C)."""
    return _recall(_counts(matrix))


def macro_f1(
    truth: Iterable[Hashable],
    prediction: Iterable[Hashable],
    *,
    labels: Sequence[Hashable],
    absent: Absent = "skip",
) -> float:
    """Macro F1, in [0, 1]: the mean of 2 TP / (2 TP + FP + FN) over classes.

    Only classes that occur in truth count unless ``absent`` says otherwise: the classes that UA counts.

    Raises:
        MetricError: as `unweighted_accuracy`.

    >>> round(macro_f1(["sad", "sad", "happy"], ["sad", "happy", "happy"], labels=["happy", "sad"]), 4)
    0.6667

    """
    return macro_f1_from_confusion(confusion_matrix(truth, prediction, labels=labels), absent=absent)


def macro_f1_from_confusion(matrix: ArrayLike, *, absent: Absent = "skip") -> float:
    """Macro F1, in [0, 1], of a confusion matrix (C, C)."""
    counts = _counts(matrix)
    return _mean_over_classes(_ratio(2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1)), counts, absent)


def summary(truth: Iterable[str], prediction: Iterable[str], *, labels: Sequence[str]) -> dict[str, Any]:
    """Every score as plain JSON values.

    Keys: ``labels``; ``utterances``; ``wa``, ``ua`` and ``macro_f1`` in [0, 1], the last two over the classes that
    occur in truth; ``recall`` by label, None where absent from truth; ``counts`` of true utterances by label;
    ``absent``, the labels that truth lacks; ``confusion``, rows truth.

    Raises:
        MetricError: as `confusion_matrix`, or there is nothing to score.

    """
    matrix = confusion_matrix(truth, prediction, labels=labels)
    recalls = recall_per_class_from_confusion(matrix)
    counts = {label: int(count) for label, count in zip(labels, matrix.sum(axis=1), strict=True)}
    return {
        "labels": list(labels),
        "utterances": int(matrix.sum()),
        "wa": weighted_accuracy_from_confusion(matrix),
        "ua": unweighted_accuracy_from_confusion(matrix),
        "macro_f1": macro_f1_from_confusion(matrix),
        "recall": {label: float(r) if counts[label] else None for label, r in zip(labels, recalls, strict=True)},
        "counts": counts,
        "absent": [label for label in labels if not counts[label]],
        "confusion": matrix.tolist(),
    }


def pooled(matrices: Iterable[ArrayLike]) -> NDArray[np.int64]:
    """The sum (C, C) of the folds' confusion matrices.

    A score of the pooled matrix is not the mean of the folds' scores (folds differ in size and in their classes), so a
    report names which of the two it prints.

    Raises:
        MetricError: there is no matrix, or they differ in shape.

    """
    every = [np.asarray(matrix) for matrix in matrices]
    shapes = {matrix.shape for matrix in every}
    if len(shapes) != 1:
        raise MetricError(f"confusion matrices of shapes {sorted(shapes)}; give at least one, all over the same labels")
    total: NDArray[np.int64] = np.sum(every, axis=0, dtype=np.int64)
    return total


def mean_and_sd(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1 below), of folds' scores for example; None as the SD of one value.

    Raises:
        MetricError: there is no value, or one is not finite.

    >>> mean_and_sd([0.5, 0.7])[0], mean_and_sd([0.5])
    (0.6, (0.5, None))

    """
    numbers = np.array(list(values), dtype=np.float64)
    if not len(numbers) or not np.isfinite(numbers).all():
        raise MetricError(f"mean and SD of {numbers.tolist()}; give at least one value, all of them finite")
    return float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else None


def expected_calibration_error(
    probabilities: ArrayLike, truth: Iterable[Hashable], *, labels: Sequence[Hashable], bins: int = 15
) -> float:
    """ECE, in [0, 1]: how far confidence stands from accuracy, averaged over utterances.

    The confidence of an answer is its highest probability. Over ``bins`` equally wide bins (low, high] of confidence,
    sum of n_b / N |accuracy_b - confidence_b|.

    Reference: Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.

    Args:
        probabilities: (N, C), rows in [0, 1] that sum to 1, columns in the order of ``labels``.
        truth: N labels.
        labels: the C classes.
        bins: how many.

    Raises:
        MetricError: shapes do not fit, a row is no distribution, a label is unknown, or there is nothing to score.

    >>> expected_calibration_error([[0.75, 0.25]] * 4, ["a", "a", "a", "b"], labels=["a", "b"])
    0.0

    """
    rows = np.asarray(probabilities, dtype=np.float64)
    target = _places("truth", truth, {label: place for place, label in enumerate(labels)})
    if rows.shape != (len(target), len(labels)) or not len(target):
        raise MetricError(
            f"probabilities of shape {rows.shape} for {len(target)} true labels of {len(labels)} classes; give one row "
            "per true label and one column per class, at least one row"
        )
    check_distributions(rows)
    inside = confidence_bins(rows, bins)
    gaps = np.bincount(inside, weights=(rows.argmax(axis=1) == target) - rows.max(axis=1), minlength=bins)
    return float(np.abs(gaps).sum() / len(target))


def check_distributions(rows: NDArray[np.float64]) -> None:
    """Raise MetricError unless each of (N, C) ``rows`` is a distribution over the C classes."""
    if not (np.all(rows >= 0) and np.allclose(rows.sum(axis=1), 1, atol=1e-3)):
        raise MetricError("probabilities with a row that is negative, NaN or does not sum to 1; give distributions")


def confidence_bins(rows: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """(N, C) distributions -> (N,) bin of each one's highest probability, of ``bins`` equally wide ones (low, high].

    Edges are compared with, not divided by: a confidence of exactly k / bins falls into the bin below that edge.

    Raises:
        MetricError: there is no bin.

    """
    if bins < 1:
        raise MetricError(f"{bins} bins; give at least 1")
    inside: NDArray[np.intp] = np.searchsorted(np.linspace(0, 1, bins + 1), rows.max(axis=1)) - 1
    return inside.clip(0, bins - 1)


def _places(what: str, values: Iterable[Hashable], places: dict[Hashable, int]) -> NDArray[np.int64]:
    found = list(values)
    try:
        return np.array([places[value] for value in found], dtype=np.int64)
    except KeyError:
        strangers = dict.fromkeys(value for value in found if value not in places)
        raise MetricError(
            f"{what} holds labels not among the classes: {first_few(strangers, LISTED)}; the classes are"
            f" {first_few(places, LISTED)}"
        ) from None


def _counts(matrix: ArrayLike) -> NDArray[Any]:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise MetricError(f"a confusion matrix of shape {counts.shape}; give a square one, rows truth")
    if not np.all(counts >= 0):
        raise MetricError("a confusion matrix with a negative or NaN count; give counts of utterances")
    if not counts.sum():
        raise MetricError("nothing to score: no utterance was given; give at least one")
    return counts


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Part over whole; NaN where the whole is nothing."""
    result = np.full(len(whole), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _recall(counts: NDArray[Any]) -> NDArray[np.float64]:
    return _ratio(np.diag(counts), counts.sum(axis=1))


def _mean_over_classes(values: NDArray[np.float64], counts: NDArray[Any], absent: Absent) -> float:
    present = counts.sum(axis=1) > 0
    if absent == "skip":
        return float(values[present].mean())
    if absent == "zero":
        return float(np.where(present, values, 0.0).mean())
    if absent != "raise":
        raise MetricError(f"absent={absent!r}; choose 'skip', 'zero' or 'raise'")
    if not present.all():
        raise MetricError(
            f"no true utterance of the classes in rows {np.flatnonzero(~present).tolist()}; add some, leave these "
            "labels out, or choose absent='skip' or 'zero'"
        )
    return float(values.mean())
