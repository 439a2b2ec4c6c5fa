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
        raise ValueError(
            f"the counts of the classes are {list(counts)}; expected one count of at least 0 for each class"
        )
    return numbers.max() / (numbers + 0.5)


def normalised_inverse(counts: Sequence[int]) -> Tensor:
    """Focal loss's alpha_k = (C / 2) (1 / n_k) / sum_j (1 / n_j), shape (C,), of sum C / 2.

    Ours: Liang et al. 2020 print four numbers of about that sum and no formula.
    """
    numbers = torch.as_tensor(counts, dtype=torch.float32)
    if numbers.ndim != 1 or len(numbers) == 0 or bool((numbers < 1).any()):
        raise ValueError(
            f"the counts of the classes are {list(counts)}; expected one count of at least 1 for each class"
        )
    inverse = 1.0 / numbers
    return inverse / inverse.sum() * (len(numbers) / 2)


def corpus_and_emotion(counts: Tensor) -> Tensor:
    """Clip weights by corpus and class (K, C), from the clips of each (K, C); 0 where a corpus has no such clip.

    A clip of corpus k and class c weighs N / (K C_k n_kc), with C_k classes in k: every corpus counts alike and, within
    it, every class that it has. Over all N clips the weights have mean 1. Ours.
    """
    present = (counts > 0).to(torch.float32)  # (K, C)
    shares = present / present.sum(dim=1, keepdim=True).clamp_min(1.0) / (present.sum(dim=1) > 0).sum()
    return counts.sum() * shares / counts.clamp_min(1)


def length_weights(
    targets: Tensor, lengths: Tensor, class_weights: Tensor | None = None, *, longest: int | float
) -> Tensor:
    """Clip weights w_i = omega(y_i) T_max / T_i, shape (B,).

    Liang et al. 2020 name a "cross entropy inverse weight method" and "different inverse weights" by sentence length,
    without a formula; omega as in :func:`inverse_frequency`.

    Args:
        targets: Classes (B,).
        lengths: T_i (B,), at least 1, in any unit.
        class_weights: omega (C,); None is 1 for every class.
        longest: T_max of the training part, in the same unit.
    """
    inverse = longest / lengths.to(torch.float32)
    return inverse if class_weights is None else class_weights[targets] * inverse


def clip_weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """sum_i w_i v_i / sum_i w_i of values (B,) and clip weights (B,)."""
    return (weights * values).sum() / weights.sum()


def focal(logits: Tensor, targets: Tensor, *, gamma: float, alpha: Tensor | float | None = None) -> Tensor:
    """-alpha_y (1 - p_y)^gamma log p_y of each clip, shape (B,); its plain mean is the loss (Lin et al. 2017).

    The mean is not divided by the sum of alpha (ours). gamma 0 with alpha 1 or None is cross-entropy. The gradient is
    finite for every gamma, at p = 1 too.

    Args:
        logits: (B, C).
        targets: (B,).
        gamma: At least 0; how far easy clips are turned down.
        alpha: One weight per class (C,), one for all, or None for 1.
    """
    if not gamma >= 0:
        raise ValueError(f"gamma is {gamma}; expected a number of at least 0")
    log_p = functional.log_softmax(logits, dim=1).gather(1, targets.unsqueeze(1)).squeeze(1)
    # 1 - p without cancellation. Above 0, for a power below 1 has no finite slope at 0; its factor log p is 0 there.
    doubt = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
    values = -(doubt**gamma) * log_p
    if alpha is None:
        return values
    return values * (alpha[targets] if isinstance(alpha, Tensor) else alpha)


def with_margin(logits: Tensor, targets: Tensor, *, scale: float, margin: float) -> Tensor:
    """Logits s (cos(theta_j) - m [j = y]), shape (B, C): their mean cross-entropy is AM-softmax.

    Zhou and Liu 2020, equation 2, negated.

    Args:
        logits: s cos(theta_j), shape (B, C), without margin, as :class:`serotone.modeling.heads.CosineHead` gives them.
        targets: (B,).
        scale: The s that the logits already contain.
        margin: m, on the target only; prediction has none.
    """
    return logits - scale * margin * functional.one_hot(targets, logits.shape[1]).to(logits.dtype)


class CenterLoss(nn.Module):
    """L_c = sum(omega ||z - c_y||^2) / sum(omega), without the factor 1/2 (Dai et al. 2019, authors' code).

    The centers are a buffer: zero at first, saved in checkpoints, out of the optimiser's reach. :meth:`update` moves
    them once per step, after the loss was taken with the old ones.
    """

    centers: Tensor

    def __init__(self, num_classes: int, num_features: int) -> None:
        super().__init__()
        self.register_buffer("centers", torch.zeros(num_classes, num_features))

    def forward(self, embedding: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Embedding z (B, D), targets (B,), clip weights omega (B,) -> scalar."""
        distances = (embedding - self.centers[targets]).square().sum(dim=1)
        return clip_weighted_mean(distances, weights)

    @torch.no_grad()
    def update(self, embedding: Tensor, targets: Tensor, *, alpha: float, rule: CenterUpdate = "batch-mean") -> None:
        """Move the centers of the classes present in the batch toward it; the others stay.

        ``batch-mean``: c_j <- (1 - alpha) c_j + alpha mean_i(z_i). ``authors-code``:
        c_j <- c_j - alpha sum_i(c_j - z_i) / (1 + n_j). Both over the i of class j, of which there are n_j.
        """
        members = functional.one_hot(targets, len(self.centers)).to(self.centers.dtype)  # (B, C)
        counts = members.sum(dim=0).unsqueeze(1)  # (C, 1)
        with torch.autocast(embedding.device.type, enabled=False):  # a product that bfloat16 would round
            sums = members.T @ embedding.detach().to(members.dtype)  # (C, D)
        if rule == "batch-mean":
            moved = (1 - alpha) * self.centers + alpha * sums / counts.clamp_min(1.0)
        else:
            moved = self.centers - alpha * (counts * self.centers - sums) / (1.0 + counts)
        self.centers.copy_(torch.where(counts > 0, moved, self.centers))
