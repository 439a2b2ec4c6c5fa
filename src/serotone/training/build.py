"""Recipe -> system: the one place that turns names into objects."""

from torch import nn

from serotone.errors import RecipeError
from serotone.modeling.encoders import ENCODERS
from serotone.modeling.frontends import FRONTENDS
from serotone.modeling.heads import HEADS
from serotone.modeling.pooling import POOLINGS
from serotone.modeling.system import System
from serotone.training.recipe import Recipe


def build_system(recipe: Recipe, num_classes: int) -> System:
    """An untrained system for ``num_classes`` classes; weights come from torch's current random state.

    Raises:
        RecipeError: Parts that do not fit each other, or audio too short for the encoder.
    """
    try:
        frontend = build_frontend(recipe)
        choices = recipe.encoder.model_dump(exclude={"name"})
        encoder = ENCODERS[recipe.encoder.name](int(frontend.num_features), **choices)  # type: ignore[arg-type]
    except ValueError as error:
        raise RecipeError(f"recipe {recipe.name}: {error}; change frontend or encoder") from error
    shortest = frontend.minimum_samples(int(encoder.minimum_frames))  # type: ignore[operator]
    key, seconds = "clip_seconds", recipe.clip_seconds
    if seconds is None:
        key, seconds = "bundle.min_seconds", recipe.bundle.min_seconds
    if round(seconds * recipe.sample_rate) < shortest:
        raise RecipeError(
            f"recipe {recipe.name}: {key} {seconds}, and encoder {recipe.encoder.name!r} needs"
            f" {shortest / recipe.sample_rate:.3f} s; set it to that or more"
        )
    options = {"directions": encoder.directions} if recipe.pooling != "mean" else {}
    pooling = POOLINGS[recipe.pooling](int(encoder.num_outputs), **options)
    head = HEADS[recipe.head.name](pooling.num_outputs, num_classes, **recipe.head.model_dump(exclude={"name"}))
    return System(frontend, encoder, pooling, head, clip_samples=recipe.clip_samples, segments=recipe.segments)


def build_frontend(recipe: Recipe) -> nn.Module:
    """The recipe's frontend, in its training form."""
    return FRONTENDS[recipe.frontend.name](
        sample_rate=recipe.sample_rate, **recipe.frontend.model_dump(exclude={"name"})
    )
