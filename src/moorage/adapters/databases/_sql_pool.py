"""The connections of a store that can be used in one place, and those that are being opened.

A connection that takes longer to open than its caller can wait is not thrown away: the next caller
waits for it, and once it is open it is used like any other. Otherwise callers in a hurry would
never reach a server that is merely slow.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Lock, RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.adapters.databases._sql_link import Link

_HANGING: Final = 3.0
"""Seconds after which a connection that is not open yet is taken for one that hangs."""


class Running(Protocol):
    """The opening of a connection that is under way, in a thread or a task of its own."""

    async def wait(self, seconds: float) -> None:
        """Wait until it has ended, or for so long."""
        ...

    def cancel(self) -> None:
        """End it where that is possible."""
        ...


class Opening:
    """A connection that is being opened, and at most one caller who waits for it.

    Args:
        keep: takes the connection if it comes when nobody waits.

    Attributes:
        reached: whether the server has let the connection in.
        trip: how many seconds its set-up took, which is one round trip.
        running: what opens it.
    """

    running: Running

    def __init__(self, keep: Callable[[Opening, Link | None], None]) -> None:
        self._began = monotonic()
        self.reached = False
        self.trip = 0.0
        self._keep = keep
        self._lock = Lock()
        self._awaited = True
        self._ended = False
        self._link: Link | None = None
        self._error: BaseException | None = None

    async def run(self, connected: Callable[[Opening], Coroutine[Any, Any, Link]]) -> None:
        """Open the connection."""
        link: Link | None = None
        error: BaseException | None = None
        try:
            link = await connected(self)
        except BaseException as failure:  # noqa: BLE001 - raised in whoever waits for it
            error = failure
        with self._lock:
            self._ended = True
            if self._awaited:
                self._link, self._error = link, error
                return
        self._keep(self, link)

    def is_hanging(self) -> bool:
        """Whether it takes so long that a new one is as likely to be open soon."""
        return monotonic() - self._began > _HANGING

    def claim(self) -> bool:
        """Wait for it in place of a caller who left, unless it has ended since."""
        with self._lock:
            self._awaited = not self._ended
            return self._awaited

    async def within(self, seconds: float, late: list[Opening]) -> Link | None:
        """The connection if it is open in time; None if it is not, and then it is one of `late`.

        Raises:
            Exception: it could not be opened.
        """
        try:
            await self.running.wait(seconds)
        except BaseException:
            link, _ = self._released(late)
            if link is not None:
                self._keep(self, link)
            raise
        link, error = self._released(late)
        if error is not None:
            raise error
        return link

    def _released(self, late: list[Opening]) -> tuple[Link | None, BaseException | None]:
        """What came of it so far; nobody waits for the rest."""
        with self._lock:
            self._awaited = False
            link, error = self._link, self._error
            self._link = self._error = None
            if not self._ended:
                late.append(self)
        return link, error


class LinkPool:
    """The connections that can be used in one place.

    What an interruption has let fall between two lines is held by nobody, and closes.

    Attributes:
        idle: those that nobody uses; the one used last comes last.
        late: those that are being opened while nobody waits for them.
        links: all of them.
        trip: how many seconds a round trip took last.
        lock: whoever changes `trips` holds it.
        trips: by the id of a row, the trip that waits for it.
        apart: the trips that are made apart from their callers.
    """

    __slots__ = ("apart", "idle", "late", "links", "lock", "trip", "trips")

    def __init__(self) -> None:
        self.links: WeakSet[Link] = WeakSet()
        self.idle: list[Link] = []
        self.late: list[Opening] = []
        self.trip = 0.0
        # A signal handler may come in the middle, and use the store.
        self.lock = RLock()
        self.trips: dict[bytes, Any] = {}
        self.apart: set[object] = set()

    def take(self) -> Link | None:
        """An idle connection, the one used last."""
        try:
            return self.idle.pop()
        except IndexError:
            return None

    def begun(self, most: int) -> Opening | None:
        """A connection that is being opened while nobody waits for it, which its caller now does.

        None if a new one is to be opened: there is none, or it takes very long and there are fewer
        than `most` of them.
        """
        with suppress(IndexError):
            while not self.late[-1].is_hanging() or len(self.late) >= most:
                opening = self.late.pop()
                if opening.claim():
                    return opening
        return None

    def drop(self, link: Link) -> None:
        """Close a connection that nobody uses again."""
        self.links.discard(link)
        link.close()

    def clear(self) -> None:
        """Close what is idle."""
        while link := self.take():
            self.drop(link)

    def cancel(self) -> None:
        """End what is being opened, where that is possible."""
        for opening in list(self.late):
            opening.running.cancel()
