"""What every corpus reader is made of: utterances, official counts, and the search for the right folder."""

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serotone.audio import AUDIO_SUFFIXES
from serotone.emotions import in_order
from serotone.errors import CorpusError, SerotoneWarning
from serotone.names import count_of, first_few

UNKNOWN_SPEAKER = "unknown"
"""The speaker of an utterance of which a corpus does not say who speaks."""

_PREFERRED_SUFFIXES = (".wav", ".flac")
_GUESSES = 200  # sub-folders looked into before giving up on a guess


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording, or a stretch of one, and what its corpus says about it.

    ``id`` is unique within a corpus (the file's stem where that suffices), and so is ``speaker``, which is
    :data:`UNKNOWN_SPEAKER` where the corpus does not say. ``emotion`` is a
    member of :data:`serotone.emotions.EMOTIONS`. ``gender`` is ``"female"`` or ``"male"``, ``style`` is
    ``"improvised"`` or ``"scripted"``; ``start`` and ``end`` are seconds into the file; ``language`` is a code of
    ISO 639, ``hi-en`` where two are mixed. What a corpus does not state is ``None``.
    """

    id: str
    path: Path
    emotion: str
    speaker: str
    corpus: str
    gender: str | None = None
    sentence: str | None = None
    session: str | None = None
    style: str | None = None
    intensity: str | None = None
    start: float | None = None
    end: float | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Official:
    """The counts that a corpus' own documentation states for a complete copy."""

    total: int
    emotions: Mapping[str, int]
    speakers: Mapping[str, int] | int | None
    """Utterances of each speaker, or just how many speakers there are; None where that is not stated."""


@dataclass(frozen=True, slots=True)
class Count:
    """One line of a corpus' own accounts: what was found beside what is expected, where that is published."""

    group: str
    name: str
    found: int
    expected: int | None


@dataclass(frozen=True, slots=True)
class Corpus:
    """One entry of :data:`serotone.corpora.CORPORA`: how a corpus is read, and what a complete copy holds."""

    name: str
    read: Callable[[Path], list[Utterance]]
    official: Official | None
    licence: str
    description: str
    languages: tuple[str, ...] = ()
    """Codes of ISO 639-1 for what is spoken in it; empty where only the copy can tell, or it is no language."""
    oddities: tuple[str, ...] = ()
    """What looks like a fault of a copy and is one of the original."""
    count: Callable[[Path, Sequence[Utterance]], list[Count]] | None = None
    """What ``serotone corpus check`` counts besides emotions and speakers, from the root and its utterances."""

    @property
    def non_commercial(self) -> bool:
        """Whether its licence allows non-commercial use only, see :func:`non_commercial`."""
        return non_commercial(self.licence)


_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial|research only|academic purposes|signed licence", re.IGNORECASE)


def non_commercial(licence: str) -> bool:
    """Whether the words of a licence allow non-commercial use only: what is trained on the corpus inherits that.

    >>> non_commercial("CC BY-NC-SA 4.0"), non_commercial("CC BY 4.0")
    (True, False)
    """
    return _NON_COMMERCIAL.search(licence) is not None


def is_audio(path: Path) -> bool:
    """Whether a path looks like an audio file of a corpus; ``._x.wav`` and other hidden files do not."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def audio_files(folder: Path, *, depth: int = 0) -> list[Path]:
    """Sorted audio files in a folder and its sub-folders down to ``depth``; of a folder one for each stem.

    Where a stem occurs with several suffixes (a corpus and its converted copy side by side) the .wav file is kept,
    then .flac, then the first; a SerotoneWarning says so.
    """
    by_stem: dict[str, list[Path]] = {}
    for path in entries(folder):
        if is_audio(path) and path.is_file():
            by_stem.setdefault(path.stem, []).append(path)
    chosen = [min(paths, key=preference) for paths in by_stem.values()]
    doubled = sum(len(paths) > 1 for paths in by_stem.values())
    if doubled:
        warn(
            f"{folder}: {count_of(doubled, 'recording')} in more than one format; of each, only one file is used: the"
            " .wav, else the .flac, else the first by name"
        )
    below = [path for f in subfolders(folder) for path in audio_files(f, depth=depth - 1)] if depth else []
    return sorted([*chosen, *below])


def preference(path: Path) -> tuple[int, str]:
    """The order in which the formats of one recording are preferred: .wav, .flac, then any other."""
    suffix = path.suffix.lower()
    rank = _PREFERRED_SUFFIXES.index(suffix) if suffix in _PREFERRED_SUFFIXES else len(_PREFERRED_SUFFIXES)
    return rank, path.name


def holds(folder: Path, name: re.Pattern[str], *, depth: int = 0) -> bool:
    """Whether a folder, or a sub-folder of it down to ``depth``, holds audio whose stem is such a name."""
    inside = entries(folder)
    return any(name.fullmatch(p.stem) and is_audio(p) for p in inside) or (
        depth > 0 and any(holds(p, name, depth=depth - 1) for p in inside if p.is_dir())
    )


def matched(corpus: str, paths: Iterable[Path], name: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    """The audio files whose stems are names of the corpus, each with its parts; a warning names the others."""
    found, strangers = [], []
    for path in paths:
        match = name.fullmatch(path.stem)
        if match is None:
            strangers.append(path)
        else:
            found.append((path, match))
    warn_of_strangers(corpus, strangers)
    return found


def entries(folder: Path) -> list[Path]:
    """Sorted entries of a folder, hidden ones left out; none where it cannot be listed."""
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError:
        return []


def subfolders(folder: Path) -> list[Path]:
    """Sorted folders right in a folder, hidden ones left out."""
    return [p for p in entries(folder) if p.is_dir()]


def locate(corpus: str, root: Path, finds: Callable[[Path], Path | None], looked_for: str) -> Path:
    """The folder of a corpus that its reader works on.

    ``finds(folder)`` gives that folder where it is met at ``folder``, else None; ``looked_for`` says in words what
    it looks for. A root where nothing is found raises CorpusError, which says what was looked for, what lies there
    instead, and names the right folder where there is one alone, one level up or up to three levels down.
    """
    found = finds(root) if root.is_dir() else None
    if found is not None:
        return found
    right = [folder for folder in neighbours(root) if finds(folder) is not None] or _deeper(root, finds)
    remedy = f" Did you mean {right[0]}?" if len(right) == 1 else " Give the folder that holds them."
    raise CorpusError(f"{corpus} at {root}: looked for {looked_for}; {describe(root)}.{remedy}")


def neighbours(root: Path) -> list[Path]:
    """The folders that may have been meant: those in the root and the one above, or beside one that is not there."""
    if root.is_dir():
        return [*subfolders(root)[:_GUESSES], root.absolute().parent]
    return [f for f in (root.parent, *subfolders(root.parent)[:_GUESSES]) if f.is_dir()]


def _deeper(root: Path, finds: Callable[[Path], Path | None]) -> list[Path]:
    """The right folders two levels below the root, else three: archives often wrap a folder in another of its name."""
    level = subfolders(root)[:_GUESSES]
    for _ in range(2):
        level = [inner for folder in level for inner in subfolders(folder)][:_GUESSES]
        right = [folder for folder in level if finds(folder) is not None]
        if right:
            return right
    return []


def describe(root: Path) -> str:
    """What lies at a path, in words, for a message: ``found 2 folders (a, b) and 10 .txt``."""
    if not root.exists():
        return "found nothing: it does not exist"
    if not root.is_dir():
        return "found a file, not a folder"
    folders = [p.name for p in subfolders(root)]
    suffixes = Counter(p.suffix.lower() or p.name for p in entries(root) if p.is_file())
    parts = []
    if folders:
        parts.append(listed(folders, "folder"))
    parts += [f"{count} {suffix}" for suffix, count in suffixes.most_common(4)]
    return "found " + (" and ".join(parts) if parts else "an empty folder")


def sorted_unique(utterances: Iterable[Utterance]) -> list[Utterance]:
    """Utterances sorted by id; of several with one id the first stays, and a SerotoneWarning names the others."""
    by_id: dict[str, Utterance] = {}
    dropped = []
    for utterance in utterances:
        if by_id.setdefault(utterance.id, utterance) is not utterance:
            dropped.append(str(utterance.path))
    if dropped:
        warn(f"{listed(dropped, 'file')} left out: another file has the same name")
    return [by_id[key] for key in sorted(by_id)]


def listed(items: list[str], noun: str, shown: int = 5) -> str:
    """A count and the first few, for a message: ``7 files (a, b, c, d, e and 2 more)``."""
    return f"{count_of(len(items), noun)} ({first_few(items, shown)})"


def genders(tables: Iterable[Path], speaker: str, gender: str, *, tabs: bool = False) -> dict[str, str]:
    """``female`` or ``male`` by speaker, from the first of the tables that is there; none where none is.

    ``speaker`` and ``gender`` are its columns, between commas, or between tabs without any quoting. Raises CorpusError
    where it lacks them.
    """
    table = next((t for t in tables if t.is_file()), None)
    if table is None:
        return {}
    found, remedy = {}, "restore the corpus' own file, or remove it to go without genders"
    try:
        lines = io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{table}: not text in UTF-8: {error}; {remedy}") from None
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.DictReader(lines)
    if not {speaker, gender} <= set(rows.fieldnames or ()):
        raise CorpusError(
            f"{table}: expected the columns {speaker} and {gender}, got {', '.join(rows.fieldnames or ()) or 'none'};"
            f" {remedy}"
        )
    for row in rows:
        value = (row[gender] or "").strip().lower()
        if value in ("female", "male"):
            found[(row[speaker] or "").strip()] = value
    return found


def warn(message: str) -> None:
    """Warn the caller of a reader with a SerotoneWarning."""
    warnings.warn(message, SerotoneWarning, stacklevel=3)


def warn_of_strangers(corpus: str, strangers: list[Path]) -> None:
    """Warn of audio files that a reader passes over because their names are not the corpus' own."""
    if strangers:
        names = [p.name for p in strangers]
        warn(f"{corpus}: left out {listed(names, 'audio file')}; the names do not follow those of the corpus")


def warn_of_unknown_speakers(corpus: str, utterances: Iterable[Utterance], remedy: str) -> None:
    """Warn of utterances of which nobody knows who speaks, with what to do about it."""
    unknown = [u.id for u in utterances if u.speaker == UNKNOWN_SPEAKER]
    if unknown:
        warn(
            f"{corpus}: the speaker of {listed(unknown, 'utterance', shown=2)} is unknown; {remedy} to allow "
            "speaker-independent tests"
        )


def deviations(utterances: Iterable[Utterance], official: Official) -> list[str]:
    """What differs from the official counts, in plain words, the total first; empty for a complete copy."""
    utterances = list(utterances)
    found: list[str] = []
    if len(utterances) != official.total:
        found.append(f"{len(utterances)} of {official.total} utterances")
    found += _speaker_deviations(Counter(u.speaker for u in utterances), official.speakers)
    emotions = Counter(u.emotion for u in utterances)
    for emotion in in_order({*emotions, *official.emotions}):
        if emotions[emotion] != official.emotions.get(emotion, 0):
            found.append(f"{emotion}: {emotions[emotion]} of {official.emotions.get(emotion, 0)}")
    return found


def _speaker_deviations(found: Counter[str], official: Mapping[str, int] | int | None) -> list[str]:
    if official is None:
        return []
    if isinstance(official, int):
        return [] if len(found) == official else [f"{len(found)} of {official} speakers"]
    absent = [s for s in sorted(official) if s not in found]
    deviating = [f"no utterance of {listed(absent, 'speaker', shown=20)}"] if absent else []
    for speaker, count in sorted(found.items()):
        if speaker not in official:
            deviating.append(f"speaker {speaker}: {count}, and not in the official corpus at all")
        elif count != official[speaker]:
            deviating.append(f"speaker {speaker}: {count} of {official[speaker]}")
    return deviating
