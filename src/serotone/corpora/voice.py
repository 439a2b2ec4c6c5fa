"""The source-filter voice behind :mod:`serotone.corpora.synthetic`: numbers in, samples out, no files."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16000
_FRAME_RATE = 200  # control frames a second: pitch, loudness, formants, noise
_HOP = SAMPLE_RATE // _FRAME_RATE
_FFT = 512  # samples of one pulse's response, 32 ms: the narrowest formant has decayed by 50 dB
_HERTZ = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
_MARGIN_SECONDS = 0.15  # silence before and after
_SHORTEST_SECONDS, _LONGEST_SECONDS = 1.5, 4.0
_PAUSE_LEVEL = 10 ** (-64 / 20)  # the room

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How something is said; each value relative to the speaker's own neutral voice."""

    pitch: float = 0.0  # semitones above the speaker's level
    range: float = 1.0  # factor on the pitch movements
    slope: float = -2.0  # semitones from the first syllable to the last
    accent: float = 3.0  # semitones of the bump on a stressed syllable
    rate: float = 1.0  # factor on the syllables a second
    level: float = 0.0  # dB
    stress: float = 3.0  # dB between stressed and unstressed syllables
    tilt: float = 0.0  # dB per octave, negative: darker
    jitter: float = 0.008  # SD of a period, relative
    shimmer: float = 0.05  # SD of a pulse's amplitude, relative
    tremor: float = 0.0  # semitones, at about 7 Hz
    creak: float = 0.0  # how much weaker every second pulse is
    breath: float = 0.02  # noise beside the voice
    formants: float = 1.0  # factor: lips spread or rounded


NEUTRAL = Delivery()
DELIVERIES: dict[str, Delivery] = {
    "angry": Delivery(
        pitch=4, range=1.5, slope=-3, accent=4, rate=1.12, level=8, stress=5, tilt=4, jitter=0.02, shimmer=0.12
    ),
    "bored": Delivery(pitch=-2, range=0.35, slope=-1, accent=1.5, rate=0.78, level=-3, stress=1, tilt=-0.5),
    "disgusted": Delivery(
        pitch=-1,
        range=1.2,
        slope=-5,
        accent=2,
        rate=0.82,
        level=0,
        stress=5,
        tilt=1,
        jitter=0.03,
        shimmer=0.2,
        creak=0.5,
        formants=0.94,
    ),
    "fearful": Delivery(
        pitch=7,
        range=0.7,
        slope=1,
        accent=2,
        rate=1.25,
        level=0,
        stress=2,
        tilt=0.5,
        jitter=0.03,
        shimmer=0.1,
        tremor=0.8,
        breath=0.08,
    ),
    "happy": Delivery(pitch=4, range=2.0, slope=1, accent=5, rate=1.05, level=4, tilt=1.5, formants=1.06),
    "neutral": NEUTRAL,
    "sad": Delivery(
        pitch=-1, range=0.5, slope=-3, accent=1.5, rate=0.75, level=-8, stress=1.5, tilt=-4, jitter=0.015, breath=0.12
    ),
}
EMOTIONS: tuple[str, ...] = tuple(DELIVERIES)
"""The emotions that the voice can show: those of EmoDB."""

_CLIP_SPREAD = {"pitch": 0.7, "level": 1.2, "tilt": 0.5, "slope": 0.7}  # SD, added
_CLIP_FACTORS = {"rate": 0.05, "range": 0.15, "jitter": 0.2, "shimmer": 0.2, "breath": 0.2, "tremor": 0.2}  # SD of log

_VOWELS = np.array(  # F1, F2, F3 of an adult male voice in Hz: a e i o u schwa
    [(730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240), (500, 1500, 2500)],
    dtype=np.float64,
)
_UPPER_FORMANTS = np.array([3500.0, 4500.0])
_BANDWIDTHS = np.array([70.0, 90.0, 130.0, 200.0, 280.0])
# Consonants: seconds, dB below the vowel's level, centre and width of the noise in Hz, share of voice kept.
_CONSONANTS = (
    (0.09, -14.0, 6000.0, 1500.0, 0.0),  # s
    (0.09, -16.0, 3800.0, 1200.0, 0.0),  # sh
    (0.07, -24.0, 5000.0, 3500.0, 0.0),  # f
    (0.03, -14.0, 2500.0, 2000.0, 0.0),  # t
    (0.03, -15.0, 1500.0, 900.0, 0.0),  # k
    (0.06, -60.0, 1000.0, 1000.0, 0.35),  # m
    (0.05, -34.0, 3000.0, 2000.0, 0.25),  # z
)


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice: what stays the same from clip to clip."""

    hertz: float  # pitch level
    tract: float  # factor on the formants: a shorter vocal tract, higher formants
    rate: float  # syllables a second
    level: float  # dB of full scale
    tilt: float  # dB per octave of the source, negative
    expressive: float  # factor on the distance of a delivery from the neutral one


def speaker_of(seed: int, number: int, gender: str) -> Speaker:
    """The synthetic speaker of that number, drawn from (seed, number)."""
    rng = np.random.default_rng([seed, number])
    hertz, tract = (205.0, 1.16) if gender == "female" else (115.0, 1.0)
    return Speaker(
        hertz=hertz * float(np.exp(rng.normal(0, 0.09))),
        tract=tract * float(np.exp(rng.normal(0, 0.03))),
        rate=4.6 * float(np.exp(rng.normal(0, 0.06))),
        level=-30.0 + float(rng.normal(0, 1.0)),
        tilt=-7.0 + float(rng.normal(0, 0.6)),
        expressive=float(rng.uniform(0.85, 1.2)),
    )


def speak(seed: int, number: int, gender: str, emotion: str, sentence: int) -> NDArray[np.int16]:
    """One clip, (T,) 16-bit samples at 16 kHz, 1.5 to 4 s: the same for the same arguments."""
    speaker = speaker_of(seed, number, gender)
    rng = np.random.default_rng([seed, number, EMOTIONS.index(emotion), sentence, 1])
    delivery = _personal(DELIVERIES[emotion], speaker, EMOTIONS.index(emotion), seed, number)
    delivery = _varied(delivery, rng)
    score = _score(sentence, speaker, delivery, rng)
    voice = _voiced(score, speaker, delivery, rng) + _unvoiced(score, delivery, rng)
    spoken = voice[np.repeat(score.loudness, _HOP) > 0.1]
    voice *= 10 ** ((speaker.level + delivery.level) / 20) / np.sqrt(np.mean(spoken**2))
    voice += _PAUSE_LEVEL * np.exp(rng.normal(0, 0.2)) * rng.standard_normal(len(voice))
    return np.round(32767 * np.clip(voice, -0.99, 0.99)).astype(np.int16)


def _personal(delivery: Delivery, speaker: Speaker, emotion: int, seed: int, number: int) -> Delivery:
    """A speaker's own way: the distance from neutral scaled, and each of its parts moved a little."""
    rng = np.random.default_rng([seed, number, emotion])
    changes = {}
    for name in Delivery.__dataclass_fields__:
        neutral, shown = getattr(NEUTRAL, name), getattr(delivery, name)
        changes[name] = neutral + (shown - neutral) * speaker.expressive * rng.uniform(0.8, 1.2)
    return replace(delivery, **changes)


def _varied(delivery: Delivery, rng: np.random.Generator) -> Delivery:
    changes = {name: getattr(delivery, name) + rng.normal(0, spread) for name, spread in _CLIP_SPREAD.items()}
    for name, spread in _CLIP_FACTORS.items():
        changes[name] = getattr(delivery, name) * float(np.exp(rng.normal(0, spread)))
    return replace(delivery, **changes)


@dataclass(frozen=True, slots=True)
class _Score:
    """What is to be played, in control frames of 5 ms."""

    semitones: Array  # (N,) pitch above the speaker's level
    loudness: Array  # (N,) of the voice, 0 to about 1
    formants: Array  # (N, 5) Hz
    noise: Array  # (N, 3) amplitude, centre and width in Hz of the consonants


def _score(sentence: int, speaker: Speaker, delivery: Delivery, rng: np.random.Generator) -> _Score:
    text = np.random.default_rng([4711, sentence])  # what is said: the same for every speaker
    syllables = int(text.integers(9, 12))
    vowels = text.integers(0, len(_VOWELS), syllables)
    consonants = text.integers(0, len(_CONSONANTS), syllables)
    stressed = (np.arange(syllables) + text.integers(0, 3)) % 3 == 0
    seconds = np.where(stressed, 1.15, 0.9) * np.exp(rng.normal(0, 0.07, syllables)) / (speaker.rate * delivery.rate)
    seconds[-1] *= 1.3
    seconds *= min(1.0, (_LONGEST_SECONDS - 2 * _MARGIN_SECONDS) / seconds.sum())
    starts = _MARGIN_SECONDS + np.concatenate([[0.0], np.cumsum(seconds)])
    frames = int(max(starts[-1] + _MARGIN_SECONDS, _SHORTEST_SECONDS) * _FRAME_RATE)
    time = np.arange(frames) / _FRAME_RATE
    middles = (starts[:-1] + starts[1:]) / 2

    through = np.clip((time - starts[0]) / (starts[-1] - starts[0]), 0, 1)
    accents = np.exp(-0.5 * ((time[:, None] - middles) / (0.4 * seconds)) ** 2) @ np.where(stressed, 1.0, 0.0)
    wander = np.interp(time, np.linspace(0, time[-1], 12), rng.normal(0, 0.4, 12))
    tremor = delivery.tremor * np.sin(2 * np.pi * (rng.uniform(6, 8) * time + rng.uniform()))
    movement = delivery.slope * (through - 0.5) + delivery.accent * (accents - 0.33) + wander
    semitones = delivery.pitch + delivery.range * movement + tremor

    loudness, noise = np.zeros(frames), np.zeros((frames, 3))
    for index in range(syllables):
        length, decibels, centre, width, voiced = _CONSONANTS[consonants[index]]
        length = min(length / delivery.rate, 0.4 * seconds[index])
        closure = 0.0 if voiced or length > 0.05 else 0.03
        onset = starts[index] + length + closure
        vowel = (time >= onset) & (time < starts[index + 1])
        level = 10 ** ((delivery.stress if stressed[index] else 0.0) / 20)
        loudness[vowel] = level * (1 - 0.3 * through[vowel])
        loudness[(time >= starts[index]) & (time < onset)] = level * voiced
        burst = (time >= starts[index] + closure) & (time < onset)
        noise[burst] = 10 ** (decibels / 20), centre * speaker.tract, width
    loudness = _smooth(loudness, 7) * (1 + 0.15 * np.sin(2 * np.pi * 3 * through))
    noise[:, 0] = _smooth(noise[:, 0], 3)
    noise[:, 1:] = np.maximum(noise[:, 1:], 500.0)

    lower = np.stack([np.interp(time, middles, _VOWELS[vowels, f]) for f in range(3)], axis=1)
    formants = np.concatenate([lower, np.tile(_UPPER_FORMANTS, (frames, 1))], axis=1)
    return _Score(semitones, loudness, formants * speaker.tract * delivery.formants, noise)


def _smooth(values: Array, width: int) -> Array:
    window = np.hanning(width + 2)
    return np.convolve(values, window / window.sum(), mode="same")


def _tract(formants: Array) -> NDArray[np.complex128]:
    """Response of the resonator cascade, (N, 257), unit gain at 0 Hz: Klatt 1980, equation 2."""
    radius = np.exp(-np.pi * _BANDWIDTHS / SAMPLE_RATE)
    angle = 2 * np.pi * np.minimum(formants, 7600.0) / SAMPLE_RATE
    delay = np.exp(-2j * np.pi * _HERTZ / SAMPLE_RATE)  # z to the power of -1
    response = np.ones((len(formants), len(_HERTZ)), dtype=np.complex128)
    for n in range(formants.shape[1]):
        first = 2 * radius[n] * np.cos(angle[:, n, None])
        second = radius[n] ** 2
        response *= (1 - first + second) / (1 - delay * (first - second * delay))
    return response


def _voiced(score: _Score, speaker: Speaker, delivery: Delivery, rng: np.random.Generator) -> Array:
    """Glottal pulses through the tract: one response of 32 ms is laid down at each pulse."""
    samples = len(score.loudness) * _HOP
    frame_times = (np.arange(len(score.loudness)) + 0.5) * _HOP
    hertz = speaker.hertz * 2 ** (np.interp(np.arange(samples), frame_times, score.semitones) / 12)
    cycles = np.cumsum(np.clip(hertz, 50.0, 600.0)) / SAMPLE_RATE
    times = np.interp(np.arange(1, int(cycles[-1])), cycles, np.arange(samples))
    times = times + rng.normal(0, delivery.jitter, len(times)) * np.gradient(times)
    amplitude = np.interp(times, frame_times, score.loudness) * (1 + rng.normal(0, delivery.shimmer, len(times)))
    amplitude[1::2] *= 1 - delivery.creak
    heard = (amplitude > 1e-3) & (times >= 0) & (times < samples)
    times, amplitude = times[heard], amplitude[heard]

    formants = np.stack([np.interp(times, frame_times, f) for f in score.formants.T], axis=1)
    order = max(speaker.tilt + delivery.tilt, -14.0) / -6.02
    source = (1 + 1j * _HERTZ / 200.0) ** -max(order, 0.2)
    source[0] = 0.0  # radiation at the lips: no constant pressure
    whole = np.floor(times).astype(np.int64)
    shift = np.exp(-2j * np.pi * _HERTZ * ((times - whole) / SAMPLE_RATE)[:, None])
    pulses = np.fft.irfft(_tract(formants) * (source * shift), _FFT) * amplitude[:, None]
    wave = np.zeros(samples + _FFT)
    for start, pulse in zip(whole, pulses):
        wave[start : start + _FFT] += pulse
    return _unit(wave[:samples], score)


def _unvoiced(score: _Score, delivery: Delivery, rng: np.random.Generator) -> Array:
    """Breath through the tract, and the consonants, by overlap-add of shaped noise; levels relative to the voice."""
    frames, samples = len(score.loudness), len(score.loudness) * _HOP
    window = np.hanning(2 * _HOP + 1)[:-1]
    spectra = np.fft.rfft(rng.standard_normal((frames, 2 * _HOP)) * window, _FFT)
    breath = np.abs(_tract(score.formants)) * (_HERTZ / (_HERTZ + 1000.0))
    breath /= np.sqrt(np.mean(breath**2, axis=1, keepdims=True))
    amplitude, centre, width = (column[:, None] for column in score.noise.T)
    hiss = np.exp(-0.5 * ((_HERTZ - centre) / width) ** 2)
    hiss /= np.sqrt(np.mean(hiss**2, axis=1, keepdims=True))
    shape = delivery.breath * score.loudness[:, None] * breath + amplitude * hiss
    pieces = np.fft.irfft(spectra * shape, _FFT)
    wave = np.zeros(samples + _FFT)
    for index, piece in enumerate(pieces):
        wave[index * _HOP : index * _HOP + _FFT] += piece
    return wave[:samples]


def _unit(wave: Array, score: _Score) -> Array:
    """A wave with an RMS of 1 where the voice sounds."""
    sounding = np.repeat(score.loudness, _HOP) > 0.1
    return np.asarray(wave / np.sqrt(np.mean(wave[sounding] ** 2)))
