"""The plane against scikit-learn, the spreads against the law of total variance, both against hand-placed points."""

import importlib.util
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA

from serotone.errors import MissingExtraError
from serotone.reports.planes import umap_plane
from serotone.statistics import class_spread, principal_axes

RANDOM = np.random.default_rng(5)
CLOUD = RANDOM.normal(size=(60, 9)) @ RANDOM.normal(size=(9, 9)) + 40
CLASSES = RANDOM.integers(0, 4, 60)


@pytest.mark.parametrize("shape", [(60, 9), (6, 9), (60, 2), (2, 5)])
def test_the_plane_is_that_of_scikit_learn(shape):
    points = CLOUD[: shape[0], : shape[1]]
    axes, explained = principal_axes(points)
    coordinates = (points - points.mean(axis=0)) @ axes
    witness = PCA(n_components=2, svd_solver="full").fit(points)
    theirs = witness.transform(points)
    signs = np.sign((coordinates * theirs).sum(axis=0))
    real = [0] if shape[0] == 2 else [0, 1]  # two points lie on a line: the second direction is rounding
    np.testing.assert_allclose(coordinates[:, real], (theirs * signs)[:, real], atol=1e-9)
    np.testing.assert_allclose(explained, witness.explained_variance_ratio_, atol=1e-12)


def test_the_largest_loading_of_each_axis_is_positive():
    # Moving one point up the dimension of the largest loading must raise its coordinate: here dimension 3, then 1.
    points = np.zeros((4, 4))
    points[:, 3] = [-9, 9, -9, 9]
    points[:, 1] = [-2, -2, 2, 2]
    for flipped in (points, -points, points[::-1]):
        axes, _ = principal_axes(flipped + 5)
        np.testing.assert_allclose(flipped @ axes, flipped[:, [3, 1]], atol=1e-12)


def test_spreads_worked_out_by_hand():
    # sad around (1, 0), angry alone at (4, 4); the mean of all is (2, 4/3)
    within, between = class_spread([[0, 0], [2, 0], [4, 4]], ["sad", "sad", "angry"])
    assert within == pytest.approx(2 / 3, abs=1e-15)
    assert between == pytest.approx((2 * (1 + 16 / 9) + (4 + 64 / 9)) / 3, abs=1e-14)


def test_within_and_between_add_up_to_the_total_variance():
    within, between = class_spread(CLOUD, CLASSES)
    assert within + between == pytest.approx(CLOUD.var(axis=0).sum(), rel=1e-12)
    centres = np.array([CLOUD[index == CLASSES].mean(axis=0) for index in range(4)])
    assert within == pytest.approx(np.mean([np.sum((p - centres[c]) ** 2) for p, c in zip(CLOUD, CLASSES)]), rel=1e-12)


def test_umap_says_how_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"serotone\[umap\]"):
        umap_plane(CLOUD)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("umap") is None, reason="umap-learn is not installed")
@pytest.mark.filterwarnings("ignore")  # those of umap's own dependencies
def test_umap_parts_what_is_apart_the_same_way_each_time():
    apart = np.concatenate([RANDOM.normal(size=(30, 9)), RANDOM.normal(size=(30, 9)) + 50])
    coordinates = umap_plane(apart, neighbours=10)
    assert np.array_equal(coordinates, umap_plane(apart, neighbours=10))
    within, between = class_spread(coordinates, np.repeat([0, 1], 30))
    assert between > 5 * within
