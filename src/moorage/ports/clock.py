"""Time, as one process sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Clock(Protocol):
    """Two readings of time, neither of which blocks.

    `nanoseconds` measures spans: it never goes back, goes on while the machine sleeps where the
    system can tell, and means nothing outside this process. `utc` is what a person's watch says
    (aware, UTC); it may step at any moment, so it is shown and logged, and nothing is decided by
    it.
    """

    def nanoseconds(self) -> int: ...

    def utc(self) -> datetime: ...


class Sleeper(Protocol):
    """Waits. It returns no earlier than asked, and an interruption goes through it."""

    def sleep(self, seconds: float, /) -> None: ...


class AsyncSleeper(Protocol):
    """Waits, letting other tasks run; a cancellation goes through it."""

    async def sleep(self, seconds: float, /) -> None: ...
