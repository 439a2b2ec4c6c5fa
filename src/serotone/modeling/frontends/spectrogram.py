"""Linear-frequency power spectrogram on a logarithmic scale."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, doc

from serotone.modeling.frontends.bands import Bins
from serotone.modeling.frontends.frontend import SpectralFrontend, SpectralOptions
from serotone.modeling.frontends.spectrum import Engine, Spectrum


@dataclass(frozen=True, kw_only=True)
class SpectrogramOptions(SpectralOptions):
    """Linear-frequency frames."""

    name: Literal["spectrogram"] = "spectrogram"
    bins: Annotated[int | None, Ge(1), doc("keep the first so many; null keeps all")] = None


class Spectrogram(SpectralFrontend):
    """Framing, spectrum, logarithm."""

    options_type = SpectrogramOptions

    def __init__(self, options: SpectrogramOptions, *, sample_rate: int, engine: Engine = "fft") -> None:
        bins = options.n_fft // 2 + 1 if options.bins is None else options.bins
        if bins > options.n_fft // 2 + 1:
            raise ValueError(f"{bins} bins of an FFT of {options.n_fft}; expected 1 to {options.n_fft // 2 + 1}")
        framing = options.framing(sample_rate)
        spectrum = Spectrum(framing, window=options.window, n_fft=options.n_fft, bins=bins, fft_bins=options.bins)
        super().__init__(
            sample_rate=sample_rate,
            framing=framing,
            spectrum=spectrum,
            bands=Bins(spectrum.folded),
            steps=[options.logarithm_step()],
            num_features=bins,
            pre_emphasis=options.pre_emphasis,
            engine=engine,
        )
