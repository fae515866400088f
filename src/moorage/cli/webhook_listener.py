"""A local server that receives webhooks one at a time."""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, Final

from moorage.dashboard.request_stream import RequestStream
from moorage.errors import ConfigurationError
from moorage.hub.receiving import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

_HOST: Final = "127.0.0.1"
_LARGEST_REQUEST: Final = 8 * LIMIT
"""Bytes of a request, of whose chunks each may be a single byte."""
_LENGTH: Final = re.compile(r"[0-9]{1,10}")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[;\s]")
_LONGEST_LINE: Final = 1_000
"""The bytes of the longest line between the chunks of a body."""


class _Request(BaseHTTPRequestHandler):
    """A handler that answers each request with the status of its verification."""

    server: Listener  # pyright: ignore[reportIncompatibleVariableOverride] - the server is always a Listener

    def setup(self) -> None:
        """Read the request with limits on size and time, so that no client delays the others."""
        super().setup()
        self.rfile.close()
        self.rfile = RequestStream(self.connection, _LARGEST_REQUEST).buffered()

    def do_POST(self) -> None:
        """Read a webhook, verify it, and answer."""
        body = self._body()
        status = 413
        if body is not None:
            status = self.server.verify(
                {
                    "headers": self.headers.items(),
                    "body": body,
                    "url": self._url(),
                    "method": self.command,
                }
            )
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _url(self) -> str:
        """Return the URL that the sender requested, which a tunnel to this server reports."""
        protocol = self.headers.get("x-forwarded-proto", "http").partition(",")[0].strip().lower()
        host = self.headers.get("x-forwarded-host", self.headers.get("host", _HOST))
        return f"{'https' if protocol == 'https' else 'http'}://{host}{self.path}"

    def _body(self) -> bytes | None:
        """Return the body; None if it is malformed, or larger than the limit."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return self._chunked_body()
        length = self.headers.get("content-length", "0")
        is_valid = _LENGTH.fullmatch(length) is not None and int(length) <= LIMIT
        return self.rfile.read(int(length)) if is_valid else None

    def _chunked_body(self) -> bytes | None:
        """Return the body of a chunked request, such as a tunnel sends, without Content-Length."""
        chunks: list[bytes] = []
        remaining = LIMIT
        while (match := _CHUNK_SIZE.match(self.rfile.readline(_LONGEST_LINE))) is not None:
            size = int(match[1], 16)
            if size == 0:
                while self.rfile.readline(_LONGEST_LINE).strip():  # fields after the body
                    pass
                return b"".join(chunks)
            if size > remaining:
                break
            remaining -= size
            chunks.append(self.rfile.read(size))
            self.rfile.readline(_LONGEST_LINE)
        return None

    do_GET = do_POST  # noqa: N815 - the base class looks for these names
    do_PUT = do_POST  # noqa: N815 - the base class looks for these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Log nothing; the caller prints each webhook."""


class Listener(HTTPServer):
    """A server for webhooks on 127.0.0.1.

    Args:
        port: the port to listen on; 0 for any free port.
        verify: verifies a request, given the arguments of `WebhookVerifier.verify`, and returns
            the status to answer with.
    """

    def __init__(self, port: int, verify: Callable[[dict[str, Any]], int]) -> None:
        self.verify = verify
        try:
            super().__init__((_HOST, port), _Request)
        except (OSError, OverflowError):
            raise ConfigurationError(
                f"The port {port} of {_HOST} is not available.",
                path="--port",
                remedy="Pass another port, or 0 for any free port.",
            ) from None

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://{_HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed its connection."""
