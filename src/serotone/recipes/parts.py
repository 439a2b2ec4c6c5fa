"""The parts of a recipe that are no module of a system: what each may say."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from serotone.names import guess
from serotone.options import CHOICES
from serotone.recipes.schedules import Frozen
from serotone.splits import PROTOCOLS

BY_NAME = ("protocol", *CHOICES)
"""The parts of a recipe that may be given by their name alone: ``pooling: mean`` is ``pooling: {name: mean}``."""


def a_name_alone(value: object) -> object:
    """A part as a mapping, where it was given by its name."""
    return {"name": value} if isinstance(value, str) else value


def on_a_line(text: str) -> str:
    """A text that a bundle and a terminal can show; ValueError where it holds anything else, such as a tab."""
    if not text.isprintable():
        raise ValueError(f"{text!r}; expected printable characters on one line")
    return text


Line: TypeAlias = Annotated[str, AfterValidator(on_a_line)]


class Annealing(Frozen):
    """The temperature of dynamic convolution: linear from start to end over a share of the training's steps."""

    start: float = Field(30.0, gt=0)
    end: float = Field(1.0, gt=0)
    share: float = Field(0.1, ge=0, le=1)


class Loss(Frozen):
    """alpha_y (1 - p_y)^gamma (-log p_y) per clip, p from logits whose target had the margin taken off.

    Cross-entropy is gamma 0, no alpha, no margin. With class or length weights the batch's mean is weighted by them.
    """

    class_weights: Literal["inverse-frequency", "corpus-and-emotion"] | None = Field(
        "inverse-frequency",
        description="corpus-and-emotion: all corpora weigh the same, and all emotions in each",
    )
    length_weights: bool = Field(False, description="weight by the longest training clip over the clip's length")
    gamma: float = Field(0.0, ge=0, description="focal loss; 0 is cross-entropy")
    alpha: float | Literal["inverse-frequency"] | dict[str, float] | None = Field(
        None, description="focal loss: one number, one per label, or from the training part's counts"
    )
    margin: float = Field(0.0, ge=0, description="AM-softmax; needs a cosine head")


class Center(Frozen):
    """The center loss; ``weight`` is the paper's lambda, and 0 switches it off."""

    weight: float = Field(0.0, ge=0)
    alpha: float = Field(0.5, ge=0, le=1)
    update: Literal["batch-mean", "authors-code"] = "batch-mean"
    warm_up_steps: int = Field(20, ge=0, description="steps at the start with weight 0 and alpha 1")


class Weights(Frozen):
    """Pretrained weights of the encoder, which training starts from; a part with learning rate 0 keeps them."""

    source: str = Field(description="a .safetensors file, a folder with model.safetensors, or a name on the hub")
    revision: str = Field(
        "main", pattern=r"^[\w./-]+$", description="version of a file on the hub: a branch or a commit"
    )
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="of the file; null: not checked")
    licence: str = Field(description="of the weights, for card and notice")


class Distil(Frozen):
    """The encoder learns another recipe's frozen vectors, and the emotions, before a head is solved on it."""

    teacher: str = Field("default", description="the recipe whose encoder and pooling are the teacher")
    teacher_weights: str | None = Field(None, description="the teacher's weights.source; null: that of its recipe")
    components: int = Field(64, ge=1, description="number of principal components of the teacher's vectors to learn")
    whitening: float = Field(0.5, ge=0, le=1, description="0: components are weighted by their variance; 1: equally")
    emotion_weight: float = Field(0.7, ge=0, description="weight of the cross-entropy; the squared error has 1")
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    epochs: int = Field(ge=1)
    batch_size: int = Field(24, ge=2)
    learning_rate: float = Field(2e-3, gt=0, description="of AdamW, at the peak of one-cycle")
    warm_up: float = Field(0.2, gt=0, lt=1, description="share of the steps over which the rate rises")
    weight_decay: float = Field(0.02, ge=0, description="of matrices and kernels")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the vectors, in training only")
    clip_norm: float = Field(2.0, gt=0, description="largest norm of the gradient")
    crop_seconds: float = Field(2.1, gt=0, description="the longest piece of a clip to train on")
    augmentation: float = Field(0.8, ge=0, description="strength of serotone.training.augment; 0 for none")


class ProtocolChoice(Frozen):
    """Who trains, validates and tests; which options a protocol takes is its own affair (``serotone.splits``)."""

    name: str
    seed: int | None = Field(None, ge=0, description="seed of the folds; null: the recipe's")
    folds: int | None = Field(None, ge=2)
    speakers_out: int | None = Field(None, ge=1)
    validation_speakers: int | None = Field(None, ge=0)
    validation_share: float | None = Field(None, ge=0, lt=1)
    validation_sentences: int | None = Field(None, ge=0)
    test_share: float | None = Field(None, gt=0, lt=1)
    test_corpora: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_name_alone(cls, value: object) -> object:
        return a_name_alone(value)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PROTOCOLS:
            raise ValueError(f"no protocol {name!r}{guess(name, PROTOCOLS)}; choose one of {', '.join(PROTOCOLS)}")
        return name

    def options(self) -> dict[str, Any]:
        """The options that were given, for :func:`serotone.splits.make_splits`."""
        return self.model_dump(exclude={"name", "seed"}, exclude_none=True)


class BundleChoice(Frozen):
    """What a bundle made by this recipe says about the audio that it takes."""

    version: Annotated[Line, BeforeValidator(lambda value: str(value) if type(value) is int else value)] = Field(
        "1", min_length=1, description="stands beside the name wherever a bundle is named"
    )
    min_seconds: float = Field(0.5, gt=0)
    max_seconds: float = Field(14.0, gt=0)
    window_seconds: float = Field(4.0, gt=0)
    hop_seconds: float = Field(2.0, gt=0)
    uncertain: float = Field(0.4, ge=0, le=1, description="confidence below which an answer is marked uncertain")
    speech: Literal["silero"] | None = Field(
        None,
        description="silero: training and recognition use only the speech that a detector finds, and shorten long"
        " pauses; null: they use whole clips, and recognition finds speech by its level",
    )
    precision: Literal["float32", "int8"] = Field(
        "float32", description="of the encoder's weights: int8 makes the bundle up to four times smaller"
    )
    scale_group: int | None = Field(
        None, ge=8, description="how many int8 weights share a scale; null: all of an output channel"
    )
    products: Literal["float32", "int8"] = Field(
        "float32",
        description="of matrices in the exported encoder: int8, which needs precision int8, rounds each time step too; "
        "faster, and answers change a little",
    )

    @model_validator(mode="after")
    def _stored_integers(self) -> "BundleChoice":
        if self.products == "int8" and self.scale_group is not None:
            raise ValueError(
                f"products int8 works with one scale for each output channel, and scale_group is {self.scale_group};"
                " set scale_group to null, or products to float32"
            )
        if self.products == "int8" and self.precision != "int8":
            raise ValueError(
                "products int8 needs precision int8, and precision is float32; set precision to int8, or products to"
                " float32"
            )
        return self
