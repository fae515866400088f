"""Clocks and sleeping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Clock(Protocol):
    """Returns the time of day and a monotonic time; neither method blocks.

    `nanoseconds` measures durations: it never goes back, continues while the machine sleeps if the
    system supports that, and means nothing outside this process. `utc` is the wall clock (aware,
    UTC); it may step at any moment, so it is shown and logged, and no decision uses it.
    """

    def nanoseconds(self) -> int: ...

    def utc(self) -> datetime: ...


class Sleeper(Protocol):
    """Sleeps at least as long as requested, unless it is interrupted."""

    def sleep(self, seconds: float, /) -> None: ...


class AsyncSleeper(Protocol):
    """Sleeps while other tasks run; a cancellation ends the sleep."""

    async def sleep(self, seconds: float, /) -> None: ...
