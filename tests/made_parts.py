"""Parts of a system by their classes, with options given one by one."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from serotone.modeling.encoders import Encoder
from serotone.modeling.heads import Head
from serotone.modeling.pooling import Pooling

E = TypeVar("E", bound=Encoder)
P = TypeVar("P", bound=Pooling)
H = TypeVar("H", bound=Head)


def made_encoder(cls: type[E], num_features: int, **options: object) -> E:
    return cls(cls.options_type(**options), num_features=num_features)


def made_pooling(cls: type[P], width: int, *, directions: int = 2) -> P:
    return cls(cls.options_type(), num_inputs=width, directions=directions)


def made_head(cls: type[H], width: int, classes: int, **options: object) -> H:
    return cls(cls.options_type(**options), num_inputs=width, num_classes=classes)


def trained_norms(encoder: E) -> E:
    """The encoder in evaluation mode, its batch norms not the identity, as after a training."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2.0)
    return encoder.eval()


def lengths_of(frames: Tensor) -> Tensor:
    """The lengths (B,) of a batch of frames (B, T, F) without padding."""
    return torch.full((len(frames),), frames.shape[1])
