"""One unit as a Ray task: what runs on a worker, wherever that is."""

import socket
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from serotone import __version__
from serotone.corpora import Utterance
from serotone.errors import RunError, reason
from serotone.experiments.units import Materials, Unit, run_unit
from serotone.training.material import Material

MARKER = ".driver"
"""The file in the folder of all by which a worker knows that it sees the driver's disk."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every task of a driver is told."""

    token: str
    """The driver's; what the marker holds."""
    out: Path
    """The folder below which all units have theirs, absolute."""
    threads: int
    shared: bool
    """Whether the worker decodes the corpora itself."""
    missing: frozenset[str]
    """Ids of utterances whose files the driver does not see either."""
    version: str
    """The driver's serotone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task says when it begins, and once more when it ends."""

    node: str
    host: str
    sees: bool
    """Whether it writes into the unit's folder itself."""
    lines: tuple[str, ...] = ()
    """What else there is to say: files left out."""
    results: dict[str, Any] | None = None
    error: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What it wrote, by path below the unit's folder, where it does not see that."""


_CACHES: dict[str, tuple[Materials, list[str]]] = {}
"""In a worker that decodes for itself: its corpora by the driver's token, and what they have to say."""


def train(unit: Unit, corpora: Material | Sequence[Utterance], terms: Terms) -> Iterator[Answer]:
    """The task: say where it runs, then what came of it. An error of the unit is an answer, too.

    Args:
        unit: What to run; its folder is absolute.
        corpora: What it trains on, or the utterances to decode.
        terms: The driver's.
    """
    import ray

    here = Answer(ray.get_runtime_context().get_node_id(), socket.gethostname(), _sees(terms))
    yield here
    lines: list[str] = []
    try:
        if __version__ != terms.version:
            raise RunError(
                f"{here.host} has serotone {__version__}, the driver {terms.version}; install one version everywhere"
            )
        torch.set_num_threads(terms.threads)
        material = corpora if isinstance(corpora, Material) else _decoded(unit, corpora, terms, lines)
        # The object store's arrays are read-only, and nothing writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        files: dict[str, bytes] = {}
        if here.sees:
            results = run_unit(unit, material)
        else:
            with tempfile.TemporaryDirectory(prefix="serotone-") as place:
                folder = Path(place) / unit.folder.name
                results = run_unit(replace(unit, folder=folder), material)
                paths = [path for path in folder.rglob("[!.]*") if path.is_file()]
                files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
        yield replace(here, results=results, lines=tuple(lines), files=files)
    except Exception as error:
        yield replace(here, error=reason(error), lines=tuple(lines))


def _sees(terms: Terms) -> bool:
    """Whether the folder of all is here the driver's."""
    try:
        return (terms.out / MARKER).read_text(encoding="utf-8") == terms.token
    except OSError:
        return False


def _decoded(unit: Unit, utterances: Sequence[Utterance], terms: Terms, lines: list[str]) -> Material:
    """What the unit trains on, from this machine's disk.

    Raises:
        RunError: A file that the driver sees is not here: the unit would train on less than the others.
    """
    if terms.token not in _CACHES:
        if absent := missing(utterances) - terms.missing:
            path = next(utterance.path for utterance in utterances if utterance.id in absent)
            raise RunError(
                f"{len(absent)} of {len(utterances)} files of the corpora are not on {socket.gethostname()}, such as"
                f" {path}; mount them at the same path on every machine, or let the driver decode them"
            )
        said: list[str] = []
        _CACHES.clear()
        _CACHES[terms.token] = Materials(utterances, said.append), said
    materials, said = _CACHES[terms.token]
    try:
        return materials(unit.recipe)
    finally:
        lines += said
        said.clear()


def missing(utterances: Iterable[Utterance]) -> frozenset[str]:
    """Ids of the utterances whose files are not on this machine."""
    return frozenset(utterance.id for utterance in utterances if not utterance.path.is_file())
