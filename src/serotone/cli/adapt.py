"""``serotone adapt``: a profile of unlabelled recordings, for ``serotone predict --profile``."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from serotone.cli.messages import Progress, complain, one_line, remark_terms
from serotone.cli.recordings import STDIN, find_recordings
from serotone.cli.speakers import HELP, speakers_of
from serotone.cli.streams import ends_in_order
from serotone.cli.usage import BundleOption, ChannelOption, DigestOption, EndOption, StartOption, check_end
from serotone.errors import SerotoneError
from serotone.names import count_of
from serotone.recognition.loading import DEFAULT_BUNDLE


def adapt(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Audio files of one collection, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(help="Write the profile here, such as office.profile.json.")],
    bundle: BundleOption = DEFAULT_BUNDLE,
    name: Annotated[
        str | None, typer.Option(help="The profile's name in answers. By default, the name of the file.")
    ] = None,
    speakers: Annotated[str | None, typer.Option(help=HELP)] = None,
    start: StartOption = None,
    end: EndOption = None,
    channel: ChannelOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Leave out truncated files.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads to use for each recording.")] = 1,
    sha256: DigestOption = None,
) -> None:
    """Learn how a collection of recordings sounds (one microphone, room or call centre), without labels.

    Reads each recording once and writes a profile: mean, SD and count of what the recogniser hears, no audio and no
    names of files. A recording that cannot be read gives one line on standard error and is left out; the exit
    status is then 1.
    """
    from serotone.cli.output import check_out

    check_end(start, end)
    if STDIN in paths:
        raise typer.BadParameter("a profile needs several recordings; give files or folders, not -", param_hint="PATH")
    found = list(find_recordings(paths))
    names = [recording for recording, _ in found]
    out = check_out(out, [*names, *([speakers] if speakers else [])], example="office.profile.json")
    voices = speakers_of(names, paths, speakers)
    from serotone.recognition.recognizer import Recognizer

    recognizer = Recognizer(bundle, threads=threads, sha256=sha256)
    remark_terms(recognizer.bundle)
    failures: list[SerotoneError] = [error for _, error in found if error is not None]
    for error in failures:
        complain(error)
    usable = [(recording, voice) for (recording, error), voice in zip(found, voices, strict=True) if error is None]
    progress = Progress(len(usable), "recordings")

    with ends_in_order() as check:

        def recordings() -> Iterator[str]:
            for recording, _ in usable:
                yield recording
                check()
                progress.step()

        def fail(source: object, error: SerotoneError) -> None:
            check()
            failures.append(error)
            progress.clear()
            complain(error)

        profile = recognizer.profile(
            recordings(),
            speakers=[voice for _, voice in usable],
            name=name or out.name.removesuffix(".json").removesuffix(".profile") or out.name,
            strict=strict,
            start=start,
            end=end,
            channel=channel,
            on_error=fail,
        )
    progress.clear()
    profile.save(out)
    count = len(profile.speakers)
    known = f", {count_of(count, 'speaker')}" if count else ""
    sys.stdout.write(
        f"{out}: profile {one_line(profile.name)}, count {profile.count}{known}, "
        f"for {recognizer.bundle.name} {recognizer.bundle.version}\n"
    )
    if failures:
        raise typer.Exit(1)
