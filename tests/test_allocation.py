"""Freed memory is kept for the next step: the system is asked for pages once, not at every step."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import sys
from serotone.training.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    bytes(b"x") * len(range(64_000_000))  # freed at once
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left alone")
def test_twenty_steps_ask_for_the_memory_of_two() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keep", "give")
    )
    assert kept < given_back / 8
