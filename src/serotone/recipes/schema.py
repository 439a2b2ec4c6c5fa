"""What a recipe may say: one frozen model per part of an experiment. Unknown keys are errors.

A frontend, an encoder, a pooling and a head are chosen by name; what each may say stands in `serotone.options`, as the
options that its module takes, and nowhere else.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union

import yaml
from pydantic import BeforeValidator, Field, model_validator

from serotone.documents import yaml_word
from serotone.emotions import EMOTIONS
from serotone.names import guess
from serotone.options import CHOICES, Options
from serotone.options.encoders import ENCODERS, DyCNNOptions, EncoderOptions
from serotone.options.frontends import FrontendOptions
from serotone.options.heads import CosineHeadOptions, StandardisedLinearHeadOptions
from serotone.options.poolings import EndsOptions
from serotone.recipes.parts import (
    Annealing,
    BundleChoice,
    Center,
    Distil,
    Line,
    Loss,
    ProtocolChoice,
    Weights,
    a_name_alone,
)
from serotone.recipes.schedules import AnySchedule, Convex, Frozen, Schedule

_LIMITS = ("min", "window", "max")
"""Lengths of clips that a bundle states, in rising order."""


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


class Recipe(Frozen):
    """One experiment."""

    schema_: Literal[1] = Field(alias="schema")
    name: Line = ""
    description: str
    sample_rate: int = Field(16000, ge=8000, le=48000)
    labels: tuple[str, ...] | None = Field(None, description="classes, in order; null: those of the corpus")
    merge: Annotated[dict[str, str], BeforeValidator(lambda value: {} if value is None else value)] = Field(
        default_factory=dict, description="emotions that count as another; null: none, whatever extends says"
    )
    licences: dict[str, str] = Field(
        default_factory=dict, description="by corpus, for corpora that do not state theirs, such as manifests"
    )
    styles: tuple[str, ...] | None = Field(None, description="such as improvised; null: all")
    held_out_speakers: tuple[str, ...] = Field(
        (), description="speakers, such as ravdess/19, who are in no part at all"
    )
    training_only: tuple[str, ...] = Field((), description="corpora that are used for training only")
    protocol: ProtocolChoice
    seed: int = Field(0, ge=0)
    max_frames: int | None = Field(None, ge=1, description="longer clips are centre-cropped in training and testing")
    clip_seconds: float | None = Field(
        None, gt=0, description="clips are cut or zero-padded to this; null: as they are"
    )
    segments: bool = Field(False, description="cut clips into pieces of clip_seconds, and average the pieces' answers")
    frontend: Frontend
    standardise: Literal["per-bin"] | None = Field("per-bin", description="z-score fitted on the training frames")
    standardise_over: Literal["frames", "speech-frames"] = Field(
        "frames", description="speech-frames: leaves out the silence that fills up clips, and sets it to 0 afterwards"
    )
    encoder: Encoder
    weights: Weights | None = Field(None, description="pretrained weights of the encoder; null: random ones")
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
    on: dict[str, dict[str, Any]] = Field(default_factory=dict, description="settings for one corpus, by its name")

    @model_validator(mode="after")
    def _schedules_fit(self) -> "Recipe":
        """First, since others ask for the schedule in use."""
        if self.schedule not in self.schedules:
            near = guess(self.schedule, self.schedules)
            raise ValueError(
                f"schedule {self.schedule!r} is not in this recipe{near}; choose one of {', '.join(self.schedules)}"
            )
        for name, schedule in self.schedules.items():
            if isinstance(schedule, Convex):
                if name != self.schedule:
                    continue  # of a recipe that this one extends, and has another head than
                if not isinstance(self.head, StandardisedLinearHeadOptions):
                    raise ValueError(
                        f"schedules.{name} is convex, which fits the head standardised-linear only, and the head is"
                        f" {self.head.name}; choose that head, or another schedule"
                    )
                if self.segments or self.monitor != "none":
                    raise ValueError(
                        f"schedules.{name} is convex, which has no steps to choose from and takes whole clips; set"
                        " monitor to none and segments to false"
                    )
            elif self.monitor != "none" and schedule.last_validated < schedule.select_from:
                raise ValueError(
                    f"schedules.{name} ends at step {schedule.steps} before a validation counts: validate_every is"
                    f" {yaml_word(schedule.validate_every)} and select_from {schedule.select_from}; lower them, or give"
                    " more steps"
                )
        if self.convex is None and self.training.patience is not None and self.monitor == "none":
            raise ValueError(
                f"schedules.{self.schedule}.patience is {self.training.patience}, which needs a validation score, and"
                " monitor is none; set monitor to ua or wa, or patience to null"
            )
        return self

    @model_validator(mode="after")
    def _labels_fit(self) -> "Recipe":
        if self.labels is not None and (len(self.labels) < 2 or len(set(self.labels)) < len(self.labels)):
            raise ValueError(
                f"labels is {yaml_word(list(self.labels))}; expected at least two emotions, each of them once"
            )
        unknown = {*self.merge, *self.merge.values(), *(self.labels or ())} - set(EMOTIONS)
        if unknown:
            raise ValueError(
                f"labels and merge name {', '.join(sorted(unknown))}, which serotone does not know; use emotions among"
                f" {', '.join(EMOTIONS)}"
            )
        return self

    @model_validator(mode="after")
    def _clips_fit(self) -> "Recipe":
        if self.segments and self.clip_seconds is None:
            raise ValueError("segments is true and clip_seconds is null; set clip_seconds to the length of a segment")
        if self.clip_seconds is None and not self.encoder.masks:
            raise ValueError(
                f"clip_seconds is null, but the encoder {self.encoder.name} cannot mask padding, so padding would"
                " change its answers; set clip_seconds, or choose another encoder, such as"
                f" {', '.join(name for name, encoder in ENCODERS.items() if encoder.masks)}"
            )
        if self.clip_seconds is None and self.standardise_over == "speech-frames":
            raise ValueError(
                "standardise_over is speech-frames, but clip_seconds is null, so no silence fills up the clips; set"
                " standardise_over to frames"
            )
        return self

    @model_validator(mode="after")
    def _encoder_fits(self) -> "Recipe":
        if self.weights is not None and not self.encoder.prefixes:
            raise ValueError(
                f"weights are given, but there are no pretrained weights for the encoder {self.encoder.name}; set"
                " weights to null"
            )
        if self.weights is not None and self.standardise is not None:
            raise ValueError(
                "weights are given and standardise is per-bin; pretrained weights expect frames as the frontend makes"
                " them: set standardise to null"
            )
        if self.pooling.name == "loud-mean-sd" and not getattr(self.encoder, "loudness", False):
            raise ValueError(
                "pooling loud-mean-sd needs the loudness of each step from the encoder; set encoder.loudness to true,"
                " which only the encoder whisper has, or choose another pooling"
            )
        if self.annealing is not None and not isinstance(self.encoder, DyCNNOptions):
            raise ValueError(
                f"annealing is given, but the encoder {self.encoder.name} has no temperature to anneal, only dycnn has;"
                " set annealing to null"
            )
        return self

    @model_validator(mode="after")
    def _distillation_fits(self) -> "Recipe":
        if self.distil is not None and (self.standardise is not None or self.clip_seconds is not None):
            raise ValueError(
                f"distil is given, with standardise {yaml_word(self.standardise)} and clip_seconds"
                f" {yaml_word(self.clip_seconds)}; distillation takes whole clips, and frames as the frontend makes"
                " them; set both to null"
            )
        if (
            self.distil is not None
            and self.distil.augmentation
            and (getattr(self.frontend, "logarithm", None) != "relative")
        ):
            raise ValueError(
                f"distil.augmentation is {self.distil.augmentation}, which needs frames relative to the maximum of"
                " their clip; set frontend.logarithm to relative, or distil.augmentation to 0"
            )
        if self.distil is not None and self.convex is None:
            raise ValueError(
                f"distil is given, which needs a convex schedule, and schedule {self.schedule!r} takes steps; choose a"
                " convex schedule, or set distil to null"
            )
        return self

    @model_validator(mode="after")
    def _loss_fits(self) -> "Recipe":
        if self.loss.margin and not isinstance(self.head, CosineHeadOptions):
            raise ValueError(
                f"loss.margin is {self.loss.margin}, but the head {self.head.name} takes no margin; set head to cosine,"
                " or loss.margin to 0"
            )
        if self.loss.length_weights and self.segments:
            raise ValueError(
                "loss.length_weights and segments are both true, but segments of one length need no such weights; set"
                " loss.length_weights to false"
            )
        alphas = self.loss.alpha.values() if isinstance(self.loss.alpha, dict) else [self.loss.alpha]
        numbers = [alpha for alpha in alphas if isinstance(alpha, float | int)]
        if any(alpha < 0 for alpha in numbers) or (numbers and not any(numbers)):
            raise ValueError(f"loss.alpha is {self.loss.alpha}; expected numbers of at least 0, and one above 0")
        return self

    @model_validator(mode="after")
    def _bundle_fits(self) -> "Recipe":
        if self.bundle.precision == "int8" and not self.encoder.stores_integers:
            raise ValueError(
                f"bundle.precision is int8, but the exported graph of the encoder {self.encoder.name} has too"
                " few weights that can be stored in 8 bits; set bundle.precision to float32, or choose another encoder"
            )
        if self.bundle.speech and self.sample_rate != 16000:
            raise ValueError(
                f"bundle.speech is {self.bundle.speech}, a detector that needs 16000 Hz, and sample_rate is"
                f" {self.sample_rate}; set sample_rate to 16000, or bundle.speech to null"
            )
        seconds = (self.bundle.min_seconds, self.bundle.window_seconds, self.bundle.max_seconds)
        if list(seconds) != sorted(seconds):
            raise ValueError(
                "bundle has "
                + ", ".join(f"{name}_seconds {value:g}" for name, value in zip(_LIMITS, seconds, strict=True))
                + "; expected each to be at least as large as the one before"
            )
        if self.bundle.hop_seconds > self.bundle.window_seconds:
            raise ValueError(
                f"bundle.hop_seconds is {self.bundle.hop_seconds:g} and window_seconds {self.bundle.window_seconds:g},"
                " so the audio between two windows would not be heard; set hop_seconds to window_seconds or less"
            )
        if self.clip_seconds and not self.segments and self.bundle.max_seconds > self.clip_seconds:
            raise ValueError(
                f"bundle.max_seconds is {self.bundle.max_seconds:g} and clip_seconds is {self.clip_seconds:g}, so"
                f" the bundle would cut off the end of longer clips; set bundle.max_seconds to {self.clip_seconds:g}"
                " or less"
            )
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
