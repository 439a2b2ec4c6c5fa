"""What a recipe minimises, from the losses it names and the counts of its training part."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from serotone.errors import RunError
from serotone.modeling.heads import CosineHead
from serotone.modeling.losses import (
    CenterLoss,
    clip_weighted_mean,
    corpus_and_emotion,
    focal,
    inverse_frequency,
    length_weights,
    normalised_inverse,
    with_margin,
)
from serotone.modeling.system import System
from serotone.recipes import Recipe


class Mixture(NamedTuple):
    """Several corpora in one training: what each brings to it."""

    counts: Tensor
    """Training clips of each corpus and class (K, C), int64."""
    possible: Tensor
    """Whether a corpus has a class at all (K, C), bool: one that it lacks is masked for its clips."""


class Objective(nn.Module):
    """L = mean of alpha_y (1 - p_y)^gamma (-log p_y), weighted by class and length where asked, + lambda L_c.

    p comes from the logits, whose target has ``scale * margin`` taken off first. The softmax of a clip runs over the
    classes that its corpus has: one that it lacks is no negative. With gamma 0, no alpha and no margin
    the first term is cross-entropy. The centers of the center loss are a buffer here: in the checkpoint, out of the
    optimiser's reach.

    Args:
        recipe: Whose ``loss`` and ``center`` are read.
        system: Whose head and embedding they act on.
        labels: The classes in order.
        counts: Training clips of each class.
        longest: Samples of the longest training clip.
        mixture: What each of several corpora brings; None for one that has every class.
    """

    weights: Tensor | None
    impossible: Tensor | None
    alpha: Tensor | None

    def __init__(
        self,
        recipe: Recipe,
        system: System,
        *,
        labels: Sequence[str],
        counts: Sequence[int],
        longest: int,
        mixture: Mixture | None = None,
    ) -> None:
        super().__init__()
        self.loss = recipe.loss
        self.choice = recipe.center
        self.longest = longest
        self.scale = system.head.scale if isinstance(system.head, CosineHead) else 1.0
        self.center = CenterLoss(len(labels), system.head.num_embedding)
        self.register_buffer("weights", class_weights(recipe, counts=counts, mixture=mixture))
        masks = mixture is not None and not bool(mixture.possible.all())
        self.register_buffer("impossible", ~mixture.possible if mixture is not None and masks else None)
        self.register_buffer("alpha", class_alpha(recipe, labels=labels, counts=counts))

    def forward(
        self,
        logits: Tensor,
        embedding: Tensor,
        targets: Tensor,
        lengths: Tensor,
        *,
        step: int,
        corpora: Tensor | None = None,
    ) -> Tensor:
        """The objective of a batch, a scalar; moves the centers, once.

        Args:
            logits: (B, C).
            embedding: (B, D).
            targets: (B,).
            lengths: (B,) in samples.
            step: From 0.
            corpora: Each clip's corpus (B,), a row of the mixture; None where there is but one.
        """
        corpora = torch.zeros_like(targets) if corpora is None else corpora
        if self.loss.margin:
            logits = with_margin(logits, targets, scale=self.scale, margin=self.loss.margin)
        if self.impossible is not None:
            logits = logits.masked_fill(self.impossible[corpora], -torch.inf)
        weights = None if self.weights is None else self.weights[corpora, targets]  # (B,)
        values = focal(logits, targets, gamma=self.loss.gamma, alpha=self.alpha)  # (B,)
        lengthy = length_weights(targets, lengths, longest=self.longest) if self.loss.length_weights else None
        factors = [factor for factor in (weights, lengthy) if factor is not None]
        value = clip_weighted_mean(values, math.prod(factors)) if factors else values.mean()  # type: ignore[arg-type]
        if self.choice.weight > 0:
            value = value + self._center(embedding, targets, weights, step)
        return value

    def _center(self, embedding: Tensor, targets: Tensor, weights: Tensor | None, step: int) -> Tensor:
        """Lambda L_c with the old centers, which then move toward this batch."""
        warming = step < self.choice.warm_up_steps
        ones = torch.ones(len(targets), device=targets.device)
        value = self.center(embedding, targets, ones if weights is None else weights)
        self.center.update(embedding, targets, alpha=1.0 if warming else self.choice.alpha, rule=self.choice.update)
        return torch.zeros_like(value) if warming else self.choice.weight * value


def class_weights(recipe: Recipe, *, counts: Sequence[int], mixture: Mixture | None) -> Tensor | None:
    """The weight of a clip by its corpus and class (K, C), from the training part's counts; None where all are 1."""
    choice = recipe.loss.class_weights
    if choice is None:
        return None
    rows = torch.tensor([list(counts)]) if mixture is None else mixture.counts
    if choice == "corpus-and-emotion":
        return corpus_and_emotion(rows)
    return inverse_frequency(counts).expand(len(rows), -1)


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
