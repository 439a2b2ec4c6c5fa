"""What Prometheus reads at ``/metrics``, and the middleware that counts requests."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The server's figures, in a registry of their own, so that one process may hold several servers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "serotone_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "serotone_request_seconds",
            "Seconds from request to answer.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.audio = Counter("serotone_audio_seconds", "Seconds of audio heard.", ["way"], registry=self.registry)
        self.answers = Counter(
            "serotone_answers", "Recordings and streams answered.", ["bundle", "adapted"], registry=self.registry
        )

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Show a number that somebody else keeps."""
        Gauge(f"serotone_{name}", about, registry=self.registry).set_function(value)


def status_of(message: Message) -> int | None:
    """The status that the first message of an answer gives a request or a WebSocket; None where it gives none."""
    if message["type"] in ("http.response.start", "websocket.http.response.start"):
        return int(message["status"])
    return {"websocket.accept": 101, "websocket.close": 403}.get(message["type"])


class Counted:
    """Counts every request by its route's pattern, so that there are as many rows as routes."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it when it is over."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status: int | None = None

        async def send_and_see(message: Message) -> None:
            nonlocal status
            status = status or status_of(message)
            await send(message)

        try:
            await self._app(scope, receive, send_and_see)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope.get("method", "WS")
            known = method if method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "WS") else "other"
            self._metrics.requests.labels(route, known, str(status or 500)).inc()
            if scope["type"] == "http":
                self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)
