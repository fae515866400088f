"""Sockets on which everything that redis-py does together ends by one moment.

A time-out of a socket bounds each step: each address of a name, each read; a server that sends a
byte now and then outlasts any number of reads. Here the bound is a moment, and each step waits for
what is left until then: looking the name up, its addresses one after another, TLS, each read.
"""

from __future__ import annotations

import asyncio
import socket
from functools import cache
from threading import TIMEOUT_MAX
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from redis.asyncio.connection import Connection as AsyncConnection
from redis.connection import Connection

from moorage.adapters.http.connections._resolve import Lookup, numeric

if TYPE_CHECKING:
    from moorage.adapters.http.connections._wire import Address


class TimedSocket:
    """A connected socket whose reads and writes fail after `until`, a time of `monotonic()`."""

    def __init__(self, connected: Any, until: float) -> None:
        self._socket = connected
        self._waits = True
        self.until = until

    def settimeout(self, seconds: float | None) -> None:
        """Take over from redis-py only whether it wants to wait at all."""
        self._waits = seconds != 0
        self._socket.settimeout(seconds)

    def recv(self, *request: Any) -> Any:
        """Receive as a socket does."""
        self._bound()
        return self._socket.recv(*request)

    def recv_into(self, *request: Any) -> Any:
        """Receive into a buffer as a socket does."""
        self._bound()
        return self._socket.recv_into(*request)

    def sendall(self, *request: Any) -> Any:
        """Send as a socket does."""
        self._bound()
        return self._socket.sendall(*request)

    def _bound(self) -> None:
        if self._waits:
            self._socket.settimeout(_time_left(self.until - monotonic()))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class _Dialling(Connection):
    """A connection over TCP that is made by `until`, a time of `monotonic()`."""

    until: float

    def _connect(self) -> socket.socket:
        """Try the addresses in turn; none of them takes the time of those after it."""
        addresses = _addresses(self.host, self.port, self.socket_type, self.until)
        failure: OSError = OSError("the name has no address")
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return self._reach(address, (self.until - monotonic()) / left)
            except OSError as error:
                failure = error
        raise failure

    def _reach(self, address: Address, seconds: float) -> socket.socket:
        family, kind, protocol, _, where = address
        connecting = socket.socket(family, kind, protocol)
        try:
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.socket_keepalive:
                connecting.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                options: Any = self.socket_keepalive_options
                for option, value in options.items():
                    connecting.setsockopt(socket.IPPROTO_TCP, option, value)
            connecting.settimeout(_time_left(seconds))
            connecting.connect(where)
            # A handshake of TLS takes this as the bound of all its steps together.
            connecting.settimeout(_time_left(self.until - monotonic()))
        except BaseException:
            connecting.close()
            raise
        return connecting


def _addresses(host: str, port: int, family: int, until: float) -> list[Address]:
    """The addresses of a host, if the system finds them in time."""
    addresses = numeric(host, port)
    if not addresses:
        lookup = Lookup(host, port, int)
        lookup.start()
        lookup.join(_time_left(until - monotonic()))
        if lookup.is_alive():
            raise TimeoutError
        addresses = lookup.addresses()
    return [address for address in addresses if family in (0, address[0])]


def _time_left(seconds: float) -> float:
    """Seconds for a step.

    Raises:
        TimeoutError: there are none.
    """
    if seconds <= 0:
        raise TimeoutError
    return min(seconds, TIMEOUT_MAX)


@cache
def timed(kind: Any) -> Any:
    """The subclass of one of redis-py's connections that is made, and used, by its `until`."""
    bases: tuple[Any, ...] = (kind,)
    if issubclass(kind, Connection):
        bases = (_Dialling,) if kind is Connection else (kind, _Dialling)

    class Timed(*bases):  # type: ignore[misc]  # any of redis-py's
        until: float

        def _connect(self) -> TimedSocket:
            return TimedSocket(super()._connect(), self.until)  # pyright: ignore[reportUnknownMemberType] - the same

    return Timed


_NEXT_ADDRESS: Final = 0.05
"""Seconds after which another address of a name is tried beside the one before it."""


@cache
def eager(kind: Any) -> Any:
    """The subclass of one of redis-py's asynchronous connections that no silent address holds up.

    Its callers bound the whole of it. Loops that are not asyncio's own try one after another.
    """
    if not issubclass(kind, AsyncConnection):
        return kind

    class Eager(kind):  # type: ignore[misc]  # any of redis-py's
        def _connection_arguments(self) -> Any:
            arguments = cast("dict[str, Any]", super()._connection_arguments())  # pyright: ignore[reportUnknownMemberType] - the same
            if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
                arguments["happy_eyeballs_delay"] = _NEXT_ADDRESS
            return arguments

    return Eager


def timed_for(kind: Any, seconds: float) -> Any:
    """The same for a client of redis-py: each connection is made and used for so many seconds."""

    class Asking(timed(kind)):  # type: ignore[misc]  # any of redis-py's
        def _connect(self) -> Any:
            self.until = monotonic() + seconds
            return super()._connect()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - the same

    return Asking
