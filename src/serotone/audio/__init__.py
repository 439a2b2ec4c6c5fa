"""Files, bytes, streams and arrays to mono float32 at one rate.

Whatever comes in is decided by its content, never by its name: libsndfile decodes WAV, FLAC, OGG, MP3, AIFF and their
relatives, PyAV (the ``codecs`` extra) what is in MP4, WebM and other containers. Decoding, mixing and resampling run in
blocks, so that memory holds the result and little else, and no number in a header decides what is allocated.
"""

from serotone.audio.formats import AUDIO_SUFFIXES
from serotone.audio.reading import MAX_SAMPLE_RATE, MAX_SECONDS, MIN_SAMPLE_RATE, Audio, read

__all__ = ["AUDIO_SUFFIXES", "MAX_SAMPLE_RATE", "MAX_SECONDS", "MIN_SAMPLE_RATE", "Audio", "read"]
