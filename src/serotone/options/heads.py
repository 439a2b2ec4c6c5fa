"""What a recipe may say of a head. ``HEADS`` holds these by name; the modules are in ``modeling/heads.py``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, doc

from serotone.options.base import Options, by_name


@dataclass(frozen=True, kw_only=True)
class FeatureHeadOptions(Options):
    """A fully connected layer whose output is the embedding, and a classifier on it."""

    name: Literal["feature"] = "feature"
    features: Annotated[int, Ge(1), doc("width of the embedding")] = 64


@dataclass(frozen=True, kw_only=True)
class LinearHeadOptions(Options):
    """A classifier on the pooled vector."""

    name: Literal["linear"] = "linear"


@dataclass(frozen=True, kw_only=True)
class StandardisedLinearHeadOptions(Options):
    """A classifier on the standardised pooled vector, which is the embedding; solved, not stepped."""

    name: Literal["standardised-linear"] = "standardised-linear"


@dataclass(frozen=True, kw_only=True)
class CosineHeadOptions(Options):
    """Scaled cosines between the pooled vector and one direction per class; what AM-softmax trains."""

    name: Literal["cosine"] = "cosine"
    scale: Annotated[float, Gt(0), doc("s, in training and prediction")] = 10.0


HEADS: Mapping[str, type[Options]] = by_name(
    FeatureHeadOptions,
    LinearHeadOptions,
    StandardisedLinearHeadOptions,
    CosineHeadOptions,
)
