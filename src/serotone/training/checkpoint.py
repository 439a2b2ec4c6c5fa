"""Checkpoints of interrupted trainings, read: whole, and of the network that is to be trained."""

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from serotone.errors import RunError


def read_checkpoint(path: Path, network: nn.Module, *, under: str, beside: Collection[str]) -> dict[str, Any]:
    """What a training kept, on the processor; every checksum in it is right.

    Args:
        path: The checkpoint.
        network: Whose weights it holds, perhaps among others.
        under: The key of the weights.
        beside: Other keys that it has.

    Raises:
        RunError: It is damaged, something else, or of another network.
    """
    if not _is_whole(path):
        raise _damaged(path)
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        known = {under, *beside} <= kept.keys()
        shapes = {name: value.shape for name, value in kept[under].items()} if known else {}
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, UnpicklingError) as error:
        raise _damaged(path) from error
    if not known or any(shapes.get(name) != value.shape for name, value in network.state_dict().items()):
        raise _damaged(path)
    return kept


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError):
        return False


def _damaged(path: Path) -> RunError:
    return RunError(
        f"{path}: damaged; delete it, and run the same command again, which trains this fold from its beginning"
    )
