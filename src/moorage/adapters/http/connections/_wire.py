"""Connections to a server, for the synchronous and the asynchronous client.

The sockets are non-blocking. A `Network` waits for them: the network of the synchronous client
blocks inside `await` and never suspends, so that its caller can run these coroutines without an
event loop. A deadline `until` is a time of `monotonic()`; a step that exceeds it raises
`DeadlinePassed`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from moorage.adapters.http.connections._resolve import allowed_addresses, check_host
from moorage.domain.resilience.health import is_exhaustion
from moorage.errors import ConnectionFailed, LocalFailure

if TYPE_CHECKING:
    from ssl import SSLContext

    from moorage.domain.http.body import Chunks
    from moorage.domain.http.outgoing import OutgoingGuard

Address: TypeAlias = "tuple[int, int, int, str, Any]"  # as `socket.getaddrinfo` returns them

_READ_SIZE: Final = 65_536
_CERTIFICATE_REMEDY: Final = (
    "Check the host in the URL, the dates of its certificate, and the clock of this machine. If the"
    " certificate comes from an authority of your own, trust it with `Tls(authorities=…)`."
)


class DeadlinePassed(Exception):
    """Raised if a deadline has passed."""


def below_total(timeout: float | None, total: float | None) -> float | None:
    """Return the time limit of a step; None if the total time limit is reached first."""
    return None if timeout is None or (total is not None and timeout >= total) else timeout


class Origin(NamedTuple):
    """The scheme, host and port of a connection."""

    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def reason_of(error: Exception) -> str:
    """Return the reason why a connection failed or ended, as text."""
    return getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)


def connection_failed_error(peer: str, error: Exception) -> ConnectionFailed:
    """Return the error for a connection that could not be made."""
    if is_exhaustion(error):
        return resource_error(peer, reason_of(error))
    return ConnectionFailed(
        f"{peer} could not be reached: {reason_of(error)}.",
        may_have_been_processed=False,
        remedy=_CERTIFICATE_REMEDY if hasattr(error, "verify_message") else None,
    )


def resource_error(peer: str, reason: str) -> LocalFailure:
    """Return the error for a connection for which this machine lacks resources."""
    return LocalFailure(
        f"{peer} was not contacted, because this machine has no free sockets, ports or memory:"
        f" {reason}.",
        retryable=True,
        remedy="Raise the limit of open files, or allow fewer concurrent connections.",
    )


class Waiter(Protocol):
    """An object that waits until another thread or task calls `call`."""

    async def wait(self, until: float) -> None: ...

    def call(self) -> None: ...


class Network(Protocol):
    """The operations of a network, such as waiting and resolving names, for threads or event loops.

    `here` returns the scope in which a new connection can be used, such as an event loop; `gone`
    returns whether a scope has ended.
    """

    def here(self) -> object: ...

    def gone(self, there: object) -> bool: ...

    async def readable(self, sock: socket.socket, until: float) -> None: ...

    async def writable(self, sock: socket.socket, until: float) -> None: ...

    async def resolve(self, host: str, port: int, until: float) -> list[Address]: ...

    async def pull(self, chunks: Chunks, until: float) -> object: ...

    def waiter(self) -> Waiter: ...


class Wire(Protocol):
    """The interface of a connection that sends and receives bytes.

    `written` counts the bytes that the system accepted, whether or not they arrived. `receive`
    returns b"" at the end. `read_available` returns the bytes that have arrived, b"" at the end, or
    None if none have arrived. `stale` returns whether the other side closed the idle connection or
    sent something without a request. Neither `read_available` nor `stale` waits. `hang_up` wakes a
    caller that waits in `receive`; `close` may be called repeatedly.
    """

    @property
    def written(self) -> int: ...

    async def send(self, data: bytes | memoryview, until: float) -> None: ...

    async def receive(self, until: float) -> bytes: ...

    def read_available(self) -> bytes | None: ...

    def stale(self) -> bool: ...

    def hang_up(self) -> None: ...

    def close(self) -> None: ...


class SocketWire:
    """A connection without TLS."""

    __slots__ = ("_expects_bytes", "_network", "_sock", "written")

    def __init__(self, network: Network, sock: socket.socket) -> None:
        self._network = network
        self._sock = sock
        self._expects_bytes = False  # a request was just sent, so its response cannot have arrived
        self.written = 0

    async def send(self, data: bytes | memoryview, until: float) -> None:
        """Send all bytes."""
        while True:
            try:
                sent_count = self._sock.send(data)
            except BlockingIOError:
                await self._network.writable(self._sock, until)
                continue
            self.written += sent_count
            self._expects_bytes = True
            if sent_count == len(data):
                return
            data = memoryview(data)[sent_count:]

    async def receive(self, until: float) -> bytes:
        """Return the next bytes of the response; b"" at the end."""
        while True:
            if self._expects_bytes:
                await self._network.readable(self._sock, until)
                self._expects_bytes = False
            try:
                return self._sock.recv(_READ_SIZE)
            except BlockingIOError:
                self._expects_bytes = True

    def read_available(self) -> bytes | None:
        """Return the bytes that have arrived; b"" at the end, None if none have arrived yet."""
        try:
            return self._sock.recv(_READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def stale(self) -> bool:
        """Return whether an idle connection was closed or received unrequested bytes."""
        return self.read_available() is not None

    def hang_up(self) -> None:
        """Shut the connection down in both directions, which wakes a waiting reader."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


async def dial(
    network: Network,
    origin: Origin,
    until: float,
    context: SSLContext | None,
    guard: OutgoingGuard | None = None,
) -> Wire:
    """Connect to an origin: try its addresses one after another.

    The remaining time is divided among the addresses. With a guard, only the addresses that it
    checked are used, so a name that resolves differently later has no effect.

    Raises:
        DestinationRefused: the guard does not allow the origin.
        TimeIsUp: no address could be reached in time.
        OSError, ValueError: no address could be reached, or the name has none or is not valid.
    """
    if guard is not None:
        check_host(guard, origin)
    addresses = await network.resolve(origin.host, origin.port, until)
    if guard is not None:
        addresses = allowed_addresses(guard, origin, addresses)
    failure: Exception = OSError("the host name has no address")
    for remaining_addresses, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        now = monotonic()
        try:
            return await _connect_to_address(
                network, origin, address, now + (until - now) / remaining_addresses, context
            )
        except (DeadlinePassed, OSError) as error:
            failure = error
    raise failure


async def _connect_to_address(
    network: Network, origin: Origin, address: Address, until: float, context: SSLContext | None
) -> Wire:
    family, kind, protocol, _, socket_address = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect(socket_address)
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
