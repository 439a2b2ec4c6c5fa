"""``serotone score``: many recordings to Parquet."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from serotone.cli.messages import Progress, complain, remark, remark_terms
from serotone.cli.output import check_out_folder
from serotone.cli.recordings import called, read_once
from serotone.cli.usage import LONGEST, BundleOption, DigestOption, check_longest, check_ray, finite
from serotone.errors import MissingExtraError, RunError
from serotone.recognition.loading import DEFAULT_BUNDLE
from serotone.recognition.part import Part

if TYPE_CHECKING:
    from serotone.scoring.terms import Outcome

SHOWN_ERRORS = 20
"""Errors that are printed; the others stand in the error table."""


def score(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Audio files, folders, manifests (.csv, .tsv, .parquet with a column path), URLs (s3://, gs://, "
            "https://), or - for a list of paths or URLs on standard input.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder for the answers. The same command continues it.")],
    bundle: BundleOption = DEFAULT_BUNDLE,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Write one row per segment instead of one per recording.")
    ] = False,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Add the embedding of each recording as a column.")
    ] = False,
    profile: Annotated[
        Path | None, typer.Option(help="Adapt the recogniser to this profile, which serotone adapt wrote.")
    ] = None,
    channel: Annotated[int | None, typer.Option(min=0, help="Use only this channel; 0 is the first.")] = None,
    channels: Annotated[
        bool, typer.Option("--channels", help="Answer each channel separately, with one row each.")
    ] = False,
    max_seconds: Annotated[
        float | None, typer.Option(min=0.1, callback=finite, help="Refuse recordings longer than this.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Treat a truncated file as an error, not a warning.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Recordings to score at a time. By default, one per processor; on Ray, as many as fit."
        ),
    ] = None,
    executor: Annotated[Literal["local", "ray"], typer.Option(help="Where to score the recordings.")] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="For Ray: the cluster's host:port, or auto. By default, a cluster is started here."),
    ] = None,
    time_limit: Annotated[
        float,
        typer.Option(
            min=1,
            max=LONGEST,
            callback=finite,
            help="Seconds that one recording may take. After that, it counts as an error.",
        ),
    ] = 3600.0,
    retry_errors: Annotated[
        bool,
        typer.Option(
            "--retry-errors", help="Try recordings again that failed before, such as after a network failure."
        ),
    ] = False,
    sha256: DigestOption = None,
) -> None:
    """Recognise the emotion in many recordings, and write a folder of Parquet files.

    OUT/clips (or OUT/segments) holds the answers, and OUT/errors the recordings that could not be read;
    docs/scaling.md describes both. Recordings that are in the folder already are skipped, so after an interruption the
    same command continues.
    """
    if timeline and embeddings:
        raise typer.BadParameter("works only for whole recordings; leave out --timeline", param_hint="--embeddings")
    if channels and channel is not None:
        raise typer.BadParameter("give --channel or --channels, not both", param_hint="--channel")
    check_ray(executor, {"--address": address is not None})
    check_out_folder(out)
    if profile is not None and read_once(str(profile)):
        raise typer.BadParameter(
            f"{called(str(profile))} can be read only once, and each worker reads it; write it to a file first",
            param_hint="--profile",
        )
    if find_spec("pyarrow") is None:
        raise MissingExtraError("serotone score", "score")
    from serotone.cli.streams import ends_in_order
    from serotone.scoring.inputs import STDIN, find
    from serotone.scoring.scoring import Place, terms_of
    from serotone.scoring.scoring import score as run

    part = Part(channel=channel, apart=channels, max_seconds=max_seconds, strict=strict)
    loaded, terms = terms_of(
        bundle,
        sha256=sha256,
        timeline=timeline,
        embeddings=embeddings,
        part=part,
        profile=profile,
        time_limit=time_limit,
    )
    check_longest(max_seconds, loaded)
    remark_terms(loaded)
    with ends_in_order():
        if STDIN in inputs and sys.stdin is None:
            raise RunError("-: standard input is closed; pipe a list of paths or URLs into it")
        recordings = find(inputs, sys.stdin.buffer.read() if STDIN in inputs else b"")
        progress = Progress(0, "recordings")
        shown = 0

        def plan(answered: int, failed: int, todo: int) -> None:
            nonlocal progress
            progress = Progress(todo, "recordings")
            if answered or failed:
                remark(f"{out}: {answered} of {len(recordings)} recordings are answered, {failed} failed; {todo} to do")

        def tell(outcome: "Outcome") -> None:
            nonlocal shown
            if outcome.error and shown <= SHOWN_ERRORS:
                progress.clear()
                last = shown == SHOWN_ERRORS
                remark(f"further errors are only in {out / 'errors'}") if last else complain(outcome.message)
                shown += 1
            progress.step()

        try:
            tally = run(
                recordings,
                out,
                loaded,
                terms,
                Place(jobs, executor, address),
                retry_errors=retry_errors,
                on_plan=plan,
                on_outcome=tell,
            )
        finally:
            progress.clear()
    counts = f"{tally.answered} recordings answered, {tally.failed} failed"
    if tally.answered_before or tally.failed_before:
        counts += f"; before: {tally.answered_before} answered, {tally.failed_before} failed"
    typer.echo(f"{out}: {counts}")
    if tally.failed_before:
        remark("--retry-errors tries them again")
    if tally.failed or tally.failed_before:
        raise typer.Exit(1)
