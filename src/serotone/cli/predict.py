"""``serotone predict``: the emotion of recordings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from serotone.cli.formats import OF_ONE_RECORDING, OF_SEGMENTS, SUFFIXES, Answers
from serotone.cli.messages import remark, remark_terms
from serotone.cli.recordings import STDIN, called, find_recordings, read_once
from serotone.cli.speakers import HELP, remark_unknown, speakers_of
from serotone.cli.streams import ends_in_order
from serotone.cli.usage import (
    BundleOption,
    ChannelOption,
    DigestOption,
    EndOption,
    StartOption,
    check_end,
    check_longest,
    finite,
)
from serotone.recognition.loading import DEFAULT_BUNDLE
from serotone.recognition.part import Part

MANY = 20
"""Recordings from which on a hint says that they can be answered adapted."""


def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Audio files, folders of them, or - for standard input.")
    ],
    bundle: BundleOption = DEFAULT_BUNDLE,
    timeline: Annotated[bool, typer.Option("--timeline", help="Add segments, with start and end in seconds.")] = False,
    format: Annotated[
        Answers | None,
        typer.Option(
            help="How to print the predictions. By default, the suffix of --out decides; without --out, it is a table. "
            "audacity (a label track), webvtt and rttm contain a timeline."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write to this file. If the command is interrupted, run it again: it continues JSON lines and CSV."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the timeline of one recording over its waveform, as .png or .svg; implies --timeline."),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            help="Draw which parts of one recording decided its answer, over its spectrogram, as .png or .svg."
        ),
    ] = None,
    start: StartOption = None,
    end: EndOption = None,
    channel: ChannelOption = None,
    channels: Annotated[
        bool,
        typer.Option(
            "--channels",
            help="Answer each channel separately, such as the two sides of a call. Speakers within one channel are "
            "not told apart.",
        ),
    ] = False,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Read all recordings first, then adapt the recogniser to them as one collection."),
    ] = False,
    profile: Annotated[
        Path | None, typer.Option(help="Adapt the recogniser to this profile, which serotone adapt wrote.")
    ] = None,
    speakers: Annotated[str | None, typer.Option(help=f"{HELP} With --adapt or --profile.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Treat a truncated file as an error, not a warning.")
    ] = False,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            callback=finite,
            help="Refuse recordings longer than this. By default there is no limit; memory does not grow with length.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads to use for each recording.")] = 1,
    sha256: DigestOption = None,
) -> None:
    """Recognise the emotion in recordings, offline.

    A recording that cannot be read gives one line on standard error; the others are still answered, and the exit status
    is 1. Existing recordings are never overwritten: --out refuses a file that is one, or is named like one. For
    thousands of recordings, see serotone score, which hears several at a time.
    """
    if adapt and profile is not None:
        raise typer.BadParameter("give --adapt or --profile, not both", param_hint="--adapt")
    if speakers is not None and not adapt and profile is None:
        raise typer.BadParameter("works only with --adapt or --profile; add one of them", param_hint="--speakers")
    if channels and channel is not None:
        raise typer.BadParameter("give --channel or --channels, not both", param_hint="--channel")
    check_end(start, end)
    if paths.count(STDIN) > 1:
        raise typer.BadParameter("standard input can be read only once; give - once", param_hint="PATH")
    found = list(find_recordings(paths))
    names = [name for name, _ in found]
    if channels and (once := next(filter(read_once, names), None)):
        raise typer.BadParameter(
            f"{called(once)} can be read only once; write it to a file first, or give --channel N",
            param_hint="--channels",
        )
    voices = dict(zip(names, speakers_of(names, paths, speakers), strict=True))
    chosen = _format(format, out, names)
    if out is not None:
        from serotone.cli.output import check_out

        out = check_out(out, [*names, *(path for path in (profile, speakers) if path is not None)])
    part = Part(start, end, channel, apart=channels, max_seconds=max_seconds, strict=strict)
    pictures = {"--plot": plot, "--explain": explain}
    from serotone.cli.pictures import check_apart, check_picture, pictures_of

    drawn = {option: check_picture(path, option, names, part) for option, path in pictures.items() if path is not None}
    check_apart({"--out": out, **drawn})
    from serotone.cli.answers import Wish, adapted, answer
    from serotone.recognition.recognizer import Recognizer

    recognizer = Recognizer(bundle, threads=threads, sha256=sha256)
    check_longest(max_seconds, recognizer.bundle)
    remark_terms(recognizer.bundle)
    if profile is not None:
        recognizer = recognizer.with_profile(profile)
        if speakers is not None and recognizer.current_profile is not None:
            remark_unknown(voices.values(), recognizer.current_profile, speakers)
    with ends_in_order() as check:
        timeline = timeline or chosen in OF_SEGMENTS or plot is not None
        wish = Wish(chosen, timeline=timeline, part=part, check=check, speakers=voices)
        if adapt:
            recognizer, found, wish = adapted(recognizer, found, wish)
        elif profile is None and len(found) >= MANY and recognizer.bundle.adaptation:
            remark(
                f"{len(found)} recordings: if they are of one kind (one microphone, room or call centre), "
                "--adapt answers them better; see docs/adaptation.md"
            )
        if answer(recognizer, found, out, replace(wish, show=pictures_of(drawn, part, recognizer, voices))):
            raise typer.Exit(1)


def _format(given: Answers | None, out: Path | None, names: Sequence[str]) -> Answers:
    """The format that is meant, by the suffix of ``--out`` where none is given."""
    suffix = "" if out is None else out.suffix.lower()
    if given is None and suffix not in SUFFIXES:
        from serotone.audio import AUDIO_SUFFIXES

        if suffix not in AUDIO_SUFFIXES:  # which is refused for what it is
            known = ", ".join(sorted(filter(None, SUFFIXES)))
            raise typer.BadParameter(
                f"{out}: no format has the suffix {suffix}; use one of {known}, or add --format",
                param_hint="--out",
            )
    chosen = given or SUFFIXES.get(suffix, Answers.table)
    if chosen in OF_ONE_RECORDING and len(names) > 1:
        raise typer.BadParameter(
            f"{chosen.value} holds one recording, but {len(names)} were given; give one at a time, or choose rttm, "
            "csv, json or jsonl, which hold many",
            param_hint="--format",
        )
    return chosen
