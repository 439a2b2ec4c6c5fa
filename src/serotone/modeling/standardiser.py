"""Per-bin standardisation, fitted on the frames of the training part."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from serotone.modeling.lengths import zero_beyond


class Standardiser(nn.Module):
    """Zero mean and unit standard deviation in every bin; padding stays exactly zero.

    Starts as the identity; :meth:`fit` sets it. Mean and deviation are buffers, saved with the weights. The exporter
    sets ``exported``: the graph only ever sees clips as long as their batch.

    Args:
        num_features: Bins of a frame.
        within: Lengths end before a batch does in the graph too, where clips are filled up to a fixed length.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, num_features: int, *, within: bool = False) -> None:
        super().__init__()
        self.within = within
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("deviation", torch.ones(num_features))
        self.exported = False

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Frames (B, T, F) with lengths (B,) -> standardised frames (B, T, F), zero beyond each length."""
        frames = (frames - self.mean) / self.deviation
        return frames if self.exported and not self.within else zero_beyond(frames, lengths, dim=1)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fit on batches of (frames (B, T, F), lengths (B,)); only valid frames count.

        Sums are kept in float64. A bin whose deviation is below 1e-5 (a band that holds nothing) is centred
        and left unscaled.
        """
        count = 0
        total = torch.zeros_like(self.mean, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for frames, lengths in batches:
            values = zero_beyond(frames, lengths, dim=1).double()
            count += int(lengths.sum())
            total += values.sum(dim=(0, 1))
            squares += (values * values).sum(dim=(0, 1))
        if count == 0:
            raise ValueError(
                "there is no frame to take the mean and deviation of; give at least one clip that fills a frame"
            )
        mean = total / count
        deviation = (squares / count - mean * mean).clamp_min(0.0).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-5, deviation, torch.ones_like(deviation)))
