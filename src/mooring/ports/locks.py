"""Places: how many callers of this process may be somewhere at once."""

from __future__ import annotations

from typing import Protocol


class Locks(Protocol):
    """Named places, given in order of arrival.

    `acquire` takes one of the `places` of `name` and returns True, or False if all are taken and
    `queue` callers already wait, or if none is free within `timeout` seconds. A place that is
    freed goes to the caller that waits longest. `release` gives a place back; it is a plain
    function in both colours and never waits. A caller that is interrupted or cancelled while it
    waits holds no place afterwards.
    """

    def acquire(self, name: str, /, *, places: int, queue: int, timeout: float) -> bool: ...

    def release(self, name: str, /) -> None: ...


class AsyncLocks(Protocol):
    """As `Locks`, awaited."""

    async def acquire(self, name: str, /, *, places: int, queue: int, timeout: float) -> bool: ...

    def release(self, name: str, /) -> None: ...
