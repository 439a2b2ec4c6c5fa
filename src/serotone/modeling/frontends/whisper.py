"""The log-mel spectrogram that Whisper's encoder reads.

Radford et al., "Robust speech recognition via large-scale weak supervision", 2022; the numbers are those of the
released code and of ``transformers.WhisperFeatureExtractor``. They fill clips up to 30 s first; this frontend takes a
clip as long as it is, so that its edges and its maximum are the clip's own.
"""

from serotone.modeling.frontends.bands import Filters, support
from serotone.modeling.frontends.framing import Framing
from serotone.modeling.frontends.frontend import SpectralFrontend
from serotone.modeling.frontends.spectral import mel_filterbank
from serotone.modeling.frontends.spectrum import Engine, Spectrum
from serotone.modeling.frontends.steps import WhisperLogarithm
from serotone.options.frontends import WHISPER_HOP, WhisperLogMelOptions

SAMPLE_RATE = 16000
WINDOW = 400


class WhisperLogMel(SpectralFrontend):
    """Framing with mirrored edges and without the last frame, spectrum, mel bands, Whisper's logarithm.

    Raises:
        ValueError: Another rate than 16 kHz.
    """

    options_type = WhisperLogMelOptions

    def __init__(self, options: WhisperLogMelOptions, *, sample_rate: int, engine: Engine = "fft") -> None:
        if sample_rate != SAMPLE_RATE:
            raise ValueError(
                f"sample_rate is {sample_rate}, but the frontend {options.name} takes {SAMPLE_RATE} Hz; set"
                f" sample_rate to {SAMPLE_RATE}"
            )
        framing = Framing(
            hop=WHISPER_HOP, window_size=WINDOW, n_fft=WINDOW, centred=True, edges="reflect", drop_last=True
        )
        filters = mel_filterbank(sample_rate, WINDOW, options.num_mels)
        spectrum = Spectrum(framing, window="hann", n_fft=WINDOW, bins=support(filters)[1])
        super().__init__(
            sample_rate=sample_rate,
            framing=framing,
            spectrum=spectrum,
            bands=Filters(filters, spectrum.folded),
            steps=[WhisperLogarithm(reference=options.reference, level=options.level, decades=options.decades)],
            num_features=options.num_mels,
            engine=engine,
        )
