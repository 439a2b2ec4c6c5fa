"""``serotone listen``: the emotion of live speech."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from serotone.cli.messages import remark, remark_terms
from serotone.cli.recordings import STDIN
from serotone.cli.streams import notes_signals
from serotone.cli.usage import BundleOption, DigestOption, finite
from serotone.recognition.loading import DEFAULT_BUNDLE

TAKE_SECONDS = 0.2
"""How long at most nothing happens."""

INTERRUPTED = 130


def listen(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|-]", help="A file, or - for standard input. By default, the microphone."),
    ] = None,
    bundle: BundleOption = DEFAULT_BUNDLE,
    fast: Annotated[
        bool, typer.Option("--fast", help="Read a file or a pipe as fast as possible, not at the pace of speech.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            callback=finite,
            help="Give an update every so many seconds. By default every 0.5; with --fast only final updates.",
        ),
    ] = None,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Learn a profile of this stream while listening, and adapt the recogniser to it."),
    ] = False,
    profile: Annotated[
        Path | None, typer.Option(help="Adapt the recogniser to this profile, which serotone adapt wrote.")
    ] = None,
    channel: Annotated[
        int | None,
        typer.Option(min=0, help="Use only this channel; 0 is the first. By default, the channels are mixed."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Use this microphone: its number, or a part of its name that no other one has."),
    ] = None,
    devices: Annotated[bool, typer.Option("--devices", help="List the microphones and exit.")] = False,
    rate: Annotated[
        int | None,
        typer.Option(
            min=1000, max=768_000, help="Standard input is raw audio: mono, 16 bits, this many samples per second."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads to use for each answer.")] = 1,
    sha256: DigestOption = None,
) -> None:
    """Recognise the emotion in live speech, offline. Prints a live view on a terminal, JSON lines elsewhere.

    A file, or WAV on standard input, is played at the pace of speech. Ctrl-C stops and prints a summary.
    """
    if adapt and profile is not None:
        raise typer.BadParameter("give --adapt or --profile, not both", param_hint="--adapt")
    if rate is not None and source != STDIN:
        raise typer.BadParameter("is for raw samples on standard input; give - as the source", param_hint="--rate")
    if rate is not None and channel:
        raise typer.BadParameter("raw samples have one channel, 0", param_hint="--channel")
    if device is not None and source is not None:
        raise typer.BadParameter("names a microphone; leave out the file, or this option", param_hint="--device")
    if fast and source is None:
        raise typer.BadParameter("a microphone cannot be read faster; give a file or -", param_hint="--fast")
    from serotone.cli import incoming as sounds

    if devices:
        found = sounds.microphones()
        typer.echo("\n".join(found) or "no microphone: plug one in")
        return
    from serotone.recognition.recognizer import Recognizer
    from serotone.recognition.stream import UPDATE_SECONDS

    recognizer = Recognizer(bundle, threads=threads, sha256=sha256)
    remark_terms(recognizer.bundle)
    if profile is not None:
        recognizer = recognizer.with_profile(profile)
    elif adapt:
        recognizer.adaptation()  # refuses a bundle that cannot be adapted before anything is opened
    if source is None:
        incoming = sounds.open_microphone(channel=channel, device=device)
    elif source == STDIN:
        incoming = sounds.open_pipe(sounds.standard_input(), rate=rate, channel=channel, fast=fast)
    else:
        incoming = sounds.open_file(source, sample_rate=recognizer.bundle.sample_rate, channel=channel, fast=fast)
    from serotone.cli.live import State, open_shown

    every_seconds = None if fast and every is None else every or UPDATE_SECONDS
    stream = recognizer.stream(
        sample_rate=incoming.sample_rate, name=incoming.name, adapt=adapt, every_seconds=every_seconds
    )
    line = incoming.line

    def state() -> State:
        """How far it is; without a pace, what waits says nothing."""
        return State(stream.seconds, 0.0 if fast else line.waiting_seconds, line.lost_seconds)

    shown = open_shown(recognizer.bundle, incoming.name)
    try:
        with incoming, notes_signals() as signalled:
            while not line.finished and signalled() is None:
                samples = line.take(TAKE_SECONDS)
                shown.show(stream.feed(samples) if len(samples) else [], state())
        if line.problem is not None and not stream.seconds:
            raise line.problem
        prediction = stream.finish()
        shown.show(stream.last_updates, state())
    finally:
        shown.close()
    lost = line.lost_seconds
    odd = [f"{lost:.1f} s of audio arrived faster than it was answered, and were lost"] if lost else []
    own = prediction.warnings if source in (None, STDIN) else ()  # a file's reader warns of the same
    prediction = replace(
        prediction, warnings=(*odd, *incoming.warnings, *own), notes=tuple(incoming.notes), channel=channel
    )
    shown.sum_up(prediction)
    for text in (*prediction.warnings, *prediction.notes):
        remark(f"{prediction.title}: {text}")
    if line.problem is not None:
        raise line.problem
    if (status := signalled()) not in (None, INTERRUPTED):
        raise typer.Exit(status)
