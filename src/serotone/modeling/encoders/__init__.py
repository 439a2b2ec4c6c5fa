"""The networks, one a file. ``ENCODERS`` holds them by the names that recipes use."""

from collections.abc import Mapping

from serotone.modeling.encoders.cnn_blstm import CNNBLSTM
from serotone.modeling.encoders.crnn import CRNN
from serotone.modeling.encoders.dycnn import DyCNN
from serotone.modeling.encoders.encoder import Encoder
from serotone.modeling.encoders.resnet import ResNet18, VariableResNet18
from serotone.modeling.encoders.transformers_speech import TransformersSpeech
from serotone.modeling.encoders.vlcrnn import VLCRNN
from serotone.modeling.encoders.whisper import Whisper
from serotone.options import by_name

ENCODERS: Mapping[str, type[Encoder]] = by_name(
    CRNN,
    VLCRNN,
    ResNet18,
    VariableResNet18,
    CNNBLSTM,
    DyCNN,
    Whisper,
    TransformersSpeech,
)

__all__ = [
    "CNNBLSTM",
    "CRNN",
    "DyCNN",
    "ENCODERS",
    "Encoder",
    "ResNet18",
    "TransformersSpeech",
    "VLCRNN",
    "VariableResNet18",
    "Whisper",
]
