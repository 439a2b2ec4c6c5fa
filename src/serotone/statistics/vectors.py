"""What vectors show of classes: the plane in which they vary most, the spread within and between classes."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def principal_axes(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Principal component analysis of points (N, D) that differ: two axes (D, 2), and the variance share of each (2,).

    Points are centred, not scaled. The largest loading of an axis is positive, so that the same points always give the
    same picture.
    """
    _, sizes, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    signs = np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])
    return (axes[:2] * signs[:, None]).T, sizes[:2] ** 2 / (sizes**2).sum()


def class_spread(points: ArrayLike, classes: ArrayLike) -> tuple[float, float]:
    """Spread within and between classes, both in squared units of the points (N, D).

    Within is the mean over points of the squared distance to the centre of the point's own class, between the mean over
    points of the squared distance from that centre to the mean of all points. Their sum is the total variance: a large
    class weighs as much as its points.

    >>> class_spread([[0, 0], [2, 0], [10, 0], [12, 0]], ["sad", "sad", "angry", "angry"])
    (1.0, 25.0)

    """
    table, named = np.asarray(points, dtype=np.float64), np.asarray(classes)
    centres = np.empty_like(table)
    for name in np.unique(named):
        centres[named == name] = table[named == name].mean(axis=0)
    within = np.square(table - centres).sum(axis=1).mean()
    between = np.square(centres - table.mean(axis=0)).sum(axis=1).mean()
    return float(within), float(between)
