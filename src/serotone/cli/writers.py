"""Predictions as JSON, JSON lines or CSV, each written as soon as it is known.

Tables are in ``cli.table``, formats of timelines in ``cli.tracks``.
"""

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TextIO

from serotone.cli.formats import OF_SEGMENTS, Answers
from serotone.recognition.bundle import Bundle
from serotone.recognition.prediction import SCHEMA, Prediction, Segment


class Writer(ABC):
    """Takes what became of each recording, in order.

    ``tells_remarks`` says that an answer's warnings and notes are in what is written.
    """

    tells_remarks = False

    def start(self) -> None:  # noqa: B027 - JSON lines have no beginning
        """Write what stands at the top."""

    @abstractmethod
    def add(self, prediction: Prediction) -> None:
        """Write one answer."""

    def fail(self, name: str, error: Exception) -> None:  # noqa: B027 - most formats leave failures to standard error
        """Take note of a recording that could not be heard."""

    def finish(self) -> None:  # noqa: B027 - most formats have no end
        """Write what stands at the end."""


def open_writer(format: Answers, stream: TextIO, bundle: Bundle, names: Sequence[str], *, timeline: bool) -> Writer:
    """The writer of a format, a value of ``cli.formats.Answers``, for the recordings of these names."""
    if format is Answers.json:
        return JsonWriter(stream, bundle)
    if format is Answers.jsonl:
        return JsonLinesWriter(stream)
    if format is Answers.csv:
        return CsvWriter(stream, bundle, timeline=timeline)
    if format in OF_SEGMENTS:
        from serotone.cli.tracks import TRACKS

        return TRACKS[format](stream, bundle, names)
    from serotone.cli.table import TableWriter

    return TableWriter(stream, bundle, names)


class JsonWriter(Writer):
    """One JSON object: the bundle, the predictions and the failures."""

    tells_remarks = True

    def __init__(self, stream: TextIO, bundle: Bundle) -> None:
        self._stream = stream
        self._bundle = bundle
        self._failures: list[dict[str, str]] = []
        self._separator = "\n"

    def start(self) -> None:
        """Open the object, with the bundle."""
        bundle = self._bundle
        about = {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256, "labels": bundle.labels}
        self._stream.write(f'{{"schema": {SCHEMA},\n "bundle": {_dump(about)},\n "predictions": [')

    def add(self, prediction: Prediction) -> None:
        """Write one element of ``predictions``."""
        self._stream.write(f"{self._separator}  {_dump(prediction.to_dict())}")
        self._separator = ",\n"

    def fail(self, name: str, error: Exception) -> None:
        """Keep the failure for the end."""
        self._failures.append({"name": name, "error": type(error).__name__, "message": str(error)})

    def finish(self) -> None:
        """Write the failures and close the object."""
        self._stream.write(f'\n ],\n "failures": {_dump(self._failures)}\n}}\n')


class JsonLinesWriter(Writer):
    """One JSON object per prediction and line; failures are on standard error alone."""

    tells_remarks = True

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def add(self, prediction: Prediction) -> None:
        """Write one line and let whatever reads see it at once."""
        self._stream.write(_dump(prediction.to_dict()) + "\n")
        self._stream.flush()


class CsvWriter(Writer):
    """One row per recording, or per segment of a timeline; the header names the columns."""

    def __init__(self, stream: TextIO, bundle: Bundle, *, timeline: bool) -> None:
        self._labels = bundle.labels
        self._timeline = timeline
        self.tells_remarks = not timeline
        self._stream = stream
        self._rows = csv.writer(stream, lineterminator="\n")

    def start(self) -> None:
        """Write the header."""
        middle = ["start", "end"] if self._timeline else ["duration_seconds", "windows", "reason", "warnings", "notes"]
        common = ["label", "confidence", "uncertain", "speech_seconds"]
        self._rows.writerow(["name", *common, *middle, "channel", *(f"p_{label}" for label in self._labels)])

    def add(self, prediction: Prediction) -> None:
        """Write one row, or one for each segment, and let whatever reads see it at once."""
        if self._timeline:
            for segment in prediction.segments:
                self._row(prediction, segment, [f"{segment.start:.3f}", f"{segment.end:.3f}"])
        else:
            details = [
                f"{prediction.duration_seconds:.3f}",
                str(prediction.windows),
                prediction.reason or "",
                "; ".join(prediction.warnings),
                "; ".join(prediction.notes),
            ]
            self._row(prediction, prediction, details)
        self._stream.flush()

    def _row(self, prediction: Prediction, answer: Prediction | Segment, details: list[str]) -> None:
        named = answer.probabilities
        self._rows.writerow(
            [
                prediction.name,
                answer.label or "",
                f"{answer.confidence:.6f}",
                "true" if answer.uncertain else "false",
                f"{answer.speech_seconds:.3f}",
                *details,
                "" if prediction.channel is None else str(prediction.channel),
                *(f"{named[label]:.6f}" if label in named else "" for label in self._labels),
            ]
        )


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
