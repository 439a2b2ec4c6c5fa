"""One path: the same audio gives the same answers in whatever pieces it comes, as a file, an array or a stream."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from serotone.corpora.voice import speak
from serotone.errors import AudioNotFiniteError, BundleError
from serotone.recognition.recognizer import Recognizer
from serotone.recognition.squeeze import squeezed
from serotone.recognition.stream import SHRINKAGE, Stream
from toy_bundle import ADAPTATION, buzz, make_adaptable_bundle, make_toy_bundle, tone, toy_embedding, toy_probabilities

RATE = 16000
VOICES = [
    speak(0, number, "male" if number % 2 else "female", emotion, number).astype(np.float32) / np.float32(32768)
    for number, emotion in enumerate(("angry", "sad", "happy", "neutral"))
]


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds, dbfs, seed=0):
    return (10 ** (dbfs / 20) * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


CLIP = np.concatenate([noise(0.4, -70), VOICES[0], silence(1), VOICES[1]])
LONG = np.concatenate([part for voice in (*VOICES, *VOICES) for part in (voice, silence(0.7))])
"""More speech than goes through whole."""


@pytest.fixture(scope="module")
def recognizers(tmp_path_factory):
    toys = tmp_path_factory.mktemp("toys")
    return {
        "default": Recognizer("default"),
        "light": Recognizer("light"),
        "level": Recognizer(make_toy_bundle(toys / "level")),
        "toy": Recognizer(make_toy_bundle(toys / "silero", extra={"speech": "silero"})),
        "adaptable": Recognizer(make_adaptable_bundle(toys / "adaptable")),
    }


def run(recognizer, samples, cuts=(), *, rate=RATE, **options):
    """All updates and the prediction of a stream that gets its samples in pieces of ``cuts``, and then the rest."""
    stream = recognizer.stream(sample_rate=rate, **options)
    updates, at = [], 0
    for cut in cuts:
        updates += stream.feed(samples[at : at + cut])
        at += cut
    updates += stream.feed(samples[at:])
    return updates, stream.finish()


def assert_same(one, other):
    assert (one.label, one.windows, one.speech_seconds) == (other.label, other.windows, other.speech_seconds)
    assert one.duration_seconds == other.duration_seconds
    assert_close(one.probabilities, other.probabilities)
    assert_close(one.shares, other.shares)
    assert [(s.start, s.end, s.label) for s in one.segments] == [(s.start, s.end, s.label) for s in other.segments]
    for a, b in zip(one.segments, other.segments, strict=True):
        assert_close(a.probabilities, b.probabilities)


def assert_close(one, other):
    assert one.keys() == other.keys()
    np.testing.assert_allclose(list(one.values()), [other[key] for key in one], atol=1e-4)


@pytest.mark.parametrize("name", ["default", "light", "level"])
@pytest.mark.parametrize("samples", [CLIP, LONG], ids=["clip", "long"])
@settings(deadline=None, max_examples=3)
@given(cuts=st.lists(st.integers(0, 60_000), max_size=12))
def test_the_same_audio_in_any_pieces_gives_the_same_answers(recognizers, name, samples, cuts):
    recognizer, every = recognizers[name], 1.7 if samples is LONG else 0.5
    whole = recognizer.predict(samples, source_rate=RATE, timeline=True)
    expected, _ = run(recognizer, samples, every_seconds=every)
    updates, prediction = run(recognizer, samples, cuts, every_seconds=every)
    assert_same(prediction, whole)
    said, wanted = ([(u.segment.start, u.segment.end, u.segment.label) for u in found] for found in (updates, expected))
    assert said == wanted
    for one, other in zip(updates, expected, strict=True):
        assert_close(one.segment.probabilities, other.segment.probabilities)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0.03, 1.2), st.floats(0.2, 0.9)), min_size=1, max_size=6),
    st.lists(st.integers(0, 20_000), max_size=10),
)
def test_turns_and_pauses_of_any_length_in_any_pieces(recognizers, parts, cuts):
    samples = np.concatenate([part for tones, pause in parts for part in (buzz(tones, 0.3), silence(pause))])
    (updates, prediction), (expected, whole) = (run(recognizers["level"], samples, how) for how in (cuts, ()))
    assert_same(prediction, whole)
    assert [update.segment for update in updates] == [update.segment for update in expected]


@pytest.mark.parametrize("seconds", [0.2, 0.24, 0.3])
def test_the_window_of_a_short_recording_is_heard_once(recognizers, seconds):
    samples = np.concatenate([silence(0.5), noise(1, -90), buzz(seconds, 0.3), silence(2)])
    hearing = recognizers["level"].hear(samples, source_rate=RATE, timeline=True)
    assert len(hearing.rows) == 1
    assert hearing.rows[0].weight == pytest.approx(hearing.speech.total)


def test_samples_one_by_one(recognizers):
    samples = CLIP[: RATE // 2 + 37]
    assert_same(run(recognizers["toy"], samples, [1] * len(samples))[1], run(recognizers["toy"], samples)[1])


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_any_rate_is_resampled_as_a_file_is(recognizers, tmp_path, rate):
    import soxr

    samples = soxr.resample(LONG, RATE, rate).astype(np.float32)
    path = tmp_path / "long.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    from_file = recognizers["light"].predict(path, timeline=True)
    assert_same(run(recognizers["light"], samples, [rate // 7] * 300, rate=rate)[1], from_file)


def test_a_file_an_array_and_audio_that_was_read_are_the_same(recognizers, tmp_path):
    from serotone.audio import read

    path = tmp_path / "long.wav"
    soundfile.write(path, LONG, RATE, subtype="FLOAT")
    whole = recognizers["light"].predict(path, timeline=True)
    assert_same(recognizers["light"].predict(LONG, source_rate=RATE, timeline=True), whole)
    assert_same(recognizers["light"].predict_audio(read(path), timeline=True), whole)
    assert recognizers["light"].predict(path).probabilities == whole.probabilities


def test_a_clip_is_heard_whole_without_its_silence(recognizers):
    expected = toy_probabilities(squeezed(VOICES[0]))
    for samples in (VOICES[0], np.concatenate([silence(1.5), VOICES[0], silence(1.5)])):
        prediction = recognizers["toy"].predict(samples, source_rate=RATE)
        assert prediction.windows == 1
        np.testing.assert_allclose(list(prediction.probabilities.values()), expected, atol=1e-5)
        assert prediction.duration_seconds == pytest.approx(len(samples) / RATE)


def test_silence_never_enters_the_network(recognizers, monkeypatch):
    recognizer, heard = recognizers["toy"], []
    graph = Recognizer.graph
    monkeypatch.setattr(Recognizer, "graph", lambda self, samples: heard.append(len(samples)) or graph(self, samples))
    for pause in (0.5, 5.0, 60.0):
        recognizer.predict(np.concatenate([VOICES[0], silence(pause), VOICES[0]]), source_rate=RATE)
    recognizer.predict(noise(5, -30), source_rate=RATE)
    assert len(heard) == 3
    assert max(heard) - min(heard) <= 4 * 512
    assert max(heard) <= 2 * len(VOICES[0])


def test_a_recording_up_to_the_limit_goes_through_whole_and_a_longer_one_in_windows(recognizers):
    toy = recognizers["level"]  # takes 4 s, windows of 2 s every second
    assert toy.predict(np.concatenate([tone(2, 0.5), silence(9), tone(1.9, 0.5)]), source_rate=RATE).windows == 1
    prediction = toy.predict(np.concatenate([tone(3, 0.9), silence(2), buzz(3, 0.3)]), source_rate=RATE)
    assert prediction.windows == 6
    assert prediction.shares == {"angry": pytest.approx(0.5, abs=0.01), "happy": pytest.approx(0.5, abs=0.01)}
    assert prediction.segments == ()
    assert prediction.to_dict()["shares"] == prediction.shares
    assert toy.predict(tone(1, 0.5), source_rate=RATE).shares == {}


def test_updates_at_once_and_final_ones_when_they_are_known(recognizers):
    samples = np.concatenate([tone(4, 0.9), silence(6), buzz(3, 0.3)])
    stream, updates = recognizers["level"].stream(sample_rate=RATE), []
    for number in range(130):
        new = stream.feed(samples[1600 * number : 1600 * (number + 1)])
        at_once = (number + 1) % 5 == 0 and number > 4  # the first half second is read before anything is said
        assert [update.final for update in new].count(False) == at_once
        updates += new
    now = [update.segment.label for update in updates if not update.final]
    # The pause is no longer part of the turn from .66 s on: the margin, and the pause that ends a turn.
    # The first half second is held back until it is known where sound begins: the first sample of the tone is none.
    assert now == ["angry"] * 8 + [None] * 11 + ["happy"] * 6
    assert [update.segment.label for update in updates if update.final] == ["angry"] * 4 + ["happy"] * 2
    assert stream.finish().segments[0].label == "angry"
    only_final, _ = run(recognizers["level"], samples, every_seconds=None)
    assert [update.segment for update in only_final] == [update.segment for update in updates if update.final]


@pytest.mark.parametrize("rate", [RATE, 48000])
@pytest.mark.parametrize("seconds", [0.3, 1.0, 6.2])
def test_each_window_of_the_timeline_has_a_final_update_and_the_last_ones_come_at_the_end(recognizers, rate, seconds):
    samples = tone(seconds, 0.5, rate=rate)
    expected = recognizers["adaptable"].hear(np.pad(samples, (0, rate // 4)), source_rate=rate, timeline=True).rows
    stream = recognizers["adaptable"].stream(sample_rate=rate, adapt=True)
    updates = stream.feed(np.pad(samples, (0, rate // 4)))
    assert stream.last_updates == ()
    prediction = stream.finish()
    final = [update for update in (*updates, *stream.last_updates) if update.final]
    found = [(update.segment.start, update.segment.end) for update in final]
    assert found == [(row.start / RATE, row.stop / RATE) for row in expected]
    assert stream.last_updates[-1].final
    assert stream.last_updates[-1].profile == prediction.profile


def test_what_is_said_now_is_what_the_end_would_say(recognizers):
    """The last window of a recording that ends there; 16 whole blocks apart, as the end would fill one up."""
    samples = LONG.copy()
    samples[0] = 0.5  # blocks count from the first sound
    updates, _ = run(recognizers["toy"], samples, every_seconds=16 * 512 / RATE)
    compared = 0
    for number, update in enumerate(update for update in updates if not update.final):
        until = (number + 1) * 16 * 512
        heard = recognizers["toy"].hear(samples[:until], source_rate=RATE, timeline=True)
        if update.segment.label is None:
            assert heard.total - heard.speech._stops[-1] > 0.5 * RATE
        elif update.segment.speech_seconds:  # else the turn's last window is final
            row = heard.rows[-1]
            assert (update.segment.start, update.segment.end) == (row.start / RATE, row.stop / RATE)
            assert update.segment.speech_seconds == row.weight
            np.testing.assert_allclose(list(update.segment.probabilities.values()), row.probabilities, atol=1e-5)
            compared += 1
    assert compared > 20


@pytest.mark.parametrize("kind", ["nothing", "zeros", "noise", "a moment"])
def test_streams_without_speech_end_without_a_label(recognizers, kind):
    samples = {"nothing": silence(0), "zeros": silence(3), "noise": noise(3, -30), "a moment": VOICES[0][:900]}[kind]
    _, prediction = run(recognizers["default"], samples)
    assert prediction.label is None
    assert bool(prediction.segments) == (kind != "nothing")
    assert prediction.reason == (
        "digital silence" if kind in ("nothing", "zeros") else "no speech: noise, music or silence"
    )


def test_a_stream_keeps_no_audio_but_what_a_window_needs(recognizers):
    import tracemalloc

    stream = recognizers["level"].stream(sample_rate=RATE, every_seconds=5)
    second = tone(1, 0.5)
    for _ in range(30):
        stream.feed(second)
    tracemalloc.start()
    for _ in range(300):
        stream.feed(second)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_500_000  # 300 s are 19 MB of audio


@pytest.mark.parametrize("adapted", [False, True])
def test_a_prediction_keeps_no_embeddings_of_windows(recognizers, adapted, monkeypatch):
    """An hour of them takes 40 MB."""
    recognizer, answered = recognizers["adaptable"], []
    if adapted:
        recognizer = recognizer.adapted_to([tone(1, 0.01 * (1 + i)) for i in range(6)], source_rate=RATE)
    samples = np.concatenate([tone(1, 0.02 * (1 + number)) for number in range(12)])
    hearing = recognizer.hear(samples, source_rate=RATE, timeline=True)
    assert all(row.embedding is not None for row in hearing.rows)
    whole = recognizer.answer(hearing)
    answer = Recognizer.answer
    monkeypatch.setattr(
        Recognizer, "answer", lambda *args, **kwargs: answered.append(args[1]) or answer(*args, **kwargs)
    )
    prediction = recognizer.predict(samples, source_rate=RATE, timeline=True)
    stream = recognizer.stream(sample_rate=RATE)
    stream.feed(samples)
    for found in (prediction, stream.finish()):
        assert_same(found, whole)
        assert found.profile == whole.profile
    assert [len(hearing.rows) for hearing in answered] == [12, 12]
    assert all(row.embedding is None for hearing in answered for row in hearing.rows)


def test_adapting_while_listening_by_hand(recognizers):
    recognizer = recognizers["adaptable"]
    samples = np.concatenate([tone(1, 0.02 * (1 + number)) for number in range(12)])
    updates, prediction = run(recognizer, samples, adapt=True, every_seconds=None)
    assert [update.profile and update.profile["count"] for update in updates] == [None] * 4 + list(range(5, 12))
    assert prediction.profile == {"name": "stream", "count": 12, "speaker": None}
    plain, unadapted = run(recognizer, samples, every_seconds=None)
    assert unadapted.profile is None
    assert [u.segment.probabilities for u in updates[:4]] == [u.segment.probabilities for u in plain[:4]]
    ends = range(1, 13)
    embeddings = np.array([toy_embedding(samples[max(0, end - 2) * RATE : end * RATE]) for end in ends])
    count, seen = 8, embeddings[:8]
    mean = seen.mean(axis=0) * count / (count + SHRINKAGE)
    sd = np.sqrt(np.maximum((count * seen.var(axis=0) + SHRINKAGE + 1) / (count + SHRINKAGE), 0.01))
    expected = recognizer.adaptation().heads["collection"]
    logits = (expected.weight @ ((embeddings[7] - mean) / sd) + expected.bias) / expected.level.temperature
    answer = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(list(updates[7].segment.probabilities.values()), answer, atol=1e-4)
    said, _ = run(recognizer, samples, adapt=True, every_seconds=1.0)
    assert [u.segment for u in said if u.final] == [u.segment for u in updates]
    now = [u for u in said if not u.final]
    assert [u.profile and u.profile["count"] for u in now] == [None] * 5 + list(
        range(5, 12)
    )  # a final one comes a block later


def test_a_stream_of_an_adapted_recogniser_answers_adapted(recognizers):
    adapted = recognizers["adaptable"].adapted_to([tone(1, 0.01 * (1 + i)) for i in range(6)], source_rate=RATE)
    samples = np.concatenate([tone(4, 0.5), buzz(3, 0.3)])
    updates, prediction = run(adapted, samples)
    assert_same(prediction, adapted.predict(samples, source_rate=RATE, timeline=True))
    assert updates[0].profile == prediction.profile == {"name": "collection", "count": 6, "speaker": None}
    with pytest.raises(ValueError, match="adapted to a profile already"):
        adapted.stream(sample_rate=RATE, adapt=True)


def test_an_update_is_uncertain_below_the_threshold_of_the_level_that_answers(tmp_path):
    levels = {
        "collection": ADAPTATION["collection"] | {"thresholds": {"uncertain": 1.0}},
        "speaker": ADAPTATION["speaker"] | {"thresholds": {"uncertain": 0.0}},
    }
    plain = Recognizer(make_adaptable_bundle(tmp_path, adaptation=levels, thresholds={"uncertain": 0.0}))
    quiet = [tone(1, 0.01 * (1 + i)) for i in range(6)]
    adapted = plain.adapted_to(quiet, speakers=["anna"] * 6, source_rate=RATE)
    for recognizer, speaker, uncertain in ((plain, None, False), (adapted, None, True), (adapted, "anna", False)):
        updates, prediction = run(recognizer, tone(3, 0.05), speaker=speaker)
        assert prediction.uncertain == uncertain
        assert {update.segment.uncertain for update in updates if update.segment.label} == {uncertain}


def test_an_update_without_speech_is_of_the_time_since_the_last_one(recognizers):
    updates, _ = run(recognizers["level"], np.concatenate([tone(1, 0.5), silence(3)]), every_seconds=0.5)
    spans = [(update.segment.start, update.segment.end) for update in updates if update.segment.label is None]
    assert spans[-3:] == [(2.5, 3.0), (3.0, 3.5), (3.5, 4.0)]


def test_a_stream_may_have_a_longer_name_than_a_profile(recognizers):
    for name in ("", "/a/deep/folder" * 20):
        for adapt in (False, True):
            stream = recognizers["adaptable"].stream(sample_rate=RATE, name=name, adapt=adapt)
            assert stream.finish().name == name


def test_samples_that_are_far_too_loud_are_warned_of_as_in_a_recording(recognizers):
    for level in (32.0, 20_000.0):
        samples = tone(1, level)
        prediction = run(recognizers["level"], samples)[1]
        assert prediction.warnings == recognizers["level"].predict(samples, source_rate=RATE).warnings
    assert prediction.warnings[0].startswith("samples reach 2e+04, but -1 to 1 is expected")


def test_the_longest_time_between_updates_has_no_bound(recognizers):
    updates, prediction = run(recognizers["level"], tone(3, 0.9), every_seconds=1e308)
    assert all(update.final for update in updates)
    assert prediction.label == "angry"


def test_what_is_no_stream_is_refused(recognizers):
    stream: Stream = recognizers["level"].stream(sample_rate=RATE)
    with pytest.raises(ValueError, match="int16"):
        stream.feed(np.zeros(10, np.int16))
    with pytest.raises(ValueError, match="one channel"):
        stream.feed(np.zeros((10, 2), np.float32))
    assert stream.feed([0.0] * (RATE // 4)) == []
    for value, what in ((np.nan, "NaN or infinity"), (1e30, r"a sample of 1e\+30"), (1e300, r"a sample of 1e\+300")):
        with pytest.raises(AudioNotFiniteError, match=rf"{what} 0\.250 s in; expected samples of about -1 to 1"):
            stream.feed(np.array([value, 0.0]))
    for value in (np.inf, -np.inf, np.nan):  # float16 holds no million
        with pytest.raises(AudioNotFiniteError, match=r"stream: NaN or infinity 0\.250 s in"):
            stream.feed(np.array([0.0, value], np.float16))
    stream.finish()
    for again in (stream.finish, lambda: stream.feed(silence(1))):
        with pytest.raises(ValueError, match="is finished"):
            again()
    for every in (0, np.inf, np.nan):
        with pytest.raises(ValueError, match=f"every_seconds is {every}"):
            recognizers["level"].stream(sample_rate=RATE, every_seconds=every)
    with pytest.raises(ValueError, match=r"sample_rate is 16000\.7; expected a whole number"):
        recognizers["level"].stream(sample_rate=16000.7)
    with pytest.raises(ValueError, match="sample_rate is 7"):
        recognizers["level"].stream(sample_rate=7)
    with pytest.raises(BundleError, match="cannot be adapted"):
        recognizers["level"].stream(sample_rate=RATE, adapt=True)
