"""Recordings in object stores and on web servers, through fsspec: ``s3://``, ``gs://``, ``https://`` and others."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from serotone.audio import AUDIO_SUFFIXES
from serotone.errors import AudioError, AudioMissingError, MissingExtraError, reason

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
_WEB = ("http://", "https://")


def is_url(source: str) -> bool:
    """Whether a name is a URL and no path."""
    return _URL.match(source) is not None


def check_stores(urls: Iterable[str]) -> None:
    """Make sure that what reads from the stores of these URLs is installed; unknown stores pass.

    Raises MissingExtraError: fsspec is not, or what it needs for one of them.
    """
    first: dict[str, str] = {}
    for url in urls:
        first.setdefault(url.partition("://")[0], url)
    for protocol, url in first.items():
        try:
            import fsspec

            fsspec.get_filesystem_class(protocol)
        except ImportError as error:
            raise _missing(url, error) from error
        except ValueError:
            continue


def list_remote(url: str) -> list[str]:
    """The URLs of the audio files below a folder of a store, sorted; another URL is itself the only one.

    Raises AudioError: the store cannot be reached, or the folder holds no audio. Raises MissingExtraError: as
    `check_stores`.
    """
    if url.startswith(_WEB):  # a web server has no folders
        return [url]
    store, path = _store(url)
    try:
        if not store.isdir(path):
            return [url]
        names = [name for name in store.find(path) if PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES]
    except Exception as error:  # every store has errors of its own
        raise AudioError(f"{url}: cannot be listed: {reason(error)}") from error
    if not names:
        raise AudioMissingError(f"{url}: no audio in this folder; expected names that end in .wav, .flac or similar")
    return [str(store.unstrip_protocol(name)) for name in sorted(names)]


@contextlib.contextmanager
def open_remote(url: str) -> Iterator[BinaryIO]:
    """An object of a store, open for reading; its name is the URL.

    Raises AudioError: it is not there, cannot be read, or is sent without its length. Raises MissingExtraError: as
    `check_stores`.
    """
    store, path = _store(url)
    try:
        file = store.open(path, "rb")
    except FileNotFoundError as error:
        cause = error.__cause__  # fsspec says so of web servers that refuse or do not answer, too
        if cause is None or getattr(cause, "status", None) in (404, 410):
            raise AudioMissingError(f"{url}: no such file in this store; check the address") from error
        raise AudioError(f"{url}: cannot be opened: {reason(cause)}") from error
    except Exception as error:
        raise AudioError(f"{url}: cannot be opened: {reason(error)}") from error
    with file:
        if getattr(file, "size", 0) is None:  # fsspec then reads from front to back only
            raise AudioError(
                f"{url}: the server does not say how large this file is, so it can only be read when it is on disk; "
                "download it, and score the copy"
            )
        with contextlib.suppress(AttributeError):  # a local file has a name of its own
            file.name = url
        yield cast("BinaryIO", file)


def _store(url: str) -> tuple[Any, str]:
    try:
        import fsspec

        store, path = fsspec.url_to_fs(url)
    except ImportError as error:
        raise _missing(url, error) from error
    except ValueError as error:
        raise AudioError(
            f"{url}: fsspec knows no such store ({reason(error)}); give an address such as s3://, gs:// or https://"
        ) from error
    except Exception as error:  # some stores connect at once
        raise AudioError(f"{url}: cannot be reached: {reason(error)}") from error
    return store, str(path)


def _missing(url: str, error: ImportError) -> MissingExtraError:
    """What an import failed for: fsspec, or by its own error's cause the package of a store."""
    name = getattr(error.__cause__, "name", None)
    package = None if name is None or url.startswith(_WEB) else name.partition(".")[0]
    return MissingExtraError(f"{url}: reading from a store", "score", package)
