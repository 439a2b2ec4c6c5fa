"""The waveform itself, for encoders that begin with convolutions over samples: a frame is one sample."""

import torch
from torch import Tensor

from serotone.modeling.frontends.frontend import Frontend
from serotone.modeling.lengths import zero_beyond
from serotone.options.frontends import WaveformOptions

EPSILON = 1e-7
"""Added to the variance, as the published feature extractors do."""


class Waveform(Frontend):
    """Waveform (B, T) -> frames (B, T, 1), each clip normalised over its own samples.

    The exporter sets ``exported``: every clip then fills its batch.
    """

    options_type = WaveformOptions
    tables_bytes = 0

    def __init__(self, options: WaveformOptions, *, sample_rate: int) -> None:
        super().__init__()
        self.normalise = options.normalise
        self.num_features = 1
        self.exported = False

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Lengths in samples (B,), which are those in frames."""
        return lengths

    def minimum_samples(self, count: int = 1) -> int:
        """Fewest samples that make ``count`` frames."""
        return count

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As :class:`Frontend` says."""
        if not self.exported:
            waveforms = zero_beyond(waveforms, lengths, dim=1)
        if self.normalise:
            counts = lengths.clamp_min(1)[:, None]
            centred = waveforms - waveforms.sum(dim=1, keepdim=True) / counts  # (B, T)
            if not self.exported:
                centred = zero_beyond(centred, lengths, dim=1)
            waveforms = centred / torch.sqrt(centred.square().sum(dim=1, keepdim=True) / counts + EPSILON)
        return waveforms[:, :, None], lengths
