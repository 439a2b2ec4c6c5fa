"""Mel spectrogram on a logarithmic scale."""

import torch
from torch import Tensor

from serotone.modeling.frontends.spectral import MelNorm, MelScale, mel_filterbank
from serotone.modeling.frontends.spectrogram import Engine, Logarithm, Spectrogram

MEL_GROUP = 16
"""Mel bands that are multiplied together: a group reads only the bins that it covers."""

MEL_GAP = 16
"""Bins that a product may read in vain: fewer are cheaper to multiply by zero than to leave out."""


class LogMel(Spectrogram):
    """Mel spectrogram on a logarithmic scale.

    Args, besides those of :class:`Spectrogram`:
        num_mels: Bands.
        mel_scale: "slaney" or "htk".
        mel_norm: "slaney" divides each band by half its width in Hz; None leaves every peak at 1.
        f_min: Lower end of the first band in Hz.
        f_max: Upper end of the last band in Hz; None is half the sample rate.
    """

    mel: Tensor
    mel_pieces: Tensor

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        window: str = "hamming",
        window_seconds: float = 0.040,
        hop_seconds: float = 0.010,
        window_samples: int | None = None,
        hop_samples: int | None = None,
        n_fft: int = 1024,
        num_mels: int = 128,
        mel_scale: MelScale = "slaney",
        mel_norm: MelNorm | None = "slaney",
        f_min: float = 0.0,
        f_max: float | None = None,
        centred: bool = True,
        pre_emphasis: float | None = None,
        logarithm: Logarithm = "db",
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        offset: float = 0.0,
        engine: Engine = "fft",
    ) -> None:
        filters = mel_filterbank(sample_rate, n_fft, num_mels, mel_scale, mel_norm, f_min, f_max)  # (K, M)
        super().__init__(
            sample_rate=sample_rate,
            window=window,
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            window_samples=window_samples,
            hop_samples=hop_samples,
            n_fft=n_fft,
            bins=max(_support(filters)[1], 1),
            centred=centred,
            pre_emphasis=pre_emphasis,
            logarithm=logarithm,
            amin=amin,
            top_db=top_db,
            offset=offset,
            engine=engine,
        )
        self._fft_bins = None  # an FFT makes all of them anyway
        self.num_mels = num_mels
        self.register_buffer("mel", filters.float(), persistent=False)
        bands = [slice(first, first + MEL_GROUP) for first in range(0, num_mels, MEL_GROUP)]
        self._groups = [(slice(*_support(filters[:, group])), group) for group in bands]
        # The same filters, rows in the order in which the folded DFT gives its bins.
        self.register_buffer("mel_pieces", _rows_once(filters, torch.cat(self.folded.order)).float(), persistent=False)
        self._products = [(self._stretches(group), group) for group in bands]

    @property
    def num_features(self) -> int:
        """Width F of a frame."""
        return self.num_mels

    def features(self, power: Tensor) -> Tensor:
        """Power (B, T', n_fft // 2 + 1) -> mel bands (B, T', num_mels), still in power."""
        return torch.cat([power[..., bins] @ self.mel[bins, bands] for bins, bands in self._groups], dim=-1)

    def features_of_pieces(self, pieces: list[Tensor]) -> Tensor:
        """The same of a spectrum in the pieces that ``folded`` makes."""
        bands = []
        for stretches, group in self._products:
            parts = [pieces[piece][..., columns] @ self.mel_pieces[rows, group] for piece, columns, rows in stretches]
            bands.append(sum(parts[1:], start=parts[0]))
        return torch.cat(bands, dim=-1)

    def _tables(self) -> list[Tensor]:
        read = [self.mel_pieces[rows, group] for stretches, group in self._products for _, _, rows in stretches]
        return [*super()._tables(), *read]

    def _stretches(self, group: slice) -> list[tuple[int, slice, slice]]:
        """Columns of a piece that a group of bands reads: piece, columns, their rows in ``mel_pieces``."""
        found: list[tuple[int, slice, slice]] = []
        offset = 0
        for piece, order in enumerate(self.folded.order):
            used = torch.nonzero(self.mel_pieces[offset : offset + len(order), group].amax(dim=1)).flatten().tolist()
            runs: list[list[int]] = []
            for column in used:
                if runs and column - runs[-1][-1] <= MEL_GAP:
                    runs[-1].append(column)
                else:
                    runs.append([column])
            ends = [(run[0], run[-1] + 1) for run in runs]
            found += [(piece, slice(*end), slice(offset + end[0], offset + end[1])) for end in ends]
            offset += len(order)
        return found or [(0, slice(0, 1), slice(0, 1))]  # bands between two bins: zero times something


def _support(filters: Tensor) -> tuple[int, int]:
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
