"""Waveform -> spectral frames on a logarithmic scale: linear-frequency, mel, cepstral.

Each frontend has two engines that compute the same numbers: ``fft`` for training, and ``matmul``, a folded DFT as
matrix products, for the exported graph.

Numbers follow librosa 0.11 (``melspectrogram`` with ``pad_mode="constant"``, ``power_to_db``, ``mfcc``), at each clip's
true length: centred frames see zeros beyond both ends, the maximum that ``top_db`` counts from is over valid frames,
and deltas repeat the last valid one.
"""

from collections.abc import Mapping
from types import MappingProxyType

from serotone.modeling.frontends.folded import FoldedDFT, folded_dft
from serotone.modeling.frontends.mel import LogMel
from serotone.modeling.frontends.mfcc import MFCC
from serotone.modeling.frontends.spectral import (
    WINDOWS,
    cosine_transform,
    cosine_window,
    deltas,
    hertz_to_mel,
    mel_filterbank,
    mel_to_hertz,
    power_spectrum,
    power_to_db,
    power_to_ln,
    pre_emphasised,
)
from serotone.modeling.frontends.spectrogram import CPU_SAMPLES, Engine, Logarithm, Spectrogram

FRONTENDS: Mapping[str, type[Spectrogram]] = MappingProxyType(
    {"spectrogram": Spectrogram, "log-mel": LogMel, "mfcc": MFCC}
)
"""Recipe name -> frontend."""

__all__ = [
    "CPU_SAMPLES",
    "FRONTENDS",
    "MFCC",
    "WINDOWS",
    "Engine",
    "FoldedDFT",
    "LogMel",
    "Logarithm",
    "Spectrogram",
    "cosine_transform",
    "cosine_window",
    "deltas",
    "folded_dft",
    "hertz_to_mel",
    "mel_filterbank",
    "mel_to_hertz",
    "power_spectrum",
    "power_to_db",
    "power_to_ln",
    "pre_emphasised",
]
