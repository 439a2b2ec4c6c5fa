"""States over time -> one vector per clip."""

import torch
from torch import Tensor, nn


class Ends(nn.Module):
    """What each direction of a recurrence has read when through: forward at the last step, backward at the first."""

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """States (B, T, 2H), lengths (B,) of at least 1 -> (B, 2H)."""
        half = states.shape[2] // 2
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, half)
        forward = states[:, :, :half].gather(1, last).squeeze(1)
        return torch.cat([forward, states[:, 0, half:]], dim=1)


POOLINGS = {"ends": Ends}
