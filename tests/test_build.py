"""A recipe whose parts do not fit each other is refused in words, before anything is trained."""

import pytest

from serotone.errors import RecipeError
from serotone.recipes import load
from serotone.training.build import build_system

SHORT = ("clip_seconds=0.2", *(f"bundle.{key}_seconds=0.2" for key in ("min", "max", "window", "hop")))


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("crnn-mel", ["frontend.logarithm=ln"], r"crnn-mel: frontend: top_db is 80\.0 .* takes neither"),
        (
            "crnn-mel",
            ["frontend.n_fft=512"],
            "the window 640 and n_fft 512; expected .*; change the frontend or the encoder",
        ),
        (
            "crnn-mel",
            ["frontend.num_mels=40"],
            "the frontend gives 40 values a frame, but the encoder crnn takes at least 49",
        ),
        (
            "cnn-blstm-attention",
            ["frontend.num_mels=30"],
            "gives 30 values a frame, but the encoder cnn-blstm takes at least 32",
        ),
        ("resnet-mfcc-softmax", ["frontend.num_coefficients=200"], "200"),
        (
            "cnn-blstm-attention",
            SHORT,
            r"clip_seconds is 0\.2, but .* cnn-blstm needs at least 0\.335 s; set clip_seconds to",
        ),
        (
            "crnn-mel",
            ["bundle.min_seconds=0.1"],
            r"bundle\.min_seconds is 0\.1, but .* crnn needs at least 0\.480 s",
        ),
        (
            "dycnn-bilstm",
            ["clip_seconds=null", "standardise_over=frames", "bundle.min_seconds=0.1"],
            r"bundle\.min_seconds is 0\.1, but .* dycnn needs",
        ),
        (
            "cnn-blstm-attention",
            ["clip_seconds=null"],
            "clip_seconds is null, but the encoder cnn-blstm cannot mask",
        ),
        ("resnet-mel-focal", ["clip_seconds=null"], "clip_seconds is null, but the encoder resnet18 cannot mask"),
        (
            "default",
            ["frontend=waveform", "encoder=transformers-speech", "pooling=mean-sd", "weights=null"],
            r"max_frames is 3000, which crops clips to 0\.1874 s, because a frame of waveform takes 1 sample, but"
            r" bundle\.min_seconds is 0\.5; raise max_frames, or set it to null",
        ),
        (
            "default",
            ["max_frames=null"],
            "max_frames is null, but the encoder whisper takes at most 30 s; set",
        ),
        ("default", ["max_frames=3002"], "max_frames is 3002, but the encoder whisper takes at most 30 s"),
        (
            "crnn-mel",
            ["sample_rate=8000", "frontend.f_max=4001"],
            "f_max is 4001 Hz, but audio at 8000 Hz has nothing above 4000 Hz",
        ),
    ],
)
def test_parts_that_do_not_fit(name: str, changes: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        build_system(load(name, changes), 4)


def test_the_shortest_that_is_long_enough() -> None:
    build_system(load("crnn-mel", ["bundle.min_seconds=0.48"]), 4)


def test_the_highest_frequency_and_the_longest_clip_that_there_are() -> None:
    build_system(load("crnn-mel", ["sample_rate=8000", "frontend.f_max=4000"]), 4)
    build_system(load("default", ["max_frames=3001", "encoder={width: 32, heads: 4, layers: [1]}"]), 4)
