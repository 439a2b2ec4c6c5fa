"""What a run folder holds, once it is read: its utterances, its folds and their answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serotone.runs import layout


@dataclass(frozen=True, slots=True)
class UtteranceInfo:
    """What the corpus says about one utterance; empty where it does not say."""

    speaker: str
    gender: str
    sentence: str
    file: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """Who and what stands in more than one part of a fold."""

    speakers: tuple[str, ...]  # those that are named
    unknown_speakers: bool  # whether there are others, whom the corpus does not name, on both sides
    sentences: tuple[str, ...]
    validation_speakers: tuple[str, ...]  # again those that are named, and whether there are others
    unknown_validation_speakers: bool
    test_speakers: int
    test_sentences: int
    without_sentence: int
    copies: tuple[str, ...] | None  # recordings of the test part that are in training; None where nobody looked


@dataclass(frozen=True, slots=True)
class Fold:
    """One finished fold: N answers of the test part over C labels, and how the training went."""

    repetition: int
    number: int
    folder: Path
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    truth: NDArray[np.int64]  # (N,)
    prediction: NDArray[np.int64]  # (N,)
    probabilities: NDArray[np.float64]  # (N, C)
    curves: Mapping[str, NDArray[np.float64]]  # (validations,) by column; empty where nothing was validated
    monitor: str
    step: int
    score: float | None
    seconds: float | None  # None where nobody took the time
    clips: Mapping[str, int]
    shared: Overlap | None
    parts: str  # fingerprint of who trains, validates and tests
    used: frozenset[str]  # all who do
    versions: tuple[Mapping[str, Any], ...]

    @property
    def name(self) -> str:
        """``0-3``: repetition and number."""
        return f"{self.repetition}-{self.number}"

    @property
    def has_embeddings(self) -> bool:
        """Whether embeddings were kept."""
        return (self.folder / layout.EMBEDDINGS).is_file()


@dataclass(frozen=True, slots=True)
class Run:
    """One recipe under one seed."""

    folder: Path
    recipe: Mapping[str, Any]
    corpus: Mapping[str, Any]
    utterances: Mapping[str, UtteranceInfo]
    folds: tuple[Fold, ...]
    planned: int | None
    repetitions: int | None  # None where an older serotone did not write how many
    dealt: str | None  # the protocol that a rule came to; None where an older serotone did not write it

    @property
    def alone(self) -> bool:
        """Whether it is one training, of one fold, instead of a cross-validation."""
        return any(fold.folder == self.folder for fold in self.folds)

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return int(self.recipe["seed"])

    @property
    def protocol(self) -> str:
        """The protocol with the options that were given: ``speakers-out (folds 5)``; how it is seeded is left out.

        Of a rule also what it came to: ``speaker-independent (here leave-one-speaker-out)``.
        """
        chosen = self.recipe["protocol"]
        if self.dealt not in (None, chosen["name"]):
            return f"{chosen['name']} (here {self.dealt})"
        options = {key: value for key, value in chosen.items() if key not in {"name", "seed"} and value is not None}
        given = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in options.items())
        return f"{chosen['name']} ({given})" if given else str(chosen["name"])

    @property
    def corpora(self) -> str:
        """Names of the corpora, in order: ``emodb + ravdess``."""
        return " + ".join(sorted({str(key).split("/")[0] for key in self.corpus["emotions"]}))

    @property
    def used(self) -> frozenset[str]:
        """The utterances that train, validate or test in a finished fold."""
        return frozenset().union(*(fold.used for fold in self.folds))

    @property
    def copies(self) -> int:
        """How many recordings of test parts were also in training; of older runs, in which nobody looked, 0."""
        return len(set().union(*(fold.shared.copies or () for fold in self.folds if fold.shared)))

    @property
    def schedule(self) -> Mapping[str, Any]:
        """The schedule in use."""
        chosen: Mapping[str, Any] = self.recipe["schedules"][self.recipe["schedule"]]
        return chosen

    @property
    def trained(self) -> bool:
        """Whether anything was trained; not for a bundle that was scored as it is, whose schedule is empty."""
        return bool(self.schedule)
