"""Whose voice each recording is, as ``--speakers`` says it: a folder for each speaker, or a table."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

from serotone.errors import CorpusError

FOLDER = "folder"
"""The value of ``--speakers`` that makes every sub-folder a speaker."""

HELP = "Who speaks: 'folder' if each speaker has a sub-folder, or a CSV file with the columns path and speaker."
MAX_BYTES = 64 << 20


def speakers_of(names: Sequence[str], paths: Iterable[str], said: str | None) -> list[str | None]:
    """The speaker of each recording in ``names``, which were found under the ``paths`` of a command line.

    With ``folder`` it is the first folder below the path that was given, and none for a recording right in it or given
    by its own path. A table's paths are relative to its own folder; a recording that is not in it has no speaker.

    Raises typer.BadParameter (exit status 2): the table is none, or what was said fits no recording.
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
    found = [table.get(os.path.realpath(name)) for name in names]
    if not any(found):
        raise _refused(f"{said} names none of these recordings; its paths are relative to its own folder")
    return found


def _folder_of(name: Path, folders: Iterable[Path]) -> str | None:
    for folder in folders:
        if name.is_relative_to(folder) and len(inside := name.relative_to(folder).parts) > 1:
            return inside[0]
    return None


def _read(path: Path) -> dict[str, str]:
    """Real path of each recording in a table -> its speaker."""
    if not path.is_file():
        raise _refused(f"{path}: no such file; give a CSV file with the columns path and speaker, or the word {FOLDER}")
    if path.stat().st_size > MAX_BYTES:
        raise _refused(f"{path}: more than {MAX_BYTES >> 20} MB; this is not a table of speakers")
    from serotone.corpora.manifest import read_table

    try:
        rows = [row for _, row in read_table(path, ("path", "speaker"))]
    except CorpusError as error:
        raise _refused(str(error)) from error
    return {
        os.path.realpath(path.parent / row["path"]): row["speaker"] for row in rows if row["path"] and row["speaker"]
    }


def _refused(problem: str) -> typer.BadParameter:
    return typer.BadParameter(problem, param_hint="--speakers")
