"""The steps after the bands: logarithms, then what is made of their values. Each takes and returns (B, T, F)."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from serotone.modeling.frontends.spectral import cosine_transform, deltas, power_to_db, power_to_ln, power_to_whisper
from serotone.options.frontends import WHISPER_DECADES, WhisperReference

LOUDEST = 1.5
"""Where the maximum of a clip lies in relative frames, as log10 of power before the compression."""


class Step(nn.Module):
    """One step over frames; the exporter sets ``exported``: every frame is then valid."""

    def __init__(self) -> None:
        super().__init__()
        self.exported = False

    @abstractmethod
    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Values (B, T, F) with lengths (B,) in frames -> values (B, T, F'), zero beyond each length."""

    def tables(self) -> list[Tensor]:
        """Constants of an exported graph."""
        return []


class Decibels(Step):
    """Decibels to reference 1: :func:`power_to_db`."""

    def __init__(self, *, amin: float, offset: float, top_db: float | None) -> None:
        super().__init__()
        self.amin, self.offset, self.top_db = amin, offset, top_db

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Power (B, T, F), lengths (B,) -> decibels."""
        valid = None if self.exported else lengths
        return power_to_db(values, valid, amin=self.amin, top_db=self.top_db, offset=self.offset)


class NaturalLogarithm(Step):
    """The natural logarithm: :func:`power_to_ln`."""

    def __init__(self, *, amin: float) -> None:
        super().__init__()
        self.amin = amin

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Power (B, T, F), lengths (B,) -> its natural logarithm."""
        return power_to_ln(values, None if self.exported else lengths, amin=self.amin)


class WhisperLogarithm(Step):
    """Whisper's compression: :func:`power_to_whisper`."""

    def __init__(self, *, reference: WhisperReference, level: float, decades: float = WHISPER_DECADES) -> None:
        super().__init__()
        self.reference, self.level, self.decades = reference, level, decades

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Power (B, T, F), lengths (B,) -> values of about -1 to 1.4."""
        valid = None if self.exported else lengths
        return power_to_whisper(values, valid, reference=self.reference, level=self.level, decades=self.decades)


class CosineTransform(Step):
    """The first coefficients of an orthonormal DCT-II."""

    table: Tensor

    def __init__(self, size: int, count: int) -> None:
        super().__init__()
        self.register_buffer("table", cosine_transform(size, count).float(), persistent=False)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Logarithms (B, T, M) -> cepstra (B, T, K)."""
        return values @ self.table

    def tables(self) -> list[Tensor]:
        """Constants of an exported graph."""
        return [self.table]


class Deltas(Step):
    """Values, their slopes, and the slopes of those, side by side.

    The second deltas are the deltas of the deltas, as in the HTK book, which the 39 features of speech recognition (13
    and their first and second deltas) come from. ``librosa.feature.delta(order=2)`` is something else: the curvature of
    a parabola fitted once. An edge repeats the clip's first or last frame; for second deltas, its first or last delta.
    """

    def __init__(self, *, orders: int, width: int) -> None:
        super().__init__()
        self.orders, self.width = orders, width

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Values (B, T, F) -> (B, T, F * (1 + orders))."""
        parts = [values]
        for _ in range(self.orders):
            parts.append(deltas(parts[-1], lengths, width=self.width))
        return torch.cat(parts, dim=2)
