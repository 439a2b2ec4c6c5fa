"""Figures hold what they were given, say what is absent, fit on their paper and are the same bytes every time."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from serotone.emotions import EMOTIONS as ALL
from serotone.errors import MetricError
from serotone.metrics import expected_calibration_error
from serotone.reports import figures
from serotone.reports.figures import Panel
from serotone.reports.figures.style import COLOURS, HATCHES, MARKERS, SEQUENTIAL, WIDE

EMOTIONS = [emotion for emotion in ALL if emotion != "other"]
LONG = [f"cnn-blstm-attention-focal-gamma{gamma}-alpha{alpha}" for gamma in range(5) for alpha in (1, 2, 4, 8, 16)]
NAN = float("nan")


@dataclass(frozen=True)
class Interval:
    estimate: float
    low: float
    high: float
    level: float = 0.95
    method: str = "t"
    speakers: int = 10


@dataclass(frozen=True)
class Reliability:
    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray = field(default_factory=lambda: np.array([]))


def drawn(figure: Figure) -> list[tuple[Text, np.ndarray]]:
    """Every text that is visible with its place: left, bottom, right, top in dots."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    beyond = set()  # ticks outside of the axes' limits exist and are not drawn
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                beyond |= {tick.label1, tick.label2}
    found = []
    for text in figure.findobj(Text):
        shown = text.get_visible() and (text.axes is None or text.axes.get_visible()) and text not in beyond
        if shown and text.get_text().strip():
            found.append((text, text.get_window_extent(renderer).extents))
    return [(text, place) for text, place in found if place[2] - place[0] > 1]


def words(figure: Figure) -> list[str]:
    return [text.get_text().replace("\n", " ") for text, _ in drawn(figure)]


def crowded(figure: Figure) -> list[str]:
    """The texts that lie outside of the figure or on each other."""
    texts, (width, height) = drawn(figure), figure.bbox.size
    wrong = [t.get_text() for t, (x0, y0, x1, y1) in texts if x0 < 0 or y0 < 0 or x1 > width or y1 > height]
    boxes = np.array([box for _, box in texts])
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    shared = np.minimum(high, high.swapaxes(0, 1)) - np.maximum(low, low.swapaxes(0, 1))
    for place, other in np.argwhere(np.triu((shared > 0.5).all(axis=2), 1)):
        one, two = texts[place][0], texts[other][0]
        # Neighbours on the same slant have boxes that meet, and letters that do not.
        if not one.get_rotation() == two.get_rotation() not in (0, 90):
            wrong.append(f"{one.get_text()} on {two.get_text()}")
    return wrong


def counts(size: int) -> np.ndarray:
    random = np.random.default_rng(size)
    matrix = random.poisson(12, (size, size)) + np.diag(random.integers(0, 900, size))
    matrix[1] = 0
    return matrix


def shares(rows: int, columns: int) -> np.ndarray:
    values = np.random.default_rng(rows).uniform(0, 1, (rows, columns))
    values[0, :2] = 1, 0
    values[-1, 1] = NAN
    return values


def per_class(systems: int, size: int) -> dict[str, np.ndarray]:
    return dict(zip(LONG, shares(systems, size)))


def per_speaker(systems: int, speakers: int) -> dict[str, dict[str, float]]:
    table = shares(systems, speakers)
    return {name: {f"ravdess/{n:02d}": value for n, value in enumerate(row)} for name, row in zip(LONG, table)}


def cloud(size: int, part: str = "test", title: str = "z") -> Panel:
    random = np.random.default_rng(size)
    classes = np.arange(40 * size) % size
    return Panel(title, random.normal(size=(len(classes), 2)) + classes[:, None], classes, part)


def fold(steps=(1, 2, 3), loss=(3.0, 2.0, 1.0), ua=(0.1, 0.5, 0.4)) -> dict[str, list[float]]:
    return {"step": list(steps), "epoch": [0.0] * len(steps), "loss": list(loss), "ua": list(ua)}


def calibrated() -> Reliability:
    # Three of four bins filled: gaps .05, .2 and .05 with 2, 3 and 5 of 10 utterances: ECE .01 + .06 + .025 = .095
    return Reliability(
        confidence=np.array([NAN, 0.45, 0.7, 0.95]),
        accuracy=np.array([NAN, 0.5, 0.5, 0.9]),
        count=np.array([0, 2, 3, 5]),
    )


FOREST = [(name, Interval(0.5, 0.4, 0.6) if n % 3 else None, 0.7 if n % 2 else None) for n, name in enumerate(LONG)]
SWEEP = {
    "x": [0.003, 0.03, 0.3, 3],
    "mean": [0.5, 0.6, NAN, 0.4],
    "low": [0.4, NAN, NAN, 0.3],
    "high": [0.6, 0.7, NAN, 0.5],
}

PAPER = {
    **{f"confusion of {c}": lambda c=c: figures.confusion(counts(c), EMOTIONS[:c], title="T " * 60)
       for c in (2, 4, 7, 11)},
    "percent of 7": lambda: figures.percent_confusion(np.eye(7) * 60.5, EMOTIONS[:7]),
    **{
        f"recall of {c} by {n}": lambda c=c, n=n: figures.recall_bars(per_class(n, c), EMOTIONS[:c], title="EmoDB")
        for n, c in ((1, 4), (2, 7), (4, 4), (4, 11), (5, 4), (25, 11))
    },
    "neutral of 11 by 3": lambda: figures.neutral_share(per_class(3, 11), EMOTIONS),
    **{
        f"speakers: {s} by {n}": lambda s=s, n=n: figures.speaker_scores(per_speaker(n, s), title="EmoDB")
        for n, s in ((1, 2), (2, 10), (5, 24), (6, 25), (25, 25), (3, 91), (14, 91), (25, 60))
    },
    "sweep": lambda: figures.sweep(**SWEEP, x_label="λ", log=True, published=([0.03, 0.3], [0.7, 0.6])),
    "dense sweep": lambda: figures.sweep(range(25), *[np.full(25, 0.5)] * 3, x_label="Features"),
    "sweep not run": lambda: figures.sweep([0], *[[NAN]] * 3, x_label="α"),
    "sweep not run beyond what is published": lambda: figures.sweep(
        [0.1, 1, 9], *[[NAN] * 3] * 3, x_label="α", log=True, published=([1], [0.5])
    ),
    "plane": lambda: figures.embedding_plane([cloud(11)], EMOTIONS),
    "planes": lambda: figures.embedding_plane([cloud(7, "train"), cloud(7), cloud(4)], EMOTIONS[:7], title="Fold 0-0"),
    "loss alone": lambda: figures.curves([("fold-0-0", fold()), ("fold-0-1", fold())], [None] * 2, score=None),
    "one fold": lambda: figures.curves([("fold-0-0", fold())], [2], title="EmoDB"),
    "12 folds": lambda: figures.curves([(f"fold-0-{n}", fold()) for n in range(12)], [2] * 12),
    "25 folds": lambda: figures.curves([(f"fold-0-{n}", fold()) for n in range(25)], [None] + [2] * 24),
    "reliability": lambda: figures.reliability({"crnn-mel": calibrated()}),
    "reliability of 6": lambda: figures.reliability(dict.fromkeys(LONG[:6], calibrated()), title="EmoDB"),
    "forest": lambda: figures.intervals(FOREST[:3], absent="too few speakers for a test", title="EmoDB"),
    "forest of 25": lambda: figures.intervals(FOREST, x_title="WA (%)"),
    "forest not run": lambda: figures.intervals([("crnn-mel", None, None)]),
}  # fmt: skip


@pytest.mark.parametrize("name", PAPER)
def test_no_text_lies_on_another_or_off_the_paper_and_every_axis_has_a_title(name):
    figure = PAPER[name]()
    assert crowded(figure) == []
    if name.startswith("sweep"):
        (axes,) = figure.axes
        assert all(axes.get_xlim()[0] < text.get_position()[0] < axes.get_xlim()[1] for text in axes.texts)
    assert figure.get_figwidth() <= WIDE + 0.15
    for axes in (axes for axes in figure.axes if axes.get_visible()):
        named = [
            other.get_xlabel()
            for other in figure.axes
            if other.get_subplotspec().colspan == axes.get_subplotspec().colspan
        ]
        assert any(named), "no title of x in this column"
        beside = [
            other.get_ylabel()
            for other in figure.axes
            if other.get_subplotspec().rowspan == axes.get_subplotspec().rowspan
        ]
        assert any(beside), "no title of y in this row"


# What is drawn


def test_confusion_prints_percent_of_rows_counts_and_recall():
    said = words(figures.confusion([[3, 1, 0], [0, 0, 0], [1, 2, 5]], ["angry", "happy", "sad"], title="EmoDB"))
    # angry: 75, 25, 0 percent; sad: 12.5, 25, 62.5; a count of 0 is not repeated below its 0 percent
    cells = [word for word in said if word.isdigit() and word not in ("0", "50", "100")]
    assert sorted(cells) == sorted(["75", "3", "25", "1", "12", "1", "25", "2", "62", "5"])
    assert said.count("no utterance") == 1
    assert [word for word in said if word in ("75.0", "absent", "62.5")] == ["75.0", "absent", "62.5"]
    assert {"angry (4)", "happy (0)", "sad (8)", "EmoDB", "WA 66.7 %, UA 68.8 %, 12 utterances"} <= {*said}


def test_a_class_that_is_never_found_is_0_and_one_that_is_absent_is_not():
    figure = figures.recall_bars({"a": [0.0, NAN, 0.4]}, ["angry", "happy", "sad"])
    said = words(figure)
    assert said.count("absent") == 1
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0, 0, 40]
    labels = {text.get_text(): text.get_position()[0] for text, _ in drawn(figure) if text.axes is figure.axes[0]}
    assert (labels["absent"], labels["40"]) == (1.0, 2.0)
    table = figures.recall_bars({str(n): [0.0, NAN, 0.4] for n in range(5)}, ["angry", "happy", "sad"])
    hatched = [cell.get_x() for cell in table.axes[0].patches if cell.get_hatch()]
    assert hatched == [1.0] * 5
    assert "Hatched: no utterance of the class." in words(table)


def test_percent_of_a_publication_are_printed_as_it_prints_them():
    said = words(figures.percent_confusion([[60.5, 39.5], [NAN, NAN]], ["happy", "sad"]))
    assert {"60.5", "39.5", "not stated", "UA not stated; counts not stated"} <= {*said}
    assert "UA 70.2 %; counts not stated" in words(
        figures.percent_confusion([[60.5, 39.5], [20, 80]], ["happy", "sad"])
    )


def test_neutral_is_left_out_of_what_is_called_neutral():
    figure = figures.neutral_share({"a": [0.1, 0.9, 0.3]}, ["angry", "neutral", "sad"])
    assert [bar.get_height() for bar in figure.axes[0].patches] == pytest.approx([10, 30])
    assert {"angry", "sad", "Called neutral (%)"} <= {*words(figure)}
    assert "neutral" not in words(figure)


def test_speakers_are_sorted_and_the_absent_stand_in_their_own_strip():
    scores = {"a": {"s1": 0.2, "s2": 0.8, "s3": 0.4}, "b": {"s1": 0.4, "s2": 0.6, "s3": NAN}, "c": {"s1": 0.3}}
    figure = figures.speaker_scores(scores, score="WA")
    axes, strip = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["s2", "s3", "s1", "mean"]  # means .7, .4, .3
    series = [line for line in axes.lines if line.get_marker() in MARKERS[:3]]
    assert [line.get_marker() for line in series] == ["o", "o", "s", "s", "^", "^"]
    np.testing.assert_allclose(series[0].get_xdata(), [80, 40, 20])
    np.testing.assert_allclose([series[n].get_xdata()[0] for n in (1, 3, 5)], [140 / 3, 50, 30])
    drawn_as = [(line.get_markerfacecolor(), line.get_ydata().tolist()) for line in strip.lines]
    assert [(face, rows) for face, rows in drawn_as if rows] == [("white", [1]), (COLOURS[2], [0, 1])]
    said = "No score, filled: not run; hollow: no clip of the speaker in a test part."
    assert any(word.startswith(said) for word in words(figure))
    assert axes.get_xlabel() == "WA (%)"
    assert len(figures.speaker_scores({"a": {"s1": 0.2}}).axes) == 1


def test_in_a_table_a_speaker_that_was_not_run_is_hatched_and_one_without_a_clip_has_a_dash():
    scores = {name: {"s1": 0.5, "s2": 0.4} for name in "abcde"} | {"f": {"s2": NAN}}
    figure = figures.speaker_scores(scores)
    (axes,) = figure.axes
    assert [cell.get_xy() for cell in axes.patches if cell.get_hatch()] == [(0, 5)]
    assert [text.get_position() for text in axes.texts if text.get_text() == "–"] == [(1.5, 5.5)]
    assert "Hatched: not run. Dash: no clip of the speaker in a test part." in words(figure)
    assert "Hatched: not run." in words(figures.speaker_scores({**scores, "f": {"s2": 0.1}}))


@pytest.mark.parametrize("systems", [3, 14])
def test_many_speakers_go_on_in_blocks_that_lose_none(systems):
    scores = per_speaker(systems, 91)
    figure = figures.speaker_scores(scores)
    order = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    means = {
        name.removeprefix("ravdess/"): np.nanmean([row[name] for row in scores.values()]) for name in scores[LONG[0]]
    }
    assert order == sorted(means, key=lambda name: -means[name])
    assert len(figure.axes) > 1
    assert sum(len(axes.patches) for axes in figure.axes) == systems * 91
    assert figure.get_figwidth() <= WIDE
    assert figure.get_figheight() < 10


def test_a_sweep_has_a_gap_and_words_where_nothing_was_run():
    published = ([0.3, 0.03], [0.6, 0.7])
    figure = figures.sweep(**SWEEP, x_label="λ", log=True, published=published)
    (axes,) = figure.axes
    ours, theirs = [line for line in axes.lines if line.get_marker() in ("o", "D")]
    np.testing.assert_allclose(ours.get_ydata(), [50, 60, NAN, 40])
    np.testing.assert_allclose(theirs.get_xydata(), [[0.03, 70], [0.3, 60]])
    assert axes.get_xscale() == "log"
    assert [t.get_position()[0] for t in axes.texts if t.get_text() == "not run"] == [0.3]
    assert "No interval at 0.03." in words(figure)
    bars = axes.collections[1].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [[40, 60], [30, 50]])


def test_a_sweep_in_any_order_is_drawn_in_order():
    figure = figures.sweep([3, 1, 2], [0.3, 0.1, 0.2], [0.2, 0.0, 0.1], [0.4, 0.2, 0.3], x_label="α")
    np.testing.assert_allclose(figure.axes[0].lines[-1].get_xydata(), [[1, 10], [2, 20], [3, 30]])


def test_an_interval_need_not_hold_its_estimate_nor_end_where_scores_do():
    figures.sweep([1], [0.9], [0.92], [1.04], x_label="α")
    said = words(figures.intervals([("a", Interval(0.9, 0.92, 1.04), None)]))
    assert "90.0 [92.0, 104.0]" in said


def test_a_forest_prints_what_it_draws():
    rows = [("a", Interval(-0.02, -0.06, 0.02), 0.049), ("b", None, 0.01), ("c", None, None)]
    figure = figures.intervals(rows, x_title="Difference in UA (points)", zero=True, absent="too few speakers")
    said = words(figure)
    assert {"−2.0 [−6.0, 2.0]", "4.9", "1.0", "Difference in UA (points)", "estimate and 95 % interval"} <= {*said}
    assert said.count("too few speakers") == 2
    lines = figure.axes[0].lines
    np.testing.assert_allclose(lines[0].get_xydata(), [[-6, 0], [2, 0]])
    assert [0, 0] in [list(line.get_xdata()) for line in lines]  # the line at 0
    assert "published" not in words(figures.intervals([("a", Interval(0.5, 0.4, 0.6), None)]))
    assert "published, on iemocap" in words(figures.intervals(rows, source="published, on iemocap"))


def test_curves_mark_the_selected_step_and_average_what_all_folds_have():
    folds = [("fold-0-0", fold()), ("fold-0-1", fold(steps=(3, 2), loss=(5.0, NAN), ua=(0.6, 0.7)))]
    figure = figures.curves(folds, [2, None])
    upper, lower = figure.axes
    np.testing.assert_allclose(upper.lines[-1].get_xydata(), [[2, NAN], [3, 3]])
    np.testing.assert_allclose(lower.lines[-1].get_xydata(), [[2, 60], [3, 50]])
    marked = [line.get_xydata().tolist() for line in lower.lines if line.get_linestyle() == "None"]
    assert marked == [[[2, 50]], []]
    said = "Large marker: the step that was selected. No step was selected in 1 of 2 folds: the last one counts."
    assert said in words(figure)


def test_without_a_score_the_loss_stands_alone():
    folds = [(name, {"step": [1, 2], "loss": [loss, 0.5]}) for name, loss in (("fold-0-0", 2.0), ("fold-0-1", 1.0))]
    figure = figures.curves(folds, [None, None], score=None)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[-1].get_xydata(), [[1, 1.5], [2, 0.5]])
    assert "No step was selected in 2 of 2 folds: the last one counts." in words(figure)


def test_a_dozen_folds_are_told_apart_without_colour_in_both_panels():
    figure = figures.curves([(f"fold-0-{n}", fold()) for n in range(12)], [None] * 12)
    for axes in figure.axes:
        lines = [line for line in axes.lines if line.get_linestyle() != "None"][:12]
        looks = {(line.get_marker(), line.get_linestyle()) for line in lines}
        assert len(looks) == 12
        assert len({line.get_marker() for line in lines}) == 11


def test_the_ece_of_a_panel_is_that_of_its_bins():
    assert "ECE 0.095, n = 10" in " ".join(words(figures.reliability({"a": calibrated()})))
    random = np.random.default_rng(1)
    probabilities, truth = random.dirichlet([0.4] * 4, 300), random.integers(0, 4, 300)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    bins = [(low < confidence) & (confidence <= low + 0.1) for low in np.arange(10) / 10]
    each = [(confidence[b].mean(), correct[b].mean()) if b.any() else (NAN, NAN) for b in bins]
    found = Reliability(*np.array(each).T, count=np.array([b.sum() for b in bins]))
    expected = expected_calibration_error(probabilities, truth, labels=range(4), bins=10)
    figure = figures.reliability({"a": found})
    assert f"ECE {expected:.3f}, n = 300" in " ".join(words(figure))
    assert len(figure.axes[0].collections[-1].get_offsets()) == sum(b.any() for b in bins) < 10


def test_panels_of_one_plane_show_the_same_part_of_it_at_the_same_scale():
    small, large = cloud(4, "test", "small"), cloud(11, "train", "large")
    labels = EMOTIONS
    apart = figures.embedding_plane([small, large], labels).axes
    assert apart[0].get_xlim() != apart[1].get_xlim()
    both = [panel._replace(plane="z") for panel in (small, large)]
    figure = figures.embedding_plane([*both, small], labels)
    together = figure.axes
    assert together[0].get_xlim() == pytest.approx(together[1].get_xlim())
    assert together[0].get_xlim() != pytest.approx(together[2].get_xlim())
    for axes in (*apart, *together):
        axes.figure.canvas.draw()
        scales = np.array(axes.get_window_extent().size) / [np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())]
        assert scales[0] == pytest.approx(scales[1])
        for found in axes.collections:
            inside = axes.viewLim.count_contains(found.get_offsets())
            assert inside == len(found.get_offsets())
    note = next(word for word in words(figure) if word.startswith("Large and hollow"))
    assert note.count("excited, fearful, frustrated, happy, neutral, sad, surprised in small.") == 2


def test_the_test_part_is_drawn_over_train_and_its_centres_are_marked():
    points, classes = [[0, 0], [2, 0], [8, 8], [9, 9]], [0, 0, 0, 1]
    figure = figures.embedding_plane([Panel("", points, classes, ["test", "test", "train", "train"])], ["a", "b"])
    drawn_at = [found.get_offsets().tolist() for found in figure.axes[0].collections]
    assert drawn_at == [[[8, 8]], [[0, 0], [2, 0]], [[1, 0]], [[9, 9]], [], [[9, 9]]]


def test_a_centre_covers_no_point():
    figure = figures.embedding_plane([Panel("", [[0, 0]] * 9, [0] * 9, "train")], ["a"])
    centre = figure.axes[0].collections[-1]
    assert centre.get_facecolor().size == 0 or centre.get_facecolor()[0, 3] == 0
    figure.canvas.draw()
    x, y = figure.axes[0].transData.transform((0, 0)).astype(int)
    pixel = np.asarray(figure.canvas.buffer_rgba())[-y, x, :3] / 255
    assert np.abs(pixel - to_rgb(COLOURS[0])).max() < 0.1


# How it looks


def grey(colour: object) -> float:
    return float(np.dot([0.299, 0.587, 0.114], to_rgb(colour)))


def test_more_is_darker_and_nothing_depends_on_colour_alone():
    levels = [grey(SEQUENTIAL(share)) for share in np.linspace(0, 1, 101)]
    assert np.all(np.diff(levels) < 0)
    assert len(set(MARKERS)) == len(set(COLOURS)) == 11
    assert len(set(HATCHES)) == 4
    assert abs(grey(COLOURS[0]) - grey(COLOURS[1])) > 0.2  # the two that are compared most often


def test_print_stands_out_from_its_cell():
    def luminance(colour: object) -> float:
        parts = np.array(to_rgb(colour))
        return float(
            np.dot([0.2126, 0.7152, 0.0722], np.where(parts > 0.04045, ((parts + 0.055) / 1.055) ** 2.4, parts / 12.92))
        )

    rows = np.linspace(0, 1, 60).reshape(6, 10)
    axes = figures.recall_bars(dict(zip("abcdef", rows)), EMOTIONS[:10]).axes[0]
    for cell, text in zip(axes.patches, axes.texts, strict=True):
        light, dark = sorted((luminance(cell.get_facecolor()[:3]), luminance(text.get_color())), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 4.5


# Saving


def same() -> list[Figure]:
    return [PAPER[name]() for name in ("confusion of 4", "recall of 4 by 4", "sweep", "reliability")]


def test_the_same_data_give_the_same_bytes_whatever_the_users_settings(tmp_path):
    first = [path.read_bytes() for n, figure in enumerate(same()) for path in figures.save(figure, tmp_path / f"a{n}")]
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.hashsalt": "mine", "svg.fonttype": "none"}):
        before = dict(matplotlib.rcParams)
        again = [
            path.read_bytes() for n, figure in enumerate(same()) for path in figures.save(figure, tmp_path / f"b{n}")
        ]
        assert dict(matplotlib.rcParams) == before
    assert first == again


def test_saved_are_a_png_at_150_dots_per_inch_and_an_svg_without_a_date(tmp_path):
    figure = PAPER["sweep"]()
    png, svg = figures.save(figure, tmp_path / "new" / "center.weight=0.3")
    assert (png.name, svg.name) == ("center.weight=0.3.png", "center.weight=0.3.svg")
    with Image.open(png) as image:
        assert image.size == tuple(round(150 * side) for side in figure.get_size_inches())
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert not {*image.info} - {"dpi", "gamma"}
    text = svg.read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert root.attrib["width"] == f"{72 * figure.get_figwidth():g}pt"
    assert "<dc:date>" not in text
    assert "<text" not in text  # letters are shapes: the same without the font
    assert sorted(path.name for path in png.parent.iterdir()) == [png.name, svg.name]


def test_a_figure_that_cannot_be_saved_leaves_the_old_one(tmp_path, monkeypatch):
    stem = tmp_path / "sweep"
    figures.save(PAPER["sweep"](), stem)
    old = {path: path.read_bytes() for path in tmp_path.iterdir()}
    figure = PAPER["one fold"]()

    def half(path: Path, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        figures.save(figure, stem)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_pyplot_and_torch_stay_out():
    draw = "from serotone.reports import figures; figures.sweep([1], [.5], [.4], [.6], x_label='a')"
    code = f"import sys; {draw}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "matplotlib.figure" in found
    assert not {"matplotlib.pyplot", "torch", "pandas", "scipy"} & {*found}


# What does not fit


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.confusion([[1, 2]], ["a"]), r"shape \(1, 2\) for 1 labels"),
        (lambda: figures.confusion([[1, 2], [3, 4]], ["a", "a"]), "each of them once"),
        (lambda: figures.confusion([[0.5, 2], [3, 4]], ["a", "b"]), "whole numbers"),
        (lambda: figures.confusion([[-1, 2], [3, 4]], ["a", "b"]), "negative"),
        (lambda: figures.confusion([[0, 0], [0, 0]], ["a", "b"]), "nothing to score"),
        (lambda: figures.percent_confusion([[101, 0], [0, 1]], ["a", "b"]), "1.01"),
        (lambda: figures.percent_confusion([[60, 50], [0, 1]], ["a", "b"]), "row a adds up to 110.0"),
        (lambda: figures.recall_bars({"x": [0.1]}, ["a", "b"]), r"recalls of x of shape \(1,\)"),
        (lambda: figures.recall_bars({"x": [10, 20]}, ["a", "b"]), "divide percent by 100"),
        (lambda: figures.recall_bars({}, ["a", "b"]), "systems: none"),
        (lambda: figures.neutral_share({"x": [0.1, 0.2]}, ["a", "b"]), "expected neutral"),
        (lambda: figures.speaker_scores({"x": {}}), "speakers: none"),
        (lambda: figures.speaker_scores({"x": {"s": 1.5}}), "1.5"),
        (lambda: figures.sweep([1, 1], [0, 0], [0, 0], [0, 0], x_label="x"), "twice"),
        (lambda: figures.sweep([0, 1], [0, 0], [0, 0], [0, 0], x_label="x", log=True), "above 0"),
        (lambda: figures.sweep([1], [0.5], [0.6], [0.4], x_label="x"), "low exceeds its high"),
        (lambda: figures.sweep([1], [50], [40], [60], x_label="x"), "mean holds 50"),
        (lambda: figures.sweep([1, 2], [0.5], [0.4], [0.6], x_label="x"), r"mean of shape \(1,\)"),
        (lambda: figures.sweep([1], [0.5], [0.4], [0.6], x_label="x", published=([1], [60])), "published holds 60"),
        (lambda: figures.intervals([]), "rows: none"),
        (lambda: figures.intervals([("a", Interval(50, 40, 60), None)]), "a: 50"),
        (lambda: figures.intervals([("a", Interval(0.5, 0.6, 0.4), None)]), "low <= high"),
        (lambda: figures.intervals([("a", None, 65.7)]), "published 65.7"),
        (lambda: figures.intervals([("a", None, NAN)]), "published nan"),
        (lambda: figures.curves([("f", fold())], []), "0 selected steps for 1 folds"),
        (lambda: figures.curves([("f", fold())], [9]), "f: selected step 9"),
        (lambda: figures.curves([("f", {"step": [1], "loss": [1]})], [1]), "no column ua"),
        (lambda: figures.curves([("f", {"step": [1], "loss": [1, 2], "ua": [1]})], [1]), "one length"),
        (lambda: figures.curves([("f", fold(ua=(10, 20, 30)))], [1]), "ua of f holds 10"),
        (lambda: figures.curves([("f", {"step": [1]})], [None], score=None), "no column loss; expected step, loss,"),
        (lambda: figures.reliability({"a": replace(calibrated(), count=np.zeros(4))}), "at least one of them above 0"),
        (lambda: figures.reliability({"a": replace(calibrated(), accuracy=np.zeros(3))}), r"shape \(3,\)"),
        (lambda: figures.reliability({"a": replace(calibrated(), count=np.ones(4))}), "no confidence or accuracy"),
        (lambda: figures.embedding_plane([], ["a"]), "no panel"),
        (lambda: figures.embedding_plane([cloud(2)], ["a"]), r"integers in \[0, 1\)"),
        (lambda: figures.embedding_plane([cloud(2)], [*EMOTIONS, "tired"]), "12 classes"),
        (lambda: figures.embedding_plane([cloud(2, "dev")], ["a", "b"]), "train or test"),
        (lambda: figures.embedding_plane([cloud(2)._replace(classes=[0])], ["a", "b"]), "one class and one part"),
        (lambda: figures.embedding_plane([cloud(2)._replace(points=np.zeros((80, 3)))], ["a", "b"]), r"\(80, 3\)"),
        (lambda: figures.embedding_plane([cloud(2)._replace(points=np.full((80, 2), NAN))], ["a", "b"]), "NaN"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_value(draw, message):
    with pytest.raises(MetricError, match=message):
        draw()


def test_a_reliability_may_be_any_object_with_the_three_arrays():
    found = SimpleNamespace(confidence=[0.5], accuracy=[0.5], count=[3])
    assert "ECE 0.000, n = 3" in " ".join(words(figures.reliability({"a": found})))
