"""Connections to one file: each used by one caller at a time, and none of them across a fork.

What SQLite knows of its locks it keeps for the process, and a child would inherit it without the
locks. So before a fork all connections are closed, and who is in the middle of something is waited
for. A child of a fork that did not wait must not open the file at all.
"""

from __future__ import annotations

from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final
from weakref import WeakSet, finalize

from moorage.adapters.concurrency.forking import around_fork, in_child
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.databases._sqlite_file import Link

_IDLE: Final = 8
_PATIENCE: Final = 1.0
_NAP: Final = 0.000_2


class Pool:
    """The connections of one store.

    `idle` are those that nobody uses: `pop` takes one, and `open` gives another if there is none.
    """

    def __init__(self) -> None:
        self.idle: list[Link] = []
        self._links: WeakSet[Link] = WeakSet()
        self._inherited: list[Link] = []
        self._opening = Lock()
        self._standing = False
        self._closed = False
        around_fork(self, Pool._pause, Pool._go_on)
        in_child(self, Pool._start_afresh)
        # In a circle of garbage Python would take the connections for forgotten ones.
        finalize(self, _close, self.idle)

    def open(self, connect: Callable[[], Link]) -> Link:
        """Open a further connection."""
        if self._closed:
            raise StorageUnavailable("The store is closed.", remedy="Use it before it is closed.")
        if self._inherited:
            raise StorageUnavailable(
                "The process was forked while its parent was using the store.",
                remedy="Fork before the first use of the store, or with Python's own functions.",
            )
        with self._opening:
            link = connect()
            self._links.add(link)
        return link

    def give(self, link: Link) -> None:
        """Give back what was taken."""
        if link.stale or len(self.idle) >= _IDLE:
            link.close()
        else:
            self.idle.append(link)

    def clear(self) -> None:
        """Close what nobody uses, and have the others closed when they are given back."""
        for link in list(self._links):
            link.stale = True
        _close(self.idle)

    def close(self) -> None:
        """Close for good."""
        self._closed = True
        self.clear()

    def _pause(self) -> None:
        self._standing = self._opening.acquire(timeout=_PATIENCE)
        end = monotonic() + _PATIENCE
        self.clear()
        while self._under_way() and monotonic() < end:
            sleep(_NAP)
            self.clear()

    def _go_on(self) -> None:
        if self._standing:
            self._standing = False
            self._opening.release()

    def _start_afresh(self) -> None:
        self._opening = Lock()
        # Closing them here would not be safe either.
        self._inherited += self._under_way()
        self.idle.clear()

    def _under_way(self) -> list[Link]:
        return [link for link in list(self._links) if link.open]


def _close(links: list[Link]) -> None:
    while links:
        links.pop().close()
