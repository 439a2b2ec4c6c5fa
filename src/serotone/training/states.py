"""Vectors once: what the frozen half of a system makes of each clip is computed once, and kept on disk.

An encoder that does not learn gives the same states in every fold and for every head that is tried, and its pooling the
same vectors. They are kept by the content of the clip, in a folder that is named by everything else they depend on:
nothing can be stale, and one folder serves every run. A computation that is killed goes on after its last whole shard.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from serotone.errors import RunError
from serotone.files import write_bytes
from serotone.modeling.system import System
from serotone.recipes import Recipe
from serotone.training.data import Clips, in_order

FORMAT = 1
"""Goes up when the same recipe and weights begin to give other numbers."""

Vector: TypeAlias = NDArray[np.float32]

SHARD_BYTES = 2**26
BATCH_CLIPS = 16


class Kept(Mapping[str, Vector]):
    """Vectors (D,) by utterance id, read from disk when they are asked for."""

    def __init__(self, shelf: "Shelf", contents: Mapping[str, str]) -> None:
        self._shelf = shelf
        self._contents = contents

    def __getitem__(self, utterance: str) -> Vector:
        return self._shelf.read(self._contents[utterance])

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents)

    def __len__(self) -> int:
        return len(self._contents)


class Shelf:
    """A folder of shards, each of which holds arrays by the content of their clips.

    Raises:
        RunError: A shard is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: dict[str, Path] = {}
        self._open: dict[Path, Any] = {}  # opening a shard reads the list of all that it holds
        for path in sorted(folder.glob("*.safetensors")):
            try:
                with safe_open(path, framework="np") as shard:
                    self._shards |= dict.fromkeys(shard.keys(), path)
            except SafetensorError as error:
                raise RunError(f"{path}: damaged: {error}; delete it, and it is computed again") from None

    def __contains__(self, content: str) -> bool:
        return content in self._shards

    def read(self, content: str) -> Vector:
        """The array of one clip."""
        path = self._shards[content]
        if path not in self._open:
            self._open[path] = safe_open(path, framework="np")
        array: Vector = self._open[path].get_tensor(content)
        return array

    def add(self, arrays: Mapping[str, Vector]) -> None:
        """Write one more shard, named by what it holds."""
        name = hashlib.sha256(" ".join(sorted(arrays)).encode()).hexdigest()[:16]
        path = self.folder / f"{name}.safetensors"
        write_bytes(path, save(dict(arrays)))
        self._shards |= dict.fromkeys(arrays, path)


def fingerprint(system: System, recipe: Recipe) -> str:
    """SHA-256, in hexadecimal, of all that vectors depend on besides the clip.

    That is the recipe's parts up to the pooling, and their weights and statistics.
    """
    parts = ("frontend", "standardiser", "encoder", "pooling")
    said = [getattr(recipe, name) for name in parts if name != "standardiser"]
    fixed = (FORMAT, "vectors", recipe.sample_rate, recipe.clip_samples, recipe.standardise_over)
    digest = hashlib.sha256(repr((*fixed, *said)).encode())
    for part in parts:
        for name, tensor in system.get_submodule(part).state_dict().items():
            digest.update(f"{part}.{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def fetch_vectors(system: System, recipe: Recipe, clips: Clips, folder: Path) -> Kept:
    """The vector of every clip, by utterance id: those in ``folder``, and what is missing there computed.

    Args:
        system: As it will be when they are used: with its weights, rounded or not. It is left in evaluation mode.
        recipe: What it was built from.
        clips: Whole clips.
        folder: Where they are kept, for any number of systems; see :func:`serotone.files.cache`.

    Raises:
        RunError: The recipe cuts clips into pieces; a shard is damaged; or the encoder makes NaN or infinity of a clip.
    """
    if recipe.segments:
        raise RunError(
            f"recipe {recipe.name} cuts clips into segments, but frozen parts take whole clips; set segments to false"
        )
    contents = {name: content_of(clips.waveforms[name]) for name in clips.utterances}
    shelf = Shelf(folder / fingerprint(system, recipe))
    missing = {content: name for name, content in contents.items() if content not in shelf}
    pending: dict[str, Vector] = {}
    for name, array in _computed(system, clips, sorted(missing.values())):
        pending[contents[name]] = array
        if len(pending) * array.nbytes >= SHARD_BYTES:  # all are of one width
            shelf.add(pending)
            pending = {}
    if pending:
        shelf.add(pending)
    return Kept(shelf, contents)


def content_of(waveform: NDArray[np.float32]) -> str:
    """SHA-256, in hexadecimal, of a clip's samples."""
    return hashlib.sha256(np.ascontiguousarray(waveform).data).hexdigest()


def _computed(system: System, clips: Clips, names: Sequence[str]) -> Iterator[tuple[str, Vector]]:
    """Each utterance's id and vector, as they are made; a bar on a terminal's standard error."""
    system.eval()
    batches = in_order(Clips(names, clips.waveforms, clips.targets), batch_size=BATCH_CLIPS)
    console = Console(stderr=True)
    for batch in track(batches, f"vectors of {len(names)} clips", console=console, disable=not sys.stderr.isatty()):
        with torch.no_grad():
            states, lengths = system.states(batch.waveforms, batch.lengths)
            vectors = system.pooling(states, lengths).float().numpy()
        for name, vector in zip(batch.ids, vectors, strict=True):
            if not np.isfinite(vector).all():
                raise RunError(
                    f"the encoder's output is NaN or infinite for clip {name}; listen to the clip, or leave it out"
                )
            yield name, vector
