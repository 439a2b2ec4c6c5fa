"""Which recordings the inputs of ``serotone score`` mean: files, folders, manifests, lists and URLs."""

import codecs
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from serotone.audio import audio_in
from serotone.corpora.manifest import SUFFIXES as MANIFESTS
from serotone.corpora.manifest import read_table, stretch_of
from serotone.errors import AudioError, AudioMissingError, CorpusError, SerotoneError
from serotone.files import expanded
from serotone.scoring.remote import check_stores, is_url, list_remote
from serotone.scoring.terms import Recording

STDIN = "-"


def find(inputs: Iterable[str], listing: bytes = b"") -> list[Recording]:
    """The recordings, in order, each once; ``listing`` is what standard input holds, for the input ``-``.

    A listing has a path or URL a line, or, where it holds zero bytes (``find -print0``), between those. Paths become
    absolute, so that a name means one file wherever the command is given.

    Raises CorpusError: a manifest cannot be read, or the listing is empty. Raises MissingExtraError: what reads from
    the store of a URL is not installed.
    """
    found: dict[str, Recording] = {}
    for given in inputs:
        for recording in _listed(listing) if given == STDIN else _meant(given):
            found.setdefault(recording.name, recording)
    check_stores(recording.source for recording in found.values() if is_url(recording.source))
    return list(found.values())


def _meant(given: str) -> Iterator[Recording]:
    path = Path(given)
    if not given:
        yield _refused(given, AudioMissingError("an INPUT is empty; give a file, a folder, a manifest or a URL"))
    elif is_url(given):
        try:
            yield from map(Recording, list_remote(given))
        except AudioError as error:
            yield _refused(given, error)
    elif os.path.isdir(given):  # noqa: PTH112 - Path.is_dir raises where nobody may look
        folder = os.path.abspath(given)  # noqa: PTH100 - links in the user's words stay
        for name, problem in audio_in(folder):
            yield Recording(name, place=folder) if problem is None else _refused(name, problem)
    elif path.suffix.lower() in MANIFESTS:
        yield from _in_manifest(path)
    else:
        yield _absolute(given)


def _listed(listing: bytes) -> Iterator[Recording]:
    listing = listing.removeprefix(codecs.BOM_UTF8)
    if not listing.strip(b"\0\r\n\t "):
        raise CorpusError("-: the list on standard input is empty; pipe paths or URLs into it, one on each line")
    for line in listing.split(b"\0") if b"\0" in listing else listing.splitlines():
        if line.strip():
            yield _absolute(os.fsdecode(line))


def _in_manifest(manifest: Path) -> Iterator[Recording]:
    if not manifest.exists():
        raise CorpusError(f"{manifest}: no such manifest; give the path of a table, audio files or a folder")
    try:
        rows = read_table(manifest, required=("path",))
    except CorpusError as error:
        if manifest.suffix.lower() != ".txt":
            raise
        raise CorpusError(f"{error}. If it is a list of paths, give it as: serotone score - < {manifest}") from error
    for place, row in rows:
        where = f"{manifest}, {place}"
        if not row.get("path"):
            yield _refused(where, AudioMissingError(f"{where}: no path"))
            continue
        try:
            start, end = stretch_of(where, row)
        except CorpusError as error:
            yield _refused(where, error)
            continue
        name = row["path"] if is_url(row["path"]) else str(manifest.parent / expanded(row["path"]))
        yield replace(_absolute(name), start=start, end=end, place=where)


def _absolute(name: str) -> Recording:
    return Recording(name if is_url(name) else os.path.abspath(name))  # noqa: PTH100


def _refused(name: str, error: SerotoneError) -> Recording:
    return Recording(name, problem=(type(error).__name__, str(error)))
