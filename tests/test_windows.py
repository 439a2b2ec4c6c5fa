"""Windows, the measure of speech, pooling and the timeline, each against a second derivation."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serotone.recognition.timeline import stretches
from serotone.recognition.windows import SpeechMeter, pooled, spans
from toy_bundle import tone

RATE = 16000


@given(
    st.integers(1, 5000),
    st.integers(1, 300).flatmap(lambda window: st.tuples(st.just(window), st.integers(1, window))),
)
def test_spans_cover_everything_with_equal_windows(total, sizes):
    window, hop = sizes
    found = spans(total, window, hop)
    covered = np.zeros(total, bool)
    for start, stop in found:
        covered[start:stop] = True
    assert covered.all()
    assert {stop - start for start, stop in found} == {min(window, total)}
    starts = [start for start, _ in found]
    assert starts == sorted(set(starts))
    assert starts[:-1] == [hop * i for i in range(len(starts) - 1)]
    assert found[-1][1] == total


def brute_seconds(samples, start, stop):
    """Frame by frame, from the definition; whole frames only."""
    levels = [np.var(samples[at : at + 320].astype(np.float64)) for at in range(0, len(samples), 320)]
    threshold = max(max(levels) / 10**3.5, 10**-7)
    return sum(
        max(0, min(stop, at * 320 + 320, len(samples)) - max(start, at * 320)) / RATE
        for at, level in enumerate(levels)
        if level >= threshold
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 9000))
def test_speech_is_counted_as_defined(seed, length):
    rng = np.random.default_rng(seed)
    envelope = np.repeat(10.0 ** rng.uniform(-4, 0, length // 500 + 1), 500)[:length]
    samples = (rng.standard_normal(length) * envelope).astype(np.float32)
    meter = SpeechMeter(samples, RATE)
    start, stop = sorted(rng.integers(0, length + 1, 2))
    assert meter.seconds() == pytest.approx(brute_seconds(samples, 0, length))
    assert meter.seconds(int(start), int(stop)) == pytest.approx(brute_seconds(samples, start, stop), abs=1e-9)


def test_quiet_rooms_and_constants_are_no_speech():
    assert SpeechMeter(np.zeros(16000, np.float32), RATE).seconds() == 0
    assert SpeechMeter(np.full(16000, 0.5, np.float32), RATE).seconds() == 0
    assert SpeechMeter(tone(1, 1e-4), RATE).seconds() == 0
    assert SpeechMeter(tone(1, 1e-2), RATE).seconds() == pytest.approx(1)
    assert SpeechMeter(np.concatenate([tone(1, 0.5), tone(1, 0.001)]), RATE).seconds() == pytest.approx(1)
    assert SpeechMeter(np.zeros(0, np.float32), RATE).seconds() == 0


def test_pooled_by_hand():
    two = np.array([[0.9, 0.1], [0.5, 0.5]], np.float32)
    odds = (9**2 * 1) ** (1 / 3)  # weights 2 and 1: the geometric mean of the odds 9 and 1
    np.testing.assert_allclose(pooled(two, np.array([2.0, 1.0])), [odds / (1 + odds), 1 / (1 + odds)], rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 8))
def test_pooled_is_a_distribution_and_agrees_with_itself(seed, rows, classes):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.3), rows)
    answer = pooled(probabilities, rng.uniform(0.1, 3, rows))
    assert answer.sum() == pytest.approx(1)
    assert (answer >= 0).all()
    one = pooled(np.repeat(probabilities[:1], rows, axis=0), rng.uniform(0.1, 3, rows))
    np.testing.assert_allclose(one, probabilities[0], atol=1e-6)


def test_a_certain_window_does_not_silence_the_others():
    answer = pooled(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), np.ones(3))
    assert np.isfinite(answer).all()
    assert answer.argmax() == 1


def timeline_of(samples, answers, window, hop):
    """The timeline in seconds and class indices, where ``answers(start, stop)`` is a window's class (of two)."""
    meter = SpeechMeter(samples, RATE)
    cuts = spans(len(samples), window, hop)
    weights = np.array([meter.seconds(*cut) for cut in cuts])
    rows = np.array([[0.8, 0.2] if answers(*cut) == 0 else [0.2, 0.8] for cut in cuts], np.float32)
    found = stretches(cuts, rows, weights, meter, hop=hop, sample_rate=RATE)
    return [(s.start / RATE, s.stop / RATE, s.answer) for s in found], found


def test_a_change_of_emotion_falls_where_it_is():
    samples = np.concatenate([tone(6, 0.5), tone(6, 0.5, hertz=300)])
    found, _ = timeline_of(samples, lambda start, stop: int((start + stop) / 2 > 6 * RATE), 2 * RATE, RATE)
    assert [answer for *_, answer in found] == [0, 1]
    assert found[0][1] == pytest.approx(6, abs=1)


def test_silence_has_no_label_and_segments_leave_no_gap():
    samples = np.concatenate([tone(3, 0.5), np.zeros(3 * RATE, np.float32), tone(3.5, 0.5)])
    found, parts = timeline_of(samples, lambda start, stop: 0, 2 * RATE, RATE)
    assert found == [(0, 3, 0), (3, 6, None), (6, 9.5, 0)]
    assert parts[1].probabilities is None
    assert parts[1].speech_seconds == 0
    assert sum(part.speech_seconds for part in parts) == pytest.approx(SpeechMeter(samples, RATE).seconds())


@given(st.integers(0, 2**32 - 1), st.integers(1, 40_000))
def test_segments_tile_any_recording(seed, length):
    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.choice([0.0, 0.3], length // 1600 + 1), 1600)[:length]
    samples = (rng.standard_normal(length) * envelope).astype(np.float32)
    found, parts = timeline_of(samples, lambda start, stop: int(rng.integers(2)), 8000, 4000)
    assert found[0][0] == 0
    assert parts[-1].stop == length
    for before, after in pairwise(parts):
        assert before.stop == after.start
        assert before.answer != after.answer
