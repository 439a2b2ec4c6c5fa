"""What happens to speech on its way: from samples (T,) at a rate to samples, or to the bytes of a file."""

import io
from collections.abc import Sequence

import numpy as np
import soundfile
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from conditions.signals import Samples, band, rms, unit
from serotone.errors import MissingExtraError

TELEPHONE_RATE = 8000
TELEPHONE_BAND = (300.0, 3400.0)

ROOM_CUBIC_METRES = 60.0
TALKER_METRES = 1.0

CODECS = {"mp3": ("libmp3lame", "mp3", {}), "opus": ("libopus", "ogg", {"vbr": "off"})}
"""Codec -> FFmpeg's encoder, container and options: both at a constant bit rate, so that the rate is what it says."""


def mixed(speech: Samples, noise: Samples, decibels: float) -> Samples:
    """Speech with noise of the same length added, at a ratio of their mean powers over the whole clip.

    Where the sum would go beyond full scale, all of it is made quieter until its peak is full scale.
    """
    total = speech + noise * (rms(speech) / rms(noise) * 10 ** (-decibels / 20))
    return total / max(1.0, float(np.abs(total).max()))


def babble(voices: Sequence[Samples], generator: Generator, count: int) -> Samples:
    """Several voices at once, all equally loud, each repeated from a random moment on; root mean square 1."""
    total = np.zeros(count)
    for voice in voices:
        start = int(generator.integers(0, len(voice)))
        total += np.resize(np.roll(unit(voice), -start), count)
    return unit(total)


def louder(samples: Samples, decibels: float) -> Samples:
    """The signal after a gain, as a recorder of 16 bits keeps it: cut at full scale, rounded."""
    return np.clip(np.round(samples * 10 ** (decibels / 20) * 32768), -32768, 32767) / 32768


def telephone(samples: Samples, rate: int) -> bytes:
    """A WAV file of 8 kHz and mu-law (G.711) that holds the band of a telephone, 300 to 3400 Hz."""
    narrow = band(soxr.resample(samples, rate, TELEPHONE_RATE), TELEPHONE_RATE, *TELEPHONE_BAND)
    return _written(narrow, TELEPHONE_RATE, format="WAV", subtype="ULAW")


def encoded(samples: Samples, rate: int, codec: str, kilobits: int) -> bytes:
    """An MP3 file, or an Ogg file with Opus, at a bit rate; made by PyAV.

    Raises MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("encoding MP3 and Opus", "codecs") from error
    encoder, container, options = CODECS[codec]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(encoder, rate=rate, layout="mono", options=options)
        stream.bit_rate = 1000 * kilobits
        whole = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, "mono", rate, frame_size=stream.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def room_response(generator: Generator, rate: int, rt60: float) -> Samples:
    """The impulse response of a room whose sound falls by 60 dB in ``rt60`` seconds: direct sound, then a diffuse tail.

    Polack's model: Gaussian noise under an exponential decay. The tail's energy against that of the direct sound
    follows from Sabine's critical distance, 0.057 sqrt(volume / rt60), for a talker 1 m away in a room of 60 cubic
    metres. The direct sound is 1.
    """
    times = np.arange(1, round(rt60 * rate) + 1) / rate
    tail = generator.standard_normal(len(times)) * 10 ** (-3 * times / rt60)
    critical = 0.057 * np.sqrt(ROOM_CUBIC_METRES / rt60)
    tail *= TALKER_METRES / critical / np.sqrt(np.sum(tail**2))
    return np.concatenate([[1.0], tail])


def reverberated(samples: Samples, response: Samples) -> Samples:
    """The signal in a room, as loud as before, and its tail; all of it quieter where its peak would pass full scale."""
    size = len(samples) + len(response) - 1
    points = 1 << (size - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, points) * np.fft.rfft(response, points), points)[:size]
    wet *= rms(samples) / rms(wet[: len(samples)])
    return wet / max(1.0, float(np.abs(wet).max()))


def in_channels(samples: Samples, rate: int, places: Sequence[int], channels: int) -> bytes:
    """A WAV file with so many channels, the signal in those at ``places`` and silence in the others.

    With six channels it is 5.1: left, right, centre, low frequencies, and two at the back.
    """
    frames = np.zeros((len(samples), channels))
    frames[:, list(places)] = samples[:, None]
    return _written(frames, rate, format="WAVEX", subtype="PCM_16")


def padded(samples: Samples, rate: int, seconds: float, noise: Samples | None = None) -> Samples:
    """The signal with silence on each side; ``noise``, as long as all of it, is added 40 dB below the signal."""
    side = np.zeros(round(seconds * rate))
    longer = np.concatenate([side, samples, side])
    return longer if noise is None else longer + noise * (rms(samples) / rms(noise) * 0.01)


def loudest(samples: Samples, count: int) -> Samples | None:
    """The stretch of so many samples that has the most energy; None where the signal is no longer than that."""
    if len(samples) <= count:
        return None
    energy = np.concatenate([[0.0], np.cumsum(samples**2)])
    start = int(np.argmax(energy[count:] - energy[:-count]))
    return samples[start : start + count]


def at_level(samples: Samples, dbfs: float) -> Samples:
    """The signal at a root mean square in dBFS (0 is a full-scale square wave), cut at full scale; silence stays."""
    level = rms(samples)
    return np.clip(samples * (10 ** (dbfs / 20) / level if level else 0.0), -1, 1)


def _written(samples: NDArray[np.floating], rate: int, *, format: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), rate, format=format, subtype=subtype)
    return file.getvalue()
