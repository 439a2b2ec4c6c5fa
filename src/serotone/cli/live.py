"""How live speech is shown: a calm view on a terminal, one JSON object a line anywhere else."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from serotone.cli.console import PipeConsole
from serotone.cli.messages import one_line
from serotone.cli.table import EIGHTHS, can_print, minutes
from serotone.recognition.bundle import Bundle
from serotone.recognition.picture import ink_on, look_of
from serotone.recognition.prediction import SCHEMA, Prediction, Segment
from serotone.recognition.stream import Update

STRIP_SECONDS = 60
"""What the strip shows, a cell a second."""

LAG_SECONDS = 1.0
"""From which on the view says that audio waits."""

WIDEST_BAR = 40


@dataclass(frozen=True, slots=True)
class State:
    """How far a stream is: seconds heard, of audio that waits to be heard, and of audio that was lost."""

    seconds: float
    waiting_seconds: float
    lost_seconds: float


class Shown(Protocol):
    """What shows live speech as it is heard."""

    def show(self, updates: Sequence[Update], state: State) -> None:
        """Take in what is new; called often, also without updates."""

    def close(self) -> None:
        """Leave the terminal in order; the summary follows."""

    def sum_up(self, prediction: Prediction) -> None:
        """Show the answer to all of it."""


class JsonLines:
    """A JSON object for each update, ``"kind": "update"``, and one for the whole at the end, ``"kind": "summary"``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, updates: Sequence[Update], state: State) -> None:
        """Write a line for each update, at once."""
        for update in updates:
            self._write(
                {
                    "schema": SCHEMA,
                    "kind": "update",
                    **update.to_dict(),
                    "waiting_seconds": round(state.waiting_seconds, 3),
                    "lost_seconds": round(state.lost_seconds, 3),
                }
            )

    def close(self) -> None:
        """Nothing to put in order."""

    def sum_up(self, prediction: Prediction) -> None:
        """Write the line of the whole."""
        self._write({"schema": SCHEMA, "kind": "summary", **prediction.to_dict()})

    def _write(self, line: dict[str, object]) -> None:
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()


class View:
    """The current emotion, its doubt, a bar for each emotion, and the last minute as a strip of cells with letters."""

    def __init__(self, stream: TextIO, bundle: Bundle, name: str, *, console: Console | None = None) -> None:
        self._console = console or PipeConsole(file=stream, highlight=False, markup=False, emoji=False)
        self._blocks = can_print(stream, EIGHTHS + "█·")
        self._bundle, self._name = bundle, one_line(name)
        self._letters = letters(bundle.labels)
        self._strip = Strip()
        self._last: Update | None = None
        self._state = State(0.0, 0.0, 0.0)
        self._live = Live(self.drawing(), console=self._console, auto_refresh=False, transient=True)
        self._live.start(refresh=True)

    def show(self, updates: Sequence[Update], state: State) -> None:
        """Take in what is new; draw it with each update and each second, so that the view stays calm.

        What is final comes late: it stays in the strip, and says what is heard now only where nothing later does.
        """
        for update in updates:
            self._strip.add(update.segment, final=update.final)
            if self._last is None or update.segment.end >= self._last.segment.end:
                self._last = update
        drawn, self._state = (int(self._state.seconds), self._remark()), state
        if updates or drawn != (int(state.seconds), self._remark()):
            self._live.update(self.drawing(), refresh=True)

    def close(self) -> None:
        """Take the view away."""
        self._live.stop()

    def sum_up(self, prediction: Prediction) -> None:
        """Print what was heard, and the share of time of each emotion."""
        speech = f"{minutes(prediction.speech_seconds)} of speech in {minutes(prediction.duration_seconds)}"
        self._console.print(Text(f"{self._name}: {speech}"), soft_wrap=True)
        if prediction.label is None:
            self._console.print(Text(f"  no emotion: {prediction.reason}"), soft_wrap=True)
        for label, share in prediction.shares.items():
            self._console.print(self._row(label, share, f"{share:4.0%}", bold=label == prediction.label))

    def drawing(self) -> Group:
        """The view as it is now, of the same height always, so that it does not jump."""
        segment = self._last.segment if self._last else None
        probabilities = segment.probabilities if segment else {}
        rows = [
            self._row(
                label,
                probabilities.get(label, 0.0),
                f"{probabilities[label]:4.2f}" if probabilities else "",
                bold=(segment is not None and label == segment.label),
            )
            for label in self._bundle.labels
        ]
        width = self._console.width
        past = min(STRIP_SECONDS, width - 4)
        lines = [
            self._head(segment),
            Text(),
            *rows,
            Text(),
            self._strip.drawn(self._letters, self._state.seconds, past, dot=self._dot),
            Text(
                f"  the last {past} s: capital certain, small uncertain, {self._dot} no speech",
                "dim",
            ),
            Text("  " + self._remark(), "dim"),
        ]
        for line in lines:
            line.truncate(width)
        return Group(*lines)

    @property
    def _dot(self) -> str:
        return "·" if self._blocks else "."

    def _head(self, segment: Segment | None) -> Text:
        """The emotion now, how sure it is, and how long the stream is."""
        clock = f"{minutes(self._state.seconds)}  {self._name}"
        if segment is None:
            said = Text("listening", "dim")
        elif segment.label is None:
            said = Text("no speech", "dim")
        else:
            doubt = "uncertain" if segment.uncertain else "certain"
            said = Text.assemble(
                (segment.label + "?" * segment.uncertain, "bold"), f"  {segment.confidence:.2f}, {doubt}"
            )
        return Text.assemble("  ", said, " " * max(2, 30 - len(said)), (clock, "dim"))

    def _row(self, label: str, share: float, number: str, *, bold: bool) -> Text:
        """A label, its bar and a number."""
        width = max(8, min(WIDEST_BAR, self._console.width - 24))
        eighths = round(share * width * 8)
        bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip() if self._blocks else "#" * round(share * width)
        letter = self._letters.get(label, "")
        name_width = max(map(len, self._bundle.labels))
        return Text.assemble(
            f"  {letter} ",
            (f"{label:<{name_width}}  ", "bold" if bold else "default"),
            (f"{bar:<{width}} ", _fill(label)),
            number,
        )

    def _remark(self) -> str:
        """What is to be said now; empty where everything is as it should be."""
        remarks = []
        if self._state.lost_seconds:
            remarks.append(f"{self._state.lost_seconds:.1f} s of audio lost, because it arrives too fast")
        if self._state.waiting_seconds >= LAG_SECONDS:
            remarks.append(f"{self._state.waiting_seconds:.0f} s behind")
        profile = self._last.profile if self._last else None
        if profile is not None:
            remarks.append(f"adapted to {profile['name']} ({profile['count']})")
        return "; ".join(remarks) or "Ctrl-C ends"


class Strip:
    """The last minute, a cell a second: each holds what was said when it was new, and in the end what is final."""

    def __init__(self) -> None:
        self._cells: dict[int, tuple[str | None, bool]] = {}  # by second: the label, whether it is uncertain
        self._until = 0.0  # where the last final window ended

    def add(self, segment: Segment, *, final: bool) -> None:
        """Take in an update: a window says only what no final one has heard yet; silence fills what is empty."""
        if segment.label is None:
            for second in range(int(segment.start), int(segment.end)):
                self._cells.setdefault(second, (None, False))
        else:
            first = int(max(segment.start, min(self._until, segment.end - 1)))
            for second in range(first, max(first + 1, round(segment.end))):
                self._cells[second] = (segment.label, segment.uncertain)
            self._until = segment.end if final else self._until
        for second in [second for second in self._cells if second < segment.end - 2 * STRIP_SECONDS]:
            del self._cells[second]

    def drawn(self, named: dict[str, str], seconds: float, width: int, *, dot: str) -> Text:
        """The cells of the last ``width`` seconds before ``seconds``; a cell that is not known yet is blank."""
        line = Text("  ")
        for second in range(int(seconds) - width, int(seconds)):
            label, uncertain = self._cells.get(second, ("", False))
            if not label:  # what lies before a window, and is in none, was no speech
                line.append(dot if label is None or 0 <= second < self._until else " ")
                continue
            letter = named[label]
            line.append(letter.lower() if uncertain else letter, f"{ink_on(_fill(label))} on {_fill(label)}")
        return line


def letters(labels: Sequence[str]) -> dict[str, str]:
    """A capital letter for each label: its first that no earlier label has taken.

    >>> letters(["sad", "surprised", "neutral"])
    {'sad': 'S', 'surprised': 'U', 'neutral': 'N'}
    """
    taken: dict[str, str] = {}
    for label in labels:
        free = [letter for letter in label.upper() + "0123456789" if letter not in taken.values()]
        taken[label] = free[0] if free else "?"
    return taken


def open_shown(bundle: Bundle, name: str) -> Shown:
    """The view where standard output is a terminal, and JSON lines where it is not."""
    return View(sys.stdout, bundle, name) if sys.stdout.isatty() else JsonLines(sys.stdout)


def _fill(label: str) -> str:
    return look_of(label)[0]
