"""Bundles by name or path: those that ship with the package, and whether each file is the one that it should be."""

import hashlib
import json
from pathlib import Path

from serotone.errors import BundleError
from serotone.files import write_json
from serotone.names import guess
from serotone.recognition.bundle import MANIFEST, SHIPPED, Bundle, compare, is_digest, open_checked, parse

DEFAULT_BUNDLE = "default"
"""The shipped bundle that answers where none is named."""

MAX_MANIFEST_BYTES = 1 << 20


def load_bundle(name_or_path: str | Path, *, sha256: str | None = None) -> Bundle:
    """A bundle by shipped name or by path, with the hash of every file checked.

    A string that is the name of a shipped bundle means that bundle; anything else is the path of a bundle's folder
    (``./name`` for a folder of the same name). A bundle that ships, however it is given, must be the one that this
    version ships. ``sha256`` is the digest of ``bundle.json`` that the caller expects, in 64 hexadecimal digits.

    Raises BundleError: no such bundle, unknown format, a missing or damaged file, or another digest than expected.
    """
    folder = _find(name_or_path)
    bundle = _read_manifest(folder)
    shipped = next((name for name in list_bundles() if folder.samefile(SHIPPED / name)), None)
    if shipped is not None:
        _check_digest(bundle, shipped_digests().get(shipped), "the one this version of serotone ships")
    if sha256 is not None:
        if not is_digest(sha256):
            raise BundleError(f"sha256={sha256!r} is not a SHA-256; it should be 64 hexadecimal digits")
        _check_digest(bundle, sha256.lower(), "the one that was asked for")
    verify(bundle)
    return bundle


def verify(bundle: Bundle) -> None:
    """Compare size and SHA-256 of every file of a bundle with its manifest.

    Raises BundleError: a file is missing, a link, or not the one that the manifest describes.
    """
    for name, expected in bundle.files.items():
        path = bundle.path / name
        digest = hashlib.sha256()
        size = 0
        with open_checked(path, expected.size) as file:
            while chunk := file.read(1 << 20):
                size += len(chunk)
                digest.update(chunk)
        compare(path, size, digest.hexdigest(), expected)


def list_bundles() -> list[str]:
    """Names of the bundles that ship with the package, sorted."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{MANIFEST}"))


def shipped_digests() -> dict[str, str]:
    """Name of each shipped bundle -> the digest of its ``bundle.json`` that this version of the package expects."""
    path = SHIPPED / "digests.json"
    if not path.is_file():
        return {}
    return {str(name): str(digest) for name, digest in json.loads(path.read_text(encoding="utf-8")).items()}


def record_shipped_digests() -> dict[str, str]:
    """Write ``bundles/digests.json`` for the bundles that lie in the package now; for whoever releases one."""
    digests = {name: _read_manifest(SHIPPED / name).sha256 for name in list_bundles()}
    write_json(SHIPPED / "digests.json", digests)
    return digests


def _find(name_or_path: str | Path) -> Path:
    """The folder of a bundle that was named or pointed at."""
    shipped = list_bundles()
    if isinstance(name_or_path, str) and name_or_path in shipped:
        return SHIPPED / name_or_path
    known = f"shipped bundles: {', '.join(shipped)}" if shipped else "no bundle ships with this copy of serotone"
    if name_or_path == "":  # to Path it would be the folder at hand
        raise BundleError(f"the bundle's name is empty; give the path of a bundle's folder or a name ({known})")
    folder = Path(name_or_path)
    if (folder / MANIFEST).is_file():
        return folder
    if (folder / "bundle" / MANIFEST).is_file():
        raise BundleError(f"{folder}: a run, not a bundle; its bundle is {folder / 'bundle'}")
    if folder.name == MANIFEST and folder.is_file():
        raise BundleError(f"{folder}: a bundle is the folder that holds this file; give {folder.parent}")
    near = guess(str(name_or_path), shipped)
    problem = f"no {MANIFEST} in this folder" if folder.is_dir() else f"neither a shipped bundle nor a folder{near}"
    raise BundleError(f"{name_or_path}: {problem}; give the path of a bundle's folder or a name ({known})")


def _read_manifest(folder: Path) -> Bundle:
    path = folder / MANIFEST
    with open_checked(path, None) as file:
        content = file.read(MAX_MANIFEST_BYTES + 1)
    if len(content) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: more than {MAX_MANIFEST_BYTES} bytes; this is not the manifest of a bundle")
    return parse(folder, content)


def _check_digest(bundle: Bundle, expected: str | None, which: str) -> None:
    if bundle.sha256 != expected:
        raise BundleError(
            f"{bundle.path}: the SHA-256 of its {MANIFEST} is {bundle.sha256}; {which} has {expected or 'none'}: "
            "this is another bundle, install or fetch the right one"
        )
