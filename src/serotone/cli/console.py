"""The console of rich, as this command line uses it."""

import errno
import os
from typing import IO

from rich.console import Console


def environment() -> dict[str, str]:
    """The environment without a width or height that is no number from 1 on; rich takes 0 at its word."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("COLUMNS", "LINES") or (value.isdecimal() and value.strip("0"))
    }


class PipeConsole(Console):
    """A console that leaves a pipe whose reader went away to whoever handles errors; rich's own exits with status 1."""

    def __init__(
        self,
        *,
        file: IO[str] | None = None,
        width: int | None = None,
        highlight: bool = True,
        markup: bool = True,
        emoji: bool = True,
    ) -> None:
        super().__init__(
            file=file, width=width, highlight=highlight, markup=markup, emoji=emoji, _environ=environment()
        )

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, as writing to the pipe did."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
