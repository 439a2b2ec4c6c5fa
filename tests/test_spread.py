"""Spread over seeds and folds, and calibration: by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from serotone.errors import MetricError
from serotone.metrics import expected_calibration_error
from serotone.statistics import (
    brier,
    reliability,
    spread,
)

# Spread


def test_spread_by_hand():
    # folds' means 2, 4, 9, seeds' 4 and 6, which explain the whole table
    exact = spread([[1, 3], [3, 5], [8, 10]])
    assert exact.residual == pytest.approx(0, abs=1e-12)
    assert exact.between_folds == pytest.approx(math.sqrt(13), abs=1e-12)
    assert exact.between_seeds == pytest.approx(math.sqrt(2), abs=1e-12)
    # MS_residual 7 / 2; folds' means 2.5, 4.5, 11 have variance 19.75, seeds' 5 and 7 have 2
    rest = spread([[1, 4], [5, 4], [9, 13]])
    parts = (rest.between_folds**2, rest.between_seeds**2, rest.residual**2)
    assert parts == pytest.approx((19.75 - 3.5 / 2, 2 - 3.5 / 3, 3.5), abs=1e-12)
    # rows 1, 3 and columns 2, 2; residuals +-1, so MS_residual 4; MS_folds 4, MS_seeds 0: both components 0
    crossed = spread([[2, 0], [2, 4]])
    assert (crossed.between_folds, crossed.between_seeds, crossed.residual) == (0.0, 0.0, 2.0)
    assert crossed.within_fold == 2.0


def test_one_seed_or_one_fold_cannot_be_told_apart_from_the_rest():
    one_seed, one_fold = spread([[0.5], [0.7]]), spread([[0.5, 0.7]])
    deviation = pytest.approx(math.sqrt(0.02), abs=1e-12)
    assert (one_seed.between_folds, one_seed.between_seeds, one_seed.residual) == (deviation, None, None)
    assert (one_fold.between_folds, one_fold.between_seeds, one_fold.residual) == (None, deviation, None)
    assert (one_seed.within_fold, one_fold.within_fold) == (None, deviation)
    alone = spread([[0.5]])
    assert (alone.between_folds, alone.between_seeds, alone.residual) == (None, None, None)


def test_spread_finds_the_components_that_were_put_in():
    generator = np.random.default_rng(10)
    found = []
    for _ in range(400):
        table = 0.05 * generator.standard_normal((10, 1)) + 0.03 * generator.standard_normal((1, 8))
        made = spread(table + 0.02 * generator.standard_normal((10, 8)))
        found.append([made.between_folds**2, made.between_seeds**2, made.residual**2])
    assert np.mean(found, axis=0) == pytest.approx([0.05**2, 0.03**2, 0.02**2], rel=0.12)


def test_spread_refuses_what_is_no_full_table():
    with pytest.raises(MetricError, match="1 of 4 scores are missing"):
        spread([[0.5, math.nan], [0.5, 0.5]])
    for bad in ([0.5, 0.6], [[]]):
        with pytest.raises(MetricError, match="one row per fold"):
            spread(bad)


# Calibration


def probabilities(classes=4, count=500):
    generator = np.random.default_rng(11)
    return generator.dirichlet(np.full(classes, 0.7), count), generator.integers(0, classes, count)


@pytest.mark.parametrize("classes", [2, 4, 7])
def test_the_brier_score_is_scikit_learns(classes):
    rows, truth = probabilities(classes)
    witness = brier_score_loss(truth, rows, labels=range(classes), scale_by_half=False)
    assert brier(rows, truth) == pytest.approx(witness, abs=1e-12)


def test_the_brier_score_from_best_to_worst():
    assert brier(np.eye(3), [0, 1, 2]) == 0
    assert brier(np.eye(3), [1, 2, 0]) == 2
    assert brier([[0.5, 0.25, 0.25]], [0]) == 0.25 + 0.0625 + 0.0625


@pytest.mark.parametrize("bins", [1, 2, 15])
def test_the_reliability_curve_adds_up_to_the_calibration_error(bins):
    rows, truth = probabilities()
    curve = reliability(rows, truth, bins)
    assert curve.ece == pytest.approx(
        expected_calibration_error(rows, truth.tolist(), labels=range(4), bins=bins), abs=1e-12
    )
    assert curve.count.sum() == len(truth)


def test_the_reliability_curve_by_hand():
    rows = [[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.6, 0.4, 0.0], [0.5, 0.25, 0.25]]
    curve = reliability(rows, [0, 0, 1, 0], bins=2)
    assert curve.count.tolist() == [1, 3]
    assert curve.confidence == pytest.approx([0.5, 2.2 / 3], abs=1e-12)
    assert curve.accuracy == pytest.approx([1.0, 2 / 3], abs=1e-12)
    assert np.isnan(reliability(rows, [0, 0, 1, 0], bins=4).confidence).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("rows", "truth", "message"),
    [
        ([[0.5, 0.5]], [0, 1], "one row per true class"),
        ([], [], "at least one row"),
        ([[0.5, 0.6]], [0], "sum to 1"),
        ([[1.5, -0.5]], [0], "negative"),
        ([[math.nan, 1.0]], [0], "NaN"),
        ([[0.5, 0.5]], [2], "0 to 1"),
        ([[0.5, 0.5]], [0.0], "integers"),
    ],
)
def test_what_is_no_distribution_is_refused(rows, truth, message):
    for function in (brier, reliability):
        with pytest.raises(MetricError, match=message):
            function(rows, truth)


def test_a_curve_has_at_least_one_bin():
    with pytest.raises(MetricError, match="0 bins"):
        reliability([[1.0, 0.0]], [0], bins=0)
