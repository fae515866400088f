"""Redis connections for threads; each is used by one thread at a time.

A command is sent as one packed request, without redis-py's client, whose own work takes longer than
the request itself.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from redis import exceptions as redis_errors

from moorage.adapters.state._redis_server import UnsentError
from moorage.adapters.state._redis_wire import request, with_script

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.state._redis_server import RedisServer
    from moorage.adapters.state._redis_wire import Batch

Answer = TypeVar("Answer")


class PooledConnection:
    """A connection to a Redis server or node, for one thread at a time."""

    def __init__(self, server: RedisServer, node: tuple[str, int] | None = None) -> None:
        self._server = server
        self._node = node
        self._connection: Any = None
        self._connected = False

    def ready(self, until: float) -> None:
        """Connect to Redis if necessary, until a time of `monotonic()`.

        A restarted server has closed the connection. This is detected here, before anything is
        sent.

        Raises:
            UnsentError: no connection could be made in time.
        """
        if self._connected:
            self.bound(until)
            if not self._is_interrupted():
                return
        self.close()
        try:
            until = self._deadline(until)
            seconds_left = until - monotonic()
            if seconds_left <= 0:
                raise TimeoutError  # noqa: TRY301 - reported like every other timeout
            server, node = self._server, self._node
            connection = (
                server.connection(seconds_left) if node is None else server.connection_to(*node)
            )
            self._connection = connection
            connection.until = until
            connection.socket_connect_timeout = connection.socket_timeout = seconds_left
            connection.connect()
            if not self._server.checked:
                self._check()
        except (redis_errors.RedisError, OSError) as error:
            self.close()
            raise UnsentError from error
        except BaseException:
            self.close()
            raise
        self._connected = True

    def bound(self, until: float) -> None:
        """Set the deadline of later operations, as a time of `monotonic()`."""
        self._connection._sock.until = self._deadline(until)  # noqa: SLF001 - redis-py has no deadline of its own

    def _deadline(self, until: float) -> float:
        """Return the caller's deadline; without one, the store's timeout from now."""
        return monotonic() + self._server.timeout if until == inf else until

    def _is_interrupted(self) -> bool:
        """Return whether bytes, or the connection's end, have arrived without a request."""
        try:
            return self._connection.can_read(0)  # type: ignore[no-any-return]  # as redis-py says
        except (redis_errors.RedisError, OSError):
            return True

    def _check(self) -> None:
        with suppress(redis_errors.ResponseError):
            # If the user has no permission for INFO, this check is skipped.
            self._server.check(self.command("INFO"))
        self._server.checked = True

    def command(self, *words: str) -> Any:
        """Return the reply to a Redis command, within the deadline set by `bound`."""
        self._connection.send_command(*words, check_health=False)
        return self._connection.read_response(disconnect_on_error=True)

    def run_batch(self, batch: Batch, *, asking: bool = False) -> list[Any]:
        """Execute several commands in one script call, within the deadline set by `bound`.

        Args:
            batch: the calls.
            asking: whether the node also accepts keys that are about to move to it.
        """
        packed_request = request(batch)
        try:
            return self._exchange(packed_request, asking=asking)
        except redis_errors.NoScriptError:
            return self._exchange(with_script(packed_request), asking=asking)

    def _exchange(self, packed: bytes, *, asking: bool) -> list[Any]:
        connection = self._connection
        if asking:
            self.command("ASKING")
        connection.send_packed_command([packed], check_health=False)
        return connection.read_response(disconnect_on_error=True)  # type: ignore[no-any-return]  # as the script replies

    def close(self) -> None:
        """Disconnect from Redis."""
        self._connected = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


class _ClosedPool(list[PooledConnection]):
    """Replaces a closed pool's list of idle connections: closes a connection that is added."""

    def append(self, connection: PooledConnection, /) -> None:
        connection.close()


class ConnectionPool:
    """Connections to one Redis server; the most recently used one is used first.

    Taking and returning a connection are single atomic steps, so a finaliser or a signal handler
    may use the pool at any time.
    """

    def __init__(self, server: RedisServer, node: tuple[str, int] | None = None) -> None:
        self._server = server
        self._node = node
        self._idle: list[PooledConnection] = []

    def run_batch(self, batch: Batch, until: float, *, asking: bool = False) -> list[Any]:
        """Execute several commands until a time of `monotonic()`.

        Raises:
            UnsentError: no connection was available.
            RedisError: an error of redis-py.
        """
        return self._with_connection(
            until, lambda connection: connection.run_batch(batch, asking=asking)
        )

    def command(self, until: float, *words: str) -> Any:
        """Return the reply to a Redis command, until a time of `monotonic()`."""
        return self._with_connection(until, lambda chosen: chosen.command(*words))

    def _with_connection(self, until: float, use: Callable[[PooledConnection], Answer]) -> Answer:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = PooledConnection(self._server, self._node)
        try:
            connection.ready(until)
            connection.bound(until)
            replies = use(connection)
        except (UnsentError, redis_errors.ConnectionError, redis_errors.ReadOnlyError):
            # The server is unreachable or no longer the primary, so all other connections are
            # useless too.
            connection.close()
            self.close()
            raise
        except redis_errors.ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            # The connection may have an unread reply.
            connection.close()
            raise
        self._idle.append(connection)
        return replies

    def finish(self) -> None:
        """Close idle connections now, and the others when they are given back."""
        idle_connections, self._idle = self._idle, _ClosedPool()
        while idle_connections:
            idle_connections.pop().close()

    def close(self) -> None:
        """Disconnect all idle connections."""
        while self._idle:
            self._idle.pop().close()
