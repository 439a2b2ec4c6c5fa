"""What is heard of a recording: speech with its margins, whatever the pauses, the level and the pieces it comes in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serotone.corpora.voice import speak
from serotone.recognition.squeeze import Squeezer, squeezed
from serotone.recognition.vad import BLOCK, SpeechDetector
from toy_bundle import tone

RATE = 16000
VOICE = speak(0, 3, "male", "angry", 7).astype(np.float32) / np.float32(32768)


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds, dbfs, seed=0):
    return (10 ** (dbfs / 20) * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


class Script:
    """A detector that answers by a script, in blocks of ten samples."""

    block = 10
    silence = ""

    def __init__(self, probabilities):
        self.probabilities = list(probabilities)
        self.waiting = 0

    def feed(self, samples):
        count, self.waiting = divmod(self.waiting + len(samples), self.block)
        answers, self.probabilities = self.probabilities[:count], self.probabilities[count:]
        return np.array(answers, np.float32)

    def finish(self):
        return self.feed(np.zeros(self.block - self.waiting, np.float32)) if self.waiting else np.zeros(0, np.float32)


def heard(probabilities, *, samples=None, least=0, cuts=()):
    """Starts and stops of the stretches that are kept; at 625 Hz a block is 16 ms, so a margin is 10 blocks."""
    samples = np.ones(10 * len(probabilities), np.float32) if samples is None else samples
    squeezer = Squeezer(Script(probabilities), 625, least=least)
    pieces, at = [], 0
    for cut in cuts:
        pieces += squeezer.feed(samples[at : at + cut])
        at += cut
    pieces = sorted([*pieces, *squeezer.feed(samples[at:]), *squeezer.finish()], key=lambda piece: piece.start)
    assert squeezer.total == len(samples)
    found = []
    for piece in pieces:
        np.testing.assert_array_equal(piece.samples, samples[piece.start : piece.stop])
        if found and found[-1][1] == piece.start:
            found[-1] = (found[-1][0], piece.stop)
        else:
            found.append((piece.start, piece.stop))
    return found


def test_speech_has_its_margins():
    assert heard([0] * 20 + [0.9] * 8 + [0] * 30) == [(100, 380)]
    assert heard([0] * 3 + [0.9] * 8 + [0] * 4) == [(0, 150)]


@pytest.mark.parametrize(
    ("pause", "kept"), [(20, [(0, 360)]), (21, [(0, 180), (190, 370)]), (90, [(0, 180), (880, 1060)])]
)
def test_a_pause_longer_than_two_margins_is_shortened_to_them(pause, kept):
    assert heard([0.9] * 8 + [0] * pause + [0.9] * 8) == kept


def test_a_phrase_needs_six_sure_blocks_or_eight_that_may_be():
    assert heard([0] * 20 + [0.3] * 5 + [0.15] * 2 + [0] * 40) == []
    assert heard([0] * 20 + [0.3] * 6 + [0] * 40) == [(100, 360)]
    assert heard([0] * 20 + [0.15] * 7 + [0] * 40) == []
    assert heard([0] * 20 + [0.15] * 8 + [0] * 40) == [(100, 380)]
    assert heard([0] * 20 + [0.14] * 90) == []


def test_a_phrase_may_have_pauses_of_half_a_second_and_its_blocks_count_together():
    assert heard([0.3] * 3 + [0] * 31 + [0.3] * 3) == [(0, 130), (240, 370)]
    assert heard([0.3] * 3 + [0] * 32 + [0.3] * 3) == []
    assert heard([0.9] * 8 + [0] * 40 + [0.3] * 3) == [(0, 180)]


def test_digital_silence_next_to_what_is_left_out_is_left_out_too():
    samples = np.ones(900, np.float32)
    samples[75:250] = samples[300:303] = samples[555:680] = 0
    script = [0.9] * 8 + [0] * 21 + [0.9] * 27 + [0] * 34
    assert heard(script, samples=samples) == [(0, 75), (250, 555)]


def test_a_word_is_widened_to_what_the_bundle_needs():
    word = [0] * 40 + [0.9] * 8 + [0] * 60
    assert heard(word, least=300) == [(290, 590)]
    assert heard(word, least=700) == [(90, 790)]
    assert heard(word, least=5000) == [(0, 1080)]
    assert heard([0.9] * 8 + [0] * 90, least=500) == [(0, 500)]
    assert heard([0] * 90 + [0.9] * 8, least=500) == [(480, 980)]
    assert heard([0] * 90, least=500) == []


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([0.0, 0.0, 0.0, 0.2, 0.9]).flatmap(lambda p: st.integers(1, 30).map(lambda n: [p] * n)),
        max_size=12,
    ),
    st.lists(st.integers(0, 400), max_size=8),
    st.integers(0, 600),
)
def test_the_pieces_it_comes_in_change_nothing(runs, cuts, least):
    script = [probability for run in runs for probability in run]
    samples = np.random.default_rng(len(script)).choice([0, 0, 1, 2], 10 * len(script)).astype(np.float32)
    if len(samples):
        samples[0] = 1  # blocks count from here
    found = heard(script, samples=samples, least=least, cuts=cuts)
    assert found == heard(script, samples=samples, least=least)
    kept = sum(stop - start for start, stop in found)
    assert not found or kept > 0
    assert all(start < stop for start, stop in found)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 9000), max_size=12))
def test_silero_hears_the_same_in_any_pieces(cuts):
    samples = np.concatenate([noise(1, -70), VOICE, silence(1), VOICE])
    squeezer, at, pieces = Squeezer(SpeechDetector(), RATE), 0, []
    for cut in cuts:
        pieces += squeezer.feed(samples[at : at + cut])
        at += cut
    pieces += [*squeezer.feed(samples[at:]), *squeezer.finish()]
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in pieces]), squeezed(samples))


@pytest.mark.parametrize(("before", "after"), [(1.5, 1.5), (0.01, 3.0), (0.777, 0.0)])
def test_digital_silence_around_changes_nothing(before, after):
    padded = np.concatenate([silence(before), VOICE, silence(after)])
    np.testing.assert_array_equal(squeezed(padded), squeezed(VOICE))


def test_pauses_between_clips_change_little():
    lengths = [len(squeezed(np.concatenate([VOICE, silence(pause), VOICE]))) for pause in (0.4, 1, 5)]
    assert max(lengths) - min(lengths) <= 4 * BLOCK
    assert max(lengths) <= 2 * len(VOICE)


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
def test_what_is_no_speech_is_not_heard(kind):
    assert squeezed(not_speech()[kind].astype(np.float32)) is None
