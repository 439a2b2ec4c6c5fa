"""The network of the recipe `light` behind frames that somebody else made."""

import torch
from torch import Tensor, nn

from serotone.recipes import load
from serotone.training.build import build_system

LEVEL, SPAN = -40.0, 20.0
"""Decibels below the loudest, brought near mean 0 and SD 1."""


class Network(nn.Module):
    """Encoder, pooling and head of `light`, untrained: frames (B, T, 64) in decibels, lengths (B,) -> scores (B, C)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        system = build_system(load("light"), num_classes)
        self.encoder, self.pooling, self.head = system.encoder, system.pooling, system.head

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Scores of the classes."""
        states, lengths = self.encoder((frames - LEVEL) / SPAN, lengths)
        logits: Tensor = self.head(self.pooling(states, lengths))[0]
        return logits


def one_thread() -> None:
    """As everything else in these measurements."""
    torch.set_num_threads(1)
