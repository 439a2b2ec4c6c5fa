"""Numbers of a command line that no range of typer's refuses."""

import math
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from serotone.recognition.bundle import Bundle


LONGEST = 1_000_000
"""Seconds that an option may ask to wait for; from 2 million on, the system has no timer for them."""


def finite(value: float | None) -> float | None:
    """The callback of an option: its value, unless that is NaN or infinite.

    Raises typer.BadParameter (exit status 2).
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number; give one")
    return value


def check_longest(max_seconds: float | None, bundle: "Bundle") -> None:
    """Refuse a ``--max-seconds`` that no recording of the bundle's least length fits in.

    Raises typer.BadParameter (exit status 2).
    """
    if max_seconds is not None and max_seconds < bundle.min_seconds:
        raise typer.BadParameter(
            f"{max_seconds:g} is less than the {bundle.min_seconds:g} s that {bundle.name} needs; give more",
            param_hint="--max-seconds",
        )
