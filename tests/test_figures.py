"""Figures hold what they were given, say what is absent, fit on their paper and are the same bytes every time."""

import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from serotone.emotions import EMOTIONS as ALL
from serotone.metrics import expected_calibration_error
from serotone.reports.figures.confusions import confusion
from serotone.reports.figures.forest import Line, intervals
from serotone.reports.figures.lines import curves, sweep
from serotone.reports.figures.plane import embedding_plane
from serotone.reports.figures.reliability import reliability
from serotone.reports.figures.style import COLOURS, MARKERS, SEQUENTIAL, WIDE, save
from serotone.statistics import Interval, Reliability
from serotone.statistics import reliability as measured

EMOTIONS = list(ALL)
LONG = [f"cnn-blstm-attention-focal-gamma{gamma}-alpha{alpha}" for gamma in range(5) for alpha in (1, 2, 4, 8, 16)]
NAN = float("nan")


def interval(estimate, low, high, speakers=10):
    return Interval(estimate, low, high, 0.95, "t", speakers)


def drawn(figure: Figure) -> list[tuple[Text, np.ndarray]]:
    """Every text that is visible with its place: left, bottom, right, top in dots."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
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


def plane(sizes: tuple[int, int], labels: int = 11) -> Figure:
    """Training and test part with this many classes each."""
    random = np.random.default_rng(0)
    classes = {part: np.arange(8 * size) % size for part, size in zip(("train", "test"), sizes, strict=True)}
    points = {part: random.normal(size=(len(of), 2)) + of[:, None] for part, of in classes.items()}
    return embedding_plane(points, classes, EMOTIONS[:labels], ("Component 1", "Component 2"), title="CRNN")


def fold(steps=(1, 2, 3), loss=(3.0, 2.0, 1.0), ua=(0.1, 0.5, 0.4)) -> dict[str, np.ndarray]:
    return {"step": np.array(steps, dtype=float), "loss": np.array(loss), "ua": np.array(ua)}


def folds_apart(number: int, selected: list[int | None]) -> Figure:
    return curves({f"fold 0-{n}": fold() for n in range(number)}, selected, validated=True)


def swept(x=(0.003, 0.03, 0.3, 3), scores=None, *, log=True) -> Figure:
    """Over four values, of which one was not run and one has no interval."""
    given = [[0.5, 0.6, NAN, 0.4], [0.4, NAN, NAN, 0.3], [0.6, 0.7, NAN, 0.5], [NAN, 0.7, 0.6, NAN]]
    titles = {"source": "published, on iemocap", "x_label": "center.weight", "y_label": "UA (%)"}
    return sweep(list(x), np.array(given) if scores is None else scores, log=log, **titles)


# Three of four bins filled: gaps .05, .2 and .05 with 2, 3 and 5 of 10 utterances: ECE .01 + .06 + .025 = .095
CALIBRATED = Reliability(
    np.array([NAN, 0.45, 0.7, 0.95]), np.array([NAN, 0.5, 0.5, 0.9]), np.array([0, 2, 3, 5], dtype=np.int64)
)
FOREST = [
    Line(name, interval(0.5, 0.4, 0.6, 3 + n % 2) if n % 3 else None, 0.7 if n % 2 else None, 0.143)
    for n, name in enumerate(LONG)
]
# As a report over a folder of studies calls its rows: three lines each.
RUNS = [Line(f"{name[:23]}/{name}/seed-0 (2\xa0of\xa09\xa0folds)", interval(0.5, 0.4, 0.6)) for name in LONG[:4]]
PAPER = {
    **{f"confusion of {c}": lambda c=c: confusion(counts(c), EMOTIONS[:c], title="T " * 60)
       for c in (2, 7, 11)},
    "percent of 7": lambda: confusion(np.eye(7) * 0.605, EMOTIONS[:7], title="Published", counted=False),
    "sweep": swept,
    "dense sweep": lambda: swept(range(25), np.full((4, 25), 0.5), log=False),
    "sweep not run": lambda: swept([0], np.full((4, 1), NAN), log=False),
    "plane": lambda: plane((11, 7)),
    "one fold": lambda: folds_apart(1, [2]),
    "12 folds": lambda: folds_apart(12, [2] * 12),
    "25 folds": lambda: folds_apart(25, [None] + [2] * 24),
    "reliability": lambda: reliability({"crnn-mel": CALIBRATED}),
    "reliability of 5": lambda: reliability(dict.fromkeys(LONG[:5], CALIBRATED)),
    "forest of 25": lambda: intervals(FOREST, x_title="WA (%)", source="published, on emodb"),
    "forest of runs": lambda: intervals(RUNS, x_title="UA (%)"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAPER)
def test_no_text_lies_on_another_or_off_the_paper_and_every_axis_has_a_title(name):
    figure = PAPER[name]()
    assert crowded(figure) == []
    assert figure.get_figwidth() <= WIDE + 0.15
    shown = [axes for axes in figure.axes if axes.get_visible()]
    for axes in shown:
        place = axes.get_subplotspec()
        assert any(other.get_xlabel() for other in shown if other.get_subplotspec().colspan == place.colspan)
        assert any(other.get_ylabel() for other in shown if other.get_subplotspec().rowspan == place.rowspan)


# What is drawn


def test_confusion_prints_percent_of_rows_counts_and_recall():
    matrix = np.array([[3, 1, 0], [0, 0, 0], [1, 2, 5]])
    said = words(confusion(matrix, ["angry", "happy", "sad"], title="EmoDB"))
    # angry: 75, 25, 0 percent; sad: 12.5, 25, 62.5; a count of 0 is not repeated below its 0 percent
    cells = [word for word in said if word.isdigit() and word not in ("0", "50", "100")]
    assert sorted(cells) == sorted(["75", "3", "25", "1", "12", "1", "25", "2", "62", "5"])
    assert said.count("no utterance") == 1
    assert [word for word in said if word in ("75.0", "absent", "62.5")] == ["75.0", "absent", "62.5"]
    assert {"angry (4)", "happy (0)", "sad (8)", "EmoDB", "WA 66.7 %, UA 68.8 %, 12 answers"} <= {*said}


def test_percent_of_a_publication_are_printed_as_it_prints_them():
    matrix = np.array([[0.605, 0.395], [NAN, NAN]])
    said = words(confusion(matrix, ["happy", "sad"], title="Published", counted=False))
    assert {"60.5", "39.5", "not stated", "UA not stated; counts not stated"} <= {*said}


def test_a_sweep_has_a_gap_and_words_where_nothing_was_run():
    figure = swept()
    (axes,) = figure.axes
    ours, theirs = [line for line in axes.lines if line.get_marker() in ("o", "D")]
    np.testing.assert_allclose(ours.get_ydata(), [50, 60, NAN, 40])
    np.testing.assert_allclose(theirs.get_xydata(), [[0.03, 70], [0.3, 60]])
    assert axes.get_xscale() == "log"
    assert [t.get_position()[0] for t in axes.texts if t.get_text() == "not run"] == [0.3]
    assert "No interval at 0.03." in words(figure)
    bars = axes.collections[1].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [[40, 60], [30, 50]])


def test_a_forest_prints_what_it_draws_and_marks_chance_and_guesses():
    rows = [Line("a", interval(-0.02, -0.06, 0.02), 0.049), Line("b", None, None, 0.25), Line("c", None)]
    rows.append(Line("d", interval(0.9, 0.5, 1.04, speakers=3)))
    figure = intervals(rows, x_title="UA (points)", zero=True, source="published, on emodb")
    said = words(figure)
    assert {"−2.0 [−6.0, 2.0]", "4.9", "90.0 [50.0, 104.0]", "estimate and 95 % interval", "chance"} <= {*said}
    assert {"fewer than 4 speakers: a guess", "published, on emodb"} <= {*said}
    assert said.count("not run") == 2
    lines = [(list(line.get_xdata()), line.get_linestyle()) for line in figure.axes[0].lines]
    for line in (([-6, 2], "-"), ([50, 104], ":"), ([25, 25], "--"), ([0, 0], "-")):
        assert any(style == line[1] and x == pytest.approx(line[0]) for x, style in lines if len(x) == 2), line
    bare = words(intervals([Line("a", interval(0.5, 0.4, 0.6))], x_title="UA (%)"))
    assert not {"published", "chance", "fewer than 4 speakers: a guess"} & {*bare}


def test_curves_mark_the_selected_step_and_average_what_all_folds_have():
    folds = {"fold 0-0": fold(), "fold 0-1": fold(steps=(2, 3), loss=(NAN, 5.0), ua=(0.7, 0.6))}
    figure = curves(folds, [2, None], validated=True)
    upper, lower = figure.axes
    np.testing.assert_allclose(upper.lines[-1].get_xydata(), [[2, NAN], [3, 3]])
    np.testing.assert_allclose(lower.lines[-1].get_xydata(), [[2, 60], [3, 50]])
    marked = [line.get_xydata().tolist() for line in lower.lines if line.get_linestyle() == "None"]
    assert marked == [[[2, 50]], []]
    said = "Large marker: the step that was selected. No step was selected in 1 of 2 folds: the last one counts."
    assert said in words(figure)


def test_a_dozen_folds_are_told_apart_without_colour_in_both_panels():
    for axes in folds_apart(12, [None] * 12).axes:
        lines = [line for line in axes.lines if line.get_linestyle() != "None"][:12]
        assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == 12


def test_the_ece_of_a_panel_is_that_of_its_bins():
    random = np.random.default_rng(1)
    probabilities, truth = random.dirichlet([0.4] * 4, 300), random.integers(0, 4, 300)
    expected = expected_calibration_error(probabilities, truth, labels=range(4))
    shown = reliability({"a": CALIBRATED, "b": measured(probabilities, truth)})
    assert {"a ECE 0.095, n = 10", f"b ECE {expected:.3f}, n = 300"} <= {*words(shown)}


def test_both_parts_show_the_same_section_of_the_plane_at_the_same_scale():
    figure = plane((12, 4), labels=12)
    one, two = figure.axes
    assert one.get_xlim() == pytest.approx(two.get_xlim())
    figure.draw_without_rendering()
    for axes in (one, two):
        scales = np.array(axes.get_window_extent().size) / [np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())]
        assert scales[0] == pytest.approx(scales[1])
        for of in axes.collections:
            assert axes.viewLim.count_contains(of.get_offsets()) == len(of.get_offsets())
    note = next(word for word in words(figure) if word.startswith("Large and hollow"))
    absent = "excited, fearful, frustrated, happy, neutral, sad, surprised, other"
    assert note.endswith(f"Absent from the test part: {absent}.")


# How it looks


def grey(colour: object) -> float:
    return float(np.dot([0.299, 0.587, 0.114], to_rgb(colour)))


def test_more_is_darker_black_print_stands_out_and_nothing_depends_on_colour_alone():
    levels = [grey(SEQUENTIAL(share)) for share in np.linspace(0, 1, 101)]
    assert np.all(np.diff(levels) < 0)
    darkest = np.array(to_rgb(SEQUENTIAL(1.0)))
    luminance = np.dot([0.2126, 0.7152, 0.0722], ((darkest + 0.055) / 1.055) ** 2.4)
    assert (luminance + 0.05) / 0.05 > 7  # WCAG 2, AAA
    assert len(set(MARKERS)) == len(set(COLOURS)) == len(ALL)


# Saving


def test_the_same_data_give_the_same_bytes_whatever_the_users_settings(tmp_path):
    first = [path.read_bytes() for path in save(PAPER["sweep"](), tmp_path / "a")]
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.hashsalt": "mine", "svg.fonttype": "none"}):
        before = dict(matplotlib.rcParams)
        again = [path.read_bytes() for path in save(PAPER["sweep"](), tmp_path / "b")]
        assert dict(matplotlib.rcParams) == before
    assert first == again


def test_saved_are_a_png_at_150_dots_per_inch_and_an_svg_without_a_date(tmp_path):
    figure = PAPER["sweep"]()
    png, svg = save(figure, tmp_path / "new" / "center.weight=0.3")
    assert (png.name, svg.name) == ("center.weight=0.3.png", "center.weight=0.3.svg")
    with Image.open(png) as image:
        assert image.size == tuple(round(150 * side) for side in figure.get_size_inches())
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
    text = svg.read_text(encoding="utf-8")
    assert ET.fromstring(text).attrib["width"] == f"{72 * figure.get_figwidth():g}pt"
    assert "<dc:date>" not in text
    assert "<text" not in text  # letters are shapes: the same without the font
    assert sorted(path.name for path in png.parent.iterdir()) == [png.name, svg.name]


def test_a_figure_that_cannot_be_saved_leaves_the_old_one(tmp_path, monkeypatch):
    stem = tmp_path / "sweep"
    save(PAPER["sweep not run"](), stem)
    old = {path: path.read_bytes() for path in tmp_path.iterdir()}
    figure = PAPER["one fold"]()

    def half(path: Path, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        save(figure, stem)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old
