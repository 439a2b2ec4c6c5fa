"""Predictions for people: a row with a bar per class for each recording, or a block where there is but one.

Rows appear as they are known. On a terminal they fit its width, with blocks where it is too narrow for rows; in a file
or a pipe they are as wide as the names ask for, and without colour.
"""

from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.text import Text

from serotone.cli.console import PipeConsole, environment
from serotone.cli.messages import one_line
from serotone.cli.writers import Writer
from serotone.recognition.bundle import Bundle
from serotone.recognition.prediction import Prediction, Segment

COLOURS = {
    "angry": "red",
    "bored": "bright_black",
    "calm": "green",
    "disgusted": "bright_green",
    "excited": "bright_yellow",
    "fearful": "magenta",
    "frustrated": "bright_red",
    "happy": "yellow",
    "neutral": "",
    "sad": "bright_blue",
    "surprised": "cyan",
}
"""The colour of each emotion; of neutral the terminal's own, since white is lost on white, and blue is on black."""
EIGHTHS = " ▏▎▍▌▋▊▉"
ANY_WIDTH = 400
LEAST_BAR, WIDEST_BAR, BLOCK_BAR = 4, 9, 40
LEAST_NAME = 12
SEGMENT = 28
"""Columns of a segment's times and confidence."""


class TableWriter(Writer):
    """Writes a table for recordings of the given names, whose lengths decide its columns."""

    def __init__(self, stream: TextIO, bundle: Bundle, names: Sequence[str]) -> None:
        self._terminal = stream.isatty()
        fixed = None if self._terminal or environment().get("COLUMNS") else ANY_WIDTH
        self._console = PipeConsole(file=stream, width=fixed, highlight=False, markup=False, emoji=False)
        self._encoding = stream.encoding
        self._blocks = can_print(stream, EIGHTHS + "█…")
        self._labels = bundle.labels
        self._bundle = bundle
        self._uncertain_below: set[float] = set()
        self._profile = ""
        self._speakers: set[object] = set()
        self._label_width = max(len("emotion"), *(len(label) + 1 for label in bundle.labels))
        self._name_width, self._bar_width = self._columns(names)
        self._as_rows = len(names) > 1 and self._bar_width >= LEAST_BAR
        room = self._console.width - self._label_width - SEGMENT
        self._indent, self._segment_bar = " " * max(0, min(4, room)), max(0, min(WIDEST_BAR, room - 6))

    def start(self) -> None:
        """Write the heads of the columns, where there are any."""
        if self._as_rows:
            heads = [_fit(label, self._bar_width) for label in self._labels]
            answer = f"{'emotion':<{self._label_width}} {'conf':<4}"
            self._print(Text(f"{'recording':<{self._name_width}}  {answer}  {' '.join(heads)}", "bold"))

    def _columns(self, names: Sequence[str]) -> tuple[int, int]:
        """Widths of the name column and of each bar: names in full if the bars can have their least width then."""
        classes = len(self._labels)
        longest = max(len("recording"), *(cell_len(self._shown(name)) for name in names))
        room = self._console.width - self._label_width - 9
        name_width = max(LEAST_NAME, min(longest, room - classes * (LEAST_BAR + 2)))
        return name_width, min(WIDEST_BAR, (room - name_width) // classes - 1)

    def add(self, prediction: Prediction) -> None:
        """Write a recording's row or block, and a line for each segment of its timeline."""
        level = None
        if prediction.profile is not None:
            level = "collection" if prediction.profile["speaker"] is None else "speaker"
            self._profile = "adapted to {name}, count {count}".format_map(prediction.profile)
            if speaker := prediction.profile["speaker"]:
                self._speakers.add(speaker)
        if (prediction.uncertain and prediction.label) or any(s.uncertain and s.label for s in prediction.segments):
            self._uncertain_below.add(self._bundle.uncertain_below(level))
        (self._add_row if self._as_rows else self._add_block)(prediction)
        for segment in prediction.segments:
            self._add_segment(segment)
        if shares := prediction.shares:
            speech = f"of {prediction.speech_seconds:.1f} s of speech"
            parts = ", ".join(f"{label} {share:.0%}" for label, share in shares.items())
            self._print(Text(f"    {speech}: {parts}", "dim"))

    def finish(self) -> None:
        """Write what the question mark means, if there was one, and which profile answered."""
        if self._uncertain_below:
            limits = " or ".join(f"{threshold:g}" for threshold in sorted(self._uncertain_below))
            self._print(Text(f"? uncertain: a confidence below {limits}", "dim"))
        if self._profile:
            count = len(self._speakers)
            speakers = f", then to {'the speaker' if count == 1 else f'{count} speakers'}" if count else ""
            self._print(Text(one_line(self._profile) + speakers, "dim"))

    def _add_row(self, prediction: Prediction) -> None:
        name = _fit_end(self._shown(prediction.title), self._name_width, "…" if self._blocks else "~")
        row = Text.assemble(name, "  ", self._answer(prediction, self._label_width), "  ")
        if prediction.label is None:
            row.append(prediction.reason or "", "dim")
        for label, probability in prediction.probabilities.items():
            row.append(self._bar(probability, self._bar_width), self._style(prediction, label))
            row.append(" ")
        note = _windows(prediction)
        if note and row.cell_len + len(note) > self._console.width:
            self._print(row)
            row = Text("    ")
        row.append(note, "dim")
        self._print(row)

    def _add_block(self, prediction: Prediction) -> None:
        header = Text.assemble((self._shown(prediction.title), "bold"), f"  {prediction.duration_seconds:.2f} s  ")
        header.append_text(self._answer(prediction, 0))
        header.append(f"  {prediction.reason or _windows(prediction)}", "dim")
        self._print(header)
        width = max(1, min(BLOCK_BAR, self._console.width - self._label_width - 10))
        for label, probability in prediction.probabilities.items():
            style = self._style(prediction, label)
            bar = self._bar(probability, width).rstrip()
            self._print(Text.assemble("    ", (f"{label:<{self._label_width}} {probability:.2f} {bar}", style)))

    def _add_segment(self, segment: Segment) -> None:
        """One line of a timeline, its bar the segment's confidence."""
        times = f"{self._indent}{segment.start:8.2f} - {segment.end:8.2f} s  "
        line = Text.assemble((times, "dim"), self._answer(segment, self._label_width))
        if segment.label is not None:
            line.append("  " + self._bar(segment.confidence, self._segment_bar), COLOURS.get(segment.label, "cyan"))
        self._print(line)

    def _shown(self, name: str) -> str:
        """A recording's name as it will stand there: what the encoding of the output lacks is escaped already."""
        line = one_line(name)
        return line.encode(self._encoding, "backslashreplace").decode(self._encoding) if self._encoding else line

    def _answer(self, answer: Prediction | Segment, width: int) -> Text:
        """Label, at this width or wider, and confidence; as wide where there is no answer."""
        if answer.label is None:
            return Text("-".ljust(width + 5 if width else 1), "dim")
        shown = answer.label + "?" * answer.uncertain
        colour = COLOURS.get(answer.label, "cyan")
        return Text(f"{shown.ljust(width)} {answer.confidence:.2f}", colour if answer.uncertain else f"bold {colour}")

    def _style(self, prediction: Prediction, label: str) -> str:
        return COLOURS.get(label, "cyan") if label == prediction.label else "dim"

    def _bar(self, share: float, width: int) -> str:
        """A bar of ``share`` (0 to 1) of ``width`` characters, in eighths where they can be printed."""
        if not self._blocks:
            return ("#" * round(share * width)).ljust(width)
        eighths = round(share * width * 8)
        bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
        return bar.ljust(width)

    def _print(self, line: Text) -> None:
        line.rstrip()
        self._console.print(line, soft_wrap=not self._terminal)


def _windows(prediction: Prediction) -> str:
    """What to say of a recording too long to go through whole."""
    return f"mean of {prediction.windows} windows" if prediction.windows > 1 else ""


def minutes(seconds: float) -> str:
    """A duration as people write it.

    >>> minutes(75), minutes(4000.4)
    ('1:15', '1:06:40')
    """
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def can_print(stream: TextIO, characters: str) -> bool:
    """Whether the stream's encoding has these characters."""
    try:
        characters.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _fit(text: str, width: int) -> str:
    return text[:width].ljust(width)


def _fit_end(text: str, width: int, mark: str) -> str:
    """The text at this width in a terminal's cells; of a longer one its end, which tells recordings apart."""
    if cell_len(text) > width:
        while cell_len(text) > width - 1:
            text = text[1:]
        text = mark + text
    return text + " " * (width - cell_len(text))
