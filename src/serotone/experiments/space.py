"""What a search may vary: fields of a recipe with their ranges or choices, from YAML or the command line."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from serotone.documents import from_yaml, yaml_word
from serotone.errors import RecipeError

Space = Mapping[str, BaseDistribution]
"""Dotted keys of a recipe and what each may be; a choice is kept as its YAML."""

_RANGE = re.compile(r"([^:,\[\]{}]+):([^:,\[\]{}]+?)(:log)?")


def read_space(path: Path) -> dict[str, BaseDistribution]:
    """A space from YAML: ``key: [a, b]``, or ``key: {low: 1e-4, high: 1e-2, log: true}``.

    Whole numbers make a range of whole numbers, and a ``step`` may then be given.

    Raises:
        RecipeError: The file is missing or says something else.
    """
    try:
        tree = from_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; give a YAML file with the keys to tune, see docs/search.md") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: cannot be read as a search space: {error}; correct it") from None
    if not isinstance(tree, dict) or not tree:
        raise RecipeError(f"{path}: expected keys of a recipe with their ranges or choices, got {type(tree).__name__}")
    return {str(key): _distribution(f"{path}: {key}", value) for key, value in tree.items()}


def parse_tune(text: str) -> tuple[str, BaseDistribution]:
    """Key and range or choices of ``key=low:high``, ``key=low:high:log`` or ``key=a,b,c``.

    Raises:
        RecipeError: It is none of these.

    >>> key, values = parse_tune("encoder.hidden=32:128:log")
    >>> key, values.low, values.high, values.log
    ('encoder.hidden', 32, 128, True)
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise RecipeError(f"--tune {text!r}: expected key=low:high, key=low:high:log or key=a,b,c")
    if match := _RANGE.fullmatch(value):
        return key, _distribution(f"--tune {text!r}", {"low": match[1], "high": match[2], "log": bool(match[3])})
    try:
        return key, _distribution(f"--tune {text!r}", from_yaml(f"[{value}]"))
    except ValueError:
        raise RecipeError(f"--tune {text!r}: the choices are not YAML; expected key=a,b,c") from None


def _distribution(where: str, value: object) -> BaseDistribution:
    if isinstance(value, list):
        words = [yaml_word(choice) for choice in value]
        if len(set(words)) < 2 or len(set(words)) < len(words):
            raise RecipeError(f"{where}: expected two or more different choices, got {', '.join(words) or 'none'}")
        return CategoricalDistribution(words)
    if not isinstance(value, dict) or not {"low", "high"} <= set(value) <= {"low", "high", "log", "step"}:
        raise RecipeError(f"{where}: expected a list of choices, or low and high, with log: true or a step if you like")
    try:
        low, high = _number(value["low"]), _number(value["high"])
        log = bool(value.get("log", False))
        step = None if value.get("step") is None else _number(value["step"])
        if isinstance(low, int) and isinstance(high, int):
            if step is not None and step != int(step):
                raise ValueError(
                    f"the step {step} is not a whole number, but low and high are; give a whole one, or write low as"
                    f" {low}.0"
                )
            return IntDistribution(low, high, log=log, step=1 if step is None else int(step))
        return FloatDistribution(low, high, log=log, step=step)
    except ValueError as error:
        raise RecipeError(f"{where}: not a range from a low to a high number: {error}") from None


def _number(value: object) -> int | float:
    """A finite number as YAML or the command line has it; YAML takes 1e-4 for a word."""
    number: int | float
    try:
        number = int(str(value))
    except ValueError:
        try:
            number = float(str(value))
        except ValueError:
            raise ValueError(f"{value} is not a number") from None
    if not abs(number) <= sys.float_info.max:
        raise ValueError(f"{value} is not a finite number")
    return number
