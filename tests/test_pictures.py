"""Pictures of an answer: what they show, in colour and in grey, and what weighs in an answer."""

import io
import os
import pickle
import sys
from dataclasses import replace
from itertools import cycle, pairwise

import numpy as np
import onnx
import pytest
import soundfile
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.text import Text
from onnx import TensorProto, helper

from serotone import Recognizer
from serotone.audio import Audio
from serotone.errors import AudioTooLongError, MissingExtraError
from serotone.recognition import picture
from serotone.recognition.explaining import explain
from serotone.recognition.prediction import Prediction, Segment
from test_predict_cli import run
from toy_bundle import SAMPLE_RATE, buzz, tone, toy_graph, toy_probabilities, write_toy_manifest

HALVES = np.concatenate([tone(5, 0.9), np.zeros(3 * SAMPLE_RATE, np.float32), buzz(5, 0.3)])


@pytest.fixture(scope="module")
def recognizer(toy):
    return Recognizer(toy)


@pytest.fixture(scope="module")
def halves(recognizer):
    return recognizer.predict(HALVES, source_rate=SAMPLE_RATE, timeline=True)


def pixels(figure: Figure) -> np.ndarray:
    """The picture as numbers, (height, width, 4), 0 to 255."""
    file = io.BytesIO()
    figure.savefig(file, format="rgba", dpi=100)
    width, height = (round(100 * inches) for inches in figure.get_size_inches())
    return np.frombuffer(file.getvalue(), np.uint8).reshape(height, width, 4).astype(float)


def strip(figure: Figure) -> np.ndarray:
    """The strip of answers as red, green and blue, (height, width, 3), without the lines around it."""
    shown, box = pixels(figure)[..., :3], figure.axes[0].get_window_extent()
    rows = slice(round(len(shown) - box.y1) + 2, round(len(shown) - box.y0) - 2)
    return shown[rows, round(box.x0) + 2 : round(box.x1) - 2]


def fill(label: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(picture.LOOKS[label][0][1:]))


def words(figure: Figure) -> set[str]:
    return {text.get_text() for axes in figure.axes for text in axes.texts}


# The envelope ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 5, 2048, 2049, 5000, 100_003])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_envelope_holds_the_extremes_of_its_stretches_however_it_is_fed(length, seed):
    generator = np.random.default_rng(seed)
    samples = generator.standard_normal(length).astype(np.float32)
    cuts = np.sort(generator.integers(0, length + 1, 30))
    made = picture.envelope(np.split(samples, cuts), 1000)
    assert made.seconds == length / 1000
    width = 1
    while length // width > 2048:
        width *= 2
    expected = [samples[at : at + width] for at in range(0, length, width)]
    assert np.array_equal(made.low, [part.min() for part in expected])
    assert np.array_equal(made.high, [part.max() for part in expected])


# The timeline ---------------------------------------------------------------------------------------------------------


def test_a_timeline_names_its_segments_and_shows_time_and_probability(halves):
    figure = picture.draw_timeline(halves, picture.envelope([HALVES], SAMPLE_RATE))
    *_, chances, bar = figure.axes
    assert {"angry\n0.99", "happy\n1.00", "no speech"} <= words(figure)
    assert chances.get_xlim() == (0, 13)
    assert [label.get_text() for label in chances.get_yticklabels()] == ["angry", "happy", "sad"]
    assert bar.get_ylabel() == "probability"
    assert chances.get_xlabel() == "seconds"


def test_a_part_in_time_stands_where_it_was(recognizer):
    sound = HALVES[8 * SAMPLE_RATE :]
    prediction = recognizer.predict(sound, source_rate=SAMPLE_RATE, timeline=True)
    figure = picture.draw_timeline(prediction, picture.envelope([sound], SAMPLE_RATE), start=8.0)
    assert figure.axes[2].get_xlim() == (8, 13)


def timeline(*rows: tuple[float, float, str | None, bool]) -> Prediction:
    def segment(start, end, label, uncertain):
        chances = {} if label is None else {name: 0.9 if name == label else 0.01 for name in picture.LOOKS}
        return Segment(start, end, label, chances, 0.9 * (label is not None), uncertain, end - start)

    segments = tuple(segment(*row) for row in rows)
    end = rows[-1][1]
    return Prediction("a $b$.wav", "sad", {"sad": 1.0}, 0.9, False, None, end, end, 1, (), "toy 1", segments)


def test_every_emotion_differs_in_grey_by_its_fill_or_its_hatch():
    """What the strip of each emotion looks like without colour: mean and structure, pairwise apart."""
    labels = list(picture.LOOKS)
    made = timeline(*[(10.0 * place, 10.0 * place + 10, label, False) for place, label in enumerate(labels)])
    figure = picture.draw_timeline(made, picture.envelope([np.zeros(110 * 100, np.float32)], 100))
    grey = pixels(figure)[..., :3] @ [0.299, 0.587, 0.114]
    box = figure.axes[0].get_window_extent()
    rows = slice(round(grey.shape[0] - box.y1) + 4, round(grey.shape[0] - box.y0) - 4)
    edges = np.linspace(box.x0, box.x1, len(labels) + 1).round().astype(int)
    looks = []
    for left, right in pairwise(edges):
        cell = grey[rows, left + 3 : right - 3]
        rim = np.concatenate([cell[:18].ravel(), cell[-18:].ravel()])  # away from the name
        looks.append((np.median(rim), rim.mean(), np.abs(np.diff(cell[:18], axis=0)).mean(), rim.std()))
    for place, one in enumerate(looks):
        for other in looks[place + 1 :]:
            assert max(np.abs(np.subtract(one, other)) / [4, 4, 2, 4]) > 1, (place, one, other)


def test_an_hour_of_short_segments_is_drawn_without_their_names():
    labels = [*picture.LOOKS, None]
    made = timeline(*[(6.0 * place, 6.0 * place + 6, labels[place % 12], place % 3 == 0) for place in range(600)])
    figure = picture.draw_timeline(made, picture.envelope([np.zeros(36000, np.float32)], 10))
    assert words(figure) == set()
    assert figure.axes[2].get_xlabel() == "hours"
    assert "\nEach column sums up 10 s: the emotion with the most time" in figure._supxlabel.get_text()
    colours = set(map(tuple, strip(figure)[2:-2].reshape(-1, 3).astype(int)))
    assert colours == {fill(label) for label in picture.LOOKS}


def test_columns_sum_up_the_emotion_with_the_most_time_and_mean_probabilities():
    """Of each 10 s, 6 are sad and 3 angry, and nobody speaks for 1; the last half hour has speech for .5 s of 10."""
    rows = [
        row
        for at in range(0, 1800, 10)
        for row in ((at, at + 6, "sad"), (at + 6, at + 9, "angry"), (at + 9, at + 10, None))
    ]
    rows += [row for at in range(1800, 3600, 10) for row in ((at, at + 9.5, None), (at + 9.5, at + 10, "happy"))]
    made = timeline(*[(*row, row[2] == "sad" and row[0] % 20 == 0) for row in rows])
    figure = picture.draw_timeline(made, picture.envelope([np.zeros(36000, np.float32)], 10))
    assert words(figure) == {"sad?\n0.60", "no speech"}
    shown = {
        label.get_text(): values
        for label, values in zip(figure.axes[2].get_yticklabels(), figure.axes[2].collections[0].get_array())
    }
    for label, mean in (("sad", (6 * 0.9 + 3 * 0.01) / 9), ("angry", (6 * 0.01 + 3 * 0.9) / 9), ("happy", 0.01)):
        assert shown[label].tolist() == [pytest.approx(mean), None]


@pytest.mark.parametrize("seconds", [1, 3, 8])
def test_white_is_no_speech_and_nothing_else(seconds):
    """5 minutes in which every second segment is a pause: as many columns of the strip are white from top to bottom."""
    labels = [label for emotion in picture.LOOKS for label in (emotion, None)]
    starts = range(0, 300, seconds)
    made = timeline(*[(at, at + seconds, label, False) for at, label in zip(starts, cycle(labels))])
    figure = picture.draw_timeline(made, picture.envelope([np.zeros(3000, np.float32)], 10))
    assert figure._supxlabel.get_text().endswith("White: no speech.")
    white = strip(figure).min(axis=(0, 2)) > 250
    assert np.diff(white.astype(int)).clip(0).sum() == len(starts) // 2
    assert 0.3 < white.mean() <= 0.51


@pytest.mark.parametrize(("seconds", "framed"), [(2, False), (4, True)])
def test_only_what_is_wide_is_framed(seconds, framed):
    """In 5 minutes 3 s are a hundredth of the width: a bar stands where a frame would be too narrow."""
    made = timeline((0, 100, "sad", False), (100, 100 + seconds, "happy", True), (100 + seconds, 300, None, True))
    *_, chances, _ = picture.draw_timeline(made, picture.envelope([np.zeros(3000, np.float32)], 10)).axes
    styles = [line.get_linestyle() for line in chances.lines if len(line.get_xdata()) == 5]
    assert styles == ["-", ":"][: 1 + framed]
    assert len(chances.collections) == 2 - framed  # the table, and a bar


def test_silence_is_a_picture_too(recognizer):
    silent = np.zeros(SAMPLE_RATE, np.float32)
    prediction = recognizer.predict(silent, source_rate=SAMPLE_RATE, timeline=True)
    assert "no speech" in words(picture.draw_timeline(prediction, picture.envelope([silent], SAMPLE_RATE)))


def test_a_timeline_of_several_emotions_is_titled_by_their_shares_of_the_speech(halves, recognizer):
    def title(made):
        return picture.draw_timeline(made, picture.envelope([HALVES], SAMPLE_RATE)).get_suptitle()

    assert list(halves.shares.values()) == pytest.approx([0.5, 0.5], abs=0.1)
    shares = ", ".join(f"{label} {share:.0%}" for label, share in halves.shares.items())
    assert f": {shares} of the speech\nas a whole: {halves.label}, probability" in title(halves)
    one = recognizer.predict(HALVES[: 5 * SAMPLE_RATE], source_rate=SAMPLE_RATE, timeline=True)
    assert f": {one.label}, probability" in title(one)
    adapted = replace(one, profile={"name": "office", "count": 6, "speaker": "anna"})
    assert title(adapted).splitlines()[-1] == "adapted to office, count 6, then to the speaker anna"
    assert "adapted" not in title(one)


@pytest.mark.parametrize("name", ["a long name " * 16, "x" * 200], ids=["words", "one word"])
def test_a_title_is_as_wide_as_the_picture_at_most(halves, name):
    figure = picture.draw_timeline(replace(halves, name=f"{name}.wav"), picture.envelope([HALVES], SAMPLE_RATE))
    (title,) = [text for text in figure.texts if text.get_text() == figure.get_suptitle()]
    assert f"as a whole: {halves.label}, probability" in title.get_text()
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_a_title_in_wide_letters_has_short_lines_and_a_font_that_has_them(halves, monkeypatch):
    plain = fontManager.findfont("DejaVu Sans")
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist, FontEntry(fname=plain, name="Malgun Gothic")])
    figure = picture.draw_timeline(replace(halves, name="\u4f1a\u8bae" * 60), picture.envelope([HALVES], SAMPLE_RATE))
    (title,) = [text for text in figure.texts if text.get_text() == figure.get_suptitle()]
    assert max(map(len, title.get_text().splitlines()[:2])) <= 50
    assert "Malgun Gothic" in title.get_fontfamily()
    assert picture._fonts_for("call.wav") == []


def test_a_prediction_without_segments_has_no_timeline(recognizer):
    with pytest.raises(ValueError, match="timeline=True"):
        picture.draw_timeline(
            recognizer.predict(tone(1, 0.9), source_rate=SAMPLE_RATE), picture.envelope([], SAMPLE_RATE)
        )


@pytest.mark.parametrize("suffix", [".png", ".svg", ".PNG"])
@pytest.mark.parametrize("option", ["--plot", "--explain"])
def test_the_command_line_draws(toy, tmp_path, option, suffix):
    clip = tmp_path / "日本 $x$ clip.wav"
    soundfile.write(clip, HALVES[: 6 * SAMPLE_RATE], SAMPLE_RATE)
    out = tmp_path / "new" / f"a{suffix}"
    result = run("predict", clip, "--bundle", toy, option, out, "--start", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    content = out.read_bytes()
    assert content.startswith(b"\x89PNG") if suffix.lower() == ".png" else b"<svg" in content
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert (" - " in result.stdout) == (option == "--plot")  # its segments are printed, too


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.wav", "b.wav", "--plot", "a.png"], "draws one recording, but 2 were given"),
        (["-", "--explain", "a.png"], "standard input can be read only once"),
        (["a.wav", "--plot", "a.jpg"], "expected a name that ends in .png or .svg"),
        (["a.wav", "--plot", "a.png", "--channels"], "give --channel N instead of --channels"),
        (["a.wav", "--plot", "a.png", "--explain", "b/../a.png"], "a.png is also given to --plot; give another name"),
        (["a.wav", "--plot", "a.png", "--format", "csv", "--out", "a.png"], "a.png is also given to --out"),
    ],
)
def test_a_picture_that_cannot_be_meant_is_refused(toy, arguments, reason):
    result = run("predict", *arguments, "--bundle", toy, env={"COLUMNS": "400"})
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


def test_a_picture_that_failed_is_drawn_when_the_command_goes_on(toy, tmp_path, monkeypatch):
    clip = tmp_path / "a.wav"
    soundfile.write(clip, tone(1, 0.9), SAMPLE_RATE)
    command = ["predict", clip, "--bundle", toy, "--out", tmp_path / "a.csv", "--plot", tmp_path / "a.png"]
    with monkeypatch.context() as patched:

        def full(figure, path):
            raise OSError(28, "No space left on device", str(path))

        patched.setattr(picture, "save", full)
        failed = run(*command)
    assert failed.exit_code == 1
    assert "a.png: No space left on device" in failed.stderr
    assert run(*command).exit_code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_an_answer_that_is_too_long_to_explain_is_written_all_the_same(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("serotone.recognition.explaining.MAX_SECONDS", 0.5)
    clip = tmp_path / "a.wav"
    soundfile.write(clip, tone(1, 0.9), SAMPLE_RATE)
    result = run("predict", clip, "--bundle", toy, "--format", "csv", "--explain", tmp_path / "a.png")
    assert result.exit_code == 1
    assert "at most 0.5 s are explained" in result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_a_pipe_by_its_name_can_be_read_only_once(toy, tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for option in (["--plot", tmp_path / "a.png"], ["--explain", tmp_path / "a.png"], ["--channels"]):
        result = run("predict", tmp_path / "pipe.wav", *option, "--bundle", toy, env={"COLUMNS": "400"})
        assert result.exit_code == 2
        assert "pipe.wav can be read only once" in " ".join(result.stderr.split())


def test_an_explanation_names_its_channel(toy, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(picture, "save", lambda figure, path: drawn.append(figure))
    clip = tmp_path / "a.wav"
    soundfile.write(clip, np.stack([tone(1, 0.9), buzz(1, 0.2)], axis=1), SAMPLE_RATE)
    pictures = ["--explain", tmp_path / "a.png", "--plot", tmp_path / "b.png"]
    assert run("predict", clip, "--channel", "1", "--bundle", toy, *pictures).exit_code == 0
    titles = [text.get_text() for figure in drawn for text in figure.findobj(Text) if "a.wav" in text.get_text()]
    assert len(titles) == 2
    assert all("channel 1" in title for title in titles)


@pytest.mark.parametrize("tenths", range(161, 175))
def test_a_picture_of_a_part_has_no_empty_column(tenths):
    start = tenths / 10
    made = timeline((start, start + 0.5, "sad", False), (start + 0.5, start + 240, "happy", False))
    figure = picture.draw_timeline(made, picture.envelope([np.zeros(2400, np.float32)], 10), start=start)
    assert figure.axes


def test_without_matplotlib_the_command_to_install_it_is_named(toy, tmp_path, monkeypatch, halves):
    clip = tmp_path / "a.wav"
    soundfile.write(clip, tone(1, 0.9), SAMPLE_RATE)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("predict", clip, "--bundle", toy, "--plot", tmp_path / "a.png")
    assert result.exit_code == 1
    assert "pip install 'serotone[plot]'" in result.stderr
    assert result.stdout == ""
    with pytest.raises(MissingExtraError, match="plot"):
        picture.draw_timeline(halves, picture.envelope([HALVES], SAMPLE_RATE))


# What weighed ---------------------------------------------------------------------------------------------------------


def test_occlusion_finds_the_half_that_the_answer_comes_from(recognizer):
    """What is silenced is left out: without the loud half it is less angry, without the quiet half more so."""
    loud, quiet = tone(1.5, 0.3), tone(1.5, 0.02)
    for halves, speech in (((loud, quiet), slice(0, 3)), ((quiet, loud), slice(3, 6))):
        found = explain(recognizer, Audio(np.concatenate(halves), SAMPLE_RATE))
        assert (found.kind, found.prediction.label) == ("occlusion", "angry")
        assert found.times.tolist() == np.arange(0, 3.5, 0.5).tolist()
        inside = np.zeros(6, bool)
        inside[speech] = True
        assert found.weights[inside].min() > 0.01
        assert found.weights[~inside].max() < 0


def test_occlusion_is_the_change_in_log_probability(recognizer):
    samples = np.concatenate([tone(0.5, 0.9), tone(0.5, 0.05)])
    found = explain(recognizer, Audio(samples, SAMPLE_RATE))
    assert len(found.weights) == 2
    label = found.prediction.label
    left = recognizer.predict(samples[8000:], source_rate=SAMPLE_RATE).probabilities[label]
    assert found.weights[0] == pytest.approx(np.log(found.prediction.confidence / left), abs=1e-3)


def test_occlusion_of_a_long_recording_by_hand(recognizer):
    """Three turns of 2 s, heard in windows of 2 s every second: a piece lies in two windows, or in one at the edges."""
    loud, pause = [tone(0.5, level) for level in (0.9, 0.3, 0.8, 0.1)], tone(2, 0)
    parts = [*loud, pause, buzz(2, 0.2), pause, *loud[::-1]]
    samples = np.concatenate(parts)
    found = explain(recognizer, Audio(samples, SAMPLE_RATE))
    assert (found.kind, len(found.weights), found.prediction.windows) == ("occlusion", 20, 6)
    hearing = recognizer.hear(samples, source_rate=SAMPLE_RATE)
    rows = [row.probabilities for row in hearing.rows]
    label = recognizer.bundle.labels.index(found.prediction.label)
    assert found.weights[[5, 6, 13, 14]].tolist() == [0, 0, 0, 0]  # pauses
    for place in range(20):
        start, stop = place * SAMPLE_RATE // 2, (place + 1) * SAMPLE_RATE // 2
        others = []
        for row, probabilities in zip(hearing.rows, rows):
            times = np.arange(row.start, row.stop)
            kept = samples[times[(times < start) | (times >= stop)]]
            others.append(probabilities if len(kept) == len(times) else toy_probabilities(kept))
        logs = np.array([row.weight for row in hearing.rows]) @ np.log(others)
        answer = np.exp(logs / sum(row.weight for row in hearing.rows))
        fallen = np.log(found.prediction.confidence / (answer / answer.sum())[label])
        assert found.weights[place] == pytest.approx(fallen, abs=1e-4)
    assert np.abs(found.weights).max() > 0.01


def test_where_nothing_is_left_the_label_is_as_probable_as_any(recognizer):
    found = explain(recognizer, Audio(tone(0.4, 0.9), SAMPLE_RATE))
    assert found.weights == pytest.approx([np.log(found.prediction.confidence * 3)])
    silent = explain(recognizer, Audio(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE))
    assert (silent.prediction.label, silent.weights.tolist()) == (None, [0, 0])
    assert (
        "Nothing to explain" in picture.draw_explanation(silent, Audio(tone(1, 0), SAMPLE_RATE))._supxlabel.get_text()
    )


def test_attention_is_used_where_the_graph_has_it(tmp_path):
    """Four numbers stand in for the attention of a system."""
    model = toy_graph()
    model.graph.initializer.append(helper.make_tensor("attention", TensorProto.FLOAT, [1, 4], [1.0, 2.0, 4.0, 1.0]))
    model.graph.output.append(helper.make_tensor_value_info("attention", TensorProto.FLOAT, [1, 4]))
    onnx.save(model, tmp_path / "model.onnx")
    (tmp_path / "CARD.md").write_text("# toy\n", encoding="utf-8")
    write_toy_manifest(tmp_path)
    attentive = Recognizer(tmp_path)
    sound = Audio(tone(2, 0.9), SAMPLE_RATE)
    found = explain(attentive, sound)
    assert found.kind == "attention"
    assert found.weights.tolist() == [0.125, 0.25, 0.5, 0.125]
    assert found.times.tolist() == [0, 0.5, 1, 1.5, 2]
    figure = picture.draw_explanation(found, sound)
    assert figure._supxlabel.get_text().startswith("Attention: ")
    assert explain(attentive, Audio(tone(5, 0.9), SAMPLE_RATE)).kind == "occlusion"  # longer than goes through whole


def test_a_picture_says_that_it_is_occlusion(recognizer):
    sound = Audio(np.concatenate([tone(1, 0.9), buzz(1, 0.3)]), SAMPLE_RATE)
    found = explain(recognizer, sound)
    figure = picture.draw_explanation(found, sound)
    assert figure._supxlabel.get_text().startswith(f"Occlusion: how much less probable {found.prediction.label}")
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert sorted(heights) == pytest.approx(sorted(found.weights))


def test_long_audio_is_refused_with_the_remedy(recognizer, monkeypatch):
    monkeypatch.setattr("serotone.recognition.explaining.MAX_SECONDS", 30.0)
    with pytest.raises(AudioTooLongError, match=r"40 s; at most 30 s are explained. Choose a part of it \(--start"):
        explain(recognizer, Audio(tone(40, 0.9), SAMPLE_RATE))


# The prediction -------------------------------------------------------------------------------------------------------


def test_a_prediction_is_pickled_and_is_a_table(halves):
    assert pickle.loads(pickle.dumps(halves)) == halves
    table = halves.to_pandas()
    assert list(table.columns) == [
        *("name", "label", "confidence", "uncertain", "speech_seconds", "start", "end", "channel"),
        *("p_angry", "p_happy", "p_sad", "profile"),
    ]
    assert table["label"].tolist()[::2] == ["angry", "happy"]
    assert table["p_angry"].isna().tolist() == [False, True, False]
    assert table["end"].tolist() == [5, 8, 13]
    assert halves.shares == pytest.approx({"angry": 0.5, "happy": 0.5})


def test_a_table_without_segments_has_its_columns(recognizer):
    table = recognizer.predict(tone(1, 0.9), source_rate=SAMPLE_RATE).to_pandas()
    assert len(table) == 0
    assert list(table.columns)[5:] == ["start", "end", "channel", "profile"]


def test_without_pandas_the_command_to_install_it_is_named(halves, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"to_pandas.*serotone\[pandas\]"):
        halves.to_pandas()
