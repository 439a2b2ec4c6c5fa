"""How the C library handles memory that a training step frees, and that the next one asks for again."""

import ctypes
import platform

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
