"""The four-layer CNN and bidirectional GRU of system 2.

Dai et al., "Learning discriminative features from spectrograms using center loss for speech emotion recognition",
ICASSP 2019. Kernel sizes, strides and the absence of padding, batch norm and dropout follow the authors' published
configuration. No window ever reaches beyond a clip's last frame (every layer floors), so padding needs no mask in the
convolutions; the recurrence is packed.
"""

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from serotone.modeling.lengths import conv_length
from serotone.modeling.recurrence import recur

Length = TypeVar("Length", int, Tensor)


class Layer(NamedTuple):
    """One convolution, its ReLU and the max-pool that may follow it."""

    filters: int
    kernel: int
    stride: int
    pool: int


LAYERS = (
    Layer(filters=48, kernel=7, stride=2, pool=1),
    Layer(filters=64, kernel=3, stride=1, pool=2),
    Layer(filters=80, kernel=3, stride=1, pool=2),
    Layer(filters=96, kernel=3, stride=1, pool=2),
)


class CRNN(nn.Module):
    """Convolutions over time and frequency, then a bidirectional GRU over what is left of time.

    The exporter sets ``exported``: the graph only ever sees batches of equal length, so nothing needs packing.

    Args:
        num_features: Bins of the input frames, at least ``minimum_frames`` of them.
        hidden: Units of the GRU in each direction.
    """

    minimum_frames = 49
    directions = 2

    def __init__(self, num_features: int, *, hidden: int = 128) -> None:
        super().__init__()
        if num_features < self.minimum_frames:
            raise ValueError(f"CRNN needs at least {self.minimum_frames} bins per frame, got {num_features}")
        blocks: list[nn.Module] = []
        channels = 1
        for layer in LAYERS:
            blocks += [nn.Conv2d(channels, layer.filters, layer.kernel, layer.stride), nn.ReLU()]
            blocks += [nn.MaxPool2d(layer.pool)] if layer.pool > 1 else []
            channels = layer.filters
        self.convolutions = nn.Sequential(*blocks).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recurrence = nn.GRU(channels * remaining(num_features), hidden, batch_first=True, bidirectional=True)
        self.num_outputs = 2 * hidden
        self.exported = False

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F), lengths (B,) -> states (B, T', 2 * hidden), lengths (B,).

        A clip of fewer than 49 frames is taken as zero-padded to 49 (after standardisation: the mean frame).
        """
        if not self.exported:
            missing = max(0, self.minimum_frames - frames.shape[1])
            frames = functional.pad(frames, (0, 0, 0, missing))
        lengths = lengths.clamp_min(self.minimum_frames)
        maps = self.convolutions(frames.unsqueeze(1).contiguous(memory_format=torch.channels_last))  # (B, C, T', F')
        steps = maps.permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F')
        lengths = remaining(lengths)
        return recur(self.recurrence, steps, lengths, packed=not self.exported), lengths


def remaining(length: Length) -> Length:
    """Frames or bins left of ``length`` after the four layers, every one of them flooring."""
    for layer in LAYERS:
        length = conv_length(length, kernel=layer.kernel, stride=layer.stride)
        length = conv_length(length, kernel=layer.pool, stride=layer.pool)
    return length
