"""Recipe -> system: the one place that turns names into objects."""

from torch import nn

from serotone.modeling.encoders import ENCODERS
from serotone.modeling.frontends import FRONTENDS
from serotone.modeling.heads import HEADS
from serotone.modeling.pooling import POOLINGS
from serotone.modeling.system import System
from serotone.training.recipe import Recipe


def build_system(recipe: Recipe, num_classes: int) -> System:
    """An untrained system for ``num_classes`` classes; weights come from torch's current random state."""
    frontend = build_frontend(recipe)
    encoder = ENCODERS[recipe.encoder.name](int(frontend.num_features), hidden=recipe.encoder.hidden)  # type: ignore[arg-type]
    head = HEADS[recipe.head.name](encoder.num_outputs, num_classes, features=recipe.head.features)
    return System(frontend, encoder, POOLINGS["ends"](), head)


def build_frontend(recipe: Recipe) -> nn.Module:
    """The recipe's frontend, in its training form."""
    options = recipe.frontend.model_dump(exclude={"name"}, exclude_none=True)
    return FRONTENDS[recipe.frontend.name](
        sample_rate=recipe.sample_rate, **{**options, "top_db": recipe.frontend.top_db}
    )
