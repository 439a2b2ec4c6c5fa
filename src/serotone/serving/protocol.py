"""HTTP as uvicorn speaks it; beyond that, connections that ask nothing end, and what is no HTTP gets a problem."""

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from serotone.serving import problems


class Protocol(H11Protocol):
    """One connection. Where ``idle_seconds`` go by without a whole head of a request, it is closed."""

    idle_seconds = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch over a connection."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection."""
        self._alarm.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            content = json.dumps(problems.body(400, f"this is not HTTP: {msg}")).encode()
            head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {problems.MEDIA_TYPE}\r\nconnection: close\r\n"
            self.transport.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        self.transport.close()

    def _watch(self) -> None:
        seen: Any = self.cycle  # the request that was answered last, if any

        def look() -> None:
            if self.transport.is_closing() or self.transport.get_protocol() is not self:  # it is a WebSocket now
                return
            if self.cycle is seen and (seen is None or seen.response_complete):
                self.transport.close()
            else:
                self._watch()

        self._alarm = self.loop.call_later(self.idle_seconds, look)


def patient(idle_seconds: float) -> type[Protocol]:
    """The protocol with a bound of its own on idle connections."""
    return type("Patient", (Protocol,), {"idle_seconds": idle_seconds})
