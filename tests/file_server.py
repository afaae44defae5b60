"""A small HTTP server in the test process that stands for Zenodo and its like, with every way to misbehave."""

from __future__ import annotations

import dataclasses
import http.server
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@dataclasses.dataclass
class Served:
    """One address: what it holds, and how it behaves.

    Attributes
    ----------
    content
        The file.
    statuses
        Sent first, one a request, instead of the file.
    redirect
        Where it leads instead.
    breaks_at
        After how many bytes of the file the connection is cut, one a request; then no more.
    claims
        The length that it announces, instead of the true one.
    pause_s
        Rest before each piece of 1/10 of the file.
    ranges, validates, chunked
        Whether it knows ranges, sends an ETag, and does not say its length.
    headers
        Sent besides.
    gate
        Waited for half way through the file.
    """

    content: bytes = b""
    statuses: list[int] = dataclasses.field(default_factory=list)
    redirect: str = ""
    breaks_at: list[int] = dataclasses.field(default_factory=list)
    claims: int | None = None
    pause_s: float = 0.0
    ranges: bool = True
    validates: bool = True
    chunked: bool = False
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    gate: threading.Event | None = None


@dataclasses.dataclass(frozen=True)
class Logged:
    """A request, and how many bytes of the file it was sent."""

    path: str
    headers: dict[str, str]
    status: int
    sent: int


@dataclasses.dataclass
class Answer:
    """How far the answer to a request has got."""

    status: int = 0
    sent: int = 0


class FileServer:
    """Serves `files` by path and logs every request."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self._log: list[Logged] = []
        self._answering = 0
        self._changed = threading.Condition()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments: Any) -> None:
                """A client that goes away is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def log(self) -> list[Logged]:
        """All requests so far; those that are just being answered are waited for."""
        with self._changed:
            self._changed.wait_for(lambda: self._answering == 0, timeout=5)
            return list(self._log)

    def put(self, path: str, content: bytes = b"", **behaviour: Any) -> str:
        """Serve a file and return its address."""
        self.files[path] = Served(content, **behaviour)
        return self.url + path

    def asked(self, path: str) -> list[Logged]:
        """Return the requests for a path."""
        return [logged for logged in self.log if logged.path == path]

    @contextmanager
    def running(self) -> Iterator[FileServer]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        path = handler.path.split("?")[0]
        served = self.files.get(path)
        answered = Answer()
        with self._changed:
            self._answering += 1
        try:
            if served is None:
                self._say(handler, answered, 404)
            elif served.redirect:
                self._say(handler, answered, 302, {"Location": served.redirect})
            elif served.statuses:
                self._say(handler, answered, served.statuses.pop(0), served.headers)
            else:
                self._send(handler, answered, served)
        finally:
            # Also where the client went away in the middle of it.
            with self._changed:
                self._log.append(Logged(path, dict(handler.headers), answered.status, answered.sent))
                self._answering -= 1
                self._changed.notify_all()

    @staticmethod
    def _say(
        handler: http.server.BaseHTTPRequestHandler,
        answered: Answer,
        status: int,
        headers: dict[str, str] | None = None,
    ) -> None:
        answered.status = status
        handler.send_response(status)
        has_length = headers is not None and not {"Content-Length", "Transfer-Encoding"}.isdisjoint(headers)
        for name, value in {**({} if has_length else {"Content-Length": "0"}), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()

    def _send(self, handler: http.server.BaseHTTPRequestHandler, answered: Answer, served: Served) -> None:
        content, etag = served.content, f'"{hash(served.content)}"'
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if asked and served.ranges and handler.headers.get("If-Range", etag) == etag:
            start, status = int(asked[1]), 206
        if status == 206 and start >= len(content):
            self._say(handler, answered, 416, {"Content-Range": f"bytes */{len(content)}"})
            return
        headers = dict(served.headers)
        if served.validates:
            headers["ETag"] = etag
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if served.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str((served.claims or len(content)) - start)
        self._say(handler, answered, status, {"Content-Type": "application/octet-stream", **headers})
        self._body(handler, answered, served, start)

    @staticmethod
    def _body(handler: http.server.BaseHTTPRequestHandler, answered: Answer, served: Served, start: int) -> None:
        content = served.content
        end = served.breaks_at.pop(0) if served.breaks_at else len(content)
        step = max(1, len(content) // 10)
        for first in range(start, end, step):
            piece = content[first : min(first + step, end)]
            time.sleep(served.pause_s)
            if served.gate is not None and first >= len(content) // 2:
                served.gate.wait(20)
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if served.chunked else piece)
            answered.sent += len(piece)
        if end < len(content) or (served.claims or 0) > len(content):
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        elif served.chunked:
            handler.wfile.write(b"0\r\n\r\n")
