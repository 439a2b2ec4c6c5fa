"""Embeddings -> the plane in which the training part varies most; the spread within and between classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serotone.errors import MissingExtraError
from serotone.reports.cells import Table, number, percent, text
from serotone.reports.collect import Collection, Row
from serotone.runs.reading import read_embeddings
from serotone.statistics import class_spread, principal_axes

PARTS = ("train", "test")
Parts = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Plane:
    """One fold in the two directions in which its training part varies most."""

    fold: str
    labels: tuple[str, ...]
    points: Parts  # (N, 2) by part
    classes: Mapping[str, NDArray[np.int64]]  # (N,) by part
    explained: NDArray[np.float64]  # (2,) shares of the training part's variance
    umap: Parts | None  # (N, 2) by part, of both parts together


@dataclass(frozen=True, slots=True)
class Embedded:
    """What the embeddings of one row show."""

    row: Row
    plane: Plane | None  # of the first fold whose training part spreads at all, in two dimensions or more
    spreads: Mapping[str, Sequence[float]]  # within and between classes by part, mean over folds
    folds: int


def embedded(collection: Collection, *, umap: bool = False) -> list[Embedded]:
    """The rows whose embeddings were kept; with UMAP's coordinates next to the principal ones if asked for.

    Raises:
        RunError: A file of embeddings is damaged.
        MissingExtraError: umap-learn is asked for and not installed.
    """
    rows = []
    for row in collection.rows:
        plane, spreads = None, []
        for run, fold in row.finished:
            if not fold.has_embeddings:
                continue
            points, classes = read_embeddings(fold)
            if min(map(len, points.values())) < 2:
                continue
            spreads.append([class_spread(points[part], classes[part]) for part in PARTS])
            if plane is None and points["train"].shape[1] > 1 and np.ptp(points["train"], axis=0).any():
                axes, explained = principal_axes(points["train"])
                flat = {part: (of - points["train"].mean(axis=0)) @ axes for part, of in points.items()}
                together = umap_plane(np.concatenate([points[part] for part in PARTS])) if umap else None
                near = None if together is None else dict(zip(PARTS, np.split(together, [len(points["train"])])))
                plane = Plane(f"seed {run.seed}, fold {fold.name}", fold.labels, flat, classes, explained, near)
        if spreads:
            means = np.mean(spreads, axis=0).tolist()
            rows.append(Embedded(row, plane, dict(zip(PARTS, means, strict=True)), len(spreads)))
    return rows


def umap_plane(points: NDArray[np.float64], *, neighbours: int = 15) -> NDArray[np.float64]:
    """Coordinates (N, 2) by UMAP (McInnes et al., 2018); near points stay near, and far distances mean little.

    Raises:
        MissingExtraError: umap-learn is not installed.
    """
    try:
        import umap
    except ImportError as error:
        raise MissingExtraError("UMAP", "umap") from error
    # One thread, else the seed does not decide.
    made = umap.UMAP(n_components=2, n_neighbors=min(neighbours, len(points) - 1), random_state=0, n_jobs=1)
    return np.asarray(made.fit_transform(points), dtype=np.float64)


def spreads(rows: list[Embedded]) -> Table:
    """Spread within and between classes, training and test parts apart."""
    lines = [
        (
            text(f"{one.row.label}, {part}"),
            percent(between / (within + between) if within + between else None, "share between classes"),
            number(within, "within", "squared units of z", shown="{:.2f}"),
            number(between, "between", "squared units of z", shown="{:.2f}"),
            number(one.folds, "folds", "folds"),
        )
        for one in rows
        for part, (within, between) in one.spreads.items()
    ]
    columns = ("row and part", "share of the variance between classes", "within classes", "between classes", "folds")
    return Table("embeddings", "Spread of z within and between classes", columns, tuple(lines))
