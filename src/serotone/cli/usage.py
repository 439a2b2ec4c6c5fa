"""Options that several commands have, and checks of options that need more than typer does."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from serotone.errors import SerotoneError
from serotone.recognition.bundle import Bundle, is_digest
from serotone.recognition.loading import list_bundles

if TYPE_CHECKING:
    from serotone.corpora import Utterance


LONGEST = 1_000_000
"""Seconds that an option may ask to wait for; from 2 million on, the system has no timer for them."""


def finite(value: float | None) -> float | None:
    """The callback of an option: its value, unless that is NaN or infinite.

    Raises typer.BadParameter (exit status 2).
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number; give one")
    return value


def check_longest(max_seconds: float | None, bundle: Bundle) -> None:
    """Refuse a ``--max-seconds`` that no recording of the bundle's least length fits in.

    Raises typer.BadParameter (exit status 2).
    """
    if max_seconds is not None and max_seconds < bundle.min_seconds:
        raise typer.BadParameter(
            f"{max_seconds:g} is less than the {bundle.min_seconds:g} s that {bundle.name} needs; give more",
            param_hint="--max-seconds",
        )


@contextmanager
def blaming(option: str) -> Iterator[None]:
    """Let an error of serotone inside be one of what this option says.

    Raises typer.BadParameter (exit status 2).
    """
    try:
        yield
    except SerotoneError as error:
        raise typer.BadParameter(str(error).removeprefix(f"{option} "), param_hint=option) from error


def _digest(value: str | None) -> str | None:
    if value is not None and not is_digest(value):
        raise typer.BadParameter(f"{value!r} is not a SHA-256; expected 64 hexadecimal digits")
    return value


def completing(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """What a shell completes: those of the names that begin as what is typed does."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


BundleOption = Annotated[
    str,
    typer.Option(help="The recogniser: a shipped bundle's name, or a path.", autocompletion=completing(list_bundles)),
]
BundleArgument = Annotated[
    str,
    typer.Argument(
        metavar="BUNDLE", help="A shipped bundle's name, or a path.", autocompletion=completing(list_bundles)
    ),
]
DigestOption = Annotated[
    str | None, typer.Option(callback=_digest, help="The SHA-256 that the bundle's bundle.json must have.")
]
StartOption = Annotated[
    float | None, typer.Option(min=0, callback=finite, help="Begin this many seconds into each recording.")
]
EndOption = Annotated[
    float | None, typer.Option(min=0, callback=finite, help="Stop this many seconds into each recording.")
]
ChannelOption = Annotated[
    int | None,
    typer.Option(min=0, help="Use only this channel; 0 is the first. By default, the channels are mixed into one."),
]


def check_end(start: float | None, end: float | None) -> None:
    """Make sure that ``--end`` comes after ``--start``.

    Raises typer.BadParameter (exit status 2): it does not.
    """
    if end is not None and end <= (start or 0):
        raise typer.BadParameter(
            f"ends at {end:g} s, which is not after the start; give a later time", param_hint="--end"
        )


def check_ray(executor: str, options: Mapping[str, object]) -> None:
    """Make sure that the options of Ray are for Ray.

    Raises typer.BadParameter (exit status 2): one has a value, and Ray is not the executor.
    """
    if executor != "ray" and (given := [name for name, value in options.items() if value]):
        raise typer.BadParameter("works only with Ray; add --executor ray, or leave it out", param_hint=given[0])


def utterances_of(corpora: Sequence[str], *, to_score: bool = False) -> "list[Utterance]":
    """The utterances of the corpora that ``--corpus`` names, to train on or to score.

    A training makes a synthetic corpus that is not there, and leaves out clips whose file does not exist; a score
    refuses the one, and counts the others as wrong.

    Raises typer.BadParameter (exit status 2): one is not NAME=ROOT, or is named twice. Raises CorpusError: one cannot
    be read.
    """
    from serotone.corpora import parse_corpora, roots_of
    from serotone.corpora.synthetic import check_made

    with blaming("--corpus"):
        roots = roots_of(corpora)
    if to_score:
        for name, root in roots.items():
            check_made(name, root)
    return parse_corpora(corpora, keep_missing=to_score)
