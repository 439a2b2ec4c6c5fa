"""How often the recommended interval held the true score in simulation."""

import json
from functools import cache
from importlib import resources
from typing import Any

from serotone.statistics.answers import Metric


@cache
def _simulated() -> dict[str, Any]:
    path = resources.files("serotone") / "statistics" / "coverage.json"
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def fewest_simulated() -> int:
    """The fewest speakers of whose intervals `simulated_coverage` knows; those of fewer are a guess."""
    return min(map(int, _simulated()["coverage"]["ua"]))


def simulated_coverage(metric: Metric, speakers: int) -> tuple[float, float, int]:
    """Lowest and highest share of the simulated intervals that held the true score, and at how many speakers.

    Of the numbers of speakers that `benchmarks/interval_coverage.py` simulates, the nearest one counts.

    >>> simulated_coverage("ua", 11)[2]
    10

    """
    by_speakers = {int(count): shares for count, shares in _simulated()["coverage"][metric].items()}
    nearest = min(by_speakers, key=lambda count: (abs(count - speakers), count))
    return min(by_speakers[nearest]), max(by_speakers[nearest]), nearest
