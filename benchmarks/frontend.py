"""Log-mel of a clip, on one thread: serotone in training (FFT) and exported (folded DFT) beside librosa.

    python benchmarks/frontend.py [--seconds 3] [--batch 32] [--rounds 40] [--out F]

All forms take turns within each round, so that whatever else the machine does falls on all; medians over the rounds, in
milliseconds per clip. librosa: melspectrogram and power_to_db of a float32 array, as one calls them; its batch is the
same call on a stack of clips. The aims: singly at least as fast as librosa, in batches 2.5 times as fast, the exported
form at most twice librosa's time. The answers of all forms are compared as well.
"""

import argparse
import io
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"  # read when numpy and torch are first imported

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from machine import machine  # noqa: E402
from serotone.modeling.exported import exported  # noqa: E402
from serotone.modeling.frontends import LogMel  # noqa: E402
from serotone.options.frontends import LogMelOptions  # noqa: E402

SAMPLE_RATE = 16000
Array = NDArray[np.float32]


class Exported(torch.nn.Module):
    """The frontend as a bundle's graph holds it: clips of equal length."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend = exported(LogMel(LogMelOptions(), sample_rate=SAMPLE_RATE))

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Waveform (B, T) -> frames (B, T', F)."""
        lengths = torch.ones_like(waveform, dtype=torch.int64).sum(dim=1)
        frames: torch.Tensor = self.frontend(waveform, lengths)[0]
        return frames


def main() -> int:
    """Measure, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a clip")
    parser.add_argument("--batch", type=int, default=32, help="clips in a batch")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    samples = round(arguments.seconds * SAMPLE_RATE)
    noise = np.random.default_rng(0).standard_normal((arguments.batch, samples)) * 0.1
    clips = noise.astype(np.float32)
    frontend, session = LogMel(LogMelOptions(), sample_rate=SAMPLE_RATE), exported_session(clips[:2, : samples // 2])

    def trained(batch: Array) -> Array:
        with torch.no_grad():
            values, _ = frontend(torch.from_numpy(batch), torch.full((len(batch),), samples))
        return values.numpy()

    def exported(batch: Array) -> Array:
        return session.run(None, {"waveform": batch})[0]

    single, batch = clips[:1], clips
    forms: dict[str, tuple[Callable[[Array], Array], Array]] = {
        "librosa, singly": (of_librosa, single),
        "librosa, batch": (of_librosa, batch),
        "training, singly": (trained, single),
        "training, batch": (trained, batch),
        "exported, singly": (exported, single),
        "exported, batch": (exported, batch),
    }
    reference = of_librosa(single.astype(np.float64))
    error = {name: float(np.abs(form(given)[:1] - reference).max()) for name, (form, given) in forms.items()}
    runs: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(arguments.rounds):
        for name, (form, given) in forms.items():
            for _ in range(1 if given is batch else 5):
                start = time.perf_counter()
                form(given)
                runs[name].append((time.perf_counter() - start) * 1000 / len(given))

    median = {name: statistics.median(times) for name, times in runs.items()}
    times_faster = {name: median["librosa, singly"] / median[name] for name in forms}
    print(f"{arguments.seconds:g} s clips, batches of {arguments.batch}, one thread, {arguments.rounds} rounds")
    print(f"{'ms per clip':20}{'median':>9}{'least':>9}{'times faster than librosa, singly':>36}{'error, dB':>13}")
    for name in forms:
        print(f"{name:20}{median[name]:9.3f}{min(runs[name]):9.3f}{times_faster[name]:36.2f}{error[name]:13.1e}")
    against_batch = median["librosa, batch"] / median["training, batch"]
    aims = {
        "training singly, times as fast as librosa (aim: at least 1)": times_faster["training, singly"],
        "training in batches, times as fast as librosa singly (aim: at least 2.5)": times_faster["training, batch"],
        "training in batches, times as fast as librosa in batches": against_batch,
        "exported singly, times librosa's time (aim: at most 2)": 1 / times_faster["exported, singly"],
    }
    for aim, ratio in aims.items():
        print(f"{ratio:6.2f}  {aim}")

    if arguments.out:
        figures = {
            "schema": 1,
            "machine": machine(),
            "versions": {module.__name__: module.__version__ for module in (torch, onnxruntime, librosa, np)},
            "seconds": arguments.seconds,
            "batch": arguments.batch,
            "rounds": arguments.rounds,
            "median_ms_per_clip": median,
            "least_ms_per_clip": {name: min(times) for name, times in runs.items()},
            "greatest_error_db": error,
            "ratios": aims,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def of_librosa(clips: Array) -> Array:
    """Librosa's answer, frames last axis but one: (B, T) -> (B, T', 128)."""
    power = librosa.feature.melspectrogram(
        y=clips, sr=SAMPLE_RATE, n_fft=1024, win_length=640, hop_length=160, window="hamming", n_mels=128
    )
    axes = (-2, -1)
    decibels = librosa.power_to_db(power, top_db=None)
    return np.maximum(decibels, decibels.max(axis=axes, keepdims=True) - 80.0).swapaxes(*axes)


def exported_session(example: Array) -> onnxruntime.InferenceSession:
    """The exported frontend in onnxruntime, on one thread."""
    graph = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter that handles recurrent layers today
        torch.onnx.export(
            Exported().eval(),
            (torch.from_numpy(example),),
            graph,
            dynamo=False,
            opset_version=17,
            input_names=["waveform"],
            output_names=["frames"],
            dynamic_axes={"waveform": {0: "B", 1: "T"}, "frames": {0: "B", 1: "frames"}},
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.getvalue(), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    sys.exit(main())
