"""Pure functions of the frontends: windows, mel filters, spectra, logarithms, cosine transform, deltas."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from serotone.modeling.lengths import mask, zero_beyond
from serotone.options.frontends import WHISPER_DECADES, MelNorm, MelScale, WhisperReference

WINDOWS: Mapping[str, float] = MappingProxyType({"hamming": 0.54, "hann": 0.5})
"""Window name -> its first cosine coefficient."""


def pre_emphasised(waveforms: Tensor, coefficient: float) -> Tensor:
    """First difference x[t] - coefficient x[t - 1] of waveforms (B, T), with silence before the first sample.

    So the first sample stays as it is: ``librosa.effects.preemphasis`` with ``zi=[0]``, where librosa's default would
    extrapolate. Whatever follows a clip's true end reaches the samples beyond that end only.
    """
    before = torch.cat([waveforms.new_zeros(waveforms.shape[0], 1), waveforms], dim=1)[:, :-1]
    return waveforms - coefficient * before


def cosine_window(name: str, size: int) -> Tensor:
    """Periodic Hamming or Hann window (size,) in float64: a0 - (1 - a0) cos(2 pi n / size)."""
    if name not in WINDOWS:
        raise ValueError(f"window is {name!r}; expected one of {', '.join(sorted(WINDOWS))}")
    a0 = WINDOWS[name]
    return a0 - (1.0 - a0) * torch.cos(torch.arange(size, dtype=torch.float64) * (2.0 * math.pi / size))


def hertz_to_mel(hertz: Tensor, scale: MelScale = "slaney") -> Tensor:
    """Mel value of frequencies in Hz, any shape, float64.

    ``slaney``: linear below 1 kHz (15 mel), logarithmic above (Slaney, Auditory Toolbox, 1998); ``htk``:
    2595 log10(1 + f / 700) (Young et al., The HTK Book).
    """
    if scale == "htk":
        return 2595.0 * torch.log10(1.0 + hertz / 700.0)
    if scale != "slaney":
        raise ValueError(f"the mel scale is {scale!r}; expected 'slaney' or 'htk'")
    logarithmic = 15.0 + torch.log(hertz.clamp_min(1000.0) / 1000.0) * (27.0 / math.log(6.4))
    return torch.where(hertz < 1000.0, hertz * (3.0 / 200.0), logarithmic)


def mel_to_hertz(mel: Tensor, scale: MelScale = "slaney") -> Tensor:
    """Inverse of :func:`hertz_to_mel`."""
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    if scale != "slaney":
        raise ValueError(f"the mel scale is {scale!r}; expected 'slaney' or 'htk'")
    logarithmic = 1000.0 * torch.exp((mel.clamp_min(15.0) - 15.0) * (math.log(6.4) / 27.0))
    return torch.where(mel < 15.0, mel * (200.0 / 3.0), logarithmic)


def mel_filterbank(
    sample_rate: int,
    n_fft: int,
    num_mels: int,
    scale: MelScale = "slaney",
    norm: MelNorm | None = "slaney",
    f_min: float = 0.0,
    f_max: float | None = None,
) -> Tensor:
    """Triangular mel filters (n_fft // 2 + 1, num_mels) in float64, their corners evenly spaced in mel.

    ``f_min`` and ``f_max`` in Hz; None is half the sample rate. ``norm="slaney"`` divides each filter by half its width
    in Hz, so that a flat spectrum gives a flat answer; None leaves every peak at 1.
    """
    if norm not in ("slaney", None):
        raise ValueError(f"the mel norm is {norm!r}; expected 'slaney' or None")
    f_max = sample_rate / 2 if f_max is None else f_max
    if not 0.0 <= f_min < f_max:
        raise ValueError(
            f"the mel filters go from {f_min} Hz to {f_max} Hz; expected f_min of at least 0 and f_max above f_min"
        )
    if f_max > sample_rate / 2:
        raise ValueError(
            f"f_max is {f_max:g} Hz, but audio at {sample_rate} Hz has nothing above {sample_rate / 2:g} Hz; set f_max"
            " to that or less"
        )
    ends = hertz_to_mel(torch.tensor([f_min, f_max], dtype=torch.float64), scale)
    steps = torch.linspace(float(ends[0]), float(ends[1]), num_mels + 2, dtype=torch.float64)
    corners = mel_to_hertz(steps, scale)  # (M + 2,)
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64)[:, None] * (sample_rate / n_fft)  # (K, 1)
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising = (bins - low) / (middle - low)
    falling = (high - bins) / (high - middle)
    filters = torch.minimum(rising, falling).clamp_min(0.0)  # (K, M)
    return filters if norm is None else filters * (2.0 / (high - low))


def power_spectrum(framed: Tensor, window: Tensor, *, n_fft: int, bins: int | None = None) -> Tensor:
    """Power of the DFT of frames (..., N) under a window (N,), zero-padded to n_fft: (..., bins).

    ``bins`` from 0 Hz up; None is all n_fft // 2 + 1.
    """
    if framed.numel() == 0:  # which not every FFT library takes
        return framed.new_zeros(*framed.shape[:-1], n_fft // 2 + 1 if bins is None else bins)
    spectrum = torch.fft.rfft(framed * window, n=n_fft)
    if bins is not None:
        spectrum = spectrum[..., :bins]
    squares = torch.view_as_real(spectrum).square()  # one pass over memory as it lies, then the sum
    return squares[..., 0] + squares[..., 1]


def power_to_db(
    power: Tensor,
    lengths: Tensor | None,
    *,
    amin: float = 1e-10,
    ref: float = 1.0,
    top_db: float | None,
    offset: float = 0.0,
) -> Tensor:
    """Decibels 10 log10(max(power + offset, amin) / max(ref, amin)) of (B, T, F), zero beyond each length (B,).

    Lengths None: every frame is valid. With ``top_db`` nothing in a clip lies more than that below the clip's own
    maximum over its valid frames.
    """
    if amin <= 0.0 or (top_db is not None and top_db < 0.0):
        raise ValueError(
            f"amin is {amin} and top_db is {top_db}; expected amin above 0, and top_db of at least 0 or None"
        )
    zero = 10.0 * math.log10(max(ref, amin))
    if offset:
        power = power + offset
    decibels = 10.0 * torch.log10(power.clamp_min(amin))
    if zero:
        decibels = decibels - zero
    if top_db is not None:
        floor = 10.0 * torch.log10(_greatest(power, lengths).clamp_min(amin)) - (zero + top_db)  # (B,)
        decibels = torch.maximum(decibels, floor[:, None, None])
    return _valid(decibels, lengths)


def power_to_ln(power: Tensor, lengths: Tensor | None, *, amin: float = 1e-10) -> Tensor:
    """Natural logarithm ln(max(power, amin)) of (B, T, F), zero beyond each length (B,); None: every frame is valid."""
    if amin <= 0.0:
        raise ValueError(f"amin is {amin}; expected a number above 0")
    return _valid(torch.log(power.clamp_min(amin)), lengths)


def power_to_whisper(
    power: Tensor,
    lengths: Tensor | None,
    *,
    reference: WhisperReference = "absolute",
    level: float = 0.0,
    decades: float = WHISPER_DECADES,
) -> Tensor:
    """Whisper's log-mel of power (B, T, F): (max(log10 max(power, 1e-10), greatest - decades) + 4) / 4, of (B, T, F).

    ``greatest`` is the clip's own maximum over its valid frames (Radford et al., "Robust speech recognition via
    large-scale weak supervision", 2022, and the released code). With another ``reference`` the logarithms are first
    moved so that it is at ``level``, and nothing is cut at 1e-10: the answer is then the same at every level of the
    recording. ``maximum`` is ``greatest``; ``loud`` is the mean power of the valid frames, all bands together, each
    weighted by its own power: the level of vowels, where the maximum is that of one band of one frame. What lies more
    than ``decades`` below is cut. Lengths None: every frame is valid. It is zero beyond each length.
    """
    if reference == "absolute":
        logarithms = torch.log10(power.clamp_min(1e-10))
        floor = torch.log10(_greatest(power, lengths)[:, None, None].clamp_min(1e-10)) - decades
        return _valid((torch.maximum(logarithms, floor) + 4.0) / 4.0, lengths)
    at = _greatest(power, lengths) if reference == "maximum" else _loud(power, lengths)  # (B,)
    relative = power / at[:, None, None].clamp_min(1e-30)  # below that is digital silence
    return _valid((torch.log10(relative.clamp_min(10**-decades)) + (level + 4.0)) / 4.0, lengths)


def cosine_transform(size: int, count: int) -> Tensor:
    """Table (size, count) in float64 of the orthonormal DCT-II: its first ``count`` coefficients of ``size`` values."""
    if not 1 <= count <= size:
        raise ValueError(
            f"{count} cepstral coefficients were asked for, and there are {size} bands; expected 1 to {size}"
        )
    middles = torch.arange(size, dtype=torch.float64)[:, None] + 0.5
    table = torch.cos(middles * torch.arange(count, dtype=torch.float64) * (math.pi / size)) * math.sqrt(2.0 / size)
    table[:, 0] /= math.sqrt(2.0)
    return table


def deltas(values: Tensor, lengths: Tensor, *, width: int = 9) -> Tensor:
    """Slope per frame of values (B, T, F), by linear regression over ``width`` frames; zero beyond each length (B,).

    d[t] = sum_n n (x[t + n] - x[t - n]) / (2 sum_n n^2) for n = 1 .. width // 2, the first and the last valid frame
    repeated beyond the ends (The HTK Book, "Delta, Acceleration and Third Differential Coefficients"). ``width`` is odd
    and at least 3; a clip may be shorter.
    """
    if width < 3 or width % 2 == 0:
        raise ValueError(f"deltas are taken over {width} frames; expected an odd number of at least 3")
    half = width // 2
    some = torch.cat([values, values.new_zeros(values.shape[0], 1, values.shape[2])], dim=1)  # at least one frame
    index = (lengths - 1).clamp_min(0)[:, None, None].expand(-1, 1, values.shape[2])
    first, last = some[:, :1], torch.gather(some, 1, index)  # (B, 1, F)
    inside = torch.where(mask(lengths, values.shape[1])[:, :, None], values, last)
    extended = torch.cat([first] * half + [inside] + [last] * half, dim=1)  # (B, half + T + half, F)
    steps = range(1, half + 1)
    rises = [n * (extended[:, half + n : n - half or None] - extended[:, half - n : -half - n]) for n in steps]
    return zero_beyond(sum(rises[1:], start=rises[0]) / (2 * sum(n * n for n in steps)), lengths, dim=1)


def _greatest(power: Tensor, lengths: Tensor | None) -> Tensor:
    """Each clip's greatest power (B,) over its valid frames, of power (B, T, F) that is never negative."""
    peaks = _valid(power.amax(dim=2), lengths)  # (B, T)
    nothing = power.new_zeros(power.shape[0], 1)  # a maximum exists even of no frames
    return torch.cat([peaks, nothing], dim=1).amax(dim=1)


def _valid(values: Tensor, lengths: Tensor | None) -> Tensor:
    """Values (B, T, ...), zero beyond each length if there are any."""
    return values if lengths is None else zero_beyond(values, lengths, dim=1)


def _loud(power: Tensor, lengths: Tensor | None) -> Tensor:
    """Each clip's mean power of a frame, weighted by that power: (B,), of power (B, T, F) that is never negative."""
    frames = _valid(power.sum(dim=2), lengths)  # (B, T)
    weights = frames / frames.sum(dim=1, keepdim=True).clamp_min(1e-30)
    return (weights * frames).sum(dim=1)
