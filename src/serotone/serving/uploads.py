"""What a client sends, in temporary files: one recording as the body itself, or several as parts of a form."""

import asyncio
import contextlib
import os
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from serotone.locks import lock
from serotone.names import UNSAFE
from serotone.serving.problems import ProblemError

LONGEST_NAME = 200

NO_FILENAME = (
    "a part has no parameter filename, so it is taken for text (filename* does not count in forms, RFC 7578); "
    "with curl, write -F file=@call.wav"
)

PREFIX = "serotone-serve-"
"""How the folder of a server's uploads is called, below the system's folder for temporary files."""


class Place:
    """A server's folder for what clients send, gone when the server ends; after a `kill -9`, when the next one begins.

    A server holds a lock on its folder, so a folder whose lock is free belongs to none that is alive. systemd-tmpfiles
    leaves a locked folder alone, too: it would remove one to which nothing is sent for ten days. Windows cannot lock a
    folder; there, what a killed server leaves behind stays.
    """

    def __init__(self) -> None:
        _remove_left_over(Path(tempfile.gettempdir()))
        # Under another name until it is held: nobody may find it free.
        hidden = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
        self._lock: int | None = None
        if sys.platform != "win32":
            self._lock = os.open(hidden, os.O_RDONLY)
            with contextlib.suppress(OSError):  # on NFS; there, no folder is ever found free
                lock(self._lock, wait=True)
        self.path = hidden.rename(hidden.with_name(hidden.name[1:]))
        self._remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        if self._remove.alive:
            self._remove()
            if self._lock is not None:
                os.close(self._lock)


def _remove_left_over(parent: Path) -> None:
    """Remove the folders of servers of this user that were killed."""
    if sys.platform == "win32":
        return
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, one that is held, or one that is going right now
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            opened = os.open(folder, os.O_RDONLY)
            try:
                lock(opened)
                shutil.rmtree(folder)
            finally:
                os.close(opened)


@dataclass(frozen=True, slots=True)
class Upload:
    """A recording: what its sender calls it, and the file that holds it."""

    name: str
    path: Path


@contextlib.asynccontextmanager
async def received(
    request: Request, folder: Path, *, most: int, name: str | None = None
) -> AsyncIterator[list[Upload]]:
    """The recordings in the body of a request, at most ``most``; their files are gone afterwards.

    A body that is no form is one recording, called ``name``.

    Raises ProblemError: there is none, or one too many, or the body is compressed.
    """
    coding = ", ".join(request.headers.getlist("content-encoding")).strip().lower()
    if coding not in ("", "identity"):
        raise ProblemError(
            415,
            f"the body has Content-Encoding: {coding[:80]}, which this server does not decode; send the recording as "
            "it is, without this header; FLAC and Opus make it smaller",
            headers={"Accept-Encoding": "identity"},
        )
    with tempfile.TemporaryDirectory(dir=folder) as place:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
            yield await _parts(request, Path(place), most, name)
        else:
            yield [await _whole(request, Path(place), name)]


async def _whole(request: Request, place: Path, name: str | None) -> Upload:
    path, size = place / "0", 0
    with path.open("wb") as file:
        async for piece in request.stream():
            file.write(piece)
            size += len(piece)
    if not size:
        raise ProblemError(422, "the body is empty; send a recording: its bytes, or a form with a part named file")
    return Upload(clean(name), path)


@contextlib.asynccontextmanager
async def _form(request: Request, most: int) -> AsyncIterator[FormData]:
    """The form of a request, with one part more than is taken."""
    try:
        form = await request.form(max_files=most + 1, max_fields=most + 1)
    except HTTPException as error:
        if str(error.detail).startswith("Part exceeded"):  # only text is bounded so; files go to the disk
            raise ProblemError(422, f"expected recordings in parts named file; {NO_FILENAME}") from None
        if not str(error.detail).startswith("Too many"):
            raise
        raise ProblemError(413, f"more than {most + 1} parts in one request; send at most {most} at a time") from None
    except UnicodeError:
        raise ProblemError(400, "the names in the form cannot be read in its charset; send them in UTF-8") from None
    try:
        yield form
    finally:
        await form.close()


async def _parts(request: Request, place: Path, most: int, name: str | None) -> list[Upload]:
    async with _form(request, most) as form:
        parts = form.multi_items()
        files = [value for key, value in parts if key == "file" and isinstance(value, UploadFile)]
        if not files or len(files) != len(parts):
            others = ", ".join(sorted({clean(key) for key in form if key != "file"}))
            what = f"other parts: {others}" if others else "there is no whole part; was the form cut off?"
            if any(key == "file" and isinstance(value, str) for key, value in parts):
                what = NO_FILENAME
            raise ProblemError(422, f"expected recordings in parts named file; {what}")
        if len(files) > most:
            raise ProblemError(413, f"{len(files)} recordings in one request; send at most {most} at a time")
        uploads = []
        for number, value in enumerate(files):
            path = place / str(number)
            await asyncio.to_thread(_copy, value, path)
            uploads.append(Upload(clean(name or value.filename), path))
        return uploads


def _copy(upload: UploadFile, path: Path) -> None:
    upload.file.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)


_DISTURBING = re.compile(f"[{UNSAFE}\ud800-\udfff]")
"""What could change how the text around a name is shown, or is no character."""


def clean(name: str | None) -> str:
    """A name fit for messages: no folders, no control characters, none that change the direction of text, not too long.

    Spaces of all kinds stay, and so do the joiners that scripts and emoji need: names of files have them.

    >>> clean("calls/monday" + chr(10) + ".wav"), clean(None)
    ('monday?.wav', 'upload')
    """
    last = PureWindowsPath(PurePosixPath(name or "").name).name
    return _DISTURBING.sub("?", last[:LONGEST_NAME]) or "upload"
