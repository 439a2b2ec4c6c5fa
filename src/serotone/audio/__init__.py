"""Files, bytes, streams and arrays to mono float32 at one rate.

Whatever comes in is decided by its content, not by its name: libsndfile decodes WAV, FLAC, OGG, MP3, AIFF and their
relatives, PyAV (the ``codecs`` extra) what is in MP4, WebM and other containers. PyAV runs in a child process, because
FFmpeg crashes on some damaged files. Decoding, mixing and resampling run in blocks: ``blocks`` gives them one by one,
``read`` all of them as one array. No number in a header decides what is allocated.
"""

from serotone.audio.decoding import Blocks, Source
from serotone.audio.folders import FolderScan, audio_in, scan_folder
from serotone.audio.formats import AUDIO_SUFFIXES
from serotone.audio.reading import MAX_SECONDS, Audio, read
from serotone.audio.sources import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE

blocks = Blocks
"""Opens a source, as ``open`` opens a file."""

__all__ = [
    "AUDIO_SUFFIXES",
    "MAX_SAMPLE_RATE",
    "MAX_SECONDS",
    "MIN_SAMPLE_RATE",
    "Audio",
    "Blocks",
    "FolderScan",
    "Source",
    "audio_in",
    "blocks",
    "read",
    "scan_folder",
]
