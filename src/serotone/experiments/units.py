"""The unit of an experiment: one recipe on one fold with one seed. Who runs it, and where, is the executor's affair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from serotone.corpora import Utterance
from serotone.errors import NO_DISK, RunError
from serotone.experiments.planning import gather
from serotone.recipes import Recipe
from serotone.runs.layout import finished, fold_folder
from serotone.runs.writing import write_leaks
from serotone.splits import Split, leak_report
from serotone.training.fit import clear, run_fold
from serotone.training.material import Material


@dataclass(frozen=True, slots=True)
class Unit:
    """What to run; small, and safe to send to another process or machine."""

    row: str
    seed: int
    recipe: Recipe
    split: Split
    folder: Path
    leaks: dict[str, Any]
    embeddings: bool = False
    log: tuple[str, ...] = ()
    """Tools that it is logged to beside its own curves: keys of `serotone.training.loggers.KINDS`."""

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.row}, seed {self.seed}, fold {self.split.repetition}-{self.split.fold}"

    @property
    def finished(self) -> bool:
        """Whether its results lie on disk, whole."""
        return finished(self.folder)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a unit; ``again`` is a unit that was lost with its worker and waits once more."""

    kind: Literal["started", "finished", "failed", "again"]
    unit: Unit
    text: str = ""
    """Why it failed or runs again; where it runs, if elsewhere."""
    results: dict[str, Any] | None = None
    """Of a finished unit: what its metrics.json says."""


def check_disk(out: Path, event: Event) -> None:
    """Stop at a unit that the disk made fail: the next would be trained only to fail as well.

    Raises:
        RunError: It did.
    """
    if event.kind == "failed" and event.text.endswith(NO_DISK):
        raise RunError(f"{out}: {event.unit.name}: {event.text}")


def unit_of(
    recipe: Recipe,
    split: Split,
    utterances: Sequence[Utterance],
    out: Path,
    *,
    row: str | None = None,
    embeddings: bool = False,
    log: Sequence[str] = (),
) -> Unit:
    """One fold of a run folder as something to run."""
    return Unit(
        row=row or recipe.name,
        seed=recipe.seed,
        recipe=recipe,
        split=split,
        folder=fold_folder(out, split.repetition, split.fold),
        leaks=leak_report(split, utterances).to_dict(),
        embeddings=embeddings,
        log=tuple(map(str, log)),
    )


def run_unit(unit: Unit, material: Material) -> dict[str, Any]:
    """Train and test, or take an interrupted unit up again at its last whole epoch; what its metrics.json says."""
    write_leaks(unit.folder, unit.leaks, material.copies(unit.split))
    _, results = run_fold(unit.recipe, unit.split, material, unit.folder, embeddings=unit.embeddings, log=unit.log)
    clear(unit.folder)
    return results


def material_key(recipe: Recipe) -> str:
    """Recipes of the same key train on the same decoded audio with the same labels."""
    parts = recipe.model_dump(
        include={"sample_rate", "labels", "merge", "styles", "training_only", "held_out_speakers", "max_frames"}
    )
    longest = None if recipe.max_frames is None else recipe.frontend.hop(recipe.sample_rate)
    return repr((parts, longest, recipe.bundle.speech))


class Materials:
    """Decoded audio by recipe, the latest few kept: recipes of one sample rate and one set of labels share theirs.

    Args:
        utterances: The corpora.
        tell: Called with one line for each file that had to be left out, once.
    """

    limit = 2
    """So many are held in memory at a time."""

    def __init__(self, utterances: Sequence[Utterance], tell: Callable[[str], None] = lambda line: None) -> None:
        self.utterances = utterances
        self.tell = tell
        self._kept: dict[str, Material] = {}
        self._told: set[str] = set()

    def __call__(self, recipe: Recipe) -> Material:
        """What the recipe trains on."""
        key = material_key(recipe)
        material = self._kept.pop(key, None)
        if material is None:
            while len(self._kept) >= self.limit:
                del self._kept[next(iter(self._kept))]
            material = self.make(recipe)
        self._kept[key] = material
        return material

    def make(self, recipe: Recipe) -> Material:
        """The same, decoded now."""
        material, problems = gather(recipe, self.utterances)
        for problem in problems:
            if problem not in self._told:
                self._told.add(problem)
                self.tell(problem)
        return material
