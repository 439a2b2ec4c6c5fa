"""The bundles that ship: whole, small, honest about their terms, and deaf to what is no voice."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from serotone.audio import read
from serotone.corpora.voice import speak
from serotone.recognition.loading import DEFAULT_BUNDLE, list_bundles, load_bundle, verify
from serotone.recognition.recognizer import Recognizer

STRANGERS = ("default", "free", "light")
DATA = os.environ.get("SEROTONE_DATA")
needs_ravdess = pytest.mark.skipif(
    not (DATA and (Path(DATA) / "ravdess").is_dir()), reason="SEROTONE_DATA has no ravdess/"
)


@pytest.fixture(scope="module", params=["default", "light"])
def recognizer(request: pytest.FixtureRequest) -> Recognizer:
    return Recognizer(request.param)


@pytest.fixture(scope="module")
def voices() -> list[np.ndarray]:
    """Twelve synthetic voices: no truth about emotion, but speech at a known level, between known silences."""
    return [
        speak(0, number, gender, emotion, number).astype(np.float32) / 32768
        for number, (gender, emotion) in enumerate(
            [(gender, emotion) for gender in ("female", "male") for emotion in ("angry", "happy", "sad")] * 2
        )
    ]


def labels(recognizer: Recognizer, clips: list[np.ndarray]) -> list[str | None]:
    return [recognizer.predict(clip, source_rate=16000).label for clip in clips]


@pytest.mark.parametrize("name", list_bundles())
def test_a_bundle_is_whole_and_small_and_has_a_card(name: str) -> None:
    bundle = load_bundle(name)
    verify(bundle)
    assert sum(file.size for file in bundle.files.values()) <= 16_000_000
    card = (bundle.path / "CARD.md").read_text(encoding="utf-8")
    for item in bundle.data:
        assert str(item["name"]) in card
        assert str(item["licence"]) in card
    assert "## Limits" in card
    assert not {"/work", "/tmp", "/home"} & {part for word in card.split() for part in (word[:5], word[:4])}


def test_the_light_one_is_light() -> None:
    bundle = load_bundle("light")
    assert bundle.size <= 3_000_000
    assert set(bundle.labels) == set(load_bundle("default").labels)


def test_what_people_get_unless_they_ask_is_the_recogniser_for_strangers() -> None:
    assert DEFAULT_BUNDLE == "default"
    for name in STRANGERS:
        bundle = load_bundle(name)
        assert bundle.adaptation
        assert bundle.temperature != 1.0


def test_a_bundle_says_that_it_is_for_non_commercial_use() -> None:
    assert load_bundle("default").non_commercial
    assert load_bundle("light").non_commercial
    assert not load_bundle("free").non_commercial


def test_the_speakers_of_the_demo_are_strangers_to_every_bundle() -> None:
    for name in list_bundles():
        for item in load_bundle(name).data:
            assert item["name"] != "ravdess" or item["speakers"] == 18


def test_nothing_that_ships_is_trained_on_a_corpus_without_a_licence() -> None:
    for name in list_bundles():
        assert not {"ased", "korean"} & {str(item["name"]) for item in load_bundle(name).data}


def test_level_changes_no_answer(recognizer: Recognizer, voices: list[np.ndarray]) -> None:
    plain = labels(recognizer, voices)
    assert None not in plain
    for decibels in (-30, -12, 6):
        assert labels(recognizer, [clip * np.float32(10 ** (decibels / 20)) for clip in voices]) == plain


def test_silence_around_speech_changes_no_answer(recognizer: Recognizer, voices: list[np.ndarray]) -> None:
    silence = np.zeros(24000, np.float32)
    surrounded = labels(recognizer, [np.concatenate([silence, clip, silence]) for clip in voices])
    assert surrounded == labels(recognizer, voices)


def test_what_is_no_voice_gets_no_label(recognizer: Recognizer) -> None:
    t = np.arange(48000) / 16000
    rng = np.random.default_rng(0)
    sounds = {
        "silence": np.zeros(48000),
        "white noise": 0.1 * rng.standard_normal(48000),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * t),
        "hum": sum(0.2 / k * np.sin(2 * np.pi * 50 * k * t) for k in range(1, 8)),
    }
    answers = {name: recognizer.predict(s.astype(np.float32), source_rate=16000) for name, s in sounds.items()}
    assert {name: answer.label for name, answer in answers.items()} == dict.fromkeys(sounds)
    assert all(answer.reason for answer in answers.values())


def test_the_answer_is_a_distribution(recognizer: Recognizer, voices: list[np.ndarray]) -> None:
    answer = recognizer.predict(voices[0], source_rate=16000)
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-4)
    json.dumps(answer.to_dict())


@needs_ravdess
def test_people_of_whom_it_heard_nothing_are_recognised_well_above_chance(recognizer: Recognizer) -> None:
    """Actors 19 and 20, both statements, four emotions, chance 1 in 7: plain, then adapted to these clips."""
    folder = Path(str(DATA)) / "ravdess"
    emotions = {"01": "neutral", "03": "happy", "04": "sad", "05": "angry"}
    clips = [
        (path, emotions[path.stem.split("-")[2]])
        for actor in ("19", "20")
        for path in sorted((folder / f"Actor_{actor}").iterdir())
        if path.stem.split("-")[2] in emotions
    ]
    heard = [(read(path), truth) for path, truth in clips]
    plain = np.mean([recognizer.predict_audio(audio).label == truth for audio, truth in heard])
    adapted = recognizer.adapted_to([path for path, _ in clips])
    better = np.mean([adapted.predict_audio(audio).label == truth for audio, truth in heard])
    assert plain >= 0.5
    assert better >= 0.5
