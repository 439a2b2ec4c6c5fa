"""Frontends: two engines, librosa, the padding law, short clips and the exported graph."""

import io
import os
import warnings
from pathlib import Path

import librosa
import numpy as np
import onnxruntime
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serotone.modeling import frontends
from serotone.modeling.frontends import FRONTENDS, LogMel, Spectrogram, mel_filterbank, power_to_db

RATE = 16000
ENGINES = ("fft", "matmul")
SHAPES = (  # window, hop, n_fft, centred, sample rate: those of the five systems, and an odd window
    (0.040, 0.010, 1024, True, 16000),
    (2048 / 22050, 512 / 22050, 2048, True, 22050),
    (0.025, 0.010, 512, False, 16000),
    (0.030, 0.015, 512, False, 16000),
    (0.025, 0.010, 1024, True, 22050),
)


def sweep(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """A voiced-like glide over noise that fades: a wide range of levels in one clip."""
    t = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(t.size)
    voice = sum(np.sin(2 * np.pi * k * (120 * t + 30 * t**2)) / k for k in range(1, 30))
    return (0.1 * np.exp(-1.5 * t) * voice + 1e-4 * noise).astype(np.float32)


def real_clips() -> list[Path]:
    root = os.environ.get("SEROTONE_DATA")
    found = sorted(Path(root, "emodb", "wav").glob("*.flac")) if root else []
    if not found:
        pytest.skip("no EmoDB under SEROTONE_DATA")
    return found[::36]


def alone(frontend: Spectrogram, samples: NDArray[np.floating] | Tensor) -> Tensor:
    """One clip by itself: (T,) -> (T', F)."""
    waveform = torch.as_tensor(samples)[None]
    values, lengths = frontend(waveform, torch.tensor([waveform.shape[1]]))
    assert lengths.tolist() == [values.shape[1]]
    return values[0]


def by_librosa(name: str, samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """librosa's decibels (T', F), computed in float64."""
    samples = samples.astype(np.float64)
    framing = {"n_fft": 1024, "win_length": 640, "hop_length": 160, "window": "hamming"}
    if name == "log-mel":
        power = librosa.feature.melspectrogram(y=samples, sr=RATE, n_mels=128, **framing)
    else:
        power = np.abs(librosa.stft(samples, **framing)) ** 2 + 1e-8
    return librosa.power_to_db(power, top_db=80.0).T


def assert_like_librosa(name: str, engine: str, samples: NDArray[np.float32]) -> None:
    expected = by_librosa(name, samples)
    got = alone(FRONTENDS[name](engine=engine), samples).numpy()
    assert got.shape == expected.shape
    error = np.abs(got - expected)
    assert error.max() < 2e-2
    assert error[expected > expected.max() - 60].max() < 1e-3


# --------------------------------------------------------------------------------------------------------- librosa


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", FRONTENDS)
def test_librosa_compatibility_on_real_clips(name: str, engine: str) -> None:
    for path in real_clips():
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        assert_like_librosa(name, engine, samples)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", FRONTENDS)
@pytest.mark.parametrize("samples", [sweep(2.0), sweep(0.5)[:7999], sweep(0.1)[:1025]], ids=len)
def test_librosa_compatibility_on_synthetic_signals(name: str, engine: str, samples: NDArray[np.float32]) -> None:
    assert_like_librosa(name, engine, samples)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", None])
@pytest.mark.parametrize(
    ("rate", "n_fft", "bands", "low", "high"),
    [(16000, 1024, 128, 0.0, None), (22050, 2048, 128, 0.0, None), (16000, 512, 40, 60.0, 7600.0)],
)
@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_mel_filters_are_those_of_librosa(
    rate: int, n_fft: int, bands: int, low: float, high: float | None, scale: str, norm: str | None
) -> None:
    expected = librosa.filters.mel(
        sr=rate, n_fft=n_fft, n_mels=bands, fmin=low, fmax=high, htk=scale == "htk", norm=norm, dtype=np.float64
    )
    got = mel_filterbank(rate, n_fft, bands, scale, norm, low, high).numpy()
    np.testing.assert_allclose(got.T, expected, rtol=0, atol=1e-12)


def test_mel_scale_by_hand() -> None:
    hertz = torch.tensor([0.0, 200.0, 1000.0, 6400.0], dtype=torch.float64)  # 6400 Hz is 27 logarithmic steps up
    assert frontends.hertz_to_mel(hertz).tolist() == pytest.approx([0.0, 3.0, 15.0, 42.0])
    for scale in ("slaney", "htk"):
        back = frontends.mel_to_hertz(frontends.hertz_to_mel(hertz, scale), scale)
        assert back.tolist() == pytest.approx(hertz.tolist())


@pytest.mark.parametrize("name", ["hamming", "hann"])
@pytest.mark.parametrize("size", [2, 551, 640])
def test_windows_are_periodic_like_those_of_librosa(name: str, size: int) -> None:
    expected = librosa.filters.get_window(name, size, fftbins=True)
    np.testing.assert_allclose(frontends.cosine_window(name, size).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("top_db", [None, 30.0])
@pytest.mark.parametrize(("amin", "ref"), [(1e-10, 1.0), (1e-3, 20.0)])
def test_decibels_are_those_of_librosa(top_db: float | None, amin: float, ref: float) -> None:
    power = 10.0 ** np.random.default_rng(0).uniform(-12, 2, (1, 30, 7))
    expected = librosa.power_to_db(power[0], ref=ref, amin=amin, top_db=top_db)
    got = power_to_db(torch.from_numpy(power), torch.tensor([30]), amin=amin, ref=ref, top_db=top_db)
    np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-10)


def test_decibels_by_hand() -> None:
    power = torch.tensor([[[1.0], [1e-3], [1e-12], [100.0]]])
    got = power_to_db(power, torch.tensor([3]), top_db=80.0)
    assert got.flatten().tolist() == pytest.approx([0.0, -30.0, -80.0, 0.0])  # the invalid 20 dB sets no maximum
    got = power_to_db(power, torch.tensor([4]), top_db=None, offset=1e-8)
    assert got.flatten().tolist() == pytest.approx([0.0, -30.0, -80.0, 20.0], abs=1e-3)


# --------------------------------------------------------------------------------------------------------- engines


@pytest.mark.parametrize("cls", FRONTENDS.values())
@pytest.mark.parametrize("window", ["hamming", "hann"])
@pytest.mark.parametrize(("seconds", "hop", "n_fft", "centred", "rate"), SHAPES)
def test_engines_agree(
    cls: type[Spectrogram], window: str, seconds: float, hop: float, n_fft: int, centred: bool, rate: int
) -> None:
    frontend = cls(
        sample_rate=rate,
        window=window,
        window_seconds=seconds,
        hop_seconds=hop,
        n_fft=n_fft,
        centred=centred,
        **({"num_mels": 40} if cls is LogMel else {}),
    )
    waveforms = torch.from_numpy(np.stack([sweep(0.7, seed) for seed in range(3)]))
    lengths = torch.tensor([11200, 7001, 3000])
    by_fft, counted = frontend(waveforms, lengths)
    frontend.engine = "matmul"
    by_matmul, again = frontend(waveforms, lengths)
    assert by_fft.shape == by_matmul.shape
    assert counted.tolist() == again.tolist()
    assert (by_fft - by_matmul).abs().max() < 2e-2
    assert (by_fft - by_matmul).abs()[by_fft > by_fft.max() - 60].max() < 1e-3


@pytest.mark.parametrize("size", [16, 17])
def test_folded_dft_by_definition(size: int) -> None:
    rng = np.random.default_rng(size)
    frame, window = rng.standard_normal(size), frontends.cosine_window("hamming", size)
    expected = np.abs(np.fft.rfft(frame * window.numpy(), 32)) ** 2
    tables = frontends.folded_dft(window, 32)
    assert tables[0].shape == tables[1].shape == (size // 2 + 1, 17)
    got = frontends.folded_power_spectrum(torch.from_numpy(frame)[None], *tables)[0]
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


def test_groups_of_bands_are_the_whole_filterbank() -> None:
    for bands, n_fft in ((128, 1024), (40, 512), (128, 256)):  # the last has bands that hold no bin at all
        frontend = LogMel(num_mels=bands, n_fft=n_fft, window_seconds=0.016)
        power = torch.rand(2, 5, n_fft // 2 + 1)
        torch.testing.assert_close(frontend.features(power), power @ frontend.mel)


# --------------------------------------------------------------------------------------------------------- padding


PADDED = (16000, 15999, 8000, 7840, 7839, 641, 640, 320)
FILLINGS = {
    "zeros": lambda size: torch.zeros(size),
    "nan": lambda size: torch.full(size, float("nan")),
    "noise": lambda size: 100 * torch.randn(size, generator=torch.Generator().manual_seed(0)),
}


def padded_batch(filling: str) -> tuple[Tensor, Tensor]:
    batch = FILLINGS[filling]((len(PADDED), 16333))
    for seed, length in enumerate(PADDED):
        batch[seed, :length] = torch.from_numpy(sweep(1.0, seed)[:length])
    return batch, torch.tensor(PADDED)


@pytest.mark.parametrize(
    ("engine", "dtype", "tolerance"),
    [
        ("fft", torch.float32, 1e-5),
        ("fft", torch.float64, 1e-9),
        ("matmul", torch.float64, 1e-9),
        ("matmul", torch.float32, 1e-3),  # the order in which BLAS adds up depends on the number of rows
    ],
)
@pytest.mark.parametrize("cls", FRONTENDS.values())
@pytest.mark.parametrize("centred", [True, False])
def test_a_clip_in_a_batch_is_the_clip_alone(
    cls: type[Spectrogram], engine: str, dtype: torch.dtype, tolerance: float, centred: bool
) -> None:
    frontend = cls(centred=centred, engine=engine).to(dtype)
    batch, lengths = padded_batch("noise")
    values, counted = frontend(batch.to(dtype), lengths)
    for row, count, clip, length in zip(values, counted.tolist(), batch.to(dtype), PADDED):
        expected = alone(frontend, clip[:length])
        assert count == len(expected)
        assert ((row[:count] - expected).abs() < tolerance).all()
        assert (row[count:] == 0).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cls", FRONTENDS.values())
@pytest.mark.parametrize("filling", ["nan", "noise"])
def test_what_stands_beyond_a_clip_changes_nothing(cls: type[Spectrogram], engine: str, filling: str) -> None:
    frontend = cls(engine=engine)
    values, _ = frontend(*padded_batch(filling))
    expected, _ = frontend(*padded_batch("zeros"))
    assert torch.equal(values, expected)


@pytest.mark.parametrize("clips", [1, 7])
def test_a_batch_analysed_in_parts_is_the_batch(clips: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waveforms = torch.from_numpy(np.stack([sweep(0.3, seed) for seed in range(7)]))
    lengths = torch.arange(7) * 700
    whole = LogMel()(waveforms, lengths)[0]
    monkeypatch.setattr(frontends, "CPU_SAMPLES", clips * waveforms.shape[1])
    torch.testing.assert_close(LogMel()(waveforms, lengths)[0], whole, rtol=0, atol=1e-5)


# ----------------------------------------------------------------------------------------------------- short clips


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", FRONTENDS)
@pytest.mark.parametrize("samples", [1, 2, 159, 160, 319, 639, 640])
def test_clips_shorter_than_a_window(name: str, engine: str, samples: int) -> None:
    clip = sweep(0.1)[:samples] + np.float32(0.05)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n_fft=1024 is too large")  # librosa's
        expected = by_librosa(name, clip)
    got = alone(FRONTENDS[name](engine=engine), clip).numpy()
    assert got.shape == expected.shape == (1 + samples // 160, FRONTENDS[name]().num_features)
    assert np.abs(got - expected).max() < 2e-2


@pytest.mark.parametrize("engine", ENGINES)
def test_no_frames_and_no_samples(engine: str) -> None:
    values, lengths = LogMel(centred=False, engine=engine)(torch.ones(2, 639), torch.tensor([639, 3]))
    assert values.shape == (2, 0, 128)
    assert lengths.tolist() == [0, 0]
    values, lengths = LogMel(engine=engine)(torch.ones(2, 0), torch.tensor([0, 0]))
    assert (values == -100).all()
    assert lengths.tolist() == [1, 1]


@pytest.mark.parametrize("engine", ENGINES)
def test_digital_silence_is_the_floor(engine: str) -> None:
    assert (alone(LogMel(engine=engine), torch.zeros(4000)) == -100).all()
    assert alone(Spectrogram(engine=engine), torch.zeros(4000)).sub(-80).abs().max() < 1e-3  # 1e-8 is added


@pytest.mark.parametrize("centred", [True, False])
def test_minimum_samples(centred: bool) -> None:
    frontend = LogMel(centred=centred)
    for count in (1, 49):
        fewest = frontend.minimum_samples(count)
        assert frontend.frame_lengths(torch.tensor([fewest - 1, fewest])).tolist()[1] == count
    assert LogMel().minimum_samples(49) == 7680


# ---------------------------------------------------------------------------------------------------------- graphs


class WholeClips(nn.Module):
    """A frontend as a bundle's graph holds it: the lengths are counted inside."""

    def __init__(self, frontend: Spectrogram) -> None:
        super().__init__()
        self.frontend = frontend

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        values, lengths = self.frontend(waveform, torch.ones_like(waveform, dtype=torch.int64).sum(dim=1))
        return values, lengths


def exported(frontend: Spectrogram, example: Tensor) -> onnxruntime.InferenceSession:
    graph = io.BytesIO()
    with warnings.catch_warnings():  # every other warning, a tracer's too, is an error
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        torch.onnx.export(
            WholeClips(frontend),
            (example,),
            graph,
            dynamo=False,
            opset_version=17,
            input_names=["waveform"],
            output_names=["values", "lengths"],
            dynamic_axes={"waveform": {0: "B", 1: "T"}, "values": {0: "B", 1: "frames"}, "lengths": {0: "B"}},
        )
    return onnxruntime.InferenceSession(graph.getvalue(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("cls", FRONTENDS.values())
@pytest.mark.parametrize(("seconds", "hop", "n_fft", "centred", "rate"), SHAPES)
def test_exported_graph_is_the_frontend(
    cls: type[Spectrogram], seconds: float, hop: float, n_fft: int, centred: bool, rate: int
) -> None:
    frontend = cls(
        sample_rate=rate, window_seconds=seconds, hop_seconds=hop, n_fft=n_fft, centred=centred, engine="matmul"
    )
    session = exported(frontend, torch.from_numpy(sweep(0.5))[None])
    reference = frontend.double()
    reference.engine = "fft"
    for samples in (3001, 8000, 33333):
        for clips in (1, 3):
            batch = np.stack([sweep(2.1, seed)[:samples] for seed in range(clips)])
            values, lengths = session.run(None, {"waveform": batch})
            expected, counted = frontend(torch.from_numpy(batch), torch.full((clips,), samples))
            assert values.shape == expected.shape
            assert lengths.tolist() == counted.tolist()
            error = np.abs(values - expected.numpy())
            assert error.max() < 2e-2
            assert error[expected.numpy() > float(expected.max()) - 60].max() < 1e-3


def test_exported_graph_takes_a_clip_shorter_than_a_window() -> None:
    session = exported(LogMel(engine="matmul"), torch.from_numpy(sweep(0.5))[None])
    for samples in (1, 160, 639):
        clip = sweep(0.1)[None, :samples]
        values, _ = session.run(None, {"waveform": clip})
        assert np.abs(values[0] - alone(LogMel(), clip[0]).numpy()).max() < 2e-2


def test_tables_are_no_part_of_the_weights() -> None:
    assert LogMel().state_dict() == {}


def test_gradients_reach_the_waveform_but_not_the_padding() -> None:
    waveforms = torch.from_numpy(np.stack([sweep(0.2)] * 2)).requires_grad_()
    LogMel()(waveforms, torch.tensor([3200, 1600]))[0].sum().backward()
    assert waveforms.grad is not None
    assert waveforms.grad.isfinite().all()
    assert (waveforms.grad[0] != 0).any()
    assert (waveforms.grad[1, 1600:] == 0).all()


# ---------------------------------------------------------------------------------------------------------- errors


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="'kaiser' is unknown; expected one of hamming, hann"):
        LogMel(window="kaiser")
    with pytest.raises(ValueError, match="window of 640 samples, n_fft 512"):
        LogMel(n_fft=512)
    with pytest.raises(ValueError, match="engine 'conv' is unknown"):
        alone(LogMel(engine="conv"), torch.ones(800))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'bark' is unknown"):
        mel_filterbank(RATE, 512, 40, "bark")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 <= f_min < f_max"):
        mel_filterbank(RATE, 512, 40, f_min=9000.0)
    with pytest.raises(ValueError, match="norm 'l2' is unknown"):
        mel_filterbank(RATE, 512, 40, norm="l2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected amin above 0"):
        power_to_db(torch.ones(1, 1, 1), torch.tensor([1]), amin=0.0, top_db=None)
