"""A TCP proxy in front of a server, which can cut connections, or delay and withhold data.

```python
from moorage.testing import TcpProxy

with TcpProxy("127.0.0.1", 5432) as proxy:
    host, port = proxy.address    # where your program connects
    proxy.withhold_responses()    # the server works, and its responses do not arrive
    proxy.restore()
```
"""

from __future__ import annotations

import contextlib
import socket
import time
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

_MOST_BYTES_AT_ONCE: Final = 65_536


class TcpProxy:
    """A proxy that forwards data between clients and a server, with faults set by a test.

    It listens on this machine, from its construction to the end of its `with` block.

    Args:
        host: the host of the server.
        port: the port of the server.

    Attributes:
        address: the host and port where the proxy listens.
        connections: the number of connections that clients opened so far.
        requests: the number of times that a client sent something after a response, or first.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self.connections = 0
        self.requests = 0
        self._delay = 0.0
        self._is_cut = False
        self._responses_left: int | None = None
        self._requests_pass = _set_event()
        self._responses_pass = _set_event()
        self._lock = Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: set[Thread] = set()
        self._start(self._accept)

    def cut_connections(self) -> None:
        """Close all connections, and close each new one immediately until `restore` is called."""
        self._is_cut = True
        with self._lock:
            for sock in self._sockets:
                _shut_down(sock)

    def cut_after(self, responses: int) -> None:
        """Forward this many more pieces of responses, then close the connections."""
        self._responses_left = responses

    def delay_responses(self, seconds: float = 1.0) -> None:
        """Delay each piece of a response by this many seconds."""
        self._delay = seconds

    def withhold(self) -> None:
        """Withhold all data in both directions, until `restore` is called."""
        self._requests_pass.clear()
        self._responses_pass.clear()

    def withhold_responses(self) -> None:
        """Forward requests, but withhold responses until `restore` is called."""
        self._responses_pass.clear()

    def restore(self) -> None:
        """End all faults, and forward everything again."""
        self._is_cut, self._delay, self._responses_left = False, 0.0, None
        self._requests_pass.set()
        self._responses_pass.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()
        self.cut_connections()
        _shut_down(self._listener)
        # A thread that accepts or serves a connection may start another thread.
        while threads := self._running_threads():
            for thread in threads:
                thread.join()
        self._listener.close()

    def _running_threads(self) -> list[Thread]:
        with self._lock:
            return list(self._threads)

    def _start(self, work: Callable[..., object], *arguments: object) -> Thread:
        def run() -> None:
            work(*arguments)
            with self._lock:
                self._threads.discard(thread)

        thread = Thread(target=run, daemon=True)
        # Only threads that have started can be waited for.
        with self._lock:
            thread.start()
            self._threads.add(thread)
        return thread

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                if self._is_cut:
                    client.close()
                else:
                    self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        """Forward data between a client and the server in both directions."""
        server = socket.socket()
        with self._lock:
            self._sockets |= {client, server}
            if self._is_cut:
                _shut_down(client)
        sender: Thread | None = None
        # True while the client waits for a response.
        waiting_flag = [False]
        with contextlib.suppress(OSError):
            self._requests_pass.wait()
            server.connect(self._target)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sender = self._start(self._forward_responses, server, client, waiting_flag)
            while data := client.recv(_MOST_BYTES_AT_ONCE):
                self.requests += not waiting_flag[0]
                waiting_flag[0] = True
                self._requests_pass.wait()
                server.sendall(data)
        _shut_down(server)
        _shut_down(client)
        if sender is not None:
            sender.join()
        with self._lock:
            self._sockets -= {client, server}
        client.close()
        server.close()

    def _forward_responses(
        self, server: socket.socket, client: socket.socket, waiting: list[bool]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(_MOST_BYTES_AT_ONCE):
                self._responses_pass.wait()
                time.sleep(self._delay)
                if self._responses_left == 0:
                    self.cut_connections()
                elif self._responses_left:
                    self._responses_left -= 1
                waiting[0] = False
                client.sendall(data)
        _shut_down(server)
        _shut_down(client)


def _set_event() -> Event:
    event = Event()
    event.set()
    return event


def _shut_down(sock: socket.socket) -> None:
    """Shut down a socket, so that a thread that waits for it wakes up."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
