"""``serotone predict``: the emotion of recordings."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from serotone.cli.messages import Progress, complain, remark
from serotone.errors import AudioError, AudioMissingError, SerotoneError
from serotone.recognition.bundle import DEFAULT_BUNDLE

if TYPE_CHECKING:
    from serotone.recognition.recognizer import Recognizer

STDIN = "-"

Found = tuple[str, AudioError | None]
"""The name of a recording to hear, or of a path where there is none and why."""


class Format(StrEnum):
    """How predictions are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Audio files, folders of them, or - for standard input.")
    ],
    bundle: Annotated[str, typer.Option(help="The recogniser: a shipped bundle's name, or a path.")] = DEFAULT_BUNDLE,
    timeline: Annotated[bool, typer.Option("--timeline", help="Add segments, with start and end in seconds.")] = False,
    format: Annotated[Format, typer.Option(help="How to print the predictions.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Make a truncated file an error, not a warning.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads that one recording may use.")] = 1,
    sha256: Annotated[str | None, typer.Option(help="The SHA-256 that the bundle's bundle.json must have.")] = None,
) -> None:
    """Recognise the emotion in recordings, offline.

    A recording that cannot be heard gives one line on standard error; the rest go on, and the exit status is 1.
    """
    from serotone.recognition.recognizer import Recognizer

    recognizer = Recognizer(bundle, threads=threads, sha256=sha256)
    found = list(find_recordings(paths))
    failures = 0

    def write(stream: TextIO) -> None:
        nonlocal failures
        failures = write_predictions(recognizer, found, stream, format=format, timeline=timeline, strict=strict)

    if out is None:
        write(sys.stdout)
    else:
        _write_file(out, write)
    if failures:
        raise typer.Exit(1)


def find_recordings(paths: Iterable[str]) -> Iterator[Found]:
    """The recordings that the paths of a command line mean, in order; a folder's are sorted, hidden ones left out."""
    from serotone.audio import AUDIO_SUFFIXES

    for path in paths:
        if path == STDIN or not Path(path).is_dir():
            yield path, None
            continue
        inside = []
        for folder, folders, files in os.walk(path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside += [
                os.path.join(folder, name)  # noqa: PTH118 - Path would drop the ./ that the user typed
                for name in files
                if Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith(".")
            ]
        if not inside:
            known = ", ".join(sorted(AUDIO_SUFFIXES))
            yield path, AudioMissingError(f"{path}: no audio in this folder; expected files that end in {known}")
        yield from ((name, None) for name in sorted(inside))


def write_predictions(
    recognizer: "Recognizer", found: list[Found], stream: TextIO, *, format: Format, timeline: bool, strict: bool
) -> int:
    """Answer every recording, writing as each is ready; the number that failed."""
    from serotone.cli.writers import open_writer

    to_terminal = stream is sys.stdout and sys.stdout.isatty()
    progress = Progress(len(found), "recordings", shown=not to_terminal)
    writer = open_writer(format, stream, recognizer.bundle, [name for name, _ in found], timeline=timeline)
    failures = 0
    for name, problem in found:
        try:
            if problem is not None:
                raise problem
            source = sys.stdin.buffer if name == STDIN else name
            prediction = recognizer.predict(source, timeline=timeline, strict=strict)
        except SerotoneError as error:
            failures += 1
            progress.clear()
            complain(error)
            writer.fail(name, error)
        else:
            writer.add(prediction)
            if format is Format.table:
                progress.clear()
                for warning in prediction.warnings:
                    remark(f"{prediction.name}: {warning}")
        progress.step()
    progress.clear()
    writer.finish()
    return failures


def _write_file(path: Path, write: Callable[[TextIO], None]) -> None:
    """Let ``write`` fill a file, which appears only when it is whole; a device or pipe is written to as it is."""
    from serotone.files import write_whole

    def fill(target: Path) -> None:
        with target.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            write(stream)

    if path.exists() and not path.is_file():
        fill(path)
    else:
        write_whole(path, fill)
