"""One process at a time: locks on files, on systems with and without fcntl."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from serotone.cli.partial import Partial
from serotone.locks import lock
from serotone.serving.uploads import Place


@pytest.fixture(params=["fcntl", "msvcrt"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This system, and one that has msvcrt alone, whose locks are put on one byte and end with the file."""
    flock = fcntl.flock

    def locking(file: int, mode: int, count: int) -> None:
        assert (os.lseek(file, 0, os.SEEK_CUR), mode, count) == (2**31 - 2, 2, 1)
        try:
            flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    if request.param == "msvcrt":
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setitem(sys.modules, "fcntl", None)
        monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))


@pytest.mark.usefixtures("system")
def test_a_file_is_held_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some rows")
    with path.open("r+b") as first, path.open("r+b") as second:
        first.seek(4)
        lock(first.fileno())
        assert first.read() == b" rows"
        with pytest.raises(BlockingIOError):
            lock(second.fileno())
        waiting = threading.Thread(target=lock, args=[second.fileno()], kwargs={"wait": True}, daemon=True)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        first.close()
        waiting.join(20)
        assert not waiting.is_alive()


def test_what_holds_a_folder_is_imported_without_fcntl() -> None:
    program = """if True:
        import asyncio, sys
        sys.modules["fcntl"] = None
        import serotone.cli.partial, serotone.runs.writing, serotone.serving.uploads, serotone.training.download
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_system_that_locks_no_folders_has_a_place_for_uploads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "serotone-serve-of-another").mkdir()
    monkeypatch.delattr(os, "getuid")
    monkeypatch.setattr(sys, "platform", "win32")
    place = Place()
    assert place.path.is_dir()
    place.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["serotone-serve-of-another"]


def test_an_index_is_closed_before_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink, open_files = Path.unlink, []

    def noted(path: Path, missing_ok: bool = False) -> None:
        open_files.append((path.name, partial._index.closed))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    with Partial(tmp_path / "answers.csv", {}, ["a"]) as partial:
        partial.stream.write("a\n")
        partial.keep("a")
        partial.finish()
    assert open_files[0] == ("answers.csv.partial.index", True)
    assert [path.name for path in tmp_path.iterdir()] == ["answers.csv"]
