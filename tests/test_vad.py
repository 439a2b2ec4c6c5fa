"""Speech or not: the network against the published one, any cut of a stream, any level, and what is no speech."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serotone.corpora.voice import speak
from serotone.errors import BundleError
from serotone.recognition import vad
from serotone.recognition.recognizer import Recognizer
from serotone.recognition.vad import BLOCK, SpeechDetector, VoiceMeter, loudness_gain, speech_probabilities, speech_span
from toy_bundle import make_toy_bundle, tone, toy_probabilities

RATE = 16000
VOICE = speak(0, 3, "male", "angry", 7).astype(np.float32) / np.float32(32768)
EXPECTED = np.array(json.loads(Path(__file__).with_name("silero_expected.json").read_text(encoding="utf-8")))


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds, dbfs, seed=0):
    return (10 ** (dbfs / 20) * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def test_the_network_is_the_published_one():
    """`tools/silero_sequence.py` wrote what Silero's own graph answers, block by block."""
    np.testing.assert_allclose(SpeechDetector().feed(VOICE), EXPECTED, atol=1e-5)
    assert len(EXPECTED) == len(VOICE) // BLOCK
    assert EXPECTED.max() > 0.99


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 3000), max_size=12))
def test_the_cut_of_a_stream_changes_nothing(cuts):
    samples = np.concatenate([VOICE[:20_000], silence(0.3), VOICE[:10_123]])
    whole = SpeechDetector(2.0)
    expected = np.concatenate([whole.feed(samples), whole.finish()])
    detector, at, answers = SpeechDetector(2.0), 0, []
    for cut in cuts:
        answers.append(detector.feed(samples[at : at + cut]))
        at += cut
        assert sum(map(len, answers)) == min(at, len(samples)) // BLOCK
    answers += [detector.feed(samples[at:]), detector.finish()]
    np.testing.assert_allclose(np.concatenate(answers), expected, atol=1e-5)
    assert len(expected) == -(-len(samples) // BLOCK)
    assert len(detector.finish()) == 0


def test_long_stretches_go_through_in_several_calls(monkeypatch):
    expected = SpeechDetector().feed(VOICE)
    monkeypatch.setattr(vad, "_BLOCKS_A_CALL", 7)
    np.testing.assert_allclose(SpeechDetector().feed(VOICE), expected, atol=1e-5)


def test_the_gain_brings_the_loud_part_to_one_level():
    quiet = noise(1, -50)
    padded = np.concatenate([silence(2), quiet, silence(1)])
    assert 20 * np.log10(loudness_gain(quiet)) == pytest.approx(24, abs=0.2)
    assert loudness_gain(padded) == pytest.approx(loudness_gain(quiet), rel=0.05)
    assert loudness_gain(quiet * np.float32(0.1)) == pytest.approx(10 * loudness_gain(quiet), rel=1e-4)
    assert loudness_gain(quiet + np.float32(0.2)) == pytest.approx(loudness_gain(quiet), rel=1e-2)
    assert loudness_gain(silence(1)) == loudness_gain(noise(1, -96)) == loudness_gain(VOICE[:0]) == 0
    assert loudness_gain(quiet[:100]) > 0


@pytest.mark.parametrize("gain", [-30, -12, 12])
def test_level_changes_nothing(gain):
    loud = np.clip(VOICE * np.float32(10 ** (gain / 20)), -1, 1)
    (start, stop), (other_start, other_stop) = speech_span(VOICE), speech_span(loud)
    assert abs(start - other_start) <= BLOCK
    assert abs(stop - other_stop) <= BLOCK


@pytest.mark.parametrize(("before", "after"), [(1.5, 1.5), (0.01, 3.0), (0.777, 0.0)])
def test_silence_around_changes_nothing(before, after):
    start, stop = speech_span(VOICE)
    padded = np.concatenate([silence(before), VOICE, silence(after)])
    shift = len(silence(before))
    assert speech_span(padded) == (start + shift, stop + shift)


def test_the_span_is_from_the_first_speech_to_the_last_with_its_margin():
    samples = np.concatenate([noise(1, -60), VOICE, noise(1, -60), VOICE, noise(1, -60)])
    offset, probabilities = speech_probabilities(samples)
    speech = np.flatnonzero(probabilities >= 0.3)
    margin = round(0.15 * RATE)
    expected = (offset + speech[0] * BLOCK - margin, offset + (speech[-1] + 1) * BLOCK + margin)
    assert speech_span(samples) == expected
    meter = VoiceMeter(samples)
    assert meter.seconds() == pytest.approx(len(speech) * BLOCK / RATE)
    assert meter.seconds(*expected) == pytest.approx(meter.seconds())
    assert len(meter.phrases) == 2
    assert meter.span == expected


def not_speech():
    time = np.arange(4 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * 50 * n * time) / n for n in range(1, 15)).astype(np.float32)
    clicks = noise(4, -70)
    clicks[:: RATE // 3] = 0.8
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277.2, 329.6)).astype(np.float32)
    return {
        "zeros": silence(2),
        "rounding": np.round(noise(2, -96) * 32768) / np.float32(32768),
        "white": noise(4, -20),
        "faint white": noise(4, -75),
        "hum": 0.1 * hum,
        "tone": tone(4, 0.3, hertz=440.0),
        "chord": 0.1 * chord,
        "clicks": clicks,
        "nothing": silence(0),
        "one sample": np.ones(1, np.float32),
    }


@pytest.mark.parametrize("kind", not_speech())
def test_what_is_no_speech_has_none(kind):
    samples = not_speech()[kind].astype(np.float32)
    meter = VoiceMeter(samples)
    assert meter.seconds() == 0
    assert meter.phrases == []
    assert speech_span(samples) is None


def test_windows_lie_within_phrases():
    phrase = VOICE[: 3 * RATE] if len(VOICE) > 3 * RATE else VOICE
    samples = np.concatenate([silence(2), phrase, silence(3), phrase, phrase, phrase, silence(4)])
    meter = VoiceMeter(samples)
    window, hop, least = 2 * RATE, RATE, RATE // 2
    windows = meter.windows(window, hop, least)
    assert all(any(a <= start and stop <= b for a, b in meter.phrases) for start, stop in windows)
    assert all(least <= stop - start <= window for start, stop in windows)
    covered = np.zeros(len(samples), bool)
    for start, stop in windows:
        covered[start:stop] = True
    assert all(covered[a:b].all() for a, b in meter.phrases)
    assert len(meter.phrases) >= 2
    gap = 2 * RATE + len(phrase) + RATE
    assert not covered[gap : gap + RATE].any()


def test_a_word_is_widened_to_what_the_bundle_needs():
    word = np.concatenate([silence(1), VOICE[4000:9000], silence(1)])
    meter = VoiceMeter(word)
    start, stop = meter.whole(3 * RATE // 2)
    assert stop - start == 3 * RATE // 2
    assert meter.seconds(start, stop) == meter.seconds() > 0
    assert meter.whole(10 * RATE) == (0, len(word))
    assert meter.windows(2 * RATE, RATE, 3 * RATE // 2) == [(start, stop)]


def test_a_damaged_network_is_refused(tmp_path, monkeypatch):
    damaged = tmp_path / "silero.onnx"
    shutil.copy(vad.MODEL, damaged)
    content = damaged.read_bytes()
    for wrong in (content[:-1] + bytes([content[-1] ^ 1]), None):
        damaged.unlink() if wrong is None else damaged.write_bytes(wrong)
        monkeypatch.setattr(vad, "MODEL", damaged)
        vad._session.cache_clear()
        with pytest.raises(BundleError, match="missing or damaged; install serotone again"):
            SpeechDetector().feed(VOICE)
    vad._session.cache_clear()


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    """A toy that hears by Silero: loud speech is angry to it, and any other sad."""
    return Recognizer(make_toy_bundle(tmp_path_factory.mktemp("toy"), extra={"speech": "silero"}))


def test_a_recogniser_hears_the_span_alone(recognizer):
    start, stop = speech_span(VOICE)
    alone = toy_probabilities(VOICE[start:stop])
    padded = np.concatenate([silence(1.5), VOICE, silence(1.5)])
    for samples in (VOICE, padded):
        prediction = recognizer.predict(samples, source_rate=RATE)
        assert prediction.windows == 1
        np.testing.assert_allclose(list(prediction.probabilities.values()), alone, atol=1e-5)
    assert prediction.duration_seconds == pytest.approx(len(padded) / RATE)


@pytest.mark.parametrize("kind", ["white", "hum", "tone", "clicks", "zeros"])
def test_a_recogniser_gives_what_is_no_speech_no_label(recognizer, kind):
    prediction = recognizer.predict(not_speech()[kind].astype(np.float32), source_rate=RATE, timeline=True)
    assert prediction.label is None
    assert prediction.probabilities == {}
    expected = "digital silence" if kind == "zeros" else "no speech: noise, music or silence"
    assert prediction.reason == expected
    assert [s.label for s in prediction.segments] == [None]


def test_a_long_recording_and_its_timeline(recognizer):
    samples = np.concatenate([silence(2), VOICE, VOICE, noise(4, -30), VOICE, VOICE, silence(2)])
    prediction = recognizer.predict(samples, source_rate=RATE, timeline=True)
    assert prediction.windows > 3
    assert prediction.segments[0].start == 0
    assert prediction.segments[-1].end == pytest.approx(len(samples) / RATE)
    middle = (2 * RATE + 2 * len(VOICE) + 2 * RATE) / RATE
    at_middle = next(s for s in prediction.segments if s.start <= middle < s.end)
    assert at_middle.label is None
    assert prediction.segments[0].label is None
    assert {s.label for s in prediction.segments} > {None}


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"extra": {"speech": "ears"}}, "speech"), ({"extra": {"speech": "silero"}, "sample_rate": 8000}, "sample_rate")],
)
def test_a_bundle_that_hears_otherwise_is_refused(tmp_path, changes, says):
    with pytest.raises(BundleError, match=f"{says}: "):
        make_toy_bundle(tmp_path, **changes)
