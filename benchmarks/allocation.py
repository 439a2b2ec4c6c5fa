"""What keeping freed memory is worth: the processor's time of a training step of each system, with and without.

`python benchmarks/allocation.py [--steps 4] [--out FILE]`; one thread. Every system takes its steps in a process of its
own, forward, backward and optimiser, on a batch of 32 clips of noise; the first step is not counted. Needs no corpus.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from serotone.recipes import load
from serotone.training.allocation import keep_freed_memory
from serotone.training.build import build_system

SYSTEMS = ("vlcrnn-variable-length", "resnet-mel-focal", "crnn-center-mel", "cnn-blstm-attention", "dycnn-bilstm")
CLIPS, SECONDS, CLASSES = 32, 3.0, 7


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(steps_of(given.child[0], given.steps, keep=given.child[1] == "keep")))
        return
    rows: dict[str, Any] = {}
    for name in SYSTEMS:
        given_back, kept = (in_a_process(name, how, given.steps) for how in ("give", "keep"))
        ratio = given_back["seconds_a_step"] / kept["seconds_a_step"]
        rows[name] = {"given_back": given_back, "kept": kept, "ratio": ratio}
        print(
            f"{name:24}{given_back['seconds_a_step']:7.2f} s a step, {kept['seconds_a_step']:6.2f} s with memory kept:"
            f" {ratio:.2f} times as fast; peak {given_back['peak_mb']:.0f} and {kept['peak_mb']:.0f} MB"
        )
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        figures = {"schema": 1, "machine": platform.platform(), "torch": torch.__version__, "clips": CLIPS}
        given.out.write_text(json.dumps(figures | {"steps": given.steps, "systems": rows}, indent=2) + "\n")


def in_a_process(name: str, how: str, steps: int) -> dict[str, float]:
    """The figures of one system, by a process that does nothing else."""
    command = [sys.executable, __file__, "--steps", str(steps), "--child", name, how]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def steps_of(name: str, steps: int, *, keep: bool) -> dict[str, float]:
    """Median processor seconds of a step, and the most memory that the process had, in MB."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if keep and not keep_freed_memory():
        raise SystemExit("this C library is not glibc: nothing to compare")
    recipe = load(name)
    system = build_system(recipe, CLASSES).train()
    optimiser = torch.optim.Adam(system.parameters())
    samples = recipe.clip_samples or round(SECONDS * recipe.sample_rate)
    waveforms, lengths = 0.1 * torch.randn(CLIPS, samples), torch.full((CLIPS,), samples)
    targets = torch.arange(CLIPS) % CLASSES
    taken = []
    for _ in range(steps + 1):
        begun = time.process_time()
        optimiser.zero_grad()
        functional.cross_entropy(system(waveforms, lengths).logits, targets).backward()
        optimiser.step()
        taken.append(time.process_time() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds_a_step": sorted(taken[1:])[steps // 2], "peak_mb": peak}


if __name__ == "__main__":
    main()
