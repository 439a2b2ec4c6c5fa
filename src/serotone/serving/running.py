"""The server as a process: uvicorn, told to end in order."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
from types import FrameType
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serotone.errors import SerotoneError
from serotone.serving.app import Desk
from serotone.serving.metrics import status_of
from serotone.serving.protocol import patient
from serotone.serving.streams import MESSAGE_BYTES

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "filters": {
        "paths": {"()": "serotone.serving.running.PathsOnly"},
        "refusals": {"()": "serotone.serving.running.NoRefusals"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["paths", "refusals"]}},
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "uvicorn.access": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "serotone.serving": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "python_multipart": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}
"""All of the log on standard error; names of recordings are not in it."""


class PathsOnly(logging.Filter):
    """Leaves the options of a request out of the log: they may name a recording."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten a line of uvicorn's about a request: client, method, path, version, status."""
        if record.name == "uvicorn.access" and isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            record.args = (client, method, str(path).partition("?")[0], version, status)
        return True


class NoRefusals(logging.Filter):
    """Leaves out uvicorn's error about each refused WebSocket: it was answered, and `Logged` has a line for it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is about anything else."""
        return record.msg != "ASGI callable returned without completing handshake."


_log = logging.getLogger("serotone.serving")
_access = logging.getLogger("uvicorn.access")

_LAST_WORDS_SECONDS = 5
"""For the answers that requests get when the time of grace is over, or at a second Ctrl-C."""


class Logged:
    """Logs a line for each WebSocket as uvicorn does for each request, when it is accepted or refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log the first answer to a WebSocket."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        status: int | None = None

        async def send_and_log(message: Message) -> None:
            nonlocal status
            if status is None and (status := status_of(message)) is not None:
                client = ":".join(map(str, scope.get("client") or ()))
                # The arguments are those of uvicorn's own lines; formatters of the log rely on them.
                _access.info(
                    '%s - "%s %s HTTP/%s" %d', client, "GET", quote(scope["path"]), scope["http_version"], status
                )
            await send(message)

        await self._app(scope, receive, send_and_log)


class Server(uvicorn.Server):
    """Ends in order: streams send their summaries, requests get their answers, and only then connections close."""

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self._desk = desk

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say where."""
        await super().startup(sockets)
        if self.started:
            for listening in self.servers[0].sockets:
                host, port = listening.getsockname()[:2]
                _log.info(
                    "serotone listens at http://%s:%d (Ctrl-C ends it)", f"[{host}]" if ":" in host else host, port
                )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is held within the time of grace, and end; a second signal ends at once."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._desk.limits.grace_seconds
        # Not those that the pool holds: a body that is being received is an open request, too.
        _log.info("shutting down; %d requests and %d streams are open", self._desk.uploads, self._desk.streams.live)
        draining = asyncio.ensure_future(self._desk.drain())
        while not draining.done() and not self.force_exit:
            await asyncio.wait({draining}, timeout=0.1)
        draining.cancel()
        while self._closing() and loop.time() < deadline and not self.force_exit:
            await asyncio.sleep(0.02)
        left = max(0.0, deadline - loop.time())
        loop.call_later(left, self._desk.over.set)
        self.config.timeout_graceful_shutdown = math.ceil(left) + _LAST_WORDS_SECONDS
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would cancel what is left, and log a traceback for each
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_SECONDS):
                    if self.server_state.tasks:
                        await asyncio.wait(self.server_state.tasks)
                    await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal; at the second Ctrl-C, requests that have no answer yet are told so."""
        super().handle_exit(sig, frame)
        if self.force_exit:
            asyncio.get_running_loop().call_soon_threadsafe(self._desk.over.set)

    def _closing(self) -> bool:
        """Whether a WebSocket waits for its client to close, too: one that is cut before that may lose its summary."""
        return any(getattr(connection, "close_sent", False) for connection in self.server_state.connections)


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address, before anything is loaded; raises SerotoneError where it cannot be had."""
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        bound = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere it would let two processes share the port
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise SerotoneError(
            f"cannot listen on {host}, port {port} ({error.strerror}); give another --port or --host"
        ) from error
    return bound


def run(app: FastAPI, bound: socket.socket) -> None:
    """Serve until a signal asks to end; a second one ends at once."""
    desk: Desk = app.state.desk
    config = uvicorn.Config(
        Logged(app),
        loop="asyncio",  # the same everywhere, whatever else is installed
        http=patient(desk.limits.idle_seconds),
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_ping_interval=desk.limits.idle_seconds,
        ws_ping_timeout=desk.limits.idle_seconds,
        timeout_keep_alive=5,
        log_config=LOGGING,
        server_header=False,
        proxy_headers=False,
    )
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    Server(config, desk).run([bound])
