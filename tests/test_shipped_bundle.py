"""The bundle that ships and the demo that shows it."""

import re
from pathlib import Path

import pytest

from serotone.corpora import synthetic
from serotone.recognition.bundle import DEFAULT_BUNDLE, load_bundle, verify
from serotone.recognition.recognizer import Recognizer

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.wav"))


def truth(clip: Path) -> str:
    return clip.stem.split("_")[1]


def test_the_demo_is_right_on_at_least_six_of_eight_unseen_synthetic_speakers() -> None:
    assert len(EXAMPLES) == 8
    recognizer = Recognizer()
    right = [recognizer.predict(clip).label == truth(clip) for clip in EXAMPLES]
    assert sum(right) >= 6, dict(zip([clip.name for clip in EXAMPLES], right, strict=True))


def test_the_demo_is_no_lucky_choice(tmp_path: Path) -> None:
    """Four other unseen speakers, all their emotions: the demo's success is that of the bundle."""
    synthetic.make(tmp_path, speakers=4, first_speaker=200, seed=0, sentences=1)
    clips = sorted(tmp_path.glob("*.wav"))
    recognizer = Recognizer()
    right = [recognizer.predict(clip).label == truth(clip) for clip in clips]
    assert sum(right) / len(right) >= 0.6


def test_the_clips_are_of_speakers_the_bundle_never_heard(tmp_path: Path) -> None:
    heard = next(item for item in load_bundle(DEFAULT_BUNDLE).data if item["name"] == "synthetic")
    assert min(int(clip.stem[3:].split("_")[0]) for clip in EXAMPLES) >= 100 > int(str(heard["speakers"]))
    speaker, emotion, sentence = re.fullmatch(r"syn(\d+)_(\w+)_(\d+)", EXAMPLES[0].stem).groups()  # type: ignore[union-attr]
    made = synthetic.make(tmp_path, speakers=1, first_speaker=int(speaker), seed=0, sentences=int(sentence) + 1)
    again = next(path for path in made if path.stem == f"syn{speaker}_{emotion}_{sentence}")
    assert len(again.read_bytes()) == len(EXAMPLES[0].read_bytes())


def test_the_shipped_bundle_is_whole_small_and_says_what_it_is() -> None:
    bundle = load_bundle(DEFAULT_BUNDLE)
    verify(bundle)
    assert bundle.files["model.onnx"].size < 5_000_000
    assert set(bundle.files) == {"model.onnx", "CARD.md"}
    card = (bundle.path / "CARD.md").read_text(encoding="utf-8")
    for word in ("emodb", "synthetic", "leave-one-speaker-out", "UA", "## Limits"):
        assert word in card


def test_the_answer_is_a_distribution() -> None:
    answer = Recognizer().predict(EXAMPLES[0])
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-4)
