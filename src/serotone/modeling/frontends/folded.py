"""A DFT as matrix products, for a graph that holds no FFT, with every symmetry used that halves a table.

1. A periodic window is symmetric about its middle. Samples at equal distance from it are added for the cosine table and
   subtracted for the sine table, and each table has half the rows.
2. Phases count from the window's middle. Then bins k and n_fft / 2 - k take every second sample with the same factor,
   and the samples between with the opposite one. The two kinds are multiplied apart, for half the bins; their sum is
   bin k, their difference the other one. The first kind is again such a DFT, of half the size, and is folded again.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

MAX_FOLDS = 2
"""Times that the bins are folded at most: a third time would cost in additions what it spares in products."""


def folded_dft(
    window: Tensor, n_fft: int, bins: Tensor | None = None, *, first: int = 0, step: int = 1
) -> tuple[Tensor, Tensor]:
    """Cosine and sine tables of a DFT under a periodic window (N,), for sums and differences of mirrored samples.

    A row is a sample n = first, first + step, .. up to the middle N / 2, together with its mirror image N - n; a column
    is one of ``bins`` (K,), by default all n_fft // 2 + 1. Phases count from the window's middle; the power does not
    depend on where they count from.
    """
    size = window.shape[0]
    bins = torch.arange(n_fft // 2 + 1) if bins is None else bins
    samples = torch.arange(first, size // 2 + 1, step)
    angles = (samples.double() - size / 2)[:, None] * bins.double() * (2.0 * math.pi / n_fft)
    # The middle sample is its own mirror image, and is added to itself.
    weights = torch.where(samples * 2 == size, window[samples] / 2.0, window[samples])[:, None]
    return weights * torch.cos(angles), weights * torch.sin(angles)


class FoldedDFT(nn.Module):
    """Power of the first ``bins`` bins of a DFT under a periodic window (N,), zero-padded to n_fft, every ``hop``.

    The answer comes in pieces, the columns of each in an order of its own; :meth:`in_order` puts them in order. The
    bins are folded as often as makes the tables smallest; hop, window and n_fft must be even each time.
    """

    order: tuple[Tensor, ...]
    """For each piece the bins that its columns hold; some columns may repeat a bin, or exceed ``bins``."""

    def __init__(self, window: Tensor, *, hop: int, n_fft: int, bins: int) -> None:
        super().__init__()
        self.window_size = window.shape[0]
        self.hop = hop
        self.num_bins = bins
        sizes = (hop, n_fft, self.window_size)
        possible = [folds for folds in range(MAX_FOLDS + 1) if all(size % 2**folds == 0 for size in sizes)]
        folds = min(possible, key=lambda folds: _multiply_adds(self.window_size, n_fft, bins, folds))
        self._steps = [2**fold for fold in reversed(range(folds))]  # distance between the two kinds, innermost first
        columns = torch.arange(n_fft // 2 ** (folds + 1) + 1 if folds else bins)
        self._register(0, folded_dft(window, n_fft, columns, step=2**folds))
        for step in self._steps:
            if step != self._steps[0]:
                columns = torch.cat([columns, n_fft // (4 * step) - columns])
            self._register(step, folded_dft(window, n_fft, columns, first=step, step=2 * step))
        whole = folds and bins > n_fft // 4 + 1
        self.order = (columns, n_fft // 2 - columns) if whole else (columns,)
        self._bins: list[list[int]] = [order.tolist() for order in self.order]

    def forward(self, waveforms: Tensor, count: int) -> list[Tensor]:
        """Waveforms (B, (T' - 1 + r) * hop), r = N / hop rounded up, and the number T' of frames -> pieces (B, T', K).

        Frame t starts at sample t * hop.
        """
        between = []
        for _ in self._steps:
            between.append(waveforms[:, 1::2])
            waveforms = waveforms[:, ::2]
        pieces = [self._products(waveforms, count, 0)]
        for step in self._steps:
            cosine, sine = (
                parts[0] if len(parts) == 1 else torch.cat(parts, dim=2) for parts in zip(*pieces, strict=True)
            )
            other_cosine, other_sine = self._products(between.pop(), count, step)
            pieces = [(cosine + other_cosine, sine + other_sine), (cosine - other_cosine, other_sine - sine)]
            if self.window_size // (2 * step) % 2:  # the middle of the window is one of the samples between
                pieces[1] = (other_cosine - cosine, sine - other_sine)
        return [cosine.square() + sine.square() for cosine, sine in pieces[: len(self.order)]]

    def in_order(self, pieces: Sequence[Tensor]) -> Tensor:
        """The pieces of :meth:`forward` -> power (B, T', bins)."""
        parts: list[Tensor] = []
        done = 0
        for piece, start, run in sorted(self._runs(), key=lambda found: min(found[2])):
            columns = [column for column, k in enumerate(run, start) if done <= k < self.num_bins]
            if columns:
                part = pieces[piece][..., columns[0] : columns[-1] + 1]
                parts.append(torch.flip(part, dims=(2,)) if run[0] > run[-1] else part)
                done = max(run) + 1
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def _runs(self) -> Iterator[tuple[int, int, list[int]]]:
        """Runs of columns whose bins rise, or fall, by one: piece, first column, bins."""
        for piece, bins in enumerate(self._bins):
            start = 0
            for stop in range(1, len(bins) + 1):
                if stop == len(bins) or abs(bins[stop] - bins[start]) != stop - start:
                    yield piece, start, bins[start:stop]
                    start = stop

    def _register(self, step: int, tables: tuple[Tensor, Tensor]) -> None:
        for name, table in zip(("cosines", "sines"), tables, strict=True):
            self.register_buffer(f"{name}{step}", table.float(), persistent=False)  # made anew: no part of the weights

    def _products(self, samples: Tensor, count: int, step: int) -> tuple[Tensor, Tensor]:
        """Every so many-th sample (B, S) of the waveforms -> real and imaginary part (B, T', K) of its share.

        ``step`` 0: the innermost samples, the first of which is the window's first and has no mirror image.
        """
        every = 2 * step or 2 ** len(self._steps)
        hop, size = self.hop // every, self.window_size // every
        rows = (size + 1) // 2 if step else size // 2 + 1
        blocks = samples.reshape(samples.shape[0], -1, hop)  # (B, T' + r - 1, hop)
        number = -(-size // hop)
        left = _columns(blocks, range(number), count, hop, slice(0, rows))
        spare = number * hop - size
        mirrored = slice(spare, spare + rows - (0 if step else 1))
        right = _columns(torch.flip(blocks, dims=(2,)), reversed(range(number)), count, hop, mirrored)
        if not step:
            right = torch.cat([torch.zeros_like(right[..., :1]), right], dim=2)
        cosines, sines = self.get_buffer(f"cosines{step}"), self.get_buffer(f"sines{step}")
        return (left + right) @ cosines, (left - right) @ sines


def _columns(blocks: Tensor, places: Iterable[int], count: int, hop: int, wanted: slice) -> Tensor:
    """Blocks (B, n, hop) -> columns ``wanted`` of frames (B, count, ..) made of the blocks at ``places`` after each."""
    parts = []
    for number, place in enumerate(places):
        start, stop = max(wanted.start - number * hop, 0), min(wanted.stop - number * hop, hop)
        if start < stop:
            part = blocks[:, place : place + count]
            parts.append(part if stop - start == hop else part[..., start:stop])
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _multiply_adds(window_size: int, n_fft: int, bins: int, folds: int) -> int:
    """Products per frame and table pair, which is also the size of a table."""
    if not folds:
        return (window_size // 2 + 1) * bins
    inner = n_fft // (2 << folds) + 1
    products = (window_size // (2 << folds) + 1) * inner
    for fold in range(folds):  # from the innermost, each with twice the samples and twice the columns of the one before
        samples = window_size // (1 << (folds - fold))
        products += (samples + 1) // 2 * (inner << fold)
    return products
