"""Mel spectrogram on a logarithmic scale."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, doc

from serotone.modeling.frontends.bands import Filters, support
from serotone.modeling.frontends.framing import Framing
from serotone.modeling.frontends.frontend import SpectralFrontend, SpectralOptions
from serotone.modeling.frontends.spectral import MelNorm, MelScale, mel_filterbank
from serotone.modeling.frontends.spectrum import Engine, Spectrum


@dataclass(frozen=True, kw_only=True)
class MelOptions(SpectralOptions):
    """The mel bands that log-mel and cepstral frames are made from."""

    num_mels: Annotated[int, Ge(8)] = 128
    mel_scale: MelScale = "slaney"
    mel_norm: Annotated[MelNorm | None, doc("slaney: each band divided by half its width in Hz; null: peaks at 1")] = (
        "slaney"
    )
    f_min: Annotated[float, Ge(0), doc("lower end of the first band in Hz")] = 0.0
    f_max: Annotated[float | None, Gt(0), doc("null: half the sample rate")] = None


@dataclass(frozen=True, kw_only=True)
class LogMelOptions(MelOptions):
    """Log-mel frames."""

    name: Literal["log-mel"] = "log-mel"


class LogMel(SpectralFrontend):
    """Framing, spectrum, mel bands, logarithm."""

    options_type = LogMelOptions

    def __init__(self, options: LogMelOptions, *, sample_rate: int, engine: Engine = "fft") -> None:
        framing = options.framing(sample_rate)
        spectrum, bands = mel_bands(options, framing, sample_rate)
        super().__init__(
            sample_rate=sample_rate,
            framing=framing,
            spectrum=spectrum,
            bands=bands,
            steps=[options.logarithm_step()],
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
