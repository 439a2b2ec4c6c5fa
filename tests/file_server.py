"""A small HTTP server on this machine: ranges, versions, redirects, and connections that break off."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Files:
    """What the server has, and what it was asked."""

    contents: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    version: str = '"1"'
    break_after: int | None = None
    """Bytes after which a connection breaks off; None for never."""
    announce: bool = True
    """Whether an answer says how long it is."""
    ranges: list[str | None] = field(default_factory=list)
    """The range of each request for a file."""
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    files: Files

    def do_GET(self) -> None:
        files = self.files
        if self.path in files.redirects:
            self.send_response(302)
            self.send_header("Location", files.redirects[self.path])
            self.end_headers()
            return
        if self.path not in files.contents:
            self.send_error(404)
            return
        content, first = files.contents[self.path], 0
        asked = self.headers.get("Range")
        files.ranges.append(asked)
        if asked is not None and self.headers.get("If-Range") == files.version:
            first = int(asked.removeprefix("bytes=").rstrip("-"))
        if first and first >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        if files.version:
            self.send_header("ETag", files.version)
        if files.announce:
            self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        end = None if files.break_after is None else first + files.break_after
        self.wfile.write(content[first:end])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Files]:
    """A server for the length of a test."""
    files = Files()
    handler = type("Handler", (_Handler,), {"files": files})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    files.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
