"""Signals that are no speech, from a seeded generator: float64 arrays (T,) whose root mean square is 1."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Samples = NDArray[np.float64]

LOWEST_HZ = 20.0
"""Below this, coloured noise grows no further."""


def white(generator: Generator, count: int, rate: int) -> Samples:
    """Gaussian noise, the same power at every frequency."""
    return unit(generator.standard_normal(count))


def pink(generator: Generator, count: int, rate: int) -> Samples:
    """Noise whose power falls by 3 dB an octave."""
    return coloured(generator, count, rate, slope=0.5)


def brown(generator: Generator, count: int, rate: int) -> Samples:
    """Noise whose power falls by 6 dB an octave."""
    return coloured(generator, count, rate, slope=1.0)


def coloured(generator: Generator, count: int, rate: int, *, slope: float) -> Samples:
    """Gaussian noise with a spectrum of magnitude 1 / f ** slope."""
    spectrum = np.fft.rfft(generator.standard_normal(count))
    frequencies = np.maximum(np.fft.rfftfreq(count, 1 / rate), LOWEST_HZ)
    return unit(np.fft.irfft(spectrum / frequencies**slope, count))


def tone(frequency: float) -> "Signal":
    """A sine wave of that frequency in Hz, at a random phase."""

    def make(generator: Generator, count: int, rate: int) -> Samples:
        phase = generator.uniform(0, 2 * np.pi)
        return unit(np.sin(2 * np.pi * frequency * np.arange(count) / rate + phase))

    return make


def hum(frequency: float) -> "Signal":
    """Mains hum: that frequency in Hz and its first twenty harmonics, the odd ones stronger."""

    def make(generator: Generator, count: int, rate: int) -> Samples:
        times = np.arange(count) / rate
        numbers = np.arange(1, 21)
        numbers = numbers[numbers * frequency < rate / 2]
        weights = np.where(numbers % 2, 1.0, 0.4) / numbers
        phases = generator.uniform(0, 2 * np.pi, len(numbers))
        return unit(weights @ np.sin(2 * np.pi * frequency * numbers[:, None] * times + phases[:, None]))

    return make


def clicks(generator: Generator, count: int, rate: int) -> Samples:
    """Short bursts of 5 ms at random moments, about four in a second and at least one, as of keys or bad contacts."""
    length = min(count, round(0.005 * rate))
    times = np.arange(length) / rate
    samples = np.zeros(count)
    for _ in range(max(1, generator.poisson(4 * count / rate))):
        start = int(generator.integers(0, count - length + 1))
        burst = np.sin(2 * np.pi * generator.uniform(1500, 4000) * times) * np.exp(-times / 0.001)
        samples[start : start + length] += generator.uniform(0.3, 1) * burst
    return unit(samples)


def music(generator: Generator, count: int, rate: int) -> Samples:
    """Chords of plucked strings over a bass, with a beat of noise: four beats in a bar, 80 to 140 in a minute."""
    beat = round(rate * 60 / generator.uniform(80, 140))
    root = 110 * 2 ** (generator.integers(0, 12) / 12)
    samples = np.zeros(count + 8 * beat)
    chord: tuple[int, ...] = ()
    for number, start in enumerate(range(0, count, beat)):
        if number % 4 == 0:
            degree = int(generator.choice([0, 5, 7, 9]))
            third = 3 if degree == 9 else 4
            chord = (degree, degree + third, degree + 7)
            _pluck(samples, start, root / 2 * 2 ** (degree / 12), 4 * beat, rate, 1.0)
        for step in chord:
            _pluck(samples, start, 2 * root * 2 ** (step / 12), 2 * beat, rate, generator.uniform(0.3, 0.6))
        _pluck(samples, start, 4 * root * 2 ** (int(generator.choice(chord)) / 12), beat, rate, 0.6)
        drum = generator.standard_normal(min(beat, round(0.08 * rate)))
        samples[start : start + len(drum)] += 0.4 * drum * np.exp(-np.arange(len(drum)) / (0.02 * rate))
    return unit(samples[:count])


def street(generator: Generator, count: int, rate: int) -> Samples:
    """Traffic-like noise: a rumble, vehicles that pass with engine and tyres, now and then a horn."""
    times = np.arange(count) / rate
    samples = 0.5 * brown(generator, count, rate)
    for _ in range(1 + generator.poisson(count / rate / 4)):
        middle, width = generator.uniform(0, count / rate), generator.uniform(0.6, 2.0)
        envelope = np.exp(-0.5 * ((times - middle) / width) ** 2)
        engine = hum(generator.uniform(35, 90))(generator, count, rate)
        samples += envelope * (0.6 * engine + 0.6 * band(pink(generator, count, rate), rate, 300, 2000))
    if generator.random() < 0.3:
        start, length = generator.uniform(0, count / rate), generator.uniform(0.2, 0.6)
        horn = np.sin(2 * np.pi * 420 * times) + np.sin(2 * np.pi * 530 * times)
        samples += 0.5 * horn * ((times >= start) & (times < start + length))
    return unit(samples)


def silence(generator: Generator, count: int, rate: int) -> Samples:
    """Digital silence, the one signal whose root mean square is 0."""
    return np.zeros(count)


def band(samples: Samples, rate: int, low: float, high: float) -> Samples:
    """The part of a signal between two frequencies in Hz, without any delay: a filter with edges 50 Hz wide."""
    frequencies = np.fft.rfftfreq(2 * len(samples), 1 / rate)
    edges = np.interp(frequencies, [low - 50, low, high, high + 50], [0, 1, 1, 0])
    spectrum = np.fft.rfft(samples, 2 * len(samples)) * edges
    return np.fft.irfft(spectrum, 2 * len(samples))[: len(samples)]


def unit(samples: Samples) -> Samples:
    """The signal at a root mean square of 1."""
    return samples / rms(samples)


def rms(samples: NDArray[np.floating]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _pluck(samples: Samples, start: int, frequency: float, length: int, rate: int, loudness: float) -> None:
    """Add one decaying string of six harmonics."""
    times = np.arange(length) / rate
    numbers = np.arange(1, 7)
    numbers = numbers[numbers * frequency < rate / 2]
    string = (1 / numbers) @ (
        np.sin(2 * np.pi * frequency * numbers[:, None] * times) * np.exp(-3 * numbers[:, None] ** 0.5 * times)
    )
    samples[start : start + length] += loudness * string


Signal = Callable[[Generator, int, int], Samples]
"""From a generator, a number of samples and a rate in Hz to samples."""

NON_SPEECH: dict[str, Signal] = {
    "digital-silence": silence,
    "white-noise": white,
    "pink-noise": pink,
    "brown-noise": brown,
    "tone-100": tone(100),
    "tone-440": tone(440),
    "tone-1000": tone(1000),
    "tone-4000": tone(4000),
    "hum-50": hum(50),
    "hum-60": hum(60),
    "music": music,
    "street": street,
    "clicks": clicks,
}
"""What a recogniser of emotion in speech should give no label."""
