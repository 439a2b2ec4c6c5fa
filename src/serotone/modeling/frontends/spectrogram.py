"""Linear-frequency power spectrogram on a logarithmic scale."""

from serotone.modeling.frontends.bands import Bins
from serotone.modeling.frontends.frontend import SpectralFrontend, framing_of, logarithm_of
from serotone.modeling.frontends.spectrum import Engine, Spectrum
from serotone.options.frontends import SpectrogramOptions


class Spectrogram(SpectralFrontend):
    """Framing, spectrum, logarithm."""

    options_type = SpectrogramOptions

    def __init__(self, options: SpectrogramOptions, *, sample_rate: int, engine: Engine = "fft") -> None:
        bins = options.n_fft // 2 + 1 if options.bins is None else options.bins
        if bins > options.n_fft // 2 + 1:
            raise ValueError(
                f"{bins} bins were asked for, and an FFT of {options.n_fft} has {options.n_fft // 2 + 1}; expected no"
                " more, and at least 1"
            )
        framing = framing_of(options, sample_rate)
        spectrum = Spectrum(framing, window=options.window, n_fft=options.n_fft, bins=bins, fft_bins=options.bins)
        super().__init__(
            sample_rate=sample_rate,
            framing=framing,
            spectrum=spectrum,
            bands=Bins(spectrum.folded),
            steps=[logarithm_of(options)],
            num_features=bins,
            pre_emphasis=options.pre_emphasis,
            engine=engine,
        )
