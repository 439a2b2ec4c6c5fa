"""Timelines as other programs read them: Audacity's label track, WebVTT's cues, RTTM's segments.

A segment without speech is silence in all of them: it is left out.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import PurePath
from typing import TextIO
from urllib.parse import quote

from serotone.cli.messages import one_line
from serotone.cli.writers import Writer
from serotone.recognition.bundle import Bundle
from serotone.recognition.prediction import Prediction, Segment


class TrackWriter(Writer):
    """Writes the segments with speech of each recording, as soon as they are known."""

    def __init__(self, stream: TextIO, bundle: Bundle, names: Sequence[str]) -> None:
        self._stream = stream
        self._bundle = bundle
        self._names = names

    def add(self, prediction: Prediction) -> None:
        """Write one recording's segments and let whatever reads see them at once."""
        self._stream.writelines(line for _, line in self._lines(prediction))
        self._stream.flush()

    def _lines(self, prediction: Prediction) -> Iterator[tuple[float, str]]:
        """When each segment with speech starts, and its text."""
        for segment in prediction.segments:
            if segment.label is not None:
                yield segment.start, self._line(prediction, segment)

    def _line(self, prediction: Prediction, segment: Segment) -> str:
        """The text of one segment."""
        raise NotImplementedError


class OneRecordingWriter(TrackWriter):
    """Writes the segments of one recording by the time at which they start, whatever their channel, at its end."""

    def __init__(self, stream: TextIO, bundle: Bundle, names: Sequence[str]) -> None:
        super().__init__(stream, bundle, names)
        self._kept: list[tuple[float, str]] = []

    def add(self, prediction: Prediction) -> None:
        """Keep the segments of one channel until those of the others are known."""
        self._kept += self._lines(prediction)

    def finish(self) -> None:
        """Write all segments."""
        self._stream.writelines(line for _, line in sorted(self._kept, key=itemgetter(0)))
        self._stream.flush()


class AudacityWriter(OneRecordingWriter):
    """Audacity's label track: start, end and text, apart by tabs; File > Import > Labels reads it."""

    def _line(self, prediction: Prediction, segment: Segment) -> str:
        side = "" if prediction.channel is None else f"channel {prediction.channel}: "
        return f"{segment.start:.6f}\t{segment.end:.6f}\t{side}{_words(segment)}\n"


class WebVttWriter(OneRecordingWriter):
    """WebVTT: a cue for each segment, which a player shows under the recording. A channel is the cue's voice."""

    _profile_note = ""

    def start(self) -> None:
        """Write the header."""
        self._stream.write("WEBVTT\n")
        self._note(f"emotions by serotone, {self._bundle.name} {self._bundle.version}")

    def add(self, prediction: Prediction) -> None:
        """Write which profile the answer is adapted to, if any, once; the cues follow."""
        if prediction.adaptation and not self._profile_note:
            self._profile_note = prediction.adaptation
            self._note(self._profile_note)
        super().add(prediction)

    def _note(self, text: str) -> None:
        """Write a comment; the arrow of a cue may not be in it."""
        self._stream.write(f"\nNOTE {re.sub('-+>', '->', one_line(text))}\n")

    def _line(self, prediction: Prediction, segment: Segment) -> str:
        voice = "" if prediction.channel is None else f"<v channel {prediction.channel}>"
        text = _words(segment).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"\n{_clock(segment.start)} --> {_clock(segment.end)}\n{voice}{text}\n"


class RttmWriter(TrackWriter):
    """RTTM (NIST, rich transcription): a SPEAKER line for each segment, the emotion in the place of the speaker's name.

    The file is the recording's name without folder and suffix, its blanks replaced by ``_``; where two recordings would
    be the same, it is the whole path, its blanks as in an address: ``%20``. Channels count from 1. The confidence has
    its field.
    """

    def __init__(self, stream: TextIO, bundle: Bundle, names: Sequence[str]) -> None:
        super().__init__(stream, bundle, names)
        # Paths too: what one recording is called without its suffix may be the path of another.
        self._uses = Counter(file for name in set(names) for file in {_short(name), _long(name)})

    def _line(self, prediction: Prediction, segment: Segment) -> str:
        short = _short(prediction.name)
        file = short if self._uses[short] <= 1 else _long(prediction.name)
        length = segment.end - segment.start
        place = f"{(prediction.channel or 0) + 1} {segment.start:.3f} {length:.3f}"
        return f"SPEAKER {file} {place} <NA> <NA> {segment.label} {segment.confidence:.3f} <NA>\n"


def _short(name: str) -> str:
    """A recording's name as one word, without folder and suffix; it may be that of another recording."""
    return re.sub(r"\s", "_", one_line(PurePath(name).stem))


def _long(name: str) -> str:
    """A recording's path as one word, which no other path becomes."""
    return one_line(re.sub(r"[\s%]", lambda found: quote(found[0]), name))


def _words(segment: Segment) -> str:
    """The answer as people read it, such as ``angry 0.83``, with a question mark where it is uncertain."""
    return f"{segment.label}{'?' * segment.uncertain} {segment.confidence:.2f}"


def _clock(seconds: float) -> str:
    """A time as WebVTT writes it, such as 00:01:02.500."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


TRACKS: dict[str, Callable[[TextIO, Bundle, Sequence[str]], TrackWriter]] = {
    "audacity": AudacityWriter,
    "webvtt": WebVttWriter,
    "rttm": RttmWriter,
}
"""The writer of each format of timelines."""
