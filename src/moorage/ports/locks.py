"""Places: how many callers of this process may be somewhere at once."""

from __future__ import annotations

from typing import Protocol


class Locks(Protocol):
    """Named places, given in order of arrival.

    `acquire` takes one of the `places` of `name` for `holder`, an object that the caller made for
    this one use, and returns True; or False if all are taken and `queue` callers already wait, or
    if none is free within `timeout` seconds. A place that is freed goes to the caller that waits
    longest. `release` gives back the place that `holder` has; where it has none it does nothing,
    so that a caller who was interrupted may call it without knowing. It is a plain function in
    both colours and never waits. A caller that is interrupted or cancelled while it waits holds
    no place afterwards.
    """

    def acquire(
        self, name: str, holder: object, /, *, places: int, queue: int, timeout: float
    ) -> bool: ...

    def release(self, name: str, holder: object, /) -> None: ...


class AsyncLocks(Protocol):
    """As `Locks`, awaited."""

    async def acquire(
        self, name: str, holder: object, /, *, places: int, queue: int, timeout: float
    ) -> bool: ...

    def release(self, name: str, holder: object, /) -> None: ...
