"""Recipe -> system: the one place that turns options into objects."""

from collections.abc import Callable

from serotone.documents import yaml_word
from serotone.errors import RecipeError
from serotone.modeling.encoders import ENCODERS, Encoder
from serotone.modeling.frontends import FRONTENDS, Frontend
from serotone.modeling.heads import HEADS
from serotone.modeling.pooling import POOLINGS
from serotone.modeling.system import System
from serotone.names import count_of
from serotone.recipes import Recipe
from serotone.training.allocation import enough_memory


def build_system(recipe: Recipe, num_classes: int) -> System:
    """An untrained system for ``num_classes`` classes; weights come from torch's current random state.

    Raises:
        RecipeError: Parts that do not fit each other or into memory, or audio too short for the encoder.
    """
    try:
        with enough_memory(RecipeError, f"recipe {recipe.name}: this network", "make its encoder smaller"):
            frontend = build_frontend(recipe)
            encoder = ENCODERS[recipe.encoder.name](recipe.encoder, num_features=frontend.num_features)
            pooling = POOLINGS[recipe.pooling.name](
                recipe.pooling, num_inputs=encoder.num_outputs, directions=encoder.directions
            )
            head = HEADS[recipe.head.name](recipe.head, num_inputs=pooling.num_outputs, num_classes=num_classes)
    except ValueError as error:
        raise RecipeError(f"recipe {recipe.name}: {error}; change the frontend or the encoder") from error
    _check_lengths(recipe, frontend, encoder)
    return System(
        frontend,
        encoder,
        pooling,
        head,
        clip_samples=recipe.clip_samples,
        segments=recipe.segments,
        speech_frames=recipe.standardise_over == "speech-frames",
    )


def _check_lengths(recipe: Recipe, frontend: Frontend, encoder: Encoder) -> None:
    """Refuse clips and windows that are too short or too long for the encoder."""
    shortest = frontend.minimum_samples(encoder.minimum_frames)
    key, seconds = "clip_seconds", recipe.clip_seconds
    if seconds is None:
        key, seconds = "bundle.min_seconds", recipe.bundle.min_seconds
    if round(seconds * recipe.sample_rate) < shortest:
        raise RecipeError(
            f"recipe {recipe.name}: {key} is {seconds}, but the encoder {recipe.encoder.name} needs at least"
            f" {shortest / recipe.sample_rate:.3f} s; set {key} to that or more"
        )
    hop = recipe.frontend.hop(recipe.sample_rate)
    cropped = None if recipe.max_frames is None else (recipe.max_frames - 1) * hop
    if cropped is not None and cropped < round(recipe.bundle.min_seconds * recipe.sample_rate):
        raise RecipeError(
            f"recipe {recipe.name}: max_frames is {recipe.max_frames}, which crops clips to"
            f" {cropped / recipe.sample_rate:.4g} s, because a frame of {recipe.frontend.name} takes"
            f" {count_of(hop, 'sample')}, but bundle.min_seconds is {recipe.bundle.min_seconds:g}; raise"
            " max_frames, or set it to null"
        )
    if encoder.maximum_frames is not None:
        key, seconds = "clip_seconds", recipe.clip_seconds
        if seconds is None:
            key, seconds = "bundle.max_seconds", recipe.bundle.max_seconds
        longest = encoder.maximum_frames * hop / recipe.sample_rate
        if seconds > longest:
            raise RecipeError(
                f"recipe {recipe.name}: {key} is {seconds}, but the encoder {recipe.encoder.name} takes at most"
                f" {longest:g} s; set {key} to that or less"
            )
        if recipe.clip_seconds is None and (cropped is None or cropped > longest * recipe.sample_rate):
            raise RecipeError(
                f"recipe {recipe.name}: max_frames is {yaml_word(recipe.max_frames)}, but the encoder"
                f" {recipe.encoder.name} takes at most {longest:g} s; set max_frames to {encoder.maximum_frames} or"
                " less"
            )


def build_frontend(recipe: Recipe) -> Frontend:
    """The recipe's frontend, in its training form."""
    make: Callable[..., Frontend] = FRONTENDS[recipe.frontend.name]
    return make(recipe.frontend, sample_rate=recipe.sample_rate)
