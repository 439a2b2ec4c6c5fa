"""Batch norm for clips of different lengths."""

import torch
from torch import Tensor, nn

from serotone.modeling.lengths import mask


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics, running ones too, are those of the valid positions alone.

    Parameters, buffers and options are those of ``nn.BatchNorm2d``, which it equals where every length is full.
    """

    def forward(self, input: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Maps (B, C, T, F), lengths (B,) along T -> normalised maps (B, C, T, F).

        None stands for full lengths, and costs nothing. What comes out beyond a length has no meaning.

        Raises:
            ValueError: In training, at most one valid position is left to take a deviation of.
        """
        running = not self.training and self.running_mean is not None
        if lengths is None or running:  # running statistics are those of valid positions already
            return super().forward(input)
        batch, channels, time, frequency = input.shape
        steps = input.permute(0, 2, 3, 1).reshape(batch * time, frequency * channels)  # a view where channels are last
        valid = mask(lengths, time).flatten().nonzero()[:, 0]
        values = steps.index_select(0, valid).reshape(-1, channels, 1, 1)
        normalised = super().forward(values).reshape(-1, frequency * channels)
        steps = torch.zeros_like(steps, dtype=normalised.dtype).index_copy(0, valid, normalised)
        return steps.view(batch, time, frequency, channels).permute(0, 3, 1, 2)
