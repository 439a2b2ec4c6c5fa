"""Windows, seconds of speech, pooling and the timeline, each against a second derivation."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serotone.recognition.squeeze import Piece
from serotone.recognition.timeline import stretches
from serotone.recognition.windows import Cutter, Speech, pooled

RATE = 1000


def pieces_of(lengths, gaps, *, speech=True):
    """Pieces whose samples are their own places in the recording."""
    found, at = [], 0
    for length, gap in zip(lengths, gaps, strict=True):
        at += gap
        found.append(Piece(at, np.arange(at, at + length, dtype=np.float32), speech))
        at += length
    return found


def test_a_window_ends_every_hop_and_looks_back_within_its_turn():
    pieces = pieces_of([10] * 13, [0, *[0] * 7, 60, *[0] * 4])
    cutter = Cutter(40, 20, 5, 50)
    found = cutter.feed(pieces) + cutter.finish()
    assert [(window.start, window.stop, window.speech) for window in found] == [
        (0, 20, 20),
        (0, 40, 20),
        (20, 60, 20),
        (40, 80, 20),
        (140, 160, 20),
        (140, 180, 20),
        (150, 190, 10),
    ]


def test_a_pause_that_ends_no_turn_is_looked_over():
    cutter = Cutter(40, 20, 5, 50)
    found = cutter.feed(pieces_of([10] * 4, [0, 0, 50, 0])) + cutter.finish()
    assert [(window.start, window.stop) for window in found] == [(0, 20), (0, 90)]
    np.testing.assert_array_equal(found[1].samples, [*range(20), *range(70, 90)])


def test_a_turn_that_is_too_short_is_heard_with_what_came_before():
    cutter = Cutter(40, 20, 15, 50)
    found = cutter.feed(pieces_of([10] * 3, [0, 0, 60])) + cutter.finish()
    assert [(window.start, window.stop, window.speech) for window in found] == [(0, 20, 20), (15, 90, 10)]


def test_a_short_turn_between_two_pauses_has_a_window_of_its_own():
    cutter = Cutter(40, 20, 15, 50)
    pieces = pieces_of([10] * 5, [0, 0, 60, 60, 0])
    found = cutter.feed(pieces[:3])
    assert [(window.start, window.stop, window.speech) for window in found] == [(0, 20, 20)]
    assert cutter.wait(140) == []
    found = cutter.wait(141)
    assert [(window.start, window.stop, window.speech) for window in found] == [(15, 90, 10)]
    np.testing.assert_array_equal(found[0].samples, [*range(15, 20), *range(80, 90)])
    found = cutter.feed(pieces[3:]) + cutter.finish()
    assert [(window.start, window.stop, window.speech) for window in found] == [(150, 170, 20)]


def test_turns_before_the_first_window_can_be_whole_are_heard_with_the_next():
    cutter = Cutter(40, 20, 15, 50)
    found = cutter.feed(pieces_of([10] * 4, [0, 60, 60, 0])) + cutter.finish()
    assert [(window.start, window.stop, window.speech) for window in found] == [(0, 80, 20), (140, 160, 20)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from([0, 0, 0, 7, 60]), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_each_second_of_speech_counts_once_and_windows_are_bounded(runs, length, hop):
    pieces, at = [], 0
    for size, gap, speech in runs:
        at += gap
        pieces.append(Piece(at, np.arange(at, at + size, dtype=np.float32), speech))
        at += size
    cutter = Cutter(length, hop, 1, 50)
    found = cutter.feed(pieces) + cutter.finish()
    assert sum(window.speech for window in found) == sum(len(p.samples) for p in pieces if p.speech)
    for window in found:
        assert 1 <= len(window.samples) <= length
        assert (window.samples[0], window.samples[-1]) == (window.start, window.stop - 1)
        assert (np.diff(window.samples) > 0).all()
    stops = [window.stop for window in found]
    assert stops == sorted(stops)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30), st.booleans()), max_size=30), st.integers(0, 2000))
def test_seconds_of_speech_are_counted_as_defined(runs, place):
    flags, pieces = [], []
    for length, gap, speech in runs:
        flags += [False] * gap
        pieces.append(Piece(len(flags), np.ones(length, np.float32), speech))
        flags += [speech] * length
    speech = Speech(RATE)
    for piece in pieces:
        speech.add([piece])
    edges = np.array(sorted([0, min(place, len(flags)), len(flags)]))
    expected = [sum(flags[a:b]) / RATE for a, b in pairwise(edges)]
    np.testing.assert_allclose(speech.between(edges), expected, atol=1e-12)
    assert speech.total == pytest.approx(sum(flags) / RATE)


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


def timeline_of(pieces, total, answers, window, hop):
    """The timeline in seconds and class indices, where ``answers(window)`` is a window's class (of two)."""
    speech, cutter = Speech(RATE), Cutter(window, hop, 1, RATE // 2)
    speech.add(pieces)
    cuts = cutter.feed(pieces) + cutter.finish()
    rows = np.array([[0.8, 0.2] if answers(cut) == 0 else [0.2, 0.8] for cut in cuts], np.float32).reshape(-1, 2)
    found = stretches([(cut.start, cut.stop) for cut in cuts], rows, speech, total=total, sample_rate=RATE)
    return [(s.start / RATE, s.stop / RATE, s.answer) for s in found], found


def test_a_change_of_emotion_falls_where_it_is():
    pieces = pieces_of([20] * 600, [0] * 600)
    found, _ = timeline_of(pieces, 12 * RATE, lambda cut: int(cut.start + cut.stop > 12 * RATE), 2 * RATE, RATE)
    assert [answer for *_, answer in found] == [0, 1]
    assert found[0][1] == pytest.approx(6, abs=0.5)


def test_a_short_outburst_is_not_smeared():
    """One window of three says otherwise: it is seen where it lies closest to the middle."""
    pieces = pieces_of([20] * 600, [0] * 600)
    found, _ = timeline_of(pieces, 12 * RATE, lambda cut: int(cut.start <= 5 * RATE < cut.stop - 1000), 2 * RATE, RATE)
    assert [answer for *_, answer in found] == [0, 1, 0]
    assert found[1][1] - found[1][0] <= 1.5


def test_silence_has_no_label_and_segments_leave_no_gap():
    pieces = pieces_of([20] * 325, [0] * 150 + [3000] + [0] * 174)
    found, parts = timeline_of(pieces, 9500, lambda cut: 0, 2 * RATE, RATE)
    assert found == [(0, 3, 0), (3, 6, None), (6, 9.5, 0)]
    assert parts[1].probabilities is None
    assert parts[1].speech_seconds == 0
    assert sum(part.speech_seconds for part in parts) == pytest.approx(6.5)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300))
def test_segments_tile_any_recording(seed, count):
    rng = np.random.default_rng(seed)
    pieces = pieces_of(rng.integers(1, 40, count), rng.choice([0, 0, 0, 100, 900], count))
    total = (pieces[-1].stop if pieces else 0) + int(rng.integers(1, 3000))
    _, parts = timeline_of(pieces, total, lambda cut: int(rng.integers(2)), 500, 250)
    assert parts[0].start == 0
    assert parts[-1].stop == total
    for before, after in pairwise(parts):
        assert before.stop == after.start
        assert before.answer != after.answer


def test_a_stretch_is_the_mean_of_its_cells_weighted_by_their_speech():
    """Two cells under a window each: the first is half speech, the second all."""
    speech = Speech(RATE)
    speech.add(pieces_of([250, 500], [250, 0]))
    rows = np.array([[0.6, 0.4], [0.9, 0.1]])
    (found,) = stretches([(0, 500), (500, 1000)], rows, speech, total=1000, sample_rate=RATE)
    assert (found.start, found.stop, found.speech_seconds) == (0, 1000, 0.75)
    np.testing.assert_allclose(found.probabilities, pooled(rows, np.array([0.25, 0.5])))


@pytest.mark.parametrize(("spoken", "label"), [(49, None), (50, 0)])
def test_a_cell_of_which_less_than_a_tenth_is_speech_has_no_label(spoken, label):
    speech = Speech(RATE)
    speech.add(pieces_of([spoken], [100]))
    (found,) = stretches([(0, 500)], np.array([[0.8, 0.2]]), speech, total=500, sample_rate=RATE)
    assert found.answer == label
    assert found.speech_seconds == spoken / RATE
