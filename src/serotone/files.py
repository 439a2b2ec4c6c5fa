"""Files that are whole or not there: written under a temporary name, synced, renamed. And the folder of downloads."""

import csv
import io
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file next to ``path``, sync it to disk, and only then give it its name.

    A pipe or a device is written to as it is, for the name would no longer be its own.

    Raises OSError: it cannot be written, on a full disk for example; the error names ``path``.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        write(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        named = [error.filename, error.filename2]  # the second is where a file of somebody else's making is moved to
        ours = error.filename is None or any(_is(temporary, name) for name in named)
        if error.errno is None or not ours:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _is(path: Path, name: object) -> bool:
    """Whether an error's name of a file, which may be absolute where ours is not, is that of this one."""
    return isinstance(name, str) and Path(name).absolute() == path.absolute()


def expanded(path: str | Path) -> Path:
    """A path with the user's own folder in the place of ``~``; a ``~name`` that is no user's is the name of a file."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises for it


def cache() -> Path:
    """Where downloads, and what was computed once, are kept: ``SEROTONE_CACHE``, by default ``~/.cache/serotone``."""
    folder = os.environ.get("SEROTONE_CACHE")
    return expanded(folder) if folder else Path.home() / ".cache" / "serotone"


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes whole; libraries that write a file by themselves call a full disk by another error than OSError."""
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write JSON whole, indented, with a newline at its end."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a table whole: the first row's keys are its columns; without a row the file is empty."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(path, text.getvalue())
