"""Embeddings in two dimensions, and how far their classes spread within themselves and between each other."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serotone.errors import MetricError, MissingExtraError


def principal_plane(points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Principal component analysis: coordinates (N, 2) and the share (2,), in [0, 1], of the variance each explains.

    Points (N, D) are centred, not scaled. An axis points to where its loading of the largest size is positive, the
    first of equals, so that the same points always give the same picture.

    Raises:
        MetricError: there are fewer than two points or dimensions, one is not finite, or all points are the same.

    >>> coordinates, explained = principal_plane([[0, 0], [2, 0], [0, 1], [2, 1]])
    >>> coordinates.tolist(), explained.tolist()
    ([[-1.0, -0.5], [1.0, -0.5], [-1.0, 0.5], [1.0, 0.5]], [0.8, 0.2])

    """
    table = _points(points)
    if table.shape[0] < 2 or table.shape[1] < 2:
        raise MetricError(f"points of shape {table.shape}; a plane needs at least two points of two dimensions")
    centred = table - table.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    variance = sizes**2
    if not sizes[0] > 1e-12 * np.abs(table).max():  # else the points differ by rounding alone
        raise MetricError(f"{len(table)} points that are all the same; a plane needs points that differ")
    axes = axes[:2]
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    return centred @ (axes * signs[:, None]).T, variance[:2] / variance.sum()


def class_spread(points: ArrayLike, classes: ArrayLike) -> tuple[float, float]:
    """Spread within and between classes, both in squared units of the points (N, D).

    Within is the mean over points of the squared distance to the centre of the point's own class, between the mean over
    points of the squared distance from that centre to the mean of all points. Their sum is the total variance: a large
    class weighs as much as its points. A scale-free measure is within / between.

    Raises:
        MetricError: there is no point, one is not finite, or classes (N,) are of another length.

    >>> class_spread([[0, 0], [2, 0], [10, 0], [12, 0]], ["sad", "sad", "angry", "angry"])
    (1.0, 25.0)

    """
    table = _points(points)
    named = np.asarray(classes)
    if named.shape != (len(table),):
        raise MetricError(f"{len(table)} points and classes of shape {named.shape}; give one class per point")
    _, place, sizes = np.unique(named, return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), table.shape[1]))
    np.add.at(sums, place, table)
    centres = (sums / sizes[:, None])[place]
    within = np.square(table - centres).sum(axis=1).mean()
    between = np.square(centres - table.mean(axis=0)).sum(axis=1).mean()
    return float(within), float(between)


def umap_plane(points: ArrayLike, *, neighbours: int = 15, seed: int = 0) -> NDArray[np.float64]:
    """Coordinates (N, 2) by UMAP (McInnes et al., 2018); near points stay near, and far distances mean little.

    Raises:
        MetricError: there are no more points than ``neighbours``, or one is not finite.
        MissingExtraError: umap-learn is not installed.
    """
    table = _points(points)
    if not 2 <= neighbours < len(table):
        raise MetricError(f"{neighbours} neighbours among {len(table)} points; give at least 2, and fewer than points")
    try:
        import umap
    except ImportError as error:
        raise MissingExtraError("UMAP", "umap") from error
    # One thread, else the seed does not decide.
    made = umap.UMAP(n_components=2, n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(table)
    return np.asarray(made, dtype=np.float64)


def _points(points: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(points, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise MetricError(f"points of shape {table.shape}; expected (N, D), at least one point")
    if not np.isfinite(table).all():
        raise MetricError("a point that is NaN or infinite; leave such points out and say so")
    return table
