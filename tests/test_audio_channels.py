"""Reading audio of several channels: one level, whatever the number of channels, and nothing lost in the mix."""

import numpy as np
import pytest

from made_audio import encoded, speechlike
from serotone import audio
from serotone.audio import libsndfile, sources
from serotone.errors import AudioError


def decibels(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))


def noise(seed: int, level: float, length: int = 16000) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)


SPEECH = speechlike(1.0)


@pytest.mark.parametrize("channels", [2, 6, 8, 40])
@pytest.mark.parametrize("kind", ["one speaks", "all speak", "one speaks in a hiss"])
def test_speech_keeps_its_level_in_many_channels(channels, kind):
    hiss = [noise(seed, 0.001) for seed in range(channels)]
    frames = np.stack([SPEECH if kind == "all speak" else np.zeros_like(SPEECH)] * channels, axis=1)
    if kind == "one speaks in a hiss":
        frames += np.stack(hiss, axis=1)
    frames[:, channels // 2] = SPEECH
    result = audio.read(encoded(frames, subtype="FLOAT"))
    assert result.channels == channels
    assert decibels(result.samples) == pytest.approx(decibels(SPEECH), abs=0.1)
    assert result.notes == ()
    assert result.warnings == ()


def test_channels_that_differ_are_mixed_and_that_is_noted():
    other = speechlike(1.0, seed=1)[::-1]
    result = audio.read(encoded(np.stack([SPEECH, other], axis=1), subtype="FLOAT"), strict=True)
    assert np.array_equal(result.samples, (SPEECH + other) / 2)
    assert result.notes == ("2 channels mixed to one",)


@pytest.mark.parametrize("rest", [0.0, 0.005])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_opposite_channels_are_not_silence(rest, rate):
    left = speechlike(1.0, rate)
    frames = np.stack([left, noise(1, rest, rate) - np.float32(1.1) * left], axis=1)
    for source, of in ((encoded(frames, rate, subtype="FLOAT"), None), (frames, rate)):
        result = audio.read(source, source_rate=of, sample_rate=rate, strict=True)
        assert np.array_equal(result.samples, frames[:, 1])  # the louder
        assert not result.silent
        assert "2 channels cancel each other out (one is inverted), so only channel 1" in result.warnings[0]


def test_opposite_channels_of_an_mp3_without_a_frame_count():
    content = encoded(np.stack([speechlike(2.0), -speechlike(2.0)], axis=1), 16000, "MP3")
    bare = content[libsndfile.mp3_frame_bytes(content[:4]) :]
    assert audio.read(bare).seconds == pytest.approx(audio.read(bare, channel=0).seconds)
    assert decibels(audio.read(bare).samples) == pytest.approx(decibels(speechlike(2.0)), abs=1)


@pytest.mark.parametrize("channels", [2, 3, 8, 40])
def test_unrelated_channels_do_not_count_as_cancelling(channels):
    frames = np.stack([noise(seed, 0.1) for seed in range(channels)], axis=1)
    result = audio.read(frames, source_rate=16000)
    assert result.warnings == ()
    assert np.abs(result.samples - frames.mean(axis=1)).max() < 1e-6


@pytest.mark.parametrize("frames", [np.zeros((100, 2)), np.zeros((100, 6))])
def test_silence_in_all_channels_is_silence(frames):
    result = audio.read(frames, source_rate=16000)
    assert result.silent
    assert (result.warnings, result.notes) == ((), ())


@pytest.mark.parametrize("rate", [16000, 44100])
def test_blocks_are_invisible_where_channels_are_silent_or_opposite(monkeypatch, rate):
    voice = speechlike(1.0, rate)
    surround = np.stack([0 * voice, 0.2 * voice[::-1], voice, 0 * voice, 0 * voice], axis=1)
    opposite = np.stack([voice, -voice], axis=1)
    whole = [audio.read(encoded(frames, rate, subtype="FLOAT")) for frames in (surround, opposite)]
    for size in (997, 30011):
        for module in (sources, libsndfile):
            monkeypatch.setattr(module, "BLOCK_VALUES", size)
        for frames, expected in zip((surround, opposite), whole):
            result = audio.read(encoded(frames, rate, subtype="FLOAT"))
            assert np.abs(result.samples - expected.samples).max() <= 2e-7
            assert (result.warnings, result.notes) == (expected.warnings, expected.notes)


@pytest.mark.parametrize("kind", ["FLAC", "WAV"])
def test_one_channel_can_be_asked_for(kind):
    frames = np.stack([noise(seed, 0.1) for seed in range(3)], axis=1)
    content = encoded(frames, kind=kind)
    for channel in range(3):
        result = audio.read(content, channel=channel)
        assert np.abs(result.samples - frames[:, channel]).max() <= 2**-15
        assert result.notes == ()
        assert np.array_equal(audio.read(content, channel=channel, start=0.5).samples, result.samples[8000:])
    with pytest.raises(AudioError, match="<bytes>: has 3 channels, and channel 3 was asked for"):
        audio.read(content, channel=3)
    with pytest.raises(ValueError, match="channel is -1"):
        audio.read(content, channel=-1)
