"""serotone: recognise emotion in speech offline; train and compare the systems that do it."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serotone.errors import SerotoneError as SerotoneError
    from serotone.recognition.bundle import Bundle as Bundle
    from serotone.recognition.loading import list_bundles as list_bundles
    from serotone.recognition.loading import load_bundle as load_bundle
    from serotone.recognition.prediction import Prediction as Prediction
    from serotone.recognition.prediction import Segment as Segment
    from serotone.recognition.profile import Profile as Profile
    from serotone.recognition.profile import load_profile as load_profile
    from serotone.recognition.recognizer import Recognizer as Recognizer

__version__ = "0.1.0"

# Libraries that serotone uses report to their makers unless these say otherwise. They are read when a library is first
# imported, so they are set here, before any of them is. A value that the user has set stays.
for _variable, _value in {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime 1.29 and later
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_variable, _value)

_HOMES = {
    "Bundle": "serotone.recognition.bundle",
    "Prediction": "serotone.recognition.prediction",
    "Profile": "serotone.recognition.profile",
    "Recognizer": "serotone.recognition.recognizer",
    "Segment": "serotone.recognition.prediction",
    "SerotoneError": "serotone.errors",
    "list_bundles": "serotone.recognition.loading",
    "load_bundle": "serotone.recognition.loading",
    "load_profile": "serotone.recognition.profile",
}

__all__ = [
    "Bundle",
    "Prediction",
    "Profile",
    "Recognizer",
    "Segment",
    "SerotoneError",
    "list_bundles",
    "load_bundle",
    "load_profile",
]


def __getattr__(name: str) -> object:
    """A public name, fetched from its module when first asked for: importing serotone itself costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'serotone' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
