"""Mel-frequency cepstral coefficients and their deltas."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, doc

from serotone.modeling.frontends.frontend import SpectralFrontend
from serotone.modeling.frontends.mel import MelOptions, mel_bands
from serotone.modeling.frontends.spectrum import Engine
from serotone.modeling.frontends.steps import CosineTransform, Deltas


@dataclass(frozen=True, kw_only=True)
class MFCCOptions(MelOptions):
    """Cepstral frames, with their differences where asked."""

    name: Literal["mfcc"] = "mfcc"
    num_coefficients: Annotated[int, Ge(1), doc("from coefficient 0 on")] = 40
    deltas: Annotated[int, Ge(0), Le(2), doc("orders of differences appended")] = 0
    delta_width: Annotated[int, Ge(3), doc("frames that a difference reads; odd")] = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delta_width % 2 == 0:
            raise ValueError(f"delta_width {self.delta_width}; expected an odd number, with one frame in the middle")


class MFCC(SpectralFrontend):
    """Framing, spectrum, mel bands, logarithm, cosine transform, deltas."""

    options_type = MFCCOptions

    def __init__(self, options: MFCCOptions, *, sample_rate: int, engine: Engine = "fft") -> None:
        framing = options.framing(sample_rate)
        spectrum, bands = mel_bands(options, framing, sample_rate)
        transform = CosineTransform(options.num_mels, options.num_coefficients)
        slopes = [Deltas(orders=options.deltas, width=options.delta_width)] if options.deltas else []
        super().__init__(
            sample_rate=sample_rate,
            framing=framing,
            spectrum=spectrum,
            bands=bands,
            steps=[options.logarithm_step(), transform, *slopes],
            num_features=options.num_coefficients * (1 + options.deltas),
            pre_emphasis=options.pre_emphasis,
            engine=engine,
        )
