"""What computed the numbers, kept beside them: packages, device, threads."""

import platform
import sys
from importlib import metadata
from pathlib import Path

import torch

from serotone.recipes import Recipe
from serotone.runs.writing import note_versions

PACKAGES = ("serotone", "torch", "pytorch-lightning", "numpy", "soundfile", "soxr", "onnx", "onnxruntime")


def device_of(recipe: Recipe) -> torch.device:
    """Where a recipe's steps are computed: on CUDA's GPU if there is one. All else, heads too, is the processor's."""
    return torch.device("cuda" if recipe.convex is None and torch.cuda.is_available() else "cpu")


def versions(recipe: Recipe) -> dict[str, object]:
    """Those of this process, as it trains a recipe."""
    device = device_of(recipe)
    packages = {name: metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        **packages,
    }


def record(folder: Path, recipe: Recipe) -> None:
    """Write them to ``versions.json``: a list, longer than one where a training was taken up by other software.

    Raises:
        RunError: The file that is there is damaged.
    """
    note_versions(folder, versions(recipe))
