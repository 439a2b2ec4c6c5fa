"""The networks, one a file. ``ENCODERS`` turns a recipe's name into a class."""

from serotone.modeling.encoders.cnn_blstm import CNNBLSTM
from serotone.modeling.encoders.crnn import CRNN
from serotone.modeling.encoders.dycnn import DyCNN
from serotone.modeling.encoders.resnet import ResNet18
from serotone.modeling.encoders.vlcrnn import VLCRNN

ENCODERS = {"crnn": CRNN, "vlcrnn": VLCRNN, "resnet18": ResNet18, "cnn-blstm": CNNBLSTM, "dycnn": DyCNN}

__all__ = ["CNNBLSTM", "CRNN", "ENCODERS", "DyCNN", "ResNet18", "VLCRNN"]
