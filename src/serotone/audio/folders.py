"""The audio files in a folder, and what in it was passed over."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from serotone.audio.formats import AUDIO_SUFFIXES
from serotone.errors import AudioError, AudioFormatError, AudioMissingError


@dataclass(frozen=True, slots=True)
class FolderScan:
    """What a folder holds, hidden files and folders left out.

    ``files`` are the names of audio files, sorted. ``irregular`` are names that end like audio and are no regular
    files: a named pipe, a socket, a device or a link that leads nowhere, which could be waited for without end.
    ``closed`` has the folders that cannot be read, each with the system's reason. ``others`` counts the remaining
    files by their lower-case suffix.
    """

    files: tuple[str, ...]
    irregular: tuple[str, ...]
    closed: dict[str, str]
    others: dict[str, int]


def scan_folder(folder: str | Path) -> FolderScan:
    """The audio files in a folder and its sub-folders, by their suffix; nothing is opened.

    Links to folders are followed, after all that is in the folder itself; what was found before is not found again.
    """
    files, irregular = [], []
    others: Counter[str] = Counter()
    closed: dict[str, str] = {}
    for place, names in _places(folder, closed):
        for name in names:
            suffix = Path(name).suffix.lower()
            path = _join(place, name)
            if name.startswith("."):
                continue
            if suffix not in AUDIO_SUFFIXES:
                others[suffix] += 1
            elif _is_regular(path):
                files.append(path)
            else:
                irregular.append(path)
    return FolderScan(tuple(sorted(files)), tuple(sorted(irregular)), closed, dict(sorted(others.items())))


def _places(root: str | Path, closed: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Each folder from ``root`` on, once, with the names of its files; what cannot be read goes into ``closed``."""

    def close(error: OSError) -> None:
        closed[str(error.filename)] = error.strerror or str(error)

    above = Path(os.path.realpath(root)).parents
    seen: set[str] = set()
    waiting = [str(root)]
    while waiting:
        links = []
        for start in waiting:
            if (real := os.path.realpath(start)) in seen or Path(real) in above:
                continue
            for place, folders, names in os.walk(start, onerror=close):
                seen.add(os.path.realpath(place))
                folders[:] = [name for name in folders if not name.startswith(".")]
                links += [path for name in folders if Path(path := _join(place, name)).is_symlink()]
                folders[:] = [name for name in folders if os.path.realpath(_join(place, name)) not in seen]
                yield place, names
        waiting = sorted(links)


def _join(place: str, name: str) -> str:
    return os.path.join(place, name)  # noqa: PTH118 - Path would drop the ./ that the user typed


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:
        return False


def audio_in(
    folder: str | Path, tell: Callable[[str], object] = lambda line: None
) -> Iterator[tuple[str, AudioError | None]]:
    """The names in a folder that end like audio, sorted, each with why it is not heard, if it is not.

    A pipe, say, would be waited for, and nobody named it. A folder without audio is itself named, with the error. What
    is skipped in others is told in a line.
    """
    inside = scan_folder(folder)
    passed = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in inside.others.items())
    if passed and inside.files:
        tell(f"{folder}: skipped what does not end like audio: {passed}")
    if not inside.files and not inside.irregular and not inside.closed:
        known = ", ".join(sorted(AUDIO_SUFFIXES))
        over = f" (skipped: {passed})" if passed else ""
        yield (
            str(folder),
            AudioMissingError(f"{folder}: no audio in this folder{over}; expected files that end in {known}"),
        )
    found: dict[str, AudioError | None] = dict.fromkeys(inside.files)
    found |= {name: _special(name) for name in inside.irregular}
    found |= {
        name: AudioError(f"{name}: this folder cannot be read: {why}; change its permissions, or leave it out")
        for name, why in inside.closed.items()
    }
    yield from sorted(found.items(), key=lambda item: item[0])


def _special(name: str) -> AudioError | None:
    """Why something irregular in a folder is not heard."""
    if not Path(name).exists():  # a link to nothing: hearing it says so
        return None
    return AudioFormatError(
        f"{name}: a pipe, socket or device; these are skipped in folders, so give its own path to read it"
    )
