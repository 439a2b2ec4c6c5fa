"""A report's sections in their order: words, tables and figures."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from serotone.reports import circumstances, classes, figures, planes, recall, tables
from serotone.reports.analysis import METRICS, Analysis, Metric, Result, SweepCurve, published_of
from serotone.reports.cells import Table
from serotone.reports.collect import Row
from serotone.runs.reading import Fold, Run


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that is drawn when it is asked for, the name of its files, and what it shows in words."""

    stem: str
    caption: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands under it."""

    key: str
    title: str
    words: tuple[str, ...] = ()
    blocks: tuple[Table | Picture, ...] = ()


def sections(analysis: Analysis, *, umap: bool = False) -> list[Section]:
    """Every section that has something to say, in order; with UMAP of the embeddings if asked for."""
    makers: tuple[Callable[[Analysis], Section | None], ...] = (
        *(_scores, _published, _comparisons, _sweeps, _confusions, _classes, _speakers, _calibration),
        *(partial(_embeddings, umap=umap), _training, _shared, _circumstances, _mistakes, _missing),
    )
    return [section for make in makers if (section := make(analysis)) is not None]


def slug(name: str) -> str:
    """A name that can be part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.=+-]+", "_", name).strip("_.") or "row"


def _stems(analysis: Analysis) -> dict[str, str]:
    """A part of a file's name for every row; no two are alike."""
    taken: dict[str, str] = {}
    for row in analysis.collection.rows:
        stem, number = slug(row.name), 1
        while stem.lower() in taken.values():
            number += 1
            stem = f"{slug(row.name)}-{number}"
        taken[row.name] = stem.lower()
    return taken


def _results(analysis: Analysis) -> list[Result]:
    return [found for row in analysis.collection.rows if (found := analysis.of(row)) is not None]


def _label(row: Row) -> str:
    """A row's label, and how much of it was run where that is not all."""
    return _partly(row.label, row.folds, row.planned) if row.folds and not row.whole else row.label


def _partly(label: str, folds: int, planned: int | None) -> str:
    """``CRNN (3 of 10 folds)``, the brackets on one line."""
    count = f"({folds} of {planned or '?'} folds)".replace(" ", "\N{NO-BREAK SPACE}")
    return f"{label} {count}"


def _ours(analysis: Analysis) -> str:
    return " + ".join(sorted({name for row in analysis.collection.rows for run in row.runs for name in run.corpora}))


def _theirs(analysis: Analysis, published: str = "published") -> str:
    """``published, on iemocap``: another corpus than ours, it may be."""
    where = analysis.collection.published_on
    return f"{published}, on {where}" if where else published


def _scores(analysis: Analysis) -> Section:
    words = (
        "WA, weighted accuracy, is the share of correct answers. UA, unweighted accuracy, is the mean of the classes'"
        " recalls, so that rare emotions count as much as frequent ones. Both are in percent. Three figures stand for"
        " each: the mean and standard deviation of the folds' scores; the pooled score of all answers of a run"
        " together; and the 95 % interval of the pooled score, which takes speakers, not utterances, as the unit.",
    )
    return Section("scores", "Scores", words, (tables.scores(analysis), *_forests(analysis)))


def _forests(analysis: Analysis) -> list[Picture]:
    """The intervals; a row that has scores and no interval is left to the table."""
    rows = [row for row in analysis.collection.rows if (r := analysis.of(row)) is None or r.scores["ua"].interval]
    if not any(analysis.of(row) for row in rows):
        return []
    return [_scored(analysis, rows, metric) for metric in METRICS]


def _scored(analysis: Analysis, rows: list[Row], metric: Metric) -> Picture:
    lines = []
    for row in rows:
        found, told = analysis.of(row), published_of(row)
        interval = found.scores[metric].interval if found else None
        lines.append((_label(row), interval, told.ua if metric == "ua" else told.wa))
    name, source = metric.upper(), _theirs(analysis)
    caption = f"{name} of every row that has an interval, on {_ours(analysis)}: pooled, with its 95 % interval."
    if any(told is not None for *_, told in lines):
        caption += f" Diamonds: {source}."
    draw = partial(figures.intervals, lines, x_title=f"{name} (%)", source=source)
    return Picture(f"scores-{metric}", caption, draw)


def _published(analysis: Analysis) -> Section | None:
    table, differing = tables.published(analysis), circumstances.differences(analysis.collection)
    if table is None:
        return None
    return Section("published", "Beside the published figures", (), (table, *([differing] if differing else [])))


def _comparisons(analysis: Analysis) -> Section:
    found = tables.comparisons(analysis)
    if not found:
        return Section("comparisons", "Comparisons", ("None: only a study says which rows are to be compared.",))
    words = (
        "Both rows of a comparison answered the same utterances after training on the same parts. A p below .05 after"
        " Holm's correction is called significant. What is not significant is not thereby shown to be equal: the"
        " interval says how large the difference may still be.",
    )
    pictures = (_differences(analysis, metric) for metric in METRICS)
    return Section("comparisons", "Comparisons", words, (*found, *(p for p in pictures if p is not None)))


def _differences(analysis: Analysis, metric: Metric) -> Picture | None:
    rows = {row.name: row for row in analysis.collection.rows}
    lines = {}
    for paired in analysis.pairs:
        difference = paired.comparisons[metric].difference if paired.comparisons else None
        if difference is not None:
            a, b = rows[paired.pair.a], rows[paired.pair.b]
            label, common = f"{a.label} − {b.label}", len(_folds(a) & _folds(b))
            lines[label if a.whole and b.whole else _partly(label, common, a.planned)] = difference
    if not lines:
        return None
    return Picture(
        f"differences-{metric}",
        f"Differences in {metric.upper()}, a minus b, mean over speakers, with 95 % intervals.",
        lambda: figures.intervals(
            [(label, found, None) for label, found in lines.items()],
            x_title=f"Difference in {metric.upper()} (points)",
            zero=True,
        ),
    )


def _folds(row: Row) -> set[tuple[int, str]]:
    return {(run.seed, fold.name) for run in row.runs for fold in run.folds}


def _sweeps(analysis: Analysis) -> Section | None:
    blocks: list[Table | Picture] = []
    for place, curve in enumerate(analysis.curves):
        blocks.append(classes.sweep(curve))
        if curve.numeric and any(point.result for point in curve.points):
            blocks += [_sweep(curve, metric, place, _theirs(analysis)) for metric in METRICS]
    return Section("sweeps", "Sweeps", (), tuple(blocks)) if blocks else None


def _sweep(curve: SweepCurve, metric: Metric, place: int, source: str) -> Picture:
    fixed = f", {curve.fixed}" if curve.fixed else ""

    def draw() -> Figure:
        ours = np.full((3, len(curve.points)), np.nan)
        told = []
        for n, point in enumerate(curve.points):
            theirs = published_of(point.row)
            value = theirs.ua if metric == "ua" else theirs.wa
            if value is not None:
                told.append((float(point.x), value))
            if point.result is not None:
                score = point.result.scores[metric]
                bounds = score.interval
                ours[:, n] = score.pooled, *((bounds.low, bounds.high) if bounds else (np.nan, np.nan))
        mean, low, high = ours
        return figures.sweep(
            [float(point.x) for point in curve.points],
            mean,
            low,
            high,
            x_label=curve.sweep.key + fixed,
            log=curve.sweep.log and all(point.x > 0 for point in curve.points),
            published=([x for x, _ in told], [y for _, y in told]) if told else None,
            source=source,
            y_label=f"{metric.upper()} (%)",
        )

    stem = f"sweep-{place}-{slug(curve.sweep.key)}-{metric}"
    partly = [
        f"{p.x:g} ({p.row.folds} of {p.row.planned or '?'})" for p in curve.points if p.result and not p.row.whole
    ]
    said = f" Not every fold is finished at {', '.join(partly)}." if partly else ""
    return Picture(stem, f"{metric.upper()} over {curve.sweep.key}{fixed}, with 95 % intervals.{said}", draw)


def _confusions(analysis: Analysis) -> Section | None:
    stems, blocks = _stems(analysis), list[Table | Picture]()
    for row in analysis.collection.rows:
        found, told = analysis.of(row), published_of(row)
        if found is not None:
            title, stem = f"Ours: {_label(row)}", f"confusion-{stems[row.name]}"
            together = "All folds and seeds" if row.whole else "The finished folds"
            blocks.append(Picture(stem, f"{title}. {together} together.", _confusion(found, title)))
        if told.confusion is not None:
            title, stem = f"{_theirs(analysis, 'Published')}: {row.label}", f"confusion-{stems[row.name]}-published"
            blocks.append(Picture(stem, f"{title}.", _published_confusion(row, title)))
        blocks += [table for table in (found and classes.confusion(found), classes.published_confusion(row)) if table]
    return Section("confusions", "Confusion matrices", (), tuple(blocks)) if blocks else None


def _confusion(found: Result, title: str) -> Callable[[], Figure]:
    return lambda: figures.confusion(found.confusion, found.labels, title=title)


def _published_confusion(row: Row, title: str) -> Callable[[], Figure]:
    told = published_of(row)
    percent = 100 * (told.confusion if told.confusion is not None else np.empty((0, 0)))
    return lambda: figures.percent_confusion(percent, told.labels, title=title)


def _classes(analysis: Analysis) -> Section | None:
    found = _results(analysis)
    if not found:
        return None
    labels = classes.labels_of(found)

    def by_label(result: Result, values: np.ndarray) -> np.ndarray:
        known = dict(zip(result.labels, values.tolist(), strict=True))
        return np.array([known.get(label, np.nan) for label in labels])

    differences = recall.differences(analysis)
    blocks: list[Table | Picture] = [
        classes.recalls(analysis),
        *([differences] if differences else []),
        Picture(
            "recall",
            "Recall of each class.",
            lambda: figures.recall_bars({_label(one.row): by_label(one, one.recall) for one in found}, labels),
        ),
    ]
    table = classes.neutral(analysis)
    if table is not None:
        shares = {_label(one.row): by_label(one, share) for one in found if (share := one.as_neutral) is not None}
        caption = "Share of each other emotion that was called neutral."
        blocks += [table, Picture("neutral", caption, lambda: figures.neutral_share(shares, labels))]
    return Section("classes", "Classes", (), tuple(blocks))


def _speakers(analysis: Analysis) -> Section | None:
    found = classes.speakers(analysis)
    if not found:
        return Section("speakers", "Speakers", ("The corpus does not say who speaks.",)) if analysis.results else None
    pictures = [Picture(f"speakers-{m}", f"{m.upper()} of each speaker.", _of_speakers(analysis, m)) for m in METRICS]
    return Section("speakers", "Speakers", (), (*found, *pictures))


def _of_speakers(analysis: Analysis, metric: Metric) -> Callable[[], Figure]:
    results = [found for found in _results(analysis) if found.speakers_known]
    speakers = list(dict.fromkeys(name for found in results for name in found.scores[metric].speakers))
    scores = {}
    for found in results:
        row, of = found.row, found.scores[metric].speakers
        to_come = set() if row.whole else {heard.speaker for run in row.runs for heard in run.utterances.values()}
        scores[_label(row)] = {name: of.get(name, np.nan) for name in speakers if name in of or name not in to_come}
    return lambda: figures.speaker_scores(scores, score=metric.upper())


def _calibration(analysis: Analysis) -> Section | None:
    found = {_label(result.row): result.reliability for result in _results(analysis)}
    if not found:
        return None
    caption = "Accuracy against confidence; on the diagonal, confidence can be taken at its word."
    picture = Picture("reliability", caption, lambda: figures.reliability(found))
    return Section("calibration", "Calibration", (), (classes.calibration(analysis), picture))


def _embeddings(analysis: Analysis, *, umap: bool) -> Section:
    found = planes.embedded(analysis.collection, umap=umap)
    if not found:
        words = "Not run: no embeddings were kept. A study that says so (embeddings: true) keeps them."
        return Section("embeddings", "Embeddings", (words,))
    stems, blocks = _stems(analysis), list[Table | Picture]([planes.spreads(found)])
    for one in found:
        plane = one.plane
        if plane is None:  # every embedding is the same: there is nothing to draw, and the table says so
            continue
        caption = (
            f"{one.row.label}, {plane.fold}: z in the two directions in which the training part varies most"
            f" ({100 * plane.explained[0]:.1f} % and {100 * plane.explained[1]:.1f} % of its variance)."
        )
        first, second = (
            f"Component {n} ({100 * plane.explained[n - 1]:.1f} % of the training variance)" for n in (1, 2)
        )
        axes = (first, second)
        blocks.append(Picture(f"embeddings-{stems[one.row.name]}", caption, _plane(plane, plane.points, axes)))
        if plane.umap is not None:
            caption = (
                f"{one.row.label}, {plane.fold}: z by UMAP, fitted on training and test part together, without their"
                " classes. Near points are alike; far distances mean little."
            )
            drawn = _plane(plane, plane.umap, ("UMAP 1 (no unit)", "UMAP 2 (no unit)"))
            blocks.append(Picture(f"umap-{stems[one.row.name]}", caption, drawn))
    return Section("embeddings", "Embeddings", (), tuple(blocks))


def _plane(
    plane: planes.Plane, points: Mapping[str, NDArray[np.float64]], axes: tuple[str, str]
) -> Callable[[], Figure]:
    panels = [
        figures.Panel(title, points[part], plane.classes[part], part, axes, plane="z")
        for part, title in (("train", "Training part"), ("test", "Test part"))
    ]
    return lambda: figures.embedding_plane(panels, plane.labels, title=plane.row.label)


def _training(analysis: Analysis) -> Section | None:
    stems, pictures = _stems(analysis), []
    for found in _results(analysis):
        folds = [(run, fold) for run in found.row.runs for fold in run.folds if {"step", "loss"} <= {*fold.curves}]
        if folds:
            stem = f"curves-{stems[found.row.name]}"
            pictures.append(Picture(stem, f"{_label(found.row)}: {_curve(folds)}.", _curves(folds)))
    words = () if pictures else ("No learning curves were kept.",)
    table = circumstances.selection(analysis)
    return Section("training", "Training", words, (table, *pictures)) if analysis.results else None


def _validated(folds: list[tuple[Run, Fold]]) -> bool:
    return all("ua" in fold.curves for _, fold in folds)


def _curve(folds: list[tuple[Run, Fold]]) -> str:
    """What learning curves show, and why there is no score where there is none."""
    if _validated(folds):
        return "loss in training and UA of the validation part, one line a fold"
    why = "not every fold was validated" if any(fold.clips.get("validation") for _, fold in folds) else ""
    return f"loss in training, one line a fold; no score, as {why or 'the protocol has no validation part'}"


def _curves(folds: list[tuple[Run, Fold]]) -> Callable[[], Figure]:
    several = len({run.seed for run, _ in folds}) > 1
    lines = [(f"{f'seed {run.seed}, ' if several else ''}fold {fold.name}", fold.curves) for run, fold in folds]
    selected = [None if fold.score is None else fold.step for _, fold in folds]
    return lambda: figures.curves(lines, selected, score="ua" if _validated(folds) else None)


def _shared(analysis: Analysis) -> Section | None:
    table = circumstances.shared(analysis)
    return Section("shared", "What training and test share", (), (table,)) if analysis.results else None


def _circumstances(analysis: Analysis) -> Section:
    collection = analysis.collection
    blocks = [circumstances.conditions(collection), circumstances.spread(analysis), circumstances.versions(collection)]
    return Section("circumstances", "How the numbers came about", (), tuple(blocks))


def _mistakes(analysis: Analysis) -> Section | None:
    found = [circumstances.mistakes(result) for result in _results(analysis)]
    words = ("The ten wrong answers with the highest probability; worth listening to.",)
    return Section("mistakes", "Most confident mistakes", words, tuple(found)) if found else None


def _missing(analysis: Analysis) -> Section:
    blocks = (tables.not_run(analysis.collection), circumstances.failures(analysis.collection))
    there = tuple(table for table in blocks if table is not None)
    words = () if there else ("Everything that was planned was run, and nothing failed.",)
    return Section("missing", "Not run, and failures", words, there)
