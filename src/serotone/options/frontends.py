"""What a recipe may say of a frontend. ``FRONTENDS`` holds these by name; the modules are in ``modeling/frontends``."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, doc

from serotone.options.base import Options, by_name

MelScale = Literal["slaney", "htk"]
MelNorm = Literal["slaney"]
WhisperReference = Literal["absolute", "maximum", "loud"]

WHISPER_HOP = 160
"""Samples from one frame of Whisper's to the next, at 16 kHz."""

WHISPER_DECADES = 8.0
"""What lies further below the loudest is cut in Whisper's log-mel, in decades of power."""


@dataclass(frozen=True, kw_only=True)
class FrontendOptions(Options):
    """What every frontend can be asked before it is made."""

    @abstractmethod
    def hop(self, sample_rate: int) -> int:
        """Samples from one frame to the next."""


@dataclass(frozen=True, kw_only=True)
class SpectralOptions(FrontendOptions):
    """Framing, window and logarithm, as most frontends take them."""

    window: Literal["hamming", "hann"] = "hamming"
    window_seconds: Annotated[float, Gt(0)] = 0.040
    hop_seconds: Annotated[float, Gt(0)] = 0.010
    window_samples: Annotated[int | None, Ge(2), doc("instead of window_seconds")] = None
    hop_samples: Annotated[int | None, Ge(1), doc("instead of hop_seconds")] = None
    n_fft: Annotated[int, Ge(64), doc("size of the DFT, to which a window is zero-padded")] = 1024
    pre_emphasis: Annotated[float | None, Gt(0), Lt(1), doc("y[t] = x[t] - a x[t-1]; null for none")] = None
    centred: Annotated[bool, doc("frame t is centred on sample t * hop, with zeros beyond the clip")] = True
    logarithm: Annotated[
        Literal["db", "ln", "relative"],
        doc("relative: to each clip's maximum, as in Whisper, so that the level of a recording makes no difference"),
    ] = "db"
    amin: Annotated[float, Gt(0), doc("lower limit of the power before the logarithm; relative has its own")] = 1e-10
    offset: Annotated[float, Ge(0), doc("added to the power before the logarithm; decibels only")] = 0.0
    top_db: Annotated[float | None, Gt(0), doc("floor below each clip's maximum; decibels only; null for none")] = 80.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.logarithm != "db" and (self.top_db is not None or self.offset != 0.0):
            top_db = "null" if self.top_db is None else self.top_db
            raise ValueError(
                f"top_db is {top_db} and offset is {self.offset}, but the logarithm {self.logarithm} takes"
                " neither; set top_db to null and offset to 0, or logarithm to db"
            )

    def hop(self, sample_rate: int) -> int:
        """Samples from one frame to the next."""
        return self.hop_samples or round(self.hop_seconds * sample_rate)


@dataclass(frozen=True, kw_only=True)
class SpectrogramOptions(SpectralOptions):
    """Linear-frequency frames."""

    name: Literal["spectrogram"] = "spectrogram"
    bins: Annotated[int | None, Ge(1), doc("keep this many, from the lowest; null: all")] = None


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


@dataclass(frozen=True, kw_only=True)
class MFCCOptions(MelOptions):
    """Cepstral frames, with their differences where asked."""

    name: Literal["mfcc"] = "mfcc"
    num_coefficients: Annotated[int, Ge(1), doc("starting with coefficient 0")] = 40
    deltas: Annotated[int, Ge(0), Le(2), doc("append differences up to this order")] = 0
    delta_width: Annotated[int, Ge(3), doc("frames that a difference is taken over; odd")] = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delta_width % 2 == 0:
            raise ValueError(f"delta_width is {self.delta_width}; expected an odd number, with one frame in the middle")


@dataclass(frozen=True, kw_only=True)
class WhisperLogMelOptions(FrontendOptions):
    """Whisper's log-mel frames, 100 a second; audio at 16 kHz."""

    name: Literal["whisper-log-mel"] = "whisper-log-mel"
    num_mels: Annotated[int, Ge(1), doc("80; 128 for large-v3 and later")] = 80
    reference: Annotated[
        WhisperReference,
        doc(
            "absolute: as published; maximum: each clip's maximum is raised or lowered to level; loud: the power of its"
            " loud frames is. With these two, the level of a recording makes no difference"
        ),
    ] = "absolute"
    level: Annotated[float, doc("the reference's value, as log10 of power; not used with absolute")] = 1.5
    decades: Annotated[float, Gt(0), doc("range below the reference, as log10 of power; what is lower is cut")] = (
        WHISPER_DECADES
    )

    def hop(self, sample_rate: int) -> int:
        """Samples from one frame to the next."""
        return WHISPER_HOP


@dataclass(frozen=True, kw_only=True)
class WaveformOptions(FrontendOptions):
    """Samples as they are."""

    name: Literal["waveform"] = "waveform"
    normalise: Annotated[
        bool,
        doc("bring each clip to mean 0 and variance 1; false for wavlm-base, true for most other published models"),
    ] = True

    def hop(self, sample_rate: int) -> int:
        """Samples from one frame to the next."""
        return 1


FRONTENDS: Mapping[str, type[FrontendOptions]] = by_name(
    SpectrogramOptions,
    LogMelOptions,
    MFCCOptions,
    WhisperLogMelOptions,
    WaveformOptions,
)
