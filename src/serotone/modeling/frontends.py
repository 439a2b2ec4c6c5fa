"""Waveform -> spectral frames in decibels: linear-frequency and mel.

Each frontend has two engines that compute the same numbers: ``fft`` for training, and ``matmul``, a DFT as two matrix
products, for the exported graph. A periodic window is symmetric about its middle, so the product is folded: samples at
equal distance from the middle are added for the cosine table and subtracted for the sine table, and each table has half
the rows.

Numbers follow librosa 0.11 (``melspectrogram`` with ``pad_mode="constant"``, ``power_to_db``), at each clip's true
length: centred frames see zeros beyond both ends, and the maximum that ``top_db`` counts from is over valid frames.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from serotone.modeling.lengths import frames, samples_for, zero_beyond

WINDOWS = MappingProxyType({"hamming": 0.54, "hann": 0.5})
"""Window name -> its first cosine coefficient."""

MEL_GROUP = 16
"""Mel bands that are multiplied together: a group reads only the bins that it covers."""

CPU_SAMPLES = 2**16
"""Samples that the CPU analyses at a time: a whole batch leaves the cache at every step, and is three times as slow."""

Engine = Literal["fft", "matmul"]


# ----------------------------------------------------------------------------------------------------- pure functions


def cosine_window(name: str, size: int) -> Tensor:
    """Periodic Hamming or Hann window (size,) in float64: a0 - (1 - a0) cos(2 pi n / size)."""
    if name not in WINDOWS:
        raise ValueError(f"window {name!r} is unknown; expected one of {', '.join(sorted(WINDOWS))}")
    a0 = WINDOWS[name]
    return a0 - (1.0 - a0) * torch.cos(torch.arange(size, dtype=torch.float64) * (2.0 * math.pi / size))


def hertz_to_mel(hertz: Tensor, scale: Literal["slaney", "htk"] = "slaney") -> Tensor:
    """Mel value of frequencies in Hz, any shape, float64.

    ``slaney``: linear below 1 kHz (15 mel), logarithmic above (Slaney, Auditory Toolbox, 1998); ``htk``:
    2595 log10(1 + f / 700) (Young et al., The HTK Book).
    """
    if scale == "htk":
        return 2595.0 * torch.log10(1.0 + hertz / 700.0)
    if scale != "slaney":
        raise ValueError(f"mel scale {scale!r} is unknown; expected 'slaney' or 'htk'")
    logarithmic = 15.0 + torch.log(hertz.clamp_min(1000.0) / 1000.0) * (27.0 / math.log(6.4))
    return torch.where(hertz < 1000.0, hertz * (3.0 / 200.0), logarithmic)


def mel_to_hertz(mel: Tensor, scale: Literal["slaney", "htk"] = "slaney") -> Tensor:
    """Inverse of :func:`hertz_to_mel`."""
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    if scale != "slaney":
        raise ValueError(f"mel scale {scale!r} is unknown; expected 'slaney' or 'htk'")
    logarithmic = 1000.0 * torch.exp((mel.clamp_min(15.0) - 15.0) * (math.log(6.4) / 27.0))
    return torch.where(mel < 15.0, mel * (200.0 / 3.0), logarithmic)


def mel_filterbank(
    sample_rate: int,
    n_fft: int,
    num_mels: int,
    scale: Literal["slaney", "htk"] = "slaney",
    norm: Literal["slaney"] | None = "slaney",
    f_min: float = 0.0,
    f_max: float | None = None,
) -> Tensor:
    """Triangular mel filters (n_fft // 2 + 1, num_mels) in float64, their corners evenly spaced in mel.

    ``f_min`` and ``f_max`` in Hz; None is half the sample rate. ``norm="slaney"`` divides each filter by half its width
    in Hz, so that a flat spectrum gives a flat answer; None leaves every peak at 1.
    """
    if norm not in ("slaney", None):
        raise ValueError(f"mel norm {norm!r} is unknown; expected 'slaney' or None")
    f_max = sample_rate / 2 if f_max is None else f_max
    if not 0.0 <= f_min < f_max:
        raise ValueError(f"mel filters from {f_min} Hz to {f_max} Hz; expected 0 <= f_min < f_max")
    ends = hertz_to_mel(torch.tensor([f_min, f_max], dtype=torch.float64), scale)
    steps = torch.linspace(float(ends[0]), float(ends[1]), num_mels + 2, dtype=torch.float64)
    corners = mel_to_hertz(steps, scale)  # (M + 2,)
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64)[:, None] * (sample_rate / n_fft)  # (K, 1)
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising = (bins - low) / (middle - low)
    falling = (high - bins) / (high - middle)
    filters = torch.minimum(rising, falling).clamp_min(0.0)  # (K, M)
    return filters if norm is None else filters * (2.0 / (high - low))


def folded_dft(window: Tensor, n_fft: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine tables, each (N // 2 + 1, n_fft // 2 + 1), of a DFT folded on the periodic window (N,).

    Phases count from the window's middle; the power does not depend on where they count from.
    """
    size = window.shape[0]
    rows = torch.arange(size // 2 + 1, dtype=torch.float64)[:, None] - size / 2
    angles = rows * torch.arange(n_fft // 2 + 1, dtype=torch.float64) * (2.0 * math.pi / n_fft)
    weights = window[: size // 2 + 1].clone()
    if size % 2 == 0:
        weights[-1] /= 2.0  # the middle sample is its own mirror image, and is added to itself
    return weights[:, None] * torch.cos(angles), weights[:, None] * torch.sin(angles)


def power_spectrum(framed: Tensor, window: Tensor, *, n_fft: int) -> Tensor:
    """Power of the DFT of frames (..., N) under a window (N,), zero-padded to n_fft: (..., n_fft // 2 + 1)."""
    if framed.numel() == 0:  # which not every FFT library takes
        return framed.new_zeros(*framed.shape[:-1], n_fft // 2 + 1)
    spectrum = torch.fft.rfft(framed * window, n=n_fft)
    squares = torch.view_as_real(spectrum).square()  # one pass over memory as it lies, then the sum
    return squares[..., 0] + squares[..., 1]


def folded_power_spectrum(framed: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """The same as :func:`power_spectrum` with the tables of :func:`folded_dft`: (..., N) -> (..., n_fft // 2 + 1)."""
    half = cosines.shape[0] - 1
    left = framed[..., : half + 1]  # samples 0 .. N // 2
    # Their mirror images, N - 1 down to N / 2; sample 0 has none.
    right = torch.cat([torch.zeros_like(framed[..., :1]), torch.flip(framed[..., -half:], dims=(-1,))], dim=-1)
    return ((left + right) @ cosines).square() + ((left - right) @ sines).square()


def power_to_db(
    power: Tensor,
    lengths: Tensor,
    *,
    amin: float = 1e-10,
    ref: float = 1.0,
    top_db: float | None,
    offset: float = 0.0,
) -> Tensor:
    """Decibels 10 log10(max(power + offset, amin) / max(ref, amin)) of (B, T, F), zero beyond each length (B,).

    With ``top_db`` nothing in a clip lies more than that below the clip's own maximum over its valid frames.
    """
    if amin <= 0.0 or (top_db is not None and top_db < 0.0):
        raise ValueError(f"amin {amin}, top_db {top_db}; expected amin above 0 and top_db of at least 0, or None")
    zero = 10.0 * math.log10(max(ref, amin))
    if offset:
        power = power + offset
    decibels = 10.0 * torch.log10(power.clamp_min(amin))
    if zero:
        decibels = decibels - zero
    if top_db is not None:
        peaks = zero_beyond(power.amax(dim=2), lengths, dim=1)  # (B, T); power is never negative
        nothing = torch.zeros_like(lengths, dtype=power.dtype)[:, None]  # a maximum exists even of no frames
        loudest = torch.cat([peaks, nothing], dim=1).amax(dim=1)  # (B,)
        floor = 10.0 * torch.log10(loudest.clamp_min(amin)) - (zero + top_db)
        decibels = torch.maximum(decibels, floor[:, None, None])
    return zero_beyond(decibels, lengths, dim=1)


# ------------------------------------------------------------------------------------------------------------ modules


class Spectrogram(nn.Module):
    """Linear-frequency power spectrogram in decibels.

    A frame is ``window_seconds`` long, zero-padded to ``n_fft``. ``offset`` is added to the power before the logarithm.
    ``engine`` may be set at any time: "fft" (training) or "matmul" (export); both give the same numbers.
    """

    window: Tensor
    cosines: Tensor
    sines: Tensor

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        window: str = "hamming",
        window_seconds: float = 0.040,
        hop_seconds: float = 0.010,
        n_fft: int = 1024,
        centred: bool = True,
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        offset: float = 1e-8,
        engine: Engine = "fft",
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.window_size = round(window_seconds * sample_rate)
        self.hop = round(hop_seconds * sample_rate)
        self.n_fft = n_fft
        self.centred = centred
        self.amin = amin
        self.top_db = top_db
        self.offset = offset
        self.engine: Engine = engine
        if self.hop < 1 or not 2 <= self.window_size <= n_fft:
            raise ValueError(
                f"hop of {self.hop} and window of {self.window_size} samples, n_fft {n_fft};"
                " expected a hop of at least 1 and 2 <= window <= n_fft"
            )
        shape = cosine_window(window, self.window_size)
        cosines, sines = folded_dft(shape, n_fft)
        # Made anew by the constructor, so no part of the weights.
        self.register_buffer("window", shape.float(), persistent=False)
        self.register_buffer("cosines", cosines.float(), persistent=False)
        self.register_buffer("sines", sines.float(), persistent=False)

    @property
    def num_features(self) -> int:
        """Width F of a frame."""
        return self.n_fft // 2 + 1

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Lengths in samples (B,) -> lengths in frames (B,)."""
        return frames(lengths, hop=self.hop, window=self.window_size, centred=self.centred)

    def minimum_samples(self, count: int = 1) -> int:
        """Fewest samples that make ``count`` frames."""
        return samples_for(count, hop=self.hop, window=self.window_size, centred=self.centred)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms (B, T) in float32 and lengths (B,) in samples, int64, none above T -> frames, frame lengths.

        Frames (B, T', F) are in dB and 0 beyond each frame length (B,).
        """
        if self.engine == "matmul" or waveforms.device.type != "cpu":
            return self._analysed(waveforms, lengths), self.frame_lengths(lengths)
        count = 1 + waveforms.numel() // CPU_SAMPLES
        parts = zip(waveforms.chunk(count), lengths.chunk(count), strict=True)
        return torch.cat([self._analysed(*part) for part in parts]), self.frame_lengths(lengths)

    def _analysed(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Waveforms (B, T), lengths (B,) -> frames (B, T', F) in dB."""
        power = self.features(self.power(zero_beyond(waveforms, lengths, dim=1)))  # (B, T', F)
        lengths = self.frame_lengths(lengths)
        return power_to_db(power, lengths, amin=self.amin, top_db=self.top_db, offset=self.offset)

    def power(self, waveforms: Tensor) -> Tensor:
        """Power spectrum of every frame: waveforms (B, T) -> (B, T', n_fft // 2 + 1)."""
        if self.engine == "fft":
            return power_spectrum(self._unfolded(waveforms), self.window, n_fft=self.n_fft)
        if self.engine == "matmul":
            return folded_power_spectrum(self._blocked(waveforms), self.cosines, self.sines)
        raise ValueError(f"engine {self.engine!r} is unknown; expected 'fft' or 'matmul'")

    def features(self, power: Tensor) -> Tensor:
        """Power (B, T', n_fft // 2 + 1) -> features (B, T', F), still in power."""
        return power

    def _padded(self, waveforms: Tensor) -> Tensor:
        """Zeros before and after: frame t starts at t * hop, and the blocks of the last frame are whole."""
        # The window stands in the middle of n_fft samples, which stand centred on t * hop.
        before = self.n_fft // 2 - (self.n_fft - self.window_size) // 2 if self.centred else 0
        start = waveforms.new_zeros(waveforms.shape[0], before)
        end = waveforms.new_zeros(waveforms.shape[0], self._blocks * self.hop)
        return torch.cat([start, waveforms, end], dim=1)

    @property
    def _blocks(self) -> int:
        """Blocks of one hop that a window touches."""
        return -(-self.window_size // self.hop)

    def _unfolded(self, waveforms: Tensor) -> Tensor:
        """Frames (B, T', window) as a view of the padded waveforms (B, T)."""
        count = frames(waveforms.shape[1], hop=self.hop, window=self.window_size, centred=self.centred)
        return self._padded(waveforms).unfold(1, self.window_size, self.hop)[:, :count]

    def _blocked(self, waveforms: Tensor) -> Tensor:
        """The same frames by slices and one concatenation: unfold has no dynamic length in ONNX."""
        count = frames(waveforms.shape[1], hop=self.hop, window=self.window_size, centred=self.centred)
        samples = (count + self._blocks - 1) * self.hop
        blocks = self._padded(waveforms)[:, :samples].reshape(waveforms.shape[0], -1, self.hop)  # (B, T' + r - 1, hop)
        shifted = [blocks[:, first : first + count] for first in range(self._blocks)]
        return torch.cat(shifted, dim=2)[..., : self.window_size]


class LogMel(Spectrogram):
    """Mel spectrogram in decibels: ``num_mels`` Slaney bands from 0 Hz to half the sample rate."""

    mel: Tensor

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        window: str = "hamming",
        window_seconds: float = 0.040,
        hop_seconds: float = 0.010,
        n_fft: int = 1024,
        num_mels: int = 128,
        centred: bool = True,
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        offset: float = 0.0,
        engine: Engine = "fft",
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            window=window,
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            n_fft=n_fft,
            centred=centred,
            amin=amin,
            top_db=top_db,
            offset=offset,
            engine=engine,
        )
        self.num_mels = num_mels
        filters = mel_filterbank(sample_rate, n_fft, num_mels)
        self.register_buffer("mel", filters.float(), persistent=False)
        self._groups = [
            (slice(*_support(filters[:, first : first + MEL_GROUP])), slice(first, first + MEL_GROUP))
            for first in range(0, num_mels, MEL_GROUP)
        ]

    @property
    def num_features(self) -> int:
        """Width F of a frame."""
        return self.num_mels

    def features(self, power: Tensor) -> Tensor:
        """Power (B, T', n_fft // 2 + 1) -> mel bands (B, T', num_mels), still in power."""
        return torch.cat([power[..., bins] @ self.mel[bins, bands] for bins, bands in self._groups], dim=-1)


def _support(filters: Tensor) -> tuple[int, int]:
    """First bin, and the one after the last, that any of the filters (bins, bands) reads."""
    used = torch.nonzero(filters.amax(dim=1))
    return (int(used[0]), int(used[-1]) + 1) if used.numel() else (0, 1)


FRONTENDS: Mapping[str, type[Spectrogram]] = MappingProxyType({"spectrogram": Spectrogram, "log-mel": LogMel})
"""Recipe name -> frontend."""
