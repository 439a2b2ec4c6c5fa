"""Other voices, rooms and microphones, made of frames: log10 of power relative to a clip's maximum (B, T, F).

Each function does one thing to such frames, in decades of power, and draws nothing; :func:`augmented` draws from one
generator what is done. All of it is ours; masks are those of Park et al., "SpecAugment", Interspeech 2019, and the
warped band axis is the vocal tract length perturbation of Jaitly and Hinton, ICML workshop on audio, 2013.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

FLOOR = -8.0
"""Nothing in a clip counts that is further below its maximum."""

MASKED = -3.0
"""What stands where a mask hides frames or bands: about the mean of speech."""

KNOTS = 6
"""Points of a random equaliser, spread evenly over the bands."""

GAIN_DECADES = 0.6
"""The most that an equaliser raises or lowers a band at full strength: 6 dB."""

STRETCH = 0.12
"""The most that time and band axis are stretched or shrunk by."""


class _Uniform(Protocol):
    """Draws numbers of a shape between 0 and 1."""

    def __call__(self, *shape: int) -> Tensor: ...


def resampled(frames: Tensor, factor: float, *, dim: int) -> Tensor:
    """Frames (B, T, F) read at steps of ``factor`` along time (dim 1) or bands (dim 2), between two by a straight line.

    Time shrinks or grows, speech gets faster with a factor above 1. Bands keep their number: with a factor above 1
    formants move down, and above the last band its value is repeated.
    """
    size = frames.shape[dim]
    steps = max(2, round(size / factor)) if dim == 1 else size
    places = (torch.arange(steps, device=frames.device) * factor).clamp_max(size - 1)
    below = places.floor().long().clamp_max(max(size - 2, 0))
    share = (places - below).to(frames.dtype)
    share = share[:, None] if dim == 1 else share
    above = (below + 1).clamp_max(size - 1)
    return frames.index_select(dim, below) * (1 - share) + frames.index_select(dim, above) * share


def equalised(frames: Tensor, gains: Tensor) -> Tensor:
    """Frames (B, T, F) with gains (B, K) in decades added, K points spread evenly over the bands."""
    return frames + spread(gains, frames.shape[2])


def spread(points: Tensor, bands: int) -> Tensor:
    """Points (B, K) -> a line through them over the bands, (B, 1, bands)."""
    return functional.interpolate(points[:, None], size=bands, mode="linear", align_corners=True)


def mixed(frames: Tensor, noise: Tensor) -> Tensor:
    """The logarithm of the sum of the powers of two signals, frames and noise (B, T, F), in decades."""
    louder, quieter = torch.maximum(frames, noise), torch.minimum(frames, noise)
    return louder + torch.log10(1 + 10 ** (quieter - louder))


def band_limited(frames: Tensor, bands: Tensor) -> Tensor:
    """Frames (B, T, F) of which a clip's bands (B,) and above hold nothing, as after a telephone."""
    beyond = torch.arange(frames.shape[2], device=frames.device) >= bands[:, None]
    return torch.where(beyond[:, None], FLOOR, frames)


def relative(frames: Tensor) -> Tensor:
    """Frames (B, T, F) relative to each clip's own maximum, at the floor or above."""
    return (frames - frames.amax(dim=(1, 2), keepdim=True)).clamp_min(FLOOR)


def masked(frames: Tensor, *, times: tuple[Tensor, Tensor], bands: tuple[Tensor, Tensor]) -> Tensor:
    """Frames (B, T, F) of which each clip lacks one span of time and one of bands: starts and ends (B,) of each."""
    hidden = _within(frames.shape[1], *times)[:, :, None] | _within(frames.shape[2], *bands)[:, None, :]
    return frames.masked_fill(hidden, MASKED)


def _within(size: int, starts: Tensor, ends: Tensor) -> Tensor:
    """Whether a place is in each clip's span: (B,) and (B,) -> (B, size)."""
    places = torch.arange(size, device=starts.device)
    return (places >= starts[:, None]) & (places < ends[:, None])


def augmented(frames: Tensor, generator: torch.Generator, *, strength: float) -> Tensor:
    """Frames (B, T, F) as another voice in another room might have made them; T may change.

    Bands and time are stretched for a whole batch at once. Of the clips, 60 % are equalised, half get noise of a random
    slope, 15 % lose their upper bands, at strength 1; every clip has one span of frames and one of bands masked.

    Args:
        frames: Relative frames.
        generator: All that is drawn comes from it.
        strength: 0 changes nothing. How far things go grows with it, and so do the shares, but for those that are
            equalised or masked.
    """
    if strength == 0:
        return frames
    clips, _, bands = frames.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    for dim, share in ((2, 0.7), (1, 0.5)):
        happens, factor = float(uniform(1)) < share * strength, 1 + STRETCH * (2 * float(uniform(1)) - 1)
        frames = resampled(frames, factor, dim=dim) if happens else frames
    gains = GAIN_DECADES * strength * (2 * uniform(clips, KNOTS) - 1)
    frames = equalised(frames, gains * (uniform(clips, 1) < 0.6))
    frames = mixed(frames, _noise(uniform, *frames.shape, share=0.5 * strength))
    limits = torch.where(uniform(clips) < 0.15 * strength, (0.6 + 0.35 * uniform(clips)) * bands, float(bands))
    frames = relative(band_limited(frames, limits))
    first, band = uniform(clips) * frames.shape[1], uniform(clips) * bands
    times = (first, first + uniform(clips) * 8 * strength)
    return masked(frames, times=times, bands=(band, band + uniform(clips) * 10 * strength))


def _noise(uniform: _Uniform, clips: int, steps: int, bands: int, *, share: float) -> Tensor:
    """Noise (B, T, F) in a share of the clips, 30 to 55 dB below a clip's loudest band: of a random spectrum."""
    there = uniform(clips, 1, 1) < share
    spectrum = spread(2 * uniform(clips, 5) - 1, bands) - 0.6 * uniform(clips, 1, 1) * torch.linspace(0, 1, bands)
    level = -3 - 2.5 * uniform(clips, 1, 1)
    exponential = -torch.log(uniform(clips, steps, bands).clamp_min(1e-6))  # the power of one bin of white noise
    flutter = 0.5 * torch.log10(exponential.clamp_min(1e-4))  # of a band: several bins together
    return torch.where(there, spectrum + level + flutter, torch.tensor(-20.0))
