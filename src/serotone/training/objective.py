"""What a recipe minimises, from the losses it names and the counts of its training part."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from serotone.errors import RunError
from serotone.modeling.heads import CosineHead
from serotone.modeling.losses import (
    CenterLoss,
    clip_weighted_mean,
    focal,
    inverse_frequency,
    length_weights,
    normalised_inverse,
    with_margin,
)
from serotone.modeling.system import System
from serotone.training.recipe import Recipe


class Objective(nn.Module):
    """L = mean of alpha_y (1 - p_y)^gamma (-log p_y), weighted by class and length where asked, + lambda L_c.

    p comes from the logits, whose target has ``scale * margin`` taken off first. With gamma 0, no alpha and no margin
    the first term is cross-entropy. The centers of the center loss are a buffer here: in the checkpoint, out of the
    optimiser's reach.

    Args:
        recipe: Whose ``loss`` and ``center`` are read.
        system: Whose head and embedding they act on.
        labels: The classes in order.
        counts: Training clips of each class.
        longest: Samples of the longest training clip.
    """

    class_weights: Tensor | None
    alpha: Tensor | None

    def __init__(
        self, recipe: Recipe, system: System, *, labels: Sequence[str], counts: Sequence[int], longest: int
    ) -> None:
        super().__init__()
        self.loss = recipe.loss
        self.choice = recipe.center
        self.longest = longest
        self.scale = system.head.scale if isinstance(system.head, CosineHead) else 1.0
        self.center = CenterLoss(len(labels), system.head.num_embedding)
        weights = inverse_frequency(counts) if self.loss.class_weights == "inverse-frequency" else None
        self.register_buffer("class_weights", weights)
        self.register_buffer("alpha", class_alpha(recipe, labels=labels, counts=counts))

    def forward(self, logits: Tensor, embedding: Tensor, targets: Tensor, lengths: Tensor, *, step: int) -> Tensor:
        """Logits (B, C), embedding (B, D), targets (B,), lengths (B,) in samples -> scalar; moves the centers, once."""
        if self.loss.margin:
            logits = with_margin(logits, targets, scale=self.scale, margin=self.loss.margin)
        weights = self._weights(targets, lengths)
        values = focal(logits, targets, gamma=self.loss.gamma, alpha=self.alpha)  # (B,)
        value = values.mean() if weights is None else clip_weighted_mean(values, weights)
        if self.choice.weight > 0:
            value = value + self._center(embedding, targets, step)
        return value

    def _weights(self, targets: Tensor, lengths: Tensor) -> Tensor | None:
        """w_i = omega_y T_max / T_i, as far as asked for; (B,) or None."""
        if self.loss.length_weights:
            return length_weights(targets, lengths, self.class_weights, longest=self.longest)
        return None if self.class_weights is None else self.class_weights[targets]

    def _center(self, embedding: Tensor, targets: Tensor, step: int) -> Tensor:
        """Lambda L_c with the old centers, which then move toward this batch."""
        warming = step < self.choice.warm_up_steps
        ones = torch.ones(len(self.center.centers), device=targets.device)
        value = self.center(embedding, targets, ones if self.class_weights is None else self.class_weights)
        self.center.update(embedding, targets, alpha=1.0 if warming else self.choice.alpha, rule=self.choice.update)
        return torch.zeros_like(value) if warming else self.choice.weight * value


def class_alpha(recipe: Recipe, *, labels: Sequence[str], counts: Sequence[int]) -> Tensor | None:
    """The focal loss's alpha per class (C,), from a number, a mapping or the training part's counts; None for none.

    Raises:
        RunError: The recipe's mapping names other labels than the run's.
    """
    alpha = recipe.loss.alpha
    if alpha is None:
        return None
    if isinstance(alpha, float | int):
        return torch.full((len(labels),), float(alpha))
    if alpha == "inverse-frequency":
        return normalised_inverse(counts)
    assert isinstance(alpha, dict)
    if set(alpha) != set(labels):
        raise RunError(
            f"recipe {recipe.name} gives loss.alpha for {', '.join(alpha)}; the run's labels are {', '.join(labels)};"
            " name those, or use --set loss.alpha=inverse-frequency"
        )
    return torch.tensor([alpha[label] for label in labels], dtype=torch.float32)
