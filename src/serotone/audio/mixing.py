"""Several channels to one: their mean, brought to the level of the channels that carry sound."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_BARE_DECIBELS = 20.0  # below the loudest channel: such a channel does not count when the mean is taken
_CANCELLED = 0.02  # of the energy that unrelated channels would leave (1): nearly opposite ones
_EQUAL = 1e-4  # of the energy of the channels, by which they may differ and still be called the same


class Mixer:
    """The mean of the channels block by block, and what has to be known of the whole to judge it.

    A mean over six channels of which one speaks is 15.6 dB too soft. So the mean is multiplied at the end by
    ``gain``, the number of channels over the number of those within 20 dB of the loudest. Nothing depends on how the
    sound is cut into blocks.
    """

    def __init__(self, channels: int, only: int | None = None) -> None:
        self.channels = channels
        self.only = only
        self._energies = np.zeros(channels)
        self._mixed = 0.0

    def mix(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next block, (T, channels) to (T,)."""
        if self.only is not None:
            return frames[:, self.only]
        if self.channels == 1:
            return frames[:, 0]
        total = frames[:, 0].copy()
        for channel in range(1, self.channels):
            total += frames[:, channel]
        total /= np.float32(self.channels)
        for channel in range(self.channels):
            self._energies[channel] += _energy(frames[:, channel])
        self._mixed += _energy(total)
        return total

    @property
    def measures(self) -> bool:
        """Whether the answer depends on how loud each channel is, which only the end tells."""
        return self.only is None and self.channels > 1

    @property
    def active(self) -> int:
        """How many channels are within 20 dB of the loudest."""
        return int(np.count_nonzero(self._energies >= self._energies.max() * 10 ** (-_BARE_DECIBELS / 10)))

    @property
    def gain(self) -> float:
        """What the mean is multiplied by."""
        if self.only is not None or not self._energies.any():
            return 1.0
        return self.channels / self.active

    @property
    def loudest(self) -> int:
        """The channel of the greatest energy, the first of several."""
        return int(self._energies.argmax())

    @property
    def cancelled(self) -> bool:
        """Whether the channels take each other away, as when one of two is wired the wrong way round."""
        unrelated = float(self._energies.sum()) / self.channels**2
        return self.only is None and self.active > 1 and self._mixed < _CANCELLED * unrelated

    @property
    def differ(self) -> bool:
        """Whether mixing mixed something: two channels or more that carry sound, and not the same one."""
        if self.only is not None or not self._energies.any() or self.active == 1:
            return False
        carried = float(self._energies.sum()) * self.active / self.channels**2  # of the mean, if all were the same
        return not math.isclose(self._mixed, carried, rel_tol=_EQUAL)


def _energy(values: NDArray[np.float32]) -> float:
    """The sum of squares, exact enough that the order of the blocks does not show."""
    wide = values.astype(np.float64)
    return float(np.dot(wide, wide))
