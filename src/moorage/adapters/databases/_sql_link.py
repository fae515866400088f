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
    """The row of a key and its expiry; `state` is None if the row has no state yet."""

    id: bytes
    state: bytes | None
    expires: int


class NotDone(Exception):
    """A command was certainly not executed.

    Attributes:
        reason: the reason, as the end of a sentence.
        again: whether a retry may succeed at once.
        lost: whether the connection is lost, and others probably too.
        slow: whether the server replied, but was too slow.
    """

    def __init__(
        self, reason: str, *, again: bool = True, lost: bool = False, slow: bool = False
    ) -> None:
        super().__init__(reason)
        self.slow = slow
        self.reason = reason
        self.again = again
        self.lost = lost


class FateUnknown(Exception):
    """The connection was lost during the commit of a command."""

    lost = True
    slow = False


class NoTable(Exception):
    """A table or column does not exist."""


class Denied(Exception):
    """The database user lacks a permission."""


class Misfit(Exception):
    """The server or the driver lacks a feature that the store needs.

    Attributes:
        reason: the reason, as the end of a sentence.
        remedy: what the user can do.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Link(Protocol):
    """A connection of the store. `until` is a deadline as a time of `monotonic()`.

    Attributes:
        ready: whether it is between two transactions, so that it can be reused.
    """

    ready: bool

    async def prepare(self, timeout: float, until: float) -> int | None:
        """Set the session up, and return the stored version of the tables."""
        ...

    async def lock(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Begin, lock the existing rows, and return them with the server's time."""
        ...

    async def read(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Return the existing rows with the server's time, without locks."""
        ...

    async def write(self, rows: Sequence[Row], until: float, *, durable: bool) -> None:
        """Write to locked rows, and commit; with `durable`, wait until they are on disk."""
        ...

    async def add(self, row: Row, name: str, until: float, *, durable: bool) -> bool:
        """Insert a row and commit; return False if another process has inserted it."""
        ...

    async def leave(self, until: float, *, durable: bool = False) -> None:
        """End a transaction without writes; if `durable`, wait until its data is on disk."""
        ...

    async def insert_missing(self, rows: Sequence[Row], names: Sequence[str], until: float) -> None:
        """Insert missing rows in a separate transaction."""
        ...

    async def delete_expired(self, limit: int, until: float) -> int:
        """Delete expired rows without locks on them, and return their number."""
        ...

    def close(self) -> None:
        """Close the connection at once, even during a statement."""
        ...

    def abandon(self) -> None:
        """Drop the parent's connection in a forked child."""
        ...


class Wait(Protocol):
    """Waits until a socket is readable, or with `writing` readable or writable.

    Raises:
        TimeoutError: it was not ready in time.
    """

    async def __call__(self, fd: int, until: float, *, writing: bool) -> None: ...
