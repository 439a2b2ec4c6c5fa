"""One vector per clip -> an embedding and class scores."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class FeatureHead(nn.Module):
    """A fully connected layer with PReLU whose output is the feature z, and a second one that classifies it.

    Dai et al. 2019: the center loss reads z, the softmax reads the second layer. PReLU has one slope per unit,
    starting at 0 as in the authors' configuration.
    """

    def __init__(self, num_inputs: int, num_classes: int, *, features: int = 64) -> None:
        super().__init__()
        self.feature = nn.Linear(num_inputs, features)
        self.activation = nn.PReLU(features, init=0.0)
        self.classifier = nn.Linear(features, num_classes)
        self.num_embedding = features

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, D) -> logits (B, C), embedding z (B, features)."""
        embedding = self.activation(self.feature(vectors))
        return self.classifier(embedding), embedding


class LinearHead(nn.Module):
    """One fully connected layer; the embedding is the vector that it reads."""

    def __init__(self, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(num_inputs, num_classes)
        self.num_embedding = num_inputs

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, D) -> logits (B, C), embedding (B, D)."""
        return self.classifier(vectors), vectors


class CosineHead(nn.Module):
    """Logits s cos(theta_j), theta_j the angle between vector and weights of class j (Zhou and Liu 2020, equation 2).

    No bias, no margin (that is the loss's, :func:`serotone.modeling.losses.with_margin`), and no ReLU before: it would
    confine the angles to a quadrant. The embedding is the vector before normalisation. A vector shorter than 1e-6
    (ours) is not stretched to length 1, so that one of zeros has cosines 0 and a finite gradient.

    Args:
        num_inputs: Width D of a vector.
        num_classes: Number of classes C.
        scale: s, in training and prediction.
    """

    def __init__(self, num_inputs: int, num_classes: int, *, scale: float = 10.0) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"expected a scale above 0, got {scale}")
        self.weight = nn.Parameter(torch.empty(num_classes, num_inputs))
        nn.init.xavier_uniform_(self.weight)  # ours
        self.scale = scale
        self.num_embedding = num_inputs

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, D) -> logits (B, C) between -s and s, embedding (B, D)."""
        with torch.autocast(vectors.device.type, enabled=False):  # a margin is finer than bfloat16
            directions = functional.normalize(vectors.to(self.weight.dtype), dim=1, eps=1e-6)
            cosines = functional.linear(directions, functional.normalize(self.weight, dim=1, eps=1e-6))
        return self.scale * cosines, vectors


HEADS: dict[str, type[nn.Module]] = {"feature": FeatureHead, "linear": LinearHead, "cosine": CosineHead}
