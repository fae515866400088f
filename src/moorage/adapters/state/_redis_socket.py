"""Sockets with one deadline for all their operations.

The timeout of a socket applies to each step: each address of a name, each read. A server that sends
single bytes could exceed it without end. Here each step has the time until one deadline: the
lookup of the name, its addresses one after another, TLS, and each read.
"""

from __future__ import annotations

import asyncio
import socket
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from redis.asyncio.connection import Connection as AsyncConnection
from redis.connection import Connection

from moorage.adapters.http.connections._resolve import addresses_until, seconds_until

if TYPE_CHECKING:
    from moorage.adapters.http.connections._wire import Address


class TimedSocket:
    """A socket with one deadline for all reads and writes, given as a time of `monotonic()`."""

    def __init__(self, connected: Any, until: float) -> None:
        self._socket = connected
        self._waits = True
        self.until = until

    def settimeout(self, seconds: float | None) -> None:
        """Set whether operations may wait; the deadline, not `seconds`, limits the wait."""
        self._waits = seconds != 0
        self._socket.settimeout(seconds)

    def recv(self, *request: Any) -> Any:
        """Receive bytes before the deadline."""
        self._bound()
        return self._socket.recv(*request)

    def recv_into(self, *request: Any) -> Any:
        """Receive bytes into a buffer before the deadline."""
        self._bound()
        return self._socket.recv_into(*request)

    def sendall(self, *request: Any) -> Any:
        """Send bytes before the deadline."""
        self._bound()
        return self._socket.sendall(*request)

    def _bound(self) -> None:
        if self._waits:
            self._socket.settimeout(seconds_until(self.until))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class _TimedTcpConnection(Connection):
    """A TCP connection to Redis that must be open by `until`, a time of `monotonic()`."""

    until: float

    def _connect(self) -> socket.socket:
        """Try the addresses one after another, each for an equal share of the remaining time."""
        addresses = [
            address
            for address in addresses_until(self.host, self.port, self.until)
            if self.socket_type in (0, address[0])
        ]
        failure: OSError = OSError("the host name has no address")
        for attempts_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                share = seconds_until(self.until) / attempts_left
                return self._connect_to_address(address, share)
            except OSError as error:
                failure = error
        raise failure

    def _connect_to_address(self, address: Address, seconds: float) -> socket.socket:
        family, kind, protocol, _, socket_address = address
        new_socket = socket.socket(family, kind, protocol)
        try:
            new_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.socket_keepalive:
                new_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                options: Any = self.socket_keepalive_options
                for option, value in options.items():
                    new_socket.setsockopt(socket.IPPROTO_TCP, option, value)
            new_socket.settimeout(seconds)
            new_socket.connect(socket_address)
            # A TLS handshake uses this timeout for all its steps together.
            new_socket.settimeout(seconds_until(self.until))
        except BaseException:
            new_socket.close()
            raise
        return new_socket


@cache
def with_deadline(kind: Any) -> Any:
    """Return a subclass of a redis-py connection with a deadline for all operations."""
    bases: tuple[Any, ...] = (kind,)
    if issubclass(kind, Connection):
        bases = (_TimedTcpConnection,) if kind is Connection else (kind, _TimedTcpConnection)

    class TimedConnection(*bases):  # type: ignore[misc]  # a class of redis-py
        until: float

        def _connect(self) -> TimedSocket:
            return TimedSocket(super()._connect(), self.until)  # pyright: ignore[reportUnknownMemberType] - redis-py has no types here

    return TimedConnection


_NEXT_ADDRESS: Final = 0.05
"""Seconds after which the next address of a name is tried concurrently."""


@cache
def dialling_concurrently(kind: Any) -> Any:
    """Return a subclass of redis-py's async connection that tries addresses concurrently.

    Its callers have timeouts for the whole connection. An event loop that is not asyncio's own
    tries one address after another.
    """
    if not issubclass(kind, AsyncConnection):
        return kind

    class ConcurrentDial(kind):  # type: ignore[misc]  # a class of redis-py
        def _connection_arguments(self) -> Any:
            arguments = cast("dict[str, Any]", super()._connection_arguments())  # pyright: ignore[reportUnknownMemberType] - redis-py has no types here
            if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
                arguments["happy_eyeballs_delay"] = _NEXT_ADDRESS
            return arguments

    return ConcurrentDial


def with_socket_timeout(kind: Any, seconds: float) -> Any:
    """Return a subclass of a redis-py connection that has this many seconds to connect."""

    class TimedForClient(with_deadline(kind)):  # type: ignore[misc]  # a class of redis-py
        def _connect(self) -> Any:
            self.until = monotonic() + seconds
            return super()._connect()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - redis-py has no types here

    return TimedForClient
