"""Memory: what a training step frees, and the next one asks for again; what is said where there is none left."""

import ctypes
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from serotone.errors import SerotoneError

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of ``mallopt`` in glibc's ``malloc.h``."""


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for the next step; whether the C library can do that.

    As it is, glibc gives every large array back to the system when it is freed, and the system clears each page of it
    when the next step asks for it again. That takes up to a third of a step (``benchmarks/allocation.py``). Numbers
    stay the same. The process holds its greatest amount of memory until it ends. Other C libraries are left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(TRIM_THRESHOLD, 2**31 - 1)) and bool(mallopt(MMAP_MAX, 0))


@contextmanager
def enough_memory(kind: type[SerotoneError], what: str, remedy: str) -> Iterator[None]:
    """Let torch's errors about memory be one of serotone's.

    Args:
        kind: Its type.
        what: What does not fit into memory.
        remedy: What to do about that.

    Raises:
        SerotoneError: Of that type; the processor or the GPU has not as much memory as was asked for.
    """
    try:
        yield
    except (MemoryError, RuntimeError, TypeError) as error:
        words = str(error)
        # On the processor it is a plain RuntimeError, and of a size beyond 64 bits a TypeError.
        too_large = any(sign in words for sign in ("can't allocate memory", "Overflow when unpacking"))
        if not (too_large or isinstance(error, MemoryError | torch.OutOfMemoryError)):
            raise
        asked = re.search(r"ried to allocate ([\d.]+) (\w+)", words)
        size = f" ({_readable(float(asked[1]), asked[2])} were asked for at once)" if asked else ""
        raise kind(f"{what} does not fit into memory{size}; {remedy}") from error


def _readable(number: float, unit: str) -> str:
    return f"{number / 1e9:,.1f} GB" if unit == "bytes" else f"{number:g} {unit}"
