"""One file over HTTPS, whole or not there: resumed where it was interrupted, bounded, checked."""

import contextlib
import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from serotone.errors import WeightsError
from serotone.https import demand_https, secure_opener
from serotone.locks import lock

MAXIMUM_BYTES = 8 * 2**30
"""No encoder that could be used here is larger."""

TIMEOUT_SECONDS = 30.0
CHUNK = 2**20


class _Begun(NamedTuple):
    """How far an interrupted download came, and the version of the file that it is a part of."""

    size: int
    version: str


def download(
    url: str, target: Path, *, sha256: str | None = None, maximum_bytes: int = MAXIMUM_BYTES, remedy: str = ""
) -> None:
    """Fetch ``url`` into ``target``, unless it is there.

    What has arrived lies next to ``target`` under ``.part`` until it is whole, and is gone on with if the server still
    has the same version. Two processes that want the same file take turns.

    Args:
        url: HTTPS; plain HTTP on this machine alone.
        target: The file to be.
        sha256: What the file must hash to; None takes what comes.
        maximum_bytes: More is refused, whatever the server announces.
        remedy: What to do instead, for the error of somebody who is offline.

    Raises:
        WeightsError: The address is not secure, cannot be reached or has no such file; or its file is another, or too
            large.
    """
    demand_https(url, WeightsError)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with _alone(target.with_name(target.name + ".lock")):
        if target.is_file():
            return
        try:
            _fetch(url, part, maximum_bytes=maximum_bytes)
        except urllib.error.HTTPError as error:
            raise WeightsError(f"{url}: the server answers {error.code} {error.reason}; {remedy}") from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise WeightsError(
                f"{url}: cannot be downloaded ({reason}); go online and run the same command again, which"
                f" continues this download, or {remedy}"
            ) from None
        if sha256 is not None and (actual := digest(part)) != sha256:
            _forget(part)
            raise WeightsError(f"{url}: has the SHA-256 {actual}, expected {sha256}: another version or a damaged one")
        part.replace(target)
        _forget(part)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(url: str, part: Path, *, maximum_bytes: int) -> None:
    """Fill ``part`` from where it stands, or from the start if the server has another version by now."""
    try:
        _fill(url, part, _begun(part), maximum_bytes=maximum_bytes)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        _fill(url, part, None, maximum_bytes=maximum_bytes)  # nothing is left to go on with


def _fill(url: str, part: Path, begun: _Begun | None, *, maximum_bytes: int) -> None:
    headers = {"User-Agent": "serotone", "Accept-Encoding": "identity"}
    if begun is not None:
        headers |= {"Range": f"bytes={begun.size}-", "If-Range": begun.version}
    request = urllib.request.Request(url, headers=headers)
    with secure_opener(WeightsError).open(request, timeout=TIMEOUT_SECONDS) as answer:
        start = begun.size if begun is not None and answer.status == HTTPStatus.PARTIAL_CONTENT else 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        _refuse_large(url, total or 0, maximum_bytes)
        if not start:
            _forget(part)  # first: a kill in between must not leave bytes of one version under the name of another
        _remember(part, answer.headers)
        size = _copy(answer, part, url=url, start=start, total=total, maximum_bytes=maximum_bytes)
    if total is not None and size != total:
        raise ConnectionError(f"only {size} of {total} bytes arrived")


def _copy(answer: IO[bytes], part: Path, *, url: str, start: int, total: int | None, maximum_bytes: int) -> int:
    """The answer's bytes after the first ``start`` of ``part``; its size, and a bar on a terminal's standard error."""
    size = start
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not sys.stderr.isatty())
    with bar, part.open("r+b" if start else "wb") as file:
        task = bar.add_task(url.rsplit("/", 1)[-1], total=total, completed=start)
        file.seek(start)
        file.truncate()
        while chunk := answer.read(CHUNK):
            size += len(chunk)
            _refuse_large(url, size, maximum_bytes)
            file.write(chunk)
            bar.update(task, completed=size)
        file.flush()
        os.fsync(file.fileno())
    return size


def _begun(part: Path) -> _Begun | None:
    """What an interrupted download left; nothing where the server named no version to go on with."""
    version = _version_file(part)
    if not (part.is_file() and version.is_file() and part.stat().st_size):
        return None
    return _Begun(part.stat().st_size, version.read_text(encoding="utf-8"))


def _remember(part: Path, headers: Mapping[str, str]) -> None:
    """Keep the version of the file that is arriving: its strong ETag."""
    tag = headers.get("ETag", "")
    if tag.startswith('"'):
        _version_file(part).write_text(tag, encoding="utf-8")
    else:
        _version_file(part).unlink(missing_ok=True)


def _forget(part: Path) -> None:
    for path in (part, _version_file(part)):
        path.unlink(missing_ok=True)


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _refuse_large(url: str, size: int, maximum_bytes: int) -> None:
    if size > maximum_bytes:
        raise WeightsError(
            f"{url}: is larger than {maximum_bytes / 2**30:.3g} GiB, the most that serotone downloads; fetch it"
            " yourself and give its path"
        )


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, after whoever has it."""
    with path.open("w") as file:
        try:
            lock(file.fileno(), wait=True)
        except OSError as error:  # of a network's disk, for example
            raise WeightsError(
                f"{path}: cannot be locked: {error.strerror}; set SEROTONE_CACHE to a folder on another disk"
            ) from None
        yield
