"""How many processors this process may use: fewer than the machine has, if only some were given."""

import math
import os
from numbers import Integral
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux tells a container its share: microseconds of computing in a period of so many, or ``max``."""


def processors() -> int:
    """Their number, at least 1."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = map(int, QUOTA.read_text(encoding="utf-8").split())
    except (OSError, ValueError):  # no such file, or no limit in it
        return given
    return max(1, min(given, math.ceil(quota / period)))


def check_count(what: str, count: object) -> None:
    """Raise ValueError, naming what it is, for a number of threads or jobs that is no whole number of at least 1."""
    if not isinstance(count, Integral) or count < 1:
        raise ValueError(f"{what} is {count}; expected a whole number of at least 1")
