"""Speech or not: Silero's detector and the level meter on speech, noise, music, hum, tones and clicks.

    SEROTONE_DATA=/data python benchmarks/speech_or_not.py [--clips 300] [--out F]

Speech: clips spread evenly over the files below SEROTONE_DATA, or the project's synthetic voices where it is not set:
clean, at other levels, and with white noise, pink noise, music or babble (five other voices at once) at 20, 10, 5 and
0 dB. Not speech: white, pink and brown noise, chords with melody and drums, chords alone, mains hum, tones, sweeps and
clicks, each at three levels and with many seeds. The figure is the share in which each finds speech: right for speech,
a false alarm for the rest. Babble alone is made of speech and stands apart.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from machine import machine
from serotone import audio
from serotone.corpora.synthetic import EMOTIONS
from serotone.corpora.voice import speak
from serotone.errors import SerotoneError
from serotone.recognition.levels import LevelDetector
from serotone.recognition.squeeze import Detector, Squeezer
from serotone.recognition.vad import SpeechDetector

RATE = 16000
SECONDS = 4.0
LEVELS = (-30.0, -6.0, 12.0)
SNRS = (20.0, 10.0, 5.0, 0.0)
SEEDS = 20

Samples = NDArray[np.float32]


def main() -> int:
    """Measure, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SEROTONE_DATA"), help="default: SEROTONE_DATA")
    parser.add_argument("--clips", type=int, default=300, help="clips of speech")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()

    clips = list(
        real_speech(Path(arguments.data), arguments.clips) if arguments.data else synthetic_speech(arguments.clips)
    )
    print(f"{'share with speech found':34}{'clips':>7}{'silero':>9}{'level':>9}")
    found: dict[str, dict[str, float]] = {}
    for condition, signals in conditions(clips):
        verdicts = np.array(
            [[finds_speech(s, SpeechDetector()), finds_speech(s, LevelDetector(RATE))] for s in signals]
        )
        silero, level = verdicts.mean(axis=0)
        found[condition] = {"clips": len(signals), "silero": float(silero), "level": float(level)}
        print(f"{condition:34}{len(signals):7}{silero:9.3f}{level:9.3f}", flush=True)

    three_seconds = np.resize(clips[0], 3 * RATE)
    milliseconds = {
        "silero": cost(lambda: finds_speech(three_seconds, SpeechDetector())),
        "level": cost(lambda: finds_speech(three_seconds, LevelDetector(RATE))),
    }
    for name, value in milliseconds.items():
        print(f"{name + ', CPU ms for 3 s':34}{value:16.2f}")
    if arguments.out:
        figures = {
            "schema": 1,
            "machine": machine(),
            "python": platform.python_version(),
            "speech": "real" if arguments.data else "synthetic",
            "share_with_speech": found,
            "milliseconds_for_3_s": milliseconds,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def finds_speech(samples: Samples, detector: Detector) -> bool:
    """Whether a recogniser would hear anything of a recording."""
    squeezer = Squeezer(detector, RATE)
    return bool([*squeezer.feed(samples), *squeezer.finish()])


def real_speech(data: Path, count: int) -> Iterator[Samples]:
    """Clips spread evenly over the corpora in a folder, each of half a second and more."""
    folders = sorted(path for path in data.iterdir() if path.is_dir())
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix in audio.AUDIO_SUFFIXES)
        share = max(1, count // len(folders))
        for path in files[:: max(1, len(files) // share)][:share]:
            try:
                yield audio.read(path, sample_rate=RATE, min_seconds=0.5).samples
            except SerotoneError as error:
                print(f"note: {error}", file=sys.stderr)


def synthetic_speech(count: int) -> Iterator[Samples]:
    """The project's own voices: emotions, sentences and speakers in turn."""
    for number in range(count):
        emotion = EMOTIONS[number % len(EMOTIONS)]
        gender = ("female", "male")[number % 2]
        yield speak(0, number % 10, gender, emotion, number // 10).astype(np.float32) / np.float32(32768)


def conditions(clips: list[Samples]) -> Iterator[tuple[str, list[Samples]]]:
    """Name and signals of everything that is measured, speech first."""
    yield "speech, clean", clips
    for gain in LEVELS:
        yield f"speech, {gain:+g} dB", [np.clip(clip * np.float32(10 ** (gain / 20)), -1, 1) for clip in clips]
    yield "speech, 1.5 s of silence around", [np.pad(clip, 3 * RATE // 2) for clip in clips]
    voices = babbles(clips)
    for name, make in (NOISES | {"babble": voices}).items():
        if name in ("white noise", "pink noise", "music", "babble"):
            noises = [make(seed) for seed in range(SEEDS)]
            for snr in SNRS:
                mixtures = [mixed(clip, noises[number % SEEDS], snr) for number, clip in enumerate(clips)]
                yield f"speech, {name} at {snr:g} dB", mixtures
    for name, make in NOISES.items():
        yield name, [at_level(make(seed), level) for seed in range(SEEDS) for level in (-50.0, -30.0, -10.0)]
    yield "babble alone", [at_level(voices(seed), -30.0) for seed in range(SEEDS)]


def mixed(speech: Samples, noise: Samples, snr: float) -> Samples:
    """Speech with noise at this ratio of powers, in dB."""
    noise = np.resize(noise, len(speech))
    noise = noise * (np.sqrt(np.mean(speech**2)) / np.sqrt(np.mean(noise**2))) * 10 ** (-snr / 20)
    return (speech + noise).astype(np.float32)


def at_level(signal: Samples, dbfs: float) -> Samples:
    """The signal at this root mean square."""
    return (signal / np.sqrt(np.mean(signal**2)) * 10 ** (dbfs / 20)).astype(np.float32)


def coloured(power: float) -> Callable[[int], Samples]:
    """Noise whose spectrum falls with frequency to this power: 0 white, 1 pink, 2 brown."""

    def make(seed: int) -> Samples:
        length = round(SECONDS * RATE)
        white = np.fft.rfft(np.random.default_rng(seed).standard_normal(length))
        hertz = np.maximum(np.fft.rfftfreq(length, 1 / RATE), 20.0)
        return np.fft.irfft(white * hertz ** (-power / 2), length).astype(np.float32)

    return make


def note(hertz: float, seconds: float, rng: np.random.Generator, *, decay: float) -> NDArray[np.float64]:
    """One note with harmonics and a decay: plucked where it is fast, bowed where it is slow."""
    time_axis = np.arange(round(seconds * RATE)) / RATE
    harmonics = [n for n in range(1, 9) if n * hertz < RATE / 2]
    strength = [rng.uniform(0.5, 1) / n for n in harmonics]
    wave = sum(s * np.sin(2 * np.pi * n * hertz * time_axis) for n, s in zip(harmonics, strength))
    attack = np.minimum(time_axis / 0.01, 1.0)
    return np.asarray(wave * attack * np.exp(-decay * time_axis))


def chords(seed: int) -> Samples:
    """Four chords of three notes, a second each."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(round(SECONDS)):
        root = rng.integers(45, 62)
        triad = (root, root + rng.choice([3, 4]), root + 7)
        parts.append(sum(note(440 * 2 ** ((key - 69) / 12), 1.0, rng, decay=rng.uniform(0.5, 4)) for key in triad))
    return np.concatenate(parts).astype(np.float32)


def music(seed: int) -> Samples:
    """Chords, a melody over them and drums."""
    rng = np.random.default_rng([seed, 1])
    melody = [
        note(440 * 2 ** ((rng.integers(60, 84) - 69) / 12), 0.25, rng, decay=rng.uniform(1, 8))
        for _ in range(round(SECONDS / 0.25))
    ]
    drums = np.zeros(round(SECONDS * RATE))
    for beat in range(round(SECONDS / 0.5)):
        time_axis = np.arange(RATE // 4) / RATE
        kick = np.sin(2 * np.pi * 60 * time_axis) * np.exp(-18 * time_axis)
        snare = rng.standard_normal(len(time_axis)) * np.exp(-25 * time_axis)
        start = beat * RATE // 2
        drums[start : start + len(time_axis)] += 1.5 * (kick if beat % 2 == 0 else snare)
    return (chords(seed) + np.concatenate(melody) + drums).astype(np.float32)


def hum(seed: int) -> Samples:
    """Mains hum of 50 or 60 Hz with harmonics."""
    rng = np.random.default_rng(seed)
    time_axis = np.arange(round(SECONDS * RATE)) / RATE
    base = (50.0, 60.0)[seed % 2]
    wave = sum(
        rng.uniform(0.2, 1) / n * np.sin(2 * np.pi * n * base * time_axis + rng.uniform(0, 6)) for n in range(1, 15)
    )
    return np.asarray(wave + 0.001 * rng.standard_normal(len(time_axis)), np.float32)


def tone(seed: int) -> Samples:
    """A sine of 80 to 4,000 Hz."""
    hertz = np.random.default_rng(seed).uniform(np.log(80), np.log(4000))
    return np.sin(2 * np.pi * np.exp(hertz) * np.arange(round(SECONDS * RATE)) / RATE).astype(np.float32)


def sweep(seed: int) -> Samples:
    """A sine that rises or falls between 100 and 3,000 Hz, like a siren."""
    time_axis = np.arange(round(SECONDS * RATE)) / RATE
    period = np.random.default_rng(seed).uniform(0.4, 3)
    hertz = 100 * 30 ** (0.5 - 0.5 * np.cos(2 * np.pi * time_axis / period))
    return np.sin(2 * np.pi * np.cumsum(hertz) / RATE).astype(np.float32)


def clicks(seed: int) -> Samples:
    """Two to ten clicks a second, each of a few milliseconds, over faint noise."""
    rng = np.random.default_rng(seed)
    wave = 0.001 * rng.standard_normal(round(SECONDS * RATE))
    for start in rng.integers(0, len(wave) - 200, round(SECONDS * rng.uniform(2, 10))):
        wave[start : start + 200] += rng.standard_normal(200) * np.exp(-np.arange(200) / 30)
    return wave.astype(np.float32)


NOISES: dict[str, Callable[[int], Samples]] = {
    "white noise": coloured(0),
    "pink noise": coloured(1),
    "brown noise": coloured(2),
    "music": music,
    "chords": chords,
    "hum": hum,
    "tone": tone,
    "sweep": sweep,
    "clicks": clicks,
}


def babbles(clips: list[Samples]) -> Callable[[int], Samples]:
    """Five voices at once, of equal level."""

    def make(seed: int) -> Samples:
        rng = np.random.default_rng([seed, 2])
        chosen = [np.resize(clips[i], round(SECONDS * RATE)) for i in rng.choice(len(clips), 5, replace=False)]
        return np.sum([voice / np.sqrt(np.mean(voice**2)) for voice in chosen], axis=0).astype(np.float32)

    return make


def cost(call: Callable[[], object], repeats: int = 100) -> float:
    """Milliseconds of the processor's time that a call takes: the median."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
