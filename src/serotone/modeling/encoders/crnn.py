"""The CRNN of center loss: a four-layer CNN and a bidirectional GRU.

Dai et al., "Learning discriminative features from spectrograms using center loss for speech emotion recognition",
ICASSP 2019. Kernel sizes, strides and the absence of padding, batch norm and dropout follow the authors' published
configuration. No window ever reaches beyond a clip's last frame (every layer floors), so padding needs no mask in the
convolutions; the recurrence is packed.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from serotone.modeling.encoders.encoder import Encoder
from serotone.modeling.lengths import Length, conv_length
from serotone.modeling.recurrence import recur
from serotone.options.encoders import CRNNOptions


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


class CRNN(Encoder):
    """Convolutions over time and frequency, then a bidirectional GRU over what is left of time.

    The exporter sets ``exported``: the graph only ever sees batches of equal length, so nothing needs packing, and its
    time goes to the 3x3 convolutions, which it computes more cheaply.

    Args:
        options: What a recipe may say of it: :class:`serotone.options.encoders.CRNNOptions`.
        num_features: Bins of the input frames, at least ``minimum_frames`` of them.
    """

    options_type = CRNNOptions
    minimum_frames = 49
    directions = 2

    def __init__(self, options: CRNNOptions, *, num_features: int) -> None:
        super().__init__()
        self.require_features(num_features, self.minimum_frames)
        blocks: list[nn.Module] = []
        channels = 1
        for layer in LAYERS:
            blocks += [nn.Conv2d(channels, layer.filters, layer.kernel, layer.stride), nn.ReLU()]
            blocks += [nn.MaxPool2d(layer.pool)] if layer.pool > 1 else []
            channels = layer.filters
        self.convolutions = nn.Sequential(*blocks).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recurrence = nn.GRU(
            channels * remaining(num_features), options.hidden, batch_first=True, bidirectional=True
        )
        self.num_outputs = 2 * options.hidden
        self.exported = False

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F), lengths (B,) -> states (B, T', D), lengths (B,).

        A clip of fewer than 49 frames is taken as zero-padded to 49 (after standardisation: the mean frame).
        """
        if not self.exported:
            frames, lengths = self.fill_up(frames, lengths)
        maps = frames.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        maps = self._cheaper(maps) if self.exported else self.convolutions(maps)  # (B, C, T', F')
        steps = maps.permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F')
        lengths = remaining(lengths)
        return recur(self.recurrence, steps, lengths, packed=not self.exported), lengths

    def _cheaper(self, maps: Tensor) -> Tensor:
        """``convolutions``: the same function of maps (B, 1, T, F), a third of the 3x3 kernels' products spared."""
        layers = iter(self.convolutions)
        for layer in LAYERS:
            convolution, rectified = next(layers), next(layers)
            if layer.pool == 1:
                maps = rectified(convolution(maps))
                continue
            next(layers)
            pairs = paired_maximum(maps, convolution.weight, convolution.bias)
            maps = rectified(functional.max_pool2d(pairs, (1, 2)))
        return maps


def paired_maximum(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The larger of every two neighbouring steps of a 3x3 convolution, a last odd one dropped.

    By Winograd's minimal filtering F(2, 3) along time: two steps of the answer take four products instead of six
    (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016).

    Args:
        maps: (B, C, T, F).
        weight: (C', C, 3, 3).
        bias: (C',).

    Returns:
        (B, C', (T - 2) // 2, F - 2).
    """
    first, second, third = (weight[:, :, row : row + 1] for row in range(3))
    even, odd = maps[:, :, 0::2], maps[:, :, 1::2]
    count = (maps.shape[2] - 2) // 2
    x0, x1, x2, x3 = even[:, :, :count], odd[:, :, :count], even[:, :, 1 : count + 1], odd[:, :, 1 : count + 1]
    sum_, difference = (first + second + third) / 2, (first - second + third) / 2
    m1, m2 = functional.conv2d(x0 - x2, first), functional.conv2d(x1 + x2, sum_)
    m3, m4 = functional.conv2d(x2 - x1, difference), functional.conv2d(x1 - x3, third)
    return torch.maximum(m1 + m2 + m3, m2 - m3 - m4) + bias[:, None, None]


def remaining(length: Length) -> Length:
    """Frames or bins left of ``length`` after the four layers, every one of them flooring."""
    for layer in LAYERS:
        length = conv_length(length, kernel=layer.kernel, stride=layer.stride)
        length = conv_length(length, kernel=layer.pool, stride=layer.pool)
    return length
