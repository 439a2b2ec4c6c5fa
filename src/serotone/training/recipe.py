"""The recipe: one experiment, written down. YAML in, frozen data out, validated once.

A recipe file states ``schema: 1`` and its difference from the recipe it ``extends``. Its ``schedules`` hold the named
ways of training it (``paper`` as published, ``budget`` ours); ``schedule`` names the one in use.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from serotone.emotions import EMOTIONS
from serotone.errors import RecipeError

SCHEMA = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Frontend(_Frozen):
    """Waveform -> frames."""

    name: Literal["log-mel", "spectrogram"]
    window: Literal["hamming", "hann"] = "hamming"
    window_seconds: float = Field(0.040, gt=0)
    hop_seconds: float = Field(0.010, gt=0)
    n_fft: int = Field(1024, ge=64)
    num_mels: int | None = Field(None, ge=8, description="log-mel only")
    centred: bool = True
    amin: float = Field(1e-10, gt=0)
    offset: float = Field(0.0, ge=0, description="added to the power before the logarithm")
    top_db: float | None = Field(80.0, gt=0, description="floor below each clip's maximum; null for none")

    @model_validator(mode="after")
    def _mels_where_they_belong(self) -> "Frontend":
        if (self.num_mels is None) != (self.name == "spectrogram"):
            raise ValueError("num_mels belongs to log-mel, and only there")
        return self


class Encoder(_Frozen):
    """Frames -> states."""

    name: Literal["crnn"]
    hidden: int = Field(128, ge=1)


class Head(_Frozen):
    """One vector per clip -> embedding and logits."""

    name: Literal["feature"]
    features: int = Field(64, ge=1)


class Center(_Frozen):
    """The center loss; ``weight`` is the paper's lambda, and 0 switches it off."""

    weight: float = Field(0.0, ge=0)
    alpha: float = Field(0.5, ge=0, le=1)
    update: Literal["batch-mean", "authors-code"] = "batch-mean"
    warm_up_steps: int = Field(20, ge=0, description="steps at the start with weight 0 and alpha 1")


class Schedule(_Frozen):
    """How long and in which steps a recipe trains."""

    steps: int = Field(ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(gt=0)
    validate_every: int = Field(11, ge=1, description="steps between validations")
    select_from: int = Field(0, ge=0, description="first step whose validation counts")
    precision: Literal["float32", "bfloat16"] = "float32"
    pool_batches: int = Field(8, ge=1, description="batches among which clips are grouped by length; 1 does not group")


class ProtocolChoice(_Frozen):
    """Who trains, validates and tests."""

    name: Literal["leave-one-speaker-out", "speakers-out", "stratified-k-fold", "ten-part", "all"]
    folds: int | None = Field(None, ge=2)
    speakers_out: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _a_name_alone(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


class BundleChoice(_Frozen):
    """What a bundle made by this recipe says about the audio that it takes."""

    min_seconds: float = Field(0.5, gt=0)
    max_seconds: float = Field(14.0, gt=0)
    window_seconds: float = Field(4.0, gt=0)
    hop_seconds: float = Field(2.0, gt=0)
    uncertain: float = Field(0.4, ge=0, le=1, description="confidence below which an answer is marked uncertain")


class Recipe(_Frozen):
    """One experiment."""

    schema_: Literal[1] = Field(alias="schema")
    name: str = ""
    description: str
    sample_rate: int = Field(16000, ge=8000, le=48000)
    labels: tuple[str, ...] | None = Field(None, description="classes in order; null takes the corpus's own")
    merge: dict[str, str] = Field(default_factory=dict)
    training_only: tuple[str, ...] = Field((), description="corpora that are trained on and never tested")
    protocol: ProtocolChoice
    seed: int = Field(0, ge=0)
    max_frames: int | None = Field(None, ge=1, description="longer clips are centre-cropped in training and testing")
    frontend: Frontend
    encoder: Encoder
    head: Head
    center: Center = Center()  # type: ignore[call-arg]
    monitor: Literal["ua", "wa", "none"] = Field(description="validation score that selects the step; none = the last")
    schedule: str
    schedules: dict[str, Schedule]
    bundle: BundleChoice = BundleChoice()  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _names_that_exist(self) -> "Recipe":
        if self.schedule not in self.schedules:
            raise ValueError(f"schedule {self.schedule!r} is none of this recipe's: {', '.join(self.schedules)}")
        unknown = {*self.merge, *self.merge.values(), *(self.labels or ())} - set(EMOTIONS)
        if unknown:
            raise ValueError(f"unknown emotions {sorted(unknown)}; the vocabulary is {', '.join(EMOTIONS)}")
        return self

    @property
    def training(self) -> Schedule:
        """The schedule in use."""
        return self.schedules[self.schedule]

    def to_yaml(self) -> str:
        """The whole recipe with every default spelled out, as it is kept in run folders and bundles."""
        return yaml.safe_dump(self.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


def shipped() -> list[str]:
    """Names of the recipes that come with serotone."""
    folder = resources.files("serotone") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a file by path, with ``key=value`` overrides (dots reach inside).

    Raises:
        RecipeError: The recipe, one it extends, or an override is missing or not valid.
    """
    tree = _tree(str(name_or_path), seen=())
    for override in overrides:
        _apply(tree, override)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(f"{name_or_path}: {_in_words(error)}") from None


def source(name_or_path: str | Path) -> str:
    """The text of a recipe file as it was written, comments included."""
    return _text(str(name_or_path))[0]


def _text(name: str) -> tuple[str, str]:
    """Text and the name that the recipe goes by."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise RecipeError(f"{name}: no such recipe file")
        return path.read_text(encoding="utf-8"), path.stem
    if name not in shipped():
        raise RecipeError(f"no recipe {name!r}; shipped are {', '.join(shipped())}; or give the path of a .yaml file")
    return (resources.files("serotone") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8"), name


def _tree(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise RecipeError(f"recipes extend each other in a circle: {' -> '.join((*seen, name))}")
    text, stem = _text(name)
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}: not YAML: {error}") from None
    if not isinstance(tree, dict):
        raise RecipeError(f"{name}: expected a mapping of keys to values, got {type(tree).__name__}")
    tree.setdefault("name", stem)
    base = tree.pop("extends", None)
    if base is None:
        return tree
    local = Path(name).parent / str(base)
    return _merge(_tree(str(local) if local.is_file() else str(base), (*seen, name)), tree)


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _apply(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override!r}: expected key=value, such as schedule=budget or center.weight=0.3")
    *parents, last = key.strip().split(".")
    place: Any = tree
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise RecipeError(f"--set {override!r}: {parent!r} holds a single value, nothing is inside it")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is not YAML: {error}") from None


def _in_words(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "recipe"
        if problem["type"] == "extra_forbidden":
            problems.append(f"unknown key {key!r}")
        else:
            problems.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}, got {problem['input']!r:.80}")
    return "; ".join(problems)
