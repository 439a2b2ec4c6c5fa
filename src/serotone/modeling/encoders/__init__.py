"""The networks, one a file. ``ENCODERS`` holds them by the names that recipes use."""

from collections.abc import Mapping

from serotone.modeling.encoders.cnn_blstm import CNNBLSTM, CNNBLSTMOptions
from serotone.modeling.encoders.crnn import CRNN, CRNNOptions
from serotone.modeling.encoders.dycnn import DyCNN, DyCNNOptions
from serotone.modeling.encoders.encoder import Encoder
from serotone.modeling.encoders.resnet import ResNet18, ResNet18Options
from serotone.modeling.encoders.transformers_speech import TransformersSpeech, TransformersSpeechOptions
from serotone.modeling.encoders.vlcrnn import VLCRNN, VLCRNNOptions
from serotone.modeling.encoders.whisper import Whisper, WhisperOptions
from serotone.modeling.options import by_name

ENCODERS: Mapping[str, type[Encoder]] = by_name(
    CRNN,
    VLCRNN,
    ResNet18,
    CNNBLSTM,
    DyCNN,
    Whisper,
    TransformersSpeech,
)

__all__ = [
    "CNNBLSTM",
    "CNNBLSTMOptions",
    "CRNN",
    "CRNNOptions",
    "DyCNN",
    "DyCNNOptions",
    "ENCODERS",
    "Encoder",
    "ResNet18",
    "ResNet18Options",
    "TransformersSpeech",
    "TransformersSpeechOptions",
    "VLCRNN",
    "VLCRNNOptions",
    "Whisper",
    "WhisperOptions",
]
