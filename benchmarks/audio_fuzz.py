"""Damage small audio files at random and read them: audio or an AudioError, no crash, in bounded time and memory.

python benchmarks/audio_fuzz.py [--seconds 600] [--seed 0] [--case N] [--out F]

Case N of a seed is always the same file, so a failure is looked at with ``--case N``. The cases run in a process of
their own; where it dies, that is written down and the next case follows.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

import av
import numpy as np
import soundfile

from serotone import audio
from serotone.errors import AudioError

SECONDS_PER_FILE, MEGABYTES_PER_FILE = 30.0, 300
LONGEST = 60.0
"""The bound on the duration that a damaged header may make of half a second."""

# name: (container, codec, rate, greatest number of channels); soundfile's formats have no codec
KINDS: dict[str, tuple[str, str | None, int, int]] = {
    "wav": ("WAV", None, 16000, 40), "wav-float": ("WAV", None, 16000, 40), "wav-adpcm": ("WAV", None, 16000, 2),
    "flac": ("FLAC", None, 16000, 8), "vorbis": ("OGG", None, 16000, 40), "opus": ("OGG", None, 48000, 8),
    "mp3": ("MP3", None, 44100, 2), "aiff": ("AIFF", None, 16000, 40), "aac": ("adts", "aac", 44100, 8),
    "m4a": ("ipod", "aac", 44100, 8), "mp4": ("mp4", "aac", 16000, 8), "alac": ("ipod", "alac", 44100, 6),
    "mov": ("mov", "pcm_s16le", 16000, 40), "webm": ("webm", "libopus", 48000, 8), "mka": ("matroska", "aac", 48000, 8),
    "wv": ("wv", "wavpack", 44100, 40), "g722": ("wav", "g722", 16000, 1), "wma": ("asf", "wmav2", 44100, 2),
    "ac3": ("ac3", "ac3", 48000, 6), "mp2": ("mp2", "mp2", 44100, 2),
}  # fmt: skip
SUBTYPES = {"wav-float": "FLOAT", "wav-adpcm": "IMA_ADPCM", "vorbis": "VORBIS", "opus": "OPUS"}
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@cache
def made(kind: str, channels: int) -> bytes:
    """Half a second of tones and noise, whole."""
    container, codec, rate, _ = KINDS[kind]
    times = np.arange(rate // 2) / rate
    noise = np.random.default_rng(channels).standard_normal((len(times), channels))
    tones = np.sin(2 * np.pi * (200 + 30 * np.arange(channels)) * times[:, None])
    samples = (0.2 * tones + 0.02 * noise).astype(np.float32)
    file = io.BytesIO()
    if codec is None:
        soundfile.write(file, samples, rate, format=container, subtype=SUBTYPES.get(kind))
        return file.getvalue()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        if codec == "wmav2":
            stream.bit_rate = 64000
        layouts = LAYOUTS | ({4: "quad"} if codec == "libopus" else {})
        stream.layout = layouts.get(channels, f"{channels} channels")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=stream.layout.name)
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(stream.codec_context.format.name, stream.layout.name, rate, size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """One to three mutations."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        if not data:
            break
        at = int(random.integers(len(data)))
        length = int(random.integers(1, 1 + min(len(data), 2 ** int(random.integers(1, 13)))))
        match int(random.integers(9)):
            case 0:
                for where in random.integers(len(data), size=random.integers(1, 20)):
                    data[where] ^= 1 << int(random.integers(8))
            case 1:
                del data[at:]
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = random.bytes(length)
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                data[at : at + length] = bytes(len(data[at : at + length]))
            case 6:
                for where in random.integers(min(len(data), 200), size=random.integers(1, 6)):
                    data[where] = int(random.choice([0, 1, 127, 128, 255, random.integers(256)]))
            case 7:
                where = int(random.integers(min(len(data), 1000)))
                size = int(random.choice([2, 4, 8]))
                value = int(random.choice([0, 1, 2**15, 2**16 - 1])) << 8 * int(random.integers(size - 1))
                new = (value % 2 ** (8 * size)).to_bytes(size, "little" if random.integers(2) else "big")
                data[where : where + size] = new
            case _:
                for where in random.integers(len(data), size=random.integers(1, 50)):
                    data[where] = int(random.integers(256))
    return bytes(data)


def case_of(seed: int, number: int) -> tuple[str, int, bytes, bool]:
    """The kind, channels and content of a case, and whether the file is whole."""
    random = np.random.default_rng((seed, number))
    kind = str(random.choice(list(KINDS)))
    few = min(KINDS[kind][3], 8)
    channels = int(random.integers(1, 1 + (KINDS[kind][3] if random.integers(2) else few)))
    if kind in ("alac", "ac3", "aac", "m4a", "mp4", "mka") and channels == 7:
        channels = 6
    whole = bool(random.random() < 0.05)
    content = made(kind, channels)
    return kind, channels, content if whole else damaged(content, random), whole


def run_case(seed: int, number: int) -> tuple[str, str]:
    """What came of it ("read", "refused" or "failed") and in words."""
    kind, channels, content, whole = case_of(seed, number)
    label = f"case {number}: {kind}, {channels} channels, {len(content)} bytes"
    taken, began = resident(), time.monotonic()
    outcome, words = "read", label
    try:
        sound = audio.read(content, max_seconds=LONGEST)
        if not np.isfinite(sound.samples).all() or not len(sound.samples):
            outcome, words = "failed", f"{label}: samples that are not finite, or none"
        elif whole and (sound.channels != channels or not 0.4 < sound.seconds < 0.7):
            outcome, words = "failed", f"{label}: whole, read as {sound.channels} channels, {sound.seconds} s"
    except AudioError as error:
        outcome, words = ("failed" if whole else "refused"), f"{label}: {error}"
    except Exception as error:
        outcome, words = "failed", f"{label}: {type(error).__name__}: {error}"
    seconds, megabytes = time.monotonic() - began, (resident() - taken) / 2**20
    if seconds > SECONDS_PER_FILE or megabytes > MEGABYTES_PER_FILE:
        outcome, words = "failed", f"{label}: took {seconds:.1f} s and {megabytes:.0f} MiB"
    return outcome, words


def resident() -> int:
    """The greatest resident size so far, in bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def work(seed: int, first: int, until: float) -> None:
    """Cases from ``first`` on, a line before and a line after each."""
    number = first
    while time.time() < until:
        print(json.dumps({"begins": number}), flush=True)
        outcome, words = run_case(seed, number)
        crashed = "decoder failed" in words
        print(json.dumps({"outcome": outcome, "crashed": crashed, "words": words}), flush=True)
        number += 1


def fuzz(seed: int, seconds: float) -> dict:
    """Work in processes that may die until the time is over."""
    until, number = time.time() + seconds, 0
    counts: Counter[str] = Counter()
    failures: list[str] = []
    contained: list[str] = []
    while time.time() < until:
        command = [sys.executable, __file__, "--work", str(number), str(until), "--seed", str(seed)]
        with tempfile.TemporaryFile("w+") as noise:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=noise, text=True, env=os.environ) as process:
                for line in process.stdout:
                    said = json.loads(line)
                    if "begins" in said:
                        number = said["begins"]
                        continue
                    counts[said["outcome"]] += 1
                    if said["outcome"] == "failed":
                        failures.append(said["words"])
                    if said["crashed"]:
                        counts["decoder failed in its child process"] += 1
                        contained.append(said["words"])
            if process.returncode != 0:
                noise.seek(0)
                why = noise.read().strip().splitlines()[-1:]
                failures.append(f"case {number}: the process ended with status {process.returncode} {why}")
        number += 1
    return {"seed": seed, "seconds": seconds, "files": sum(counts[k] for k in ("read", "refused", "failed")),
            "outcomes": dict(counts), "failures": failures, "contained": contained[:20]}  # fmt: skip


def main() -> int:
    """Exit status 1 where a file did harm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, metavar="N", help="run this case alone, in this process")
    parser.add_argument("--save", type=Path, metavar="F", help="with --case: write the damaged file here")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.seed, int(arguments.work[0]), float(arguments.work[1]))
        return 0
    if arguments.case is not None:
        if arguments.save:
            arguments.save.write_bytes(case_of(arguments.seed, arguments.case)[2])
        outcome, words = run_case(arguments.seed, arguments.case)
        print(outcome, words)
        return int(outcome == "failed")
    figures = fuzz(arguments.seed, arguments.seconds)
    print(json.dumps(figures, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(bool(figures["failures"]))


if __name__ == "__main__":
    sys.exit(main())
