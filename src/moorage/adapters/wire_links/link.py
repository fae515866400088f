"""Connections for protocols that moorage implements itself, without a client library.

The code of a link is the same for tasks and threads; its network suspends a task or blocks a
thread. A link whose request was interrupted is closed: a late answer would be taken for that of the
next request.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from moorage.adapters.http.connections._threads import run
from moorage.adapters.http.connections._tls import secured
from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.domain.connectors.interruptions import connection_lost
from moorage.domain.connectors.unreachable import unreachable_error

if TYPE_CHECKING:
    from ssl import SSLContext

    from moorage.adapters.http.connections._wire import Wire
    from moorage.domain.connectors.interruptions import Interruptions


class AsyncWireLink(ABC):
    """A connection to a server, for one task at a time.

    Attributes:
        version: the version of the server, as soon as it is known.
        failures: the errors for requests of this protocol that were interrupted.
    """

    failures: Interruptions
    version: str | None = None

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._is_closed = False

    @abstractmethod
    def is_connected(self) -> bool:
        """Return whether the connection is open and usable, without waiting."""

    @abstractmethod
    async def ping(self, timeout: float) -> None:
        """Send the command NOOP, to check that the server responds."""

    @abstractmethod
    async def accepts_tls(self, until: float) -> bool:
        """Ask the server to start TLS; return False if it refused or sent unexpected data.

        Bytes that came before the encryption would be taken for encrypted ones.
        """

    async def greet(self, until: float) -> None:
        """Wait for the server's greeting, if the protocol has one."""
        del until

    async def start_tls(self, context: SSLContext, host: str, until: float) -> None:
        """Encrypt the connection, and verify the server's certificate."""
        if not await self.accepts_tls(until):
            raise unreachable_error("TLS")
        self._wire = await secured(self._wire, context, host, until)

    async def receive(self, until: float) -> bytes:
        """Wait for bytes from the server.

        Raises:
            ConnectionResetError: the server has ended the connection.
            TimeIsUp: no bytes came in time, or the server sent without end.
        """
        if monotonic() >= until:
            raise DeadlinePassed
        data = await self._wire.receive(until)
        if not data:
            raise ConnectionResetError
        return data

    def interrupted(
        self, error: BaseException, *, has_effect: bool, is_preparation: bool = False
    ) -> BaseException:
        """Close the connection, and return the error for an interrupted request.

        Args:
            error: the interruption.
            has_effect: whether the request may have changed something.
            is_preparation: whether the request only prepares the operation's own request.
        """
        self.close()
        if isinstance(error, DeadlinePassed):
            return self.failures.timed_out(has_effect=has_effect)
        if isinstance(error, OSError):
            return connection_lost(has_effect=has_effect)
        if isinstance(error, ValueError):
            return self.failures.malformed(has_effect=has_effect, is_preparation=is_preparation)
        return error

    def close(self) -> None:
        """Drop the connection without waiting for the server."""
        if not self._is_closed:
            self._is_closed = True
            self._wire.close()


L = TypeVar("L", bound=AsyncWireLink)


class WireLink(Generic[L]):
    """A connection to a server, for one thread at a time.

    Args:
        link: the connection, opened for a network that blocks a thread.
    """

    def __init__(self, link: L) -> None:
        self._link = link

    @property
    def version(self) -> str | None:
        """The server's version, once known."""
        return self._link.version

    def is_connected(self) -> bool:
        """Return whether the connection is open and usable, without waiting."""
        return self._link.is_connected()

    def ping(self, timeout: float) -> None:
        """Send the command NOOP, to check that the server responds."""
        run(self._link.ping(timeout))

    def close(self) -> None:
        """Drop the connection without waiting for the server."""
        self._link.close()
