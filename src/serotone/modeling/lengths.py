"""Length arithmetic and masks, for every stage that has a time axis.

Values travel with their true lengths; whatever stands beyond a length is padding and must change nothing. Every formula
takes a Python int or an int64 tensor alike, and stays dynamic in an exported graph when given a traced length.
"""

from typing import Literal, TypeVar

import torch
from torch import Tensor

Length = TypeVar("Length", int, Tensor)


def frames(samples: Length, *, hop: int, window: int | None = None, centred: bool) -> Length:
    """Number of analysis frames in a clip of so many samples.

    Centred: frame t is centred on sample t * hop, ``1 + samples // hop`` of them, whatever the window. Not centred: the
    whole windows that fit, ``1 + (samples - window) // hop``, none in a clip shorter than one window.

    >>> frames(48000, hop=160, centred=True)
    301
    >>> frames(48000, hop=160, window=640, centred=False)
    297
    """
    if centred:
        return _divide(samples, hop) + 1
    if window is None:
        raise ValueError(
            "window is None, but frames that are not centred are counted by it; give the window in samples"
        )
    return _divide(_at_least_zero(samples - window + hop), hop)


def samples_for(count: int, *, hop: int, window: int | None = None, centred: bool) -> int:
    """Fewest samples, at least one, that make so many frames (see :func:`frames`); ``count`` from 1.

    >>> samples_for(49, hop=160, centred=True)
    7680
    """
    if count < 1:
        raise ValueError(f"samples were asked for {count} frames; expected at least 1 frame")
    if centred:
        return max((count - 1) * hop, 1)
    if window is None:
        raise ValueError(
            "window is None, but frames that are not centred are counted by it; give the window in samples"
        )
    return window + (count - 1) * hop


def conv_length(
    length: Length, *, kernel: int, stride: int = 1, padding: int = 0, mode: Literal["floor", "ceil"] = "floor"
) -> Length:
    """Length after a convolution or pooling with ``padding`` on both sides, as PyTorch computes it; never below 0.

    ``floor`` drops the last partial window; ``ceil`` keeps it, if it starts before the right padding does.

    >>> conv_length(49, kernel=7, stride=2), conv_length(5, kernel=2, stride=2, mode="ceil")
    (22, 3)
    """
    spare = length + 2 * padding - kernel
    if mode == "floor":
        return _divide(_at_least_zero(spare + stride), stride)
    if mode != "ceil":
        raise ValueError(f"mode is {mode!r}; expected 'floor' or 'ceil'")
    windows = _divide(_at_least_zero(spare + 2 * stride - 1), stride)
    starts = _divide(
        _at_least_zero(length + padding + stride - 1), stride
    )  # windows that start before the right padding
    return _smaller(windows, starts)


def mask(lengths: Tensor, size: int | Tensor) -> Tensor:
    """True at the valid positions: lengths (B,) -> (B, size) bool."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]  # type: ignore[arg-type]


def zero_beyond(values: Tensor, lengths: Tensor, *, dim: int) -> Tensor:
    """Values (B, ...) with everything along ``dim`` beyond each length (B,) replaced by 0, NaN and infinity too."""
    dim = dim % values.ndim
    if dim == 0:
        raise ValueError("dim is 0, which is the batch; give the axis that the lengths count")
    before, after = [None] * (dim - 1), [None] * (values.ndim - dim - 1)
    valid = mask(lengths, values.shape[dim])[(slice(None), *before, slice(None), *after)]
    return torch.where(valid, values, 0)


def _divide(numerator: Length, denominator: int) -> Length:
    """Quotient of values that are not negative, rounded down."""
    if isinstance(numerator, Tensor):  # truncation is what integer division means in ONNX
        return torch.div(numerator, denominator, rounding_mode="trunc")
    return numerator // denominator


def _at_least_zero(value: Length) -> Length:
    return value.clamp_min(0) if isinstance(value, Tensor) else max(value, 0)


def _smaller(first: Length, second: Length) -> Length:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.minimum(first, second)
    return min(first, second)
