"""Every published system and variant: parameters, multiply-adds, training time, latency and bytes.

`python benchmarks/systems.py [RECIPE ...] [--out FILE]`; one thread, 7 classes, untrained. Recipes that differ in
loss, schedule or data alone share a line. Multiply-adds are those of the network (convolutions, recurrences, linear
layers; the frontend is not counted) for one clip of 3 s, or of the system's fixed length, by the second of that clip.
Training is forward and backward of 32 such clips in the recipe's own precision for its budget schedule, by clip, with
the frontend; latency is the exported graph's for a clip of 3 s. Medians.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch.utils.flop_counter import FlopCounterMode

from serotone.modeling.system import System
from serotone.recipes import Recipe, load, shipped
from serotone.training.build import build_system
from serotone.training.export import write_graph

CLASSES = 7
BATCH = 32
SECONDS = 3.0


def same_system(recipe: Recipe) -> str:
    """What a system is built from."""
    return recipe.model_dump_json(
        include={"sample_rate", "frontend", "encoder", "pooling", "head", "clip_seconds", "segments"}
    )


def groups(names: list[str]) -> dict[str, list[str]]:
    """Recipes of one system under the first of their names."""
    by_system: dict[str, list[str]] = {}
    for name in names:
        by_system.setdefault(same_system(load(name)), []).append(name)
    return {members[0]: members for members in by_system.values()}


def clips(recipe: Recipe, count: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Noise (count, T), its lengths, and its seconds: 3, or the system's fixed length."""
    seconds = recipe.clip_seconds or SECONDS
    samples = round(seconds * recipe.sample_rate)
    waveforms = torch.randn(count, samples, generator=torch.Generator().manual_seed(0)) * 0.1
    return waveforms, torch.full((count,), samples), seconds


def multiply_adds(system: System, recipe: Recipe) -> float:
    """Of the network, for a second of speech."""
    waveforms, lengths, seconds = clips(recipe, 1)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*TF32.*")  # of switching mkldnn off, whose LSTM no counter knows
        frames, lengths = system.analyse(waveforms, lengths)
        with torch.backends.mkldnn.flags(enabled=False), counter:
            states, lengths = system.encoder(system.standardiser(frames, lengths), lengths)
            system.head(system.pooling(states, lengths))
    return counter.get_total_flops() / 2 / seconds


def training_ms(system: System, recipe: Recipe, repeats: int) -> float:
    """Of one clip, forward and backward."""
    waveforms, lengths, _ = clips(recipe, BATCH)
    targets = torch.arange(BATCH) % CLASSES
    reduced = recipe.schedules["budget"].precision == "bfloat16"

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=reduced):
            logits = system(waveforms, lengths).logits
        torch.nn.functional.cross_entropy(logits.float(), targets).backward()

    system.train()
    return 1000 * median_seconds(step, repeats) / BATCH


def latency_ms(system: System, recipe: Recipe, repeats: int) -> float:
    """Of the exported graph, for one clip of 3 s."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_graph(system, path, recipe)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    noise = np.random.default_rng(0).standard_normal((1, round(SECONDS * recipe.sample_rate))).astype(np.float32)
    return 1000 * median_seconds(lambda: session.run(["probabilities"], {"waveform": noise * 0.1}), 5 * repeats)


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Of so many calls after a first one."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="RECIPE", help="only these; without any, the published ones")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    published = [name for name in shipped() if "budget" in load(name).schedules]
    if unknown := [name for name in arguments.names if name not in published]:
        parser.error(f"{', '.join(unknown)}: no system with a budget schedule; choose among {', '.join(published)}")
    rows = []
    print(
        "| recipes | parameters | M multiply-adds a second | training ms a clip | latency ms, 3 s |"
        " network MB | frontend MB |\n|---|---|---|---|---|---|---|"
    )
    for name, members in groups(arguments.names or published).items():
        recipe = load(name)
        torch.manual_seed(0)
        system = build_system(recipe, CLASSES)
        row: dict[str, Any] = {
            "recipes": members,
            "encoder": recipe.encoder.name,
            "parameters": sum(p.numel() for p in system.parameters()),
            "multiply_adds_per_second": multiply_adds(system.eval(), recipe),
            "seconds": recipe.clip_seconds or SECONDS,
            "training_ms_per_clip": training_ms(system, recipe, arguments.repeats),
            "training_precision": recipe.schedules["budget"].precision,
            "latency_ms": latency_ms(system.eval(), recipe, arguments.repeats),
            "network_bytes": sum(4 * t.numel() for t in system.state_dict().values()),
            "frontend_bytes": system.frontend.tables_bytes,
        }
        rows.append(row)
        others = f" and {len(members) - 1} like it" if len(members) > 1 else ""
        print(
            f"| {name}{others} | {row['parameters']:,} | {row['multiply_adds_per_second'] / 1e6:.0f} |"
            f" {row['training_ms_per_clip']:.1f} | {row['latency_ms']:.1f} | {row['network_bytes'] / 1e6:.2f} |"
            f" {row['frontend_bytes'] / 1e6:.2f} |",
            flush=True,
        )
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        results = {"classes": CLASSES, "batch": BATCH, "repeats": arguments.repeats, "systems": rows}
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
