"""What every frontend is, waveform in and frames out, and the composition of steps that the spectral ones are."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from serotone.modeling.frontends.bands import Bands
from serotone.modeling.frontends.framing import Framing
from serotone.modeling.frontends.spectral import pre_emphasised
from serotone.modeling.frontends.spectrum import Engine, Spectrum
from serotone.modeling.frontends.steps import LOUDEST, Decibels, NaturalLogarithm, Step, WhisperLogarithm
from serotone.options.frontends import FrontendOptions, SpectralOptions

CPU_SAMPLES = 2**16
"""Samples that the CPU analyses at a time: a whole batch leaves the cache at every step, and is three times as slow."""


def framing_of(options: SpectralOptions, sample_rate: int) -> Framing:
    """The first step."""
    size = options.window_samples or round(options.window_seconds * sample_rate)
    hop = options.hop(sample_rate)
    return Framing(hop=hop, window_size=size, n_fft=options.n_fft, centred=options.centred)


def logarithm_of(options: SpectralOptions) -> Step:
    """The step after the bands."""
    if options.logarithm == "ln":
        return NaturalLogarithm(amin=options.amin)
    if options.logarithm == "relative":
        return WhisperLogarithm(reference="maximum", level=LOUDEST)
    return Decibels(amin=options.amin, offset=options.offset, top_db=options.top_db)


class Frontend(nn.Module):
    """Base of the frontends: ``Frontend(options, sample_rate=...)``, waveforms -> frames."""

    options_type: ClassVar[type[FrontendOptions]]
    """What a recipe may say of it."""

    num_features: int
    """Width F of a frame."""

    tables_bytes: int
    """Bytes of the constant tables in an exported graph, in float32."""

    @abstractmethod
    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Lengths in samples (B,) -> lengths in frames (B,)."""

    @abstractmethod
    def minimum_samples(self, count: int = 1) -> int:
        """Fewest samples that make ``count`` frames."""

    @abstractmethod
    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms (B, T) in float32 and lengths (B,) in samples, int64, none above T -> frames, frame lengths.

        Frames (B, T', F) are 0 beyond each frame length (B,).
        """


class SpectralFrontend(Frontend):
    """Waveform -> frames: pre-emphasis, framing, spectrum, bands, then further steps one after the other.

    A frontend of its own composes them in its constructor, from its options. ``engine`` may be set at any time: "fft"
    (training) or "matmul" (export); both give the same numbers.

    Args:
        sample_rate: Hz.
        framing, spectrum, bands: The first three steps.
        steps: The rest, the logarithm first.
        num_features: Width F of a frame.
        pre_emphasis: Coefficient of a first difference before everything else, with silence before the clip.
        engine: "fft" or "matmul".
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        framing: Framing,
        spectrum: Spectrum,
        bands: Bands,
        steps: Sequence[Step],
        num_features: int,
        pre_emphasis: float | None = None,
        engine: Engine = "fft",
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.framing = framing
        self.spectrum = spectrum
        self.bands = bands
        self.steps = nn.ModuleList(steps)
        self.num_features = num_features
        self.pre_emphasis = pre_emphasis
        self.engine: Engine = engine
        tables = [*spectrum.tables(), *bands.tables(), *(table for step in steps for table in step.tables())]
        self.tables_bytes = 4 * sum(table.numel() for table in tables)

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Lengths in samples (B,) -> lengths in frames (B,)."""
        return self.framing.count(lengths)

    def minimum_samples(self, count: int = 1) -> int:
        """Fewest samples that make ``count`` frames."""
        return self.framing.minimum_samples(count)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As :class:`Frontend` says."""
        if self.engine == "matmul" or waveforms.device.type != "cpu":
            return self._analysed(waveforms, lengths), self.frame_lengths(lengths)
        count = 1 + waveforms.numel() // CPU_SAMPLES
        parts = zip(waveforms.chunk(count), lengths.chunk(count), strict=True)
        return torch.cat([self._analysed(*part) for part in parts]), self.frame_lengths(lengths)

    def power(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """The first three steps: waveforms (B, T), lengths (B,) -> bins or bands (B, T', F), still in power."""
        padded, count = self.framing(waveforms, lengths), self.framing.count(waveforms.shape[1])
        if self.engine == "fft":
            return self.bands(self.spectrum(padded, count))  # type: ignore[no-any-return]
        if self.engine == "matmul":
            return self.bands.of_pieces(self.spectrum.pieces(padded, count))
        raise ValueError(f"engine is {self.engine!r}; expected 'fft' or 'matmul'")

    def _analysed(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Waveforms (B, T), lengths (B,) -> frames (B, T', F)."""
        if self.pre_emphasis is not None:
            waveforms = pre_emphasised(waveforms, self.pre_emphasis)
        values, counts = self.power(waveforms, lengths), self.frame_lengths(lengths)
        for step in self.steps:
            values = step(values, counts)
        return values
