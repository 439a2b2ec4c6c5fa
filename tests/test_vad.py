"""Speech or not: the network against the published one, any cut of a stream, any level, and a quiet room before."""

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
from serotone.recognition.levels import FALL_DB, LevelDetector, Loudness, block_levels
from serotone.recognition.vad import BLOCK, SpeechDetector
from toy_bundle import make_toy_bundle, tone

RATE = 16000
VOICE = speak(0, 3, "male", "angry", 7).astype(np.float32) / np.float32(32768)
EXPECTED = np.array(json.loads(Path(__file__).with_name("silero_expected.json").read_text(encoding="utf-8")))
SAMPLES = np.concatenate([VOICE[:20_000], np.zeros(4800, np.float32), VOICE[:10_123]])


def noise(seconds, dbfs, seed=0):
    return (10 ** (dbfs / 20) * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def test_the_network_is_the_published_one(monkeypatch):
    """`tools/silero_sequence.py` wrote what Silero's own graph answers, block by block, at the level of the file."""
    monkeypatch.setattr(Loudness, "feed", lambda self, levels: np.full(len(levels), vad.LEVEL_DBFS))
    np.testing.assert_allclose(SpeechDetector().feed(VOICE), EXPECTED, atol=1e-5)
    assert len(EXPECTED) == len(VOICE) // BLOCK
    assert EXPECTED.max() > 0.99


@pytest.mark.parametrize("make", [SpeechDetector, lambda: LevelDetector(RATE)])
@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_the_cut_of_a_stream_changes_nothing(make, cuts):
    whole = make()
    expected = np.concatenate([whole.feed(SAMPLES), whole.finish()])
    detector, at, answers = make(), 0, []
    for cut in cuts:
        answers.append(detector.feed(SAMPLES[at : at + cut]))
        at += cut
        assert sum(map(len, answers)) == min(at, len(SAMPLES)) // detector.block
    answers += [detector.feed(SAMPLES[at:]), detector.finish()]
    np.testing.assert_allclose(np.concatenate(answers), expected, atol=1e-5)
    assert len(expected) == -(-len(SAMPLES) // detector.block)
    assert len(detector.finish()) == 0


def test_what_is_not_there_yet_changes_nothing():
    """An answer is never taken back: louder speech to come leaves it as it is."""
    early = SpeechDetector().feed(VOICE * np.float32(0.1))
    both = SpeechDetector().feed(np.concatenate([VOICE * np.float32(0.1), VOICE]))
    np.testing.assert_allclose(both[: len(early)], early, atol=1e-5)


def test_long_stretches_go_through_in_several_calls(monkeypatch):
    expected = SpeechDetector().feed(SAMPLES)
    monkeypatch.setattr(vad, "_BLOCKS_A_CALL", 7)
    np.testing.assert_allclose(SpeechDetector().feed(SAMPLES), expected, atol=1e-5)


@settings(deadline=None)
@given(st.lists(st.floats(-120, 0), max_size=60), st.integers(0, 60))
def test_the_loud_level_rises_at_once_and_falls_slowly(levels, cut):
    loudness = Loudness(0.5)
    found = np.concatenate([loudness.feed(np.array(part)) for part in (levels[:cut], levels[cut:])])
    expected, loud = [], -150.0
    for level in levels:
        loud = max(level, loud - 0.5 * FALL_DB, -150.0)
        expected.append(loud)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_levels_by_hand():
    sine = tone(1, 0.5, hertz=500.0)[None]
    assert block_levels(sine)[0] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=1e-3)
    assert block_levels(sine + np.float32(0.3))[0] == pytest.approx(block_levels(sine)[0], abs=1e-3)
    assert block_levels(np.ones((1, 100), np.float32))[0] == pytest.approx(-200)


@pytest.mark.parametrize("gain", [-20, -12, 12])
def test_the_level_of_a_recording_changes_nothing(gain):
    """But for what gets so quiet that it counts as silence."""
    louder = VOICE * np.float32(10 ** (gain / 20))
    speech, expected = (SpeechDetector().feed(samples) >= 0.15 for samples in (louder, VOICE))
    assert np.count_nonzero(speech != expected) <= 1


def test_a_quiet_room_before_speech_changes_little():
    """Heard as loud as speech, its noise would make the network miss the speech that follows."""
    alone = SpeechDetector().feed(VOICE)
    after = SpeechDetector().feed(np.concatenate([noise(BLOCK * 60 / RATE, -75), VOICE]))[60:]
    assert np.mean(np.abs(after - alone)) < 0.05
    assert np.mean((after >= 0.3) == (alone >= 0.3)) > 0.95


def test_level_alone_tells_what_is_within_35_db_of_what_was_loud():
    samples = np.concatenate([tone(1, 1e-2), tone(1, 0.5), tone(1, 0.01), tone(1, 0.002)])
    heard = LevelDetector(RATE).feed(samples).reshape(4, 50).mean(axis=1)
    np.testing.assert_array_equal(heard, [1, 1, 1, 0])
    for faint in (np.zeros(RATE, np.float32), np.full(RATE, 0.5, np.float32), tone(1, 1e-4)):
        assert LevelDetector(RATE).feed(faint).sum() == 0


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


@pytest.mark.parametrize(
    "changes", [{"extra": {"speech": "ears"}}, {"extra": {"speech": "silero"}, "sample_rate": 8000}]
)
def test_a_bundle_that_hears_otherwise_is_refused(tmp_path, changes):
    with pytest.raises(BundleError, match=r"speech: |sample_rate: "):
        make_toy_bundle(tmp_path, **changes)
