"""A TCP proxy in front of a server: it can cut connections, delay, or withhold data."""

from __future__ import annotations

import contextlib
import socket
import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Self

_PIECE: Final = 65_536


class Proxy:
    """Forwards data between clients and a server until a fault is set.

    Attributes:
        address: where it listens.
        met: how many connections came.
        turns: how often a client has spoken after it was answered, or first.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._door.getsockname()
        self.met = 0
        self.turns = 0
        self._delay = 0.0
        self._is_cut = False
        self._left: int | None = None
        self._passing = Event()
        self._passing.set()
        self._held: set[socket.socket] = set()
        self._threads: list[Thread] = []
        self._start(self._welcome)

    # --- what it is told ---------------------------------------------------

    def cut_connections(self) -> None:
        """Close all connections, and every new one at once."""
        self._is_cut = True
        for sock in list(self._held):
            _end(sock)

    def cut_after(self, answers: int) -> None:
        """Forward this many more responses, then close everything instead of the next one."""
        self._left = answers

    def delay_responses(self, seconds: float = 1.0) -> None:
        """Delay every response by this time."""
        self._delay = seconds

    def swallow(self) -> None:
        """Withhold all data until the proxy is healed."""
        self._passing.clear()

    def heal(self) -> None:
        """Forward everything again."""
        self._is_cut, self._delay, self._left = False, 0.0, None
        self._passing.set()

    # --- how it lives ------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        self.cut_connections()
        _end(self._door)
        for thread in self._threads:
            thread.join()
        for sock in (self._door, *self._held):
            sock.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]  # a method
        self._threads.append(thread)
        thread.start()

    def _welcome(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                self._held.add(client)
                self.met += 1
                if self._is_cut:
                    _end(client)
                else:
                    self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        """Forward a client's data to the server, and the server's back."""
        server = socket.socket()
        self._held.add(server)
        spoken_flag = [False]
        with contextlib.suppress(OSError):
            self._passing.wait()
            server.connect(self._target)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._pass_back, server, client, spoken_flag)
            while piece := client.recv(_PIECE):
                self.turns += not spoken_flag[0]
                spoken_flag[0] = True
                self._passing.wait()
                server.sendall(piece)
        _end(server)
        _end(client)

    def _pass_back(self, server: socket.socket, client: socket.socket, spoken: list[bool]) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(_PIECE):
                self._passing.wait()
                time.sleep(self._delay)
                if self._left == 0:
                    self.cut_connections()
                elif self._left:
                    self._left -= 1
                spoken[0] = False
                client.sendall(piece)
        _end(server)
        _end(client)


def _end(sock: socket.socket) -> None:
    """Close a connection that a thread may be waiting for."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
