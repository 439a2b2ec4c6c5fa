"""The recogniser: every way in gives the same answer, long recordings go through windows, silence gets no label."""

import gzip
import io
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import psutil
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import serotone
from serotone.audio import Audio
from serotone.errors import AudioError, AudioMissingError, AudioTooShortError, BundleError
from serotone.recognition import session
from serotone.recognition.prediction import Prediction
from serotone.recognition.recognizer import Recognizer
from toy_bundle import (
    SAMPLE_RATE,
    buzz,
    make_adaptable_bundle,
    make_toy_bundle,
    tone,
    toy_graph,
    toy_probabilities,
    write_toy_manifest,
)


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    make_toy_bundle(folder)
    return Recognizer(folder)


def hear(recognizer, samples, **options):
    return recognizer.predict(samples, source_rate=SAMPLE_RATE, **options)


def test_what_another_bundle_heard_is_not_answered(recognizer, tmp_path):
    make_toy_bundle(tmp_path, name="other")
    hearing = recognizer.hear(tone(1, 0.9), source_rate=SAMPLE_RATE)
    assert recognizer.answer(hearing).label == "angry"
    with pytest.raises(BundleError, match="another bundle than other heard it"):
        Recognizer(tmp_path).answer(hearing)


def test_more_threads_than_processors_are_not_started(tmp_path, monkeypatch):
    make_toy_bundle(tmp_path)
    monkeypatch.setattr(session, "processors", lambda: 2)
    started = []
    start = session.start_session
    monkeypatch.setattr(session, "start_session", lambda graph, threads: started.append(threads) or start(graph))
    for threads in (1, 99):
        Recognizer(tmp_path, threads=threads)
    assert started == [1, 2]


def test_an_answer_to_numbers_of_numpy_is_json(recognizer):
    wide = np.stack([tone(2, 0.9), tone(2, 0.02)], axis=1)
    part = {"channel": np.int64(1), "start": np.float32(0.5), "end": np.float64(1.5)}
    answer = hear(recognizer, wide, timeline=True, **part)
    assert json.loads(json.dumps(answer.to_dict()))["channel"] == 1


def named(prediction):
    return np.array([prediction.probabilities[label] for label in ("angry", "happy", "sad")])


@pytest.mark.parametrize(
    ("samples", "label"), [(tone(1, 0.9), "angry"), (tone(1, 0.002), "sad"), (buzz(1, 0.2), "happy")]
)
def test_the_graph_answers_as_computed_by_hand(recognizer, samples, label):
    prediction = hear(recognizer, samples)
    assert prediction.label == label
    assert prediction.confidence == max(prediction.probabilities.values())
    assert prediction.windows == 1
    assert prediction.segments == ()
    assert prediction.bundle == "toy 1"
    np.testing.assert_allclose(named(prediction), toy_probabilities(samples), atol=1e-5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seconds=st.floats(0.25, 4.0), amplitude=st.floats(0.001, 1.0), seed=st.integers(0, 1000))
def test_any_clip_up_to_the_limit_goes_through_whole(recognizer, seconds, amplitude, seed):
    samples = np.random.default_rng(seed).uniform(-amplitude, amplitude, round(seconds * SAMPLE_RATE))
    samples = samples.astype(np.float32)[: 4 * SAMPLE_RATE]
    if len(samples) < 0.25 * SAMPLE_RATE:
        return
    samples[0] = amplitude  # a first sample that is near zero is no sound yet, and is left out
    prediction = hear(recognizer, samples)
    assert prediction.windows == 1
    np.testing.assert_allclose(named(prediction), toy_probabilities(samples), atol=1e-4)


def test_every_way_in_is_the_same(recognizer, tmp_path):
    samples = tone(1.3, 0.05)
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    content = path.read_bytes()
    with path.open("rb") as file:
        ways = [
            recognizer.predict(path),
            recognizer.predict(str(path)),
            recognizer.predict(content),
            recognizer.predict(io.BytesIO(content)),
            recognizer.predict(file),
            hear(recognizer, samples),
            recognizer.predict_audio(Audio(samples, SAMPLE_RATE)),
            *recognizer.predict_many([path]),
        ]
    assert ways[0].name == str(path)
    assert {way.label for way in ways} == {ways[0].label}
    for way in ways:
        np.testing.assert_allclose(named(way), named(ways[0]), atol=1e-7)


def test_a_long_recording_is_the_weighted_mean_of_its_windows(recognizer):
    """A window ends every second of a turn and looks back two; each counts by the speech that is new in it."""
    samples = np.concatenate([tone(3, 0.9), np.zeros(2 * SAMPLE_RATE, np.float32), buzz(1.5, 0.3)])
    prediction = hear(recognizer, samples)
    logs, weights = [], []
    for start, stop, weight in [(0, 1, 1), (0, 2, 1), (1, 3, 1), (5, 6, 1), (5, 6.5, 0.5)]:
        window = samples[int(start * SAMPLE_RATE) : int(stop * SAMPLE_RATE)]
        weights.append(weight)
        logs.append(np.log(np.maximum(toy_probabilities(window), 1e-7)))
    mean = np.average(logs, axis=0, weights=weights)
    np.testing.assert_allclose(named(prediction), np.exp(mean) / np.exp(mean).sum(), atol=1e-4)
    assert prediction.windows == 5
    assert prediction.duration_seconds == pytest.approx(6.5)
    assert prediction.speech_seconds == pytest.approx(4.5, abs=0.02)


def test_silence_gets_no_label_and_no_made_up_probabilities(recognizer):
    for samples, reason in [(np.zeros(16000, np.float32), "digital silence"), (tone(1, 1e-5), "no speech: nothing")]:
        prediction = hear(recognizer, samples, timeline=True)
        assert prediction.label is None
        assert prediction.probabilities == {}
        assert prediction.confidence == 0
        assert prediction.uncertain
        assert prediction.reason.startswith(reason)
        assert prediction.speech_seconds == 0
        assert [(s.start, s.end, s.label) for s in prediction.segments] == [(0, 1, None)]


def test_uncertain_below_the_threshold_and_the_reason_says_so(tmp_path):
    make_toy_bundle(tmp_path, thresholds={"uncertain": 0.999})
    prediction = hear(Recognizer(tmp_path), tone(1, 0.9))
    assert prediction.label == "angry"
    assert prediction.uncertain
    assert "below 0.999" in prediction.reason
    make_toy_bundle(tmp_path, thresholds={})
    prediction = hear(Recognizer(tmp_path), tone(1, 0.05))
    assert not prediction.uncertain
    assert prediction.reason is None


def test_the_confidence_of_the_reason_has_as_many_digits_as_it_takes_to_be_below_the_threshold(tmp_path):
    for threshold, said in [(0.95, "0.91"), (0.91, "0.907"), (0.9067, "0.9066")]:
        make_toy_bundle(tmp_path, thresholds={"uncertain": threshold})
        prediction = hear(Recognizer(tmp_path), tone(1, 0.28))
        assert prediction.confidence == pytest.approx(0.90664, abs=1e-5)
        assert prediction.reason == f"confidence {said} is below {threshold}"


def test_the_timeline_of_a_long_recording(recognizer):
    samples = np.concatenate([tone(5, 0.9), np.zeros(3 * SAMPLE_RATE, np.float32), buzz(5, 0.3)])
    prediction = hear(recognizer, samples, timeline=True)
    assert [(s.start, s.end, s.label) for s in prediction.segments] == [
        (0, 5, "angry"),
        (5, 8, None),
        (8, 13, "happy"),
    ]
    for segment in prediction.segments[::2]:
        assert sum(segment.probabilities.values()) == pytest.approx(1)
        assert segment.confidence == segment.probabilities[segment.label]
    assert hear(recognizer, samples).probabilities == prediction.probabilities


def test_the_timeline_of_a_clip_leaves_its_answer_alone(recognizer):
    samples = np.concatenate([tone(1.5, 0.9), buzz(1.5, 0.3)])
    prediction = hear(recognizer, samples, timeline=True)
    assert prediction.windows == 1
    assert prediction.probabilities == hear(recognizer, samples).probabilities
    assert prediction.segments[0].start == 0
    assert prediction.segments[-1].end == pytest.approx(3)
    short = hear(recognizer, tone(1, 0.9), timeline=True)
    assert [(s.start, s.end, s.label) for s in short.segments] == [(0, 1, "angry")]


def test_shares_are_of_the_seconds_of_speech(recognizer):
    """A voice with long pauses has less of it than its segments last."""
    pause = np.zeros(SAMPLE_RATE, np.float32)
    broken = np.concatenate([part for _ in range(4) for part in (tone(0.4, 0.9), pause)])
    samples = np.concatenate([broken, buzz(4, 0.3)])
    prediction = recognizer.predict(samples, source_rate=SAMPLE_RATE, timeline=True)
    spoken, lasting = dict.fromkeys(("angry", "happy"), 0.0), dict.fromkeys(("angry", "happy"), 0.0)
    for segment in prediction.segments:
        if segment.label is not None:
            spoken[segment.label] += segment.speech_seconds
            lasting[segment.label] += segment.end - segment.start
    total = sum(spoken.values())
    assert prediction.shares == pytest.approx({label: value / total for label, value in spoken.items()}, abs=1e-4)
    assert prediction.shares["angry"] < lasting["angry"] / sum(lasting.values()) - 0.05


def test_too_short_and_wrong_rate(recognizer):
    with pytest.raises(AudioTooShortError, match=r"0\.25 s"):
        hear(recognizer, tone(0.2, 0.5))
    with pytest.raises(AudioError, match="16000 Hz"):
        recognizer.predict_audio(Audio(tone(1, 0.5), 8000))


def test_another_rate_is_resampled(recognizer):
    prediction = recognizer.predict(tone(1, 0.9, rate=44100), source_rate=44100)
    assert prediction.label == "angry"
    assert prediction.duration_seconds == pytest.approx(1)


@pytest.mark.parametrize("jobs", [1, 3])
def test_many_go_on_after_a_failure(recognizer, tmp_path, jobs):
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(1, 0.9), SAMPLE_RATE)
    results = list(recognizer.predict_many([path, tmp_path / "none.wav", path], jobs=jobs))
    assert isinstance(results[0], Prediction)
    assert isinstance(results[2], Prediction)
    source, error = results[1]
    assert source == tmp_path / "none.wav"
    assert isinstance(error, AudioMissingError)
    with pytest.raises(AudioMissingError):
        list(recognizer.predict_many([tmp_path / "none.wav"], on_error="raise", jobs=jobs))
    with pytest.raises(ValueError, match="on_error is 'skip'; expected 'return' or 'raise'"):
        list(recognizer.predict_many([path], on_error="skip"))
    with pytest.raises(TypeError, match="sources is one str; expected several recordings"):
        list(recognizer.predict_many(str(path)))


def test_many_go_on_after_a_source_that_raises_its_own_error(recognizer):
    file = io.BytesIO()
    soundfile.write(file, tone(1, 0.9), SAMPLE_RATE, format="WAV")
    packed = gzip.compress(file.getvalue())
    cut, good = (gzip.GzipFile(fileobj=io.BytesIO(content)) for content in (packed[: len(packed) // 2], packed))
    (source, error), answer = recognizer.predict_many([cut, good])
    assert (source, type(error), answer.label) == (cut, AudioError, "angry")


def test_a_recogniser_says_what_it_is(tmp_path):
    with Recognizer(make_adaptable_bundle(tmp_path / "toy")) as recognizer:
        assert repr(recognizer) == "<Recognizer toy 1>"
        clips = [tone(1, level) for level in (0.1, 0.2, 0.3, 0.4, 0.5)]
        adapted = recognizer.adapted_to(clips, source_rate=SAMPLE_RATE, name="office")
        assert repr(adapted) == "<Recognizer toy 1, adapted to office>"


def test_to_dict_is_json_with_a_schema(recognizer):
    prediction = hear(recognizer, np.concatenate([tone(3, 0.9), buzz(3, 0.3)]), timeline=True)
    raw = json.loads(json.dumps(prediction.to_dict(), allow_nan=False))
    assert raw["schema"] == 1
    assert raw["probabilities"] == dict(prediction.probabilities)
    assert raw["windows"] == 6
    assert [s["label"] for s in raw["segments"]] == [s.label for s in prediction.segments]


def test_one_recogniser_for_many_threads(recognizer):
    clips = [tone(1 + i / 50, 0.02 * (i + 1)) for i in range(40)]
    alone = [hear(recognizer, clip).probabilities for clip in clips]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda clip: hear(recognizer, clip).probabilities, clips))
    assert together == alone


def test_a_closed_recogniser_says_so(tmp_path):
    samples = tone(1, 0.9)
    with Recognizer(make_adaptable_bundle(tmp_path / "toy")) as recognizer:
        profile = recognizer.profile([tone(1, level) for level in (0.1, 0.2, 0.3, 0.4, 0.5)], source_rate=SAMPLE_RATE)
        adapted = recognizer.with_profile(profile)
        stream = recognizer.stream(sample_rate=SAMPLE_RATE)
    recognizer.close()
    for use in (
        lambda: recognizer.predict(samples, source_rate=SAMPLE_RATE),
        lambda: recognizer.with_profile(profile),
        lambda: stream.feed(tone(5, 0.9)),
        lambda: pickle.loads(pickle.dumps(recognizer)).predict(samples, source_rate=SAMPLE_RATE),
    ):
        with pytest.raises(ValueError, match="this recogniser \\(toy\\) is closed; make another one"):
            use()
    assert adapted.predict(samples, source_rate=SAMPLE_RATE).label  # it shared the graph and is open still


def test_recognisers_can_be_pickled(tmp_path):
    plain = Recognizer(make_adaptable_bundle(tmp_path / "toy"), threads=2)
    sources = [tone(1, level) for level in (0.1, 0.2, 0.3, 0.4, 0.5)]
    for recognizer in (plain, plain.adapted_to(sources, source_rate=SAMPLE_RATE)):
        again = pickle.loads(pickle.dumps(recognizer))
        answers = [one.predict(sources[0], source_rate=SAMPLE_RATE) for one in (recognizer, again)]
        assert answers[0] == answers[1]
    (tmp_path / "toy" / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model\.onnx"):
        pickle.loads(pickle.dumps(plain))


def test_a_part_of_a_recording(recognizer, tmp_path):
    path = tmp_path / "two.wav"
    left, right = (
        np.concatenate([first, second])
        for first, second in ((tone(3, 0.9), tone(3, 0.002)), (tone(3, 0.002), tone(3, 0.9)))
    )
    soundfile.write(path, np.stack([left, right], axis=1), SAMPLE_RATE)
    part = recognizer.predict(path, channel=1, start=3.5, end=5.5, timeline=True)
    assert (part.label, part.channel, part.notes, part.duration_seconds) == ("angry", 1, (), 2.0)
    assert (part.segments[0].start, part.segments[-1].end) == (3.5, 5.5)
    assert recognizer.predict(path).notes == ("2 channels mixed to one",)


def test_a_part_of_many_recordings(recognizer):
    array = np.stack(
        [np.concatenate([tone(2, 0.9), tone(1, 0.0)]), np.concatenate([tone(1, 0.0), buzz(2, 0.3)])], axis=1
    )
    parts = {"source_rate": SAMPLE_RATE, "start": 1.5, "end": 2.5, "channel": 1}
    many = list(recognizer.predict_many([array, array], timeline=True, **parts))
    assert many == [recognizer.predict(array, timeline=True, **parts)] * 2
    assert (many[0].label, many[0].channel, many[0].segments[0].start) == ("happy", 1, 1.5)


def test_a_long_recording_takes_the_memory_of_a_short_one(recognizer, tmp_path):
    paths = []
    for minutes in (1, 20):  # 20 minutes are 77 MB in memory as a whole
        paths.append(tmp_path / f"{minutes}.wav")
        with soundfile.SoundFile(paths[-1], "w", SAMPLE_RATE, 1) as file:
            for _ in range(minutes):
                file.write(np.concatenate([tone(3, 0.5), np.zeros(57 * SAMPLE_RATE, np.float32)]))
    process = psutil.Process()
    recognizer.predict(paths[0], timeline=True)
    peaks, done = [process.memory_info().rss], threading.Event()

    def watch():
        while not done.wait(0.01):
            peaks.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answer = recognizer.predict(paths[1], timeline=True)
    finally:
        done.set()
        watcher.join()
    assert answer.duration_seconds == 1200
    assert len(answer.segments) >= 40
    assert len(peaks) > 20
    assert max(peaks) - peaks[0] < 20e6


def test_memory_is_flat_over_many_lengths(recognizer):
    process = psutil.Process()
    clips = np.random.default_rng(0).uniform(-0.3, 0.3, 4 * SAMPLE_RATE).astype(np.float32)
    for i in range(200):
        hear(recognizer, clips[: 4000 + 299 * i])
    before = process.memory_info().rss
    for i in range(600):
        hear(recognizer, clips[: 4001 + 99 * i])
    assert process.memory_info().rss - before < 20e6


@pytest.mark.parametrize("threads", [0, -1])
def test_threads(tmp_path, threads):
    make_toy_bundle(tmp_path)
    with pytest.raises(ValueError, match="threads"):
        Recognizer(tmp_path, threads=threads)


def opened(folder):
    """A recogniser with the graph that lies in a folder."""
    return Recognizer(write_toy_manifest(folder))


def test_a_graph_that_is_none(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match="cannot be run here"):
        opened(tmp_path)


def test_a_graph_of_other_classes(tmp_path):
    make_toy_bundle(tmp_path, labels=["angry", "sad"])
    with pytest.raises(BundleError, match=r"3 classes.*names 2"):
        Recognizer(tmp_path)


def test_a_graph_of_other_names(tmp_path):
    graph = toy_graph()
    graph.graph.input[0].name = "audio"
    for node in graph.graph.node:
        node.input[:] = ["audio" if name == "waveform" else name for name in node.input]
    onnx.save(graph, tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="takes waveform"):
        opened(tmp_path)


def test_a_graph_that_answers_nan(tmp_path):
    graph = toy_graph()
    for constant in graph.graph.initializer:
        if constant.name == "bias":
            constant.CopyFrom(onnx.numpy_helper.from_array(np.full((1, 3), np.nan, np.float32), "bias"))
    onnx.save(graph, tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="NaN"):
        hear(opened(tmp_path), tone(1, 0.5))


def test_the_public_names():
    assert serotone.Recognizer is Recognizer
    assert set(serotone.__all__) <= set(dir(serotone))
    for name in serotone.__all__:
        assert getattr(serotone, name).__name__ == name
    with pytest.raises(AttributeError, match="nosuch"):
        _ = serotone.nosuch


def test_the_callers_digest_counts_for_a_loaded_bundle_too(recognizer):
    bundle = recognizer.bundle
    assert Recognizer(bundle, sha256=bundle.sha256).bundle == bundle
    with pytest.raises(BundleError, match="the one that was asked for"):
        Recognizer(bundle, sha256="0" * 64)
