"""What training minimises. Pure functions, and the one loss that has a state."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

CenterUpdate = Literal["batch-mean", "authors-code"]


def inverse_frequency(counts: Sequence[int]) -> Tensor:
    """Class weights omega_j = max_k n_k / (n_j + 0.5), shape (C,).

    Dai et al. 2019 state "in inverse proportion"; the formula is the authors' published one.
    """
    numbers = torch.as_tensor(counts, dtype=torch.float32)
    if numbers.ndim != 1 or len(numbers) == 0 or bool((numbers < 0).any()):
        raise ValueError(f"expected one count of at least 0 per class, got {list(counts)}")
    return numbers.max() / (numbers + 0.5)


def weighted_mean(values: Tensor, targets: Tensor, class_weights: Tensor) -> Tensor:
    """sum_i w(y_i) v_i / sum_i w(y_i) of values (B,) with targets (B,) and class weights (C,)."""
    weights = class_weights[targets]
    return (weights * values).sum() / weights.sum()


def weighted_cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor) -> Tensor:
    """L_s = sum(omega CE) / sum(omega) of logits (B, C), targets (B,), class weights (C,)."""
    return weighted_mean(functional.cross_entropy(logits, targets, reduction="none"), targets, class_weights)


class CenterLoss(nn.Module):
    """L_c = sum(omega ||z - c_y||^2) / sum(omega), without the factor 1/2 (Dai et al. 2019, authors' code).

    The centers are a buffer: zero at first, saved in checkpoints, out of the optimiser's reach. :meth:`update` moves
    them once per step, after the loss was taken with the old ones.
    """

    centers: Tensor

    def __init__(self, num_classes: int, num_features: int) -> None:
        super().__init__()
        self.register_buffer("centers", torch.zeros(num_classes, num_features))

    def forward(self, embedding: Tensor, targets: Tensor, class_weights: Tensor) -> Tensor:
        """Embedding z (B, D), targets (B,), class weights (C,) -> scalar."""
        distances = (embedding - self.centers[targets]).square().sum(dim=1)
        return weighted_mean(distances, targets, class_weights)

    @torch.no_grad()
    def update(self, embedding: Tensor, targets: Tensor, *, alpha: float, rule: CenterUpdate = "batch-mean") -> None:
        """Move the centers of the classes present in the batch toward it; the others stay.

        ``batch-mean``: c_j <- (1 - alpha) c_j + alpha mean_i(z_i). ``authors-code``:
        c_j <- c_j - alpha sum_i(c_j - z_i) / (1 + n_j). Both over the i of class j, of which there are n_j.
        """
        members = functional.one_hot(targets, len(self.centers)).to(embedding.dtype)  # (B, C)
        counts = members.sum(dim=0).unsqueeze(1)  # (C, 1)
        sums = members.T @ embedding.detach()  # (C, D)
        if rule == "batch-mean":
            moved = (1 - alpha) * self.centers + alpha * sums / counts.clamp_min(1.0)
        else:
            moved = self.centers - alpha * (counts * self.centers - sums) / (1.0 + counts)
        self.centers.copy_(torch.where(counts > 0, moved, self.centers))
