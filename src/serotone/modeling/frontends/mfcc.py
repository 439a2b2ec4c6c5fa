"""Mel-frequency cepstral coefficients and their deltas."""

from serotone.modeling.frontends.frontend import SpectralFrontend, framing_of, logarithm_of
from serotone.modeling.frontends.mel import mel_bands
from serotone.modeling.frontends.spectrum import Engine
from serotone.modeling.frontends.steps import CosineTransform, Deltas
from serotone.options.frontends import MFCCOptions


class MFCC(SpectralFrontend):
    """Framing, spectrum, mel bands, logarithm, cosine transform, deltas."""

    options_type = MFCCOptions

    def __init__(self, options: MFCCOptions, *, sample_rate: int, engine: Engine = "fft") -> None:
        framing = framing_of(options, sample_rate)
        spectrum, bands = mel_bands(options, framing, sample_rate)
        transform = CosineTransform(options.num_mels, options.num_coefficients)
        slopes = [Deltas(orders=options.deltas, width=options.delta_width)] if options.deltas else []
        super().__init__(
            sample_rate=sample_rate,
            framing=framing,
            spectrum=spectrum,
            bands=bands,
            steps=[logarithm_of(options), transform, *slopes],
            num_features=options.num_coefficients * (1 + options.deltas),
            pre_emphasis=options.pre_emphasis,
            engine=engine,
        )
