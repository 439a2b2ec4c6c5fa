"""The recipe: one experiment, written down. YAML in, frozen data out, validated once.

A recipe file states ``schema: 1`` and its difference from the recipe it ``extends``. Its ``schedules`` hold the named
ways of training it (``paper`` as published, ``budget`` ours); ``schedule`` names the one in use. ``on`` holds what
differs on one corpus: the classes of its publication, say.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from serotone import problems
from serotone.documents import Documents, from_yaml, nearest
from serotone.errors import RecipeError, SerotoneWarning
from serotone.options import CHOICES
from serotone.recipes.parts import BY_NAME, a_name_alone
from serotone.recipes.schema import Recipe

__all__ = ["Recipe", "layers", "load", "resolved", "shipped", "source", "unknown_keys"]


RECIPES = Documents("recipe", "recipes", RecipeError)


def shipped() -> list[str]:
    """Names of the recipes that come with serotone."""
    return RECIPES.shipped()


def load(name_or_path: str | Path, overrides: Sequence[str] = (), *, corpora: Collection[str] | None = None) -> Recipe:
    """Read a shipped recipe by name, or a file by path, with ``key=value`` overrides (dots reach inside).

    Args:
        name_or_path: Which recipe.
        overrides: The last word, over all else.
        corpora: Names of the corpora it will run on. Where they are one, those that are only trained on aside, the
            recipe's ``on`` that corpus is merged in; ``on`` is then empty. None leaves it unresolved.

    Raises:
        RecipeError: The recipe, one it extends, or an override is missing or not valid.
    """
    tree = resolved(name_or_path, overrides, corpora=corpora)
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(f"{name_or_path}: {problems.in_words(error, Recipe, tree, 'recipe')}") from None
    if wrong := problems.truth_for_number(tree, recipe.model_dump(by_alias=True)):
        raise RecipeError(f"{name_or_path}: {wrong}")
    return recipe


def unknown_keys(
    name_or_path: str | Path, overrides: Sequence[str], *, corpora: Collection[str] | None = None
) -> list[str]:
    """The dotted keys of a recipe with these overrides that no recipe of its parts may say."""
    tree = resolved(name_or_path, overrides, corpora=corpora)
    try:
        Recipe.model_validate(tree)
    except ValidationError as error:
        return problems.unknown_keys(error, tree)
    return []


def resolved(
    name_or_path: str | Path, overrides: Sequence[str] = (), *, corpora: Collection[str] | None = None
) -> dict[str, Any]:
    """What :func:`load` reads, put together and not yet validated: every value that a file or an override states."""
    tree = _tree(str(name_or_path), seen=())
    changes = [as_tree(override) for override in overrides]
    if corpora is not None:
        whole = _changed({**tree, "on": {} if tree.get("on") is None else tree["on"]}, changes)
        special, only_trained = whole["on"], whole.get("training_only") or ()
        if not (_is_by_corpus(special) and isinstance(only_trained, list | tuple | set)):
            return whole  # it is not valid, and validation says why
        tree.pop("on", None)
        changes = [change for change in changes if "on" not in change]
        tested = set(corpora) - {name for name in only_trained if isinstance(name, str)}
        if len(tested) == 1:
            tree = _merge(tree, special.get(min(tested), {}))
        elif met := sorted(tested & set(special)):
            warnings.warn(
                f"the settings of recipe {tree['name']} for {', '.join(met)} are not used: they apply only if no other"
                f" corpus is tested ({', '.join(sorted(tested))} are given); set labels and merge with --set",
                SerotoneWarning,
                stacklevel=2,
            )
    return _changed(tree, changes)


def _is_by_corpus(special: object) -> bool:
    return isinstance(special, dict) and all(isinstance(changes, dict) for changes in special.values())


def source(name_or_path: str | Path) -> str:
    """The text of a recipe file as it was written, comments included."""
    return RECIPES.text(str(name_or_path))[0]


def layers(name_or_path: str | Path) -> list[tuple[str, str]]:
    """Name and text of a recipe and of those that it extends, the base first; of recipes that :func:`load` accepts."""
    name: str | None = str(name_or_path)
    found = []
    while name is not None:
        text, stem = RECIPES.text(name)
        found.append((stem, text))
        base = yaml.safe_load(text).get("extends")
        name = None if base is None else nearest(name, str(base))
    return found[::-1]


def _tree(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise RecipeError(f"recipes extend each other in a circle: {' -> '.join((*seen, name))}")
    tree, stem = RECIPES.tree(name)
    if True in tree:  # YAML 1.1 reads a bare ``on`` so
        tree["on"] = tree.pop(True)
    tree.setdefault("name", stem)
    base = tree.pop("extends", None)
    if base is None:
        return tree
    return _merge(_tree(nearest(name, str(base)), (*seen, name)), tree)


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Base with the changes in their places; a part that gets another name keeps only what the new one has too."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        if key in BY_NAME:
            value, old = a_name_alone(value), a_name_alone(old)
        if not (isinstance(value, Mapping) and isinstance(old, Mapping)):
            merged[key] = value
            continue
        if "name" in value and value["name"] != old.get("name"):
            shared = _keys(key, value["name"])
            old = {name: kept for name, kept in old.items() if name in shared}
        merged[key] = _merge(old, value)
    return merged


def _changed(tree: dict[str, Any], changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    for change in changes:
        tree = _merge(tree, change)
    return tree


def _keys(part: str, name: object) -> Collection[str]:
    """What a part of this name may say; nothing of a protocol, as another one counts and shares in its own way."""
    choice = CHOICES.get(part, {}).get(str(name))
    return {field.name for field in fields(choice)} if choice else ()


def as_tree(override: str) -> dict[str, Any]:
    """What an override states: ``a.b=1`` as {"a": {"b": 1}}.

    Raises:
        RecipeError: It is no ``key=value``, or the value is not YAML.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override!r}: expected key=value, such as schedule=budget or center.weight=0.3")
    try:
        value = from_yaml(text)
    except ValueError as error:
        raise RecipeError(f"--set {override!r}: the value is not YAML that serotone reads: {error}") from None
    for name in reversed(key.strip().split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value
