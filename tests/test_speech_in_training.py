"""A recipe may ask for the speech of its clips alone: training squeezes them by the function that recognition uses."""

import numpy as np
import pytest
import soundfile

from serotone.corpora import Utterance
from serotone.corpora.voice import speak
from serotone.recognition.squeeze import squeezed
from serotone.training.data import decode


@pytest.fixture
def surrounded(tmp_path):
    """A voice with two seconds of digital silence on each side, and a hiss in which nobody speaks."""
    voice = speak(0, 0, "female", "angry", 1).astype(np.float32) / 32768
    silence = np.zeros(32000, np.float32)
    hiss = 0.01 * np.random.default_rng(0).standard_normal(24000)
    found = {}
    for name, samples in {"voice": np.concatenate([silence, voice, silence]), "hiss": hiss}.items():
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples, 16000, subtype="FLOAT")
        found[name] = Utterance(name, path, emotion="angry", speaker="a", corpus="made")
    return found


def test_silence_around_speech_does_not_train(surrounded):
    whole, _ = decode(list(surrounded.values()), sample_rate=16000, max_samples=None)
    cut, _ = decode(list(surrounded.values()), sample_rate=16000, max_samples=None, speech=True)
    np.testing.assert_array_equal(cut["voice"], squeezed(whole["voice"]))
    assert len(cut["voice"]) <= len(whole["voice"]) - 2 * 28000


def test_a_clip_without_speech_is_kept_whole(surrounded):
    cut, problems = decode([surrounded["hiss"]], sample_rate=16000, max_samples=None, speech=True)
    assert len(cut["hiss"]) == 24000
    assert problems == []
