"""A local proxy that forwards full URLs, opens tunnels, and refuses chosen requests.

```python
from moorage import ConnectorManager, Proxy, Request, Service
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.testing import ProxyServer, VendorServer

with VendorServer() as vendor, ProxyServer(target=vendor.address) as proxy:
    vendor.respond_json({"rate": "0.19"})
    with StdlibHttpClient(proxy=Proxy.at(proxy.url)) as http:
        manager = ConnectorManager([Service("vat", base_url=vendor.url)], http=http)
        manager.call("vat", Request.get("/rates"))
    print(proxy.requests[0].method)  # → GET
```
"""

from __future__ import annotations

import contextlib
import socket
from base64 import b64decode
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from moorage.errors import InvalidData
from moorage.testing.fakes._http_reading import RequestHead, read_body, read_head

if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import Self

    from moorage.domain.http.headers import Headers

_LOCALHOST: Final = "127.0.0.1"
_MOST_BYTES_AT_ONCE: Final = 65_536
_LOGIN_REQUIRED: Final = b'HTTP/1.1 407 Who Are You\r\nProxy-Authenticate: Basic realm="proxy"\r\n'
_OWN_HEADERS: Final = frozenset({"proxy-authorization", "proxy-connection", "connection"})


class ProxyServer:
    """A local HTTP proxy, which runs during its `with` block.

    Args:
        target: the host and port to which it connects whatever host is named, so that names need
            not exist.
        credentials: the user name and password that it requires; None to require none.
        answers: bytes that it sends instead of opening a tunnel, before it closes the connection;
            b"" closes it immediately.
        tls: the context with which it speaks TLS; None for no TLS.

    Attributes:
        address: the host and port where it listens.
        requests: the requests that it received, including those for tunnels, in order.
        patience: seconds to wait for an event that a test expects.
    """

    def __init__(
        self,
        *,
        target: tuple[str, int],
        credentials: tuple[str, str] | None = None,
        answers: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._target = target
        self._credentials = credentials
        self._answers = answers
        self._tls = tls
        self._door = socket.socket()
        self._sockets: list[socket.socket] = []
        self._threads: list[Thread] = []
        self._changed = Condition()
        self._closed = 0
        self._leaving = False
        self.address: tuple[str, int] = (_LOCALHOST, 0)
        self.requests: list[RequestHead] = []
        self.patience = 5.0

    @property
    def url(self) -> str:
        """The URL of the proxy, without user name and password."""
        host, port = self.address
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    def wait_for_closed(self, count: int = 1) -> None:
        """Wait until this many connections to the proxy have ended."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed >= count, self.patience):
                raise AssertionError(f"{count} connections did not end in {self.patience} s.")

    def start(self) -> Self:
        """Start the proxy, to run until `close()` or the end of the program, and return it."""
        self._door.bind((_LOCALHOST, 0))
        self._door.listen()
        self.address = self._door.getsockname()
        self._start(self._accept_connections)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the proxy: close all connections, and wait for its threads."""
        self._leaving = True
        with contextlib.suppress(OSError), socket.create_connection(self.address):
            pass  # this wakes the thread that accepts connections
        self._threads[0].join()
        for sock in self._sockets:
            _shut_down(sock)
        for thread in self._threads:
            thread.join()
        for sock in (self._door, *self._sockets):
            sock.close()

    def _start(self, work: object, *arguments: object) -> Thread:
        thread = Thread(target=work, args=arguments, name="moorage proxy server", daemon=True)  # type: ignore[arg-type]  # some function
        with self._changed:
            self._threads.append(thread)
        thread.start()
        return thread

    def _accept_connections(self) -> None:
        while True:
            sock, _ = self._door.accept()
            if self._leaving:
                sock.close()
                return
            if self._tls is not None:
                try:
                    sock = self._tls.wrap_socket(
                        sock, server_side=True, do_handshake_on_connect=False
                    )
                except OSError:  # the client has reset the connection
                    sock.close()
                    continue
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        # A client may disconnect at any time.
        with contextlib.suppress(OSError, EOFError, ValueError, InvalidData):
            file = sock.makefile("rb")
            head = read_head(file)
            if head is not None:
                self.requests.append(head)
                if not self._is_known(head.headers):
                    sock.sendall(
                        _LOGIN_REQUIRED + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
                    )
                elif self._answers is not None:
                    sock.sendall(self._answers)
                elif head.method == "CONNECT":
                    self._tunnel(sock)
                else:
                    self._forward(sock, head, read_body(file, head.headers))
        _shut_down(sock)
        with self._changed:
            self._closed += 1
            self._changed.notify_all()

    def _is_known(self, headers: Headers) -> bool:
        scheme, _, encoded_credentials = headers.get("proxy-authorization", "").partition(" ")
        if self._credentials is None:
            return True
        return scheme == "Basic" and b64decode(encoded_credentials).decode() == ":".join(
            self._credentials
        )

    def _connect_to_target(self) -> socket.socket:
        upstream = socket.create_connection(self._target)
        self._sockets.append(upstream)
        return upstream

    def _tunnel(self, sock: socket.socket) -> None:
        upstream = self._connect_to_target()
        sock.sendall(b"HTTP/1.1 200 Connected\r\nConnection: close\r\n\r\n")
        returned_thread = self._start(_copy_bytes, upstream, sock)
        _copy_bytes(sock, upstream)
        returned_thread.join()

    def _forward(self, sock: socket.socket, head: RequestHead, body: bytes) -> None:
        """Forward one request and its response, and close the connection."""
        _, _, path, query, _ = urlsplit(head.target)
        fields = [
            (name, value) for name, value in head.headers.pairs if name.lower() not in _OWN_HEADERS
        ]
        lines = [f"{head.method} {path}{'?' if query else ''}{query} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in (*fields, ("Connection", "close"))]
        upstream = self._connect_to_target()
        upstream.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        answer = b""
        while data := upstream.recv(_MOST_BYTES_AT_ONCE):
            answer += data
        start, _, remaining_bytes = answer.partition(b"\r\n")
        sock.sendall(start + b"\r\nConnection: close\r\n" + remaining_bytes)


def _copy_bytes(source: socket.socket, target: socket.socket) -> None:
    """Copy all bytes from one socket to another, then signal the end of the stream."""
    with contextlib.suppress(OSError):
        while data := source.recv(_MOST_BYTES_AT_ONCE):
            target.sendall(data)
    _shut_down(target)


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
