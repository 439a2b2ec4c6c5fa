"""Recipes: what one may say (``schema.py``, ``parts.py``, ``schedules.py``), how one is read and explained.

``reading.py`` reads one, ``explaining.py`` explains it.
The recipes that ship are the YAML files beside these modules. Nothing here needs torch.
"""

from serotone.recipes.reading import layers, load, resolved, shipped, source, unknown_keys
from serotone.recipes.schema import Recipe

__all__ = ["Recipe", "layers", "load", "resolved", "shipped", "source", "unknown_keys"]
