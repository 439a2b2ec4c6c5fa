"""How fast an hour of audio is answered, in how much memory, and how soon live speech is.

    SEROTONE_DATA=/data python benchmarks/live.py [--minutes 60] [--out F]

The audio is EmoDB's clips over and over, with pauses of .3 to 3 s between them; without EmoDB, synthetic voices. Speed:
`serotone predict --timeline` on one thread, a process of its own, from start to end, for each bundle. Memory: the peak
resident size of such a process over a sixth of the audio, half of it and all of it, and how much the last half adds.

Latency with `default` on one thread: from when the last sample of an update has arrived to the update. The audio
arrives at real-time pace, in pieces of 20 ms as from a microphone, by a clock that is simulated: a piece is heard when
it has arrived and the one before is done, for as long as hearing it takes. So waiting for later audio counts, and so
does standing in line. Updates that say what is heard now are due every half second of the stream; final ones, which
wait to know that a pause is one, stand apart. Figures by CPU time are those of an idle machine; those by the wall have
whatever else runs here in them. The aims: 30 times real time with `default` and 200 with `light`; under 300 MB and
flat; updates within 150 ms.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from machine import busy_machine
from serotone import Recognizer, audio
from serotone.corpora.voice import speak
from serotone.recognition.stream import UPDATE_SECONDS

RATE = 16000
PIECE_SECONDS = 0.02
LATENCY_SECONDS, LATENCY_RATES = 300, (16000, 48000)
AIMS = {"default": 30, "light": 200}
EMOTIONS = ("angry", "happy", "neutral", "sad")


def main() -> int:
    """Measure, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SEROTONE_DATA"), help="default: SEROTONE_DATA")
    parser.add_argument("--minutes", type=float, default=60, help="length of the audio")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()

    figures: dict[str, object] = {
        "schema": 1,
        "machine": busy_machine(),
        "python": platform.python_version(),
    }
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "recording.wav"
        figures["audio"] = make_recording(recording, 60 * arguments.minutes, arguments.data)
        figures["audio_seconds"] = 60 * arguments.minutes
        print(f"{arguments.minutes:g} minutes of {figures['audio']}")
        print(
            f"{'predict --timeline':20}{'minutes':>8}{'seconds':>9}{'CPU':>8}"
            f"{'x real time':>13}{'by CPU':>9}{'peak MB':>9}"
        )
        figures["predict"] = {name: predicted(recording, name, arguments.minutes) for name in AIMS}
        seconds = min(LATENCY_SECONDS, 60 * arguments.minutes)
        figures["latency"] = {str(rate): latency(recording, seconds, rate) for rate in LATENCY_RATES}
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def make_recording(path: Path, seconds: float, data: Path | None) -> str:
    """Write so many seconds of clips with pauses between them; what the clips are, in words."""
    files = (
        sorted(path for path in (Path(data) / "emodb").rglob("*") if path.suffix in (".flac", ".wav")) if data else []
    )
    draw = np.random.default_rng(0)
    draw.shuffle(files)
    left = round(seconds * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1) as out:
        for clip in clips(files):
            for part in (clip, np.zeros(round(draw.uniform(0.3, 3) * RATE), np.float32)):
                out.write(part[:left])
                left -= min(left, len(part))
            if not left:
                break
    return f"EmoDB ({len(files)} clips)" if files else "synthetic voices"


def clips(files: list[Path]) -> Iterator[NDArray[np.float32]]:
    """Clips without an end, (T,) at 16 kHz."""
    if files:
        yield from (audio.read(path, sample_rate=RATE).samples for path in cycle(files))
    for number in cycle(range(200)):
        voice = speak(0, number, "male" if number % 2 else "female", EMOTIONS[number % len(EMOTIONS)], number)
        yield voice.astype(np.float32) / np.float32(32768)


def predicted(recording: Path, bundle: str, minutes: float) -> list[dict[str, float]]:
    """Time and memory of `serotone predict --timeline` over a sixth, half and all of a recording."""
    rows = []
    for part in (minutes / 6, minutes / 2, minutes):
        command = [sys.executable, "-m", "serotone", "predict", str(recording), "--bundle", bundle, "--timeline"]
        command += ["--end", str(60 * part), "--format", "json"]
        begun = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        if status:
            sys.exit(f"{' '.join(command)}: exit status {os.waitstatus_to_exitcode(status)}")
        cpu = used.ru_utime + used.ru_stime
        row = {
            "audio_seconds": 60 * part,
            "wall_seconds": seconds,
            "cpu_seconds": cpu,
            "times_real_time": 60 * part / seconds,
            "times_real_time_by_cpu": 60 * part / cpu,
            "peak_megabytes": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
        }
        rows.append(row)
        print(
            f"{bundle:20}{part:8.0f}{seconds:9.1f}{cpu:8.1f}{row['times_real_time']:13.0f}"
            f"{row['times_real_time_by_cpu']:9.0f}{row['peak_megabytes']:9.0f}",
            flush=True,
        )
    grown = rows[-1]["peak_megabytes"] - rows[-2]["peak_megabytes"]
    print(f"{'':20}aim: {AIMS[bundle]} times real time, under 300 MB and flat; the last half adds {grown:.1f} MB")
    return rows


def latency(recording: Path, seconds: float, rate: int) -> dict[str, object]:
    """How long after their audio updates come, with `default` on one thread, from a source of this rate."""
    stream = Recognizer("default").stream(sample_rate=rate)
    arrived = 0.0
    clocks = {"wall": time.perf_counter, "cpu": time.thread_time}
    free = dict.fromkeys(clocks, 0.0)  # when the piece before is done
    late: dict[str, list[float]] = {f"{kind} {clock}": [] for kind in ("now", "final") for clock in clocks}
    due = busy = 0.0
    with audio.blocks(recording, sample_rate=rate, end=seconds) as blocks:
        for block in blocks:
            size = round(PIECE_SECONDS * rate)
            for piece in np.split(block, range(size, len(block), size)):
                arrived += len(piece) / rate
                begun = {clock: tick() for clock, tick in clocks.items()}
                updates = stream.feed(piece)
                for clock, tick in clocks.items():
                    free[clock] = max(free[clock], arrived) + tick() - begun[clock]
                busy += time.thread_time() - begun["cpu"]
                for update in updates:
                    due += 0.0 if update.final else UPDATE_SECONDS
                    heard = update.segment.end if update.final else due
                    for clock, at in free.items():
                        late[f"{'final' if update.final else 'now'} {clock}"].append(1000 * (at - heard))
    figures: dict[str, object] = {"audio_seconds": seconds, "share_of_a_core": busy / seconds}
    print(f"updates from {rate} Hz over {seconds / 60:.0f} minutes, {busy / seconds:.0%} of a core:")
    for name, values in late.items():
        p50, p95 = (float(value) for value in np.percentile(values, (50, 95)))
        figures[name.replace(" ", "_by_")] = {"updates": len(values), "p50_milliseconds": p50, "p95_milliseconds": p95}
        aim = "aim: 150" if name.startswith("now") else "they wait for pauses"
        print(f"{name:20}{len(values):8}{p50:9.0f} ms p50{p95:9.0f} ms p95 ({aim})")
    return figures


if __name__ == "__main__":
    sys.exit(main())
