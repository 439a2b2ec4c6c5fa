"""The figures of a report: which there are, what each shows, and how it is drawn when it is asked for."""

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from serotone.reports import figures
from serotone.reports.analysis import METRICS, Analysis, Metric, SweepCurve
from serotone.reports.cells import share_of
from serotone.reports.collect import Row
from serotone.reports.figures.forest import Line
from serotone.reports.planes import Embedded
from serotone.reports.published import other
from serotone.runs.reading import Fold, Run
from serotone.statistics import simulated_coverage

LARGEST_SVG = 300_000
"""Bytes above which a page carries a figure as PNG; ``figures/`` holds both."""
ENLARGED = 1.1 * 4 / 3
"""Pixels on the page for a point of a figure."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: where on the page it stands, the name of its files, and what it shows that its section does not say."""

    place: str
    stem: str
    draw: Callable[[], Figure]
    about: str = ""

    def save(self, folder: Path) -> tuple[str, int]:
        """Write the figure as PNG and SVG; the one that the page carries as a data URL, with its width in pixels."""
        png, svg = figures.save(self.draw(), folder / self.stem)
        drawing = svg.read_bytes()
        points = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', drawing)
        data, kind = (drawing, "svg+xml") if len(drawing) <= LARGEST_SVG else (png.read_bytes(), "png")
        url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        return url, round(ENLARGED * float(points[1])) if points else 0


def pictures(analysis: Analysis, rows: Sequence[Embedded]) -> Iterator[Picture]:
    """Every figure that has something to show."""
    results = list(analysis.results.values())
    stems = _stems(analysis)
    if not results:
        return
    for metric in METRICS:
        yield from _forest(analysis, metric)
    for metric in METRICS:
        yield from _differences(analysis, metric)
    for place, curve in enumerate(analysis.curves):
        if curve.numeric and any(point.result for point in curve.points):
            for metric in METRICS:
                stem = f"sweep-{place}-{slug(curve.sweep.key)}-{metric}"
                draw = partial(_sweep, analysis, curve, metric)
                yield Picture("sweeps", stem, draw, f"{metric.upper()} over {curve.title}{_unfinished(curve)}")
    for row in analysis.collection.rows:
        of, told, stem = analysis.of(row), row.published.confusion, f"confusion-{stems[row.name]}"
        if of is not None:
            title = f"Ours: {label(row)}"
            draw = partial(figures.confusion, of.confusion, of.labels, title=title)
            yield Picture("confusions", stem, draw, title)
        if told is not None:
            title = f"{source(analysis).capitalize()}: {row.label}"
            shares = np.array(told.percent, dtype=np.float64) / 100  # None becomes NaN
            draw = partial(figures.percent_confusion, shares, told.labels, title=title)
            yield Picture("confusions", f"{stem}-published", draw, title)
    reliability = {label(of.row): of.reliability for of in results}
    yield Picture("calibration", "reliability", partial(figures.reliability, reliability))
    for one in rows:
        yield from _embeddings(one, stems[one.row.name])
    for of in results:
        folds = [(run, fold) for run in of.row.runs for fold in run.folds if {"step", "loss"} <= {*fold.curves}]
        if folds:
            yield Picture("training", f"curves-{stems[of.row.name]}", *_curves(label(of.row), folds))


def slug(name: str) -> str:
    """A name that can be part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.=+-]+", "_", name).strip("_.") or "row"


def _stems(analysis: Analysis) -> dict[str, str]:
    """A part of a file's name for every row; no two are alike."""
    taken: dict[str, str] = {}
    for row in analysis.collection.rows:
        stem, number = slug(row.name).lower(), 1
        while stem in taken.values():
            number += 1
            stem = f"{slug(row.name)}-{number}".lower()
        taken[row.name] = stem
    return taken


def label(row: Row) -> str:
    """A row's label, and how much of it was run where that is not all."""
    return _partly(row.label, row.done) if row.folds and not row.whole else row.label


def _partly(label: str, done: str) -> str:
    """``CRNN (3 of 10 folds)``, the brackets on one line."""
    count = f"({done} folds)".replace(" ", "\N{NO-BREAK SPACE}")
    return f"{label} {count}"


def source(analysis: Analysis) -> str:
    """``published, on iemocap``: it may be another corpus than ours."""
    where = analysis.collection.published_on
    return f"published, on {where}" if where else "published"


def _forest(analysis: Analysis, metric: Metric) -> Iterator[Picture]:
    """The intervals; a row that has scores and no interval is left to the table."""
    lines = []
    for row in analysis.collection.rows:
        of = analysis.of(row)
        score = of.scores[metric].interval if of else None
        if of is None or score is not None:
            chance = of.chance(metric) if of else None
            told = share_of(getattr(row.published, metric)) if not other(analysis.collection, row) else None
            lines.append(Line(label(row), score, told, chance))
    if any(line.interval for line in lines):
        guess = simulated_coverage(metric, 0)[2]
        title, theirs = f"{metric.upper()} (%)", source(analysis)
        draw = partial(figures.intervals, lines, x_title=title, source=theirs, guess=guess)
        diamonds = f" Diamonds: {theirs}." if any(line.published is not None for line in lines) else ""
        yield Picture("scores", f"scores-{metric}", draw, f"{metric.upper()}.{diamonds}")


def _differences(analysis: Analysis, metric: Metric) -> Iterator[Picture]:
    rows = {row.name: row for row in analysis.collection.rows}
    lines = []
    for paired in analysis.pairs:
        difference = paired.comparisons[metric].difference if paired.comparisons else None
        if difference is not None:
            a, b = rows[paired.pair.a], rows[paired.pair.b]
            name = f"{a.label} − {b.label}"
            both = {(run.seed, f.name) for run in a.runs for f in run.folds} & {
                (run.seed, f.name) for run in b.runs for f in run.folds
            }
            lines.append(
                Line(name if a.whole and b.whole else _partly(name, f"{len(both)} of {a.planned or '?'}"), difference)
            )
    if lines:
        guess, title = simulated_coverage(metric, 0)[2], f"Difference in {metric.upper()} (points)"
        draw = partial(figures.intervals, lines, x_title=title, zero=True, guess=guess)
        yield Picture("comparisons", f"differences-{metric}", draw, metric.upper())


def _sweep(analysis: Analysis, curve: SweepCurve, metric: Metric) -> Figure:
    scores = np.full((3, len(curve.points)), np.nan)
    for n, point in enumerate(curve.points):
        if point.result is not None:
            score = point.result.scores[metric]
            scores[0, n] = score.pooled
            if score.interval is not None:
                scores[1:, n] = score.interval.low, score.interval.high
    told = {
        float(point.x): share_of(getattr(point.row.published, metric))
        for point in curve.points
        if not other(analysis.collection, point.row)
    }
    return figures.sweep(
        [float(point.x) for point in curve.points],
        scores,
        log=curve.sweep.log and all(point.x > 0 for point in curve.points),
        published={x: share for x, share in told.items() if share is not None},
        source=source(analysis),
        x_label=curve.title,
        y_label=f"{metric.upper()} (%)",
    )


def _unfinished(curve: SweepCurve) -> str:
    parts = [f"{p.x:g} ({p.row.done})" for p in curve.points if p.result and not p.row.whole]
    return f". Not every fold is finished at {', '.join(parts)}" if parts else ""


def _embeddings(one: Embedded, stem: str) -> Iterator[Picture]:
    plane = one.plane
    if plane is None:  # every embedding is the same: there is nothing to draw, and the table says so
        return
    first, second = (f"{100 * share:.1f} %" for share in plane.explained)
    axes = f"Component 1 ({first} of the training variance)", f"Component 2 ({second} of the training variance)"
    drawn = partial(figures.embedding_plane, classes=plane.classes, labels=plane.labels, title=one.row.label)
    about = f"{one.row.label}, {plane.fold}"
    yield Picture("embeddings", f"embeddings-{stem}", partial(drawn, plane.points, axes_titles=axes), about)
    if plane.umap is not None:
        axes = ("UMAP 1 (no unit)", "UMAP 2 (no unit)")
        yield Picture("umap", f"umap-{stem}", partial(drawn, plane.umap, axes_titles=axes), about)


def _curves(name: str, folds: Sequence[tuple[Run, Fold]]) -> tuple[Callable[[], Figure], str]:
    """Learning curves, and what they show; why there is no score where there is none."""
    validated = all("ua" in fold.curves for _, fold in folds)
    some = any(fold.clips.get("validation") for _, fold in folds)
    why = "not every fold was validated" if some else "the protocol has no validation part"
    shown = " and UA of the validation part" if validated else f"; there is no score, because {why}"
    several = len({run.seed for run, _ in folds}) > 1
    lines: Mapping[str, Mapping[str, NDArray[np.float64]]] = {
        f"{f'seed {run.seed}, ' if several else ''}fold {fold.name}": fold.curves for run, fold in folds
    }
    chosen = [None if fold.score is None else fold.step for _, fold in folds]
    draw = partial(figures.curves, lines, chosen, score="ua" if validated else None)
    return draw, f"{name}: loss in training{shown}"
