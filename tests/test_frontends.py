"""Frontends: librosa and Whisper's extractor, two engines, the padding law, short clips."""

import math

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from frontend_cases import CASES, LIBROSA, RESNET, alone, assert_close, built, by_librosa, made, real_clips, sweep
from serotone.modeling.frontends import frontend as frontend_module
from serotone.modeling.frontends.framing import Framing
from serotone.modeling.frontends.spectral import mel_filterbank, power_to_db

RATE = 16000
ENGINES = ("fft", "matmul")

# ---------------------------------------------------------------------------------------------------------- librosa


@pytest.mark.parametrize("case", LIBROSA)
def test_librosa_compatibility_on_real_clips(case: str) -> None:
    by_fft, by_matmul = built(case), built(case, "matmul")
    for samples in real_clips(by_fft.sample_rate):
        expected = by_librosa(case, samples)
        assert_close(case, alone(by_fft, samples).numpy(), expected)
        assert_close(case, alone(by_matmul, samples).numpy(), expected)


@pytest.mark.parametrize("case", LIBROSA)
@pytest.mark.parametrize("samples", [sweep(2.0), sweep(0.5)[:7999], sweep(0.2)[:2049]], ids=len)
def test_librosa_compatibility_on_synthetic_signals(case: str, samples: NDArray[np.float32]) -> None:
    expected = by_librosa(case, samples)
    for engine in ENGINES:
        assert_close(case, alone(built(case, engine), samples).numpy(), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_system_1_is_what_librosa_computes_by_default(engine: str) -> None:
    samples = sweep(1.0).astype(np.float64)  # librosa's defaults are 22,050 Hz, 2048, 512, 128 bands
    power = librosa.feature.melspectrogram(y=samples)
    mel = alone(made("log-mel", engine, **RESNET), samples.astype(np.float32))
    assert_close("1 mel", mel.numpy(), librosa.power_to_db(power).T)
    mfcc = alone(made("mfcc", engine, **RESNET), samples.astype(np.float32))
    assert_close("1 mfcc", mfcc.numpy(), librosa.feature.mfcc(y=samples, n_mfcc=40).T)


def test_second_deltas_are_deltas_of_deltas() -> None:
    rising = torch.linspace(0, 1, 4000) ** 2  # louder and louder
    noise = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    values = alone(made("mfcc", num_coefficients=13, deltas=2), rising * noise).numpy()
    base, first, second = values[:, :13], values[:, 13:26], values[:, 26:]
    expected = librosa.feature.delta(base, axis=0, mode="nearest")
    np.testing.assert_allclose(first, expected, atol=1e-3)
    np.testing.assert_allclose(second, librosa.feature.delta(expected, axis=0, mode="nearest"), atol=1e-3)
    assert np.abs(second - librosa.feature.delta(base, order=2, axis=0, mode="nearest")).max() > 0.1


# ---------------------------------------------------------------------------------------------------------- Whisper


def by_transformers(samples: NDArray[np.float32], num_mels: int, *, padding: str) -> NDArray[np.float32]:
    """The answer (T', F) of the extractor that comes with Whisper's models."""
    transformers = pytest.importorskip("transformers")
    extractor = transformers.WhisperFeatureExtractor(feature_size=num_mels)
    values = extractor(samples, sampling_rate=RATE, padding=padding, return_tensors="np")["input_features"]
    return values[0].T


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("num_mels", [80, 128])
@pytest.mark.parametrize("samples", [48000, 48123, 16159])
def test_whisper_compatibility_at_a_clips_own_length(samples: int, num_mels: int, engine: str) -> None:
    clip = sweep(4.0)[:samples]
    expected = by_transformers(clip, num_mels, padding="longest")
    got = alone(made("whisper-log-mel", engine, num_mels=num_mels), clip).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_whisper_compatibility_filled_up_to_thirty_seconds(engine: str) -> None:
    clip = sweep(4.0)
    expected = by_transformers(clip, 80, padding="max_length")
    got = alone(made("whisper-log-mel", engine), np.pad(clip, (0, 30 * RATE - len(clip)))).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_whisper_relative_to_the_maximum_hears_no_level(engine: str) -> None:
    frontend = made("whisper-log-mel", engine, reference="maximum")
    waveforms = torch.from_numpy(np.stack([sweep(1.0) * gain for gain in (1.0, 1e-4, 10.0)]))
    values, _ = frontend(waveforms, torch.full((3,), RATE))
    assert values.amax(dim=(1, 2)).tolist() == pytest.approx([(1.5 + 4) / 4] * 3)
    torch.testing.assert_close(values[1:], values[:1].expand(2, -1, -1), rtol=0, atol=1e-4)
    absolute = alone(made("whisper-log-mel", engine), sweep(1.0))
    shift = (1.5 + 4) / 4 - absolute.max()  # nothing in this clip lies at the absolute floor
    torch.testing.assert_close(values[0], absolute + shift, rtol=0, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_whisper_relative_to_the_loud_frames_hears_no_level_and_no_faint_noise(engine: str) -> None:
    frontend = made("whisper-log-mel", engine, reference="loud", level=2.7, decades=7.2)
    clip = sweep(1.0)
    values, _ = frontend(
        torch.from_numpy(np.stack([clip * gain for gain in (1.0, 1e-4, 10.0)])), torch.full((3,), RATE)
    )
    torch.testing.assert_close(values[1:], values[:1].expand(2, -1, -1), rtol=0, atol=1e-4)
    assert values.min().item() == pytest.approx((2.7 - 7.2 + 4) / 4)
    power = 10 ** (4 * values[0].double() - 4)  # a second witness: the definition, over what was not cut
    frames = power.sum(dim=1)
    assert math.log10(float((frames**2).sum() / frames.sum())) == pytest.approx(2.7, abs=1e-3)
    hiss = clip + 1e-4 * np.random.default_rng(0).standard_normal(len(clip)).astype(np.float32)
    changes = {}
    for decades in (6.0, 8.0):
        heard = [
            alone(made("whisper-log-mel", engine, reference="loud", decades=decades), sound) for sound in (clip, hiss)
        ]
        changes[decades] = float((heard[1] - heard[0]).abs().mean())
    assert changes[6.0] < changes[8.0]


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 200, 201, 600])
def test_mirrored_edges_are_those_of_numpy_at_any_length(samples: int) -> None:
    framing = Framing(hop=160, window_size=400, n_fft=400, centred=True, edges="reflect", drop_last=True)
    clip = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    batch = torch.full((2, 700), float("nan"))
    batch[0, :samples] = batch[1, :samples] = clip
    padded = framing(batch, torch.tensor([samples, 1]))
    expected = np.pad(clip.numpy(), 200, mode="reflect")
    np.testing.assert_array_equal(padded[0, : samples + 400].numpy(), expected)
    assert (padded[0, samples + 400 :] == 0).all()
    assert (padded[1, :401] == clip[0]).all()


# --------------------------------------------------------------------------------------------------------- features


@pytest.mark.parametrize(
    ("case", "width", "hop", "frames"),
    [
        ("0", 400, 160, 97),
        ("1 mel", 128, 512, 32),
        ("1 mfcc", 40, 512, 32),
        ("2 mel", 128, 160, 101),
        ("2 stft", 513, 160, 101),
        ("3", 40, 160, 98),
        ("4 mel", 40, 240, 65),
        ("4 mfcc", 39, 240, 65),
    ],
)
def test_size_of_the_answer(case: str, width: int, hop: int, frames: int) -> None:
    frontend = built(case)
    assert (frontend.num_features, frontend.framing.hop) == (width, hop)
    assert alone(frontend, sweep(1.0)).shape == (frames, width)


def test_six_seconds_of_system_1_and_four_of_system_4() -> None:
    assert built("1 mel").frame_lengths(torch.tensor([132300])).tolist() == [259]
    assert built("4 mel").frame_lengths(torch.tensor([64000])).tolist() == [265]
    assert built("3").frame_lengths(torch.tensor([120000])).tolist() == [748]


def test_groups_of_bands_are_the_whole_filterbank() -> None:
    for bands, n_fft in ((128, 1024), (40, 512), (128, 256)):  # the last has bands that hold no bin at all
        frontend = made("log-mel", num_mels=bands, n_fft=n_fft, window_seconds=0.016)
        power = torch.rand(2, 5, n_fft // 2 + 1)
        expected = power @ mel_filterbank(RATE, n_fft, bands).float()
        torch.testing.assert_close(frontend.bands(power), expected)
        pieces = [power[..., order] for order in frontend.spectrum.folded.order]
        torch.testing.assert_close(frontend.bands.of_pieces(pieces), expected)


def test_bins_are_the_first_of_the_spectrum() -> None:
    clip = torch.from_numpy(sweep(0.2))[None]
    for engine in ENGINES:
        for bins in (1, 100, 257, 258, 300, 512):
            lengths = torch.tensor([clip.shape[1]])
            every = made("spectrogram", engine).power(clip, lengths)
            some = made("spectrogram", engine, bins=bins).power(clip, lengths)
            torch.testing.assert_close(some, every[..., :bins], rtol=1e-5, atol=1e-6 * float(every.max()))


# ---------------------------------------------------------------------------------------------------------- padding


PADDED = (16000, 15999, 8000, 7840, 7839, 2049, 2048, 641, 320, 1)
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
        ("fft", torch.float32, 2e-5),  # two last bits of 100 dB
        ("fft", torch.float64, 1e-9),
        ("matmul", torch.float64, 1e-9),
        ("matmul", torch.float32, 1e-3),  # the order in which BLAS adds up depends on the number of rows
    ],
)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("centred", [True, False])
def test_a_clip_in_a_batch_is_the_clip_alone(
    case: str, engine: str, dtype: torch.dtype, tolerance: float, centred: bool
) -> None:
    name, options = CASES[case]
    # top_db, so that nothing hangs on the last bits of silence, which float32 rounds as the batch's size has it
    floor = {"top_db": 60.0} if options.get("logarithm", "db") == "db" else {}
    changes = {} if name == "whisper-log-mel" else {**floor, "centred": centred}
    frontend = made(name, engine, **{**options, **changes}).to(dtype)
    batch, lengths = padded_batch("noise")
    values, counted = frontend(batch.to(dtype), lengths)
    scale = values.abs().amax().clamp_min(100.0) / 100.0  # cepstrum 0 reaches a thousand: so do its last bits
    for row, count, clip, length in zip(values, counted.tolist(), batch.to(dtype), PADDED):
        expected = alone(frontend, clip[:length])
        assert count == len(expected)
        assert ((row[:count] - expected).abs() < tolerance * scale).all()
        assert (row[count:] == 0).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("filling", ["nan", "noise"])
def test_what_stands_beyond_a_clip_changes_nothing(case: str, engine: str, filling: str) -> None:
    frontend = built(case, engine)
    values, _ = frontend(*padded_batch(filling))
    expected, _ = frontend(*padded_batch("zeros"))
    assert torch.equal(values, expected)


@pytest.mark.parametrize("clips", [1, 7])
def test_a_batch_analysed_in_parts_is_the_batch(clips: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waveforms = torch.from_numpy(np.stack([sweep(0.3, seed) for seed in range(7)]))
    lengths = torch.arange(7) * 700
    whole = made("log-mel")(waveforms, lengths)[0]
    monkeypatch.setattr(frontend_module, "CPU_SAMPLES", clips * waveforms.shape[1])
    torch.testing.assert_close(made("log-mel")(waveforms, lengths)[0], whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", ["2 mel", "4 mfcc", "whisper", "whisper relative"])
def test_gradients_reach_the_waveform_but_not_the_padding(case: str) -> None:
    waveforms = torch.from_numpy(np.stack([sweep(0.2)] * 2))
    waveforms[1, 1600:] = float("nan")
    waveforms.requires_grad_()
    built(case)(waveforms, torch.tensor([3200, 1600]))[0].square().sum().backward()
    assert waveforms.grad is not None
    assert waveforms.grad.isfinite().all()
    assert (waveforms.grad[0] != 0).any()
    assert (waveforms.grad[1, 1600:] == 0).all()


# ------------------------------------------------------------------------------------------------------ short clips


@pytest.mark.parametrize("case", [case for case in LIBROSA if built(case).framing.centred])
@pytest.mark.parametrize("samples", [1, 2, 159, 160, 319, 639, 640])
def test_clips_shorter_than_a_window(case: str, samples: int) -> None:
    clip = sweep(0.1)[:samples] + np.float32(0.05)
    expected = by_librosa(case, clip)
    for engine in ENGINES:
        got = alone(built(case, engine), clip).numpy()
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() < 2e-2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_no_frames_and_no_samples(case: str, engine: str) -> None:
    frontend = built(case, engine)
    short, framing = frontend.framing.window_size - 1, frontend.framing
    values, lengths = frontend(torch.ones(2, short), torch.tensor([short, 0]))
    assert values.shape[2] == frontend.num_features
    assert values.isfinite().all()
    if not framing.centred:
        assert values.shape[1] == 0
        assert lengths.tolist() == [0, 0]
    values, lengths = frontend(torch.ones(2, 0), torch.tensor([0, 0]))
    frames = int(framing.centred and not framing.drop_last)
    assert lengths.tolist() == [frames] * 2
    assert values.shape == (2, frames, frontend.num_features)
    assert values.isfinite().all()


@pytest.mark.parametrize("engine", ENGINES)
def test_digital_silence_is_the_floor(engine: str) -> None:
    assert (alone(made("log-mel", engine), torch.zeros(4000)) == -100).all()
    assert alone(built("2 stft", engine), torch.zeros(4000)).sub(-80).abs().max() < 1e-3  # 1e-8 is added
    assert alone(built("3", engine), torch.zeros(4000)).sub(np.log(1e-10)).abs().max() < 1e-5
    assert (alone(built("whisper", engine), torch.zeros(4000)) == (-10 + 4) / 4).all()
    silence = alone(built("whisper relative", engine), torch.zeros(4000))
    torch.testing.assert_close(silence, torch.full_like(silence, (0.5 - 8 + 4) / 4))


@pytest.mark.parametrize("case", CASES)
def test_minimum_samples(case: str) -> None:
    frontend = built(case)
    for count in (1, 49):
        fewest = frontend.minimum_samples(count)
        assert len(alone(frontend, sweep(2.0)[:fewest])) == count
        if fewest > 1:
            assert len(alone(frontend, sweep(2.0)[: fewest - 1])) == count - 1
    assert made("log-mel").minimum_samples(49) == 7680


@pytest.mark.parametrize("engine", ENGINES)
def test_relative_frames_are_decibels_below_the_maximum_in_other_units_at_any_level(engine: str) -> None:
    options = {"window_seconds": 0.032, "n_fft": 512, "num_mels": 64}
    relative = made("log-mel", engine, **options, logarithm="relative", top_db=None)
    decibels = alone(made("log-mel", engine, **options, amin=1e-30, top_db=80.0), sweep(1.0))
    expected = ((decibels - decibels.max()) / 10 + 1.5 + 4) / 4
    for gain in (1.0, 1e-3):
        found = alone(relative, sweep(1.0) * np.float32(gain))
        torch.testing.assert_close(found, expected, atol=2e-3 if engine == "matmul" else 1e-4, rtol=0)


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("log-mel", {"window": "kaiser"}, "window is 'kaiser'; expected one of hamming, hann"),
        ("log-mel", {"n_fft": 512}, "the window 640 and n_fft 512"),
        ("log-mel", {"hop_samples": 0}, "hop_samples is 0; expected at least 1"),
        ("log-mel", {"hop_seconds": 1e-6}, "the hop is 0 samples, the window 640"),
        ("spectrogram", {"bins": 514}, "514 bins were asked for, and an FFT of 1024 has 513"),
        ("log-mel", {"pre_emphasis": 1.5}, r"pre_emphasis is 1\.5; expected less than 1"),
        ("log-mel", {"logarithm": "log2"}, "logarithm is 'log2'; expected one of db, ln, relative"),
        ("log-mel", {"logarithm": "ln"}, r"top_db is 80\.0 and offset is 0\.0, but the logarithm ln takes neither"),
        ("log-mel", {"logarithm": "relative"}, r"the logarithm relative takes neither; set top_db to null"),
        ("log-mel", {"f_min": 9000.0}, "expected f_min of at least 0 and f_max above f_min"),
        ("log-mel", {"mel_norm": "l2"}, "mel_norm is 'l2'; expected one of slaney, null"),
        ("mfcc", {"num_coefficients": 129}, "129 cepstral coefficients were asked for, and there are 128 bands"),
        ("mfcc", {"deltas": 3}, "deltas is 3; expected at most 2"),
        ("mfcc", {"deltas": 1, "delta_width": 8}, "delta_width is 8; expected an odd number"),
        (
            "whisper-log-mel",
            {"sample_rate": 8000},
            "sample_rate is 8000, but the frontend whisper-log-mel takes 16000 Hz",
        ),
    ],
)
def test_wrong_options_are_named(name: str, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(name, **options)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="engine is 'conv'"):
        alone(made("log-mel", "conv"), torch.ones(800))
    with pytest.raises(ValueError, match="scale is 'bark'"):
        mel_filterbank(RATE, 512, 40, "bark")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="norm is 'l2'"):
        mel_filterbank(RATE, 512, 40, norm="l2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"amin is 0\.0 and top_db is None; expected amin above 0"):
        power_to_db(torch.ones(1, 1, 1), torch.tensor([1]), amin=0.0, top_db=None)
    for choice in ({"edges": "reflect"}, {"drop_last": True}):
        with pytest.raises(ValueError, match="only centred frames have either"):
            Framing(hop=160, window_size=400, n_fft=400, centred=False, **choice)
