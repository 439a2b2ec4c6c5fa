"""Levels of blocks of audio, causal; and speech told by level alone, for bundles that do not ask for a detector.

Level is a measure of energy, no detector of voices: noise and music count too. `serotone.recognition.vad` has one.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK_SECONDS = 0.02
RELATIVE_DB = 35.0
FLOOR_DBFS = -70.0

SILENT_DB = 60.0
"""A block so far below the loud level is silent, and no network hears it: a noise floor that rounding may remove."""

LEAST_DBFS = -150.0
"""The loud level is never lower: far below what rounding to 24 bits leaves."""

FALL_DB = 3.0
"""What the loud level loses in each second in which no block reaches it, in dB."""


def block_levels(blocks: NDArray[np.float32]) -> NDArray[np.float64]:
    """The level of each row of (N, T) about its mean, in dBFS; -200 where all its samples are equal."""
    centred = blocks - blocks.mean(axis=1, keepdims=True)
    power = np.einsum("ij,ij->i", centred, centred) / np.float64(blocks.shape[1])
    return np.asarray(10 * np.log10(np.maximum(power, 1e-20)), np.float64)


class Loudness:
    """The loud level of a stream, block by block: it follows a rise at once, and falls by `FALL_DB` a second.

    It moves with the level of the recording, so that the same recording played louder has the same speech.
    """

    def __init__(self, block_seconds: float) -> None:
        self._fall = FALL_DB * block_seconds
        self._level = LEAST_DBFS

    def feed(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """The loud level (N,) at each of N further blocks, whose own ``levels`` are in dBFS; at least `LEAST_DBFS`."""
        fallen = self._fall * np.arange(1, len(levels) + 1)
        loud = np.maximum.accumulate(np.maximum(levels + fallen, self._level)) - fallen
        loud = np.maximum(loud, LEAST_DBFS)
        self._level = float(loud[-1]) if len(loud) else self._level
        return np.asarray(loud, np.float64)


class LevelDetector:
    """Speech by level: 1 where a block is within 35 dB of the loud level and above -70 dBFS, and 0 elsewhere."""

    silence = f"no speech: nothing above {FLOOR_DBFS:g} dBFS"

    def __init__(self, sample_rate: int) -> None:
        self.block = max(1, round(BLOCK_SECONDS * sample_rate))
        self._waiting = np.zeros(0, np.float32)
        self._loudness = Loudness(self.block / sample_rate)

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """1 or 0 (N,) for the N blocks that are whole now; ``samples`` is (T,)."""
        self._waiting = np.concatenate([self._waiting, samples])
        count = len(self._waiting) // self.block
        blocks, self._waiting = np.split(self._waiting, [count * self.block])
        return self._judge(blocks.reshape(count, self.block))

    def finish(self) -> NDArray[np.float32]:
        """1 or 0 (1,) for the last block, which is not whole; (0,) where nothing is left over."""
        rest, self._waiting = self._waiting[None], self._waiting[:0]
        return self._judge(rest if rest.size else rest.reshape(0, 1))

    def _judge(self, blocks: NDArray[np.float32]) -> NDArray[np.float32]:
        levels = block_levels(blocks)
        least = np.maximum(self._loudness.feed(levels) - RELATIVE_DB, FLOOR_DBFS)
        return (levels >= least).astype(np.float32)
