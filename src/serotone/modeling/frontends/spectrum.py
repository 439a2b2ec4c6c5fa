"""The second step: the power spectrum of every frame, by an FFT or by products with a folded DFT."""

from typing import Literal

from torch import Tensor, nn

from serotone.modeling.frontends.folded import FoldedDFT
from serotone.modeling.frontends.framing import Framing
from serotone.modeling.frontends.spectral import cosine_window, power_spectrum

Engine = Literal["fft", "matmul"]


class Spectrum(nn.Module):
    """Power of the bins of an FFT, in one of two forms that give the same numbers.

    Args:
        framing: Whose frames it reads.
        window: "hamming" or "hann", periodic.
        n_fft: Size of the DFT.
        bins: As many bins from 0 Hz up as anything reads; the folded DFT makes no others.
        fft_bins: What the FFT keeps; None is all of them, in one piece of memory.
    """

    window: Tensor

    def __init__(self, framing: Framing, *, window: str, n_fft: int, bins: int, fft_bins: int | None = None) -> None:
        super().__init__()
        self.hop, self.blocks = framing.hop, framing.blocks
        self.n_fft, self.fft_bins = n_fft, fft_bins
        shape = cosine_window(window, framing.window_size)
        # Made anew by the constructor, so no part of the weights.
        self.register_buffer("window", shape.float(), persistent=False)
        self.folded = FoldedDFT(shape, hop=framing.hop, n_fft=n_fft, bins=bins)

    def forward(self, padded: Tensor, count: int) -> Tensor:
        """Waveforms (B, S) as framing has padded them, the number T' of frames -> power (B, T', K)."""
        framed = padded.unfold(1, self.window.shape[0], self.hop)[:, :count]  # a view
        return power_spectrum(framed, self.window, n_fft=self.n_fft, bins=self.fft_bins)

    def pieces(self, padded: Tensor, count: int) -> list[Tensor]:
        """The same by the folded DFT, in the pieces and the order that it makes."""
        samples = (count + self.blocks - 1) * self.hop
        return self.folded(padded[:, :samples], count)  # type: ignore[no-any-return]

    def tables(self) -> list[Tensor]:
        """Constants of an exported graph."""
        return list(self.folded.buffers())
