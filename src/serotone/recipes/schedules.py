"""How long and in which steps a recipe trains, or what it solves: the kinds of schedule that one may name."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from serotone.documents import yaml_word

SOLVED_IN = "float64"
"""The precision in which a head is solved."""


class Frozen(BaseModel):
    """A part of a recipe: its keys are known, and its values stay."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


PartName: TypeAlias = Literal["frontend", "encoder", "pooling", "head"]

Shape: TypeAlias = Literal["constant", "linear", "cosine", "one-cycle"]
"""How the learning rate goes over the steps of a schedule (`serotone.training.rates`)."""


class Schedule(Frozen):
    """How long and in which steps a recipe trains."""

    steps: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1, description="instead of steps")
    patience: int | None = Field(None, ge=1, description="stop after this many validations without a better score")
    batch_size: int = Field(32, ge=1)
    optimiser: Literal["adam", "adamw", "rmsprop"] = "adam"
    learning_rate: float = Field(gt=0)
    learning_rates: dict[PartName, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="by part, instead of learning_rate; 0 freezes the part, in evaluation mode"
    )
    warm_up_steps: int = Field(0, ge=0, description="steps at the start over which the rates rise")
    shape: Shape = Field("constant", description="how the rates change after that, over the steps of the schedule")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's")
    average: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay of a moving average of the weights, which is then the result; null for none",
    )
    norm_statistics: Literal["running", "re-estimated"] = Field(
        "running", description="of batch norm; re-estimated: computed over the training part at each validation"
    )
    decay: float = Field(0.9, gt=0, lt=1, description="RMSProp's rho")
    epsilon: float = Field(1e-8, gt=0)
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the gradient")
    validate_every: int | None = Field(11, ge=1, description="steps between validations; null: once an epoch")
    select_from: int = Field(0, ge=0, description="first step whose validation counts")
    precision: Literal["float32", "bfloat16"] = "float32"
    pool_batches: int = Field(8, ge=1, description="group clips by length within this many batches; 1: do not group")

    @model_validator(mode="after")
    def _fits_together(self) -> "Schedule":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(
                f"steps is {yaml_word(self.steps)} and epochs is {yaml_word(self.epochs)}; give one of them a number"
                " and set the other to null"
            )
        if self.weight_decay and self.optimiser != "adamw":
            raise ValueError(
                f"weight_decay is {self.weight_decay}, but only the optimiser adamw decays weights and this one is"
                f" {self.optimiser}; set optimiser to adamw, or weight_decay to 0"
            )
        if self.steps is not None and self.warm_up_steps > self.steps:
            raise ValueError(
                f"warm_up_steps is {self.warm_up_steps}, but the schedule has {self.steps} steps; set warm_up_steps to"
                f" {self.steps} or less"
            )
        if "head" in self.frozen:
            raise ValueError("learning_rates.head is 0, but the head must learn; set it above 0")
        return self

    @property
    def frozen(self) -> tuple[str, ...]:
        """The parts that do not learn."""
        return tuple(part for part, rate in self.learning_rates.items() if rate == 0)

    def steps_per_epoch(self, clips: int) -> int:
        """Steps in an epoch of so many clips, or pieces of clips."""
        return -(-clips // self.batch_size)

    @property
    def last_validated(self) -> float:
        """The last step that may have a validation, 0 where none has; infinite for a schedule in epochs."""
        if self.steps is None:
            return math.inf
        return self.steps if self.validate_every is None else self.steps // self.validate_every * self.validate_every

    @property
    def length(self) -> str:
        """The length in words: ``352 steps`` or ``at most 100 epochs``."""
        return length_of(self.model_dump())


class Convex(Frozen):
    """A linear head on the vectors of frozen parts, solved to convergence; nothing else learns.

    ``strength`` is scikit-learn's C. Heads for recordings that are standardised by their own collection, and by their
    own speaker within it, are solved along with it and travel in the bundle, each level with its own temperature.
    """

    solver: Literal["convex"]
    strength: Annotated[float, Field(gt=0)] | Literal["held-out"] = Field(
        description="held-out: the best of strengths on held-out corpora, for each level separately"
    )
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03), min_length=1, description="the values that held-out chooses from"
    )
    distorted_copies: int = Field(
        0, ge=0, description="copies of each training clip, as if recorded in other rooms and by other devices"
    )
    own_heads: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the plain head's scores that comes from the mean of heads fitted on one corpus each",
    )
    emphasis: float = Field(
        0.0,
        ge=0,
        description="of adapted heads: a power; above 0, directions in which vectors vary more are penalised less",
    )
    collection_shrinkage: float = Field(
        0.0, ge=0, description="a collection's statistics are shrunk toward the training data as if by this many clips"
    )
    speaker_shrinkage: float = Field(
        15.0, ge=0, description="a speaker's statistics are shrunk toward the collection as if by this many clips"
    )

    temperature_factor: float = Field(
        1.0,
        gt=0,
        description="multiplies the fitted temperature; over 1 if frozen parts were trained on these corpora",
    )

    @property
    def choices(self) -> tuple[float, ...]:
        """The strengths that are tried."""
        return self.strengths if self.strength == "held-out" else (self.strength,)

    @property
    def length(self) -> str:
        """The length in words: ``to convergence, strength 0.001``."""
        return length_of(self.model_dump())

    @property
    def precision(self) -> str:
        """What it is solved in."""
        return SOLVED_IN


def length_of(schedule: Mapping[str, Any]) -> str:
    """The length of a schedule of either kind in words, from its plain values, which may be those of an older serotone.

    >>> length_of({"steps": 352}), length_of({"epochs": 100, "patience": 10})
    ('352 steps', 'at most 100 epochs, patience 10')
    >>> length_of({"solver": "convex", "strength": 0.001})
    'to convergence, strength 0.001'
    """
    if schedule.get("solver"):
        strength = schedule["strength"]
        return f"to convergence, strength {'chosen on held-out corpora' if strength == 'held-out' else f'{strength:g}'}"
    words = f"{schedule['steps']} steps" if schedule.get("steps") else f"{schedule.get('epochs')} epochs"
    return words if schedule.get("patience") is None else f"at most {words}, patience {schedule['patience']}"


def _solver(value: object) -> str:
    """Which of the two kinds of schedule a mapping, or a schedule, is."""
    solver = value.get("solver") if isinstance(value, Mapping) else getattr(value, "solver", None)
    return "in-steps" if solver is None else str(solver)


AnySchedule: TypeAlias = Annotated[
    Annotated[Schedule, Tag("in-steps")] | Annotated[Convex, Tag("convex")],
    Discriminator(
        _solver,
        custom_error_type="unknown_solver",
        custom_error_message="solver must be convex, or left out for a schedule that takes steps",
    ),
]
