"""From which addresses anything is fetched: https, or a server on this machine; the same after a redirect."""

import urllib.request
from typing import Any
from urllib.parse import urlsplit

from serotone.errors import SerotoneError

_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def demand_https(url: str, error: type[SerotoneError]) -> None:
    """Raise ``error`` for any address that is not https; a server on this machine may do without."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS):
        raise error(f"{url}: expected an address that starts with https://")


def secure_opener(error: type[SerotoneError]) -> urllib.request.OpenerDirector:
    """What opens addresses and follows redirects; for one to an address that is not https it raises ``error``."""

    class SecureRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
            demand_https(newurl, error)
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return urllib.request.build_opener(SecureRedirects)
