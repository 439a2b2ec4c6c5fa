"""Recipe -> system: the one place that turns options into objects."""

from collections.abc import Callable

from serotone.errors import RecipeError
from serotone.modeling.encoders import ENCODERS
from serotone.modeling.frontends import FRONTENDS, Frontend
from serotone.modeling.heads import HEADS
from serotone.modeling.pooling import POOLINGS
from serotone.modeling.system import System
from serotone.recipes import Recipe


def build_system(recipe: Recipe, num_classes: int) -> System:
    """An untrained system for ``num_classes`` classes; weights come from torch's current random state.

    Raises:
        RecipeError: Parts that do not fit each other, or audio too short for the encoder.
    """
    try:
        frontend = build_frontend(recipe)
        encoder = ENCODERS[recipe.encoder.name](recipe.encoder, num_features=frontend.num_features)
        pooling = POOLINGS[recipe.pooling.name](
            recipe.pooling, num_inputs=encoder.num_outputs, directions=encoder.directions
        )
        head = HEADS[recipe.head.name](recipe.head, num_inputs=pooling.num_outputs, num_classes=num_classes)
    except ValueError as error:
        raise RecipeError(f"recipe {recipe.name}: {error}; change the frontend or the encoder") from error
    shortest = frontend.minimum_samples(encoder.minimum_frames)
    key, seconds = "clip_seconds", recipe.clip_seconds
    if seconds is None:
        key, seconds = "bundle.min_seconds", recipe.bundle.min_seconds
    if round(seconds * recipe.sample_rate) < shortest:
        raise RecipeError(
            f"recipe {recipe.name}: {key} is {seconds}, but the encoder {recipe.encoder.name} needs at least"
            f" {shortest / recipe.sample_rate:.3f} s; set {key} to that or more"
        )
    if encoder.maximum_frames is not None:
        key, seconds = "clip_seconds", recipe.clip_seconds
        if seconds is None:
            key, seconds = "bundle.max_seconds", recipe.bundle.max_seconds
        longest = encoder.maximum_frames * recipe.frontend.hop(recipe.sample_rate) / recipe.sample_rate
        if seconds > longest:
            raise RecipeError(
                f"recipe {recipe.name}: {key} is {seconds}, but the encoder {recipe.encoder.name} takes at most"
                f" {longest:g} s; set {key} to that or less"
            )
    return System(
        frontend,
        encoder,
        pooling,
        head,
        clip_samples=recipe.clip_samples,
        segments=recipe.segments,
        speech_frames=recipe.standardise_over == "speech-frames",
    )


def build_frontend(recipe: Recipe) -> Frontend:
    """The recipe's frontend, in its training form."""
    make: Callable[..., Frontend] = FRONTENDS[recipe.frontend.name]
    return make(recipe.frontend, sample_rate=recipe.sample_rate)
