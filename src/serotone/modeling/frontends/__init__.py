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

from serotone.modeling.frontends.frontend import Frontend
from serotone.modeling.frontends.mel import LogMel
from serotone.modeling.frontends.mfcc import MFCC
from serotone.modeling.frontends.spectrogram import Spectrogram
from serotone.modeling.frontends.waveform import Waveform
from serotone.modeling.frontends.whisper import WhisperLogMel
from serotone.options import by_name

FRONTENDS: Mapping[str, type[Frontend]] = by_name(Spectrogram, LogMel, MFCC, WhisperLogMel, Waveform)
"""Recipe name -> frontend."""

__all__ = ["FRONTENDS", "Frontend", "LogMel", "MFCC", "Spectrogram", "Waveform", "WhisperLogMel"]
