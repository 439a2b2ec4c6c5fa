"""Every number has two witnesses: a value worked out by hand and scikit-learn."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics as witness
from hypothesis import given
from hypothesis import strategies as st

from serotone.errors import MetricError
from serotone.metrics import (
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
    macro_f1_from_confusion,
    mean_and_sd,
    pooled,
    recall_per_class,
    recall_per_class_from_confusion,
    summary,
    unweighted_accuracy,
    unweighted_accuracy_from_confusion,
    weighted_accuracy,
    weighted_accuracy_from_confusion,
)

LABELS = ("angry", "happy", "neutral", "sad")
# truth: 4 angry, 0 happy, 5 neutral, 1 sad
BY_HAND = np.array([[3, 1, 0, 0], [0, 0, 0, 0], [0, 2, 2, 1], [0, 0, 0, 1]])

answers = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)


def spelled_out(matrix: np.ndarray) -> tuple[list[str], list[str]]:
    pairs = [(t, p) for t, row in zip(LABELS, matrix) for p, count in zip(LABELS, row) for _ in range(count)]
    return [t for t, _ in pairs], [p for _, p in pairs]


# By hand


def test_values_worked_out_by_hand():
    truth, prediction = spelled_out(BY_HAND)
    assert confusion_matrix(truth, prediction, labels=LABELS).tolist() == BY_HAND.tolist()
    assert weighted_accuracy(truth, prediction, labels=LABELS) == 0.6
    recalls = recall_per_class(truth, prediction, labels=LABELS)
    assert recalls[[0, 2, 3]].tolist() == [0.75, 0.4, 1.0]
    assert math.isnan(recalls[1])
    assert unweighted_accuracy(truth, prediction, labels=LABELS) == pytest.approx(2.15 / 3, abs=1e-15)
    # F1: angry 6/7, neutral 4/7, sad 2/3
    assert macro_f1(truth, prediction, labels=LABELS) == pytest.approx((6 / 7 + 4 / 7 + 2 / 3) / 3, abs=1e-15)


def test_an_absent_class_is_skipped_counted_as_zero_or_refused():
    truth, prediction = spelled_out(BY_HAND)
    assert unweighted_accuracy(truth, prediction, labels=LABELS, absent="zero") == pytest.approx(2.15 / 4, abs=1e-15)
    assert macro_f1(truth, prediction, labels=LABELS, absent="zero") == pytest.approx((6 / 7 + 4 / 7 + 2 / 3) / 4)
    for score in (unweighted_accuracy, macro_f1):
        with pytest.raises(MetricError, match=r"rows \[1\]"):
            score(truth, prediction, labels=LABELS, absent="raise")
        with pytest.raises(MetricError, match="absent='drop'"):
            score(truth, prediction, labels=LABELS, absent="drop")


def test_absent_makes_no_difference_where_every_class_is_there():
    matrix = BY_HAND + np.eye(4, dtype=int)
    for score in (unweighted_accuracy_from_confusion, macro_f1_from_confusion):
        assert score(matrix, absent="skip") == score(matrix, absent="zero") == score(matrix, absent="raise")


def test_summary_is_plain_json_and_names_what_is_absent():
    truth, prediction = spelled_out(BY_HAND)
    values = summary(truth, prediction, labels=LABELS)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["utterances"] == 10
    assert values["wa"] == 0.6
    assert values["recall"] == {"angry": 0.75, "happy": None, "neutral": 0.4, "sad": 1.0}
    assert values["counts"] == {"angry": 4, "happy": 0, "neutral": 5, "sad": 1}
    assert values["absent"] == ["happy"]
    assert values["confusion"] == BY_HAND.tolist()


def test_wa_and_ua_are_not_each_other():
    """Nine of ten neutral: a recogniser that always says neutral has WA .9 and UA .5."""
    truth = ["neutral"] * 9 + ["sad"]
    assert weighted_accuracy(truth, ["neutral"] * 10, labels=LABELS) == 0.9
    assert unweighted_accuracy(truth, ["neutral"] * 10, labels=LABELS) == 0.5


def test_pooled_scores_are_not_the_mean_of_folds():
    large, small = np.array([[8, 0], [0, 2]]), np.array([[0, 1], [0, 1]])
    together = pooled([large, small])
    assert together.tolist() == [[8, 1], [0, 3]]
    assert together.dtype == np.int64
    assert weighted_accuracy_from_confusion(together) == 11 / 12
    assert mean_and_sd([weighted_accuracy_from_confusion(m) for m in (large, small)])[0] == 0.75


def test_mean_and_sample_standard_deviation():
    assert mean_and_sd([2, 4, 4, 4, 5, 5, 7, 9]) == (5.0, pytest.approx(math.sqrt(32 / 7), abs=1e-15))
    assert mean_and_sd(iter([0.25])) == (0.25, None)


def test_calibration_error_worked_out_by_hand():
    # (.5, 1]: .9 and .7 right, .6 wrong: |2/3 - 2.2/3| for 3 of 4; (0, .5]: .5 right: |1 - .5| for 1 of 4
    rows = [[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.6, 0.4, 0.0], [0.5, 0.25, 0.25]]
    error = expected_calibration_error(rows, ["a", "a", "b", "a"], labels=["a", "b", "c"], bins=2)
    assert error == pytest.approx(3 / 4 * 0.2 / 3 + 1 / 4 * 0.5, abs=1e-12)


def test_calibration_error_against_the_formula_bin_by_bin():
    generator = np.random.default_rng(5)
    rows = generator.dirichlet(np.ones(4), size=500)
    target = generator.integers(0, 4, size=500)
    confidence, correct, expected = rows.max(axis=1), rows.argmax(axis=1) == target, 0.0
    for b in range(15):
        here = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if here.any():
            expected += here.mean() * abs(correct[here].mean() - confidence[here].mean())
    error = expected_calibration_error(rows, [LABELS[t] for t in target], labels=LABELS)
    assert error == pytest.approx(expected, abs=1e-12)


def test_certain_and_right_is_calibrated_certain_and_wrong_is_not():
    assert expected_calibration_error(np.eye(4), LABELS, labels=LABELS) == 0.0
    assert expected_calibration_error(np.eye(4), LABELS[::-1], labels=LABELS) == 1.0


# Against scikit-learn


@given(answers)
def test_same_as_scikit_learn(pairs):
    truth, prediction = [t for t, _ in pairs], [p for _, p in pairs]
    matrix = confusion_matrix(truth, prediction, labels=LABELS)
    present = [label for label in LABELS if label in truth]
    assert matrix.tolist() == witness.confusion_matrix(truth, prediction, labels=LABELS).tolist()
    assert weighted_accuracy_from_confusion(matrix) == pytest.approx(witness.accuracy_score(truth, prediction))
    recalls = witness.recall_score(truth, prediction, labels=LABELS, average=None, zero_division=np.nan)
    np.testing.assert_allclose(recall_per_class_from_confusion(matrix), recalls)
    for absent, labels in {"skip": present, "zero": LABELS}.items():
        options = {"labels": labels, "average": "macro", "zero_division": 0}
        ua = witness.recall_score(truth, prediction, **options)
        assert unweighted_accuracy(truth, prediction, labels=LABELS, absent=absent) == pytest.approx(ua)
        f1 = witness.f1_score(truth, prediction, **options)
        assert macro_f1(truth, prediction, labels=LABELS, absent=absent) == pytest.approx(f1)


@given(answers, st.permutations(LABELS))
def test_the_order_of_labels_only_orders_the_answer(pairs, order):
    truth, prediction = [t for t, _ in pairs], [p for _, p in pairs]
    ours, theirs = (summary(truth, prediction, labels=labels) for labels in (LABELS, order))
    assert ours["recall"] == theirs["recall"]
    assert ours["wa"] == theirs["wa"]
    for key in ("ua", "macro_f1"):
        assert ours[key] == pytest.approx(theirs[key])


# What cannot be scored


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (["joy"], ["sad"], "truth holds labels not among the classes: joy; the classes are angry, happy, neutral, sad"),
        (["sad"], ["joy"], "prediction holds labels not among the classes: joy"),
        (["sad", "sad"], ["sad"], "2 true labels and 1 predictions"),
        ([], [], "nothing to score"),
    ],
)
def test_what_cannot_be_scored_is_named(truth, prediction, message):
    for score in (weighted_accuracy, unweighted_accuracy, recall_per_class, macro_f1, summary):
        with pytest.raises(MetricError, match=message):
            score(truth, prediction, labels=LABELS)


def test_a_matrix_that_is_none_is_refused():
    for matrix in ([[1, 2]], [1, 2], [[1, -1], [0, 1]], [[1, math.nan], [0, 1]], [[0, 0], [0, 0]]):
        with pytest.raises(MetricError):
            weighted_accuracy_from_confusion(matrix)
    for matrices in ([], [np.eye(2), np.eye(3)]):
        with pytest.raises(MetricError, match="shapes"):
            pooled(matrices)
    with pytest.raises(MetricError, match="labels repeat"):
        confusion_matrix(["sad"], ["sad"], labels=["sad", "sad"])


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]])
def test_mean_of_nothing_or_of_nan_is_refused(values):
    with pytest.raises(MetricError, match="finite"):
        mean_and_sd(values)


@pytest.mark.parametrize(
    ("probabilities", "truth", "bins"),
    [
        ([[0.5, 0.5]], ["a", "b"], 15),
        ([[1.0]], ["a"], 15),
        ([[0.5, 0.6]], ["a"], 15),
        ([[math.nan, 1.0]], ["a"], 15),
        ([[1.5, -0.5]], ["a"], 15),
        ([[1.0, 0.0]], ["c"], 15),
        ([[1.0, 0.0]], ["a"], 0),
        (np.empty((0, 2)), [], 15),
    ],
)
def test_calibration_error_of_what_is_no_distribution_is_refused(probabilities, truth, bins):
    with pytest.raises(MetricError):
        expected_calibration_error(probabilities, truth, labels=["a", "b"], bins=bins)


def test_metrics_load_nothing_but_numpy():
    code = (
        "import sys, serotone.metrics; "
        "print(sorted({'torch', 'scipy', 'sklearn', 'pandas', 'pydantic', 'onnxruntime'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
