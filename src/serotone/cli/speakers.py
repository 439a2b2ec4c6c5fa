"""Whose voice each recording is, as ``--speakers`` says it: a folder for each speaker, or a table."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from serotone.cli.messages import remark
from serotone.errors import CorpusError
from serotone.names import count_of, first_few

if TYPE_CHECKING:
    from serotone.recognition.profile import Profile

FOLDER = "folder"
"""The value of ``--speakers`` that makes every sub-folder a speaker."""

HELP = "Who speaks: 'folder' if each speaker has a sub-folder, or a CSV file with the columns path and speaker."
MAX_BYTES = 64 << 20


def speakers_of(names: Sequence[str], paths: Iterable[str], said: str | None) -> list[str | None]:
    """The speaker of each recording in ``names``, which were found under the ``paths`` of a command line.

    With ``folder`` it is the first folder below the path that was given, and none for a recording right in it or given
    by its own path. A table's paths are relative to its own folder; a recording that is not in it has no speaker, and a
    note counts the recordings that it names and this command was not given.

    Raises typer.BadParameter (exit status 2): the table is none or gives a recording two speakers, or what was said
    fits no recording.
    """
    if said is None:
        return [None] * len(names)
    if said == FOLDER:
        folders = [Path(path) for path in paths if os.path.isdir(path)]  # noqa: PTH112
        found = [_folder_of(Path(name), folders) for name in names]
        if not any(found):
            raise _refused(
                "no recording is in a sub-folder of a PATH; give the folder that has a sub-folder for each speaker"
            )
        return found
    table = _read(Path(said))
    real = [os.path.realpath(name) for name in names]
    given = set(real)
    others = [row.path for name, row in table.items() if name not in given]
    where = "its paths are relative to its own folder"
    if len(others) == len(table):
        raise _refused(f"{said} names none of these recordings; {where}")
    if others:
        strangers = count_of(len(others), "recording")
        remark(f"{said} names {strangers} that this command was not given, such as {others[0]}; {where}")
    return [table[name].speaker if name in table else None for name in real]


def remark_unknown(voices: Iterable[str | None], profile: "Profile", said: str) -> None:
    """Say which speakers of ``--speakers`` a profile does not know, and so cannot adapt answers to."""
    every = sorted({voice for voice in voices if voice is not None})
    unknown = [voice for voice in every if voice not in profile.speakers]
    if unknown:
        where = "" if said == FOLDER else f" of {said}"
        remark(
            f"the profile knows {len(every) - len(unknown)} of {count_of(len(every), 'speaker')}{where} (it has "
            f"{first_few(profile.speakers)}); answers for {first_few(unknown)} are adapted to its collection alone"
        )


def _folder_of(name: Path, folders: Iterable[Path]) -> str | None:
    for folder in folders:
        if name.is_relative_to(folder) and len(inside := name.relative_to(folder).parts) > 1:
            return inside[0]
    return None


class _Row(NamedTuple):
    """A row of a table: its path and its speaker as they are written, and where it stands."""

    path: str
    speaker: str
    place: str


def _read(path: Path) -> dict[str, _Row]:
    """Real path of each recording in a table -> its row."""
    if not path.is_file():
        expected = f"give a CSV file with the columns path and speaker, or the word {FOLDER}"
        if path.is_dir():
            raise _refused(f"{path} is a folder; {expected} if each speaker has a sub-folder of a PATH")
        raise _refused(f"{path}: no such file; {expected}")
    if path.stat().st_size > MAX_BYTES:
        raise _refused(f"{path}: more than {MAX_BYTES >> 20} MB; this is not a table of speakers")
    from serotone.corpora.manifest import read_table

    try:
        rows = [_Row(row["path"], row["speaker"], place) for place, row in read_table(path, ("path", "speaker"))]
    except CorpusError as error:
        raise _refused(str(error)) from error
    table: dict[str, _Row] = {}
    for row in rows:
        if not (row.path and row.speaker):
            continue
        first = table.setdefault(os.path.realpath(path.parent / row.path), row)
        if first.speaker != row.speaker:
            raise _refused(
                f"{path}: {row.path} has the speaker {first.speaker} in {first.place} and {row.speaker} in "
                f"{row.place}; give each recording one speaker"
            )
    return table


def _refused(problem: str) -> typer.BadParameter:
    return typer.BadParameter(problem, param_hint="--speakers")
