"""The figures of a report: which there are, what each shows, and how it is drawn when it is asked for."""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from serotone import statistics
from serotone.reports.analysis import METRICS, Analysis, SweepCurve
from serotone.reports.cells import share_of
from serotone.reports.collect import Row
from serotone.reports.figures.confusions import confusion
from serotone.reports.figures.forest import Line, intervals
from serotone.reports.figures.lines import curves, sweep
from serotone.reports.figures.plane import embedding_plane
from serotone.reports.figures.reliability import reliability
from serotone.reports.figures.style import save
from serotone.reports.planes import Embedded
from serotone.reports.published import other
from serotone.statistics import Metric

LARGEST_SVG = 300_000
"""Bytes above which a page carries a figure as PNG; ``figures/`` holds both."""
ENLARGED = 1.1 * 4 / 3
"""Pixels on the page for a point of a figure, of which an inch has 72."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: where on the page it stands, the name of its files, and what it shows that its section does not say."""

    place: str
    stem: str
    draw: Callable[[], Figure]
    about: str = ""

    def save(self, folder: Path) -> tuple[str, int]:
        """Write the figure as PNG and SVG; the one that the page carries as a data URL, with its width in pixels."""
        figure = self.draw()
        png, svg = save(figure, folder / self.stem)
        drawing = svg.read_bytes()
        data, kind = (drawing, "svg+xml") if len(drawing) <= LARGEST_SVG else (png.read_bytes(), "png")
        url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        return url, round(ENLARGED * 72 * float(figure.get_figwidth()))


def pictures(analysis: Analysis, rows: Sequence[Embedded]) -> Iterator[Picture]:
    """Every figure that has something to show."""
    results = list(analysis.results.values())
    if not results:
        return
    stems = _stems(analysis)
    yield from _scores(analysis)
    yield from _differences(analysis)
    for place, curve in enumerate(analysis.curves):
        if curve.numeric and any(row.folds for _, row in curve.points):
            yield from _sweep(analysis, curve, f"sweep-{place}-{slug(curve.sweep.key)}")
    for row in analysis.collection.rows:
        of, published, stem = analysis.results.get(row.name), row.published.confusion, f"confusion-{stems[row.name]}"
        if of is not None:
            title = f"Ours: {label(row)}"
            yield Picture("confusions", stem, partial(confusion, of.confusion, of.labels, title=title), title)
            yield from _curves(row, stems[row.name])
        if published is not None:
            title = f"{source(analysis).capitalize()}: {row.label}"
            shares = np.array(published.percent, dtype=np.float64) / 100  # None becomes NaN
            draw = partial(confusion, shares, published.labels, title=title, counted=False)
            yield Picture("confusions", f"{stem}-published", draw, title)
    panels = {label(of.row): statistics.reliability(of.probabilities, of.answers.truth) for of in results}
    yield Picture("calibration", "reliability", partial(reliability, panels))
    for one in rows:
        yield from _embeddings(one, stems[one.row.name])


def slug(name: str) -> str:
    """A name that can be part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.=+-]+", "_", name).strip("_.") or "row"


def _stems(analysis: Analysis) -> dict[str, str]:
    """A part of a file's name for every row; no two are alike."""
    stems: dict[str, str] = {}
    for row in analysis.collection.rows:
        stem = slug(row.name).lower()
        ends = ["", *(f"-{number}" for number in range(2, len(stems) + 2))]
        stems[row.name] = next(stem + end for end in ends if stem + end not in stems.values())
    return stems


def label(row: Row) -> str:
    """A row's label, and how much of it was run where that is not all."""
    return _partly(row.label, row.done) if row.folds and not row.whole else row.label


def _partly(label: str, done: str) -> str:
    """``CRNN (3 of 10 folds)``, the brackets on one line."""
    return f"{label} " + f"({done} folds)".replace(" ", "\N{NO-BREAK SPACE}")


def source(analysis: Analysis) -> str:
    """``published, on iemocap``: it may be another corpus than ours."""
    where = analysis.collection.study.published_on
    return f"published, on {where}" if where else "published"


def _published(analysis: Analysis, row: Row, metric: Metric) -> float | None:
    """The published score of a row, in [0, 1]; None where there is none that may stand next to ours."""
    return None if other(analysis.collection, row) else share_of(getattr(row.published, metric))


def _scores(analysis: Analysis) -> Iterator[Picture]:
    """The intervals; a row that has scores and no interval is left to the table."""
    for metric in METRICS:
        lines = []
        for row in analysis.collection.rows:
            of = analysis.results.get(row.name)
            score, chance = (of.scores[metric].interval, of.chance(metric)) if of else (None, None)
            if of is None or score is not None:
                lines.append(Line(label(row), score, _published(analysis, row, metric), chance))
        if any(line.interval for line in lines):
            draw = partial(intervals, lines, x_title=f"{metric.upper()} (%)", source=source(analysis))
            diamonds = f" Diamonds: {source(analysis)}." if any(line.published is not None for line in lines) else ""
            yield Picture("scores", f"scores-{metric}", draw, f"{metric.upper()}.{diamonds}")


def _differences(analysis: Analysis) -> Iterator[Picture]:
    for metric in METRICS:
        lines = [
            Line(_against(paired.a, paired.b), difference)
            for paired in analysis.pairs
            if paired.comparisons and (difference := paired.comparisons[metric].difference)
        ]
        if lines:
            draw = partial(intervals, lines, x_title=f"Difference in {metric.upper()} (points)", zero=True)
            yield Picture("comparisons", f"differences-{metric}", draw, metric.upper())


def _against(a: Row, b: Row) -> str:
    """Both labels, and how many folds both have where those are not all."""
    name = f"{a.label} − {b.label}"
    folds_a, folds_b = ({(run.seed, fold.name) for run, fold in row.finished} for row in (a, b))
    return name if a.whole and b.whole else _partly(name, f"{len(folds_a & folds_b)} of {a.planned or '?'}")


def _sweep(analysis: Analysis, curve: SweepCurve, stem: str) -> Iterator[Picture]:
    parts = [f"{x:g} ({row.done})" for x, row in curve.known if row.folds and not row.whole]
    gone = [row.label for value, row in curve.points if (value, row) not in curve.known]
    about = f"over {curve.title}" + (f". Not every fold is finished at {', '.join(parts)}" if parts else "")
    about += f". Not run: {', '.join(gone)}" if gone else ""
    x = [float(value) for value, _ in curve.known]
    for metric in METRICS:
        columns = []
        for _, row in curve.known:
            of = analysis.results.get(row.name)
            score = of.scores[metric] if of else None
            limits = (score.interval.low, score.interval.high) if score and score.interval else (None, None)
            columns.append((score.pooled if score else None, *limits, _published(analysis, row, metric)))
        scores = np.array(columns, dtype=np.float64).T  # None becomes NaN
        titles = {"source": source(analysis), "x_label": curve.title, "y_label": f"{metric.upper()} (%)"}
        draw = partial(sweep, x, scores, log=curve.sweep.log and min(x) > 0, **titles)
        yield Picture("sweeps", f"{stem}-{metric}", draw, f"{metric.upper()} {about}")


def _embeddings(one: Embedded, stem: str) -> Iterator[Picture]:
    plane = one.plane
    if plane is None:  # every embedding is the same: there is nothing to draw, and the table says so
        return
    shares = [f"({100 * share:.1f} % of the training variance)" for share in plane.explained]
    titles = [f"Component {n} {share}" for n, share in enumerate(shares, start=1)]
    draw = partial(embedding_plane, classes=plane.classes, labels=plane.labels, title=one.row.label)
    about = f"{one.row.label}, {plane.fold}"
    yield Picture("embeddings", f"embeddings-{stem}", partial(draw, plane.points, axes_titles=titles), about)
    if plane.umap is not None:
        titles = ["UMAP 1 (no unit)", "UMAP 2 (no unit)"]
        yield Picture("umap", f"umap-{stem}", partial(draw, plane.umap, axes_titles=titles), about)


def _curves(row: Row, stem: str) -> Iterator[Picture]:
    """Learning curves; why there is no score where there is none."""
    folds = [(run, fold) for run, fold in row.finished if {"step", "loss"} <= {*fold.curves}]
    if not folds:
        return
    validated = all("ua" in fold.curves for _, fold in folds)
    some = any(fold.clips.get("validation") for _, fold in folds)
    why = "not every fold was validated" if some else "the protocol has no validation part"
    shown = " and UA of the validation part" if validated else f"; there is no score, because {why}"
    several = len({run.seed for run, _ in folds}) > 1
    lines = {(f"seed {run.seed}, " if several else "") + f"fold {fold.name}": fold.curves for run, fold in folds}
    chosen = [None if fold.score is None else fold.step for _, fold in folds]
    draw = partial(curves, lines, chosen, validated=validated)
    yield Picture("training", f"curves-{stem}", draw, f"{label(row)}: loss in training{shown}")
