"""How many processors this process may use: fewer than the machine has, if only some were given."""

import math
import os
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
