"""How many processors this process may use: fewer than the machine has, where a scheduler gave it only some."""

import os


def processors() -> int:
    """Their number, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
