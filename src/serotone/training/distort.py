"""Distorted copies of clips: what other rooms, microphones and recorders would have made of the same speech.

A head that is fitted on a clip and on its distorted copies learns less of the room that the clip was recorded in. The
stages stand in the order in which sound passes them: room, microphone, noise, recorder. All amounts are ours. Every
stage is a pure function of samples (T,) at a rate in Hz and a generator, and keeps the length.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.ndimage import uniform_filter1d
from scipy.signal import fftconvolve

from serotone.training.data import derived_seed

Samples = NDArray[np.float32]

LOWEST_HERTZ = 50.0
"""Below this a spectrum is shaped as it is here: there is no speech."""


def distorted(samples: Samples, sample_rate: int, seed: int, utterance: str, copy: int) -> Samples:
    """Copy number ``copy``, from 1 on, of a clip: each stage with its probability, by its own amounts.

    Its root mean square is the clip's. The same arguments give the same samples, whatever was distorted before.

    Raises:
        ValueError: A copy below 1.
    """
    if copy < 1:
        raise ValueError(f"copy {copy} of {utterance}; expected 1 or more, since the clip itself is copy 0")
    generator = np.random.default_rng(derived_seed(seed, "distorted", copy, utterance))
    level = _rms(samples)
    changed = samples
    for stage, probability in STAGES.items():
        if generator.random() < probability:
            changed = stage(changed, sample_rate, generator)
    return _single(changed * (level / max(_rms(changed), 1e-12)))


def room(samples: Samples, sample_rate: int, generator: Generator) -> Samples:
    """Reverberation: the direct sound, then noise that decays by 60 dB in .15 to .9 s, the treble twice as fast.

    The direct sound is 0 to 15 dB above all the rest.
    """
    seconds = generator.uniform(0.15, 0.9)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    noise = generator.standard_normal((2, len(time)))
    dull = uniform_filter1d(noise[0], 8)
    tail = dull * 10 ** (-3 * time / seconds) + 0.5 * noise[1] * 10 ** (-6 * time / seconds)
    tail[: round(0.002 * sample_rate)] = 0.0  # nothing is nearer than the direct sound
    tail *= 10 ** (-generator.uniform(0, 15) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return _single(fftconvolve(samples, tail.astype(np.float32))[: len(samples)])


def microphone(samples: Samples, sample_rate: int, generator: Generator) -> Samples:
    """A response of random steps with an SD of 3 dB from octave to octave, on a slope of up to 2 dB an octave."""
    octaves = np.log2(sample_rate / 2 / LOWEST_HERTZ)
    knots = np.arange(np.ceil(octaves) + 1)
    decibels = generator.normal(0, 3, len(knots)) + generator.uniform(-2, 2) * knots
    return _shaped(
        samples,
        sample_rate,
        lambda hertz: np.interp(np.log2(np.maximum(hertz, LOWEST_HERTZ) / LOWEST_HERTZ), knots, decibels),
    )


def noise(samples: Samples, sample_rate: int, generator: Generator) -> Samples:
    """Steady noise 5 to 40 dB below the speech: half the time with the speech's own spectrum, else falling evenly.

    Even is 0 (white) to 6 dB an octave (brown).
    """
    count = len(samples)
    spectrum = rfft(generator.standard_normal(count).astype(np.float32))
    if generator.random() < 0.5:
        spectrum = spectrum * uniform_filter1d(np.abs(rfft(samples)), max(1, len(spectrum) // 200))
    else:
        exponent = generator.uniform(0, 1)
        spectrum = spectrum / np.maximum(rfftfreq(count, 1 / sample_rate), LOWEST_HERTZ) ** exponent
    added = irfft(spectrum, count)
    ratio = 10 ** (-generator.uniform(5, 40) / 20)
    return _single(samples + added * (_rms(samples) * ratio / max(_rms(added), 1e-12)))


def band(samples: Samples, sample_rate: int, generator: Generator) -> Samples:
    """A band from 50 to 350 Hz up to 3 to 7 kHz; beyond it 24 dB an octave below, 96 above."""
    low, high = generator.uniform(50, 350), generator.uniform(3000, 7000)

    def decibels(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        known = np.maximum(hertz, 1.0)
        below, above = np.log2(known / low), np.log2(known / high)
        return np.asarray(np.minimum(0, 24 * below) - np.maximum(0, 96 * above))

    return _shaped(samples, sample_rate, decibels)


def compressor(samples: Samples, sample_rate: int, generator: Generator) -> Samples:
    """Automatic gain: a fifth to three fifths of the differences in level over 50 to 400 ms go, down to 30 dB."""
    width = max(1, round(generator.uniform(0.05, 0.4) * sample_rate))
    power = np.maximum(uniform_filter1d(samples.astype(np.float64) ** 2, width), 0)
    level = np.maximum(power / max(float(power.max()), 1e-24), 1e-3)
    return _single(samples * level ** (-generator.uniform(0.2, 0.6) / 2))


def few_steps(samples: Samples, sample_rate: int, generator: Generator) -> Samples:
    """Coarse steps, as of a telephone line: mu-law of 6 to 8 bits, the peak at -30 dBFS to full scale."""
    mu = 255.0
    half = 2 ** (int(generator.integers(6, 9)) - 1)
    scale = 10 ** (-generator.uniform(0, 30) / 20) / max(float(np.abs(samples).max()), 1e-12)
    compressed = np.sign(samples) * np.log1p(mu * np.abs(samples * scale)) / np.log1p(mu)
    steps = np.round(compressed * half) / half
    return _single(np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(mu)) / (mu * scale))


def overload(samples: Samples, sample_rate: int, generator: Generator) -> Samples:
    """Peaks pressed flat: everything above 25 to 100 % of the peak, softly."""
    limit = generator.uniform(0.25, 1.0) * max(float(np.abs(samples).max()), 1e-12)
    return _single(limit * np.tanh(samples / limit))


STAGES: Mapping[Callable[[Samples, int, Generator], Samples], float] = {
    room: 0.5,
    microphone: 0.7,
    noise: 0.7,
    overload: 0.15,
    compressor: 0.3,
    band: 0.3,
    few_steps: 0.15,
}
"""The stages in order, and how likely each is."""


def _shaped(
    samples: Samples, sample_rate: int, decibels: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Samples:
    """The samples with a gain for each frequency, without delay; zeros behind keep its end out of its beginning."""
    count = next_fast_len(len(samples) + sample_rate // 10, real=True)
    gains = 10 ** (decibels(rfftfreq(count, 1 / sample_rate)) / 20)
    return _single(irfft(rfft(samples, count) * gains.astype(np.float32), count)[: len(samples)])


def _single(samples: NDArray[np.floating]) -> Samples:
    """The samples in float32."""
    return np.asarray(samples, np.float32)


def _rms(samples: NDArray[np.floating]) -> float:
    """Root mean square; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
