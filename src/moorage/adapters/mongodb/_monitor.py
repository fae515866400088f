"""A listener of a pymongo client, which tracks its pools and the progress of its attempts.

pymongo calls it in the thread or task of the operation that an event belongs to.
"""

from __future__ import annotations

from contextvars import ContextVar
from threading import Condition, RLock
from typing import Any, Final

from pymongo.monitoring import ConnectionPoolListener

from moorage.domain.connectors.mongodb_failures import MongoPhase
from moorage.domain.connectors.pool_statistics import PoolStatistics


class Progress:
    """The progress of one attempt, which shows whether a command may have been sent.

    Attributes:
        phase: how far the attempt has come, which decides what a failure means.
        has_effect: whether a command changes something before its answer has arrived.
        is_whole: whether the operation is atomic.
        is_waiting: whether the attempt waits for a connection of the pool.
        seconds: the time limit of the attempt.
    """

    __slots__ = ("has_effect", "is_waiting", "is_whole", "phase", "seconds")

    def __init__(self, *, has_effect: bool, is_whole: bool) -> None:
        self.phase = MongoPhase.CONNECTING
        self.has_effect = has_effect
        self.is_whole = is_whole
        self.is_waiting = False
        self.seconds = 0.0

    def has_connection(self) -> None:
        """Record that a command is about to be sent over an open connection."""
        self.is_waiting = False
        self.phase = MongoPhase.SENT if self.has_effect else MongoPhase.UNDONE

    def begins_commit(self) -> None:
        """Record that the commit of a transaction is about to be sent."""
        self.has_effect = True
        self.phase = MongoPhase.SENT


CURRENT: Final[ContextVar[Progress | None]] = ContextVar("moorage_mongodb_attempt", default=None)
"""The attempt of the running thread or task."""


class Monitor(ConnectionPoolListener):
    """A listener for the connection pools of one pymongo client.

    Attributes:
        attempts: the attempts that are under way.
    """

    def __init__(self, connections: int) -> None:
        self._connections = connections
        # Reentrant, since garbage collection may close a client at any point.
        self._lock = RLock()
        self._search_ended = Condition(self._lock)
        self._created = self._handed_out = 0
        self._pools: set[Any] = set()
        self._open: set[tuple[Any, int]] = set()
        self._active: set[tuple[Any, int]] = set()
        self._is_searched = False
        self._known_servers: tuple[Any, bool, bool] = (None, False, False)
        self.attempts: dict[Progress, None] = {}

    def is_ready(self, client: Any, *, for_writing: bool) -> bool:
        """Return whether the client knows a server that accepts operations.

        A server to read from is one that the client's read preference allows.
        """
        servers = client.topology_description
        known_servers = self._known_servers
        if known_servers[0] is not servers:
            # The driver replaces a description when it changes, so each one is judged once.
            is_readable = servers.has_readable_server(client.read_preference)
            known_servers = servers, servers.has_writable_server(), is_readable
            self._known_servers = known_servers
        _, is_writable, is_readable = known_servers
        return is_writable or (not for_writing and is_readable)

    def statistics(self) -> PoolStatistics:
        """Return the statistics of all connection pools; a client has one for each server."""
        with self._lock:
            active = len(self._active)
            return PoolStatistics(
                created=self._created,
                reused=max(0, self._handed_out - self._created),
                idle=len(self._open - self._active),
                active=active,
                waiting=sum(progress.is_waiting for progress in list(self.attempts)),
                maximum=self._connections * max(1, len(self._pools)),
            )

    def begin_search(self) -> bool:
        """Return True if this caller must search for a server, because no other caller does."""
        with self._lock:
            is_first = not self._is_searched
            self._is_searched = True
            return is_first

    def end_search(self) -> None:
        """Record that the search for a server has ended."""
        with self._lock:
            self._is_searched = False
            self._search_ended.notify_all()

    def wait_for_search(self, seconds: float) -> None:
        """Wait a limited time until the search for a server has ended."""
        with self._lock:
            self._search_ended.wait_for(lambda: not self._is_searched, seconds)

    def pool_created(self, event: Any) -> None:
        """Record a new connection pool."""
        with self._lock:
            self._pools.add(event.address)

    def pool_ready(self, event: Any) -> None:
        """Do nothing, because becoming ready adds no connection to a pool."""

    def pool_cleared(self, event: Any) -> None:
        """Do nothing, because each closed connection is reported separately."""

    def pool_closed(self, event: Any) -> None:
        """Remove a closed connection pool from the record."""
        with self._lock:
            self._pools.discard(event.address)

    def connection_created(self, event: Any) -> None:
        """Count a new connection."""
        with self._lock:
            self._created += 1
            self._open.add((event.address, event.connection_id))

    def connection_ready(self, event: Any) -> None:
        """Do nothing, because the connection was counted when it was created."""

    def connection_closed(self, event: Any) -> None:
        """Remove a closed connection from the record."""
        with self._lock:
            self._open.discard((event.address, event.connection_id))

    def connection_check_out_started(self, event: Any) -> None:  # noqa: ARG002 - pymongo calls it so
        """Record that an attempt waits for a connection."""
        self._wait(is_waiting=True)

    def connection_check_out_failed(self, event: Any) -> None:  # noqa: ARG002 - pymongo calls it so
        """Record that an attempt failed to get a connection."""
        self._wait(is_waiting=False)

    def connection_checked_out(self, event: Any) -> None:
        """Record that an attempt got an open connection, which sends its command next.

        A listener for commands would know the moment of sending, but costs 20 µs for each command.
        """
        progress = CURRENT.get()
        if progress is not None:
            progress.has_connection()
        with self._lock:
            self._handed_out += 1
            self._active.add((event.address, event.connection_id))

    def connection_checked_in(self, event: Any) -> None:
        """Record that a connection was returned to its pool."""
        with self._lock:
            self._active.discard((event.address, event.connection_id))

    def _wait(self, *, is_waiting: bool) -> None:
        progress = CURRENT.get()
        if progress is not None:
            progress.is_waiting = is_waiting


def obstacles_of(client: Any) -> str:
    """Return the driver's messages about unreachable servers."""
    servers = client.topology_description.server_descriptions().values()
    return " ".join(str(server.error) for server in servers)
