"""``serotone demo``: eight clips of real people, the truth next to each answer, hits counted."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from serotone.cli.messages import Progress, complain, remark
from serotone.cli.usage import BundleOption
from serotone.errors import CorpusError, FetchError, SerotoneError
from serotone.files import cache, expanded
from serotone.recognition.bundle import SHIPPED
from serotone.recognition.loading import DEFAULT_BUNDLE

if TYPE_CHECKING:
    from serotone.cli.demo_clips import Clip
    from serotone.recognition.recognizer import Recognizer

DATA = "SEROTONE_DATA"


def demo(
    bundle: BundleOption = DEFAULT_BUNDLE,
    ravdess: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A copy of RAVDESS speech. By default SEROTONE_DATA/ravdess, then the cache, then Zenodo.",
        ),
    ] = None,
) -> None:
    """Recognise eight clips of real people, and count how many answers are right.

    A fixed rule chooses the clips: RAVDESS, actors 19 and 20, first statement, first repetition, normal intensity,
    angry, happy, neutral and sad. If there is no copy of RAVDESS, they are downloaded once (4 MB) and kept in
    SEROTONE_CACHE, or else in ~/.cache/serotone. If that fails, synthetic voices are recognised instead.
    """
    from serotone.recognition.recognizer import Recognizer

    recognizer = Recognizer(bundle)
    try:
        clips = _real_clips(ravdess)
    except FetchError as error:
        remark(f"real speech could not be fetched: {error}")
        remark(f"for real speech, set {DATA} to a folder that holds RAVDESS as ravdess/, or use your own recording:")
        remark("make demo CLIP=my.wav, or serotone predict my.wav")
        failures = _synthetic(recognizer)
    else:
        failures = _real(recognizer, clips)
    if failures:
        raise typer.Exit(1)


def _real_clips(named: Path | None) -> "list[Clip]":
    """The eight clips from the first place that has them, fetched where none has.

    Raises CorpusError: a folder was named and lacks them. Raises FetchError: they could not be fetched.
    """
    from serotone.cli import demo_clips

    if named is not None:
        return demo_clips.find_clips(expanded(named))
    if data := os.environ.get(DATA):
        try:
            return demo_clips.find_clips(Path(data) / "ravdess")
        except CorpusError as error:
            remark(f"the folder in {DATA} cannot be used: {error}")
    try:
        kept = cache() / "ravdess"
    except RuntimeError as error:
        raise FetchError("there is no home folder to keep the clips in; set SEROTONE_CACHE") from error
    if kept.is_dir():
        try:
            return demo_clips.find_clips(kept)
        except CorpusError:
            pass  # a part of them, from a download that was stopped: fetched again
    remark(f"downloading eight clips (4 MB, once) from zenodo.org to {kept}")
    progress = Progress(len(demo_clips.CLIPS), "clips")
    try:
        return demo_clips.fetch_clips(kept, demo_clips.ARCHIVE, on_clip=progress.step)
    except OSError as error:
        raise FetchError(f"{error.filename or kept}: {error.strerror or error}; set SEROTONE_CACHE") from error
    finally:
        progress.clear()


def _real(recognizer: "Recognizer", clips: "Sequence[Clip]") -> int:
    """Print the answers to real speech; the number of clips that could not be read."""
    from serotone.cli.demo_clips import ATTRIBUTION

    unheard = ", who are not in any shipped bundle's training data" if recognizer.bundle.path.parent == SHIPPED else ""
    _line(_styled("Real people: eight clips of RAVDESS speech, in English", bold=True))
    _line(f"chosen by a fixed rule before any answer was seen: actors 19 and 20{unheard};")
    _line("statement 1, repetition 1, normal intensity; angry, happy, neutral and sad")
    _line()
    right, failures = _table(recognizer, [(clip.name, clip.speaker, clip.emotion, clip.path) for clip in clips])
    classes = len(recognizer.bundle.labels)
    _line(f"{right} of {len(clips)} right; guessing among {classes} emotions would get {len(clips) / classes:.1f}")
    _line("Eight clips show how it works, not how good it is: for that, serotone evaluate.")
    _line(_styled(f"Clips: {ATTRIBUTION}", dim=True))
    return failures


def _synthetic(recognizer: "Recognizer") -> int:
    """Print the answers to synthetic voices; the number of clips that could not be read."""
    from serotone.corpora.synthetic import make_examples

    with TemporaryDirectory() as folder:
        clips: list[tuple[str, str, str, Path | None]] = []
        for path in make_examples(Path(folder)):
            speaker, emotion, _ = path.stem.split("_")
            clips.append((path.stem, speaker, emotion, path))
        _line(_styled("Synthetic voices: the eight clips of examples/, made by this project", bold=True))
        _line("No person speaks here, so this says nothing about how well people are recognised.")
        _line()
        _, failures = _table(recognizer, clips)
    return failures


def _table(recognizer: "Recognizer", clips: Sequence[tuple[str, str, str, Path | None]]) -> tuple[int, int]:
    """A row for each clip (name, speaker, truth, path); how many are right, and how many could not be read."""
    from serotone.cli.table import COLOURS
    from serotone.emotions import merged

    bundle = recognizer.bundle
    if unknown := {merged(truth, bundle.merge) for _, _, truth, _ in clips} - set(bundle.labels):
        _line(f"{bundle.name} has no class {', '.join(sorted(unknown))}, so those clips cannot be right")
    width = max(len("answer"), *(len(label) + 1 for label in bundle.labels))
    _line(_styled(f"{'clip':<20}  {'speaker':<10}  {'truth':<{width}}  {'answer':<{width}}  confidence", bold=True))
    right = failures = 0
    uncertain = False
    for name, speaker, truth, path in clips:
        expected = merged(truth, bundle.merge)
        try:
            answer = recognizer.predict(str(path))
        except SerotoneError as error:
            failures += 1
            complain(error)
            continue
        hit = answer.label == expected
        right += hit
        uncertain |= answer.uncertain and answer.label is not None
        shown = "-" if answer.label is None else answer.label + "?" * answer.uncertain
        verdict = _styled("right", fg="green") if hit else _styled("wrong", fg="red")
        said = _styled(f"{shown:<{width}}", fg=COLOURS.get(answer.label or "", "cyan"))
        note = f"  {answer.reason}" if answer.label is None else ""
        _line(f"{name:<20}  {speaker:<10}  {expected:<{width}}  {said}  {answer.confidence:.2f}  {verdict}{note}")
    _line()
    if uncertain:
        _line(f"? uncertain: a confidence below {bundle.thresholds['uncertain']:g}")
    return right, failures


def _styled(text: str, *, fg: str | None = None, bold: bool | None = None, dim: bool | None = None) -> str:
    """The text with colours where standard output is a terminal that wants them."""
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else typer.style(text, fg=fg, bold=bold, dim=dim)


def _line(text: str = "") -> None:
    """One line on standard output, shown at once."""
    sys.stdout.write(f"{text.rstrip()}\n")
    sys.stdout.flush()
