"""The command line: results on standard output, everything else on standard error.

Exit status: 0 all good; 1 some inputs failed, or an error that serotone foresees (a full disk among them); 2 usage: the
command line is wrong, whatever lies in the files that it names; 129, 130 or 143 stopped by a closed terminal, Ctrl-C or
SIGTERM; 141 the reader of a pipe went away. A command's module is imported when that command runs, so that each starts
fast.
"""

import errno
import os
import re
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from serotone import __version__
from serotone.cli.messages import complain, remark
from serotone.cli.streams import SignalledError, give_up_standard_output, open_standard_streams, write_problem
from serotone.errors import NO_ROOM, SerotoneError, SerotoneWarning
from serotone.files import expanded
from serotone.names import guess

COMMANDS = {
    "predict": "serotone.cli.predict:predict",
    "listen": "serotone.cli.listen:listen",
    "demo": "serotone.cli.demo:demo",
    "serve": "serotone.cli.serve:serve",
    "adapt": "serotone.cli.adapt:adapt",
    "score": "serotone.cli.score:score",
    "corpus": "serotone.cli.corpus:app",
    "train": "serotone.cli.train:train",
    "crossval": "serotone.cli.crossval:crossval",
    "study": "serotone.cli.study:app",
    "report": "serotone.cli.report:report",
    "search": "serotone.cli.search:search",
    "evaluate": "serotone.cli.evaluate:evaluate",
    "recipe": "serotone.cli.recipe:app",
    "bundle": "serotone.cli.bundle:app",
}
"""Every command: where its function or its group of sub-commands lives."""

PLAIN: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}
"""How Typer is used here: without rich, which costs more to import than the rest of the command line."""


_HOME = re.compile(r"^(--[a-z0-9-]+=)?~/")


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
            return _summed_up(typer.main.get_command(holder))
        holder.add_typer(command, name=cmd_name)
        group: Any = typer.main.get_group(holder).commands[cmd_name]
        for one in group.commands.values():
            _summed_up(one)
        return _summed_up(group)

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Take ``~/`` for the user's folder: shells leave it as it is in ``--out=~/answers.csv`` and in quotes."""
        return super().parse_args(
            ctx, [_HOME.sub(lambda found: f"{found[1] or ''}{expanded('~')}/", arg) for arg in args]
        )

    def make_context(self, *given: Any, **more: Any) -> Any:
        """What the command line says; the help and the version are printed here, and what reads them may go away."""
        try:
            return super().make_context(*given, **more)
        except OSError as error:
            raise typer.Exit(_status_of(error)) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names; a misspelt one is refused with the nearest that there is."""
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}{guess(args[0], COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an error that serotone foresees is one line and an exit status."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", SerotoneWarning)
            shown = warnings.showwarning
            said: set[str] = set()

            def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
                if issubclass(category, SerotoneWarning):
                    # Once: every row and repetition of a study says the same of its corpus.
                    if str(message) not in said:
                        said.add(str(message))
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
            except OSError as error:
                raise typer.Exit(_status_of(error)) from error
            except KeyboardInterrupt as error:
                remark("stopped")
                raise typer.Exit(error.status if isinstance(error, SignalledError) else 130) from error


def _summed_up(command: Any) -> Any:
    """The command with its first sentence whole in lists of commands, where Typer would cut it at the line's end."""
    command.short_help = re.split(r"(?<=\.)\s", command.help, maxsplit=1)[0].replace("\n", " ")
    return command


def _status_of(error: OSError) -> int:
    """The exit status after an error of the system, said in one line; the error itself where nothing is known of it."""
    where = error.filename
    if isinstance(error, BrokenPipeError):
        # What reads our output, such as `head`, has seen enough; nothing may be written at exit either.
        give_up_standard_output()
        return 141
    if where is None and isinstance(error, FileNotFoundError):
        try:
            Path.cwd()
        except FileNotFoundError:
            complain("the folder that this command runs in was deleted; change to another one with cd")
            return 1
    if where is None:
        # Files are named by what writes them, so this is standard output; unbuffered, there is nothing left to be sure.
        lost = give_up_standard_output()
        if not lost and error.errno not in (*NO_ROOM, errno.EBADF, errno.EIO):  # those of a closed or a lost one
            raise error
        where = "standard output" if lost else "output"
    complain(write_problem(error, os.fsdecode(where)))
    return 1


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, **(PLAIN | {"add_completion": True}))


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
    open_standard_streams()
    try:
        try:
            app(prog_name="serotone")
        finally:
            sys.stdout.flush()
    except OSError as error:  # of the help and the version, which no command of ours prints
        raise SystemExit(_status_of(error)) from error
