"""What a recipe may say of an encoder. ``ENCODERS`` holds these by name; the modules are in ``modeling/encoders``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from annotated_types import Ge, Lt, doc

from serotone.options.base import Options, by_name

Width: TypeAlias = Annotated[int, Ge(1)]
Four: TypeAlias = tuple[Width, Width, Width, Width]
Six: TypeAlias = tuple[Width, Width, Width, Width, Width, Width]


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(Options):
    """What every encoder can be asked before it is made."""

    masks: ClassVar[bool] = True
    """Whether padding changes nothing; without masks an encoder works on clips of one length alone."""

    stores_integers: ClassVar[bool] = True
    """Whether most of its weights are in the graph as they are, so that 8 bits make a bundle smaller."""

    prefixes: ClassVar[tuple[str, ...]] = ()
    """What may stand before the names of its tensors in published checkpoints; none where there are no such."""


@dataclass(frozen=True, kw_only=True)
class CRNNOptions(EncoderOptions):
    """Four convolutions and a BiGRU, after Dai et al., ICASSP 2019."""

    name: Literal["crnn"] = "crnn"
    stores_integers: ClassVar[bool] = False
    hidden: Annotated[int, Ge(1), doc("units of the GRU in each direction")] = 128


@dataclass(frozen=True, kw_only=True)
class VLCRNNOptions(EncoderOptions):
    """Two masked convolutions and a BiGRU, after Liang et al., JIFS 2020."""

    name: Literal["vlcrnn"] = "vlcrnn"
    stores_integers: ClassVar[bool] = False
    filters: Annotated[tuple[Width, Width], doc("filters of each convolution")] = (16, 32)
    hidden: Annotated[int, Ge(1), doc("units of the GRU in each direction")] = 128


@dataclass(frozen=True, kw_only=True)
class ResNet18Options(EncoderOptions):
    """ResNet-18, as Tripathi et al. use it (arXiv 2019)."""

    name: Literal["resnet18"] = "resnet18"
    masks: ClassVar[bool] = False
    filters: Annotated[Four, doc("width of each stage; the stem has that of the first")] = (
        64,
        128,
        256,
        512,
    )


@dataclass(frozen=True, kw_only=True)
class VariableResNet18Options(EncoderOptions):
    """ResNet-18 for clips of any length (ours, after Tripathi et al.)."""

    name: Literal["resnet18-variable"] = "resnet18-variable"
    prefixes: ClassVar[tuple[str, ...]] = ("encoder.",)
    filters: Annotated[Four, doc("width of each stage; the stem has that of the first")] = (
        16,
        32,
        64,
        128,
    )


@dataclass(frozen=True, kw_only=True)
class CNNBLSTMOptions(EncoderOptions):
    """Six convolutional blocks and a BLSTM, after Zhou & Liu, Interspeech 2020."""

    name: Literal["cnn-blstm"] = "cnn-blstm"
    masks: ClassVar[bool] = False
    filters: Annotated[Six, doc("width of each block")] = (128, 128, 64, 64, 64, 64)
    hidden: Annotated[int, Ge(1), doc("cells of the LSTM in each direction")] = 64
    dropout: Annotated[float, Ge(0), Lt(1), doc("share of a block's outputs dropped in training")] = 0.25


@dataclass(frozen=True, kw_only=True)
class DyCNNOptions(EncoderOptions):
    """Four blocks of static or dynamic convolution and an LSTM, after Lin, Hu & Zhu, JCEIM 2023."""

    name: Literal["dycnn"] = "dycnn"
    stores_integers: ClassVar[bool] = False
    filters: Annotated[Four, doc("filters of each block")] = (64, 64, 128, 128)
    dynamic: Annotated[bool, doc("dynamic convolutions; false: plain ones")] = True
    kernels: Annotated[int, Ge(1), doc("kernels of a dynamic convolution")] = 4
    reduction: Annotated[int, Ge(1), doc("a dynamic convolution's attention has channels / reduction hidden units")] = 4
    first_static: Annotated[bool, doc("the first block has a plain convolution, even if dynamic is true")] = False
    recurrence: Annotated[Literal["bilstm", "lstm"], doc("lstm: only the forward direction")] = "bilstm"
    hidden: Annotated[int, Ge(1), doc("units per direction")] = 128


@dataclass(frozen=True, kw_only=True)
class WhisperOptions(EncoderOptions):
    """The convolutions and the lower layers of Whisper's encoder; base is 512 wide, tiny 384."""

    name: Literal["whisper"] = "whisper"
    prefixes: ClassVar[tuple[str, ...]] = ("model.encoder.", "encoder.")
    width: Annotated[int, Ge(4), doc("width of a layer; even, and a multiple of heads")] = 512
    heads: Annotated[int, Ge(1), doc("attention heads of a layer")] = 8
    layers: Annotated[
        tuple[int, ...],
        doc("whose states are given, side by side; 0 is before the first layer. Layers above the highest are left out"),
    ] = (3,)
    loudness: Annotated[bool, doc("append the loudness of each step to the states")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads or self.width % 2:
            raise ValueError(
                f"width is {self.width} and heads is {self.heads}; expected an even width that is a multiple of heads"
            )
        check_layers(self.layers)

    @property
    def depth(self) -> int:
        """Layers that are computed."""
        return self.layers[-1]


def check_layers(layers: Sequence[int]) -> None:
    """Refuse layers whose states cannot be given side by side.

    Raises:
        ValueError: They are none, do not rise, or are below 0.
    """
    if not layers or list(layers) != sorted(set(layers)) or layers[0] < 0:
        raise ValueError(f"layers is {list(layers)}; expected one or more numbers of at least 0, in rising order")


@dataclass(frozen=True, kw_only=True)
class TransformersSpeechOptions(EncoderOptions):
    """wav2vec 2.0, HuBERT or WavLM over the waveform; base is 768 wide, large 1024 with 16 heads."""

    name: Literal["transformers-speech"] = "transformers-speech"
    prefixes: ClassVar[tuple[str, ...]] = ("wav2vec2.", "hubert.", "wavlm.")
    family: Literal["wav2vec2", "hubert", "wavlm"] = "wav2vec2"
    width: Annotated[int, Ge(16), doc("width of a layer; a multiple of heads and of 16")] = 768
    heads: Annotated[int, Ge(1), doc("attention heads of a layer")] = 12
    norm: Annotated[
        Literal["group", "layer"],
        doc("group: base models, and wav2vec2-large; layer: all other large ones, whose transformer is pre-norm"),
    ] = "group"
    filters: Annotated[int, Ge(1), doc("of each convolution")] = 512
    layers: Annotated[
        tuple[int, ...],
        doc("whose states are given, side by side; 0 is before the first layer. Layers above the highest are left out"),
    ] = (6,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads or self.width % 16:
            raise ValueError(
                f"width is {self.width} and heads is {self.heads}; expected a width that is a multiple of heads and"
                " of 16"
            )
        check_layers(self.layers)


ENCODERS: Mapping[str, type[EncoderOptions]] = by_name(
    CRNNOptions,
    VLCRNNOptions,
    ResNet18Options,
    VariableResNet18Options,
    CNNBLSTMOptions,
    DyCNNOptions,
    WhisperOptions,
    TransformersSpeechOptions,
)
