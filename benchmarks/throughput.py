"""How fast one thread goes from FLAC files to labels over real speech, and whether memory stays flat.

    SEROTONE_DATA=/data python benchmarks/throughput.py [--bundle emodb-crnn] [--clips 10000] [--out F]

Speed: seconds of audio per second of wall clock over every FLAC file below the folder, read, resampled and recognised
one after another. CPU seconds stand beside it: near the wall clock they show that one thread did the work. Memory: the
resident size over 10,000 clips, the files in turn, after the first 500. The aims: at least 300 times real time, and
growth under 20 MB.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

import psutil

from machine import machine
from serotone import Recognizer

WARM_UP_CLIPS = 500
SAMPLE_EVERY = 250


def main() -> int:
    """Measure, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SEROTONE_DATA"), help="default: SEROTONE_DATA")
    parser.add_argument("--bundle", default="emodb-crnn", help="a shipped bundle or the folder of one")
    parser.add_argument("--clips", type=int, default=10_000, help="clips in the run that watches memory")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()

    if arguments.data is None:
        parser.error("no corpora: set SEROTONE_DATA, or give --data, a folder with FLAC files in it")
    if arguments.clips <= WARM_UP_CLIPS:
        parser.error(f"--clips {arguments.clips}: memory is compared after the first {WARM_UP_CLIPS}; ask for more")
    files = sorted(Path(arguments.data).rglob("*.flac"))
    if not files:
        parser.error(f"{arguments.data}: no FLAC file below this folder")

    recognizer = Recognizer(arguments.bundle, threads=1)
    for path in files[:20]:
        recognizer.predict(path)

    labels: Counter[str] = Counter()
    audio_seconds = 0.0
    wall, cpu = time.perf_counter(), time.process_time()
    for path in files:
        prediction = recognizer.predict(path)
        audio_seconds += prediction.duration_seconds
        labels[str(prediction.label)] += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{len(files)} files, {audio_seconds / 60:.1f} min of audio: {wall:.2f} s wall, {cpu:.2f} s CPU")
    print(f"{'times real time, one thread':32}{audio_seconds / wall:8.0f}      (aim: at least 300)")
    print(f"{'milliseconds a clip':32}{1000 * wall / len(files):8.2f}")
    print(f"labels: {', '.join(f'{label} {count}' for label, count in labels.most_common())}")

    process = psutil.Process()
    resident = {}
    for count, path in enumerate(islice(cycle(files), arguments.clips), start=1):
        recognizer.predict(path)
        if count % SAMPLE_EVERY == 0 or count == arguments.clips:
            resident[count] = process.memory_info().rss / 1e6
    after_warm_up = {count: size for count, size in resident.items() if count >= WARM_UP_CLIPS}
    first = resident[WARM_UP_CLIPS]
    growth_most, growth_last = max(after_warm_up.values()) - first, resident[arguments.clips] - first
    print(f"{'resident MB after 500 clips':32}{first:8.1f}")
    print(f"{f'resident MB after {arguments.clips:,} clips':32}{resident[arguments.clips]:8.1f}")
    print(f"{'growth in MB, most':32}{growth_most:8.1f}      (aim: under 20)")

    if arguments.out:
        figures = {
            "schema": 1,
            "machine": machine(),
            "python": platform.python_version(),
            "bundle": arguments.bundle,
            "files": len(files),
            "audio_seconds": audio_seconds,
            "wall_seconds": wall,
            "cpu_seconds": cpu,
            "times_real_time": audio_seconds / wall,
            "labels": dict(labels),
            "clips": arguments.clips,
            "resident_mb": resident,
            "growth_mb": {"most": growth_most, "last": growth_last},
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
