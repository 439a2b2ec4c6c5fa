"""Speech or not: Silero's voice activity detector over blocks of 32 ms, causal, without torch.

The graph in ``silero/`` has the weights of Silero's 16 kHz model (MIT licence, next to it); it is rearranged to take a
sequence of blocks a call, which is several times as fast. A recording is brought to one level first, so that an answer
does not depend on how loud it is; what is silent stays silent.
"""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serotone.errors import BundleError
from serotone.recognition.windows import RELATIVE_DB, Meter, spans, widened

SAMPLE_RATE = 16000
BLOCK = 512
"""Samples of one block, for which there is one probability: 32 ms."""

CONTEXT = 64
"""Samples before a block that the network looks at too."""

THRESHOLDS = ((0.3, 6), (0.15, 8))
"""Probability from which on a block counts as speech, and how many such blocks a recording must have to hold any.

The first pair that a recording satisfies is the one that it is measured by: the second is for whispers and sobs, of
which the network is never sure. Music has single blocks above either, noise and hum none:
``benchmarks/speech_or_not.py``.
"""

MARGIN_SECONDS = 0.15
"""What is kept before the first block of speech and after the last."""

PAUSE_SECONDS = 0.5
"""A longer pause ends a phrase; no window of a long recording reaches over it."""

SILENT_DBFS = -90.0
"""A recording whose loudest block is below this is silent: little more than what rounding to 16 bits leaves."""

LEVEL_DBFS = -26.0
"""Root mean square that the loud part of a recording is brought to before the network hears it."""

MODEL = Path(__file__).parent / "silero" / "silero-vad-16k.onnx"
MODEL_SHA256 = "8f1bee8415b76f426c1682352cdf38dc606e9c28768d0154e95c7a1ddf17a069"

_WIDTH = 128
_BLOCKS_A_CALL = 4096
_REST = np.zeros((1, 1, _WIDTH), np.float32)


class SpeechDetector:
    """The probability of speech in each 32 ms of a stream, as it arrives; how it is cut into pieces changes nothing.

    ``gain`` multiplies the samples before the network hears them; `loudness_gain` computes it where the whole recording
    is there.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self._gain = np.float32(gain)
        self._waiting = np.zeros(CONTEXT, np.float32)  # the context of the next block, and what there is of the block
        self._hidden = self._cell = _REST

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N,) of the N blocks that are whole now; ``samples`` is (T,) mono at 16 kHz."""
        self._waiting = np.concatenate([self._waiting, samples * self._gain])
        count = (len(self._waiting) - CONTEXT) // BLOCK
        answers = [
            self._listen(self._waiting[first * BLOCK :], min(count - first, _BLOCKS_A_CALL))
            for first in range(0, count, _BLOCKS_A_CALL)
        ]
        self._waiting = self._waiting[count * BLOCK :].copy()
        return np.concatenate(answers) if answers else np.zeros(0, np.float32)

    def finish(self) -> NDArray[np.float32]:
        """The probability of the last block, filled up with zeros: (1,), or (0,) where nothing is left over."""
        missing = -(len(self._waiting) - CONTEXT) % BLOCK
        return self.feed(np.zeros(missing, np.float32))

    def _listen(self, stretch: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Probabilities of the first ``count`` blocks; digital silence is 0, and not shown to the network."""
        blocks = np.lib.stride_tricks.sliding_window_view(stretch, CONTEXT + BLOCK)[::BLOCK][:count]
        answers = np.zeros(count, np.float32)
        if len(heard := np.flatnonzero(blocks.any(axis=1))):
            answers[heard], self._hidden, self._cell = _session().run(
                ["probabilities", "next_hidden", "next_cell"],
                {"blocks": blocks[heard], "hidden": self._hidden, "cell": self._cell},
            )
        return answers


def loudness_gain(samples: NDArray[np.float32]) -> float:
    """The factor that brings the loud part of a recording to `LEVEL_DBFS`; 0 where all of it is silent.

    Loud are the blocks within 35 dB of the loudest, as in `serotone.recognition.windows`.
    """
    if not len(samples):
        return 0.0
    whole = len(samples) // BLOCK * BLOCK
    blocks = samples[:whole].reshape(-1, BLOCK) if whole else samples[None]
    parts = [_power(blocks[first : first + _BLOCKS_A_CALL]) for first in range(0, len(blocks), _BLOCKS_A_CALL)]
    power = np.concatenate(parts)
    loudest = power.max(initial=0.0)
    if loudest < 10 ** (SILENT_DBFS / 10):
        return 0.0
    loud = power[power >= loudest * 10 ** (-RELATIVE_DB / 10)].mean()
    return float(10 ** (LEVEL_DBFS / 20) / np.sqrt(loud))


def speech_probabilities(samples: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]]:
    """Where the first block starts, in samples, and the probability of speech in each block of 512 from there on: (N,).

    ``samples`` is (T,) mono at 16 kHz, of any level. Blocks are counted from the first sample that is not zero, so that
    digital silence before a recording changes nothing.
    """
    start, stop = _sounding(samples)
    gain = loudness_gain(samples[start:stop])
    if gain == 0.0:
        return start, np.zeros(-(-(stop - start) // BLOCK), np.float32)
    detector = SpeechDetector(gain)
    pieces = range(start, stop, _BLOCKS_A_CALL * BLOCK)  # so that hours of audio are never there twice
    answers = [detector.feed(samples[first : min(first + pieces.step, stop)]) for first in pieces]
    return start, np.concatenate([*answers, detector.finish()])


def _power(blocks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean square of each row of (N, T) about its mean."""
    centred = blocks - blocks.mean(axis=1, keepdims=True)
    power: NDArray[np.float64] = np.einsum("ij,ij->i", centred, centred) / np.float64(blocks.shape[1])
    return power


def _sounding(samples: NDArray[np.float32]) -> tuple[int, int]:
    """Start and stop of a recording without the zeros at its ends."""
    sounds = samples != 0
    if not sounds.any():
        return 0, 0
    return int(sounds.argmax()), len(samples) - int(sounds[::-1].argmax())


def _speech(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which blocks (N,) are speech."""
    for threshold, least in THRESHOLDS:
        speech = probabilities >= threshold
        if np.count_nonzero(speech) >= least:
            return speech
    return np.zeros(len(probabilities), np.bool_)


def speech_span(samples: NDArray[np.float32]) -> tuple[int, int] | None:
    """Start and stop, in samples, of what lies from the first speech to the last with a margin; None without speech.

    ``samples`` is (T,) mono at 16 kHz, of any level. Training and recognition cut clips by this same function.
    """
    return VoiceMeter(samples).span


class VoiceMeter(Meter):
    """Speech by Silero's detector: only what lies from the first speech to the last is heard.

    ``samples`` is (T,) mono at 16 kHz. ``phrases`` are starts and stops of speech with its margins, apart by more than
    `PAUSE_SECONDS`; a recording without speech has none.
    """

    silence = "no speech: noise, music or silence"

    def __init__(self, samples: NDArray[np.float32]) -> None:
        total = len(samples)
        offset, probabilities = speech_probabilities(samples)
        starts = offset + BLOCK * np.arange(len(probabilities) + 1)
        edges = np.concatenate([[0], np.minimum(starts, total), [total]])
        speech = _speech(probabilities)
        lengths = np.diff(edges) * np.concatenate([[False], speech, [False]])
        super().__init__(edges, lengths, SAMPLE_RATE)
        self.phrases = self._phrases(edges[1:-1], speech, _sounding(samples))

    def _phrases(
        self, edges: NDArray[np.int64], speech: NDArray[np.bool_], sounding: tuple[int, int]
    ) -> list[tuple[int, int]]:
        """Runs of speech, joined over short pauses; stray blocks far from any other speech are none.

        A margin does not reach into digital silence at the ends of the recording.
        """
        margin = round(MARGIN_SECONDS * SAMPLE_RATE)
        changes = np.flatnonzero(np.diff(np.concatenate([[False], speech, [False]])))
        runs = edges[changes].reshape(-1, 2)
        if not len(runs):
            return []
        breaks = np.flatnonzero(runs[1:, 0] - runs[:-1, 1] > round(PAUSE_SECONDS * SAMPLE_RATE)) + 1
        groups = np.split(runs, breaks)
        enough = [group for group in groups if (group[:, 1] - group[:, 0]).sum() >= THRESHOLDS[0][1] * BLOCK]
        return [
            (max(sounding[0], int(group[0, 0]) - margin), min(sounding[1], int(group[-1, 1]) + margin))
            for group in enough or groups
        ]

    @property
    def span(self) -> tuple[int, int] | None:
        """From the first phrase to the last."""
        return (self.phrases[0][0], self.phrases[-1][1]) if self.phrases else None

    def whole(self, least: int) -> tuple[int, int]:
        """The span of speech; all of the recording where there is none."""
        start, stop = self.span or (0, self.total)
        return widened(start, stop, least, self.total)

    def windows(self, window: int, hop: int, least: int) -> list[tuple[int, int]]:
        """Windows within each phrase; a phrase shorter than a window is one of its own length."""
        found = []
        for start, stop in self.phrases or [(0, self.total)]:
            start, stop = widened(start, stop, least, self.total)
            found += [(start + first, start + last) for first, last in spans(stop - start, window, hop)]
        return found


@cache
def _session() -> onnxruntime.InferenceSession:
    """The network, loaded when it is first needed; its file compared with the hash of the one that was shipped."""
    content = MODEL.read_bytes() if MODEL.is_file() else b""
    if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
        raise BundleError(
            f"{MODEL}: missing or damaged; install serotone again (pip install --force-reinstall serotone)"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # recordings differ in length
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
