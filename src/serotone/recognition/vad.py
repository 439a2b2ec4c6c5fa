"""Speech or not: Silero's voice activity detector over blocks of 32 ms, causal, without torch.

The graph in ``silero/`` has the weights of Silero's 16 kHz model (MIT licence, next to it); it is rearranged to take a
sequence of blocks a call, which is several times as fast. The network is sure of itself only at a usual level, and a
recording may have any: so each block is brought to one level by the loudest that came before it.
"""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serotone.errors import BundleError
from serotone.recognition.levels import SILENT_DB, Loudness, block_levels
from serotone.recognition.session import start_session

SAMPLE_RATE = 16000
BLOCK = 512
"""Samples of one block, for which there is one probability: 32 ms."""

CONTEXT = 64
"""Samples before a block that the network looks at too."""

LEVEL_DBFS = -26.0
"""Root mean square that the loud level is brought to before the network hears a block."""

LEAP_DB = 6.0
"""Where the loud level rises by more, what came before was heard much too loud, so that the network misjudges what
follows (a recording that begins with a quiet room). It then hears the last `RECALL` blocks again, at the new level."""

RECALL = 62
"""Blocks that are heard again: two seconds."""

MODEL = Path(__file__).parent / "silero" / "silero-vad-16k.onnx"
MODEL_SHA256 = "8f1bee8415b76f426c1682352cdf38dc606e9c28768d0154e95c7a1ddf17a069"

_WIDTH = 128
_BLOCKS_A_CALL = 4096
_REST = np.zeros((1, 1, _WIDTH), np.float32)


class SpeechDetector:
    """Speech by Silero's network; ``samples`` are at 16 kHz and of any level."""

    block = BLOCK
    silence = "no speech: noise, music or silence"

    def __init__(self) -> None:
        self._waiting = np.zeros(CONTEXT, np.float32)  # the context of the next block, and what there is of the block
        self._loudness = Loudness(BLOCK / SAMPLE_RATE)
        self._past = np.zeros((0, CONTEXT + BLOCK), np.float32)  # the last blocks that were heard
        self._lowest = np.inf  # loud level since the network last began
        self._hidden = self._cell = _REST

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N,) of the N blocks that are whole now, 0 for silent ones; ``samples`` is (T,)."""
        self._waiting = np.concatenate([self._waiting, samples])
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
        """Probabilities of the first ``count`` blocks."""
        blocks = np.lib.stride_tricks.sliding_window_view(stretch, CONTEXT + BLOCK)[::BLOCK][:count]
        levels = block_levels(blocks[:, CONTEXT:])
        loud = self._loudness.feed(levels)
        answers = np.zeros(count, np.float32)
        heard = np.flatnonzero(levels >= loud - SILENT_DB)
        leaps = [place for place in heard if self._leaps(loud[place])]
        for part in np.split(heard, np.searchsorted(heard, leaps)):
            if not len(part):
                continue
            if part[0] in leaps:
                self._hidden = self._cell = _REST
                self._hear(self._past, np.full(len(self._past), loud[part[0]]))
            answers[part] = self._hear(blocks[part], loud[part])
            self._past = np.concatenate([self._past, blocks[part[-RECALL:]]])[-RECALL:]
        return answers

    def _leaps(self, level: float) -> bool:
        """Whether the loud level has risen so far that the network has to begin again."""
        leap = level > self._lowest + LEAP_DB
        self._lowest = level if leap else min(self._lowest, level)
        return leap

    def _hear(self, blocks: NDArray[np.float32], loud: NDArray[np.float64]) -> NDArray[np.float32]:
        """What the network says to blocks (N, CONTEXT + BLOCK), each brought to one level by its loud level (N,)."""
        if not len(blocks):
            return np.zeros(0, np.float32)
        gains = 10 ** ((LEVEL_DBFS - loud) / 20)
        answers, self._hidden, self._cell = _session().run(
            ["probabilities", "next_hidden", "next_cell"],
            {"blocks": blocks * gains[:, None].astype(np.float32), "hidden": self._hidden, "cell": self._cell},
        )
        return np.asarray(answers, np.float32)


@cache
def _session() -> onnxruntime.InferenceSession:
    """The network, loaded when it is first needed; its file compared with the hash of the one that was shipped."""
    content = MODEL.read_bytes() if MODEL.is_file() else b""
    if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
        raise BundleError(
            f"{MODEL}: missing or damaged; install serotone again (pip install --force-reinstall serotone)"
        )
    return start_session(content)
