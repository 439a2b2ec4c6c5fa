"""Predictions as JSON, JSON lines or CSV, each written as soon as it is known.

Tables are in ``cli.table``, formats of timelines in ``cli.tracks``; ``cli.answers`` knows them all.
"""

import csv
from abc import ABC, abstractmethod
from typing import TextIO

from serotone.cli.streams import as_json
from serotone.names import utf8
from serotone.recognition.bundle import Bundle
from serotone.recognition.prediction import SCHEMA, Prediction
from serotone.recognition.rows import columns, rows


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
        self._stream.write(f'{{"schema": {SCHEMA},\n "bundle": {as_json(about, self._stream)},\n "predictions": [')

    def add(self, prediction: Prediction) -> None:
        """Write one element of ``predictions``."""
        self._stream.write(f"{self._separator}  {as_json(prediction.to_dict(), self._stream)}")
        self._separator = ",\n"

    def fail(self, name: str, error: Exception) -> None:
        """Keep the failure for the end."""
        self._failures.append({"name": name, "error": type(error).__name__, "message": str(error)})

    def finish(self) -> None:
        """Write the failures and close the object."""
        self._stream.write(f'\n ],\n "failures": {as_json(self._failures, self._stream)}\n}}\n')


class JsonLinesWriter(Writer):
    """One JSON object per prediction and line; failures are on standard error alone."""

    tells_remarks = True

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def add(self, prediction: Prediction) -> None:
        """Write one line and let whatever reads see it at once."""
        self._stream.write(as_json(prediction.to_dict(), self._stream) + "\n")
        self._stream.flush()


class CsvWriter(Writer):
    """One row per recording, or per segment of a timeline; the header names the columns."""

    def __init__(self, stream: TextIO, bundle: Bundle, *, timeline: bool) -> None:
        self._columns = columns(bundle.labels, timeline=timeline)
        self._timeline = timeline
        self.tells_remarks = not timeline
        self._stream = stream
        self._rows = csv.writer(stream, lineterminator="\n")

    def start(self) -> None:
        """Write the header."""
        self._rows.writerow(self._columns)

    def add(self, prediction: Prediction) -> None:
        """Write one row, or one for each segment, and let whatever reads see it at once."""
        for row in rows(prediction, timeline=self._timeline):
            self._rows.writerow([_cell(column, row.get(column)) for column in self._columns])
        self._stream.flush()


def _cell(column: str, value: object) -> str:
    """A value as CSV holds it: seconds to the millisecond, probabilities to six digits, nothing where it is unknown."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6f}" if column == "confidence" or column.startswith("p_") else f"{value:.3f}"
    if isinstance(value, list):
        return utf8("; ".join(value))
    return "" if value is None else utf8(str(value))
