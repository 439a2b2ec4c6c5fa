"""What each part of a system may be told: the options that a recipe writes and a module is made from.

The modules themselves are in `serotone.modeling`; a recipe is read and checked without them, and without torch.
"""

from collections.abc import Mapping
from types import MappingProxyType

from serotone.options.base import Options, by_name, described
from serotone.options.encoders import ENCODERS
from serotone.options.frontends import FRONTENDS
from serotone.options.heads import HEADS
from serotone.options.poolings import POOLINGS

CHOICES: Mapping[str, Mapping[str, type[Options]]] = MappingProxyType(
    {"frontend": FRONTENDS, "encoder": ENCODERS, "pooling": POOLINGS, "head": HEADS}
)
"""The parts of a recipe that are chosen by name, and what each choice may say."""

__all__ = ["CHOICES", "ENCODERS", "FRONTENDS", "HEADS", "POOLINGS", "Options", "by_name", "described"]
