"""``serotone predict``: the emotion of recordings."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TextIO

import typer

from serotone.cli.messages import Progress, complain, remark, remark_terms
from serotone.cli.speakers import HELP, speakers_of
from serotone.cli.streams import ends_in_order
from serotone.errors import AudioError, AudioFormatError, AudioMissingError, SerotoneError
from serotone.recognition.bundle import DEFAULT_BUNDLE

if TYPE_CHECKING:
    from serotone.cli.partial import Partial
    from serotone.cli.writers import Writer
    from serotone.recognition.hearing import Hearing
    from serotone.recognition.recognizer import Recognizer

STDIN = "-"

MANY = 20
"""Recordings from which on a hint says that they can be answered adapted."""

KEPT_BYTES = 256 << 20
"""What is kept of recordings that were heard for ``--adapt``; the others are decoded twice."""

Found = tuple[str, AudioError | None]
"""The name of a recording to hear, or of a path where there is none and why."""


class Format(StrEnum):
    """How predictions are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


@dataclass(frozen=True, slots=True)
class Wish:
    """How recordings are to be answered; ``check`` raises where a signal that ends the command was lost.

    ``speakers`` has whose voice recordings are, by name, and ``kept`` what was heard already.
    """

    format: Format
    timeline: bool
    strict: bool
    max_seconds: float | None
    check: Callable[[], None]
    speakers: Mapping[str, str | None]
    kept: Mapping[str, "Hearing"] = field(default_factory=dict)

    def terms(self) -> dict[str, object]:
        """What two commands must have in common for the one to go on with the other's file."""
        return {
            "--format": self.format.value,
            "--timeline": self.timeline,
            "--strict": self.strict,
            "--max-seconds": self.max_seconds,
        }


def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Audio files, folders of them, or - for standard input.")
    ],
    bundle: Annotated[str, typer.Option(help="The recogniser: a shipped bundle's name, or a path.")] = DEFAULT_BUNDLE,
    timeline: Annotated[bool, typer.Option("--timeline", help="Add segments, with start and end in seconds.")] = False,
    format: Annotated[
        Format | None,
        typer.Option(help="How to print the predictions; unless given, as the suffix of --out says, else as a table."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write to this file. Interrupted, JSON lines and CSV go on with the same command."),
    ] = None,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Read all recordings first and answer them as one collection, adapted to it."),
    ] = False,
    profile: Annotated[
        Path | None, typer.Option(help="Answer adapted to this profile, which serotone adapt wrote.")
    ] = None,
    speakers: Annotated[str | None, typer.Option(help=f"{HELP} With --adapt or --profile.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Make a truncated file an error, not a warning.")] = False,
    max_seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="Refuse recordings longer than this; two hours unless given, at 230 MB an hour."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads that one recording may use.")] = 1,
    sha256: Annotated[str | None, typer.Option(help="The SHA-256 that the bundle's bundle.json must have.")] = None,
) -> None:
    """Recognise the emotion in recordings, offline.

    A recording that cannot be heard gives one line on standard error; the rest go on, and the exit status is 1. A file
    that is a recording, or has the name of one, is never written.
    """
    if adapt and profile is not None:
        raise typer.BadParameter("give --adapt or --profile, not both", param_hint="--adapt")
    if speakers is not None and not adapt and profile is None:
        raise typer.BadParameter("has a meaning only with --adapt or --profile; add one", param_hint="--speakers")
    found = list(find_recordings(paths))
    names = [name for name, _ in found]
    voices = dict(zip(names, speakers_of(names, paths, speakers), strict=True))
    chosen = format or _format_of(out)
    if out is not None:
        from serotone.cli.output import check_out

        out = check_out(out, names)
    from serotone.recognition.recognizer import Recognizer

    recognizer = Recognizer(bundle, threads=threads, sha256=sha256)
    remark_terms(recognizer.bundle)
    if profile is not None:
        recognizer = recognizer.with_profile(profile)
    with ends_in_order() as check:
        wish = Wish(chosen, timeline=timeline, strict=strict, max_seconds=max_seconds, check=check, speakers=voices)
        if adapt:
            recognizer, found, wish = _adapted(recognizer, found, wish)
        elif profile is None and len(found) >= MANY and recognizer.bundle.adaptation:
            remark(
                f"{len(found)} recordings: if they are of one kind (one microphone, room or call centre), "
                "--adapt answers them better; see docs/adaptation.md"
            )
        if answer(recognizer, found, out, wish):
            raise typer.Exit(1)


def find_recordings(paths: Iterable[str]) -> Iterator[Found]:
    """The recordings that the paths of a command line mean, in order; a folder's are sorted, hidden ones left out."""
    from serotone.audio import AUDIO_SUFFIXES, scan_folder

    for path in paths:
        if path == STDIN or not Path(path).is_dir():
            yield path, None
            continue
        inside = scan_folder(path)
        if not inside.files and not inside.irregular:
            known = ", ".join(sorted(AUDIO_SUFFIXES))
            yield path, AudioMissingError(f"{path}: no audio in this folder; expected files that end in {known}")
        found = dict.fromkeys(inside.files) | {name: _special(name) for name in inside.irregular}
        yield from sorted(found.items(), key=lambda item: item[0])


def _special(name: str) -> AudioError | None:
    """Why something irregular in a folder is not heard: a pipe, say, would be waited for, and nobody named it."""
    if not Path(name).exists():  # a link to nothing: hearing it says so
        return None
    return AudioFormatError(f"{name}: a pipe, socket or device; a folder's files are heard, name this one to hear it")


def answer(recognizer: "Recognizer", found: list[Found], out: Path | None, wish: Wish) -> int:
    """Answer every recording on standard output or in a file; the number that failed.

    A file of JSON lines or CSV is written line by line, and an earlier command's that was interrupted is gone on with;
    any other appears at the end. From standard input nothing can be read again, so a file with its answer does, too.
    """
    if out is None:
        return _write_anew(recognizer, found, sys.stdout, wish)
    by_line = wish.format in (Format.jsonl, Format.csv) and all(name != STDIN for name, _ in found)
    if by_line and (out.is_file() or not out.exists()):
        return _go_on(recognizer, found, out, wish)
    from serotone.cli.output import write_at_end

    failures = 0

    def write(stream: TextIO) -> None:
        nonlocal failures
        failures = _write_anew(recognizer, found, stream, wish)

    write_at_end(out, write)
    return failures


def _adapted(recognizer: "Recognizer", found: list[Found], wish: Wish) -> tuple["Recognizer", list[Found], Wish]:
    """The recogniser adapted to all recordings, which are heard here; what was heard is kept as far as it is small."""
    from serotone.recognition.profile import ProfileBuilder

    recognizer.adaptation()  # refuses a bundle that cannot be adapted before hours of reading
    builder = ProfileBuilder("these recordings", recognizer.bundle)
    progress = Progress(len(found), "recordings read")
    kept: dict[str, Hearing] = {}
    room = KEPT_BYTES
    heard: list[Found] = []
    for name, problem in found:
        if problem is None:
            try:
                hearing = recognizer.hear(
                    _source(name), timeline=wish.timeline, strict=wish.strict, max_seconds=wish.max_seconds
                )
                builder.add(hearing.embeddings, wish.speakers.get(name))
                if name == STDIN or hearing.nbytes <= room:
                    kept[name] = hearing
                    room -= hearing.nbytes
            except AudioError as error:
                problem = error
            wish.check()
        heard.append((name, problem))
        progress.step()
    progress.clear()
    return recognizer.with_profile(builder.profile()), heard, replace(wish, kept=kept)


def _write_anew(recognizer: "Recognizer", found: list[Found], stream: TextIO, wish: Wish) -> int:
    from serotone.cli.writers import open_writer

    writer = open_writer(wish.format, stream, recognizer.bundle, [name for name, _ in found], timeline=wish.timeline)
    writer.start()
    return _write(recognizer, found, writer, wish, shown=not (stream is sys.stdout and sys.stdout.isatty()))


def _go_on(recognizer: "Recognizer", found: list[Found], out: Path, wish: Wish) -> int:
    """Write a file line by line, from where an earlier command stopped."""
    from serotone import __version__
    from serotone.cli.output import named
    from serotone.cli.partial import Partial
    from serotone.cli.writers import open_writer

    profile = recognizer.current_profile
    adapted = {} if profile is None else {"profile": profile.digest()}
    terms = {"bundle": recognizer.bundle.sha256, **wish.terms(), **adapted, "serotone": __version__}
    names = [name for name, _ in found]
    finished = False
    try:
        with Partial(out, terms, names) as partial:
            if partial.kept:
                remark(
                    f"{partial.path}: {partial.kept} of {len(found)} recordings are answered; going on with the rest"
                )
            todo = [(name, problem) for name, problem in found if problem is not None or not partial.has(name)]
            writer = open_writer(wish.format, partial.stream, recognizer.bundle, names, timeline=wish.timeline)
            if partial.empty:
                writer.start()
            try:
                failures = _write(recognizer, todo, writer, wish, partial=partial)
                partial.finish()
                finished = True
            finally:
                if partial.kept and not finished:
                    remark(
                        f"{partial.path}: {partial.kept} of {len(found)} recordings are answered; "
                        "the same command goes on from there"
                    )
    except OSError as error:
        raise named(error, out) from error
    return failures


def _write(
    recognizer: "Recognizer",
    found: list[Found],
    writer: "Writer",
    wish: Wish,
    *,
    partial: "Partial | None" = None,
    shown: bool = True,
) -> int:
    """Answer every recording, writing as each is ready; the number that failed."""
    progress = Progress(len(found), "recordings", shown=shown)
    failures = 0
    try:
        for name, problem in found:
            try:
                if problem is not None:
                    raise problem
                hearing = wish.kept.get(name)
                if hearing is None:
                    hearing = recognizer.hear(
                        _source(name), timeline=wish.timeline, strict=wish.strict, max_seconds=wish.max_seconds
                    )
                prediction = recognizer.answer(hearing, speaker=wish.speakers.get(name))
                wish.check()
            except SerotoneError as error:
                wish.check()
                failures += 1
                progress.clear()
                complain(error)
                writer.fail(name, error)
            else:
                writer.add(prediction)
                if partial is not None:
                    partial.keep(name)
                if wish.format is Format.table:
                    progress.clear()
                    for warning in prediction.warnings:
                        remark(f"{prediction.name}: {warning}")
            progress.step()
    finally:
        progress.clear()
    writer.finish()
    return failures


def _source(name: str) -> str | BinaryIO:
    """What to hear under a name of the command line."""
    if name != STDIN:
        return name
    if sys.stdin is None:
        raise AudioMissingError("-: standard input is closed; pipe a recording into it, or give a path")
    return sys.stdin.buffer


def _format_of(out: Path | None) -> Format:
    """The format that the name of a file asks for; a table where it asks for none."""
    suffix = "" if out is None else out.suffix.lower().removeprefix(".")
    return Format(suffix) if suffix in Format.__members__ else Format.table
