"""A store's pool of connections, including those that are being opened.

A connection that takes longer to open than its caller can wait is kept: the next caller waits for
it, and once it is open it is used like any other. Otherwise callers with short timeouts would never
reach a server that is merely slow.
"""

from __future__ import annotations

from contextlib import suppress
from random import random
from threading import Lock, RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.adapters.databases._sql_link import Link

_LOOK_SECONDS: Final = 2.0
_CROWDED_LOOK_SECONDS: Final = 0.5
_CLOSING_SHARE: Final = 0.5

_HANGING_SECONDS: Final = 3.0
"""Seconds after which a connection that is not open yet counts as hanging."""


class ConnectionOpening(Protocol):
    """The opening of a connection in a thread or task of its own."""

    async def wait(self, seconds: float) -> None:
        """Wait until the opening has ended, at most this number of seconds."""
        ...

    def cancel(self) -> None:
        """Cancel the opening of a connection, if that is possible."""
        ...


class PendingConnection:
    """A connection that is still being opened; at most one caller waits for the connection.

    Args:
        keep: receives the connection if it opens when nobody waits.

    Attributes:
        reached: whether the server has accepted the connection.
        round_trip: the seconds of its setup, which is one round trip.
        running: the thread or task that opens it.
    """

    running: ConnectionOpening

    def __init__(self, keep: Callable[[PendingConnection, Link | None], None]) -> None:
        self._began = monotonic()
        self.reached = False
        self.round_trip = 0.0
        self._keep_late = keep
        self._lock = Lock()
        self._has_waiter = True
        self._ended = False
        self._link: Link | None = None
        self._error: BaseException | None = None

    async def run(
        self, connected: Callable[[PendingConnection], Coroutine[Any, Any, Link]]
    ) -> None:
        """Open the connection for the caller that waits for it.

        If none waits, put it into the pool.
        """
        link: Link | None = None
        error: BaseException | None = None
        try:
            link = await connected(self)
        except BaseException as failure:  # noqa: BLE001 - raised in the waiting caller
            error = failure
        with self._lock:
            self._ended = True
            if self._has_waiter:
                self._link, self._error = link, error
                return
        self._keep_late(self, link)

    def is_hanging(self) -> bool:
        """Return whether opening takes so long that a second connection may open sooner."""
        return monotonic() - self._began > _HANGING_SECONDS

    def claim(self) -> bool:
        """Start to wait for this connection; return False if its opening has ended."""
        with self._lock:
            self._has_waiter = not self._ended
            return self._has_waiter

    async def within(self, seconds: float, late_openings: list[PendingConnection]) -> Link | None:
        """Return the connection if it opens in time; otherwise add it to `late_openings`.

        Raises:
            Exception: the connection could not be opened.
        """
        try:
            await self.running.wait(seconds)
        except BaseException:
            link, _ = self._stop_waiting(late_openings)
            if link is not None:
                self._keep_late(self, link)
            raise
        link, error = self._stop_waiting(late_openings)
        if error is not None:
            raise error
        return link

    def _stop_waiting(
        self, late_openings: list[PendingConnection]
    ) -> tuple[Link | None, BaseException | None]:
        """Stop waiting; return the connection or the error if the opening has ended by now."""
        with self._lock:
            self._has_waiter = False
            link, error = self._link, self._error
            self._link = self._error = None
            if not self._ended:
                late_openings.append(self)
        return link, error


class LinkPool:
    """The connections of one event loop, or of all threads.

    A connection that is lost through an interruption is closed with its last reference.

    Attributes:
        idle: the unused connections, each with the `monotonic()` time of its last use; the last one
            was used most recently.
        expires: whether a timer will close idle connections.
        late_openings: connections that are being opened while nobody waits for them.
        links: all connections.
        look_at: the `monotonic()` time of the next check whether the server is crowded.
        round_trip: the seconds of the last round trip.
        lock: the lock for changes of `batches`.
        batches: by the id of a row, the batch that waits for it.
        detached: the batches that run apart from their callers.
    """

    __slots__ = (
        "_gives_back",
        "batches",
        "detached",
        "expires",
        "idle",
        "late_openings",
        "links",
        "lock",
        "look_at",
        "round_trip",
    )

    def __init__(self) -> None:
        self.links: WeakSet[Link] = WeakSet()
        self.idle: list[tuple[float, Link]] = []
        self.expires = False
        self._gives_back = False
        self.look_at = monotonic() + _LOOK_SECONDS
        self.late_openings: list[PendingConnection] = []
        self.round_trip = 0.0
        # A reentrant lock, because a signal handler may use the store.
        self.lock = RLock()
        self.batches: dict[bytes, Any] = {}
        self.detached: set[object] = set()

    def take(self) -> Link | None:
        """Return the most recently used idle connection; None if there is none."""
        try:
            return self.idle.pop()[1]
        except IndexError:
            return None

    def may_check_capacity(self) -> bool:
        """Return whether it is time to ask the server again how many connections it has."""
        now = monotonic()
        if now < self.look_at:
            return False
        self.look_at = now + _LOOK_SECONDS
        return True

    def note_capacity(self, *, is_crowded: bool) -> None:
        """Store whether the server is nearly full, in which case the next check is sooner."""
        self._gives_back = is_crowded
        if is_crowded:
            self.look_at = monotonic() + _CROWDED_LOOK_SECONDS

    def gives_back_now(self) -> bool:
        """Return whether to close a used connection so that other processes can open one.

        Each check closes at most one connection, and only half of the processes close one, so that
        they do not all reconnect at the same time.
        """
        is_crowded, self._gives_back = self._gives_back, False
        return is_crowded and random() < _CLOSING_SHARE  # noqa: S311 - no secret

    def expire(self, seconds: float) -> float | None:
        """Close connections idle for so many seconds; return the seconds until the next check."""
        while True:
            try:
                used_at, link = self.idle.pop(0)
            except IndexError:
                return None
            seconds_left = used_at + seconds - monotonic()
            if seconds_left > 0:
                self.idle.insert(0, (used_at, link))
                return seconds_left
            self.drop(link)

    def joinable(self, most: int) -> PendingConnection | None:
        """Return a connection that is still being opened and for which no caller waits.

        Return None if a new one is to be opened: there is none, or it takes very long and there
        are fewer than `most` of them.
        """
        with suppress(IndexError):
            while not self.late_openings[-1].is_hanging() or len(self.late_openings) >= most:
                opening = self.late_openings.pop()
                if opening.claim():
                    return opening
        return None

    def drop(self, link: Link) -> None:
        """Close a connection that cannot be reused."""
        self.links.discard(link)
        link.close()

    def clear(self) -> None:
        """Close idle connections."""
        while link := self.take():
            self.drop(link)

    def cancel(self) -> None:
        """Cancel the opening of all connections that can be cancelled."""
        for opening in list(self.late_openings):
            opening.running.cancel()
