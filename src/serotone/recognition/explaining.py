"""What weighed in an answer, over time: the graph's own attention, or what changes when a piece is left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serotone.audio import Audio
from serotone.errors import AudioTooLongError
from serotone.recognition.bundle import MODEL
from serotone.recognition.hearing import Listener, Row
from serotone.recognition.prediction import Prediction
from serotone.recognition.recognizer import Recognizer
from serotone.recognition.session import start_session
from serotone.recognition.windows import Window, pooled

PIECE_SECONDS = 0.5
"""What is left out at a time."""

MAX_SECONDS = 3600.0
"""The longest audio that is explained: it is held in memory whole, and takes about ten times as long as its answer."""

_ATTENTION = "attention"
_LEAST_SECONDS = 0.02  # less than this is not worth calling left out, such as a first sample that is zero


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What weighed in ``prediction``, over time.

    ``times`` (N + 1,) are the edges of N pieces, in seconds from the beginning of the audio, and ``weights`` (N,) what
    each weighs. By ``kind`` that is

    - ``occlusion``: how much less probable the label is, in natural logarithms of its probability, when the piece is
      left out of what the graph heard. 0 is no difference; below 0 the piece speaks against the label. Where a
      recording is answered in windows, it is left out of each window that it lies in, and the more windows there are,
      the less a piece weighs; a window of which too little is left does not count. Where nothing is left that could be
      answered, the label is taken to be as probable as any other.
    - ``attention``: the share of the graph's attention, which sums to 1. It says where the graph looked, and not what
      it made of it.
    """

    prediction: Prediction
    kind: Literal["attention", "occlusion"]
    times: NDArray[np.float64]
    weights: NDArray[np.float64]


def check_seconds(name: str, seconds: float) -> None:
    """Refuse what is too long to be explained.

    Raises AudioTooLongError: longer than `MAX_SECONDS`.
    """
    if seconds > MAX_SECONDS:
        raise AudioTooLongError(
            f"{name}: {seconds:.0f} s; at most {MAX_SECONDS:g} s are explained. Choose a part of it "
            "(--start and --end, start and end in Python)"
        )


def explain(recognizer: Recognizer, audio: Audio, *, speaker: str | None = None) -> Explanation:
    """What weighed in the answer to ``audio``, which has been read at the bundle's sample rate.

    A bundle whose graph has an output ``attention`` (1, T') explains with it the audio that goes through whole and of
    which nothing is left out before; everything else is explained by occlusion. Without speech there is no label, and
    every weight is 0.

    Raises AudioTooLongError: longer than `MAX_SECONDS`. Raises AudioError as `Recognizer.predict_audio`.
    """
    check_seconds(audio.name, audio.seconds)
    bundle, notes = recognizer.bundle, _Notes(recognizer)
    notes.feed(audio.samples)
    hearing = notes.finish(audio.name, silent=audio.silent, warnings=audio.warnings)[1]
    prediction = recognizer.answer(replace(hearing, notes=audio.notes), speaker=speaker)
    left_out = (hearing.total - hearing.kept) / bundle.sample_rate
    if hearing.whole is not None and left_out <= _LEAST_SECONDS:
        session = start_session(bundle.read(MODEL))
        if any(output.name == _ATTENTION for output in session.get_outputs()):
            weights = session.run([_ATTENTION], {"waveform": audio.samples[None]})[0][0].astype(np.float64)
            times = np.linspace(0.0, audio.seconds, len(weights) + 1)
            return Explanation(prediction, "attention", times, weights / weights.sum())
    heard = [(row, notes.windows[id(row)]) for row in hearing.answering]
    step = round(PIECE_SECONDS * bundle.sample_rate)
    edges = np.append(np.arange(0, hearing.total, step), hearing.total)
    weights = np.zeros(len(edges) - 1)
    if prediction.label is not None:
        weights = _occluded(recognizer, heard, edges, bundle.labels.index(prediction.label), speaker)
    return Explanation(prediction, "occlusion", edges / bundle.sample_rate, weights)


class _Notes(Listener):
    """Notes which window each row is the answer to."""

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__(recognizer.bundle, recognizer.graph, windows=False)
        self.windows: dict[int, Window] = {}  # by the row's identity

    def row(self, window: Window) -> Row:
        """What the graph says to a window."""
        row = super().row(window)
        self.windows[id(row)] = window
        return row


def _occluded(
    recognizer: Recognizer,
    heard: Sequence[tuple[Row, Window]],
    edges: NDArray[np.int64],
    label: int,
    speaker: str | None,
) -> NDArray[np.float64]:
    """How far ln p of a label falls without what lies between neighbours of ``edges`` (N + 1,), in samples: (N,)."""
    least = round(recognizer.bundle.min_seconds * recognizer.bundle.sample_rate)
    answers = recognizer.probabilities([row for row, _ in heard], speaker)
    seconds = np.array([row.weight for row, _ in heard])
    whole = np.log(pooled(answers, seconds)[label])
    weights = np.zeros(len(edges) - 1)
    for place, (start, stop) in enumerate(pairwise(edges.tolist())):
        others, counted = answers.copy(), seconds.copy()
        for number, (row, window) in enumerate(heard):
            if stop <= window.start or window.stop <= start:
                continue
            left = window.without(start, stop)
            if len(left) == len(window.samples):
                continue
            if len(left) < least:
                counted[number] = 0
                continue
            probabilities, embedding = recognizer.graph(left)
            other = row._replace(probabilities=probabilities, embedding=embedding)
            others[number] = recognizer.probabilities([other], speaker)[0]
        chance = 1 / len(recognizer.bundle.labels)
        weights[place] = whole - np.log(pooled(others, counted)[label] if counted.any() else chance)
    return weights
