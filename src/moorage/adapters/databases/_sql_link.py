"""What the store in a database server needs of a connection, and how a connection fails.

A transaction has two trips: one that locks the rows of a command, in the order of their ids, and
reads the server's clock after the last of them is locked; and one that writes and commits. What
fails before the second trip was certainly not executed. What writes nothing may read in one trip,
without a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


SLOWEST: Final = 10.0
"""Seconds that a slow server may take for one step, if the caller has them."""

STALLED: Final = 3.0
"""Seconds that a process may stand still with rows locked, before the server gives them away."""


MULTI_STATEMENTS: Final = 1 << 16
"""The flag of MySQL's protocol for several statements in one query."""


class Row(NamedTuple):
    """What is stored of a key: nothing yet, where `state` is None. `expires` is when it may go."""

    id: bytes
    state: bytes | None
    expires: int


class NotDone(Exception):
    """A command was certainly not executed.

    Attributes:
        reason: why, as the end of a sentence.
        again: whether it may succeed at once when it is tried again.
        lost: whether the connection is gone, and others are likely to be gone with it.
        slow: whether the server has answered, but did not do it in time.
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
    """The connection was lost while a command was being committed."""

    lost = True
    slow = False


class NoTable(Exception):
    """A table or column is not there."""


class Denied(Exception):
    """Whoever the connection belongs to may not do this."""


class Misfit(Exception):
    """The server, or what speaks to it, cannot do what a store needs.

    Attributes:
        reason: why, as the end of a sentence.
        remedy: what to do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Link(Protocol):
    """A connection of our own. `until` is a time of `monotonic()`: what comes later has failed.

    Attributes:
        ready: whether it is between two transactions, so that another may use it.
    """

    ready: bool

    async def prepare(self, timeout: float, until: float) -> int | None:
        """Set the session up, and return the version of the tables, as they say."""
        ...

    async def lock(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Begin, lock the rows that are there, and return them with the server's time."""
        ...

    async def read(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Return the rows that are there, with the server's time, locking none."""
        ...

    async def write(self, rows: Sequence[Row], until: float, *, durable: bool) -> None:
        """Write to rows that are locked, and commit; `durable` is on the disk then."""
        ...

    async def add(self, row: Row, name: str, until: float, *, durable: bool) -> bool:
        """Insert a row and commit, or tell that somebody else has inserted one."""
        ...

    async def leave(self, until: float, *, durable: bool = False) -> None:
        """End the transaction, having written nothing; `durable`: what it read is on the disk."""
        ...

    async def place(self, rows: Sequence[Row], names: Sequence[str], until: float) -> None:
        """Insert the rows that are missing, in a transaction of its own."""
        ...

    async def forget(self, most: int, until: float) -> int:
        """Delete rows that have expired and that nobody has locked; return how many."""
        ...

    def close(self) -> None:
        """Close it, whatever it is doing."""
        ...

    def abandon(self) -> None:
        """Let go of it in a forked child: it is the parent's."""
        ...


class Wait(Protocol):
    """Waits until a socket is ready to be read, or with `writing` either that or written to.

    Raises:
        TimeoutError: it was not in time.
    """

    async def __call__(self, fd: int, until: float, *, writing: bool) -> None: ...
