"""The bundle: a folder that training writes and recognition reads.

``bundle.json`` states what the graph beside it expects and answers, and the size and SHA-256 of every other file.
The hashes show corruption. They do not show substitution, since whoever replaces a file can replace its hash: for
that a caller gives the digest of ``bundle.json`` itself, and the package knows those of the bundles it ships.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from serotone.errors import BundleError
from serotone.files import write_bytes
from serotone.recognition.keys import Keys

FORMAT = 1
"""The bundle format that this version writes and reads."""


MANIFEST = "bundle.json"
MODEL, WEIGHTS = "model.onnx", "weights.safetensors"
EMBEDDING = "embedding"
"""The graph's output (B, D) that adaptation reads; a bundle that cannot be adapted may have it, too."""
RECIPE, CARD = "recipe.yaml", "CARD.md"
ADAPTATION = "adaptation.npz"
ADAPTATION_LEVELS = ("collection", "speaker")
"""What embeddings can be standardised by before a head of their own answers: `serotone.recognition.adaptation`."""

SHIPPED = Path(__file__).parent / "bundles"
MAX_FILE_BYTES = 2 << 30

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class BundleFile:
    """Size in bytes and SHA-256 (hex) of one file of a bundle."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class AdaptationLevel:
    """How a bundle answers adapted: its head's ``temperature``, the ``shrinkage`` of statistics in recordings."""

    temperature: float
    shrinkage: float
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle: the contents of its ``bundle.json`` and where it lies.

    ``sha256`` is the digest of ``bundle.json`` (hex), the one that ``load_bundle(..., sha256=)`` compares.
    ``merge`` maps emotions of a corpus to the label that stood for them in training, such as excited to happy.
    ``temperature`` is informational: the graph's ``probabilities`` already include it. ``speech`` is how speech is told
    from the rest: ``silero``, and only speech and its margins are heard; None, by level, and of up to ``max_seconds``
    all is heard, as in training, and of longer recordings speech and its margins. ``adaptation`` has
    one entry for each of `ADAPTATION_LEVELS` that the bundle can be adapted to, none where it cannot.
    """

    path: Path
    name: str
    version: str
    labels: tuple[str, ...]
    sample_rate: int
    min_seconds: float
    max_seconds: float
    window_seconds: float
    hop_seconds: float
    thresholds: Mapping[str, float]
    data: tuple[Mapping[str, object], ...]
    opset: int
    versions: Mapping[str, str]
    files: Mapping[str, BundleFile]
    temperature: float
    merge: Mapping[str, str]
    sha256: str
    speech: str | None = None
    adaptation: Mapping[str, AdaptationLevel] = field(default_factory=dict)

    def read(self, file_name: str) -> bytes:
        """The bytes of one file of the bundle, compared with its size and hash as they are read.

        Raises BundleError: no such file in this bundle, or its bytes are not those that the manifest states.
        """
        if file_name not in self.files:
            raise BundleError(f"{self.path}: no {file_name} in this bundle; it has {', '.join(sorted(self.files))}")
        expected = self.files[file_name]
        with open_checked(self.path / file_name, expected.size) as file:
            content = file.read(expected.size + 1)
        compare(self.path / file_name, len(content), hashlib.sha256(content).hexdigest(), expected)
        return content

    @property
    def argument(self) -> str:
        """What a command calls it: its name where it ships with the package, else its path."""
        return self.path.name if self.path.parent == SHIPPED else str(self.path)

    @property
    def non_commercial(self) -> bool:
        """Whether the licence of some of its training data allows non-commercial use only, as its manifest says."""
        return any(item.get("non_commercial") is True for item in self.data)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it was trained on, sorted; none where its manifest does not say."""
        stated = [item.get("languages") for item in self.data]
        return tuple(sorted({str(name) for names in stated if isinstance(names, list) for name in names}))

    @property
    def size(self) -> int:
        """Bytes of its files, without the manifest."""
        return sum(file.size for file in self.files.values())

    def uncertain_below(self, level: str | None) -> float:
        """The confidence below which an answer is uncertain, at a level of adaptation or, for None, a plain answer."""
        own = {} if level is None else self.adaptation[level].thresholds
        return own.get("uncertain", self.thresholds.get("uncertain", 0.0))

    def to_dict(self) -> dict[str, object]:
        """What ``serotone bundle show --format json`` prints, ready for JSON."""
        return {
            "schema": 1,
            "name": self.name,
            "version": self.version,
            "path": str(self.path),
            "sha256": self.sha256,
            "labels": list(self.labels),
            "sample_rate": self.sample_rate,
            "min_seconds": self.min_seconds,
            "max_seconds": self.max_seconds,
            "window_seconds": self.window_seconds,
            "hop_seconds": self.hop_seconds,
            "thresholds": dict(self.thresholds),
            "temperature": self.temperature,
            "merge": dict(self.merge),
            "speech": self.speech,
            "adaptation": {name: asdict(level) for name, level in self.adaptation.items()},
            "data": [dict(item) for item in self.data],
            "non_commercial": self.non_commercial,
            "languages": list(self.languages),
            "size": self.size,
            "opset": self.opset,
            "versions": dict(self.versions),
            "files": {name: {"size": file.size, "sha256": file.sha256} for name, file in self.files.items()},
        }


def is_digest(text: str) -> bool:
    """Whether this is a SHA-256: 64 hexadecimal digits, small or capital."""
    return _DIGEST.fullmatch(text.lower()) is not None


def write_manifest(
    folder: str | Path,
    *,
    name: str,
    version: str,
    labels: Sequence[str],
    sample_rate: int,
    min_seconds: float,
    max_seconds: float,
    window_seconds: float,
    hop_seconds: float,
    thresholds: Mapping[str, float],
    data: Sequence[Mapping[str, object]],
    opset: int,
    versions: Mapping[str, str],
    temperature: float = 1.0,
    merge: Mapping[str, str] | None = None,
    extra: Mapping[str, object] | None = None,
) -> Bundle:
    """Make a folder of finished files a bundle: write its ``bundle.json``, with the hash of each, in one step.

    ``data`` holds one mapping per corpus: ``name``, ``licence``, ``utterances``, and where they are known
    ``non_commercial`` (its licence allows no other use) and ``languages``. ``extra`` adds keys of its own,
    which readers that do not know them ignore. Everything is validated as a reader would before anything is written.

    Raises BundleError: no graph in the folder, a link or sub-folder in it, or a value that no reader would accept.
    """
    folder = Path(folder)
    if not (folder / MODEL).is_file():
        raise BundleError(f"{folder}: no {MODEL} here; export the graph before you write its manifest")
    files: dict[str, dict[str, object]] = {}
    for path in sorted(folder.iterdir()):
        if path.name == MANIFEST or path.name.startswith("."):
            continue
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{path}: a bundle holds plain files only; move this elsewhere")
        with path.open("rb") as file:
            files[path.name] = {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    manifest: dict[str, object] = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "labels": list(labels),
        "sample_rate": sample_rate,
        "min_seconds": min_seconds,
        "max_seconds": max_seconds,
        "window_seconds": window_seconds,
        "hop_seconds": hop_seconds,
        "thresholds": dict(thresholds),
        "temperature": temperature,
        "merge": dict(merge or {}),
        "data": [dict(item) for item in data],
        "opset": opset,
        "versions": dict(versions),
        "files": files,
    }
    for key, value in (extra or {}).items():
        if key in manifest:
            raise BundleError(f"extra={key!r}: the manifest has this key already; give it another name")
        manifest[key] = value
    content = (json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    bundle = parse(folder, content)
    write_bytes(folder / MANIFEST, content)
    return bundle


def _finite(text: str) -> float:
    """A number of JSON; Python reads NaN, Infinity and 1e400 as well, which no JSON can be written with."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def parse(folder: Path, content: bytes) -> Bundle:
    """The bundle that the bytes of a ``bundle.json`` describe; every value checked, unknown keys ignored."""
    where = folder / MANIFEST
    try:
        raw = json.loads(content, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not valid JSON ({error}); fetch or export the bundle again") from None
    if not isinstance(raw, dict):
        raise BundleError(f"{where}: expected a JSON object; fetch or export the bundle again")
    if raw.get("format") != FORMAT or isinstance(raw["format"], bool):
        raise BundleError(
            f"{where}: bundle format {raw.get('format')!r}; this version of serotone reads format {FORMAT}: "
            "upgrade with pip install -U serotone, or export the bundle again"
        )
    keys = Keys(where, raw)
    labels = tuple(keys.strings("labels"))
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise keys.wrong("labels", "at least two distinct names")
    minimum, maximum, window, hop = (
        keys.number(f"{key}_seconds", above=0.0) for key in ("min", "max", "window", "hop")
    )
    if not (minimum <= window <= maximum and hop <= window):
        raise keys.wrong(
            "window_seconds", "min_seconds <= window_seconds <= max_seconds and hop_seconds <= window_seconds"
        )
    sample_rate = keys.integer("sample_rate", 1_000, 384_000)
    thresholds = Keys(where, keys.mapping("thresholds"))
    data = raw.get("data", [])
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise keys.wrong("data", "a list of objects")
    files = {name: _parse_file(where, name, entry) for name, entry in keys.mapping("files").items()}
    if MODEL not in files:
        raise keys.wrong("files", f"an entry for {MODEL}")
    speech = raw.get("speech")
    if speech not in (None, "silero"):
        raise keys.wrong("speech", "silero, or no such key; a newer version of serotone may know it")
    if speech == "silero" and sample_rate != 16_000:
        raise keys.wrong("sample_rate", "16000, the rate that silero needs")
    return Bundle(
        path=folder,
        name=keys.string("name"),
        version=keys.string("version"),
        labels=labels,
        sample_rate=sample_rate,
        min_seconds=minimum,
        max_seconds=maximum,
        window_seconds=window,
        hop_seconds=hop,
        thresholds={key: thresholds.number(key) for key in thresholds.raw},
        data=tuple(data),
        opset=keys.integer("opset", 1, 1_000),
        versions={key: str(value) for key, value in keys.mapping("versions").items()},
        files=files,
        temperature=keys.number("temperature", above=0.0) if "temperature" in raw else 1.0,
        merge={key: str(value) for key, value in keys.mapping("merge").items()} if "merge" in raw else {},
        sha256=hashlib.sha256(content).hexdigest(),
        speech=speech,
        adaptation=_parse_adaptation(keys, files) if "adaptation" in raw else {},
    )


def _parse_adaptation(keys: Keys, files: Mapping[str, BundleFile]) -> dict[str, AdaptationLevel]:
    """The levels that a bundle can be adapted to: the collection, and the speaker where it has a head for that, too."""
    stated = keys.mapping("adaptation")
    if not {ADAPTATION_LEVELS[0]} <= set(stated) <= set(ADAPTATION_LEVELS):
        raise keys.wrong("adaptation", "an object with collection, and speaker where there is a head for it")
    if ADAPTATION not in files:
        raise keys.wrong("files", f"an entry for {ADAPTATION}, which holds the heads for adaptation")
    levels = {}
    for name in ADAPTATION_LEVELS:
        if name in stated:
            level = Keys(keys.where, Keys(keys.where, stated).mapping(name))
            thresholds = Keys(keys.where, level.mapping("thresholds") if "thresholds" in level.raw else {})
            shrinkage = level.number("shrinkage")
            if shrinkage < 0:
                raise level.wrong("shrinkage", "a number of recordings, 0 or more")
            levels[name] = AdaptationLevel(
                temperature=level.number("temperature", above=0.0),
                shrinkage=shrinkage,
                thresholds={key: thresholds.number(key) for key in thresholds.raw},
            )
    return levels


def _parse_file(where: Path, name: str, entry: object) -> BundleFile:
    """One entry of ``files``: a plain name beside the manifest, its size and its hash."""
    if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
        raise BundleError(
            f"{where}: file name {name!r}; a bundle's files are next to its manifest and have plain names"
        )
    keys = Keys(where, entry if isinstance(entry, dict) else {})
    size = keys.integer("size", 0, MAX_FILE_BYTES)
    digest = keys.string("sha256")
    if not _DIGEST.fullmatch(digest):
        raise keys.wrong("sha256", "64 hexadecimal digits")
    return BundleFile(size, digest)


def open_checked(path: Path, size: int | None) -> BinaryIO:
    """A file of a bundle, opened once it is known to be a plain file (of this size), not a link to elsewhere."""
    if path.is_symlink():
        raise BundleError(f"{path}: a link; a bundle holds plain files only, copy the file here")
    if not path.is_file():
        raise BundleError(f"{path}: missing; fetch or export the bundle again")
    actual = path.stat().st_size
    if size is not None and actual != size:
        raise BundleError(f"{path}: {actual} bytes; its manifest says {size}: fetch or export the bundle again")
    return path.open("rb")


def compare(path: Path, size: int, digest: str, expected: BundleFile) -> None:
    """Raise BundleError where a file of so many bytes and with this digest is not the expected one."""
    if size != expected.size or digest != expected.sha256:
        raise BundleError(
            f"{path}: SHA-256 {digest[:12]}...; its manifest says {expected.sha256[:12]}...: "
            "the file is damaged, fetch or export the bundle again"
        )
