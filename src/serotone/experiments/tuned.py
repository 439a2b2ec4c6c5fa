"""A trial of a search as a recipe of its own."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from serotone.files import write_text
from serotone.recipes import Recipe
from serotone.recipes.explaining import HEADER


def write_tuned(
    path: Path,
    tuned: Recipe,
    name_or_path: str,
    read: Callable[[str | Path], Recipe],
    *,
    name: str,
    description: str,
    corpus: str,
) -> None:
    """Write a recipe as what it says beyond the one that it was made from; it loads as what was trained.

    Args:
        path: Where to.
        tuned: The recipe.
        name_or_path: The one that it was made from.
        read: Reads a recipe for the corpora in use.
        name: What it is called.
        description: What it says of itself.
        corpus: One of the corpora in use.
    """
    says = _difference(_plain(read(name_or_path)), _plain(tuned))
    about = {"schema": 1, "extends": _from(path, name_or_path), "name": name, "description": description}
    _write_recipe(path, about | says)
    if _plain(read(path)) != _plain(tuned):  # the original says otherwise of this corpus; be as special
        _write_recipe(path, about | says | {"on": {corpus: json.loads(json.dumps(says))}})
    assert _plain(read(path)) == _plain(tuned)


def _plain(recipe: Recipe) -> dict[str, Any]:
    """What a recipe says of the experiment, not of itself."""
    return recipe.model_dump(mode="json", by_alias=True, exclude={"name", "description"})


def _difference(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """What of ``changed`` a recipe that extends ``base`` must say; of a part with another name, everything."""
    found: dict[str, Any] = {}
    for key, value in changed.items():
        old = base.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("name") == old.get("name"):
            if inner := _difference(old, value):
                found[key] = inner
        elif value != old:
            new_protocol = key == "protocol" and isinstance(value, dict)  # of which nothing of the old one is kept
            found[key] = {k: v for k, v in value.items() if v is not None} if new_protocol else value
    return found


def _from(path: Path, name_or_path: str) -> str:
    """How a recipe at ``path`` calls the one that it extends: a shipped one by name, a file by its way from here."""
    if not Path(name_or_path).is_file():
        return name_or_path
    return os.path.relpath(Path(name_or_path).resolve(), path.parent.resolve())


def _write_recipe(path: Path, tree: Mapping[str, Any]) -> None:
    """YAML in which every value says that it is ours."""
    text = yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, default_flow_style=None, width=10**6)
    lines = [
        line
        if line.endswith(":") or line.split(":")[0] in HEADER
        else f"{line}  # ours: given to serotone search, or found by it"
        for line in text.splitlines()
    ]
    write_text(path, "\n".join(lines) + "\n")
