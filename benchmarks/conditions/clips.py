"""Which recordings are asked about: corpora below a folder, speakers that were held out, a balanced sample of them."""

import csv
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.random import Generator

from conditions.signals import Samples
from serotone import audio
from serotone.corpora import CORPORA, Utterance, read_corpus
from serotone.emotions import merged
from serotone.errors import CorpusError

RATE = 16000
"""Hz at which clips are distorted; a bundle of another rate resamples what it hears."""

LANGUAGES = {"emodb": "de", "ravdess": "en", "nemo": "pl", "synthetic": None}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and the truth about it; ``truth`` is one of the bundle's labels, ``id`` and ``speaker`` unique."""

    id: str
    utterance: Utterance
    truth: str
    speaker: str
    language: str | None

    @property
    def corpus(self) -> str:
        """The corpus it is from."""
        return self.utterance.corpus

    def samples(self) -> Samples:
        """Mono samples (T,) at `RATE`."""
        u = self.utterance
        return audio.read(u.path, sample_rate=RATE, start=u.start, end=u.end).samples.astype(np.float64)


def read_clips(folder: Path, corpora: Sequence[str], labels: Sequence[str], merge: Mapping[str, str]) -> list[Clip]:
    """Every clip below a folder whose emotion the bundle has a label for, sorted by id.

    A sub-folder is a corpus where it has a ``manifest.csv`` or the name of a corpus that serotone reads; ``corpora``
    chooses among them, all where it is empty.

    Raises CorpusError: a corpus that was chosen is not there, or nothing is.
    """
    there = [
        path.name
        for path in sorted(folder.iterdir())
        if path.is_dir() and (path.name in CORPORA or (path / "manifest.csv").is_file())
    ]
    if missing := [name for name in corpora if name not in there]:
        raise CorpusError(f"{folder}: no corpus {', '.join(missing)} here; there are: {', '.join(there) or 'none'}")
    clips = []
    for name in corpora or there:
        table = folder / name / "manifest.csv"
        utterances = read_corpus("manifest", table) if table.is_file() else read_corpus(name, folder / name)
        languages = _languages(table)
        for u in utterances:
            truth = merged(u.emotion, merge)
            if truth in labels:
                language = languages.get(u.path, LANGUAGES.get(name))
                clips.append(Clip(f"{name}/{u.id}", replace(u, corpus=name), truth, f"{name}/{u.speaker}", language))
    if not clips:
        raise CorpusError(f"{folder}: no clip with one of the emotions {', '.join(labels)}; give another --data")
    return sorted(clips, key=lambda clip: clip.id)


def of_speakers(clips: Sequence[Clip], names: Sequence[str]) -> list[Clip]:
    """The clips of speakers given as corpus/speaker, or as a corpus for all of its speakers; all where none is given.

    Raises CorpusError: a name that no clip has.
    """
    known = {clip.speaker for clip in clips} | {clip.corpus for clip in clips}
    if unknown := [name for name in names if name not in known]:
        some = ", ".join(sorted({clip.speaker for clip in clips})[:5])
        raise CorpusError(
            f"--speakers {','.join(unknown)}: no such speaker or corpus among the clips; expected names such as {some}"
        )
    return [clip for clip in clips if not names or clip.speaker in names or clip.corpus in names]


def sample(clips: Sequence[Clip], seed: int) -> list[Clip]:
    """The clips in an order whose every beginning is balanced: corpora take turns, in each its emotions do."""
    by_corpus: defaultdict[str, defaultdict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in sorted(clips, key=lambda clip: clip.id):
        by_corpus[clip.corpus][clip.truth].append(clip)
    turns = []
    for corpus, by_truth in sorted(by_corpus.items()):
        for truth, group in sorted(by_truth.items()):
            random.Random(f"{seed}/{corpus}/{truth}").shuffle(group)
        turns.append(in_turn(group for _, group in sorted(by_truth.items())))
    return in_turn(turns)


def in_turn(lists: Iterable[Sequence[T]]) -> list[T]:
    """One item of each list, then the next of each; a list that ends early is passed over.

    >>> in_turn([[1, 2, 3], [4], [5, 6]])
    [1, 4, 5, 2, 6, 3]
    """
    end = object()
    return [item for item in chain.from_iterable(zip_longest(*lists, fillvalue=end)) if item is not end]  # type: ignore[misc]


def generator_for(*parts: object) -> Generator:
    """A generator of random numbers that depends on these parts alone, whatever was drawn before."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _languages(table: Path) -> dict[Path, str]:
    """The language of each file of a manifest, where it has that column."""
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8-sig", newline="") as lines:
        return {table.parent / row["path"]: row["language"] for row in csv.DictReader(lines) if row.get("language")}
