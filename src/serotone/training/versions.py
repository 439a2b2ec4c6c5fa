"""What computed the numbers, kept beside them: packages, device, threads."""

import platform
import sys
from importlib import metadata
from pathlib import Path

import torch

from serotone.runs.writing import note_versions

PACKAGES = ("serotone", "torch", "pytorch-lightning", "numpy", "soundfile", "soxr", "onnx", "onnxruntime")


def versions() -> dict[str, object]:
    """Those of this process."""
    packages = {name: metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        **packages,
    }


def record(folder: Path) -> None:
    """Write them to ``versions.json``: a list, longer than one where a training was taken up by other software.

    Raises:
        RunError: The file that is there is damaged.
    """
    note_versions(folder, versions())
