"""Corpora: a folder on disk becomes a list of utterances, whatever the corpus calls things.

>>> print(*CORPORA)  # doctest: +NORMALIZE_WHITESPACE
emodb ravdess nemo iemocap casia crema-d savee tess emovo esd meld urdu shemo subesco cafe
audformat manifest folders synthetic
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from os.path import realpath
from pathlib import Path

from serotone.corpora import (
    audformat,
    cafe,
    casia,
    crema_d,
    emodb,
    emovo,
    esd,
    folders,
    iemocap,
    manifest,
    meld,
    nemo,
    ravdess,
    savee,
    shemo,
    subesco,
    synthetic,
    tess,
    urdu,
)
from serotone.corpora.base import (
    UNKNOWN_SPEAKER,
    Corpus,
    Count,
    Official,
    Utterance,
    deviations,
    entries,
    listed,
    non_commercial,
    warn,
)
from serotone.corpora.check import CorpusReport, examine
from serotone.errors import CorpusError
from serotone.files import expanded
from serotone.names import first_few, guess, utf8

CORPORA: Mapping[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        emodb.CORPUS,
        ravdess.CORPUS,
        nemo.CORPUS,
        iemocap.CORPUS,
        casia.CORPUS,
        crema_d.CORPUS,
        savee.CORPUS,
        tess.CORPUS,
        emovo.CORPUS,
        esd.CORPUS,
        meld.CORPUS,
        urdu.CORPUS,
        shemo.CORPUS,
        subesco.CORPUS,
        cafe.CORPUS,
        audformat.CORPUS,
        manifest.CORPUS,
        folders.CORPUS,
        synthetic.CORPUS,
    )
}
"""Every corpus that can be read, by name."""


_OWN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def find_corpus(name: str, root: str | Path | None = None) -> Corpus:
    """The corpus of that name. A name that is no reader's, with a table as its root, is a manifest of that name.

    Raises CorpusError, with a guess and all names, where it is neither.
    """
    if name in CORPORA:
        return CORPORA[name]
    if root is not None and Path(root).suffix.lower() in manifest.SUFFIXES and _OWN_NAME.fullmatch(name):
        return replace(manifest.CORPUS, name=name)
    raise CorpusError(
        f"{name!r} is not a known corpus{guess(name, CORPORA)}; choose one of: "
        f"{', '.join(CORPORA)}; or give a table of your own under any name of letters, digits, ., - and _: "
        f"mine=clips.csv{_meant(name, root)}"
    )


def _meant(name: str, root: str | Path | None) -> str:
    """What else to say of a folder that was given under a name of one's own: the table in it, or how folders are given.

    A name may stand for a table only.
    """
    if root is None or not Path(root).is_dir():
        return ""
    tables = sorted(path for path in entries(Path(root)) if path.suffix.lower() in manifest.SUFFIXES)
    if tables:
        return f". {root} is a folder; did you mean {name}={tables[0]}?"
    return f". {root} is a folder; where it has a folder for each emotion, give folders={root}"


def read_corpus(name: str, root: str | Path) -> list[Utterance]:
    """The utterances of a corpus, sorted by id; a table may be read under any name (``read_corpus("mine", "m.csv")``).

    Where a corpus is spoken in one language, each utterance says it. Warns with SerotoneWarning where the copy differs
    from the official counts, naming the gap. Raises CorpusError for an unknown name, or a root that does not hold that
    corpus.
    """
    corpus = find_corpus(name, root)
    utterances = corpus.read(expanded(root))
    if corpus.official is not None:
        gaps = deviations(utterances, corpus.official)
        if gaps:
            more = f", see: serotone corpus check {name} {root}" if len(gaps) > 4 else ""
            warn(f"{name} at {root} is not complete or not the official copy: {first_few(gaps, 4, apart='; ')}{more}")
    language = corpus.languages[0] if len(corpus.languages) == 1 else None
    return [replace(u, corpus=name, language=u.language or language) for u in utterances]


def check_corpus(name: str, root: str | Path, *, on_file: Callable[[int, int], object] | None = None) -> CorpusReport:
    """What lies at a root beside what the corpus should hold; every file is decoded.

    ``on_file(done, total)`` is called after each file.

    Raises CorpusError for an unknown name, or a root that does not hold that corpus.
    """
    return examine(find_corpus(name, root), expanded(root), on_file=on_file)


def parse_corpora(options: Sequence[str], *, keep_missing: bool = False) -> list[Utterance]:
    """The utterances of several corpora, given as on the command line: ``["emodb=/data/emodb", ...]``.

    Ids and speakers are prefixed by their corpus (``emodb/03a01Fa``, ``emodb/03``), so that they stay unique; a speaker
    that nobody knows stays so. Any number of manifests may be given, each under a name of its own (``mine=clips.csv``).
    Rows of theirs whose file does not exist are left out with a SerotoneWarning, or kept, for a score in which they
    count as wrong. Raises CorpusError as `roots_of` does, for an unknown name, where a corpus cannot be read, and where
    two of them hold the same recording, which could then train and test.
    """
    utterances = [_prefixed(u, name) for name, root in roots_of(options).items() for u in read_corpus(name, root)]
    if not utterances:
        raise CorpusError("no utterances: give at least one --corpus NAME=ROOT that holds some")
    _refuse_copies(utterances)
    missing = {} if keep_missing else {u.id: str(u.path) for u in utterances if not u.path.is_file()}
    if missing:
        warn(f"left out {listed([*missing.values()], 'clip', shown=2)} whose file does not exist")
        utterances = [u for u in utterances if u.id not in missing]
    return sorted(utterances, key=lambda u: u.id)


def _refuse_copies(utterances: Sequence[Utterance]) -> None:
    """Make sure that of several corpora no two hold the same stretch of the same file; within one, its reader does."""
    if len({u.corpus for u in utterances}) < 2:
        return
    first: dict[object, str] = {}
    stretches = [(u.id, (realpath(u.path), u.start, u.end)) for u in utterances]
    twice = [f"{first[at]} = {name}" for name, at in stretches if first.setdefault(at, name) != name]
    if twice:
        raise CorpusError(
            f"the corpora have {listed(twice, 'recording', shown=2)} in common; give each of them once: its copies"
            " could stand in training and test"
        )


def roots_of(options: Sequence[str]) -> dict[str, str]:
    """The root of each corpus that is given as on the command line; nothing is read.

    Raises CorpusError for an option that is not NAME=ROOT, and for a name given twice.
    """
    roots: dict[str, str] = {}
    for option in options:
        name, separator, root = option.partition("=")
        if not separator or not root:
            raise CorpusError(f"--corpus {option}: expected NAME=ROOT, such as emodb=/data/emodb")
        if name in roots:
            raise CorpusError(
                f"--corpus {option}: {name} is given twice; list both in one manifest, or give "
                "manifests names of their own, such as mine=clips.csv"
            )
        roots[name] = root
    return roots


def _prefixed(utterance: Utterance, name: str) -> Utterance:
    speaker = utterance.speaker
    named = speaker if speaker == UNKNOWN_SPEAKER else utf8(f"{name}/{speaker}")
    return replace(utterance, id=utf8(f"{name}/{utterance.id}"), speaker=named)


def fingerprint(utterances: Iterable[Utterance]) -> str:
    """What data this is: SHA-256, in hex, over the sorted ids, emotions, speakers, stretches and file sizes.

    It is the same wherever the corpus lies, and changes with a label, a missing utterance or another encoding.
    """
    digest = hashlib.sha256()
    for u in sorted(utterances, key=lambda u: u.id):
        stretch = "" if u.start is None and u.end is None else f"{u.start}-{u.end}"
        try:
            size = u.path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):  # kept for a score
            size = -1
        digest.update("\t".join((u.id, u.emotion, u.speaker, str(size), stretch, "\n")).encode())
    return digest.hexdigest()


__all__ = [
    "CORPORA",
    "Corpus",
    "CorpusReport",
    "Count",
    "Official",
    "Utterance",
    "check_corpus",
    "find_corpus",
    "fingerprint",
    "non_commercial",
    "parse_corpora",
    "read_corpus",
    "roots_of",
]
