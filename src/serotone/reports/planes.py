"""Embeddings on disk -> the plane in which the training part varies most; the spread within and between classes."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serotone.errors import RunError
from serotone.reports.cells import Cell, Table, number, percent, text
from serotone.reports.collect import Collection, Row
from serotone.reports.embedding import class_spread, principal_plane, umap_plane

PARTS = ("train", "test")


@dataclass(frozen=True, slots=True)
class Part:
    """Embeddings (N, D) of one part of a fold with the class (N,) of each."""

    points: NDArray[np.float64]
    classes: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plane:
    """Both parts of one fold in the two directions in which its training part varies most."""

    row: Row
    fold: str
    labels: tuple[str, ...]
    points: Mapping[str, NDArray[np.float64]]  # (N, 2) by part
    classes: Mapping[str, NDArray[np.int64]]  # (N,) by part
    explained: tuple[float, float]  # share of the training part's variance
    umap: Mapping[str, NDArray[np.float64]] | None = None  # (N, 2) by part, of both parts together


@dataclass(frozen=True, slots=True)
class Embedded:
    """What the embeddings of one row show."""

    row: Row
    plane: Plane | None  # of the first fold whose training part spreads at all
    spreads: Mapping[str, tuple[float, float]]  # within and between classes by part, mean over folds
    folds: int


def embedded(collection: Collection, *, umap: bool = False) -> tuple[Embedded, ...]:
    """The rows whose embeddings were kept; with UMAP's coordinates beside the principal ones if asked for.

    Raises:
        RunError: A file of embeddings is damaged.
        MissingExtraError: umap-learn is asked for and not installed.
    """
    found = (_row(row, umap=umap) for row in collection.rows)
    return tuple(one for one in found if one is not None)


def _row(row: Row, *, umap: bool) -> Embedded | None:
    plane: Plane | None = None
    spreads: dict[str, list[tuple[float, float]]] = {part: [] for part in PARTS}
    folds = 0
    for run in row.runs:
        for fold in run.folds:
            if fold.embeddings is None:
                continue
            parts = _read(fold.embeddings, fold.labels)
            if any(len(part.points) < 2 for part in parts.values()):
                continue
            folds += 1
            for name, part in parts.items():
                spreads[name].append(class_spread(part.points, part.classes))
            if plane is None and np.ptp(parts["train"].points, axis=0).any():
                plane = _plane(row, f"seed {run.seed}, fold {fold.name}", fold.labels, parts)
                if umap:
                    together = umap_plane(np.concatenate([parts[part].points for part in PARTS]))
                    places = np.split(together, [len(parts["train"].points)])
                    plane = replace(plane, umap=dict(zip(PARTS, places, strict=True)))
    if not folds:
        return None
    means = {part: tuple(np.mean(values, axis=0).tolist()) for part, values in spreads.items()}
    return Embedded(row, plane, {part: (within, between) for part, (within, between) in means.items()}, folds)


def _read(path: Path, labels: tuple[str, ...]) -> dict[str, Part]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            part, truth, points = (file[key] for key in ("part", "truth", "embedding"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: expected the arrays part, truth and embedding: {error}; remove the file") from None
    if points.ndim != 2 or part.shape != truth.shape or truth.shape != points.shape[:1]:
        raise RunError(f"{path}: shapes {part.shape}, {truth.shape} and {points.shape} do not fit; remove the file")
    if not np.isfinite(points).all():
        raise RunError(f"{path}: an embedding is NaN or infinite; its training diverged; remove the file")
    if strangers := sorted(set(truth.tolist()) - set(labels)):
        raise RunError(
            f"{path}: classes {', '.join(strangers)}, where the run has {', '.join(labels)}; remove the file"
        )
    classes = np.array([labels.index(str(one)) for one in truth], dtype=np.int64)
    return {name: Part(points[part == name].astype(np.float64), classes[part == name]) for name in PARTS}


def _plane(row: Row, fold: str, labels: tuple[str, ...], parts: Mapping[str, Part]) -> Plane:
    train = parts["train"].points
    coordinates, explained = principal_plane(train)
    # Coordinates are linear in the centred points: the axes that made them place the test part in the same plane.
    axes = np.linalg.lstsq(train - train.mean(axis=0), coordinates, rcond=None)[0]  # (D, 2)
    return Plane(
        row=row,
        fold=fold,
        labels=labels,
        points={"train": coordinates, "test": (parts["test"].points - train.mean(axis=0)) @ axes},
        classes={name: part.classes for name, part in parts.items()},
        explained=(float(explained[0]), float(explained[1])),
    )


def spreads(rows: tuple[Embedded, ...]) -> Table:
    """Spread within and between classes, training and test parts apart."""
    lines: list[tuple[Cell, ...]] = []
    for one in rows:
        for part, (within, between) in one.spreads.items():
            share = between / (within + between) if within + between else None
            lines.append(
                (
                    text(f"{one.row.label}, {part}"),
                    percent(share, "share between classes"),
                    number(within, "within", "squared units of z", decimals=2),
                    number(between, "between", "squared units of z", decimals=2),
                    number(one.folds, "folds", "folds"),
                )
            )
    return Table(
        "embeddings",
        "Spread of z within and between classes",
        ("row and part", "share of the variance between classes", "within classes", "between classes", "folds"),
        tuple(lines),
        "z is the embedding that the classifier reads; its unit differs between rows, so only the share compares them."
        " Within: mean squared distance to the centre of the own class. Between: mean squared distance of the class"
        " centres to the centre of all. Means over folds. All dimensions count, not only the two that are drawn.",
    )
