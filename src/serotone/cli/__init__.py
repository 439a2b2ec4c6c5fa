"""The command line: results on standard output, everything else on standard error.

Exit status: 0 all good, 1 some inputs failed or an error that serotone foresees, 2 usage, 130 stopped by Ctrl-C, 141
the reader of a pipe went away. A command's module is imported when that command runs, so that each starts fast.
"""

import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from serotone import __version__
from serotone.cli.messages import complain, remark
from serotone.errors import SerotoneError, SerotoneWarning

COMMANDS = {
    "predict": "serotone.cli.predict:predict",
    "demo": "serotone.cli.demo:demo",
    "corpus": "serotone.cli.corpus:app",
    "train": "serotone.cli.train:train",
    "crossval": "serotone.cli.crossval:crossval",
    "study": "serotone.cli.study:study",
    "report": "serotone.cli.report:report",
    "search": "serotone.cli.search:search",
    "evaluate": "serotone.cli.evaluate:evaluate",
    "recipe": "serotone.cli.recipe:app",
    "bundle": "serotone.cli.bundle:app",
}
"""Every command: where its function or its group of sub-commands lives."""

PLAIN: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}
"""How Typer is used here: without rich, which costs more to import than the rest of the command line."""


class LazyGroup(TyperGroup):
    """The commands of `COMMANDS`, each imported when it is asked for, and the one place that handles errors."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: typer.Typer | Callable[..., object] = getattr(import_module(module), attribute)
        holder = typer.Typer(**PLAIN)
        if not isinstance(command, typer.Typer):
            holder.command(cmd_name)(command)
            return typer.main.get_command(holder)
        holder.add_typer(command, name=cmd_name)
        return typer.main.get_group(holder).commands[cmd_name]

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an error that serotone foresees is one line and an exit status."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", SerotoneWarning)
            shown = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
                if issubclass(category, SerotoneWarning):
                    remark(message)
                else:
                    shown(message, category, *where)

            warnings.showwarning = show  # type: ignore[assignment]
            try:
                try:
                    return super().invoke(ctx)
                finally:
                    sys.stdout.flush()
            except SerotoneError as error:
                complain(error)
                raise typer.Exit(1) from error
            except BrokenPipeError as error:
                # What reads our output, such as `head`, has seen enough; nothing may be written at exit either.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(141) from error
            except OSError as error:
                if error.filename is None:
                    raise
                complain(f"{error.filename}: {error.strerror or error}; choose another path or free this one")
                raise typer.Exit(1) from error
            except KeyboardInterrupt as error:
                remark("stopped")
                raise typer.Exit(130) from error


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, **PLAIN)


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"serotone {__version__}\n")
        raise typer.Exit


@app.callback()
def serotone(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Recognise emotion in speech, offline; train and compare the systems that do it."""


def main() -> None:
    """Run the command line on this process's arguments; ends by raising SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        # A file name need not be valid text; in JSON the replacement is the right escape.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app(prog_name="serotone")
