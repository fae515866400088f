"""A server for storage sandboxes, with bodies of any size in both directions."""

from __future__ import annotations

import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import parse_qsl, urlsplit

from moorage.domain.http.headers import Headers
from moorage.errors import ConnectorError
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.storage._s3_store import PIECE, Spool

if TYPE_CHECKING:
    from types import TracebackType

    from moorage.testing.sandboxes.storage._spooling import SpoolingSandbox

_BACKLOG: Final = 32


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = _BACKLOG
    sandbox: SpoolingSandbox

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed its connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        """Respond to one HTTP request."""
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self._answer()
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's
        """Do nothing, so that requests are not logged."""

    def _answer(self) -> None:
        sandbox = cast("_Server", self.server).sandbox
        length = int(self.headers.get("content-length") or 0)
        upto = sandbox.bytes_before_cut(self.command, length)
        spool = Spool(sandbox.folder)
        remaining_size = length if upto is None else upto
        while remaining_size and (data := self.rfile.read(min(PIECE, remaining_size))):
            remaining_size -= len(data)
            spool.write(data)
        spool.close()
        if upto is not None or remaining_size:
            spool.drop()
            self.close_connection = True
            return
        url = urlsplit(self.path)
        request = SandboxRequest(
            self.command,
            self.headers.get("host", ""),
            url.path,
            tuple(parse_qsl(url.query, keep_blank_values=True)),
            Headers(self.headers.items()),
            b"",
        )
        try:
            reply = sandbox.handle(request, spool)
        except ConnectorError:
            self.close_connection = True
            return
        time.sleep(sandbox.take_delay())
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in reply.headers and reply.status not in {204, 304}:
            self.send_header("Content-Length", str(reply.length))
        self.end_headers()
        if self.command == "HEAD":
            return
        remaining_size = reply.length
        end = sandbox.breaks_off(self.command, remaining_size)
        for data in reply.chunks():
            if end is not None and len(data) >= end:
                self.wfile.write(data[:end])
                self.close_connection = True
                return
            end = None if end is None else end - len(data)
            self.wfile.write(data)


class S3Server:
    """Serves a storage sandbox on a local port until it is closed."""

    def __init__(self, sandbox: SpoolingSandbox) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.sandbox = sandbox
        self._thread = Thread(
            target=self._server.serve_forever,
            args=(0.02,),
            name="moorage storage sandbox",
            daemon=True,
        )

    @property
    def url(self) -> str:
        """The URL of the server, without a slash at the end."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        with suppress(RuntimeError):
            self._thread.join()
