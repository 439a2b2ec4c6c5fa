"""Answers that survive an interruption: written line by line to ``OUT.partial``, renamed to ``OUT`` at the end.

``OUT.partial`` holds what ``OUT`` will hold. ``OUT.partial.index`` says what is in it: on its first line what answered
(the bundle's digest and the options), then a line for each recording, with its name and where in ``OUT.partial`` its
answer ends. An answer is written and flushed before its line in the index, so whatever was cut off in the middle lies
behind the last place that the index knows, and is cut away when the same command goes on.
"""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from serotone.cli.output import as_text, refused
from serotone.differences import difference
from serotone.locks import lock

COLUMNS = "columns"
"""The key of the terms that has the columns of a table."""

_TITLES = "titles"
"""The key of the index's first line that has names, which no two commands must share."""


class Partial:
    """The file of answers that is not whole yet, used in a ``with`` statement.

    ``terms`` are what two commands must share for one to go on where the other stopped, ``names`` the recordings of
    this one, and ``speakers`` whose voice each is. ``titles`` has the names of what terms have only the digests of.
    ``stream`` takes the rows. Two processes cannot write the same file at once.

    Raises typer.BadParameter (exit status 2): the file holds answers by other terms, or of other recordings, or
    another process writes it. Raises OSError where it cannot be written.
    """

    stream: TextIO

    def __init__(
        self,
        out: Path,
        terms: Mapping[str, object],
        names: Sequence[str],
        speakers: Mapping[str, str | None] | None = None,
        titles: Mapping[str, str | None] | None = None,
    ) -> None:
        self.out = out
        self.path = out.with_name(f"{out.name}.partial")
        self._index_path = out.with_name(f"{out.name}.partial.index")
        self._terms, self._titles = dict(terms), dict(titles or {})
        self._names, self._speakers = names, speakers or {}
        self._done: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self._index_path.exists():
            raise self._refused(f"exists, and cannot be continued without {self._index_path.name}", again=False)
        self._index = self._index_path.open("a+b")
        try:
            self._lock()
            whole, end = self._read_index()
            self._index.truncate(whole)
            rows = self.path.open("r+b" if self.path.exists() else "w+b")
            rows.truncate(end)
            rows.seek(end)
            self.stream = as_text(rows)
            if not whole:
                self._note({**self._terms, _TITLES: self._titles})
        except BaseException:
            self._index.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files; what stands in them stays, unless it is no answer at all."""
        try:
            self.stream.close()
        except OSError:  # the disk is full, as ``error`` says: what could not be written stands behind the last answer
            if error is None:
                raise
        self._index.close()
        if not self.kept:
            self.path.unlink(missing_ok=True)
            self._index_path.unlink(missing_ok=True)

    @property
    def kept(self) -> int:
        """How many recordings are answered in the file.

        The index says it, for an interruption may come between its line and any count of ours.
        """
        if not self._index.closed:
            with contextlib.suppress(OSError):  # the disk is full: what is not there does not count
                self._index.flush()
        try:
            lines = self._index_path.read_bytes().count(b"\n")  # one is of the terms
        except FileNotFoundError:  # finished
            return 0
        return max(lines - 1, 0)

    @property
    def empty(self) -> bool:
        """Whether nothing has been written yet, not even a header."""
        return self.stream.buffer.tell() == 0

    def has(self, name: str) -> bool:
        """Whether a recording is answered already; asked once for each time that the command names it."""
        if not self._done[name]:
            return False
        self._done[name] -= 1
        return True

    def keep(self, name: str) -> None:
        """Make sure that what was written to ``stream`` stays: the whole answer to this recording."""
        self.stream.flush()
        self._note({"name": name, "end": self.stream.buffer.tell(), "speaker": self._speakers.get(name)})

    def finish(self) -> None:
        """Give the file its name."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        self.path.replace(self.out)
        self._index.close()  # on Windows, an open file cannot be removed
        self._index_path.unlink()

    def _note(self, entry: Mapping[str, object]) -> None:
        self._index.write(json.dumps(entry).encode() + b"\n")
        self._index.flush()

    def _read_index(self) -> tuple[int, int]:
        """How many bytes of the index, and of the answers, are whole and of this command; none of a fresh one."""
        self._index.seek(0)
        lines = [line for line in self._index if line.endswith(b"\n")]
        if not lines or not self.path.exists():
            return 0, 0
        size, whole, end = self.path.stat().st_size, len(lines[0]), 0
        try:
            self._compare(json.loads(lines[0]))
            for line in lines[1:]:
                entry = json.loads(line)
                if entry["end"] > size:  # the answer never reached the disk
                    break
                self._compare_speaker(entry["name"], entry.get("speaker"))
                self._done[entry["name"]] += 1
                whole, end = whole + len(line), entry["end"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._refused(f"cannot be continued: {self._index_path.name} is damaged", again=False) from None
        if strangers := self._done - Counter(self._names):
            raise self._refused(f"holds answers to recordings that are not among these, such as {min(strangers)}")
        return whole, end

    def _compare(self, terms: Mapping[str, Any]) -> None:
        former = {**terms}
        titles = former.pop(_TITLES, {})
        differs = difference(former, self._terms, titles, self._titles)
        if differs is None:
            return
        older = COLUMNS not in former and COLUMNS in self._terms and former.get("--format") == self._terms["--format"]
        if older or differs.term == COLUMNS:
            raise self._refused("has other columns than this version of serotone writes", again=False)
        raise self._refused(
            f"holds answers that an interrupted command wrote {differs.former}; this one has {differs.present}"
        )

    def _compare_speaker(self, name: str, speaker: str | None) -> None:
        if name in self._speakers and speaker != self._speakers[name]:
            now = self._speakers[name] or "nobody"
            raise self._refused(
                f"answers {name} as spoken by {speaker or 'nobody'}; this command's --speakers has {now}"
            )

    def _refused(self, problem: str, *, again: bool = True) -> Exception:
        """The error; ``again`` says that the interrupted command could still finish the file."""
        finish = "run the interrupted command again to finish it, " if again else ""
        return refused(
            f"{self.path} {problem}; {finish}choose another --out, or delete {self.path.name} to start again"
        )

    def _lock(self) -> None:
        try:
            lock(self._index.fileno())
        except BlockingIOError:
            raise refused(f"another process is writing {self.path}; wait for it, or choose another --out") from None
