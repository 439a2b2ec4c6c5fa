"""Checkpoints of interrupted trainings, read: whole, and of the network that is to be trained."""

from collections.abc import Collection
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from serotone.runs.reading import check_checkpoint, damaged_checkpoint


def read_checkpoint(path: Path, network: nn.Module, *, under: str, beside: Collection[str]) -> dict[str, Any]:
    """What a training kept, on the processor.

    Args:
        path: The checkpoint.
        network: Whose weights it holds, perhaps among others.
        under: The key of the weights.
        beside: Other keys that it has.

    Raises:
        RunError: It is damaged, something else, or of another network.
    """
    check_checkpoint(path)
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        known = {under, *beside} <= kept.keys()
        shapes = {name: value.shape for name, value in kept[under].items()} if known else {}
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, UnpicklingError) as error:
        raise damaged_checkpoint(path) from error
    if not known or any(shapes.get(name) != value.shape for name, value in network.state_dict().items()):
        raise damaged_checkpoint(path)
    return kept
