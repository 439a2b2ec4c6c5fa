"""Mistakes of a command line that are only found by what an option is given to."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from serotone.errors import SerotoneError


@contextmanager
def blaming(option: str) -> Iterator[None]:
    """Let an error of serotone inside be one of what this option says.

    Raises typer.BadParameter (exit status 2).
    """
    try:
        yield
    except SerotoneError as error:
        raise typer.BadParameter(str(error).removeprefix(f"{option} "), param_hint=option) from error


def digest(value: str | None) -> str | None:
    """The callback of an option: its value, unless that is no SHA-256.

    Raises typer.BadParameter (exit status 2).
    """
    if value is not None and not re.fullmatch("[0-9a-fA-F]{64}", value):
        raise typer.BadParameter(f"{value!r} is not a SHA-256; expected 64 hexadecimal digits")
    return value
