"""A profile: mean, SD and count of the embeddings of unlabelled recordings, by which later ones are standardised.

A collection is what one microphone, room or call centre recorded; where its speakers are known, each has statistics of
their own within it. A bundle's embeddings have mean 0 and SD 1 over its training data; a profile moves those of its
collection there, without labels. It holds no audio and no names of files.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serotone.errors import ProfileError
from serotone.files import write_text
from serotone.recognition.bundle import Bundle

SCHEMA = 1
"""Version of the JSON form; new keys may join it, none changes its meaning."""

MAX_BYTES = 128 << 20
MAX_SPEAKERS = 10_000
MAX_WIDTH = 65_536
MAX_NAME = 200

LEAST_COUNT = 5
"""Fewest embeddings that make a profile: from about five on an adapted answer is right more often than a plain one."""

LEAST_VARIANCE = 0.01
"""No dimension is stretched by more than ten: one that hardly varies in a collection says nothing about emotion."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Count of embeddings, and mean and SD (D,) of each of their dimensions; the SD divides by the count."""

    count: int
    mean: Values
    sd: Values

    def merged(self, other: "Statistics") -> "Statistics":
        """The statistics of both sets of embeddings together, exactly (Chan, Golub and LeVeque 1983, eq. 2.1)."""
        count = self.count + other.count
        share = other.count / count
        gap = other.mean - self.mean
        variance = (1 - share) * self.sd**2 + share * other.sd**2 + share * (1 - share) * gap**2
        return Statistics(count, self.mean + share * gap, np.sqrt(variance))

    def shrunk(self, weight: float) -> tuple[Values, Values]:
        """Mean and SD (D,) to standardise by, drawn toward mean 0 and SD 1 as if by ``weight`` recordings of those.

        With n recordings of mean m and variance v, and weight k: the mean is n m / (n + k), the variance
        (n v + k + 1) / (n + k). The 1 stands for the degree of freedom that the mean has used up: a single recording
        has no variance of its own, so it moves the mean alone. No SD is below the root of `LEAST_VARIANCE`.
        """
        total = self.count + weight
        variance = (self.count * self.sd**2 + weight + 1) / total
        return self.mean * (self.count / total), np.sqrt(np.maximum(variance, LEAST_VARIANCE))

    def within(self, mean: Values, sd: Values) -> "Statistics":
        """The statistics of the same embeddings once they are standardised by ``mean`` and ``sd`` (D,)."""
        return Statistics(self.count, (self.mean - mean) / sd, self.sd / sd)


class Accumulator:
    """Statistics of embeddings as they come, in constant memory (Welford 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: Values = np.zeros(0)
        self._squares: Values = np.zeros(0)

    def add(self, embeddings: NDArray[np.floating]) -> None:
        """Take in embeddings (N, D)."""
        for embedding in embeddings.astype(np.float64):
            if self.count == 0:
                self._mean, self._squares = np.zeros_like(embedding), np.zeros_like(embedding)
            self.count += 1
            gap = embedding - self._mean
            self._mean += gap / self.count
            self._squares += gap * (embedding - self._mean)

    def statistics(self) -> Statistics:
        """What has been taken in so far, at least one embedding."""
        return Statistics(self.count, self._mean.copy(), np.sqrt(self._squares / self.count))


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Statistics of a collection's embeddings, and of its speakers' where they are known; plain data.

    ``bundle`` and ``bundle_sha256`` say whose embeddings they are. Speakers' statistics are of the embeddings as the
    bundle gives them; how they nest within the collection is decided when they are applied.
    """

    name: str
    bundle: str
    bundle_sha256: str
    collection: Statistics
    speakers: Mapping[str, Statistics] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Embeddings behind the collection's statistics: one a clip, or one a window of a long recording."""
        return self.collection.count

    def merged(self, other: "Profile") -> "Profile":
        """One profile of both collections, under this one's name; speakers of the same name are one speaker.

        Raises ProfileError: they belong to different bundles.
        """
        if other.bundle_sha256 != self.bundle_sha256:
            raise ProfileError(
                f"{other.name}: a profile of {other.bundle} ({other.bundle_sha256[:12]}...); {self.name} is one of "
                f"{self.bundle} ({self.bundle_sha256[:12]}...): only profiles of one bundle can be merged"
            )
        speakers = dict(self.speakers)
        for name, statistics in other.speakers.items():
            speakers[name] = speakers[name].merged(statistics) if name in speakers else statistics
        return Profile(self.name, self.bundle, self.bundle_sha256, self.collection.merged(other.collection), speakers)

    def apply(
        self,
        embeddings: NDArray[np.floating],
        *,
        speaker: str | None = None,
        shrinkage: float = 0.0,
        speaker_shrinkage: float = 15.0,
    ) -> Values:
        """Embeddings (N, D) standardised by the collection, then by the speaker within it where the profile knows them.

        ``shrinkage`` and ``speaker_shrinkage`` are the weights, in recordings, of mean 0 and SD 1: of the bundle's
        training data for the collection, and of the collection for a speaker.
        """
        mean, sd = self.collection.shrunk(shrinkage)
        standardised = (embeddings - mean) / sd
        if speaker is not None and speaker in self.speakers:
            own_mean, own_sd = self.speakers[speaker].within(mean, sd).shrunk(speaker_shrinkage)
            standardised = (standardised - own_mean) / own_sd
        return np.asarray(standardised, np.float64)

    def check(self, bundle: Bundle) -> None:
        """Raise ProfileError where this profile was made with another bundle."""
        if self.bundle_sha256 != bundle.sha256:
            raise ProfileError(
                f"{self.name}: a profile of the bundle {self.bundle} ({self.bundle_sha256[:12]}...); this is "
                f"{bundle.name} ({bundle.sha256[:12]}...): make one with serotone adapt --bundle {bundle.argument}"
            )

    def digest(self) -> str:
        """The SHA-256 (hex) of the profile as JSON holds it."""
        return hashlib.sha256(json.dumps(self.to_dict(), allow_nan=False).encode()).hexdigest()

    def to_dict(self) -> dict[str, object]:
        """The profile as JSON holds it, numbers with six significant digits."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "bundle": self.bundle,
            "bundle_sha256": self.bundle_sha256,
            **_plain(self.collection),
            "speakers": {name: _plain(statistics) for name, statistics in self.speakers.items()},
        }

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON, whole or not at all.

        Raises ProfileError: it has so many speakers that it could not be read again.
        """
        text = json.dumps(self.to_dict(), allow_nan=False) + "\n"  # in ASCII: names of files hold what is not UTF-8
        if len(text.encode()) > MAX_BYTES or len(self.speakers) > MAX_SPEAKERS:
            raise ProfileError(
                f"{path}: {len(self.speakers)} speakers make a profile of {len(text) >> 20} MB; at most "
                f"{MAX_BYTES >> 20} MB and {MAX_SPEAKERS} speakers can be read again: "
                "leave speakers out, or make one profile for each group"
            )
        write_text(Path(path), text)


def check_speaker(speaker: object) -> None:
    """Raise TypeError for a speaker that is neither a string nor None: no profile would know it."""
    if speaker is not None and not isinstance(speaker, str):
        raise TypeError(
            f"speaker is {speaker!r}, of type {type(speaker).__name__}; expected a string, or None for an unknown one"
        )


class ProfileBuilder:
    """A profile as its recordings are read, in memory that does not grow with their number."""

    def __init__(self, name: str, bundle: Bundle) -> None:
        if not 1 <= len(name) <= MAX_NAME:
            raise ProfileError(f"a profile's name is {name[:40]!r}; expected text of 1 to {MAX_NAME} characters")
        self._name = name
        self._bundle = bundle
        self._collection = Accumulator()
        self._speakers: dict[str, Accumulator] = {}

    @property
    def count(self) -> int:
        """Embeddings so far."""
        return self._collection.count

    def add(self, embeddings: NDArray[np.floating], speaker: str | None = None) -> None:
        """Take in the embeddings (N, D) of one recording; N is 0 where there was no speech.

        Raises TypeError: ``speaker`` is neither a string nor None.
        """
        check_speaker(speaker)
        self._collection.add(embeddings)
        if speaker is not None and len(embeddings):
            self._speakers.setdefault(speaker, Accumulator()).add(embeddings)

    def profile(self) -> Profile:
        """The profile of what was added.

        Raises ProfileError: fewer than `LEAST_COUNT` embeddings.
        """
        if self.count < LEAST_COUNT:
            what = "clip or window" if self.count == 1 else "clips or windows"
            raise ProfileError(
                f"{self._name}: {self.count} {what} with speech; a profile needs at least {LEAST_COUNT}: "
                "give more recordings of the same kind"
            )
        return Profile(
            name=self._name,
            bundle=self._bundle.name,
            bundle_sha256=self._bundle.sha256,
            collection=self._collection.statistics(),
            speakers={name: speaker.statistics() for name, speaker in sorted(self._speakers.items())},
        )


def load_profile(path: str | Path) -> Profile:
    """A profile from its JSON file, or from a pipe by its name.

    Raises ProfileError: the file is missing, too large, no profile, or holds what no profile could.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        problem = "is a folder" if path.is_dir() else "no such file"
        raise ProfileError(f"{path}: {problem}; give a profile, as serotone adapt writes it")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ProfileError(f"{path}: more than {MAX_BYTES >> 20} MB; this is not a profile")
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{path}: not valid JSON ({error}); make the profile again with serotone adapt") from None
    try:
        return _parse(raw)
    except _NoProfileError as error:
        raise ProfileError(f"{path}: {error}; make the profile again with serotone adapt") from None


class _NoProfileError(ValueError):
    """What is wrong with the contents of a file."""


def _parse(raw: object) -> Profile:
    entries = _object(raw, "the file")
    if entries.get("schema") != SCHEMA or isinstance(entries["schema"], bool):
        raise _NoProfileError(f"schema {str(entries.get('schema'))[:40]!r}; this version of serotone reads {SCHEMA}")
    digest = entries.get("bundle_sha256")
    if not isinstance(digest, str) or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise _NoProfileError("bundle_sha256 is not a SHA-256; expected 64 hexadecimal digits")
    collection = _statistics(entries, "the collection", None)
    said = _object(entries.get("speakers", {}), "speakers")
    if len(said) > MAX_SPEAKERS:
        raise _NoProfileError(f"{len(said)} speakers; expected at most {MAX_SPEAKERS}")
    return Profile(
        name=_text(entries, "name"),
        bundle=_text(entries, "bundle"),
        bundle_sha256=digest,
        collection=collection,
        speakers={
            name: _statistics(_object(value, f"speaker {name[:40]!r}"), f"speaker {name[:40]!r}", len(collection.mean))
            for name, value in said.items()
        },
    )


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _NoProfileError(f"{what} is not a JSON object")
    return value


def _text(raw: Mapping[str, object], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME:
        raise _NoProfileError(f"{key} is {str(value)[:40]!r}; expected text of 1 to {MAX_NAME} characters")
    return value


def _statistics(raw: Mapping[str, object], what: str, width: int | None) -> Statistics:
    count = raw.get("count")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count < 2**53:
        raise _NoProfileError(f"the count of {what} is {str(count)[:40]}; expected a whole number from 1 on")
    mean, sd = (_numbers(raw, key, what) for key in ("mean", "sd"))
    if len(mean) != len(sd) or len(mean) != (width or len(mean)):
        raise _NoProfileError(
            f"mean and SD of {what} have {len(mean)} and {len(sd)} numbers; expected {width or len(mean)}"
        )
    if (sd < 0).any():
        raise _NoProfileError(f"an SD of {what} is negative")
    return Statistics(count, mean, sd)


def _numbers(raw: Mapping[str, object], key: str, what: str) -> Values:
    """A list of numbers, none so large that sums of its squares would not be finite."""
    value = raw.get(key)
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_WIDTH:
        raise _NoProfileError(f"{key} of {what} is not a list of 1 to {MAX_WIDTH} numbers")
    if not all(type(item) in (int, float) and abs(item) < 1e12 for item in value):
        raise _NoProfileError(f"{key} of {what} holds something that is not a number within 1e12")
    return np.array(value, np.float64)


def _plain(statistics: Statistics) -> dict[str, object]:
    return {
        "count": statistics.count,
        "mean": [float(f"{value:.6g}") for value in statistics.mean],
        "sd": [float(f"{value:.6g}") for value in statistics.sd],
    }
