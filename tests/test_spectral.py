"""The frontends' pure functions and the folded DFT: by hand, and against librosa and scipy."""

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch

from serotone.modeling.frontends import spectral
from serotone.modeling.frontends.folded import FoldedDFT, folded_dft
from serotone.modeling.frontends.spectral import mel_filterbank, power_to_db, power_to_ln

# ------------------------------------------------------------------------------------------------------ mel, windows


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
    assert spectral.hertz_to_mel(hertz).tolist() == pytest.approx([0.0, 3.0, 15.0, 42.0])
    for scale in ("slaney", "htk"):
        back = spectral.mel_to_hertz(spectral.hertz_to_mel(hertz, scale), scale)
        assert back.tolist() == pytest.approx(hertz.tolist())


@pytest.mark.parametrize("name", ["hamming", "hann"])
@pytest.mark.parametrize("size", [2, 551, 640])
def test_windows_are_periodic_like_those_of_librosa(name: str, size: int) -> None:
    expected = librosa.filters.get_window(name, size, fftbins=True)
    np.testing.assert_allclose(spectral.cosine_window(name, size).numpy(), expected, atol=1e-12)


# -------------------------------------------------------------------------------------------------------- logarithms


@pytest.mark.parametrize("top_db", [None, 30.0])
@pytest.mark.parametrize(("amin", "ref"), [(1e-10, 1.0), (1e-3, 20.0)])
def test_decibels_are_those_of_librosa(top_db: float | None, amin: float, ref: float) -> None:
    power = 10.0 ** np.random.default_rng(0).uniform(-12, 2, (1, 30, 7))
    expected = librosa.power_to_db(power[0], ref=ref, amin=amin, top_db=top_db)
    for lengths in (torch.tensor([30]), None):
        got = power_to_db(torch.from_numpy(power), lengths, amin=amin, ref=ref, top_db=top_db)
        np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-10)


def test_decibels_by_hand() -> None:
    power = torch.tensor([[[1.0], [1e-3], [1e-12], [100.0]]])
    got = power_to_db(power, torch.tensor([3]), top_db=80.0)
    assert got.flatten().tolist() == pytest.approx([0.0, -30.0, -80.0, 0.0])  # the invalid 20 dB sets no maximum
    got = power_to_db(power, torch.tensor([4]), top_db=None, offset=1e-8)
    assert got.flatten().tolist() == pytest.approx([0.0, -30.0, -80.0, 20.0], abs=1e-3)


def test_natural_logarithm_by_hand() -> None:
    power = torch.tensor([[[np.e**2], [1e-12], [float("nan")]]])
    got = power_to_ln(power, torch.tensor([2]), amin=np.exp(-5))
    assert got.flatten().tolist() == pytest.approx([2.0, -5.0, 0.0])


# ------------------------------------------------------------------------------------------------------ pre-emphasis


def test_pre_emphasis_by_hand() -> None:
    got = spectral.pre_emphasised(torch.tensor([[4.0, 2.0, 2.0, -6.0]]), 0.5)
    assert got.tolist() == [[4.0, 0.0, 1.0, -7.0]]
    assert spectral.pre_emphasised(torch.ones(2, 0), 0.5).shape == (2, 0)


def test_pre_emphasis_is_that_of_librosa_and_scipy() -> None:
    samples = np.random.default_rng(0).standard_normal(50)
    got = spectral.pre_emphasised(torch.from_numpy(samples)[None], 0.97)[0].numpy()
    np.testing.assert_allclose(got, librosa.effects.preemphasis(samples, coef=0.97, zi=[0.0]), atol=1e-12)
    np.testing.assert_allclose(got, scipy.signal.lfilter([1, -0.97], [1], samples), atol=1e-12)


# ----------------------------------------------------------------------------------------------------------- cepstra


def test_cosine_transform_is_that_of_scipy() -> None:
    table = spectral.cosine_transform(40, 13).numpy()
    np.testing.assert_allclose(table, scipy.fft.dct(np.eye(40), norm="ortho")[:, :13], atol=1e-12)
    with pytest.raises(ValueError, match="41 cepstral coefficients were asked for, and there are 40 bands"):
        spectral.cosine_transform(40, 41)


def test_deltas_by_hand() -> None:
    values = torch.tensor([[[0.0], [3.0], [3.0], [9.0], [float("nan")]], [[7.0], [1.0], [1.0], [1.0], [1.0]]])
    got = spectral.deltas(values, torch.tensor([4, 1]), width=3)  # half the difference of the neighbours
    assert got[0].flatten().tolist() == [1.5, 1.5, 3.0, 3.0, 0.0]
    assert got[1].flatten().tolist() == [0.0] * 5  # of one frame, nothing rises


@pytest.mark.parametrize("width", [3, 5, 9])
@pytest.mark.parametrize("count", [1, 2, 4, 30])
def test_deltas_are_those_of_librosa_and_scipy(width: int, count: int) -> None:
    values = np.random.default_rng(count).standard_normal((count, 3))
    padded = torch.full((1, 35, 3), float("nan"), dtype=torch.float64)
    padded[0, :count] = torch.from_numpy(values)
    got = spectral.deltas(padded, torch.tensor([count]), width=width)[0]
    expected = scipy.signal.savgol_filter(values, width, polyorder=1, deriv=1, axis=0, mode="nearest")
    np.testing.assert_allclose(got[:count].numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(expected, librosa.feature.delta(values, width=width, axis=0, mode="nearest"))
    assert (got[count:] == 0).all()


def test_deltas_of_no_frames() -> None:
    assert spectral.deltas(torch.ones(2, 0, 3), torch.tensor([0, 0])).shape == (2, 0, 3)
    assert (spectral.deltas(torch.ones(1, 4, 3), torch.tensor([0])) == 0).all()


@pytest.mark.parametrize("width", [1, 4])
def test_deltas_refuse_an_even_width(width: int) -> None:
    with pytest.raises(ValueError, match="an odd number of at least 3"):
        spectral.deltas(torch.ones(1, 4, 3), torch.tensor([4]), width=width)


# -------------------------------------------------------------------------------------------------------- folded DFT


@pytest.mark.parametrize("size", [16, 17])
def test_folded_dft_by_definition(size: int) -> None:
    window = spectral.cosine_window("hamming", size)
    frame = np.random.default_rng(size).standard_normal(size)
    cosines, sines = (table.numpy() for table in folded_dft(window, 32))
    assert cosines.shape == sines.shape == (size // 2 + 1, 17)
    left, right = frame[: size // 2 + 1], np.append(frame, 0.0)[::-1][: size // 2 + 1]
    right[0] = 0.0  # sample 0 has no mirror image
    power = ((left + right) @ cosines) ** 2 + ((left - right) @ sines) ** 2
    np.testing.assert_allclose(power, np.abs(np.fft.rfft(frame * window.numpy(), 32)) ** 2, atol=1e-12)


FOLDED = {  # window, hop, n_fft, bins: folds
    (640, 160, 1024, 513): 2,
    (640, 160, 1600, 400): 2,  # no bin above n_fft / 4: one piece
    (640, 160, 1024, 40): 0,  # so few bins that folding would cost more
    (20, 8, 64, 33): 2,  # the window's middle lies between the samples of the second fold
    (18, 6, 64, 33): 1,  # the window's middle lies between the samples of the first fold
    (18, 6, 50, 26): 1,  # n_fft / 2 is odd
    (24, 8, 36, 19): 2,
    (17, 4, 32, 17): 0,
    (16, 5, 32, 17): 0,
    (8, 16, 8, 5): 2,  # gaps between the frames
}


@pytest.mark.parametrize("name", ["hamming", "hann"])
@pytest.mark.parametrize(("size", "hop", "n_fft", "bins"), FOLDED)
def test_every_fold_is_the_dft(size: int, hop: int, n_fft: int, bins: int, name: str) -> None:
    window = spectral.cosine_window(name, size)
    folded = FoldedDFT(window, hop=hop, n_fft=n_fft, bins=bins).double()
    exact = {name: table for name, table in folded.named_buffers() if table.dtype == torch.float64}
    assert len(exact) == 2 * (1 + FOLDED[size, hop, n_fft, bins])
    count = 3
    samples = np.random.default_rng(0).standard_normal((2, (count - 1 + -(-size // hop)) * hop))
    pieces = folded(torch.from_numpy(samples), count)
    assert [piece.shape[2] for piece in pieces] == [len(order) for order in folded.order]
    starts = hop * np.arange(count)[:, None] + np.arange(size)
    expected = np.abs(np.fft.rfft(samples[:, starts] * window.numpy(), n_fft)) ** 2
    for piece, order in zip(pieces, folded.order):
        np.testing.assert_allclose(piece.numpy(), expected[:, :, order], atol=1e-4)  # tables in float32
    in_order = folded.in_order(pieces).numpy()
    np.testing.assert_allclose(in_order, expected[:, :, :bins], atol=1e-4)
