"""Recordings to answers, in a file or on standard output, each written as soon as it is known."""

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from serotone.cli.formats import BY_LINE, OF_SEGMENTS, WITHOUT_PROFILE, Answers
from serotone.cli.messages import Progress, complain, remark
from serotone.cli.recordings import Found, read_once, source_of
from serotone.errors import AudioError, MissingExtraError, ProfileError, SerotoneError

if TYPE_CHECKING:
    from serotone.cli.partial import Partial
    from serotone.cli.writers import Writer
    from serotone.recognition.bundle import Bundle
    from serotone.recognition.hearing import Hearing
    from serotone.recognition.part import Part
    from serotone.recognition.prediction import Prediction
    from serotone.recognition.recognizer import Recognizer

KEPT_BYTES = 256 << 20
"""What is kept of recordings that were heard for ``--adapt``; the others are decoded twice."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How recordings are to be answered; ``check`` raises where a signal that ends the command was lost.

    ``speakers`` has whose voice recordings are, by name, and ``kept`` what was heard already. ``show`` is called with
    each answer.
    """

    format: Answers
    timeline: bool
    part: "Part"
    check: Callable[[], None]
    speakers: Mapping[str, str | None]
    kept: Mapping[str, list["Hearing"]] = field(default_factory=dict)
    show: Callable[["Prediction"], None] = lambda prediction: None

    def terms(self) -> dict[str, object]:
        """What two commands must have in common for the one to go on with the other's file."""
        return {"--format": self.format.value, "--timeline": self.timeline, **self.part.terms()}


def answer(recognizer: "Recognizer", found: list[Found], out: Path | None, wish: Wish) -> int:
    """Answer every recording on standard output or in a file; the number that failed.

    A file of JSON lines or CSV is written line by line, and an earlier command's that was interrupted is gone on with;
    any other appears at the end. From standard input nothing can be read again, so a file with its answer does, too.
    """
    profile = recognizer.current_profile
    if profile is not None and wish.format in WITHOUT_PROFILE:
        remark(
            f"the answers are adapted to {profile.name}, count {profile.count}; the format {wish.format.value} cannot"
            " say so"
        )
    if out is None:
        return _write_anew(recognizer, found, sys.stdout, wish)
    by_line = wish.format in BY_LINE and not any(read_once(name) for name, _ in found)
    if by_line and (out.is_file() or not out.exists()):
        return _go_on(recognizer, found, out, wish)
    from serotone.cli.output import write_at_end

    failures = 0

    def write(stream: TextIO) -> None:
        nonlocal failures
        failures = _write_anew(recognizer, found, stream, wish)

    write_at_end(out, write)
    return failures


def adapted(recognizer: "Recognizer", found: list[Found], wish: Wish) -> tuple["Recognizer", list[Found], Wish]:
    """The recogniser adapted to all recordings, which are heard here; what was heard is kept as far as it is small."""
    from serotone.recognition.profile import ProfileBuilder

    recognizer.adaptation()  # refuses a bundle that cannot be adapted before hours of reading
    builder = ProfileBuilder("these recordings", recognizer.bundle)
    progress = Progress(len(found), "recordings read")
    kept: dict[str, list[Hearing]] = {}
    room = KEPT_BYTES
    heard: list[Found] = []
    for name, problem in found:
        if problem is None:
            try:
                parts = wish.part.each(source_of(name), recognizer.hear, timeline=wish.timeline)
                for part in parts:
                    builder.add(part.embeddings, wish.speakers.get(name))
                size = sum(part.nbytes for part in parts)
                if read_once(name) or size <= room:
                    kept[name] = parts
                    room -= size
            except (AudioError, MissingExtraError) as error:
                problem = error
            wish.check()
        heard.append((name, problem))
        progress.step()
    progress.clear()
    try:
        profile = builder.profile()
    except ProfileError:  # too few were heard, and nothing is to be answered: say why
        for _, problem in heard:
            if problem is not None:
                complain(problem)
        raise
    return recognizer.with_profile(profile), heard, replace(wish, kept=kept)


def _open_writer(wish: Wish, stream: TextIO, bundle: "Bundle", names: list[str]) -> "Writer":
    """The writer of the format that is wished for, for the recordings of these names."""
    from serotone.cli.writers import CsvWriter, JsonLinesWriter, JsonWriter

    format, timeline = wish.format, wish.timeline
    if format is Answers.json:
        return JsonWriter(stream, bundle)
    if format is Answers.jsonl:
        return JsonLinesWriter(stream)
    if format is Answers.csv:
        return CsvWriter(stream, bundle, timeline=timeline)
    if format in OF_SEGMENTS:
        from serotone.cli.tracks import TRACKS

        return TRACKS[format](stream, bundle, names)
    from serotone.cli.table import TableWriter  # brings rich with it

    channel = ", channel 0" if wish.part.apart or wish.part.channel is not None else ""  # its width in a title
    return TableWriter(stream, bundle, [name + channel for name in names])


def _write_anew(recognizer: "Recognizer", found: list[Found], stream: TextIO, wish: Wish) -> int:
    writer = _open_writer(wish, stream, recognizer.bundle, [name for name, _ in found])
    writer.start()
    return _write(recognizer, found, writer, wish, shown=not (stream is sys.stdout and sys.stdout.isatty()))


def _go_on(recognizer: "Recognizer", found: list[Found], out: Path, wish: Wish) -> int:
    """Write a file line by line, from where an earlier command stopped."""
    from serotone import __version__
    from serotone.cli.output import named
    from serotone.cli.partial import COLUMNS, Partial

    profile = recognizer.current_profile
    adapted = {} if profile is None else {"profile": profile.digest()}
    bundle = recognizer.bundle
    titles = {"bundle": f"{bundle.name} {bundle.version}", "profile": None if profile is None else profile.name}
    terms: dict[str, object] = {"bundle": bundle.sha256, **wish.terms(), **adapted, "serotone": __version__}
    if wish.format is Answers.csv:
        from serotone.recognition.rows import columns

        terms[COLUMNS] = columns(bundle.labels, timeline=wish.timeline)
    names = [name for name, _ in found]
    finished = False
    try:
        with Partial(out, terms, names, wish.speakers, titles) as partial:
            if kept := partial.kept:
                known = f"{kept} of {len(found)} recordings are answered already"
                remark(f"{partial.path}: {known}; continuing with the rest")
            todo = [(name, problem) for name, problem in found if problem is not None or not partial.has(name)]
            writer = _open_writer(wish, partial.stream, bundle, names)
            if partial.empty:
                writer.start()
            try:
                failures = _write(recognizer, todo, writer, wish, partial=partial)
                partial.finish()
                finished = True
            finally:
                if not finished and (kept := partial.kept):
                    remark(
                        f"{partial.path}: {kept} of {len(found)} recordings are answered; "
                        "run the same command again to continue"
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
                speaker = wish.speakers.get(name)
                if name in wish.kept:
                    predictions = [recognizer.answer(part, speaker=speaker) for part in wish.kept[name]]
                else:
                    predict = functools.partial(recognizer.predict, speaker=speaker)
                    predictions = wish.part.each(source_of(name), predict, timeline=wish.timeline)
                wish.check()
            except SerotoneError as error:
                wish.check()
                failures += 1
                progress.clear()
                complain(error)
                writer.fail(name, error)
            else:
                for prediction in predictions:
                    try:
                        wish.show(prediction)  # first: what is kept is not answered, and not drawn, again
                    except SerotoneError as error:  # of a picture; the answer stands
                        failures += 1
                        progress.clear()
                        complain(error)
                    writer.add(prediction)
                if partial is not None:
                    partial.keep(name)
                progress.clear()
                for prediction in predictions:
                    if not writer.tells_remarks:
                        for line in (*prediction.warnings, *prediction.notes):
                            remark(f"{prediction.title}: {line}")
            progress.step()
    finally:
        progress.clear()
    writer.finish()
    return failures
