"""A local HTTP/1.1 server that plays a vendor, with faults that a test chooses.

```python
from urllib.request import urlopen

from moorage.testing import Behaviour, VendorServer

with VendorServer() as vendor:
    vendor.respond_json({"rate": "0.19"}, path="/vat")  # once, on this path
    vendor.always(lambda request: Behaviour(200))  # and whenever nothing is queued
    print(urlopen(f"{vendor.url}/vat").read())  # → b'{"rate": "0.19"}'
    print(vendor.requests[0].method)  # → GET
```

It listens at 127.0.0.1 on a free port. A request without a scripted response gets status 501.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
from collections import defaultdict, deque
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Final, Literal

from moorage.errors import InvalidData
from moorage.testing.fakes._http_reading import read_body, read_head
from moorage.testing.fakes.http_script import Behaviour, FieldsInput, Handler, ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import BinaryIO, Self

__all__ = ["Behaviour", "Handler", "ReceivedRequest", "VendorServer"]

_ANY_PATH: Final = ""  # None stands for any path
_LOCALHOST: Final = "127.0.0.1"
_QUEUE: Final = 128
_LET_IN_WITHIN: Final = 0.02  # seconds
# SO_LINGER with a time of zero
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class VendorServer:
    """A local server that plays a vendor, which runs during its `with` block.

    `VendorServer().start()` listens until `close()`, or until the program ends.

    Args:
        tls: the context with which it speaks TLS, such as one of `moorage.testing.fakes.http_tls`.
        port: "open", or "refusing" or "ignoring" for a port that refuses or ignores connections.

    Attributes:
        address: the host and port where it listens.
        connections: number of connections that clients opened.
        closed: number of these connections that either side has closed.
        patience: seconds to wait for an event that a test expects.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        port: Literal["open", "refusing", "ignoring"] = "open",
    ) -> None:
        self._tls = tls
        self._mode = port
        self._queues: defaultdict[str, deque[Behaviour]] = defaultdict(deque)
        self._handlers: dict[str, Behaviour | Handler] = {_ANY_PATH: _unscripted_behaviour}
        self._requests: list[ReceivedRequest] = []
        self._changed = Condition()
        self._leaving = Event()
        self._threads: list[Thread] = []
        self._sockets: list[socket.socket] = []
        self._door = socket.socket()
        self.address: tuple[str, int] = (_LOCALHOST, 0)
        self.connections = 0
        self.closed = 0
        self.patience = 30.0

    # --- what it is told ---------------------------------------------------

    def queue(self, *behaviours: Behaviour, path: str | None = None) -> None:
        """Queue behaviours, each used once; those for this path precede those for any path."""
        with self._changed:
            self._queues[path or _ANY_PATH].extend(behaviours)

    def respond(
        self,
        status: int = 200,
        headers: FieldsInput = (),
        body: bytes = b"",
        *,
        path: str | None = None,
    ) -> None:
        """Queue one response of the server."""
        self.queue(Behaviour(status, headers, body), path=path)

    def respond_json(
        self,
        value: object,
        *,
        status: int = 200,
        headers: FieldsInput = (),
        path: str | None = None,
    ) -> None:
        """Queue one response with a JSON body."""
        self.queue(Behaviour.of_json(value, status=status, headers=headers), path=path)

    def always(self, behaviour: Behaviour | Handler, *, path: str | None = None) -> None:
        """Set the behaviour, or a function that returns it, for requests with none in the queue."""
        with self._changed:
            self._handlers[path or _ANY_PATH] = behaviour

    # --- what it tells -----------------------------------------------------

    @property
    def url(self) -> str:
        """The URL of the server, without a slash at the end."""
        host, port = self.address
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """The requests that the server has read, in order of completion."""
        with self._changed:
            return tuple(self._requests)

    def forget_requests(self) -> None:
        """Forget the recorded requests, so that they do not distort measurements of memory."""
        with self._changed:
            self._requests.clear()

    def wait_for_requests(self, count: int = 1) -> tuple[ReceivedRequest, ...]:
        """Wait until the server has read this many requests, and return them."""
        self._wait(lambda: len(self._requests) >= count, f"{count} requests")
        return self.requests

    def wait_for_closed(self, count: int = 1) -> None:
        """Wait until this many connections have ended."""
        self._wait(lambda: self.closed >= count, f"{count} connections that ended")

    def _wait(self, happened: Callable[[], bool], expectation: str) -> None:
        with self._changed:
            if not self._changed.wait_for(happened, self.patience):
                raise AssertionError(f"There were not {expectation} within {self.patience} s.")

    # --- how it lives ------------------------------------------------------

    def start(self, port: int = 0) -> Self:
        """Start the server, to run until `close()` or the end of the program, and return it.

        Args:
            port: the port at 127.0.0.1; 0 for any free port.
        """
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._door.bind((_LOCALHOST, port))
        self.address = self._door.getsockname()
        if self._mode == "open":
            self._door.listen(_QUEUE)
            self._start(self._accept_connections)
        elif self._mode == "ignoring":
            self._fill_backlog()
        return self

    def __enter__(self) -> Self:
        is_started = self.address[1] != 0
        return self if is_started else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server: close all connections, and wait for its threads."""
        if self._threads and not self._leaving.is_set():
            self._leaving.set()
            with contextlib.suppress(OSError), socket.create_connection(self.address):
                pass  # this wakes the thread that accepts connections
            self._threads[0].join()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (self._door, *self._sockets):
            sock.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = Thread(target=work, args=arguments, name="moorage vendor server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _fill_backlog(self) -> None:
        """Fill the queue of waiting connections, so that the system ignores new ones."""
        self._door.listen(0)
        let_in = True
        while let_in:
            sock = socket.socket()
            self._sockets.append(sock)
            sock.setblocking(False)
            sock.connect_ex(self.address)
            let_in = bool(select.select([], [sock], [], _LET_IN_WITHIN)[1])

    def _accept_connections(self) -> None:
        while True:
            sock, _ = self._door.accept()
            if self._leaving.is_set():
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                try:
                    sock = self._tls.wrap_socket(
                        sock, server_side=True, do_handshake_on_connect=False
                    )
                except OSError:  # the client has reset the connection
                    sock.close()
                    continue
            self._sockets.append(sock)
            self.connections += 1
            self._start(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, connection: int) -> None:
        file = sock.makefile("rb")
        try:
            # A client may disconnect at any time, and gets no response if it does not speak HTTP.
            with contextlib.suppress(OSError, EOFError, ValueError, InvalidData):
                if isinstance(sock, ssl.SSLSocket):
                    sock.do_handshake()
                behaviour = self._unread_behaviour()
                if behaviour is not None:
                    self._perform(sock, behaviour, "GET")
                else:
                    while self._serve_request(sock, file, connection):
                        pass
        finally:
            # The test's handler may raise any error; the client must then not wait for more data.
            file.close()
            sock.close()
            with self._changed:
                self.closed += 1
                self._changed.notify_all()

    def _serve_request(self, sock: socket.socket, file: BinaryIO, connection: int) -> bool:
        """Serve one request; return whether the connection can be used for another."""
        head = read_head(file)
        if head is None:
            return False
        method, target, headers = head
        plan = self._plan(target.partition("?")[0])
        body = b""
        if not isinstance(plan, Behaviour) or plan.reads == "all":
            if "expect" in headers:
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = read_body(file, headers)
        received_request = ReceivedRequest(method, target, headers, body, connection)
        with self._changed:
            self._requests.append(received_request)
            self._changed.notify_all()
        behaviour = plan if isinstance(plan, Behaviour) else plan(received_request)
        is_lasting = self._perform(sock, behaviour, method)
        return is_lasting and headers.get("connection", "").lower() != "close"

    def _unread_behaviour(self) -> Behaviour | None:
        """Return the next behaviour, if it takes effect before a request arrives."""
        with self._changed:
            queue = self._queues[_ANY_PATH]
            return queue.popleft() if queue and queue[0].reads == "nothing" else None

    def _plan(self, path: str) -> Behaviour | Handler:
        with self._changed:
            for queue in (self._queues[path], self._queues[_ANY_PATH]):
                if queue:
                    return queue.popleft()
            return self._handlers.get(path) or self._handlers[_ANY_PATH]

    def _perform(self, sock: socket.socket, behaviour: Behaviour, method: str) -> bool:
        if self._leaving.wait(behaviour.delay):
            return False
        data = behaviour.wire(method)
        size = behaviour.piece or len(data) or 1
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
            if behaviour.pause and self._leaving.wait(behaviour.pause):
                return False
        while behaviour.repeat and not self._leaving.wait(behaviour.pause):
            sock.sendall(behaviour.repeat)
        if behaviour.then == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if not behaviour.last and behaviour.reads != "all":
            self._leaving.wait()
        return not behaviour.last


def _unscripted_behaviour(received: ReceivedRequest) -> Behaviour:
    text = f"This test prepared no response to {received.method} {received.target}"
    return Behaviour(501, {"Content-Type": "text/plain"}, text.encode())
