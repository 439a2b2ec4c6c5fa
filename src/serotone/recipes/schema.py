"""What a recipe may say: one frozen model per part of an experiment. Unknown keys are errors.

A frontend, an encoder, a pooling and a head are chosen by name; what each may say stands beside its module, as the
options that the module takes, and nowhere else.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from serotone.emotions import EMOTIONS
from serotone.options import CHOICES, Options
from serotone.options.encoders import DyCNNOptions, EncoderOptions
from serotone.options.frontends import FrontendOptions
from serotone.options.heads import CosineHeadOptions, StandardisedLinearHeadOptions
from serotone.options.poolings import EndsOptions
from serotone.splits import PROTOCOLS


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# -------------------------------------------------------------------------------------------------------- parts by name


BY_NAME = ("protocol", *CHOICES)
"""The parts of a recipe that may be given by their name alone: ``pooling: mean`` is ``pooling: {name: mean}``."""


def a_name_alone(value: object) -> object:
    """A part as a mapping, where it was given by its name."""
    return {"name": value} if isinstance(value, str) else value


if TYPE_CHECKING:
    Frontend: TypeAlias = FrontendOptions
    Encoder: TypeAlias = EncoderOptions
    Pooling: TypeAlias = Options
    Head: TypeAlias = Options
else:
    Frontend, Encoder, Pooling, Head = (
        Annotated[Union[tuple(choices.values())], Field(discriminator="name"), BeforeValidator(a_name_alone)]  # noqa: UP007
        for choices in CHOICES.values()
    )


# ------------------------------------------------------------------------------------------------------------- training


class Annealing(_Frozen):
    """The temperature of dynamic convolution: linear from start to end over a share of the training's steps."""

    start: float = Field(30.0, gt=0)
    end: float = Field(1.0, gt=0)
    share: float = Field(0.1, ge=0, le=1)


class Loss(_Frozen):
    """alpha_y (1 - p_y)^gamma (-log p_y) per clip, p from logits whose target had the margin taken off.

    Cross-entropy is gamma 0, no alpha, no margin. With class or length weights the batch's mean is weighted by them.
    """

    class_weights: Literal["inverse-frequency", "corpus-and-emotion"] | None = Field(
        "inverse-frequency", description="corpus-and-emotion: every corpus alike and, within it, every emotion"
    )
    length_weights: bool = Field(False, description="weight by the longest training clip over the clip's length")
    gamma: float = Field(0.0, ge=0, description="focal loss; 0 is cross-entropy")
    alpha: float | Literal["inverse-frequency"] | dict[str, float] | None = Field(
        None, description="focal loss: one number, one per label, or from the training part's counts"
    )
    margin: float = Field(0.0, ge=0, description="AM-softmax; needs a cosine head")


class Center(_Frozen):
    """The center loss; ``weight`` is the paper's lambda, and 0 switches it off."""

    weight: float = Field(0.0, ge=0)
    alpha: float = Field(0.5, ge=0, le=1)
    update: Literal["batch-mean", "authors-code"] = "batch-mean"
    warm_up_steps: int = Field(20, ge=0, description="steps at the start with weight 0 and alpha 1")


PartName: TypeAlias = Literal["frontend", "encoder", "pooling", "head"]

Shape: TypeAlias = Literal["constant", "linear", "cosine", "one-cycle"]
"""How the learning rate goes over the steps of a schedule (`serotone.training.rates`)."""


class Schedule(_Frozen):
    """How long and in which steps a recipe trains."""

    steps: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1, description="instead of steps")
    patience: int | None = Field(None, ge=1, description="stop after so many validations without a better one")
    batch_size: int = Field(32, ge=1)
    optimiser: Literal["adam", "adamw", "rmsprop"] = "adam"
    learning_rate: float = Field(gt=0)
    learning_rates: dict[PartName, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="of a part, instead of learning_rate; 0 freezes it, in evaluation mode"
    )
    warm_up_steps: int = Field(0, ge=0, description="steps at the start over which the rates rise")
    shape: Shape = Field("constant", description="of the rates after that, over the steps of the schedule")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's")
    average: float | None = Field(
        None, gt=0, lt=1, description="decay of a moving average of the weights, which then counts; null for none"
    )
    norm_statistics: Literal["running", "re-estimated"] = Field(
        "running", description="batch norm's where it counts; re-estimated: over the training part, at each validation"
    )
    decay: float = Field(0.9, gt=0, lt=1, description="RMSProp's rho")
    epsilon: float = Field(1e-8, gt=0)
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the gradient")
    validate_every: int | None = Field(11, ge=1, description="steps between validations; null: once an epoch")
    select_from: int = Field(0, ge=0, description="first step whose validation counts")
    precision: Literal["float32", "bfloat16"] = "float32"
    pool_batches: int = Field(8, ge=1, description="batches among which clips are grouped by length; 1 does not group")

    @model_validator(mode="after")
    def _fits_together(self) -> "Schedule":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"steps {self.steps} and epochs {self.epochs}; expected one of them, the other null")
        if self.weight_decay and self.optimiser != "adamw":
            raise ValueError(
                f"weight_decay {self.weight_decay} with optimiser {self.optimiser!r}; only adamw decays weights"
            )
        if self.steps is not None and self.warm_up_steps > self.steps:
            raise ValueError(f"warm_up_steps {self.warm_up_steps} of {self.steps} steps; expected at most all of them")
        if "head" in self.frozen:
            raise ValueError("learning_rates.head is 0; the head must learn, so give it a rate above 0")
        return self

    @property
    def frozen(self) -> tuple[str, ...]:
        """The parts that do not learn."""
        return tuple(part for part, rate in self.learning_rates.items() if rate == 0)

    @property
    def length(self) -> str:
        """The length in words: ``352 steps`` or ``at most 100 epochs``."""
        words = f"{self.steps} steps" if self.steps else f"{self.epochs} epochs"
        return words if self.patience is None else f"at most {words}, patience {self.patience}"


class Convex(_Frozen):
    """A linear head on the vectors of frozen parts, solved to convergence; nothing else learns.

    ``strength`` is scikit-learn's C. Heads for recordings that are standardised by their own collection, and by their
    own speaker within it, are solved along with it and travel in the bundle, each level with its own temperature.
    """

    solver: Literal["convex"]
    strength: Annotated[float, Field(gt=0)] | Literal["held-out"] = Field(
        description="held-out: the best of strengths on corpora that trained nothing, for each level by itself"
    )
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03), min_length=1, description="to choose from"
    )
    distorted_copies: int = Field(
        0, ge=0, description="copies of each training clip, as other rooms and recorders would have made of it"
    )
    own_heads: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share in the plain head's scores of the mean of heads that are each fitted on one corpus",
    )
    emphasis: float = Field(
        0.0,
        ge=0,
        description="of adapted heads: power by which the directions in which vectors vary most are spared the penalty",
    )
    collection_shrinkage: float = Field(
        0.0, ge=0, description="clips of the training data that a collection's statistics are shrunk toward"
    )
    speaker_shrinkage: float = Field(
        15.0, ge=0, description="clips of the collection that a speaker's statistics are shrunk toward"
    )

    temperature_factor: float = Field(
        1.0, gt=0, description="times the fitted temperature; over 1 where the frozen parts learned from these corpora"
    )

    @property
    def choices(self) -> tuple[float, ...]:
        """The strengths that are tried."""
        return self.strengths if self.strength == "held-out" else (self.strength,)

    @property
    def length(self) -> str:
        """The length in words: ``to convergence, strength 0.001``."""
        chosen = "chosen on held-out corpora" if self.strength == "held-out" else f"{self.strength:g}"
        return f"to convergence, strength {chosen}"

    @property
    def precision(self) -> str:
        """What it is solved in."""
        return "float64"


def _solver(value: object) -> str:
    """Which of the two kinds of schedule a mapping, or a schedule, is."""
    solver = value.get("solver") if isinstance(value, Mapping) else getattr(value, "solver", None)
    return "steps" if solver is None else str(solver)


AnySchedule: TypeAlias = Annotated[
    Annotated[Schedule, Tag("steps")] | Annotated[Convex, Tag("convex")], Discriminator(_solver)
]


class Weights(_Frozen):
    """Pretrained weights of the encoder, which training starts from; a part with learning rate 0 keeps them."""

    source: str = Field(description="a .safetensors file, a folder with model.safetensors, or a name on the hub")
    revision: str = Field("main", pattern=r"^[\w./-]+$", description="version of a hub's file: a branch or a commit")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="of the file; null takes what comes")
    licence: str = Field(description="of the weights, for card and notice")


class Distil(_Frozen):
    """The encoder learns another recipe's frozen vectors, and the emotions, before a head is solved on it."""

    teacher: str = Field("default", description="the recipe whose encoder and pooling teach")
    teacher_weights: str | None = Field(None, description="the teacher's weights.source; null: as its recipe says")
    components: int = Field(64, ge=1, description="principal components of the teacher's vectors that are learned")
    whitening: float = Field(0.5, ge=0, le=1, description="0: components count by their variance; 1: all alike")
    emotion_weight: float = Field(0.7, ge=0, description="of the cross-entropy, next to the squared error's 1")
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    epochs: int = Field(ge=1)
    batch_size: int = Field(24, ge=2)
    learning_rate: float = Field(2e-3, gt=0, description="AdamW's, at the top of one-cycle")
    warm_up: float = Field(0.2, gt=0, lt=1, description="share of the steps over which the rate rises")
    weight_decay: float = Field(0.02, ge=0, description="of matrices and kernels")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the vectors, in training alone")
    clip_norm: float = Field(2.0, gt=0, description="largest norm of the gradient")
    crop_seconds: float = Field(2.1, gt=0, description="the longest piece of a clip that is trained on")
    augmentation: float = Field(0.8, ge=0, description="strength of serotone.training.augment; 0 for none")


class ProtocolChoice(_Frozen):
    """Who trains, validates and tests; which options a protocol takes is its own affair (``serotone.splits``)."""

    name: str
    seed: int | None = Field(None, ge=0, description="deals the folds; null: the recipe's, which also trains")
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
            raise ValueError(f"unknown protocol; expected one of {', '.join(PROTOCOLS)}")
        return name

    def options(self) -> dict[str, Any]:
        """The options that were given, for :func:`serotone.splits.make_splits`."""
        return self.model_dump(exclude={"name", "seed"}, exclude_none=True)


class BundleChoice(_Frozen):
    """What a bundle made by this recipe says about the audio that it takes."""

    min_seconds: float = Field(0.5, gt=0)
    max_seconds: float = Field(14.0, gt=0)
    window_seconds: float = Field(4.0, gt=0)
    hop_seconds: float = Field(2.0, gt=0)
    uncertain: float = Field(0.4, ge=0, le=1, description="confidence below which an answer is marked uncertain")
    speech: Literal["silero"] | None = Field(
        None, description="clips are cut to the span from first to last speech, in training too; null: whole clips"
    )
    precision: Literal["float32", "int8"] = Field(
        "float32", description="of the encoder's weights: int8 rounds them, to a quarter of the size"
    )
    scale_group: int | None = Field(
        None, ge=8, description="weights of precision int8 that share a scale; null: all those of an output channel"
    )
    products: Literal["float32", "int8"] = Field(
        "float32",
        description="of matrices in the exported encoder: int8, which needs precision int8, rounds each time step too; "
        "faster, and answers change a little",
    )

    @model_validator(mode="after")
    def _stored_integers(self) -> "BundleChoice":
        if self.products == "int8" and self.scale_group is not None:
            raise ValueError("products int8 takes one scale per output channel; set scale_group to null")
        if self.products == "int8" and self.precision != "int8":
            raise ValueError(
                "products int8 multiplies stored integers; set precision to int8 too, or leave out products"
            )
        return self


# --------------------------------------------------------------------------------------------------------------- recipe


class Recipe(_Frozen):
    """One experiment."""

    schema_: Literal[1] = Field(alias="schema")
    name: str = ""
    description: str
    sample_rate: int = Field(16000, ge=8000, le=48000)
    labels: tuple[str, ...] | None = Field(None, description="classes in order; null takes the corpus's own")
    merge: dict[str, str] = Field(default_factory=dict)
    licences: dict[str, str] = Field(
        default_factory=dict, description="of corpora that cannot say theirs, such as a manifest, by the corpus's name"
    )
    styles: tuple[str, ...] | None = Field(None, description="such as improvised; null takes all")
    held_out_speakers: tuple[str, ...] = Field(
        (), description="speakers such as ravdess/19 who neither train nor test, so that they stay strangers"
    )
    training_only: tuple[str, ...] = Field((), description="corpora that are trained on and never tested")
    protocol: ProtocolChoice
    seed: int = Field(0, ge=0)
    max_frames: int | None = Field(None, ge=1, description="longer clips are centre-cropped in training and testing")
    clip_seconds: float | None = Field(
        None, gt=0, description="clips are cut or zero-padded to this; null: as they are"
    )
    segments: bool = Field(False, description="clips become pieces of clip_seconds, and their answers are averaged")
    frontend: Frontend
    standardise: Literal["per-bin"] | None = Field("per-bin", description="z-score fitted on the training frames")
    standardise_over: Literal["frames", "speech-frames"] = Field(
        "frames", description="speech-frames: not those of the silence that fills clips up; they become 0 after it"
    )
    encoder: Encoder
    weights: Weights | None = Field(None, description="pretrained weights of the encoder; null starts from chance")
    distil: Distil | None = Field(None, description="how the encoder learns before its head is solved; null: frozen")
    annealing: Annealing | None = None
    pooling: Pooling = EndsOptions()
    head: Head
    loss: Loss = Loss()  # type: ignore[call-arg]
    center: Center = Center()  # type: ignore[call-arg]
    monitor: Literal["ua", "wa", "none"] = Field(description="validation score that selects the step; none = the last")
    schedule: str
    schedules: dict[str, AnySchedule]
    bundle: BundleChoice = BundleChoice()  # type: ignore[call-arg]
    on: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="what differs on a corpus, by its name; resolved when corpora are given"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        if self.schedule not in self.schedules:
            raise ValueError(f"schedule {self.schedule!r} is not in this recipe; it has {', '.join(self.schedules)}")
        unknown = {*self.merge, *self.merge.values(), *(self.labels or ())} - set(EMOTIONS)
        if unknown:
            raise ValueError(f"unknown emotions {sorted(unknown)}; the vocabulary is {', '.join(EMOTIONS)}")
        if self.segments and self.clip_seconds is None:
            raise ValueError("segments without clip_seconds; set clip_seconds to the length of a piece")
        if self.clip_seconds is None and not self.encoder.masks:
            raise ValueError(
                f"clip_seconds null with encoder {self.encoder.name!r}, which cannot mask padding, so padding would"
                " change its answers; set clip_seconds, or choose an encoder that masks"
            )
        if self.clip_seconds is None and self.standardise_over == "speech-frames":
            raise ValueError(
                "standardise_over speech-frames with clip_seconds null; no silence fills such clips up: set"
                " standardise_over frames too"
            )
        if self.weights is not None and not self.encoder.prefixes:
            raise ValueError(
                f"weights with encoder {self.encoder.name!r}, which has no pretrained ones; leave them out"
            )
        if self.distil is not None and (self.standardise is not None or self.clip_seconds is not None):
            raise ValueError(
                f"distil with standardise {self.standardise!r} and clip_seconds {self.clip_seconds}; a pupil learns"
                " from whole clips' frames as the frontend makes them: set both null"
            )
        if (
            self.distil is not None
            and self.distil.augmentation
            and (getattr(self.frontend, "logarithm", None) != "relative")
        ):
            raise ValueError(
                f"distil.augmentation {self.distil.augmentation} with frontend {self.frontend.name!r} whose frames are"
                " not relative to a clip's maximum; set frontend.logarithm relative, or distil.augmentation 0"
            )
        if self.weights is not None and self.standardise is not None:
            raise ValueError(
                "weights with standardise per-bin; pretrained weights read frames as the frontend makes them:"
                " set standardise null"
            )
        if self.pooling.name == "loud-mean-sd" and not getattr(self.encoder, "loudness", False):
            raise ValueError(
                "pooling loud-mean-sd without loudness among the states: set encoder.loudness true, which whisper has"
            )
        if self.bundle.speech and self.sample_rate != 16000:
            raise ValueError(
                f"bundle.speech {self.bundle.speech!r} with sample_rate {self.sample_rate}; its detector needs 16000 Hz"
            )
        seconds = (self.bundle.min_seconds, self.bundle.window_seconds, self.bundle.max_seconds)
        if list(seconds) != sorted(seconds):
            raise ValueError(
                f"bundle: min_seconds, window_seconds, max_seconds are {seconds}; "
                "each must be larger than the one before"
            )
        if self.clip_seconds and not self.segments and self.bundle.max_seconds > self.clip_seconds:
            raise ValueError(
                f"bundle.max_seconds {self.bundle.max_seconds} is above clip_seconds {self.clip_seconds};"
                " a bundle would crop what lies between them: set both"
            )
        if self.loss.margin and not isinstance(self.head, CosineHeadOptions):
            raise ValueError(f"loss.margin with head {self.head.name!r}; a margin needs a cosine head")
        if self.annealing is not None and not isinstance(self.encoder, DyCNNOptions):
            raise ValueError(f"annealing with encoder {self.encoder.name!r}; only dycnn has a temperature")
        if self.loss.length_weights and self.segments:
            raise ValueError("loss.length_weights with segments; all pieces have one length, except the last")
        alphas = self.loss.alpha.values() if isinstance(self.loss.alpha, dict) else [self.loss.alpha]
        if any(isinstance(alpha, float | int) and alpha < 0 for alpha in alphas):
            raise ValueError(f"loss.alpha {self.loss.alpha}; expected nothing below 0")
        for name, schedule in self.schedules.items():
            if isinstance(schedule, Convex):
                if name != self.schedule:
                    continue  # of a recipe that this one extends, and has another head than
                if not isinstance(self.head, StandardisedLinearHeadOptions):
                    raise ValueError(
                        f"schedules.{name} with head {self.head.name!r}; a convex one fits a standardised-linear head"
                    )
                if self.segments or self.monitor != "none":
                    raise ValueError(f"schedules.{name} is convex: it needs monitor none, and no segments")
            elif self.monitor != "none" and schedule.steps is not None and schedule.select_from > schedule.steps:
                raise ValueError(
                    f"schedules.{name} selects from step {schedule.select_from} on and ends at {schedule.steps}"
                )
        if self.distil is not None and self.convex is None:
            raise ValueError(
                f"distil with schedule {self.schedule!r}, which takes steps; what is distilled ends in a head that is"
                " solved: choose a convex schedule"
            )
        if self.convex is None and self.training.patience is not None and self.monitor == "none":
            raise ValueError("patience needs a monitor, ua or wa")
        return self

    @property
    def chosen(self) -> Schedule | Convex:
        """The schedule in use, of either kind."""
        return self.schedules[self.schedule]

    @property
    def convex(self) -> Convex | None:
        """The schedule in use where that is a convex one."""
        return self.chosen if isinstance(self.chosen, Convex) else None

    @property
    def training(self) -> Schedule:
        """The schedule in use where it takes steps; TypeError for a convex one, which the caller asked for before."""
        if isinstance(self.chosen, Convex):
            raise TypeError(f"recipe {self.name}: schedule {self.schedule!r} is convex and takes no steps")
        return self.chosen

    @property
    def clip_samples(self) -> int | None:
        """Length in samples that every clip, or every piece, is brought to."""
        return None if self.clip_seconds is None else round(self.clip_seconds * self.sample_rate)

    def to_yaml(self) -> str:
        """The whole recipe with every default spelled out, as it is kept in run folders and bundles."""
        return yaml.safe_dump(self.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)
