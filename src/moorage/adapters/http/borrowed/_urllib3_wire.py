"""Connections that urllib3 makes and keeps, as wires.

What goes over them is ours: `http.client`, which urllib3 speaks HTTP with, takes an interim answer
for the answer, cannot tell one that is cut off from one that is malformed, and waits for each piece
as long as for the first. So urllib3 looks names up, connects, goes through proxies, agrees on TLS
and keeps what is idle; and a connection goes back to it as clean as it came.
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

from urllib3.exceptions import (
    ConnectTimeoutError,
    EmptyPoolError,
    NewConnectionError,
)
from urllib3.util.connection import create_connection
from urllib3.util.ssltransport import SSLTransport

from moorage.adapters.http.borrowed._trip import WATCH, seconds_left, system_error, unverified
from moorage.adapters.http.connections._threads import run
from moorage.adapters.http.connections._wire import TimeIsUp
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.borrowed._guide import Guide
    from moorage.adapters.http.connections._proxy import Gateway
    from moorage.adapters.http.connections._wire import Origin

Urllib3Pool: TypeAlias = Any  # whose types leave out most of what is needed of it here
Urllib3Connection: TypeAlias = Any  # the same
_MOST: Final = 65_536
_REFUSED: Final = re.compile(r"Tunnel connection failed: ([0-9]{3})")


class Connections:
    """Takes connections from urllib3's pools, and gives them back.

    Args:
        anybody: whether they may lead to whoever answers.
        guide: says where they may lead, if not anywhere.
    """

    def __init__(self, *, anybody: bool, guide: Guide | None = None) -> None:
        self._anybody = anybody
        self._guide = guide
        self._good_until: WeakKeyDictionary[Urllib3Connection, float] = WeakKeyDictionary()

    def take(
        self, pool: Urllib3Pool, origin: Origin, until: float, gateway: Gateway | None
    ) -> Urllib3Wire:
        """Return a connection that stands.

        Raises:
            TimeIsUp: there was none in time.
            OSError: it could not be made.
            ConfigurationError: it leads to whoever answers.
        """
        failure: Exception
        try:
            return self._taken(pool, origin, until)
        except (ConnectTimeoutError, EmptyPoolError, TimeoutError) as error:
            late = not isinstance(error, NewConnectionError)
            failure = TimeIsUp() if late else system_error(error)
        except (ConnectorError, TimeIsUp) as error:
            failure = error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - urllib3's, http.client's, or what a name raises
            refused = _REFUSED.search(str(error))
            if refused is not None and gateway is not None:
                failure = gateway.refused(origin, int(refused[1]))
            else:
                failure = system_error(error)
        # Not while urllib3's error is handled, which may show the proxy's password.
        raise failure

    def give(self, wire: Urllib3Wire, keep: float) -> None:
        """Keep a connection for another exchange, for so many seconds."""
        self._good_until[wire.connection] = monotonic() + keep
        wire.give_back()

    def _taken(self, pool: Urllib3Pool, origin: Origin, until: float) -> Urllib3Wire:
        connection: Urllib3Connection = pool._get_conn(timeout=seconds_left(None, until))  # noqa: SLF001 - as requests did
        try:
            if self._good_until.pop(connection, inf) <= monotonic():
                connection.close()
            if connection.is_closed:
                self._connect(pool, connection, until, tunnel=origin.secure)
            if not self._anybody:
                _check(pool, connection, origin)
        except BaseException:
            connection.close()
            pool._put_conn(connection)  # noqa: SLF001 - the same
            raise
        return Urllib3Wire(pool, connection)

    def _connect(
        self, pool: Urllib3Pool, connection: Urllib3Connection, until: float, *, tunnel: bool
    ) -> None:
        """Have urllib3 connect; when time is up, the connection is cut under it."""
        connection.timeout = seconds_left(None, until)
        make = connection._new_conn  # noqa: SLF001 - the only moment at which it is to be had
        if self._guide is not None:
            make = partial(_guided, self._guide, connection, until)
        made = _Made(make)
        connection._new_conn = made  # noqa: SLF001 - the same
        try:
            with WATCH.over(until, made.cut) as alarm:
                try:
                    if tunnel and pool.proxy is not None:
                        pool._prepare_proxy(connection)  # noqa: SLF001 - as urllib3 does
                    if connection.is_closed:
                        connection.connect()
                except Exception:
                    if not alarm.rang:
                        raise
            if alarm.rang:
                raise TimeIsUp
        finally:
            del connection._new_conn  # noqa: SLF001 - the same
            made.close()


def _guided(guide: Guide, connection: Urllib3Connection, until: float) -> socket.socket:
    """Connect to one of the addresses that the guard was asked about, as urllib3 would."""

    async def connect(where: tuple[str, int], until: float) -> socket.socket:
        return create_connection(
            where,
            seconds_left(None, until),
            source_address=connection.source_address,
            socket_options=connection.socket_options,
        )

    sock = run(guide.reach(connection.host, connection.port, until, connect))
    sock.settimeout(seconds_left(None, until))
    return sock


def _check(pool: Urllib3Pool, connection: Urllib3Connection, origin: Origin) -> None:
    """Refuse a connection that leads to whoever answers."""
    if origin.secure:
        verified = connection.is_verified
    else:
        verified = pool.scheme == "http" or connection.proxy_is_verified
    if not verified:
        raise unverified("session")


class _Made:
    """A connection as soon as it is made: while TLS is agreed on, nobody else could end it."""

    def __init__(self, make: Callable[[], socket.socket]) -> None:
        self._make = make
        self._twin: socket.socket | None = None
        self._cut = False

    def __call__(self) -> socket.socket:
        sock = self._make()
        self._twin = socket.socket(
            sock.family, sock.type, sock.proto, fileno=socket.dup(sock.fileno())
        )
        if self._cut:  # pragma: no cover - only between two lines of another thread
            self.cut()
        return sock

    def cut(self) -> None:
        """End it."""
        self._cut = True
        if self._twin is not None:
            with contextlib.suppress(OSError):
                self._twin.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Forget it."""
        if self._twin is not None:
            self._twin.close()


class Urllib3Wire:
    """One of urllib3's connections, in our hands."""

    __slots__ = ("_given", "_pool", "_sock", "connection", "written")

    def __init__(self, pool: Urllib3Pool, connection: Urllib3Connection) -> None:
        self.connection = connection
        self._pool = pool
        self._sock: Any = connection.sock
        self._given = False
        self.written = 0
        if isinstance(self._sock, ssl.SSLSocket):
            _no_end_by_cut(self._sock, strict=True)

    async def send(self, data: bytes | memoryview, until: float) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(seconds_left(None, until))
            try:
                sent = self._sock.send(rest)
            except TimeoutError:
                raise TimeIsUp from None
            self.written += sent
            rest = rest[sent:]

    async def receive(self, until: float) -> bytes:
        """Return what comes next."""
        self._sock.settimeout(seconds_left(None, until))
        try:
            data: bytes = self._sock.recv(_MOST)
        except TimeoutError:
            raise TimeIsUp from None
        return data

    def glance(self) -> bytes | None:
        """Return what is there already, b"" if that is the end, None if nothing is."""
        self._sock.settimeout(0)
        try:
            data: bytes = self._sock.recv(_MOST)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:  # pragma: no cover - reset while it was idle, which is luck
            return b""
        return data

    def stale(self) -> bool:
        """urllib3 looks for itself before it gives one away."""
        return False

    def hang_up(self) -> None:
        """End it in both directions, for whoever waits for it as well."""
        sock = self._sock.socket if isinstance(self._sock, SSLTransport) else self._sock
        with contextlib.suppress(OSError):
            # Not an SSLSocket's own, which would forget its state under who reads from it.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give it back to the system, and its place to urllib3."""
        if not self._given:
            self.connection.close()
            self.give_back()

    def give_back(self) -> None:
        """Give it back to urllib3."""
        self._given = True
        if isinstance(self._sock, ssl.SSLSocket):
            _no_end_by_cut(self._sock, strict=False)
        self._pool._put_conn(self.connection)  # noqa: SLF001 - as urllib3 does


def _no_end_by_cut(sock: Any, *, strict: bool) -> None:
    """Whoever cuts a connection must not make half an answer look whole (RFC 9112, 9.8)."""
    sock.suppress_ragged_eofs = not strict
