"""What computed the numbers, kept beside them: packages, device, threads."""

import json
import platform
import sys
from importlib import metadata
from pathlib import Path

import torch

from serotone.errors import RunError
from serotone.files import write_json

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
    path = folder / "versions.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}; take it away, and the same command goes on without it") from None
    known = known if isinstance(known, list) else [known]  # before 2026-11-21 it was one, not in a list
    if (mine := versions()) not in known:
        write_json(path, [*known, mine])
