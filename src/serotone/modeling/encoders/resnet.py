"""ResNet-18 on spectrograms.

Tripathi et al., "Focal loss based residual convolutional neural network for speech emotion recognition",
arXiv:1906.05682. The paper says: 18 layers, two per residual block, batch normalisation before ReLU. Ours, after
He et al., "Deep residual learning for image recognition", arXiv:1512.03385: stem, filters, projections, the missing
convolution biases and the start values. The one input channel is the spectrogram.

In the paper clips have a fixed length: every frame counts, the silence that fills a short clip too, and nothing is
masked. ``resnet18-variable``, ours, is the same network for clips of any length: what every layer and every batch norm
sees beyond a clip's end is what stands beyond the end of a clip alone.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from serotone.modeling.encoders.encoder import Encoder
from serotone.modeling.lengths import Length, conv_length, zero_beyond
from serotone.modeling.normalisation import MaskedBatchNorm2d
from serotone.options.encoders import EncoderOptions, ResNet18Options, VariableResNet18Options

BLOCKS = 2  # residual blocks per stage


class Block(nn.Module):
    """y = ReLU(F(x) + x): two 3x3 convolutions beside a shortcut (equation 1).

    The shortcut is x itself, or a 1x1 projection of it where stride or width change.
    """

    def __init__(self, num_inputs: int, num_outputs: int, *, stride: int) -> None:
        super().__init__()
        self.convolution1 = nn.Conv2d(num_inputs, num_outputs, 3, stride, padding=1, bias=False)
        self.norm1 = MaskedBatchNorm2d(num_outputs)
        self.convolution2 = nn.Conv2d(num_outputs, num_outputs, 3, padding=1, bias=False)
        self.norm2 = MaskedBatchNorm2d(num_outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or num_inputs != num_outputs:
            projection = nn.Conv2d(num_inputs, num_outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, MaskedBatchNorm2d(num_outputs))
        self.activation = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Maps (B, C, T, F) -> maps (B, C', T', F').

        Lengths (B,) along T' are those of the answer, and maps are 0 beyond those along T; None: they are full.
        """
        residual = self.activation(self.norm1(self.convolution1(maps), lengths))
        residual = residual if lengths is None else zero_beyond(residual, lengths, dim=2)
        residual = self.norm2(self.convolution2(residual), lengths)
        shortcut = maps
        if len(self.shortcut):
            projection, norm = self.shortcut
            shortcut = norm(projection(maps), lengths)
        summed: Tensor = self.activation(residual + shortcut)
        return summed if lengths is None else zero_beyond(summed, lengths, dim=2)


class ResNet18(Encoder):
    """A strided stem and four stages of two residual blocks; time and frequency shrink by 32.

    Args:
        options: What a recipe may say of it: :class:`serotone.options.encoders.ResNet18Options`.
        num_features: Bins of the input frames, at least 1.
    """

    options_type: ClassVar[type[EncoderOptions]] = ResNet18Options

    def __init__(self, options: ResNet18Options | VariableResNet18Options, *, num_features: int) -> None:
        super().__init__()
        self.require_features(num_features, 1)
        filters = options.filters
        stem = nn.Conv2d(1, filters[0], 7, 2, padding=3, bias=False)
        layers: list[nn.Module] = [stem, MaskedBatchNorm2d(filters[0]), nn.ReLU(inplace=True)]
        layers.append(nn.MaxPool2d(3, 2, padding=1))
        width = filters[0]
        for stage, outputs in enumerate(filters):
            for block in range(BLOCKS):
                layers.append(Block(width, outputs, stride=2 if stage > 0 and block == 0 else 1))
                width = outputs
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in self.layers.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")  # ours: He et al.'s own
        self.stages = len(filters)
        self.num_outputs = width

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F), lengths (B,) all equal to T -> states (B, T', D), lengths (B,).

        A state is the mean over what is left of frequency, so that the mean of the states is the global average pool.
        """
        maps = self.layers(frames.unsqueeze(1).contiguous(memory_format=torch.channels_last))  # (B, D, T', F')
        states = maps.mean(dim=3).transpose(1, 2)  # (B, T', D)
        return states, remaining(lengths, self.stages)


class VariableResNet18(ResNet18):
    """:class:`ResNet18` that masks. Where every clip is as long as its batch it is the same function, and as fast.

    The exporter sets ``exported``: the graph only ever sees such batches.
    """

    options_type = VariableResNet18Options

    def __init__(self, options: VariableResNet18Options, *, num_features: int) -> None:
        super().__init__(options, num_features=num_features)
        self.exported = False

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F), lengths (B,) -> states (B, T', D), lengths (B,)."""
        if self.exported or not bool((lengths < frames.shape[1]).any()):
            return super().forward(frames, lengths)
        stem, norm, activation, pool, *blocks = self.layers
        frames = zero_beyond(frames, lengths, dim=1)
        lengths = conv_length(lengths, kernel=7, stride=2, padding=3)
        maps = stem(frames.unsqueeze(1).contiguous(memory_format=torch.channels_last))  # (B, C, T', F')
        # A pool ignores what lies beyond the edges; after a ReLU zeros there are as good.
        maps = pool(zero_beyond(activation(norm(maps, lengths)), lengths, dim=2))
        lengths = conv_length(lengths, kernel=3, stride=2, padding=1)
        maps = zero_beyond(maps, lengths, dim=2)
        for number, block in enumerate(blocks):
            if number and number % BLOCKS == 0:
                lengths = conv_length(lengths, kernel=3, stride=2, padding=1)
            maps = block(maps, lengths)
        return maps.mean(dim=3).transpose(1, 2), lengths


def remaining(length: Length, stages: int = 4) -> Length:
    """Frames or bins left of ``length`` after the stem and so many stages."""
    length = conv_length(length, kernel=7, stride=2, padding=3)
    length = conv_length(length, kernel=3, stride=2, padding=1)
    for _ in range(stages - 1):
        length = conv_length(length, kernel=3, stride=2, padding=1)
    return length
