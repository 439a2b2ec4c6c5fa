"""Freed memory is kept for the next step: the system is asked for pages once, not at every step. None left is said."""

import platform
import subprocess
import sys

import pytest
import torch

from serotone.errors import RecipeError, RunError
from serotone.recipes import load
from serotone.training.allocation import enough_memory
from serotone.training.build import build_system

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


def test_a_network_that_no_memory_holds_is_refused_in_words() -> None:
    with pytest.raises(RecipeError, match=r"crnn-mel: this network does not .* \([\d,.]+ GB were .*; make its encoder"):
        build_system(load("crnn-mel", ["encoder.hidden=10000000"]), 7)
    with pytest.raises(RecipeError, match="crnn-mel: this network does not fit into memory; make its encoder smaller"):
        build_system(load("crnn-mel", [f"encoder.hidden={10**19}"]), 7)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has"), r"memory \(20 GiB were"),
        (MemoryError(), "a batch does not fit into memory; lower it"),
    ],
)
def test_a_batch_too_large_is_said(error: Exception, words: str) -> None:
    with pytest.raises(RunError, match=words), enough_memory(RunError, "a batch", "lower it"):
        raise error


def test_other_errors_of_torch_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), enough_memory(RunError, "a batch", "lower it"):
        torch.ones(2, 3) @ torch.ones(2, 3)
