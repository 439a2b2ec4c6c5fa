"""One vector per clip -> an embedding and class scores."""

from torch import Tensor, nn


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


HEADS = {"feature": FeatureHead}
