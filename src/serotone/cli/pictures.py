"""The pictures that ``predict`` draws of an answer: ``--plot`` and ``--explain``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from serotone.cli.output import check_out
from serotone.cli.recordings import called, read_once
from serotone.errors import MissingExtraError
from serotone.recognition.part import Part

if TYPE_CHECKING:
    from serotone.recognition.prediction import Prediction
    from serotone.recognition.recognizer import Recognizer


def check_picture(path: Path, option: str, names: Sequence[str], part: Part) -> Path:
    """The file that a picture goes to; nothing is touched.

    Raises typer.BadParameter (exit status 2): there is not just one answer to draw, its recording cannot be read
    again, or the file cannot be meant. Raises MissingExtraError: matplotlib is not installed.
    """
    from importlib.util import find_spec

    from serotone.recognition.picture import SUFFIXES

    if len(names) != 1:
        raise typer.BadParameter(f"draws one recording, but {len(names)} were given; give one", param_hint=option)
    if read_once(names[0]):
        what = called(names[0])
        raise typer.BadParameter(f"{what} can be read only once; write it to a file first", param_hint=option)
    if part.apart:
        raise typer.BadParameter("draws one answer; give --channel N instead of --channels", param_hint=option)
    if path.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}", param_hint=option)
    if find_spec("matplotlib") is None:
        raise MissingExtraError(option, "plot")
    return check_out(path, names, option=option, example="answer.png")


def check_apart(files: Mapping[str, Path | None]) -> None:
    """Refuse options that name the same file to write; ``files`` has the file of each option, links followed.

    Raises typer.BadParameter (exit status 2).
    """
    taken: dict[Path, str] = {}
    for option, path in files.items():
        if path is not None and taken.setdefault(path, option) != option:
            raise typer.BadParameter(f"{path} is also given to {taken[path]}; give another name", param_hint=option)


def pictures_of(
    paths: Mapping[str, Path], part: Part, recognizer: "Recognizer", speakers: Mapping[str, str | None]
) -> Callable[["Prediction"], None]:
    """What draws the pictures of an answer; ``paths`` has the file of each option that was given."""

    def show(prediction: "Prediction") -> None:
        from serotone import audio
        from serotone.recognition import picture
        from serotone.recognition.explaining import check_seconds, explain

        begin, rate = part.start or 0.0, recognizer.bundle.sample_rate
        heard = {"sample_rate": rate, "start": part.start, "end": part.end, "channel": part.channel}
        if "--plot" in paths:
            with audio.blocks(prediction.name, **heard) as blocks:  # type: ignore[arg-type]
                wave = picture.envelope(blocks, rate)
            picture.save(picture.draw_timeline(prediction, wave, start=begin), paths["--plot"])
        if "--explain" in paths:
            check_seconds(prediction.name, prediction.duration_seconds)
            sound = audio.read(prediction.name, **heard)  # type: ignore[arg-type]
            explanation = explain(recognizer, sound, speaker=speakers.get(prediction.name))
            explanation = replace(explanation, prediction=prediction)  # which names the channel
            picture.save(picture.draw_explanation(explanation, sound, start=begin), paths["--explain"])

    return show
