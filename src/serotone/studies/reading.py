"""The study: YAML in, frozen data out, validated once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serotone.documents import Documents, nearest
from serotone.errors import RunError
from serotone.problems import in_words, truth_for_number
from serotone.studies.schema import Study

STUDIES = Documents("study", "studies", RunError)


def shipped_studies() -> list[str]:
    """Names of the studies that come with serotone."""
    return STUDIES.shipped()


def load_study(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    seeds: Sequence[int] | None = None,
    repetitions: int | None = None,
) -> Study:
    """Read a shipped study by name, or a file by path, next to which its recipes are looked for first.

    Args:
        name_or_path: Which study.
        overrides: ``key=value`` of every row's recipe, after the study's own; a row's own have the last word.
        seeds: Instead of the study's.
        repetitions: Instead of the study's.

    Raises:
        RunError: The study is missing or not valid.
    """
    name = str(name_or_path)
    tree, stem = STUDIES.tree(name)
    tree["name"] = tree.get("name") or stem
    if tree.get("set") is None:
        tree["set"] = []
    if isinstance(tree["set"], list):
        tree["set"] = [*tree["set"], *overrides]
    if isinstance(tree.get("rows"), list):
        tree["rows"] = [_with_recipe_found(name, row) for row in tree["rows"]]
    if "grid" in tree:
        tree["grid"] = _with_recipe_found(name, tree["grid"])
    if seeds is not None:
        tree["seeds"] = list(seeds)
    if repetitions is not None:
        tree["repetitions"] = repetitions
    try:
        study = Study.model_validate(tree)
    except ValidationError as error:
        raise RunError(f"{name}: {in_words(error, Study, tree, 'study')}") from None
    if wrong := truth_for_number(tree, study.model_dump(by_alias=True)):
        raise RunError(f"{name}: {wrong}")
    return study


def _with_recipe_found(study: str, row: Any) -> Any:
    """A row or a grid with the path of its recipe; what is neither stays for validation to name."""
    if isinstance(row, str):
        return nearest(study, row)
    if isinstance(row, dict) and isinstance(row.get("recipe"), str):
        return {**row, "recipe": nearest(study, row["recipe"])}
    return row
