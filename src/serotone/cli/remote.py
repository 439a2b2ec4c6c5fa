"""A file on a web server, read in pieces by HTTP range requests (RFC 9110, section 14)."""

import io
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import IO, Any

from serotone import __version__
from serotone.errors import FetchError
from serotone.https import demand_https, secure_opener

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_CHUNK_BYTES = 1 << 16


class RemoteFile(io.RawIOBase):
    """A seekable, read-only file behind an https address; each read is one range request, so put a buffer before it.

    ``timeout`` is how long the server may stay silent, ``deadline`` how long all requests together may take, both in
    seconds; ``max_bytes`` is how much may be read in all.

    Raises FetchError, at the first request or any later one: not https, no connection, no answer in time, no such file,
    a server that does not send parts of a file, or more bytes than the bound.
    """

    def __init__(self, url: str, *, timeout: float = 20.0, deadline: float = 180.0, max_bytes: int = 1 << 25) -> None:
        super().__init__()
        demand_https(url, FetchError)
        self._url = url
        self._host = urllib.parse.urlsplit(url).hostname
        self._timeout = timeout
        self._deadline = deadline
        self._ends = time.monotonic() + deadline
        self._left = max_bytes
        self._opener = secure_opener(FetchError)
        self._at = 0
        self._size = 0
        self._get(0, 1)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read starts, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set where the next read starts; nothing is requested."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"seek to {start + offset}; expected 0 or more")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or as much of it as the file has left."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._at)
        if wanted <= 0:
            return 0
        content = self._get(self._at, wanted)
        view[: len(content)] = content
        self._at += len(content)
        return len(content)

    def _get(self, start: int, count: int) -> bytes:
        """``count`` bytes from ``start`` on; also sets the file's size."""
        headers = {
            "Range": f"bytes={start}-{start + count - 1}",
            "Accept-Encoding": "identity",
            "User-Agent": f"serotone/{__version__}",
        }
        try:
            request = urllib.request.Request(self._url, headers=headers)
            with self._opener.open(request, timeout=self._timeout) as response:
                part = _RANGE.fullmatch(response.headers.get("Content-Range") or "")
                if response.status != 206 or part is None:
                    raise FetchError(
                        f"{self._host} cannot send parts of a file, and the whole file is too large to download"
                    )
                if (int(part[1]), int(part[2])) != (start, start + count - 1):
                    raise FetchError(f"{self._host} sent bytes {part[1]} to {part[2]} instead of those asked for")
                content = self._body(response, count)
                self._url = response.url  # where redirects led to
                self._size = int(part[3])
        except urllib.error.HTTPError as error:
            raise FetchError(f"{self._host} answered {error.code} {error.reason}") from error
        except TimeoutError as error:
            raise FetchError(self._silent()) from error
        except (OSError, HTTPException) as error:
            cause = getattr(error, "reason", error)
            if isinstance(cause, TimeoutError):
                raise FetchError(self._silent()) from error
            raise FetchError(f"no connection to {self._host}: {getattr(cause, 'strerror', None) or cause}") from error
        return content

    def _silent(self) -> str:
        return f"{self._host} did not answer within {self._timeout:g} s"

    def _body(self, response: IO[bytes], count: int) -> bytes:
        """The body of an answer, which must be ``count`` bytes long."""
        content = bytearray()
        while len(content) < count and (chunk := response.read(min(_CHUNK_BYTES, count - len(content)))):
            content += chunk
            self._left -= len(chunk)
            if self._left < 0:
                raise FetchError(f"{self._host} holds a different file than expected: its parts are too large")
            if time.monotonic() > self._ends:
                raise FetchError(f"{self._host} was too slow: not finished after {self._deadline:g} s")
        if len(content) < count:
            raise FetchError(f"{self._host} broke off after {len(content)} of {count} bytes")
        return bytes(content)
