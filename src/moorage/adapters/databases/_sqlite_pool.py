"""A pool of connections to a SQLite file, which a forked child does not inherit.

SQLite records its locks per process, and a forked child would inherit the record without the locks.
So before a fork all idle connections are closed, and connections in use are waited for. If the wait
times out, the child must not open the file at all.
"""

from __future__ import annotations

from threading import Lock, get_ident
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final
from weakref import finalize

from moorage.adapters.concurrency.forking import around_fork, in_child
from moorage.domain.values.weak_table import WeakTable
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.databases._sqlite_file import Link

_MAX_IDLE: Final = 8
_FORK_WAIT: Final = 1.0
_POLL_INTERVAL: Final = 0.000_2


class Pool:
    """The connections of one store to its SQLite file.

    Attributes:
        idle: the unused connections; `pop` takes one, and `open` opens another if there is none.
    """

    def __init__(self) -> None:
        self.idle: list[Link] = []
        self._links: WeakTable[Link, None] = WeakTable()
        self._inherited: list[Link] = []
        self._opening = Lock()
        self._pauser: int | None = None
        self._closed = False
        around_fork(self, Pool._pause, Pool._resume)
        in_child(self, Pool._restart_after_fork)
        # Otherwise Python would warn about unclosed connections when it collects a reference cycle.
        finalize(self, _close_connections, self.idle)

    def open(self, connect: Callable[[], Link]) -> Link:
        """Open another connection to the SQLite file."""
        if self._closed:
            raise StorageUnavailable(
                "The store is closed.", remedy="Use the store before you close it."
            )
        if self._inherited:
            raise StorageUnavailable(
                "The process was forked while its parent process was using the store.",
                remedy="Fork before the first use of the store, or fork with Python's own"
                " functions.",
            )
        with self._opening:
            link = connect()
            self._links[link] = None
        return link

    def give(self, link: Link) -> None:
        """Give a connection back to the pool."""
        if link.stale or len(self.idle) >= _MAX_IDLE:
            link.close()
            return
        self.idle.append(link)
        if link.stale or self._closed:
            # The pool was emptied while this connection was being returned.
            _close_connections(self.idle)

    def clear(self) -> None:
        """Close idle connections now, and the others when they are given back."""
        for link in self._links:
            link.stale = True
        _close_connections(self.idle)

    def close(self) -> None:
        """Close the pool of connections."""
        self._closed = True
        self.clear()

    def _pause(self) -> None:
        if self._opening.acquire(timeout=_FORK_WAIT):
            self._pauser = get_ident()
        end = monotonic() + _FORK_WAIT
        self.clear()
        while self._open_links() and monotonic() < end:
            sleep(_POLL_INTERVAL)
            self.clear()

    def _resume(self) -> None:
        # Another thread may have paused the pool for its own fork.
        if self._pauser == get_ident():
            self._pauser = None
            self._opening.release()

    def _restart_after_fork(self) -> None:
        self._opening = Lock()
        self._pauser = None
        # Closing the connections in the child would not be safe either.
        self._inherited += self._open_links()
        self.idle.clear()

    def _open_links(self) -> list[Link]:
        return [link for link in self._links if link.open]


def _close_connections(links: list[Link]) -> None:
    while links:
        links.pop().close()
