"""What weighed in an answer, over time: the graph's own attention, or what changes when a piece is silenced."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serotone.audio import Audio
from serotone.errors import AudioTooLongError
from serotone.recognition.bundle import MODEL
from serotone.recognition.prediction import Prediction
from serotone.recognition.recognizer import Recognizer

PIECE_SECONDS = 0.5
"""What is silenced at a time."""

MAX_SECONDS = 30.0
"""The longest audio that is explained: the recogniser hears all of it once for each piece."""

_FADE_SECONDS = 0.005  # at the ends of a silenced piece, where a jump would be a click
_ATTENTION = "attention"
_LEAST_SECONDS = 0.02  # less than this is not worth calling left out, such as a first sample that is zero


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What weighed in ``prediction``, over time.

    ``times`` (N + 1,) are the edges of N pieces, in seconds from the beginning of the audio, and ``weights`` (N,) what
    each weighs. By ``kind`` that is

    - ``occlusion``: how much less probable the label is, in natural logarithms of its probability, when the piece is
      silenced. 0 is no difference; below 0 the piece speaks against the label. Where nothing is left that could be
      answered, the label is taken to be as probable as any other.
    - ``attention``: the share of the graph's attention, which sums to 1. It says where the graph looked, and not what
      it made of it.
    """

    prediction: Prediction
    kind: Literal["attention", "occlusion"]
    times: NDArray[np.float64]
    weights: NDArray[np.float64]


def explain(recognizer: Recognizer, audio: Audio, *, speaker: str | None = None) -> Explanation:
    """What weighed in the answer to ``audio``, which has been read at the bundle's sample rate.

    A bundle whose graph has an output ``attention`` (1, T') explains with it the audio that goes through whole and of
    which nothing is left out before; everything else is explained by occlusion. Without speech there is no label, and
    every weight is 0.

    Raises AudioTooLongError: longer than `MAX_SECONDS`. Raises AudioError as `Recognizer.predict_audio`.
    """
    if audio.seconds > MAX_SECONDS:
        raise AudioTooLongError(
            f"{audio.name}: {audio.seconds:.1f} s; at most {MAX_SECONDS:g} s are explained. Choose a part of it "
            "(--start and --end, start and end in Python)"
        )
    hearing = recognizer.hear_audio(audio)
    prediction, bundle = recognizer.answer(hearing, speaker=speaker), recognizer.bundle
    left_out = (hearing.total - hearing.kept) / bundle.sample_rate
    if hearing.whole is not None and left_out <= _LEAST_SECONDS:
        session = onnxruntime.InferenceSession(bundle.read(MODEL), providers=["CPUExecutionProvider"])
        if any(output.name == _ATTENTION for output in session.get_outputs()):
            weights = session.run([_ATTENTION], {"waveform": audio.samples[None]})[0][0].astype(np.float64)
            times = np.linspace(0.0, audio.seconds, len(weights) + 1)
            return Explanation(prediction, "attention", times, weights / weights.sum())
    return _occluded(recognizer, audio, prediction, speaker)


def _occluded(recognizer: Recognizer, audio: Audio, prediction: Prediction, speaker: str | None) -> Explanation:
    rate = audio.sample_rate
    edges = np.append(np.arange(0, len(audio.samples), round(PIECE_SECONDS * rate)), len(audio.samples))
    weights = np.zeros(len(edges) - 1)
    if prediction.label is not None:
        chance = 1 / len(recognizer.bundle.labels)
        whole = np.log(prediction.confidence)
        for place, (start, stop) in enumerate(pairwise(edges)):
            without = replace(audio, samples=_silenced(audio.samples, start, stop, round(_FADE_SECONDS * rate)))
            left = recognizer.predict_audio(without, speaker=speaker).probabilities
            weights[place] = whole - np.log(max(left.get(prediction.label, chance), 1e-7))
    return Explanation(prediction, "occlusion", edges / rate, weights)


def _silenced(samples: NDArray[np.float32], start: int, stop: int, fade: int) -> NDArray[np.float32]:
    """The samples (T,) without those from ``start`` to ``stop``, where it fades out and in."""
    gain = np.ones(len(samples), np.float32)
    gain[start:stop] = 0
    before, after = max(0, start - fade), min(len(samples), stop + fade)
    gain[before:start] = np.linspace(1, 0, start - before, endpoint=False)
    gain[stop:after] = np.linspace(1, 0, after - stop, endpoint=False)[::-1]
    return samples * gain
