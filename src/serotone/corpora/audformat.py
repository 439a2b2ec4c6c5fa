"""Any database in audformat, the interchange format of the field, through the library of that name.

https://audeering.github.io/audformat; the extra ``audformat`` brings the library. The root is the folder with
``db.yaml``, the tables (``db.<table>.csv`` or ``.parquet``) and the media, such as ``audb.load_to`` makes.

What is read are the schemes ``emotion``, ``speaker``, ``gender`` (also as a property of the speakers), ``sentence`` or
``transcription``, ``session``, ``style`` and ``intensity``, whatever tables they stand in. Emotions may be any word of
:data:`serotone.corpora.labels.SYNONYMS`.

A database is data: its tables as pickle files (``.pkl``) are never read, and a header that asks for Python objects is
refused, since the library would make them.
"""

import re
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serotone.corpora.base import Corpus, Utterance, entries, listed, locate, warn
from serotone.corpora.labels import SYNONYMS, normal
from serotone.corpora.manifest import Row, from_rows
from serotone.errors import CorpusError, MissingExtraError

_HEADER = "db.yaml"
_TAGS = re.compile("!!|!<|%TAG")
_TABLES = (".csv", ".parquet")
_SCHEMES = ("speaker", "gender", "transcription", "sentence", "session", "style", "intensity")


def read(root: Path) -> list[Utterance]:
    """The utterances of the database under ``root``, sorted by id.

    The id is the file's stem where all stems differ, else its path in the database, followed by ``@start`` where one
    file is cut into segments; ``sentence`` is the transcription where there is no scheme ``sentence``. Segments without
    an emotion, or with one that is none of the vocabulary (``no_agreement``), are left out with a SerotoneWarning.
    Raises CorpusError where no database is found, it cannot be loaded, or it has no emotion known here;
    MissingExtraError where audformat is not installed.
    """
    folder = locate("audformat", root, _finds, "a database of audformat with its header, db.yaml")
    header = folder / _HEADER
    rows = list(_rows(folder))
    if not rows:
        raise CorpusError(
            f"{header}: no table has a scheme or a column called emotion; write a manifest (CSV) that has one"
        )
    known = [(place, row) for place, row in rows if normal(row["emotion"]) in SYNONYMS]
    others = Counter(row["emotion"] or "none" for _, row in rows if normal(row["emotion"]) not in SYNONYMS)
    if not known:
        raise CorpusError(
            f"{header}: serotone knows none of its emotions, {listed(sorted(others), 'word')}; "
            f"use some of: {', '.join(sorted(SYNONYMS))}"
        )
    if others:
        said = ", ".join(f"{count} {emotion}" for emotion, count in others.most_common(5))
        warn(
            f"audformat: left out {others.total()} of {len(rows)} segments, whose emotion serotone does not know:"
            f" {said}"
        )
    return from_rows(known, source=header, corpus="audformat")


def _rows(folder: Path) -> Iterator[Row]:
    """Rows with the columns of a manifest."""
    for number, entry in enumerate(_frame(folder), start=1):
        end = _seconds(entry["end"])
        start = _seconds(entry["start"])
        words = {name: _text(entry[name]) for name in ("emotion", *_SCHEMES)}
        yield (
            f"segment {number}",
            {
                **words,
                "path": str(entry["file"]),
                "gender": words["gender"].lower() if words["gender"].lower() in ("female", "male") else "",
                "sentence": words["sentence"] or words["transcription"],
                "start": "" if end == "" and start == "0" else start,
                "end": end,
            },
        )


def _frame(folder: Path) -> list[dict[str, Any]]:
    """File, start, end, emotion and the other schemes of every segment in a table with emotions."""
    try:
        import audformat
    except ImportError as error:
        raise MissingExtraError(f"{folder}: a database in audformat", "audformat") from error
    header = folder / _HEADER
    if _TAGS.search(header.read_text(encoding="utf-8", errors="replace")):
        raise CorpusError(
            f"{header}: has YAML tags (!!, !< or %TAG), which can run code; audformat needs none, so remove them"
        )
    with tempfile.TemporaryDirectory() as copy, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the library with a newer pandas
        warnings.simplefilter("ignore", FutureWarning)
        for path in entries(folder):  # all but the pickle files
            if path == header or (path.name.startswith("db.") and path.suffix in _TABLES):
                shutil.copyfile(path, Path(copy) / path.name)
        try:
            database = audformat.Database.load(copy)
            frame = database.get("emotion", list(_SCHEMES))
        except Exception as error:  # whatever the library and its own libraries raise on a file that is not theirs
            raise CorpusError(
                f"{header}: audformat {audformat.__version__} cannot load it: {error}; repair it, or write a manifest"
                " (CSV)"
            ) from error
        frame = audformat.utils.to_segmented_index(frame).reset_index()
    return frame.to_dict("records")  # type: ignore[no-any-return]


def _seconds(time: Any) -> str:
    """A time of pandas in seconds, nothing for NaT."""
    return "" if time != time else f"{time.total_seconds():.6f}".rstrip("0").rstrip(".")


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()


def _finds(folder: Path) -> Path | None:
    return folder if (folder / _HEADER).is_file() else None


CORPUS = Corpus(
    name="audformat",
    read=read,
    official=None,
    licence="that of the database, see its db.yaml",
    description="a database in audformat: db.yaml, tables and media",
)
