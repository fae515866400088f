"""The authorisation server's HTTP/1.1 listener; each connection persists and has a thread."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import parse_qs, urlsplit

from tests.support.authorization_values import Answer, Call

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tests.support.authorization_faults import Fault

_NO_GOODBYE: Final = struct.pack("ii", 1, 0)  # linger, for no time
_MOST_BYTES: Final = 1 << 20


class ResponseSource(Protocol):
    """The object that decides about the listener's responses."""

    url: str

    def now(self) -> datetime:
        """Return the time of the server's clock."""
        ...

    def arrive(self, method: str, path: str) -> Fault | None:
        """Record a request whose head was read, and return the fault to inject into it."""
        ...

    def answer(self, call: Call, path: str, fault: Fault | None) -> Answer | None:
        """Return the response to a request, or None to disconnect."""
        ...

    def dismiss(self, path: str) -> None:
        """Record the end of a request."""
        ...


class Listener(ThreadingHTTPServer):
    """An HTTP server that closes all its connections when it is closed."""

    request_queue_size = 512

    def __init__(self, site: ResponseSource, tls: ssl.SSLContext | None) -> None:
        self.site = site
        self.tls = tls
        self.connections = 0
        self.mistakes: list[BaseException] = []
        self._lock = Lock()
        self._open: dict[Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", 0), _Conversation)
        self._accepting = Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def server_bind(self) -> None:
        """Bind without looking up the name of this machine."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # an address of IPv4

    def start(self) -> None:
        """Start accepting connections."""
        self._accepting.start()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its TLS handshake runs in its own thread."""
        sock, address = super().get_request()
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return sock, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in a thread that `hang_up` can reach."""
        thread = Thread(target=self._converse, args=(request, client_address), daemon=True)
        with self._lock:
            self.connections += 1
            self._open[thread] = request
        thread.start()

    def _converse(self, request: socket.socket, address: Any) -> None:
        self.process_request_thread(request, address)
        with self._lock:
            del self._open[current_thread()]

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore lost connections; store other exceptions, to raise them when the server ends."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.mistakes.append(error)

    def hang_up(self) -> None:
        """Close every connection; new ones are accepted."""
        with self._lock:
            open_sockets = dict(self._open)
        for sock in open_sockets.values():
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop accepting connections, close the open ones, and wait for their threads."""
        self.shutdown()
        self._accepting.join()
        with self._lock:
            threads = list(self._open)
        self.hang_up()
        for thread in threads:
            thread.join()
        self.server_close()


class _Conversation(BaseHTTPRequestHandler):
    """One connection to the server."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base has it
        """Log nothing, because the server records every request."""

    def do_GET(self) -> None:
        """Handle a request."""
        site = cast("Listener", self.server).site
        target = urlsplit(self.path)
        fault = site.arrive(self.command, target.path)
        try:
            self._serve(site, target.path, target.query, fault)
        finally:
            site.dismiss(target.path)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815 - as its base calls them

    def _serve(self, site: ResponseSource, path: str, query: str, fault: Fault | None) -> None:
        if fault is not None and not fault.read:
            site.answer(self._call(site, path, query, b""), path, fault)
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_GOODBYE)
            self.request.close()
            self.close_connection = True
            return
        body = self._body()
        if body is None:
            self.close_connection = True
            self._say(Answer(status=411, members={"error": "invalid_request"}))
            return
        answer = site.answer(self._call(site, path, query, body), path, fault)
        if answer is None:
            self.close_connection = True
            return
        self._say(answer)

    def _body(self) -> bytes | None:
        """Return the request's body, or None if its length is unknown or too large."""
        length = self.headers.get("Content-Length", "0")
        if (
            "Transfer-Encoding" in self.headers
            or not length.isdecimal()
            or int(length) > _MOST_BYTES
        ):
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError("The client disconnected before its request was complete.")
        return body

    def _call(self, site: ResponseSource, path: str, query: str, body: bytes) -> Call:
        form = _parse_form(body) if body else {}
        is_named = self.headers.get_content_type() == "application/x-www-form-urlencoded"
        is_secure = isinstance(self.request, ssl.SSLSocket)
        return Call(
            method=self.command,
            url=f"{site.url}{path}",
            query=_parse_form(query.encode()) or {},
            fields={name.lower(): tuple(self.headers.get_all(name, [])) for name in self.headers},
            form=(form or {}) if is_named else {},
            formed=is_named and form is not None and "Content-Type" in self.headers,
            certificate=self.request.getpeercert(binary_form=True) if is_secure else None,
            now=site.now(),
        )

    def _say(self, answer: Answer) -> None:
        body = answer.body if answer.members is None else json.dumps(answer.members).encode()
        self.close_connection = self.close_connection or answer.short > 0
        self.send_response(answer.status)
        for name, text in answer.headers:
            self.send_header(name, text)
        if body:
            self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[: len(body) - answer.short])


def _parse_form(text: bytes) -> Mapping[str, tuple[str, ...]] | None:
    """Return the non-empty form parameters with all values; none if the body is not a form."""
    try:
        fields = parse_qs(text.decode("ascii"), errors="strict", max_num_fields=1000)
    except ValueError:
        return None
    return {name: tuple(values) for name, values in fields.items()}
