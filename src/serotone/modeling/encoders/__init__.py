"""The networks, one a file. ``ENCODERS`` turns a recipe's name into a class."""

from serotone.modeling.encoders.crnn import CRNN

ENCODERS = {"crnn": CRNN}

__all__ = ["CRNN", "ENCODERS"]
