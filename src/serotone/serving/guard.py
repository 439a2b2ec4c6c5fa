"""What every request passes first: who may ask, from where, and how much may be sent.

One middleware in front of all routes, so that none can be added without it.
"""

import asyncio
import base64
import binascii
import contextlib
import hmac
import re
from collections import Counter
from collections.abc import Collection
from urllib.parse import parse_qsl, unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serotone.serving.limits import Limits
from serotone.serving.problems import ProblemError, response

LOOPBACK = ("localhost", "127.0.0.1", "::1")

OPEN_TO_ALL = re.compile(r"/|/page/[^/]*|/healthz|/readyz|/openapi\.json")
"""Paths that need no token: the page, which asks for one, and what says nothing of anybody."""

BEARER = "bearer."
"""How a WebSocket of a browser gives the token, base64url without padding: it cannot set a header of its own."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What every answer carries. There is no CORS: pages of other origins cannot read any."""

PROBES = ("/healthz", "/readyz")
"""Paths that are answered under any name: load balancers ask without one, and nothing there is anybody's."""

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
"""What a browser leaves out of an origin, and some proxies add to the host."""

_HANG_UP = {"Connection": "close"}  # what is still being sent is not used


class Guard:
    """Refuses what may not be asked, bounds what is sent, and adds `HEADERS` to every answer.

    ``token`` is asked of all but `OPEN_TO_ALL`; None asks for none. ``hosts`` are the names under which the server may
    be called, which keeps out pages that point a name of their own at this machine; None allows any.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str] | None, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._hosts = None if hosts is None else {name.lower() for name in hosts}
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        _to_origin_form(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope)
        except ProblemError as error:
            answer = response(error.status, error.detail, headers=error.headers)
            hangs_up = error.headers.items() >= _HANG_UP.items()
            await answer(scope, receive, self._lingering(receive, send_with_headers) if hangs_up else send_with_headers)
            return
        bounded = self._bounded(receive) if scope["type"] == "http" else receive
        await self._app(scope, bounded, send_with_headers)

    def _check(self, scope: Scope) -> None:
        """Raise ProblemError where a request is to be refused for what its head says."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if self._hosts is not None and scope["path"] not in PROBES and _name(host) not in self._hosts:
            raise ProblemError(421, f"this server answers as {' or '.join(self._hosts)}, not as {host[:80]!r}")
        origin = headers.get("origin")
        scheme, _, page = (origin or "").lower().partition("://")
        if origin is not None and page != host.removesuffix(_DEFAULT_PORTS.get(scheme, "")):
            raise ProblemError(403, f"pages from {origin[:80]!r} may not use this server; only its own page may")
        self._check_token(scope["path"], headers)
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = Counter(name for name, _ in query)
        if twice := [name for name, count in given.items() if count > 1]:
            raise ProblemError(422, f"query.{twice[0][:80]}: given {given[twice[0]]} times; give it once")
        size = headers.get("content-length", "0")
        if size.isdecimal() and int(size) > self._limits.body_bytes:
            raise self._too_large()

    def _check_token(self, path: str, headers: Headers) -> None:
        if self._token is None or OPEN_TO_ALL.fullmatch(path):
            return
        given = _given_token(headers)
        if given is None or not hmac.compare_digest(given, self._token):
            what = "this server needs a token" if given is None else "the token is wrong"
            raise ProblemError(
                401, f"{what}; send the header: Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
            )

    def _bounded(self, receive: Receive) -> Receive:
        """The same body, in which ProblemError is raised where it is too large, or does not come."""
        size, whole = 0, False

        async def receive_within() -> Message:
            nonlocal size, whole
            if whole:  # what comes now is that the client goes away
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._limits.idle_seconds)
            except TimeoutError:
                raise ProblemError(
                    408,
                    f"nothing arrived for {self._limits.idle_seconds:g} s; send the request again",
                    headers=_HANG_UP,
                ) from None
            size += len(message.get("body", b""))
            if size > self._limits.body_bytes:
                raise self._too_large()
            whole = not message.get("more_body", False)
            return message

        return receive_within

    def _lingering(self, receive: Receive, send: Send) -> Send:
        """The same answer, but what the client still sends is received, and dropped, before the connection ends.

        Many clients read no answer before they have sent all; those that write to an ended connection never see it.
        """

        async def send_and_linger(message: Message) -> None:
            if message["type"] == "http.response.body":
                await send({**message, "more_body": True})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.idle_seconds):
                        while (await receive()).get("more_body", False):
                            pass
                message = {"type": "http.response.body"}
            await send(message)

        return send_and_linger

    def _too_large(self) -> ProblemError:
        most = self._limits.body_bytes / 1e6
        return ProblemError(
            413, f"the body is more than {most:g} MB; send less at once, or use a compressed format", headers=_HANG_UP
        )


def _to_origin_form(scope: Scope) -> None:
    """Read ``GET http://host/path``, as clients ask a proxy, like ``GET /path`` with this host (RFC 9112, 3.2.2)."""
    scheme, _, rest = (scope.get("raw_path") or b"").partition(b"://")
    if scheme.lower() not in (b"http", b"https"):
        return
    host, _, path = rest.partition(b"/")
    scope["raw_path"] = b"/" + path
    scope["path"] = unquote((b"/" + path).decode("ascii"))
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"host"] + [(b"host", host)]


def _name(host: str) -> str:
    """The name in ``name:port``, without the brackets of an IPv6 address.

    >>> _name("localhost:8000"), _name("[::1]:8000"), _name("::1")
    ('localhost', '::1', '')
    """
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _given_token(headers: Headers) -> bytes | None:
    """The token that a request gives, in its header or as a protocol of its WebSocket."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip().encode()
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        text = protocol.strip()
        if text.startswith(BEARER):
            encoded = text.removeprefix(BEARER)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            except (binascii.Error, ValueError):
                return b""
    return None
