"""Recordings to a folder of Parquet, from where an earlier command stopped."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from serotone import __version__
from serotone.errors import BundleError
from serotone.names import utf8
from serotone.processors import processors
from serotone.recognition.bundle import EMBEDDING, Bundle
from serotone.recognition.loading import list_bundles, load_bundle
from serotone.recognition.part import Part
from serotone.recognition.profile import load_profile
from serotone.recognition.session import open_session
from serotone.scoring import pool
from serotone.scoring.folder import opened
from serotone.scoring.terms import Outcome, Recording, Terms

SCHEMA = 1
"""Version of the tables and of ``score.json``; new columns may join, none changes its meaning."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where recordings are heard: ``jobs`` worker processes of this machine, or as many on a Ray cluster.

    ``address`` is ``host:port`` of a cluster that this machine belongs to, or ``auto``; None starts a Ray of its own.
    """

    jobs: int | None = None
    executor: Literal["local", "ray"] = "local"
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of the recordings were answered and failed before, and are answered and failed now."""

    answered_before: int
    failed_before: int
    answered: int
    failed: int


def terms_of(
    bundle: str,
    *,
    sha256: str | None = None,
    timeline: bool = False,
    embeddings: bool = False,
    part: Part | None = None,
    profile: Path | None = None,
    time_limit: float = 3600.0,
) -> tuple[Bundle, Terms]:
    """The bundle, checked, and how it is to answer.

    Raises BundleError: there is no such bundle, or it has no embeddings and they are asked for. Raises ProfileError.
    """
    loaded = load_bundle(bundle, sha256=sha256)
    if embeddings and EMBEDDING not in (output.name for output in open_session(loaded, 1).get_outputs()):
        raise BundleError(f"{loaded.name}: its graph has no output {EMBEDDING}; leave out --embeddings")
    where = bundle if bundle in list_bundles() else str(loaded.path.absolute())
    profiled = None if profile is None else str(profile.absolute())
    chosen = Terms(where, loaded.sha256, __version__, timeline, embeddings, part or Part(), profiled, time_limit)
    return loaded, chosen


def score(
    recordings: Sequence[Recording],
    out: Path,
    bundle: Bundle,
    terms: Terms,
    place: Place,
    *,
    retry_errors: bool = False,
    on_plan: Callable[[int, int, int], None] = lambda answered, failed, todo: None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Tally:
    """Answer the recordings that are not in the folder yet; each ends up in one of its two tables.

    ``on_plan`` is told how many were answered and failed before and how many are to do, ``on_outcome`` each outcome.

    Raises RunError: the folder holds something else or another process holds it, or no worker can be started. Raises
    OSError: the folder cannot be written. Raises MissingExtraError: Ray is asked for and not installed.
    """
    profile = None if terms.profile is None else load_profile(Path(terms.profile))
    options = {
        "timeline": terms.timeline,
        "embeddings": terms.embeddings,
        "profile": None if profile is None else profile.digest(),
        **{name: value for name, value in asdict(terms.part).items() if name not in ("start", "end")},
    }
    about = {
        "schema": SCHEMA,
        "bundle": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "options": options,
        "profile": None if profile is None else utf8(profile.name),
        "serotone": terms.version,
    }
    answered = failed = 0
    with opened(out, about, bundle.labels, timeline=terms.timeline, embeddings=terms.embeddings) as folder:
        names = {recording.name for recording in recordings}
        folder.forget_errors({r.place for r in recordings if r.place is not None and r.problem is None})  # mended since
        if retry_errors:
            folder.forget_errors(names)
        before = len(names & folder.answered), len(names & folder.failed)
        done = folder.answered | folder.failed
        todo = [recording for recording in recordings if recording.name not in done]
        on_plan(*before, len(todo))
        with contextlib.closing(_outcomes(todo, terms, place)) as outcomes:
            for outcome in outcomes:
                folder.add(outcome)
                failed, answered = failed + bool(outcome.error), answered + (not outcome.error)
                on_outcome(outcome)
    return Tally(*before, answered, failed)


def _outcomes(todo: Iterable[Recording], terms: Terms, place: Place) -> Generator[Outcome]:
    """What comes of each recording, those first that need not be heard."""
    sound = []
    for recording in todo:
        if recording.problem is None:
            sound.append(recording)
        else:
            yield Outcome(recording.name, error=recording.problem[0], message=recording.problem[1])
    if not sound:
        return
    if place.executor == "ray":
        from serotone.scoring import on_ray

        heard = on_ray.run(sound, terms, place.jobs, place.address)
    else:
        heard = pool.run(sound, terms, min(place.jobs or processors(), len(sound)))
    with contextlib.closing(heard) as outcomes:
        yield from outcomes
