"""Any corpus described by a table: a CSV or TSV manifest, one utterance a row.

The root is the file. Columns ``path``, ``emotion`` and ``speaker`` are required; ``gender``, ``sentence``,
``session``, ``style``, ``intensity``, ``start``, ``end`` (seconds into the file) and ``id`` are optional; others are
passed over. Relative paths start at the manifest's folder. Emotions may be any word of
:data:`serotone.corpora.labels.SYNONYMS`.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from serotone.corpora.base import Corpus, Utterance, describe, entries, listed, warn
from serotone.corpora.labels import canonical
from serotone.errors import CorpusError

_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
_REQUIRED = ("path", "emotion", "speaker")
_GENDERS = {"": None, "f": "female", "female": "female", "m": "male", "male": "male"}
_DELIMITERS = "\t;,"


def read(root: Path) -> list[Utterance]:
    """The utterances that the manifest ``root`` lists, sorted by id.

    The id is the column ``id``, else the file's stem where all stems differ, else the path without its suffix,
    followed by ``@start`` where one file is cut into stretches. Rows whose file is missing are left out with a
    SerotoneWarning. Raises CorpusError, naming the line, for a missing column or value, an emotion or gender
    unknown here, a stretch that ends before it starts, an id that is there twice, and where no listed file exists.
    """
    if not root.is_file():
        tables = [p.name for p in entries(root) if p.suffix.lower() in _SUFFIXES] if root.is_dir() else []
        guess = f" Did you mean {root / tables[0]}?" if tables else " Give the file, not its folder."
        raise CorpusError(f"{root}: looked for a CSV or TSV manifest; {describe(root)}.{guess}")
    rows = _rows(root)
    if not rows:
        raise CorpusError(f"{root}: a first line with column names and no row below it")
    ids = _ids(rows)
    lines: dict[str, int] = {}
    for (line, _), name in zip(rows, ids):
        if lines.setdefault(name, line) != line:
            raise CorpusError(f"{root}, line {line}: {name} is on line {lines[name]}, too; ids must differ")
    utterances = [_utterance(root, line, row, name) for (line, row), name in zip(rows, ids)]
    present = [u for u in utterances if u.path.is_file()]
    missing = [str(u.path) for u in utterances if not u.path.is_file()]
    if not present:
        raise CorpusError(
            f"{root}: none of its {len(rows)} files exists, such as {missing[0]}; "
            "relative paths start at the manifest's folder"
        )
    if missing:
        warn(f"{root}: left out {listed(missing, 'row', shown=2)} whose file does not exist")
    return sorted(present, key=lambda u: u.id)


def _rows(root: Path) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and rows; column names in lower case, values stripped."""
    try:
        with root.open(encoding="utf-8-sig", newline="") as lines:
            header = lines.readline()
            delimiter = max(_DELIMITERS, key=header.count)
            lines.seek(0)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            columns = [name.strip().lower() for name in next(reader, [])]
            absent = [name for name in _REQUIRED if name not in columns]
            if absent:
                raise CorpusError(
                    f"{root}: no column {', '.join(absent)}; the first line must name path, emotion and speaker, "
                    f"got: {', '.join(columns) or 'nothing'}"
                )
            return [
                (reader.line_num, {name: value.strip() for name, value in zip(columns, values)})
                for values in reader
                if any(value.strip() for value in values)
            ]
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(f"{root}: not a CSV or TSV file in UTF-8: {error}") from error


def _ids(rows: Iterable[tuple[int, dict[str, str]]]) -> list[str]:
    rows = list(rows)
    paths = [Path(row["path"]) for _, row in rows]
    stems_differ = len({p.stem for p in paths}) == len(paths)
    names = [p.stem if stems_differ else p.with_suffix("").as_posix() if p.name else "" for p in paths]
    times = Counter(names)
    return [
        row.get("id") or (f"{name}@{row.get('start') or '0'}" if times[name] > 1 else name)
        for (_, row), name in zip(rows, names)
    ]


def _utterance(root: Path, line: int, row: dict[str, str], name: str) -> Utterance:
    where = f"{root}, line {line}"
    for column in _REQUIRED:
        if not row.get(column):
            raise CorpusError(f"{where}: no {column}; every row needs path, emotion and speaker")
    gender = row.get("gender", "").lower()
    if gender not in _GENDERS:
        raise CorpusError(f"{where}: gender {row['gender']!r}; use female, male or nothing")
    start, end = _seconds(where, row, "start"), _seconds(where, row, "end")
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"{where}: ends at {end} s, which is not after its start at {start or 0.0} s")
    return Utterance(
        id=name,
        path=root.parent / Path(row["path"]).expanduser(),
        emotion=canonical(row["emotion"], where=where),
        speaker=row["speaker"],
        corpus="manifest",
        gender=_GENDERS[gender],
        sentence=row.get("sentence") or None,
        session=row.get("session") or None,
        style=row.get("style") or None,
        intensity=row.get("intensity") or None,
        start=start,
        end=end,
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
        raise CorpusError(f"{where}: {column} {value!r}; expected seconds into the file, such as 2.5")
    return seconds


CORPUS = Corpus(
    name="manifest",
    read=read,
    official=None,
    licence="that of your recordings",
    description="a CSV or TSV file with the columns path, emotion, speaker and optional others",
)
