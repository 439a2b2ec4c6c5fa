"""What bfloat16 costs on this processor: milliseconds a clip, forward and backward, in both precisions.

`python benchmarks/precision.py [--out FILE]`; one thread, one recipe of each family, clips of 3 s. A processor without
bfloat16 arithmetic emulates it.
"""

import argparse
import platform
import time
from pathlib import Path

import torch

from serotone.files import write_json
from serotone.recipes import load
from serotone.training.build import build_system

RECIPES = ("vlcrnn-variable-length", "resnet-mel-softmax", "crnn-mel", "cnn-blstm-attention", "dycnn-bilstm")
CLIPS, SECONDS, TIMES = 8, 3, 3


def milliseconds(name: str, precision: str) -> float:
    """The fastest of a few steps, per clip, in time of the processor."""
    recipe = load(name)
    torch.manual_seed(0)
    system = build_system(recipe, 7).train()
    waveforms = torch.randn(CLIPS, SECONDS * recipe.sample_rate)
    lengths = torch.full((CLIPS,), waveforms.shape[1])
    taken = []
    for _ in range(TIMES):
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = system(waveforms, lengths).logits
        logits.float().square().mean().backward()
        taken.append(time.process_time() - start)
    return round(1000 * min(taken) / CLIPS, 1)


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print("| recipe | float32, ms a clip | bfloat16 | times as slow |")
    print("|---|---|---|---|")
    for name in RECIPES:
        row = {precision: milliseconds(name, precision) for precision in ("float32", "bfloat16")}
        print(f"| {name} | {row['float32']:.1f} | {row['bfloat16']:.1f} | {row['bfloat16'] / row['float32']:.1f} |")
        rows.append({"recipe": name, **row})
    if arguments.out:
        write_json(arguments.out, {"processor": platform.machine(), "rows": rows})


if __name__ == "__main__":
    main()
