"""Waveform -> spectral frames on a logarithmic scale: linear-frequency, mel, cepstral, Whisper's; or the
waveform as it is.

A frontend is a composition of steps: framing (``framing.py``), spectrum, bands, then a logarithm and what follows it
(``steps.py``), each a pure function of ``spectral.py`` with its constants. ``frontend.py`` runs them. Each frontend has
two engines that compute the same numbers: ``fft`` for training, and ``matmul``, a folded DFT as matrix products, for
the exported graph.

Numbers follow librosa 0.11 (``melspectrogram`` with ``pad_mode="constant"``, ``power_to_db``, ``mfcc``), at each clip's
true length: centred frames see zeros beyond both ends, the maximum that ``top_db`` counts from is over valid frames,
and deltas repeat the last valid one.
"""

from collections.abc import Mapping

from serotone.modeling.frontends.bands import Bands, Bins, Filters
from serotone.modeling.frontends.folded import FoldedDFT, folded_dft
from serotone.modeling.frontends.framing import Framing
from serotone.modeling.frontends.frontend import (
    CPU_SAMPLES,
    Frontend,
    SpectralFrontend,
)
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
    power_to_whisper,
    pre_emphasised,
)
from serotone.modeling.frontends.spectrogram import Spectrogram
from serotone.modeling.frontends.spectrum import Engine, Spectrum
from serotone.modeling.frontends.steps import (
    CosineTransform,
    Decibels,
    Deltas,
    NaturalLogarithm,
    Step,
    WhisperLogarithm,
)
from serotone.modeling.frontends.waveform import Waveform
from serotone.modeling.frontends.whisper import WhisperLogMel
from serotone.options import by_name

FRONTENDS: Mapping[str, type[Frontend]] = by_name(Spectrogram, LogMel, MFCC, WhisperLogMel, Waveform)
"""Recipe name -> frontend."""

__all__ = [
    "Bands",
    "Bins",
    "CPU_SAMPLES",
    "CosineTransform",
    "Decibels",
    "Deltas",
    "Engine",
    "FRONTENDS",
    "Filters",
    "FoldedDFT",
    "Framing",
    "Frontend",
    "LogMel",
    "MFCC",
    "NaturalLogarithm",
    "SpectralFrontend",
    "Spectrogram",
    "Spectrum",
    "Step",
    "WINDOWS",
    "Waveform",
    "WhisperLogMel",
    "WhisperLogarithm",
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
    "power_to_whisper",
    "pre_emphasised",
]
