"""The file that a command's ``--out`` names: refused where it is a recording, written whole, or line by line."""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, TextIO

import typer

from serotone.errors import AudioFormatError
from serotone.files import write_whole


def check_out(out: Path, inputs: Iterable[str | Path], *, option: str = "--out", example: str = "answers.csv") -> Path:
    """The file that an option means to be written, links followed; nothing is touched. A pipe or device stays as given.

    Raises typer.BadParameter (exit status 2): it is ``-``, a folder, one of the ``inputs`` (under whatever name), has
    the suffix of audio, or holds audio; or nothing may be written in its folder. A shell that expands ``--out *.wav``
    gives the first recording as the file to write and the others as recordings: what was meant cannot be known, so
    nothing is written.
    """
    from serotone.audio import AUDIO_SUFFIXES

    if str(out) == "-":
        raise refused(f"- is no file; without {option}, what is answered goes to standard output", option)
    target = Path(os.path.realpath(out))
    remedy = f"give a new name, such as {option} {example}"
    if target.is_dir():
        raise refused(f"{out} is a folder; give the name of a file in it, such as {out / example}", option)
    if {out.suffix.lower(), target.suffix.lower()} & AUDIO_SUFFIXES:
        raise refused(f"{out} has the name of a recording, and recordings are never overwritten; {remedy}", option)
    if out.exists():
        for name in inputs:
            if _is_same(out, name):
                raise refused(f"{out} is one of the files to read ({name}) and would be overwritten; {remedy}", option)
        if not out.is_file():
            return out
        if kind := _audio_in(target):
            raise refused(f"{out} holds audio ({kind}) and would be overwritten; {remedy}", option)
    nearest = _nearest(target.parent)
    if not nearest.is_dir():
        raise refused(f"{nearest} is a file, not a folder; {remedy}", option)
    _check_writable(nearest, option)
    return target


def check_out_folder(out: Path, option: str = "--out") -> None:
    """Make sure that an option can be a folder before hours of work; nothing is made.

    Raises typer.BadParameter (exit status 2): it, or a folder above it, is a file, or nothing may be written there.
    """
    nearest = _nearest(out)
    if not nearest.is_dir():
        raise refused(f"{nearest} is a file; give the name of a folder, which is created if it does not exist", option)
    _check_writable(nearest, option)


def _check_writable(folder: Path, option: str) -> None:
    if not os.access(folder, os.W_OK):
        raise refused(
            f"{folder}: no permission to write there; choose another folder or change its permissions", option
        )


def _nearest(folder: Path) -> Path:
    """A folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def refused(message: str, option: str = "--out") -> typer.BadParameter:
    """The error of a ``--out``, or of another file to write, that cannot be meant."""
    return typer.BadParameter(message, param_hint=option)


def write_at_end(path: Path, write: Callable[[TextIO], None]) -> None:
    """Let ``write`` fill a file, which appears only when it is whole and leaves nothing where it does not become so.

    What is written waits in a file without a name, on the same disk. A device or a pipe is written to as it is.

    Raises OSError: it cannot be written; the error names the path.
    """
    try:
        if path.exists() and not path.is_file():
            with as_text(path.open("wb")) as stream:
                write(stream)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as waiting:
            stream = as_text(waiting)
            write(stream)
            stream.flush()
            waiting.seek(0)
            write_whole(path, lambda whole: _copy(waiting, whole))
            stream.detach()
    except OSError as error:
        raise named(error, path) from error


def as_text(file: IO[bytes]) -> io.TextIOWrapper:
    """The text of a file that this command line writes: UTF-8, whatever the names of files hold, lines as they are."""
    return io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")


def named(error: OSError, path: Path) -> OSError:
    """The error with the path in it where the system left it out, as it does for a full disk."""
    known = error.errno is None or error.filename is not None
    return error if known else OSError(error.errno, error.strerror, str(path))


def _copy(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)


def _is_same(target: Path, name: str | Path) -> bool:
    try:
        return target.samefile(name)
    except OSError:  # the input is not there, or is - for standard input
        return False


def _audio_in(path: Path) -> str | None:
    """What kind of audio a file begins like; None where it is none."""
    from serotone.audio.formats import sniff

    with path.open("rb") as file:
        head = file.read(64)
    try:
        return sniff(head, str(path)).kind
    except AudioFormatError:
        return None
