"""One vector per clip -> an embedding and class scores. ``HEADS`` holds them by the names that recipes use."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from serotone.options import by_name
from serotone.options.base import Options
from serotone.options.heads import (
    CosineHeadOptions,
    FeatureHeadOptions,
    LinearHeadOptions,
    StandardisedLinearHeadOptions,
)


class Head(nn.Module):
    """Base of the heads: ``Head(options, num_inputs=..., num_classes=...)``, vectors -> logits and embedding."""

    options_type: ClassVar[type[Options]]

    num_embedding: int
    """Width of the embedding."""


class FeatureHead(Head):
    """A fully connected layer with PReLU whose output is the feature z, and a second one that classifies it.

    Dai et al. 2019: the center loss reads z, the softmax reads the second layer. PReLU has one slope per unit,
    starting at 0 as in the authors' configuration.
    """

    options_type = FeatureHeadOptions

    def __init__(self, options: FeatureHeadOptions, *, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        features = options.features
        self.feature = nn.Linear(num_inputs, features)
        self.activation = nn.PReLU(features, init=0.0)
        self.classifier = nn.Linear(features, num_classes)
        self.num_embedding = features

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, D) -> logits (B, C), embedding z (B, features)."""
        embedding = self.activation(self.feature(vectors))
        return self.classifier(embedding), embedding


class LinearHead(Head):
    """One fully connected layer; the embedding is the vector that it reads."""

    options_type = LinearHeadOptions

    def __init__(self, options: LinearHeadOptions, *, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(num_inputs, num_classes)
        self.num_embedding = num_inputs

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, D) -> logits (B, C), embedding (B, D)."""
        return self.classifier(vectors), vectors


class StandardisedLinearHead(Head):
    """(v - mean) / SD, then one fully connected layer; the embedding is the standardised vector.

    Mean and SD are buffers, those of the training data once :meth:`set` was called, 0 and 1 before. A profile
    standardises such embeddings further (:mod:`serotone.recognition.profile`).
    """

    options_type = StandardisedLinearHeadOptions
    mean: Tensor
    deviation: Tensor

    def __init__(self, options: StandardisedLinearHeadOptions, *, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_inputs))
        self.register_buffer("deviation", torch.ones(num_inputs))
        self.classifier = nn.Linear(num_inputs, num_classes)
        self.num_embedding = num_inputs

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, D) -> logits (B, C), embedding (B, D)."""
        embedding = (vectors - self.mean) / self.deviation
        return self.classifier(embedding), embedding

    @torch.no_grad()
    def set(self, *, mean: Tensor, deviation: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Take over what was fitted: mean (D,), deviation (D,), weight (C, D) and bias (C,)."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self.classifier.weight.copy_(weight)
        self.classifier.bias.copy_(bias)


class CosineHead(Head):
    """Logits s cos(theta_j), theta_j the angle between vector and weights of class j (Zhou and Liu 2020, equation 2).

    No bias, no margin (that is the loss's, :func:`serotone.modeling.losses.with_margin`), and no ReLU before: it would
    confine the angles to a quadrant. The embedding is the vector before normalisation. A vector shorter than 1e-6
    (ours) is not stretched to length 1, so that one of zeros has cosines 0 and a finite gradient.

    Args:
        options: What a recipe may say of it: :class:`serotone.options.heads.CosineHeadOptions`.
        num_inputs: Width D of a vector.
        num_classes: Number of classes C.
    """

    options_type = CosineHeadOptions

    def __init__(self, options: CosineHeadOptions, *, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, num_inputs))
        nn.init.xavier_uniform_(self.weight)  # ours
        self.scale = options.scale
        self.num_embedding = num_inputs

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, D) -> logits (B, C) between -s and s, embedding (B, D)."""
        with torch.autocast(vectors.device.type, enabled=False):  # a margin is finer than bfloat16
            directions = functional.normalize(vectors.to(self.weight.dtype), dim=1, eps=1e-6)
            cosines = functional.linear(directions, functional.normalize(self.weight, dim=1, eps=1e-6))
        return self.scale * cosines, vectors


HEADS: Mapping[str, type[Head]] = by_name(
    FeatureHead,
    LinearHead,
    StandardisedLinearHead,
    CosineHead,
)
