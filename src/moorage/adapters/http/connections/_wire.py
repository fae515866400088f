"""Byte streams to an origin, written once for both colours.

A socket here never blocks. What waits is a `Network`, of which each colour has its own: a blocking
one waits inside `await` and never suspends, so that its caller can run these coroutines without an
event loop. No bound is a number of seconds: `until` is a time of `monotonic()`, and what comes too
late is `TimeIsUp`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from moorage.adapters.http.connections._resolve import allowed, check_host
from moorage.domain.resilience.health import is_exhaustion
from moorage.errors import ConnectionFailed, LocalFailure

if TYPE_CHECKING:
    from ssl import SSLContext

    from moorage.domain.http.body import Chunks
    from moorage.domain.http.outgoing import OutgoingGuard

Address: TypeAlias = "tuple[int, int, int, str, Any]"  # as `socket.getaddrinfo` gives them

_MOST: Final = 65_536


class TimeIsUp(Exception):
    """A bound on waiting has passed."""


class Origin(NamedTuple):
    """Where a connection leads."""

    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def reason_of(error: Exception) -> str:
    """Say why a connection could not be made, or ended."""
    return getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)


def unreached(whom: str, error: Exception) -> ConnectionFailed:
    """The error of a connection that could not be made."""
    if is_exhaustion(error):
        return exhausted(whom, reason_of(error))
    return ConnectionFailed(
        f"{whom} could not be reached: {reason_of(error)}.", may_have_been_processed=False
    )


def exhausted(whom: str, reason: str) -> LocalFailure:
    """The error of a connection that this machine has no means to make."""
    return LocalFailure(
        f"{whom} was not contacted, because this machine has no sockets, ports or memory left:"
        f" {reason}.",
        retryable=True,
        remedy="Raise the limit of open files, or allow fewer connections at once.",
    )


class Turn(Protocol):
    """Waiting to be called, from any thread."""

    async def wait(self, until: float) -> None: ...

    def call(self) -> None: ...


class Network(Protocol):
    """How one colour waits.

    `here` says where connections made now can be used, `gone` whether a place is no more.
    """

    def here(self) -> object: ...

    def gone(self, there: object) -> bool: ...

    async def readable(self, sock: socket.socket, until: float) -> None: ...

    async def writable(self, sock: socket.socket, until: float) -> None: ...

    async def resolve(self, host: str, port: int, until: float) -> list[Address]: ...

    async def pull(self, chunks: Chunks, until: float) -> object: ...

    def turn(self) -> Turn: ...


class Wire(Protocol):
    """One connection.

    `written` counts the bytes that the system took, whether or not they arrived. `receive` returns
    b"" at the end; `glance` what is there already, b"" if that is the end, None if nothing is.
    `stale` tells whether the other side has closed the idle connection, or said something unasked.
    Neither waits. `hang_up` wakes whoever waits in `receive`; `close` may
    be called again.
    """

    @property
    def written(self) -> int: ...

    async def send(self, data: bytes | memoryview, until: float) -> None: ...

    async def receive(self, until: float) -> bytes: ...

    def glance(self) -> bytes | None: ...

    def stale(self) -> bool: ...

    def hang_up(self) -> None: ...

    def close(self) -> None: ...


class SocketWire:
    """A connection as it is."""

    __slots__ = ("_asked", "_network", "_sock", "written")

    def __init__(self, network: Network, sock: socket.socket) -> None:
        self._network = network
        self._sock = sock
        self._asked = False  # and so nothing can be there yet
        self.written = 0

    async def send(self, data: bytes | memoryview, until: float) -> None:
        """Send all of it."""
        while True:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                await self._network.writable(self._sock, until)
                continue
            self.written += sent
            self._asked = True
            if sent == len(data):
                return
            data = memoryview(data)[sent:]

    async def receive(self, until: float) -> bytes:
        """Return what comes next."""
        while True:
            if self._asked:
                await self._network.readable(self._sock, until)
                self._asked = False
            try:
                return self._sock.recv(_MOST)
            except BlockingIOError:
                self._asked = True

    def glance(self) -> bytes | None:
        """Return what is there already, b"" if that is the end, None if nothing is."""
        try:
            return self._sock.recv(_MOST)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def stale(self) -> bool:
        """Tell whether anything came while nothing was asked."""
        return self.glance() is not None

    def hang_up(self) -> None:
        """End it in both directions, for whoever waits for it as well."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give it back to the system."""
        self._sock.close()


async def dial(
    network: Network,
    origin: Origin,
    until: float,
    context: SSLContext | None,
    guard: OutgoingGuard | None = None,
) -> Wire:
    """Connect to an origin, trying its addresses in turn.

    None of them takes the time of those after it. With a guard, they are those that it was asked
    about: a name that stands for something else a moment later leads nowhere.

    Raises:
        DestinationRefused: the guard has something against it.
        TimeIsUp: none could be reached in time.
        OSError, ValueError: none could be reached, or the name has no address or is no name.
    """
    if guard is not None:
        check_host(guard, origin)
    addresses = await network.resolve(origin.host, origin.port, until)
    if guard is not None:
        addresses = allowed(guard, origin, addresses)
    failure: Exception = OSError("the name has no address")
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        now = monotonic()
        try:
            return await _reach(network, origin, address, now + (until - now) / left, context)
        except (TimeIsUp, OSError) as error:
            failure = error
    raise failure


async def _reach(
    network: Network, origin: Origin, address: Address, until: float, context: SSLContext | None
) -> Wire:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect(where)
        except BlockingIOError:
            await network.writable(sock, until)
            if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error)) from None
        wire = SocketWire(network, sock)
        if context is None:
            return wire
        from moorage.adapters.http.connections._tls import secured  # noqa: PLC0415 - costs milliseconds to load

        return await secured(wire, context, origin.host, until)
    except BaseException:
        sock.close()
        raise
