"""The interface of a connection to a database server, and its errors.

A transaction takes two round trips: the first locks the rows of a command in the order of their
ids, and reads the server's clock after the last of them is locked; the second writes and commits. A
transaction that fails before the second round trip was certainly not executed. A transaction that
writes nothing may read in one round trip, without locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


SLOWEST: Final = 10.0
"""Seconds that a slow server may take for one step, if the caller has them."""

STALLED: Final = 3.0
"""Seconds that a stopped process may hold row locks before the server releases them."""


MULTI_STATEMENTS: Final = 1 << 16
"""The flag of MySQL's protocol that allows several statements in one query."""


class Row(NamedTuple):
    """A stored state with its expiry time; `state` is None in a new row."""

    id: bytes
    state: bytes | None
    expires: int


class NotExecuted(Exception):
    """Raised if it is certain that a command was not executed.

    Attributes:
        reason: the reason, as the end of a sentence.
        again: whether an immediate retry may succeed.
        lost: whether the connection is lost, and other connections probably too.
        slow: whether the server replied, but was too slow.
        remedy: what the user can do, if it is known.
    """

    remedy: str | None = None

    def __init__(
        self, reason: str, *, again: bool = True, lost: bool = False, slow: bool = False
    ) -> None:
        super().__init__(reason)
        self.slow = slow
        self.reason = reason
        self.again = again
        self.lost = lost


class ServerFull(NotExecuted):
    """Raised if the server accepts no more connections; this may change within a moment."""

    def __init__(self) -> None:
        super().__init__(
            "refused the connection, because the server has too many connections",
            again=False,
            slow=True,
        )
        self.remedy = "Reduce `connections`, or raise the server's limit on connections."


class FateUnknown(Exception):
    """Raised if the connection broke during a commit, so that the outcome is unknown."""

    lost = True
    slow = False


class MissingTable(Exception):
    """Raised if a table or column does not exist."""


class ConnectionDenied(Exception):
    """Raised if the database user lacks a permission."""


class MissingFeature(Exception):
    """Raised if the server or the driver lacks a feature that the store needs.

    Attributes:
        reason: the reason, as the end of a sentence.
        remedy: what the user can do.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Link(Protocol):
    """A store's connection to its database; `until` is a deadline as a time of `monotonic()`.

    Attributes:
        ready: whether the connection is between two transactions, so that it can be reused.
    """

    ready: bool

    async def prepare(self, timeout: float, until: float) -> int | None:
        """Prepare the session, and return the version of the store's tables."""
        ...

    async def lock(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Begin a transaction, lock existing rows, and return them and the server's time."""
        ...

    async def read(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Return existing rows and the server's time, without locking."""
        ...

    async def write(self, rows: Sequence[Row], until: float, *, durable: bool) -> None:
        """Write locked rows and commit; if `durable`, wait until the rows are on disk."""
        ...

    async def add(self, row: Row, name: str, until: float, *, durable: bool) -> bool:
        """Insert a row and commit; return False if another process inserted the row first."""
        ...

    async def leave(self, until: float, *, durable: bool = False) -> None:
        """End a transaction without changes; if `durable`, wait until the read data is on disk."""
        ...

    async def insert_missing(self, rows: Sequence[Row], names: Sequence[str], until: float) -> None:
        """Insert missing rows in a separate transaction."""
        ...

    async def is_crowded(self, until: float, /) -> bool:
        """Return whether the server has almost no free connections; False if this is unknown."""
        ...

    async def delete_expired(self, limit: int, until: float) -> int:
        """Delete expired rows that are not locked, and return their number."""
        ...

    def close(self) -> None:
        """Close the connection immediately, even while a statement runs."""
        ...

    def abandon(self) -> None:
        """Drop an inherited connection after a fork, because the parent process uses it."""
        ...


class SocketWait(Protocol):
    """Waits until a socket is readable; with `writing`, until it is readable or writable.

    Raises:
        TimeoutError: the socket was not ready in time.
    """

    async def __call__(self, fd: int, until: float, *, writing: bool) -> None: ...
