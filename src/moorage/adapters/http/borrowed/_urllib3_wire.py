"""Connections of urllib3's pools, over which moorage sends its own requests.

urllib3 sends with `http.client`, which mistakes an interim response for the final one, cannot
distinguish an incomplete response from a malformed one, and has the same timeout for each piece. So
urllib3 only resolves names, connects, uses proxies, performs TLS handshakes and keeps idle
connections; a connection is returned to it as clean as it was.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    EmptyPoolError,
    NewConnectionError,
)
from urllib3.util.connection import create_connection
from urllib3.util.ssltransport import SSLTransport

from moorage.adapters.http.borrowed._guarded_resolver import Resolver
from moorage.adapters.http.borrowed._library_exchange import (
    WATCHDOG,
    seconds_left,
    system_error,
    unverified_tls_error,
)
from moorage.adapters.http.connections._threads import ThreadNetwork, run
from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.domain.resilience.interruptions import is_interruption
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.borrowed._guarded_resolver import GuardedResolver
    from moorage.adapters.http.connections._proxy import Gateway
    from moorage.adapters.http.connections._wire import Origin

Urllib3Pool: TypeAlias = Any  # its types lack most of the members used here
Urllib3Connection: TypeAlias = Any  # its types lack most of the members used here
_USUAL_CONNECT: Final[Any] = vars(HTTPConnection)["_new_conn"]  # subclasses may connect differently
_UNGUARDED_RESOLVER: Final = Resolver(ThreadNetwork())
_READ_SIZE: Final = 65_536
_REFUSED_TUNNEL: Final = re.compile(r"Tunnel connection failed: ([0-9]{3})")


def _connects_as_usual(kind: Any) -> bool:
    return kind._new_conn is _USUAL_CONNECT  # noqa: SLF001 - an identity


class Connections:
    """Takes connections from urllib3's pools, and returns them to the pools.

    Args:
        allow_unverified: whether certificates need not be verified.
        resolver: resolves names under a guard; None if every destination is allowed.
    """

    def __init__(self, *, allow_unverified: bool, resolver: GuardedResolver | None = None) -> None:
        self._allow_unverified = allow_unverified
        self._resolver = resolver
        self._good_until: WeakKeyDictionary[Urllib3Connection, float] = WeakKeyDictionary()

    def take(
        self, pool: Urllib3Pool, origin: Origin, until: float, gateway: Gateway | None
    ) -> Urllib3Wire:
        """Return an open connection to an origin.

        Raises:
            TimeIsUp: there was no connection in time.
            OSError: the connection could not be made.
            ConfigurationError: the pool does not verify certificates.
        """
        failure: Exception
        try:
            return self._take_connection(pool, origin, until)
        except (ConnectTimeoutError, EmptyPoolError, TimeoutError) as error:
            is_timeout = not isinstance(error, NewConnectionError)
            failure = DeadlinePassed() if is_timeout else system_error(error)
        except (ConnectorError, DeadlinePassed) as error:
            failure = error.with_traceback(None)
        except Exception as error:
            if is_interruption(error):
                raise
            refusal = _REFUSED_TUNNEL.search(str(error))
            if refusal is not None and gateway is not None:
                failure = gateway.refused(origin, int(refusal[1]))
            else:
                failure = system_error(error)
        # Raised outside the handler, because urllib3's error may show the proxy's password.
        raise failure

    def return_connection(self, wire: Urllib3Wire, keep: float) -> None:
        """Return a connection to the pool, which may reuse it within `keep` seconds."""
        self._good_until[wire.connection] = monotonic() + keep
        wire.give_back()

    def _take_connection(self, pool: Urllib3Pool, origin: Origin, until: float) -> Urllib3Wire:
        connection: Urllib3Connection = pool._get_conn(timeout=seconds_left(None, until))  # noqa: SLF001 - as requests does
        try:
            if self._good_until.pop(connection, inf) <= monotonic():
                connection.close()
            if connection.is_closed:
                self._connect(pool, connection, until, tunnel=origin.secure)
            if not self._allow_unverified:
                _check(pool, connection, origin)
        except BaseException:
            connection.close()
            pool._put_conn(connection)  # noqa: SLF001 - as requests does
            raise
        return Urllib3Wire(pool, connection)

    def _connect(
        self, pool: Urllib3Pool, connection: Urllib3Connection, until: float, *, tunnel: bool
    ) -> None:
        """Connect with urllib3; close the connection if it is not open by the deadline."""
        connection.timeout = seconds_left(None, until)
        make_connection = connection._new_conn  # noqa: SLF001 - the only access to the new connection
        if self._resolver is not None or _connects_as_usual(type(connection)):
            make_connection = partial(
                _connect_in_turn, self._resolver or _UNGUARDED_RESOLVER, connection, until
            )
        new_connection = _NewConnection(make_connection)
        connection._new_conn = new_connection  # noqa: SLF001 - the only access to the new connection
        try:
            with WATCHDOG.limit(until, new_connection.cut) as timer:
                try:
                    if tunnel and pool.proxy is not None:
                        pool._prepare_proxy(connection)  # noqa: SLF001 - as urllib3 does
                    if connection.is_closed:
                        connection.connect()
                except Exception:
                    if not timer.expired:
                        raise
            if timer.expired:
                raise DeadlinePassed
        finally:
            del connection._new_conn  # noqa: SLF001 - as urllib3 does
            new_connection.close()


def _connect_in_turn(
    resolver: Resolver, connection: Urllib3Connection, until: float
) -> socket.socket:
    """Try the addresses one after another within the time limit, as urllib3 does."""

    async def connect(where: tuple[str, int], until: float) -> socket.socket:
        return create_connection(
            where,
            seconds_left(None, until),
            source_address=connection.source_address,
            socket_options=connection.socket_options,
        )

    sock = run(resolver.reach(connection.host, connection.port, until, connect))
    sock.settimeout(seconds_left(None, until))
    return sock


def _check(pool: Urllib3Pool, connection: Urllib3Connection, origin: Origin) -> None:
    """Refuse a connection whose certificate was not verified."""
    if origin.secure:
        is_verified = connection.is_verified
    else:
        is_verified = pool.scheme == "http" or connection.proxy_is_verified
    if not is_verified:
        raise unverified_tls_error("session")


class _NewConnection:
    """A urllib3 connection that can be closed during its TLS handshake."""

    def __init__(self, make: Callable[[], socket.socket]) -> None:
        self._make = make
        self._duplicate: socket.socket | None = None
        self._was_cut = False

    def __call__(self) -> socket.socket:
        sock = self._make()
        self._duplicate = socket.socket(
            sock.family, sock.type, sock.proto, fileno=socket.dup(sock.fileno())
        )
        if self._was_cut:  # pragma: no cover - only between two lines of another thread
            self.cut()
        return sock

    def cut(self) -> None:
        """Close the connection, which ends its TLS handshake."""
        self._was_cut = True
        if self._duplicate is not None:
            with contextlib.suppress(OSError):
                self._duplicate.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the duplicate of the connection's socket."""
        if self._duplicate is not None:
            self._duplicate.close()


class Urllib3Wire:
    """A connection of urllib3, with the interface of moorage's own connections."""

    __slots__ = ("_pool", "_returned", "_sock", "connection", "written")

    def __init__(self, pool: Urllib3Pool, connection: Urllib3Connection) -> None:
        self.connection = connection
        self._pool = pool
        self._sock: Any = connection.sock
        self._returned = False
        self.written = 0
        if isinstance(self._sock, ssl.SSLSocket):
            _set_strict_end(self._sock, strict=True)

    async def send(self, data: bytes | memoryview, until: float) -> None:
        """Send all bytes."""
        remaining_bytes = memoryview(data)
        while remaining_bytes:
            self._sock.settimeout(seconds_left(None, until))
            try:
                sent_count = self._sock.send(remaining_bytes)
            except TimeoutError:
                raise DeadlinePassed from None
            self.written += sent_count
            remaining_bytes = remaining_bytes[sent_count:]

    async def receive(self, until: float) -> bytes:
        """Return the next bytes of the response; b"" at the end."""
        self._sock.settimeout(seconds_left(None, until))
        try:
            data: bytes = self._sock.recv(_READ_SIZE)
        except TimeoutError:
            raise DeadlinePassed from None
        return data

    def read_available(self) -> bytes | None:
        """Return the bytes that have arrived; b"" at the end, None if none have arrived yet."""
        self._sock.settimeout(0)
        try:
            data: bytes = self._sock.recv(_READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:  # pragma: no cover - a reset while idle depends on timing
            return b""
        return data

    def stale(self) -> bool:
        """Return False, because urllib3 has checked that the connection is open."""
        return False

    def hang_up(self) -> None:
        """Shut the connection down in both directions, which wakes a waiting reader."""
        sock = self._sock.socket if isinstance(self._sock, SSLTransport) else self._sock
        with contextlib.suppress(OSError):
            # Not SSLSocket's own method, which would drop its state while another thread reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, and return its slot to urllib3."""
        if not self._returned:
            self.connection.close()
            self.give_back()

    def give_back(self) -> None:
        """Return the connection to urllib3's pool."""
        self._returned = True
        if isinstance(self._sock, ssl.SSLSocket):
            _set_strict_end(self._sock, strict=False)
        self._pool._put_conn(self.connection)  # noqa: SLF001 - as urllib3 does


def _set_strict_end(sock: Any, *, strict: bool) -> None:
    """Set whether a truncated TLS connection counts as an error (RFC 9112, 9.8)."""
    sock.suppress_ragged_eofs = not strict
