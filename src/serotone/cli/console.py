"""The console of rich, as this command line uses it."""

import errno
import os

from rich.console import Console


class PipeConsole(Console):
    """A console that leaves a pipe whose reader went away to whoever handles errors; rich's own exits with status 1."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, as writing to the pipe did."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
