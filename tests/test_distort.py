"""Distorted copies: the same for the same clip, other for another; each stage does what it says."""

import numpy as np
import pytest

from serotone.training import distort
from serotone.training.distort import STAGES, distorted

RATE = 16000


def voice(seconds: float = 1.5) -> np.ndarray:
    """Noise whose loudness rises and falls as that of speech does."""
    time = np.arange(round(seconds * RATE)) / RATE
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
    return (0.05 * loudness * np.random.default_rng(1).standard_normal(len(time))).astype(np.float32)


def decibels(samples: np.ndarray) -> float:
    return 20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def band_decibels(samples: np.ndarray, low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return 10 * np.log10(power[(hertz >= low) & (hertz < high)].sum())


def test_a_copy_depends_on_seed_clip_and_number_alone():
    first = distorted(voice(), RATE, 0, "a/1", 1)
    distorted(voice(0.3), RATE, 0, "b/7", 4)
    np.testing.assert_array_equal(distorted(voice(), RATE, 0, "a/1", 1), first)
    for other in ((1, "a/1", 1), (0, "a/2", 1), (0, "a/1", 2)):
        assert np.abs(distorted(voice(), RATE, *other) - first).max() > 1e-3


@pytest.mark.parametrize("count", [1, 2, 333, 8000, 20001])
def test_length_and_level_stay(count):
    for number in range(1, 13):
        copy = distorted(voice()[:count], RATE, 0, "a/1", number)
        assert copy.shape == (count,)
        assert copy.dtype == np.float32
        assert np.isfinite(copy).all()
        if count > 100:
            assert decibels(copy) == pytest.approx(decibels(voice()[:count]), abs=0.01)


@pytest.mark.parametrize("stage", STAGES)
def test_digital_silence_stays_and_speech_is_changed_but_known_again(stage):
    assert not stage(np.zeros(4000, np.float32), RATE, np.random.default_rng(0)).any()
    changed = stage(voice(), RATE, np.random.default_rng(0))
    assert changed.dtype == np.float32
    assert 0.5 < np.corrcoef(voice(), changed)[0, 1] < 0.99999


@pytest.mark.parametrize("seed", range(4))
def test_a_room_rings_on_for_less_than_a_second(seed):
    click = np.zeros(2 * RATE, np.float32)
    click[100] = 1.0
    heard = distort.room(click, RATE, np.random.default_rng(seed))
    assert np.abs(heard[:100]).max() < 1e-7
    assert heard[100] == pytest.approx(1.0, abs=1e-4)
    assert 0 <= decibels(heard[100:101]) - decibels(heard[101:]) - 10 * np.log10(len(heard) - 101) <= 15.01
    assert np.abs(heard[100 + round(0.91 * RATE) :]).max() < 1e-5


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_5_to_40_decibels_below(seed):
    added = distort.noise(voice(), RATE, np.random.default_rng(seed)) - voice()
    assert 4.9 < decibels(voice()) - decibels(added) < 40.1


def test_a_band_ends_where_it_says():
    narrow = distort.band(voice(), RATE, np.random.default_rng(0))
    assert band_decibels(narrow, 400, 2900) == pytest.approx(band_decibels(voice(), 400, 2900), abs=0.1)
    assert band_decibels(narrow, 7500, 8000) < band_decibels(voice(), 7500, 8000) - 6
    assert band_decibels(narrow, 1, 20) < band_decibels(voice(), 1, 20) - 20


def test_automatic_gain_takes_differences_in_level():
    steps = np.repeat(np.float32([0.1, 1.0]), RATE) * np.random.default_rng(0).standard_normal(2 * RATE)
    even = distort.compressor(steps.astype(np.float32), RATE, np.random.default_rng(0))
    quiet, loud = decibels(even[: RATE // 2]), decibels(even[-RATE // 2 :])
    assert 20 * 0.35 < loud - quiet < 20 * 0.85


def test_peaks_are_pressed_flat_and_steps_are_few():
    loud = distort.overload(voice(), RATE, np.random.default_rng(3))
    assert np.abs(loud).max() < np.abs(voice()).max()
    assert np.all(np.diff(loud[np.argsort(voice())]) >= 0)
    coarse = distort.few_steps(voice(), RATE, np.random.default_rng(0))
    assert len(np.unique(coarse)) <= 2**8 + 1 < len(np.unique(voice()))


def test_the_clip_itself_is_no_copy():
    with pytest.raises(ValueError, match="copy 0 of a/1; expected 1 or more"):
        distorted(voice(), RATE, 0, "a/1", 0)
