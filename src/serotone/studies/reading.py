"""The study: YAML in, frozen data out, validated once."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from serotone.errors import RunError
from serotone.names import guess
from serotone.studies.schema import Study


def shipped_studies() -> list[str]:
    """Names of the studies that come with serotone."""
    folder = resources.files("serotone") / "studies"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_study(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    seeds: Sequence[int] | None = None,
    repetitions: int | None = None,
) -> Study:
    """Read a shipped study by name, or a file by path.

    Args:
        name_or_path: Which study.
        overrides: ``key=value`` of every row's recipe, after the study's own; a row's own have the last word.
        seeds: Instead of the study's.
        repetitions: Instead of the study's.

    Raises:
        RunError: The study is missing or not valid.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise RunError(f"{name}: no such study file")
        text, stem = path.read_text(encoding="utf-8"), path.stem
    elif name in shipped_studies():
        text, stem = (resources.files("serotone") / "studies" / f"{name}.yaml").read_text(encoding="utf-8"), name
    else:
        known = shipped_studies()
        raise RunError(
            f"no study {name!r}{guess(name, known)}; shipped are {', '.join(known)}; or give the path of a .yaml file"
        )
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RunError(f"{name}: not YAML: {error}") from None
    if not isinstance(tree, dict):
        raise RunError(f"{name}: expected a mapping of keys to values, got {type(tree).__name__}")
    tree["name"] = tree.get("name") or stem
    tree["set"] = [*(tree.get("set") or ()), *overrides]
    if seeds is not None:
        tree["seeds"] = list(seeds)
    if repetitions is not None:
        tree["repetitions"] = repetitions
    return validated(name, tree)


def validated(name: str, tree: dict[str, Any]) -> Study:
    """A study from plain values.

    Raises:
        RunError: It is not valid; ``name`` says which.
    """
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, problem['loc'])) or 'study'}: {problem['msg']}" for problem in error.errors()]
        raise RunError(f"{name}: {'; '.join(problems)}") from None
