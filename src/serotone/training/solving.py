"""Recipes whose head is solved: vectors of the frozen parts, computed once, and what is fitted on them."""

import json
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from serotone.files import cache, write_json
from serotone.modeling.heads import StandardisedLinearHead
from serotone.modeling.system import System
from serotone.recipes import Recipe
from serotone.recognition.bundle import ADAPTATION, ADAPTATION_LEVELS
from serotone.runs.layout import SOLVED
from serotone.training.build import build_system
from serotone.training.convex import Linear
from serotone.training.data import Clips
from serotone.training.distort import distorted
from serotone.training.held_out import Fitted, fit_levels
from serotone.training.pretrained import Loaded, load_pretrained
from serotone.training.quantise import as_bundled
from serotone.training.states import fetch_vectors, fingerprint
from serotone.training.strangers import Level, Manner, Shrinkage, Standard, Table, fit_head

Memory: TypeAlias = MutableMapping[str, dict[str, NDArray[np.float32]]]
"""Vectors (D,) by utterance id, by the fingerprint of the frozen parts that made them."""

COPIES_AT_ONCE = 1024


def frozen_system(recipe: Recipe) -> tuple[System, Loaded | None]:
    """A recipe's system as its bundle computes vectors, with any head; and its weights' source, None of random ones.

    Raises:
        WeightsError: The weights cannot be had, or do not fit.
    """
    system = build_system(recipe, 2)
    loaded = None if recipe.weights is None else load_pretrained(system.encoder, recipe.weights)
    return as_bundled(system, recipe.bundle).eval(), loaded


def vectors_of(system: System, recipe: Recipe, clips: Clips, memory: Memory) -> dict[str, NDArray[np.float32]]:
    """The vector (D,) that the head reads of each clip, by utterance id: from memory, from disk, or computed and kept.

    Memory holds those of one set of frozen parts at a time. Raises as :func:`serotone.training.states.fetch_vectors`.
    """
    key = fingerprint(system, recipe)
    for other in [name for name in memory if name != key]:
        del memory[other]
    known = memory.setdefault(key, {})
    missing = Clips([name for name in clips.utterances if name not in known], clips.waveforms, clips.targets)
    known.update(fetch_vectors(system, recipe, missing, cache() / "states"))
    return {name: known[name] for name in clips.utterances}


def vectors_of_copies(
    system: System, recipe: Recipe, clips: Clips, memory: Memory
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Vectors by utterance id of each distorted copy that the recipe's schedule asks for.

    Some clips at a time, so that the copies' samples are never there all at once; those in memory are not made again.
    """
    assert recipe.convex is not None
    key = fingerprint(system, recipe)
    for copy in range(1, recipe.convex.distorted_copies + 1):
        found: dict[str, NDArray[np.float32]] = {}
        for first in range(0, len(clips.utterances), COPIES_AT_ONCE):
            ids = {name: f"{name}#{recipe.seed}-{copy}" for name in clips.utterances[first : first + COPIES_AT_ONCE]}
            lacking = {name: there for name, there in ids.items() if there not in memory.get(key, {})}
            waveforms = {
                there: distorted(clips.waveforms[name], recipe.sample_rate, recipe.seed, name, copy)
                for name, there in lacking.items()
            }
            targets = {there: clips.targets[name] for name, there in lacking.items()}
            vectors_of(system, recipe, Clips(list(waveforms), waveforms, targets), memory)
            found |= {name: memory[key][there] for name, there in ids.items()}
        yield found


def table_of(
    vectors: Mapping[str, NDArray[np.float32]],
    *,
    labels: Sequence[str],
    targets: Mapping[str, int],
    corpora: Mapping[str, str],
    speakers: Mapping[str, str],
    copies: Iterable[Mapping[str, NDArray[np.float32]]] = (),
) -> Table:
    """The table of clips by their ids, in the order of ``vectors``."""
    return Table(
        tuple(labels),
        np.stack(list(vectors.values())),
        np.array([targets[name] for name in vectors], dtype=np.int64),
        np.array([corpora[name] for name in vectors]),
        np.array([speakers[name] for name in vectors]),
        tuple(np.stack([copy[name] for name in vectors]) for copy in copies),
    )


def terms_of(recipe: Recipe) -> tuple[Shrinkage, Manner]:
    """How a convex recipe standardises, and how its heads are fitted."""
    schedule = recipe.convex
    assert schedule is not None
    shrinkage = Shrinkage(schedule.collection_shrinkage, schedule.speaker_shrinkage)
    return shrinkage, Manner(schedule.own_heads, schedule.emphasis)


def solve(system: System, recipe: Recipe, table: Table, folder: Path) -> System:
    """Fit the system's head on the training part's table; what was chosen stands in ``solved.json``.

    Raises:
        RunError: The head does not converge, or its strength is to be chosen and nothing can be held out.
    """
    schedule = recipe.convex
    assert schedule is not None
    shrinkage, manner = terms_of(recipe)
    if schedule.strength == "held-out":
        fitted = fit_levels(
            table,
            strengths=schedule.choices,
            shrinkage=shrinkage,
            manner=manner,
            levels=("plain",),
            seed=recipe.seed,
        )["plain"]
        strength, linear, tried = fitted.strength, fitted.linear, dict(fitted.accuracies)
    else:
        strength, tried = schedule.strength, {}
        linear = fit_head(table, level="plain", strength=strength, shrinkage=shrinkage, manner=manner)
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
    shrinkage, manner = terms_of(recipe)
    strength = float(json.loads((folder / SOLVED).read_text(encoding="utf-8"))["strength"])
    plain = fit_levels(
        table,
        strengths=[strength],
        shrinkage=shrinkage,
        manner=manner,
        levels=("plain",),
        temperature_factor=schedule.temperature_factor,
        seed=recipe.seed,
    )
    return plain | fit_levels(
        table,
        strengths=schedule.choices,
        shrinkage=shrinkage,
        manner=manner,
        levels=("collection", "speaker"),
        temperature_factor=schedule.temperature_factor,
        seed=recipe.seed,
    )


def write_adaptation(levels: Mapping[Level, Fitted], recipe: Recipe, folder: Path) -> dict[str, object]:
    """Write ``adaptation.npz``, the heads of the levels above ``plain``; what the bundle's manifest says of them."""
    schedule = recipe.convex
    assert schedule is not None
    shrinkages = dict(zip(ADAPTATION_LEVELS, (schedule.collection_shrinkage, schedule.speaker_shrinkage), strict=True))
    arrays: dict[str, NDArray[np.float32]] = {}
    stated: dict[str, object] = {}
    for level in ADAPTATION_LEVELS:
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
