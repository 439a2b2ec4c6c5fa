"""Mistakes of a command line that are only found by what an option is given to."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from serotone.errors import SerotoneError

if TYPE_CHECKING:
    from serotone.corpora import Utterance


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


def utterances_of(corpora: Sequence[str]) -> "list[Utterance]":
    """The utterances of the corpora that ``--corpus`` names.

    Raises typer.BadParameter (exit status 2): one is not NAME=ROOT, or is named twice. Raises CorpusError: one cannot
    be read.
    """
    from serotone.corpora import parse_corpora, roots_of

    with blaming("--corpus"):
        roots_of(corpora)
    return parse_corpora(corpora)
