"""The process that hears recordings: terms on its first line of input, then a recording a line; an outcome for each.

A file that crashes a decoder, or makes it ask for too much memory, ends this process and no other.
"""

import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from serotone import __version__
from serotone.errors import AudioFormatError, SerotoneError, reason
from serotone.names import utf8
from serotone.recognition.rows import rows
from serotone.scoring.remote import is_url, open_remote
from serotone.scoring.terms import Outcome, Recording, Terms

if TYPE_CHECKING:
    from serotone.recognition.hearing import Hearing
    from serotone.recognition.recognizer import Recognizer

EMBEDDING_BITS = 11
"""Significant bits of the numbers of an embedding: right to 0.05 %."""

READY, FATAL = "ready", "fatal"
"""Keys of the first line of output: the version of serotone here, or why no recording can be heard."""


def main() -> None:
    """Serve until input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    terms = Terms.from_json(sys.stdin.readline())
    try:
        recognizer = _recognizer(terms)
    except Exception as error:
        answers.write(json.dumps({FATAL: reason(error)}) + "\n")
        answers.flush()
        return
    answers.write(json.dumps({READY: __version__}) + "\n")
    answers.flush()
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        for line in sys.stdin:
            answers.write(answer(recognizer, Recording.from_json(line), terms).to_json() + "\n")
            answers.flush()


def _recognizer(terms: Terms) -> "Recognizer":
    from serotone.recognition.recognizer import Recognizer

    recognizer = Recognizer(terms.bundle, threads=1, sha256=terms.sha256)
    return recognizer if terms.profile is None else recognizer.with_profile(terms.profile)


def answer(recognizer: "Recognizer", recording: Recording, terms: Terms) -> Outcome:
    """What comes of one recording; an error of any kind is an outcome, too."""
    name = recording.name
    try:
        with _opened(recording.source) as source:
            found: list[dict[str, object]] = []
            part = terms.part_of(recording)
            if terms.embeddings:
                for hearing in part.each(source, recognizer.hear, timeline=False):
                    more = {"name": name, "embedding": _embedding(hearing)}
                    found += [row | more for row in rows(recognizer.answer(hearing), timeline=False)]
            else:  # nothing is kept of a long recording but its answer
                for prediction in part.each(source, recognizer.predict, timeline=terms.timeline):
                    found += [row | {"name": name} for row in rows(prediction, timeline=terms.timeline)]
        return Outcome(name, tuple(found))
    except SerotoneError as error:
        return Outcome(name, error=type(error).__name__, message=utf8(str(error)))
    except Exception as error:  # a fault of ours or of a library's, and still that of one recording
        return Outcome(name, error=type(error).__name__, message=f"{name}: {utf8(str(error))}")


@contextlib.contextmanager
def _opened(source: str) -> Iterator[str | BinaryIO]:
    """What the recogniser is given: the path of a regular file, or an open object of a store."""
    if is_url(source):
        with open_remote(source) as file:
            yield file
        return
    with contextlib.suppress(OSError, ValueError):  # hearing it says what is wrong
        if not stat.S_ISREG(mode := Path(source).stat().st_mode) and not stat.S_ISDIR(mode):
            raise AudioFormatError(f"{source}: a pipe, socket or device; only files and URLs are scored")
    yield source


def _embedding(hearing: "Hearing") -> list[float] | None:
    """The embedding (D,) of a recording: the mean of its windows', weighted as its answer is; None without speech.

    Numbers keep `EMBEDDING_BITS`, as many as a 16-bit float has. The zeros behind them take next to no room in Parquet.
    """
    if not hearing.answering:
        return None
    weights = np.array([row.weight for row in hearing.answering])
    fraction, exponent = np.frexp(np.average(hearing.embeddings, axis=0, weights=weights))
    rounded: list[float] = np.ldexp(np.rint(np.ldexp(fraction, EMBEDDING_BITS)), exponent - EMBEDDING_BITS).tolist()
    return rounded
