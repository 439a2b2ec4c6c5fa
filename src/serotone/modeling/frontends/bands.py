"""The third step: which bins are kept, or which bands they are summed up to; still in power."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from serotone.modeling.frontends.folded import FoldedDFT

MEL_GROUP = 16
"""Mel bands that are multiplied together: a group reads only the bins that it covers."""

MEL_GAP = 16
"""Bins that a product may read in vain: fewer are cheaper to multiply by zero than to leave out."""


class Bands(nn.Module):
    """What is made of a power spectrum, in order of frequency or in the pieces of a :class:`FoldedDFT`."""

    num_features: int
    """Width F of what comes out."""

    @abstractmethod
    def forward(self, power: Tensor) -> Tensor:
        """Power spectrum in order of frequency (B, T', K) -> (B, T', F)."""

    @abstractmethod
    def of_pieces(self, pieces: Sequence[Tensor]) -> Tensor:
        """The same of a spectrum in pieces."""

    def tables(self) -> list[Tensor]:
        """Constants of an exported graph."""
        return []


class Bins(Bands):
    """All bins of a spectrum, as they are."""

    def __init__(self, folded: FoldedDFT) -> None:
        super().__init__()
        self.num_features = folded.num_bins
        self._in_order = folded.in_order

    def forward(self, power: Tensor) -> Tensor:
        """Power (B, T', K) -> the same."""
        return power

    def of_pieces(self, pieces: Sequence[Tensor]) -> Tensor:
        """The same of a spectrum in pieces."""
        return self._in_order(pieces)


class Filters(Bands):
    """Weighted sums of neighbouring bins, such as those of :func:`mel_filterbank`.

    Args:
        filters: Weights (n_fft // 2 + 1, M) in float64.
        folded: The DFT whose pieces :meth:`of_pieces` reads.
    """

    weights: Tensor
    pieces_weights: Tensor

    def __init__(self, filters: Tensor, folded: FoldedDFT) -> None:
        super().__init__()
        self.num_features = filters.shape[1]
        self.register_buffer("weights", filters.float(), persistent=False)
        bands = [slice(first, first + MEL_GROUP) for first in range(0, self.num_features, MEL_GROUP)]
        self._groups = [(slice(*support(filters[:, group])), group) for group in bands]
        # The same filters, rows in the order in which the folded DFT gives its bins.
        rows = _rows_once(filters, torch.cat(folded.order)).float()
        self.register_buffer("pieces_weights", rows, persistent=False)
        self._products = [(self._stretches(group, folded), group) for group in bands]

    def forward(self, power: Tensor) -> Tensor:
        """Power (B, T', K) -> bands (B, T', M)."""
        return torch.cat([power[..., bins] @ self.weights[bins, bands] for bins, bands in self._groups], dim=-1)

    def of_pieces(self, pieces: Sequence[Tensor]) -> Tensor:
        """The same of a spectrum in pieces."""
        bands = []
        for stretches, group in self._products:
            parts = [pieces[piece][..., cols] @ self.pieces_weights[rows, group] for piece, cols, rows in stretches]
            bands.append(sum(parts[1:], start=parts[0]))
        return torch.cat(bands, dim=-1)

    def tables(self) -> list[Tensor]:
        """Constants of an exported graph."""
        return [self.pieces_weights[rows, group] for stretches, group in self._products for _, _, rows in stretches]

    def _stretches(self, group: slice, folded: FoldedDFT) -> list[tuple[int, slice, slice]]:
        """Columns of a piece that a group of bands reads: piece, columns, their rows in ``pieces_weights``."""
        found: list[tuple[int, slice, slice]] = []
        offset = 0
        for piece, order in enumerate(folded.order):
            weights = self.pieces_weights[offset : offset + len(order), group]
            runs: list[list[int]] = []
            for column in torch.nonzero(weights.amax(dim=1)).flatten().tolist():
                if runs and column - runs[-1][-1] <= MEL_GAP:
                    runs[-1].append(column)
                else:
                    runs.append([column])
            ends = [(run[0], run[-1] + 1) for run in runs]
            found += [(piece, slice(*end), slice(offset + end[0], offset + end[1])) for end in ends]
            offset += len(order)
        return found or [(0, slice(0, 1), slice(0, 1))]  # bands between two bins: zero times something


def support(filters: Tensor) -> tuple[int, int]:
    """First bin, and the one after the last, that any of the filters (bins, bands) reads."""
    used = torch.nonzero(filters.amax(dim=1))
    return (int(used[0]), int(used[-1]) + 1) if used.numel() else (0, 1)


def _rows_once(filters: Tensor, order: Tensor) -> Tensor:
    """Rows of filters (bins, bands) in some order (K,) of the bins; where a bin stands again its row is zero."""
    rows, seen = filters[order], set[int]()
    for place, k in enumerate(order.tolist()):
        if k in seen:
            rows[place] = 0.0
        seen.add(k)
    return rows
