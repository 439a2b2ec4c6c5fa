"""The first step of every frontend: where frames begin, and what stands beyond a clip's ends."""

from typing import Literal

import torch
from torch import Tensor, nn

from serotone.modeling.lengths import Length, frames, samples_for, zero_beyond

Edges = Literal["zeros", "reflect"]


class Framing(nn.Module):
    """Waveforms with what their first and last frames read beyond them: frame t starts at sample t * ``hop``.

    The exporter sets ``exported``: a graph only ever sees clips of equal length, so nothing beyond them has to be
    cleared.

    Args:
        hop: Samples from one frame to the next.
        window_size: Samples of a frame.
        n_fft: Size of the DFT, in whose middle the window stands.
        centred: Frame t is centred on sample t * hop of the clip; otherwise it starts there, and a clip shorter than
            one window has no frame.
        edges: What centred frames see beyond a clip's true ends: zeros, or the clip mirrored at its first and last
            sample (there and back again where it is shorter than half a window).
        drop_last: Leave out the last centred frame, which lies on or beyond the clip's end, as Whisper does.
    """

    def __init__(
        self, *, hop: int, window_size: int, n_fft: int, centred: bool, edges: Edges = "zeros", drop_last: bool = False
    ) -> None:
        super().__init__()
        if hop < 1 or not 2 <= window_size <= n_fft:
            raise ValueError(
                f"the hop is {hop} samples, the window {window_size} and n_fft {n_fft}; expected a hop of at least 1"
                f" and a window of 2 to {n_fft} samples"
            )
        if (edges == "reflect" or drop_last) and not centred:
            raise ValueError(
                f"edges is {edges!r} and drop_last is {drop_last}, but only centred frames have either, and centred is"
                " False; set centred to True, or edges to 'zeros' and drop_last to False"
            )
        self.hop = hop
        self.window_size = window_size
        self.centred = centred
        self.edges = edges
        self.drop_last = drop_last
        # The window stands in the middle of n_fft samples, which stand centred on t * hop.
        self.before = n_fft // 2 - (n_fft - window_size) // 2 if centred else 0
        self.blocks = -(-window_size // hop)  # of one hop, that a window touches
        self.exported = False

    def count(self, samples: Length) -> Length:
        """Frames of a clip of so many samples."""
        number = frames(samples, hop=self.hop, window=self.window_size, centred=self.centred)
        return number - 1 if self.drop_last else number

    def minimum_samples(self, count: int = 1) -> int:
        """Fewest samples that make ``count`` frames."""
        wanted = count + 1 if self.drop_last else count
        return samples_for(wanted, hop=self.hop, window=self.window_size, centred=self.centred)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Waveforms (B, T), lengths (B,) in samples -> (B, before + T + spare), the blocks of every frame whole."""
        if not self.exported:
            waveforms = zero_beyond(waveforms, lengths, dim=1)
        end = waveforms.new_zeros(waveforms.shape[0], self.blocks * self.hop)
        if self.edges == "reflect":
            return torch.cat([self._reflected(waveforms, lengths), end], dim=1)
        start = waveforms.new_zeros(waveforms.shape[0], self.before)
        return torch.cat([start, waveforms, end], dim=1)

    def _reflected(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Each clip (B, T) between its own mirror images, zeros after them: (B, before + T + window - before)."""
        if not self.exported and waveforms.shape[1] == 0:
            waveforms = waveforms.new_zeros(waveforms.shape[0], 1)
        beyond = torch.arange(self.window_size - self.before, device=lengths.device)  # reached after a clip's end
        ahead = torch.arange(-self.before, 0, device=lengths.device)
        start = waveforms.gather(1, _mirrored(ahead[None, :].expand(lengths.shape[0], -1), lengths))
        end = waveforms.gather(1, _mirrored(lengths[:, None] + beyond, lengths))
        if self.exported:
            return torch.cat([start, waveforms, end], dim=1)
        padded = torch.cat([start, waveforms, torch.zeros_like(end)], dim=1)
        return padded.scatter(1, self.before + lengths[:, None] + beyond, end)


def _mirrored(positions: Tensor, lengths: Tensor) -> Tensor:
    """Positions (B, n) folded into clips of lengths (B,): -1 becomes 1, the length itself the last sample but one."""
    period = (2 * (lengths - 1)).clamp_min(1)[:, None]
    there = torch.remainder(positions, period)
    return torch.minimum(there, period - there)
