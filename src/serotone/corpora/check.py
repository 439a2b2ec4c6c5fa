"""What lies in a folder beside what the corpus should hold: counts, minutes, deviations, files that cannot be read."""

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serotone import audio
from serotone.corpora.base import Corpus, Count, Official, Utterance, deviations
from serotone.emotions import in_order
from serotone.errors import SerotoneError, SerotoneWarning


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """What :func:`serotone.corpora.check_corpus` found.

    ``seconds`` has the duration of each utterance that can be read, by id. ``deviations`` are differences from the
    official counts, in words; ``unreadable`` pairs a file with why; ``identical`` groups ids whose files hold the same
    bytes; ``warnings`` is what the reader and the decoder found odd; ``oddities`` what is odd in the original, too;
    ``counts`` what the corpus itself counts besides, such as the subsets of IEMOCAP that papers use.
    """

    corpus: str
    root: str
    licence: str
    utterances: tuple[Utterance, ...]
    seconds: dict[str, float]
    official: Official | None
    deviations: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    identical: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...]
    oddities: tuple[str, ...]
    counts: tuple[Count, ...] = ()

    @property
    def minutes(self) -> float:
        """Total duration of what can be read."""
        return sum(self.seconds.values()) / 60

    @property
    def emotions(self) -> list[str]:
        """The emotions found or officially there, in vocabulary order."""
        return in_order({u.emotion for u in self.utterances} | set(self.official.emotions if self.official else ()))

    @property
    def cells(self) -> dict[str, Counter[str]]:
        """Utterances of each speaker, sorted, by emotion."""
        cells: dict[str, Counter[str]] = defaultdict(Counter)
        for utterance in self.utterances:
            cells[utterance.speaker][utterance.emotion] += 1
        return dict(sorted(cells.items()))

    @property
    def genders(self) -> dict[str, str | None]:
        """The gender of each speaker, where it is known."""
        return {u.speaker: u.gender for u in self.utterances}

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON, ``schema: 1``."""
        counts = Counter(u.emotion for u in self.utterances)
        official = self.official
        accounts: dict[str, dict[str, dict[str, int | None]]] = defaultdict(dict)
        for count in self.counts:
            accounts[count.group][count.name] = {"found": count.found, "expected": count.expected}
        return {
            "schema": 1,
            "corpus": self.corpus,
            "root": self.root,
            "licence": self.licence,
            "utterances": len(self.utterances),
            "official_utterances": official.total if official else None,
            "minutes": round(self.minutes, 3),
            "shortest_seconds": round(min(self.seconds.values()), 3) if self.seconds else None,
            "longest_seconds": round(max(self.seconds.values()), 3) if self.seconds else None,
            "emotions": {
                emotion: {"found": counts[emotion], "official": official.emotions.get(emotion, 0) if official else None}
                for emotion in self.emotions
            },
            "speakers": {
                speaker: {
                    "gender": self.genders[speaker],
                    "utterances": by_emotion.total(),
                    "emotions": {emotion: by_emotion[emotion] for emotion in self.emotions},
                }
                for speaker, by_emotion in self.cells.items()
            },
            "counts": dict(accounts),
            "deviations": list(self.deviations),
            "unreadable": [{"path": path, "error": error} for path, error in self.unreadable],
            "identical": [list(group) for group in self.identical],
            "warnings": list(self.warnings),
            "oddities": list(self.oddities),
        }


def examine(corpus: Corpus, root: Path, *, on_file: Callable[[int, int], object] | None = None) -> CorpusReport:
    """Read a corpus and decode every file of it; ``on_file(done, total)`` is called after each.

    Raises CorpusError where the root does not hold that corpus.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SerotoneWarning)
        utterances = corpus.read(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SerotoneWarning)  # the reader has said it
        counts = tuple(corpus.count(root, utterances)) if corpus.count else ()
    said = (str(w.message) for w in caught if issubclass(w.category, SerotoneWarning))
    odd = list(dict.fromkeys(said))  # a reader may look into a folder more than once
    seconds: dict[str, float] = {}
    unreadable: list[tuple[str, str]] = []
    for done, utterance in enumerate(utterances, start=1):
        try:
            sound = audio.read(utterance.path, start=utterance.start, end=utterance.end)
        except SerotoneError as error:
            unreadable.append((str(utterance.path), str(error)))
        else:
            seconds[utterance.id] = sound.seconds
            odd += [f"{utterance.path}: {warning}" for warning in sound.warnings]
            if sound.silent:
                odd.append(f"{utterance.path}: digital silence")
        if on_file is not None:
            on_file(done, len(utterances))
    return CorpusReport(
        corpus=corpus.name,
        root=str(root),
        licence=corpus.licence,
        utterances=tuple(utterances),
        seconds=seconds,
        official=corpus.official,
        deviations=tuple(deviations(utterances, corpus.official)) if corpus.official else (),
        unreadable=tuple(unreadable),
        identical=_identical([u for u in utterances if u.id in seconds]),
        warnings=tuple(odd),
        oddities=corpus.oddities,
        counts=counts,
    )


def _identical(utterances: Sequence[Utterance]) -> tuple[tuple[str, ...], ...]:
    """Groups of ids whose files hold the same bytes, for files that can be read; stretches of one file are none."""
    ids = {u.path: u.id for u in reversed(utterances)}
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in ids:
        by_size[path.stat().st_size].append(path)
    by_content: dict[bytes, list[str]] = defaultdict(list)
    for paths in by_size.values():
        if len(paths) > 1:
            for path in paths:
                with path.open("rb") as file:
                    by_content[hashlib.file_digest(file, "sha256").digest()].append(ids[path])
    return tuple(sorted(tuple(sorted(group)) for group in by_content.values() if len(group) > 1))
