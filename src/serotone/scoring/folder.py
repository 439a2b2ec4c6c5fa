"""The folder that answers go to: Parquet in parts, each whole or not there, and what it may be continued with.

    DIR/score.json                         what answered, and with which options; also in the metadata of every part
    DIR/clips/part-000000.parquet ...      a row a recording; in DIR/segments/ with a timeline, a row a segment
    DIR/errors/part-000000.parquet ...     a row for each recording that could not be heard

A recording is in one part of one of the two tables, or in none. So what is in the folder is done, and what was being
heard when a process was killed is heard again.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

from serotone.differences import Difference, difference
from serotone.errors import RunError
from serotone.files import write_json, write_whole
from serotone.recognition.rows import columns
from serotone.runs.writing import held, tidy
from serotone.scoring.terms import Outcome

ABOUT = "score.json"
KEY = b"serotone"
"""The key of the same in the metadata of a part."""

CLIPS, SEGMENTS, ERRORS = "clips", "segments", "errors"

EMBEDDING = "embedding"
"""A column whose numbers hardly repeat: a dictionary only adds to it, and byte by byte it is half as large."""

PART_ROWS, PART_SECONDS = 100_000, 60.0
"""A part is written when so many rows wait, or the oldest has waited so long: what a kill loses at most."""

_OPTIONS = {"apart": "--channels"}
"""Options whose names differ from the keys under which they are kept."""

TICK_SECONDS = 1.0
"""How often it is checked how long the oldest has waited."""


def schema(labels: Sequence[str], about: Mapping[str, object], *, timeline: bool, embeddings: bool) -> Any:
    """The columns of the answers: those of ``recognition.rows``, and ``embedding`` where it is asked for."""
    import pyarrow as pa

    kinds = {
        "confidence": pa.float32(),
        "uncertain": pa.bool_(),
        "windows": pa.int32(),
        "channel": pa.int32(),
        "warnings": pa.list_(pa.string()),
        "notes": pa.list_(pa.string()),
        **dict.fromkeys(("speech_seconds", "duration_seconds", "start", "end"), pa.float64()),
        **{f"p_{label}": pa.float32() for label in labels},
    }
    fields = [pa.field(name, kinds.get(name, pa.string())) for name in columns(labels, timeline=timeline)]
    if embeddings:
        fields.append(pa.field(EMBEDDING, pa.list_(pa.float32())))
    return pa.schema(fields, metadata={KEY: json.dumps(about)})


class Folder:
    """The folder, held by this process: see `opened`. ``answered`` and ``failed`` are the names that are in it."""

    def __init__(self, path: Path, answers: str, schema: Any) -> None:
        import pyarrow as pa

        self.path = path
        fields = [pa.field(name, pa.string()) for name in ("name", "error", "message")]
        self._tables = {
            answers: _Table(path / answers, schema),
            ERRORS: _Table(path / ERRORS, pa.schema(fields, metadata=schema.metadata)),
        }
        self._answers = self._tables[answers]
        self._errors = self._tables[ERRORS]
        self.answered = self._answers.names()
        self.failed = self._errors.names()
        self._since = time.monotonic()
        self._lock = threading.Lock()

    def forget_errors(self, names: Set[str]) -> None:
        """Take the errors of these recordings away: they count as not heard."""
        if self.failed & names:
            self._errors.remove(names)
            self.failed -= names

    def add(self, outcome: Outcome) -> None:
        """Take an outcome in; it is on disk after the next `flush`, which follows by itself."""
        with self._lock:
            if not self._waiting():
                self._since = time.monotonic()
            if outcome.error:
                self._errors.waiting.append({"name": outcome.name, "error": outcome.error, "message": outcome.message})
                self.failed.add(outcome.name)
            else:
                self._answers.waiting.extend(outcome.rows)
                self.answered.add(outcome.name)
            full = self._waiting() >= PART_ROWS
        if full or self._overdue():
            self.flush()

    def flush(self) -> None:
        """Write what waits.

        Raises OSError: it cannot be written, on a full disk for example; nothing of it is then there.
        """
        with self._lock:
            for table in self._tables.values():
                table.flush()

    @contextlib.contextmanager
    def flushed_in_time(self) -> Iterator[None]:
        """Inside, what has waited too long is written by a thread: a slow recording may hold the next outcome back."""
        left = threading.Event()

        def look() -> None:
            while not left.wait(TICK_SECONDS):
                if self._waiting() and self._overdue():
                    with contextlib.suppress(Exception):  # the next outcome meets it again, and raises it
                        self.flush()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            left.set()
            thread.join()

    def _waiting(self) -> int:
        return len(self._answers.waiting) + len(self._errors.waiting)

    def _overdue(self) -> bool:
        return time.monotonic() - self._since >= PART_SECONDS


class _Table:
    """One of the two tables; ``waiting`` has rows that are on no disk yet."""

    def __init__(self, folder: Path, schema: Any) -> None:
        self.waiting: list[Mapping[str, object]] = []
        self._folder = folder
        self._schema = schema
        self._next = 1 + max((int(path.stem.removeprefix("part-")) for path in self._parts()), default=-1)

    def _parts(self) -> list[Path]:
        parts = sorted(self._folder.glob("part-*.parquet"))
        for path in parts:
            if not path.stem.removeprefix("part-").isdecimal():
                raise RunError(f"{path}: serotone score did not write this file; move it to another folder")
        return parts

    def names(self) -> set[str]:
        """The names in it.

        Raises RunError: a part is damaged, or of something else.
        """
        import pyarrow as pa
        from pyarrow import parquet

        found: set[str] = set()
        for path in self._parts():
            try:
                with parquet.ParquetFile(path) as part:
                    kept = part.schema_arrow
                    same = _is_same((kept.metadata or {}).get(KEY), self._schema.metadata[KEY])
                    if same and kept.names != self._schema.names:
                        raise RunError(f"{path}: another version of serotone wrote other columns; use another --out")
                    found.update(part.read(columns=["name"]).column("name").unique().to_pylist() if same else ())
            except (pa.ArrowException, OSError) as error:
                raise RunError(
                    f"{path}: damaged: {error}; delete it, and run the same command again, which scores its recordings"
                ) from None
            if not same:
                raise RunError(f"{path}: was written with another bundle or other options; use another --out")
        return found

    def flush(self) -> None:
        """Write what waits as one more part."""
        if not self.waiting:
            return
        rows = sorted(self.waiting, key=lambda row: (row["name"], row.get("channel") or 0, row.get("start") or 0.0))
        self._folder.mkdir(exist_ok=True)
        self._write(self._folder / f"part-{self._next:06}.parquet", rows)
        self.waiting = []  # first: a signal in between must not let `opened` write the rows once more
        self._next += 1

    def remove(self, names: Set[str]) -> None:
        """Take the rows of these names away, part by part."""
        from pyarrow import parquet

        for path in self._parts():
            rows = parquet.read_table(path).to_pylist()
            kept = [row for row in rows if row["name"] not in names]
            if not kept:
                path.unlink()
            elif len(kept) < len(rows):
                self._write(path, kept)

    def _write(self, path: Path, rows: Sequence[Mapping[str, object]]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.Table.from_pylist(rows, schema=self._schema)
        encoding = {
            "use_dictionary": [name for name in table.column_names if name != EMBEDDING],
            "use_byte_stream_split": [f"{EMBEDDING}.list.element"] if EMBEDDING in table.column_names else False,
        }
        write_whole(path, partial(parquet.write_table, table, compression="zstd", **encoding))


@contextlib.contextmanager
def opened(
    out: Path, about: Mapping[str, Any], labels: Sequence[str], *, timeline: bool, embeddings: bool
) -> Iterator[Folder]:
    """Hold a folder for this process, a new one or one that a command with the same ``about`` made.

    What waits is written when it is left, by Ctrl-C, too.

    Raises RunError: another process holds it, or it holds something else. Raises OSError: it cannot be written.
    """
    with held(out):
        _same_or_new(out, about)
        answers = SEGMENTS if timeline else CLIPS
        for place in (out, out / answers, out / ERRORS):
            tidy(place)
        folder = Folder(out, answers, schema(labels, about, timeline=timeline, embeddings=embeddings))
        try:
            with folder.flushed_in_time():
                yield folder
        except OSError:  # of the disk: what waits cannot be written either
            raise
        except BaseException:
            folder.flush()
            raise
        folder.flush()


def _same_or_new(out: Path, about: Mapping[str, Any]) -> None:
    """Write ``score.json`` into an empty folder, or make sure that the one there says the same."""
    path = out / ABOUT
    if not path.is_file():
        strangers = sorted(entry.name for entry in out.iterdir() if not entry.name.startswith("."))
        if strangers:
            raise RunError(f"{out}: holds {strangers[0]} and no {ABOUT}; give a new or empty folder as --out")
        write_json(path, about)
        return
    try:
        differs = _difference(json.loads(path.read_text(encoding="utf-8")), about)
    except (ValueError, AttributeError, KeyError, TypeError):
        raise RunError(f"{path}: damaged; use another --out") from None
    if differs is not None:
        raise RunError(
            f"{out}: was made {differs.former}, but this command has {differs.present}; "
            "give the same bundle and options, or another --out"
        )


def _is_same(former: bytes | None, present: bytes) -> bool:
    """Whether a part has a description by which it may be continued."""
    try:
        return former is not None and _difference(json.loads(former), json.loads(present)) is None
    except (ValueError, AttributeError, KeyError, TypeError):
        return False


def _difference(former: Mapping[str, Any], present: Mapping[str, Any]) -> Difference | None:
    """How two descriptions differ, by the terms that both must share; None if the one may continue the other."""
    return difference(_terms(former), _terms(present), _names(former), _names(present))


def _terms(about: Mapping[str, Any]) -> dict[str, object]:
    """What must be the same, by the name that a message gives it."""
    return (
        {"bundle": about["bundle"].get("sha256")}
        | {_OPTIONS.get(name, f"--{name.replace('_', '-')}"): value for name, value in about["options"].items()}
        | {name: value for name, value in about.items() if name not in ("bundle", "options", "profile")}
    )


def _names(about: Mapping[str, Any]) -> dict[str, object]:
    """What bundle and profile are called, of which the terms have digests."""
    bundle = about["bundle"]
    return {"bundle": f"{bundle.get('name')} {bundle.get('version')}", "--profile": about.get("profile")}
