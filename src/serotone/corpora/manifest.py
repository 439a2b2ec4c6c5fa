"""Any corpus described by a table: a CSV, TSV or Parquet manifest, one utterance a row.

The root is the file. Columns ``path`` and ``emotion`` are required; ``speaker``, ``gender``, ``sentence``, ``session``,
``style``, ``intensity``, ``language``, ``start``, ``end`` (seconds into the file) and ``id`` are optional; others are
passed over. Where no speaker is named, nothing can be said about how well a recogniser does on people it has not heard.
Relative paths start at the manifest's folder. Emotions may be any word of :data:`serotone.corpora.labels.SYNONYMS`.
Parquet (``.parquet``, ``.pq``) needs the extra ``parquet``.
"""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path

from serotone.corpora.base import (
    UNKNOWN_SPEAKER,
    Corpus,
    Utterance,
    describe,
    entries,
    listed,
    neighbours,
    warn,
    warn_of_unknown_speakers,
)
from serotone.corpora.labels import canonical
from serotone.errors import CorpusError, MissingExtraError
from serotone.files import expanded
from serotone.names import first_few

Row = tuple[str, dict[str, str]]
"""Where a row stands (``line 3``), and its values by column name in lower case; an empty value is ``""``."""

_PARQUET = (".parquet", ".pq")
SUFFIXES = (".csv", ".tsv", ".tab", ".txt", *_PARQUET)
_REQUIRED = ("path", "emotion")
_OPTIONAL = ("speaker", "gender", "sentence", "session", "style", "intensity", "language", "start", "end", "id")
_COLUMNS = (*_REQUIRED, *_OPTIONAL)
_GENDERS = {"": None, "f": "female", "female": "female", "m": "male", "male": "male"}
_DELIMITERS = {"\t": "a tab", ";": "a semicolon", ",": "a comma"}


def read(root: Path) -> list[Utterance]:
    """The utterances that the manifest ``root`` lists, sorted by id.

    The id is the column ``id``, else the file's stem where all stems differ, else the path without its suffix,
    followed by ``@start`` where one file is cut into stretches. A SerotoneWarning counts the utterances whose speaker
    is not named. Raises CorpusError, naming the line, for a missing column or value, a value too many, an emotion or
    gender unknown here, a stretch that ends before it starts, an id that is there twice, and where no listed file
    exists; MissingExtraError for Parquet where its extra is not installed.
    """
    if not root.is_file():
        tables = [str(t) for f in (root, *neighbours(root)) for t in _tables(f)]
        near = get_close_matches(str(root), tables, n=1, cutoff=0) if tables else []
        guess = f" Did you mean {near[0]}?" if near else ""
        raise CorpusError(
            f"manifest at {root}: looked for a CSV, TSV or Parquet file; {describe(root)}. Give the path of the"
            f" table.{guess}"
        )
    return from_rows(read_table(root), source=root, corpus="manifest")


def read_table(root: Path, required: Sequence[str] = _REQUIRED) -> list[Row]:
    """The rows of a CSV, TSV or Parquet file, as they are.

    Raises CorpusError: it is not such a file, has no rows or not every required column, has a column of a manifest
    twice, or more values in a line than columns; MissingExtraError for Parquet where its extra is not installed.
    """
    reader = _parquet_rows if root.suffix.lower() in _PARQUET else _text_rows
    rows = reader(root, required)
    if not rows:
        raise CorpusError(f"{root}: has column names and no rows; add a row for each clip")
    return rows


def stretch_of(where: str, row: dict[str, str]) -> tuple[float | None, float | None]:
    """The columns ``start`` and ``end`` of a row, in seconds, None where they are empty; ``where`` is for messages.

    Raises CorpusError: they are no seconds, or it ends before it starts.
    """
    start, end = _seconds(where, row, "start"), _seconds(where, row, "end")
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"{where}: ends at {end} s, which is not after its start at {start or 0.0} s")
    return start, end


def from_rows(rows: Sequence[Row], *, source: Path, corpus: str) -> list[Utterance]:
    """The utterances of rows with the columns of a manifest, sorted by id; relative paths start beside ``source``.

    A row whose file does not exist is kept: whoever reads the file says so, as of one that is damaged. One whose path
    is a folder, a pipe or a device is left out, with a warning.

    Warns and raises as :func:`read` does, naming the source.
    """
    ids = _ids([row for _, row in rows])
    places: dict[str, str] = {}
    for (place, _), name in zip(rows, ids):
        if places.setdefault(name, place) != place:
            raise CorpusError(
                f"{source}, {place}: it has the same id as {places[name]} ({name}); list each clip once, or give both"
                " an id of their own in the column id"
            )
    utterances = [_utterance(source, place, row, name, corpus) for (place, row), name in zip(rows, ids)]
    no_files = [u for u in utterances if not u.path.is_file()]
    if len(no_files) == len(utterances):
        raise CorpusError(
            f"{source}: none of its {len(rows)} files exists, such as {utterances[0].path}; correct the paths: relative"
            f" ones start at the folder of the {corpus}"
        )
    others = [u for u in no_files if u.path.exists()]
    if others:  # reading a pipe may never end
        names = [str(u.path) for u in others]
        warn(f"{source}: left out {listed(names, 'row', shown=2)} whose path is a folder, a pipe or a device")
        left_out = {u.id for u in others}
        utterances = [u for u in utterances if u.id not in left_out]
    warn_of_unknown_speakers(str(source), utterances, "give them a speaker each")
    return sorted(utterances, key=lambda u: u.id)


def _tables(folder: Path) -> list[Path]:
    """Files that may be manifests."""
    return [p for p in entries(folder) if p.suffix.lower() in SUFFIXES and p.is_file()]


def _text_rows(root: Path, required: Sequence[str]) -> list[Row]:
    try:
        with root.open(encoding="utf-8-sig", newline="") as lines:
            header = lines.readline()
            delimiter = max(_DELIMITERS, key=header.count)
            lines.seek(0)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            columns = [name.strip().lower() for name in next(reader, [])]
            _demand_columns(root, columns, required)
            rows = []
            for line in reader:
                values = [value.strip() for value in line]
                if any(values[len(columns) :]):
                    raise CorpusError(
                        f"{root}: line {reader.line_num} has {len(values)} values, and the first line names"
                        f" {len(columns)} columns; quote values that hold {_DELIMITERS[delimiter]}"
                    )
                if any(values):
                    row = dict(zip_longest(columns, values[: len(columns)], fillvalue=""))
                    rows.append((f"line {reader.line_num}", row))
            return rows
    except UnicodeDecodeError as error:
        raise CorpusError(f"{root}: not a CSV or TSV file in UTF-8: {error}; save it as UTF-8") from error
    except csv.Error as error:
        raise CorpusError(f"{root}: not a CSV or TSV file: {error}; correct it") from error


def _parquet_rows(root: Path, required: Sequence[str]) -> list[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtraError(f"{root}: a manifest in Parquet", "parquet") from error
    try:
        table = parquet.read_table(root)
    except (ArrowException, OSError) as error:
        raise CorpusError(f"{root}: not a Parquet file: {error}") from error
    columns = [name.strip().lower() for name in table.column_names]
    _demand_columns(root, columns, required)
    wanted = [(column, name) for column, name in zip(columns, table.column_names) if column in _COLUMNS]
    values = [(column, table.column(name).to_pylist()) for column, name in wanted]
    return [
        (f"row {number + 1}", {column: _text(cells[number]) for column, cells in values})
        for number in range(table.num_rows)
    ]


def _text(value: object) -> str:
    """A cell as a CSV file would have it; times in seconds, nothing for what is missing."""
    if value is None or value != value:  # not a number, not a time
        return ""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _demand_columns(root: Path, columns: Sequence[str], required: Sequence[str]) -> None:
    absent = [name for name in required if name not in columns]
    if absent:
        raise CorpusError(
            f"{root}: no column {', '.join(absent)}; the first line must name the columns {' and '.join(required)},"
            f" and it names {first_few([name[:40] for name in columns if name], 12) if any(columns) else 'nothing'}"
        )
    if twice := [name for name in _COLUMNS if columns.count(name) > 1]:
        raise CorpusError(
            f"{root}: the first line names {' and '.join(twice)} more than once; remove or rename all but one"
        )


def _ids(rows: Sequence[dict[str, str]]) -> list[str]:
    paths = [Path(row["path"]) for row in rows]
    stems_differ = len({p.stem for p in paths}) == len(paths)
    names = [p.stem if stems_differ else p.with_suffix("").as_posix() if p.name else "" for p in paths]
    times = Counter(names)
    return [
        row.get("id") or (f"{name}@{row.get('start') or '0'}" if times[name] > 1 else name)
        for row, name in zip(rows, names)
    ]


def _utterance(source: Path, place: str, row: dict[str, str], name: str, corpus: str) -> Utterance:
    where = f"{source}, {place}"
    for column in _REQUIRED:
        if not row.get(column):
            raise CorpusError(f"{where}: {column} is empty; every row needs path and emotion")
    gender = row.get("gender", "").lower()
    if gender not in _GENDERS:
        raise CorpusError(f"{where}: gender is {row['gender']!r}; use female, male or nothing")
    start, end = stretch_of(where, row)
    return Utterance(
        id=name,
        path=source.parent / expanded(row["path"]),
        emotion=canonical(row["emotion"], where=where),
        speaker=row.get("speaker") or UNKNOWN_SPEAKER,
        corpus=corpus,
        gender=_GENDERS[gender],
        sentence=row.get("sentence") or None,
        session=row.get("session") or None,
        style=row.get("style") or None,
        intensity=row.get("intensity") or None,
        start=start,
        end=end,
        language=row.get("language") or None,
    )


def _seconds(where: str, row: dict[str, str], column: str) -> float | None:
    value = row.get(column)
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise CorpusError(
            f"{where}: {column} is {value!r}; expected seconds from the beginning of the file, such as 2.5"
        )
    return seconds


CORPUS = Corpus(
    name="manifest",
    read=read,
    official=None,
    licence="that of your recordings",
    description="a CSV, TSV or Parquet file with the columns path, emotion and optional others",
)
