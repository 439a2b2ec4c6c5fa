"""The frontends of the systems, Whisper's and four odd ones, the signals they are tested with, librosa's answers."""

import io
import os
import warnings
from functools import cache
from pathlib import Path

import librosa
import numpy as np
import onnxruntime
import pytest
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serotone.modeling.exported import exported
from serotone.modeling.frontends import FRONTENDS
from serotone.modeling.frontends.frontend import SpectralFrontend

RATE = 16000
RESNET = {"sample_rate": 22050, "window": "hann", "window_samples": 2048, "hop_samples": 512, "n_fft": 2048}
DYCNN = {"window_seconds": 0.030, "hop_seconds": 0.015, "n_fft": 512, "pre_emphasis": 0.97, "centred": False}
DEFAULTS = {
    **{"sample_rate": RATE, "window": "hamming", "window_seconds": 0.040, "hop_seconds": 0.010, "n_fft": 1024},
    **{"window_samples": None, "hop_samples": None, "centred": True, "pre_emphasis": None, "bins": None},
    **{
        "logarithm": "db",
        "amin": 1e-10,
        "top_db": 80.0,
        "offset": 0.0,
        "deltas": 0,
        "delta_width": 9,
        "num_coefficients": 40,
    },
    **{"num_mels": 128, "mel_scale": "slaney", "mel_norm": "slaney", "f_min": 0.0, "f_max": None},
}
CASES: dict[str, tuple[str, dict]] = {
    "0": ("spectrogram", {"n_fft": 1600, "bins": 400, "centred": False, "top_db": None, "offset": 0.0}),
    "1 mel": ("log-mel", RESNET),
    "1 mfcc": ("mfcc", RESNET),
    "2 mel": ("log-mel", {}),
    "2 stft": ("spectrogram", {"offset": 1e-8}),
    "3": (
        "log-mel",
        {
            "window_seconds": 0.025,
            "n_fft": 512,
            "num_mels": 40,
            "centred": False,
            "logarithm": "ln",
            "top_db": None,
        },
    ),
    "light": (
        "log-mel",
        {"window_seconds": 0.032, "n_fft": 512, "num_mels": 64, "logarithm": "relative", "top_db": None},
    ),
    "4 mel": ("log-mel", {**DYCNN, "num_mels": 40, "top_db": None}),
    "4 mfcc": ("mfcc", {**DYCNN, "num_mels": 40, "num_coefficients": 13, "deltas": 2, "top_db": None}),
    "odd mel": (  # a window that cannot be folded twice, and every other option turned
        "log-mel",
        {
            "sample_rate": 22050,
            "window_seconds": 0.025,
            "num_mels": 60,
            "mel_scale": "htk",
            "mel_norm": None,
            "f_min": 60.0,
            "f_max": 7600.0,
            "pre_emphasis": 0.9,
            "top_db": 60.0,
            "offset": 1e-6,
        },
    ),
    "odd stft": (
        "spectrogram",
        {"window_samples": 200, "hop_samples": 70, "n_fft": 258, "bins": 100, "offset": 0.0, "top_db": 70.0},
    ),
    "odd mfcc": (
        "mfcc",
        {
            "window_seconds": 0.025,
            "n_fft": 512,
            "num_mels": 40,
            "mel_scale": "htk",
            "num_coefficients": 20,
            "deltas": 1,
            "delta_width": 5,
            "centred": False,
            "logarithm": "ln",
            "top_db": None,
        },
    ),
    "whisper": ("whisper-log-mel", {}),
    "whisper relative": ("whisper-log-mel", {"num_mels": 128, "reference": "maximum", "level": 0.5}),
    "whisper loud": ("whisper-log-mel", {"reference": "loud", "level": 2.7, "decades": 6.0}),
    "odd hann": ("log-mel", {"window": "hann", "n_fft": 800, "num_mels": 64, "mel_scale": "htk", "centred": False}),
}


SPECTRAL = [name for name, frontend in FRONTENDS.items() if issubclass(frontend, SpectralFrontend)]
CASES |= {name: (name, {}) for name in SPECTRAL if name not in {used for used, _ in CASES.values()}}
LIBROSA = [
    case
    for case, (name, options) in CASES.items()
    if name in ("spectrogram", "log-mel", "mfcc") and options.get("logarithm") != "relative"
]
"""Those that librosa computes too."""


def made(name: str, engine: str = "fft", *, sample_rate: int = RATE, **options: object) -> SpectralFrontend:
    cls = FRONTENDS[name]
    return cls(cls.options_type(**options), sample_rate=sample_rate, engine=engine)


def built(case: str, engine: str = "fft") -> SpectralFrontend:
    name, options = CASES[case]
    return made(name, engine, **options)


@cache
def sweep(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """A voiced-like glide over noise that fades: a wide range of levels in one clip."""
    t = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(t.size)
    voice = sum(np.sin(2 * np.pi * k * (120 * t + 30 * t**2)) / k for k in range(1, 30))
    return (0.1 * np.exp(-1.5 * t) * voice + 1e-4 * noise).astype(np.float32)


@cache
def real_clips(rate: int) -> list[NDArray[np.float32]]:
    root = os.environ.get("SEROTONE_DATA")
    found = sorted(Path(root, "emodb", "wav").glob("*.flac")) if root else []
    if not found:
        pytest.skip("no EmoDB under SEROTONE_DATA")
    clips = []
    for path in found[::90]:
        samples, given = soundfile.read(path, dtype="float32")
        clips.append(soxr.resample(samples, given, rate).astype(np.float32))
    return clips


def alone(frontend: SpectralFrontend, samples: NDArray[np.floating] | Tensor) -> Tensor:
    """One clip by itself: (T,) -> (T', F)."""
    waveform = torch.as_tensor(samples)[None]
    values, lengths = frontend(waveform, torch.tensor([waveform.shape[1]]))
    assert lengths.tolist() == [values.shape[1]]
    return values[0]


def by_librosa(case: str, samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """librosa's answer (T', F) to one clip, in float64."""
    name, given = CASES[case]
    options = {**DEFAULTS, **given}
    rate, n_fft = options["sample_rate"], options["n_fft"]
    size = options["window_samples"] or round(options["window_seconds"] * rate)
    hop = options["hop_samples"] or round(options["hop_seconds"] * rate)
    samples = samples.astype(np.float64)
    if options["pre_emphasis"]:
        samples = librosa.effects.preemphasis(samples, coef=options["pre_emphasis"], zi=[0.0])
    if not options["centred"]:  # librosa puts the window in the middle of n_fft samples
        samples = np.pad(samples, ((n_fft - size) // 2, -(-(n_fft - size) // 2)))
    framing = {"n_fft": n_fft, "hop_length": hop, "win_length": size, "window": options["window"]}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n_fft=.* is too large")
        warnings.filterwarnings("ignore", "Empty filters detected")
        power = np.abs(librosa.stft(samples, center=options["centred"], **framing)) ** 2
        if name == "spectrogram":
            power = power[: options["bins"]]
        else:
            ends = {"fmin": options["f_min"], "fmax": options["f_max"], "n_mels": options["num_mels"]}
            scale = {"htk": options["mel_scale"] == "htk", "norm": options["mel_norm"]}
            power = librosa.filters.mel(sr=rate, n_fft=n_fft, dtype=np.float64, **ends, **scale) @ power
    if options["logarithm"] == "ln":
        values = np.log(np.maximum(power, options["amin"]))
    else:
        values = librosa.power_to_db(power + options["offset"], amin=options["amin"], top_db=options["top_db"])
    if name == "mfcc":
        orders = [librosa.feature.mfcc(S=values, n_mfcc=options["num_coefficients"], norm="ortho")]
        for _ in range(options["deltas"]):
            orders.append(librosa.feature.delta(orders[-1], width=options["delta_width"], mode="nearest"))
        values = np.concatenate(orders)
    return values.T


def assert_close(case: str, got: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    """Frames of one clip within 2e-2 dB down to 80 dB below the maximum, and 1e-3 dB down to 60."""
    assert got.shape == expected.shape
    name, options = CASES[case]
    unit = 40.0 if name == "whisper-log-mel" else 10 / np.log(10) if options.get("logarithm") == "ln" else 1.0  # in dB
    error = np.abs(got - expected) * unit
    if name == "mfcc":  # mixes bands of all levels
        assert error.max(initial=0.0) < 2e-2
        return
    below = (expected.max(initial=-np.inf) - expected) * unit
    assert error[below <= 80].max(initial=0.0) < 2e-2
    assert error[below <= 60].max(initial=0.0) < 1e-3


class WholeClips(nn.Module):
    """A frontend as a bundle's graph holds it: clips of equal length, which are counted inside."""

    def __init__(self, frontend: SpectralFrontend) -> None:
        super().__init__()
        self.frontend = frontend

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        values, lengths = self.frontend(waveform, torch.ones_like(waveform, dtype=torch.int64).sum(dim=1))
        return values, lengths


def graph(frontend: SpectralFrontend, *, whole: bool = True) -> bytes:
    """The frontend as an ONNX graph, in the form that the exporter gives it, or masked all the same."""
    frontend = exported(frontend)
    for part in frontend.modules():
        if hasattr(part, "exported"):
            part.exported = whole
    model = io.BytesIO()
    with warnings.catch_warnings():  # every other warning, a tracer's too, is an error
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        torch.onnx.export(
            WholeClips(frontend),
            (torch.from_numpy(sweep(0.5))[None],),
            model,
            dynamo=False,
            opset_version=17,
            input_names=["waveform"],
            output_names=["values", "lengths"],
            dynamic_axes={"waveform": {0: "B", 1: "T"}, "values": {0: "B", 1: "frames"}, "lengths": {0: "B"}},
        )
    return model.getvalue()


def session(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
