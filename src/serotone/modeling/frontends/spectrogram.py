"""Linear-frequency spectrogram, and what every frontend shares: framing, engines, logarithm."""

from typing import Literal

import torch
from torch import Tensor, nn

from serotone.modeling.frontends.folded import FoldedDFT
from serotone.modeling.frontends.spectral import (
    cosine_window,
    power_spectrum,
    power_to_db,
    power_to_ln,
    pre_emphasised,
)
from serotone.modeling.lengths import frames, samples_for, zero_beyond

CPU_SAMPLES = 2**16
"""Samples that the CPU analyses at a time: a whole batch leaves the cache at every step, and is three times as slow."""

Engine = Literal["fft", "matmul"]
Logarithm = Literal["db", "ln"]


class Spectrogram(nn.Module):
    """Linear-frequency power spectrogram on a logarithmic scale.

    ``engine`` may be set at any time: "fft" (training) or "matmul" (export); both give the same numbers. The exporter
    sets ``exported``: a graph only ever sees clips of equal length, so nothing beyond them has to be cleared.

    Args:
        sample_rate: Hz.
        window: "hamming" or "hann", periodic.
        window_seconds: Length of a frame, which is zero-padded to ``n_fft``.
        hop_seconds: From one frame to the next.
        window_samples: Instead of ``window_seconds``.
        hop_samples: Instead of ``hop_seconds``.
        n_fft: Size of the DFT.
        bins: Keep so many bins from 0 Hz up; None keeps all n_fft // 2 + 1.
        centred: Frame t is centred on sample t * hop, with zeros beyond the clip; otherwise it starts there, and a clip
            shorter than one window has no frame.
        pre_emphasis: Coefficient of a first difference before everything else, with silence before the clip.
        logarithm: "db", decibels to reference 1, or "ln".
        amin: Smallest power that the logarithm sees.
        top_db: Floor this far below the clip's own maximum; decibels only.
        offset: Added to the power before the logarithm; decibels only.
        engine: "fft" or "matmul".
    """

    window: Tensor

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        window: str = "hamming",
        window_seconds: float = 0.040,
        hop_seconds: float = 0.010,
        window_samples: int | None = None,
        hop_samples: int | None = None,
        n_fft: int = 1024,
        bins: int | None = None,
        centred: bool = True,
        pre_emphasis: float | None = None,
        logarithm: Logarithm = "db",
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        offset: float = 1e-8,
        engine: Engine = "fft",
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.window_size = round(window_seconds * sample_rate) if window_samples is None else window_samples
        self.hop = round(hop_seconds * sample_rate) if hop_samples is None else hop_samples
        self.n_fft = n_fft
        self.bins = n_fft // 2 + 1 if bins is None else bins
        self._fft_bins = bins
        self.centred = centred
        self.pre_emphasis = pre_emphasis
        self.logarithm = logarithm
        self.amin = amin
        self.top_db = top_db
        self.offset = offset
        self.engine: Engine = engine
        self.exported = False
        if self.hop < 1 or not 2 <= self.window_size <= n_fft:
            raise ValueError(
                f"hop of {self.hop} and window of {self.window_size} samples, n_fft {n_fft};"
                " expected a hop of at least 1 and 2 <= window <= n_fft"
            )
        if not 1 <= self.bins <= n_fft // 2 + 1:
            raise ValueError(f"{bins} bins of an FFT of {n_fft}; expected 1 to {n_fft // 2 + 1}")
        if pre_emphasis is not None and not 0.0 <= pre_emphasis <= 1.0:
            raise ValueError(f"pre-emphasis of {pre_emphasis}; expected 0 to 1, or None")
        if logarithm not in ("db", "ln"):
            raise ValueError(f"logarithm {logarithm!r} is unknown; expected 'db' or 'ln'")
        if logarithm == "ln" and (top_db is not None or offset != 0.0):
            raise ValueError(f"top_db {top_db} and offset {offset} belong to decibels; with 'ln' give None and 0.0")
        shape = cosine_window(window, self.window_size)
        # Made anew by the constructor, so no part of the weights.
        self.register_buffer("window", shape.float(), persistent=False)
        self.folded = FoldedDFT(shape, hop=self.hop, n_fft=n_fft, bins=self.bins)

    @property
    def num_features(self) -> int:
        """Width F of a frame."""
        return self.bins

    @property
    def tables_bytes(self) -> int:
        """Bytes of the constant tables in an exported graph, in float32."""
        return 4 * sum(table.numel() for table in self._tables())

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Lengths in samples (B,) -> lengths in frames (B,)."""
        return frames(lengths, hop=self.hop, window=self.window_size, centred=self.centred)

    def minimum_samples(self, count: int = 1) -> int:
        """Fewest samples that make ``count`` frames."""
        return samples_for(count, hop=self.hop, window=self.window_size, centred=self.centred)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms (B, T) in float32 and lengths (B,) in samples, int64, none above T -> frames, frame lengths.

        Frames (B, T', F) are 0 beyond each frame length (B,).
        """
        if self.engine == "matmul" or waveforms.device.type != "cpu":
            return self._analysed(waveforms, lengths), self.frame_lengths(lengths)
        count = 1 + waveforms.numel() // CPU_SAMPLES
        parts = zip(waveforms.chunk(count), lengths.chunk(count), strict=True)
        return torch.cat([self._analysed(*part) for part in parts]), self.frame_lengths(lengths)

    def power(self, waveforms: Tensor) -> Tensor:
        """Features of every frame, still in power: waveforms (B, T) -> (B, T', bins or bands)."""
        if self.engine == "fft":
            framed = self._unfolded(waveforms)  # (B, T', window)
            return self.features(power_spectrum(framed, self.window, n_fft=self.n_fft, bins=self._fft_bins))
        if self.engine == "matmul":
            return self.features_of_pieces(self._pieces(waveforms))
        raise ValueError(f"engine {self.engine!r} is unknown; expected 'fft' or 'matmul'")

    def features(self, power: Tensor) -> Tensor:
        """Power spectrum in order of frequency (B, T', K) -> features (B, T', F), still in power."""
        return power

    def features_of_pieces(self, pieces: list[Tensor]) -> Tensor:
        """The same of a spectrum in the pieces that ``folded`` makes."""
        return self.folded.in_order(pieces)

    def compressed(self, power: Tensor, lengths: Tensor) -> Tensor:
        """Logarithm of features (B, T', F), zero beyond each length (B,) in frames."""
        valid = None if self.exported else lengths
        if self.logarithm == "ln":
            return power_to_ln(power, valid, amin=self.amin)
        return power_to_db(power, valid, amin=self.amin, top_db=self.top_db, offset=self.offset)

    def _analysed(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Waveforms (B, T), lengths (B,) -> frames (B, T', F)."""
        if self.pre_emphasis is not None:
            waveforms = pre_emphasised(waveforms, self.pre_emphasis)
        if not self.exported:
            waveforms = zero_beyond(waveforms, lengths, dim=1)
        power = self.power(waveforms)  # (B, T', F)
        return self.compressed(power, self.frame_lengths(lengths))

    def _tables(self) -> list[Tensor]:
        """Constants of an exported graph."""
        return list(self.folded.buffers())

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

    def _pieces(self, waveforms: Tensor) -> list[Tensor]:
        """Power of the same frames by the folded DFT."""
        count = frames(waveforms.shape[1], hop=self.hop, window=self.window_size, centred=self.centred)
        samples = (count + self._blocks - 1) * self.hop
        return self.folded(self._padded(waveforms)[:, :samples], count)  # type: ignore[no-any-return]
