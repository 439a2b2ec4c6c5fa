"""Recipes whose head is solved: vectors of the frozen parts, computed once, and what is fitted on them."""

import hashlib
import json
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from serotone.errors import RunError
from serotone.files import write_json
from serotone.modeling.heads import StandardisedLinearHead
from serotone.modeling.system import System
from serotone.recognition.bundle import ADAPTATION, LEVELS
from serotone.training.convex import Linear
from serotone.training.data import Clips, in_order
from serotone.training.recipe import Recipe
from serotone.training.strangers import Fitted, Level, Shrinkage, Standard, Table, fit_head, fit_levels

Kept = MutableMapping[str, dict[str, NDArray[np.float32]]]
"""Vectors (D,) by utterance id, by :func:`fingerprint_of` the frozen parts that made them."""

SOLVED = "solved.json"
"""What was chosen in a run folder: strength, and the mean UA that each strength reached on held-out corpora."""


def fingerprint_of(system: System) -> str:
    """SHA-256, in hex, of all weights and statistics before the head: of what vectors depend on besides their clips."""
    digest = hashlib.sha256()
    for name, tensor in system.state_dict().items():
        if not name.startswith("head."):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def vectors_of(system: System, clips: Clips, kept: Kept, *, batch_size: int = 16) -> dict[str, NDArray[np.float32]]:
    """The vector (D,) that the head reads of each clip, by utterance id; taken from ``kept`` where it is there.

    Vectors of other frozen parts are forgotten: a run that re-trains them would fill the memory with them.

    Raises:
        RunError: A vector is NaN or infinite.
    """
    key = fingerprint_of(system)
    for other in [name for name in kept if name != key]:
        del kept[other]
    known = kept.setdefault(key, {})
    missing = Clips(
        [name for name in clips.utterances if name not in known], clips.waveforms, clips.targets, corpora=clips.corpora
    )
    system.eval()
    device = system.standardiser.mean.device
    for batch in in_order(missing, batch_size=batch_size):
        states, lengths = system.states(batch.waveforms.to(device), batch.lengths.to(device))
        vectors = system.pooling(states, lengths).float().cpu()
        if not bool(torch.isfinite(vectors).all()):
            raise RunError(f"the frozen parts make NaN or infinity of a clip among {', '.join(batch.ids[:3])}")
        known.update(zip(batch.ids, vectors.numpy(), strict=True))
    return {name: known[name] for name in clips.utterances}


def table_of(
    vectors: Mapping[str, NDArray[np.float32]],
    *,
    labels: Sequence[str],
    targets: Mapping[str, int],
    corpora: Mapping[str, str],
    speakers: Mapping[str, str],
) -> Table:
    """The table of clips by their ids, in the order of ``vectors``."""
    return Table(
        tuple(labels),
        np.stack(list(vectors.values())),
        np.array([targets[name] for name in vectors], dtype=np.int64),
        np.array([corpora[name] for name in vectors]),
        np.array([speakers[name] for name in vectors]),
    )


def solve(system: System, recipe: Recipe, table: Table, folder: Path) -> System:
    """Fit the system's head on the training part's table; what was chosen stands in ``solved.json``.

    Raises:
        RunError: The head does not converge, or its strength is to be chosen and nothing can be held out.
    """
    schedule = recipe.convex
    assert schedule is not None
    shrinkage = Shrinkage(schedule.collection_shrinkage, schedule.speaker_shrinkage)
    if schedule.strength == "held-out":
        fitted = fit_levels(
            table, strengths=schedule.choices, shrinkage=shrinkage, levels=("plain",), seed=recipe.seed
        )["plain"]
        strength, linear, tried = fitted.strength, fitted.linear, dict(fitted.accuracies)
    else:
        strength, tried = schedule.strength, {}
        linear = fit_head(table, level="plain", strength=strength, shrinkage=shrinkage)
    write_json(folder / SOLVED, {"strength": strength, "ua_on_held_out": {f"{s:g}": ua for s, ua in tried.items()}})
    set_head(system, table.standard(), linear)
    return system.eval()


def set_head(system: System, standard: Standard, linear: Linear) -> None:
    """Give a system with a standardised-linear head what was fitted."""
    head = system.head
    assert isinstance(head, StandardisedLinearHead)
    mean, sd, weight, bias = (torch.from_numpy(np.ascontiguousarray(array)) for array in (*standard, *linear))
    head.set(mean=mean, deviation=sd, weight=weight, bias=bias)


def levels_of(recipe: Recipe, table: Table, folder: Path) -> dict[Level, Fitted]:
    """Every level of a bundle, fitted on the training part's table; ``plain`` at the strength that ``solve`` chose."""
    schedule = recipe.convex
    assert schedule is not None
    shrinkage = Shrinkage(schedule.collection_shrinkage, schedule.speaker_shrinkage)
    strength = float(json.loads((folder / SOLVED).read_text(encoding="utf-8"))["strength"])
    plain = fit_levels(table, strengths=[strength], shrinkage=shrinkage, levels=("plain",), seed=recipe.seed)
    return plain | fit_levels(
        table, strengths=schedule.choices, shrinkage=shrinkage, levels=("collection", "speaker"), seed=recipe.seed
    )


def write_adaptation(levels: Mapping[Level, Fitted], recipe: Recipe, folder: Path) -> dict[str, object]:
    """Write ``adaptation.npz``, the heads of the levels above ``plain``; what the bundle's manifest says of them."""
    schedule = recipe.convex
    assert schedule is not None
    shrinkages = dict(zip(LEVELS, (schedule.collection_shrinkage, schedule.speaker_shrinkage), strict=True))
    arrays: dict[str, NDArray[np.float32]] = {}
    stated: dict[str, object] = {}
    for level in LEVELS:
        fitted = levels[level]  # type: ignore[index]
        arrays[f"{level}_weight"] = fitted.linear.weight.astype(np.float32)
        arrays[f"{level}_bias"] = fitted.linear.bias.astype(np.float32)
        stated[level] = {
            "temperature": fitted.calibration.temperature,
            "shrinkage": shrinkages[level],
            "thresholds": {"uncertain": fitted.doubt.threshold},
        }
    with (folder / ADAPTATION).open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return stated
