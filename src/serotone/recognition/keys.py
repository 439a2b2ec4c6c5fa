"""Typed access to the values of a JSON file that somebody else may have written."""

import math
from collections.abc import Mapping
from pathlib import Path

from serotone.errors import BundleError

HUGE = 1e300
"""No number of a file is this large; a whole number can be too large for a float."""


class Keys:
    """Typed access to the keys of a JSON object, with errors that name the file, the key and what was expected."""

    def __init__(self, where: Path, raw: Mapping[str, object]) -> None:
        self.where = where
        self.raw = raw

    def wrong(self, key: str, expected: str) -> BundleError:
        """The error of a key whose value is not what was expected."""
        got = f"{self.raw[key]!r}"[:80] if key in self.raw else "missing"
        return BundleError(f"{self.where}: {key}: {got}; expected {expected}: fetch or export the bundle again")

    def string(self, key: str) -> str:
        """A printable text that is not empty."""
        value = self.raw.get(key)
        if not isinstance(value, str) or not value or not value.isprintable():
            raise self.wrong(key, "a line of text")
        return value

    def strings(self, key: str) -> list[str]:
        """A list of such texts."""
        value = self.raw.get(key)
        if not isinstance(value, list) or not all(isinstance(v, str) and v and v.isprintable() for v in value):
            raise self.wrong(key, "a list of names")
        return value

    def number(self, key: str, *, above: float = -math.inf) -> float:
        """A finite number, greater than ``above``."""
        value = self.raw.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not -HUGE < value < HUGE or value <= above:
            above_it = "" if above == -math.inf else f" above {above:g}"
            huge = isinstance(value, int | float) and value >= HUGE
            raise self.wrong(key, f"a number{above_it}{f' and below {HUGE:g}' if huge else ''}")
        return float(value)

    def integer(self, key: str, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self.raw.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(key, f"a whole number from {least} to {most}")
        return value

    def mapping(self, key: str) -> dict[str, object]:
        """An object."""
        value = self.raw.get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return value
