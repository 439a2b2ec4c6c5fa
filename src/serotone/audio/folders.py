"""The audio files in a folder, and what in it was passed over."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serotone.audio.formats import AUDIO_SUFFIXES
from serotone.errors import AudioError, AudioFormatError, AudioMissingError


@dataclass(frozen=True, slots=True)
class FolderScan:
    """What a folder holds, hidden files and folders left out.

    ``files`` are the names of audio files, sorted. ``irregular`` are names that end like audio and are no regular
    files: a named pipe, a socket, a device or a link that leads nowhere, which could be waited for without end.
    ``others`` counts the remaining files by their lower-case suffix.
    """

    files: tuple[str, ...]
    irregular: tuple[str, ...]
    others: dict[str, int]


def scan_folder(folder: str | Path) -> FolderScan:
    """The audio files in a folder and its sub-folders, by their suffix; nothing is opened."""
    files, irregular = [], []
    others: Counter[str] = Counter()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            suffix = Path(name).suffix.lower()
            path = os.path.join(place, name)  # noqa: PTH118 - Path would drop the ./ that the user typed
            if name.startswith("."):
                continue
            if suffix not in AUDIO_SUFFIXES:
                others[suffix] += 1
            elif _is_regular(path):
                files.append(path)
            else:
                irregular.append(path)
    return FolderScan(tuple(sorted(files)), tuple(sorted(irregular)), dict(sorted(others.items())))


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:
        return False


def audio_in(folder: str | Path) -> Iterator[tuple[str, AudioError | None]]:
    """The names in a folder that end like audio, sorted, each with why it is not heard, if it is not.

    A pipe, say, would be waited for, and nobody named it. A folder without audio is itself named, with the error.
    """
    inside = scan_folder(folder)
    if not inside.files and not inside.irregular:
        known = ", ".join(sorted(AUDIO_SUFFIXES))
        passed = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in inside.others.items())
        over = f" (passed over: {passed})" if passed else ""
        yield (
            str(folder),
            AudioMissingError(f"{folder}: no audio in this folder{over}; expected files that end in {known}"),
        )
    found = dict.fromkeys(inside.files) | {name: _special(name) for name in inside.irregular}
    yield from sorted(found.items(), key=lambda item: item[0])


def _special(name: str) -> AudioError | None:
    """Why something irregular in a folder is not heard."""
    if not Path(name).exists():  # a link to nothing: hearing it says so
        return None
    return AudioFormatError(
        f"{name}: a pipe, socket or device, which is skipped in a folder; give its own path to read it"
    )
