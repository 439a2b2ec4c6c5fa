"""What a benchmark ran on, as its file says."""

import os
import platform


def machine() -> str:
    """System and cores, such as ``Linux-6.1-x86_64-with-glibc2.36, 2 cores``."""
    return f"{platform.platform()}, {os.cpu_count()} cores"


def busy_machine() -> str:
    """The same, with how busy it is already: for figures that other work on it disturbs."""
    return f"{machine()}, load {os.getloadavg()[0]:.1f} at the start"
