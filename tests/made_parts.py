"""Parts of a system by their classes, with options given one by one."""

from typing import TypeVar

from serotone.modeling.encoders import Encoder
from serotone.modeling.heads import Head
from serotone.modeling.pooling import Pooling

E = TypeVar("E", bound=Encoder)
P = TypeVar("P", bound=Pooling)
H = TypeVar("H", bound=Head)


def made_encoder(cls: type[E], num_features: int, **options: object) -> E:
    return cls(cls.options_type(**options), num_features=num_features)


def made_pooling(cls: type[P], width: int, *, directions: int = 2) -> P:
    return cls(cls.options_type(), num_inputs=width, directions=directions)


def made_head(cls: type[H], width: int, classes: int, **options: object) -> H:
    return cls(cls.options_type(**options), num_inputs=width, num_classes=classes)
