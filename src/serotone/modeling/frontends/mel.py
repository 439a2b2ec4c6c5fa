"""Mel spectrogram on a logarithmic scale."""

from serotone.modeling.frontends.bands import Filters, support
from serotone.modeling.frontends.framing import Framing
from serotone.modeling.frontends.frontend import SpectralFrontend, framing_of, logarithm_of
from serotone.modeling.frontends.spectral import mel_filterbank
from serotone.modeling.frontends.spectrum import Engine, Spectrum
from serotone.options.frontends import LogMelOptions, MelOptions


class LogMel(SpectralFrontend):
    """Framing, spectrum, mel bands, logarithm."""

    options_type = LogMelOptions

    def __init__(self, options: LogMelOptions, *, sample_rate: int, engine: Engine = "fft") -> None:
        framing = framing_of(options, sample_rate)
        spectrum, bands = mel_bands(options, framing, sample_rate)
        super().__init__(
            sample_rate=sample_rate,
            framing=framing,
            spectrum=spectrum,
            bands=bands,
            steps=[logarithm_of(options)],
            num_features=options.num_mels,
            pre_emphasis=options.pre_emphasis,
            engine=engine,
        )


def mel_bands(options: MelOptions, framing: Framing, sample_rate: int) -> tuple[Spectrum, Filters]:
    """The two steps from frames to mel bands; the spectrum stops at the last bin that a band reads."""
    scale = (options.num_mels, options.mel_scale, options.mel_norm, options.f_min, options.f_max)
    filters = mel_filterbank(sample_rate, options.n_fft, *scale)  # (K, M)
    bins = support(filters)[1]
    spectrum = Spectrum(framing, window=options.window, n_fft=options.n_fft, bins=bins)
    return spectrum, Filters(filters, spectrum.folded)
