"""CNN-BLSTM: a six-block CNN and a bidirectional LSTM.

Zhou and Liu, "Speech emotion recognition with discriminative feature learning", Interspeech 2020. The paper gives the
filters, the kernel, the average pool, the dropout and the cells; ReLU after batch normalisation and the zero ("same")
padding are ours.

Clips have a fixed length: every frame counts, the silence that fills a short clip too, and nothing is masked.
"""

import torch
from torch import Tensor, nn

from serotone.modeling.encoders.encoder import Encoder
from serotone.modeling.lengths import Length, conv_length
from serotone.modeling.recurrence import recur
from serotone.options.encoders import CNNBLSTMOptions


class CNNBLSTM(Encoder):
    """Blocks of convolution, batch norm, ReLU, average pool and dropout; then an LSTM over what is left of time.

    The last block has no pool. 40 bands and 748 frames become 23 steps of 1 band and 64 maps.

    Args:
        options: What a recipe may say of it: :class:`serotone.options.encoders.CNNBLSTMOptions`.
        num_features: Bins of the input frames, at least 2 for each pool: 32 for six blocks.
    """

    options_type = CNNBLSTMOptions
    minimum_frames = 32
    directions = 2

    def __init__(self, options: CNNBLSTMOptions, *, num_features: int) -> None:
        super().__init__()
        filters = options.filters
        self.pools = len(filters) - 1
        self.minimum_frames = 2**self.pools
        self.require_features(num_features, self.minimum_frames)
        blocks: list[nn.Module] = []
        channels = 1
        for index, width in enumerate(filters):
            blocks += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            blocks += [nn.AvgPool2d(2)] if index < self.pools else []
            blocks += [nn.Dropout(options.dropout)]
            channels = width
        self.convolutions = nn.Sequential(*blocks).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        num_inputs = channels * remaining(num_features, self.pools)
        self.recurrence = nn.LSTM(num_inputs, options.hidden, batch_first=True, bidirectional=True)
        self.num_outputs = 2 * options.hidden

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, F), lengths (B,) all T, at least ``minimum_frames`` -> states (B, T', D), lengths (B,)."""
        maps = self.convolutions(frames.unsqueeze(1).contiguous(memory_format=torch.channels_last))  # (B, C, T', F')
        steps = maps.permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F')
        lengths = remaining(lengths, self.pools)
        return recur(self.recurrence, steps, lengths, packed=False), lengths  # equal lengths need no packing


def remaining(length: Length, pools: int = 5) -> Length:
    """Frames or bins left of ``length`` after so many pools, every one of them flooring."""
    for _ in range(pools):
        length = conv_length(length, kernel=2, stride=2)
    return length
