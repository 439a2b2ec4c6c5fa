"""What a recipe may say of a pooling. ``POOLINGS`` holds these by name; the modules are in ``modeling/pooling.py``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from serotone.options.base import Options, by_name


@dataclass(frozen=True, kw_only=True)
class EndsOptions(Options):
    """The last state of each direction."""

    name: Literal["ends"] = "ends"


@dataclass(frozen=True, kw_only=True)
class MeanOptions(Options):
    """The mean over time."""

    name: Literal["mean"] = "mean"


@dataclass(frozen=True, kw_only=True)
class MeanDeviationOptions(Options):
    """Mean and standard deviation over time."""

    name: Literal["mean-sd"] = "mean-sd"


@dataclass(frozen=True, kw_only=True)
class LoudMeanDeviationOptions(Options):
    """Mean and standard deviation over time twice: every step alike, and weighted by how loud it is."""

    name: Literal["loud-mean-sd"] = "loud-mean-sd"


@dataclass(frozen=True, kw_only=True)
class AttentiveMeanOptions(Options):
    """A mean over time by learned attention."""

    name: Literal["attentive-mean"] = "attentive-mean"


@dataclass(frozen=True, kw_only=True)
class AttentiveMeanDeviationOptions(Options):
    """Mean and standard deviation over time by learned attention."""

    name: Literal["attentive-mean-sd"] = "attentive-mean-sd"


POOLINGS: Mapping[str, type[Options]] = by_name(
    EndsOptions,
    MeanOptions,
    MeanDeviationOptions,
    LoudMeanDeviationOptions,
    AttentiveMeanOptions,
    AttentiveMeanDeviationOptions,
)
