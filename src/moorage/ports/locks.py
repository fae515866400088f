"""Semaphores within one process, which bulkheads use."""

from __future__ import annotations

from typing import Protocol


class Locks(Protocol):
    """Named semaphores that serve their callers in the order of arrival.

    `acquire` takes one of the `slots` of the semaphore `name` for `holder`, an object that
    the caller made for this one use, and returns True; or False if all slots are taken and `queue`
    callers already wait, or if no slot is free within `timeout` seconds. A slot that becomes free
    goes to the caller that has waited longest. `release` gives back the slot of `holder`; for a
    holder without a slot nothing happens, so that an interrupted caller may always call it.
    `release` is synchronous in every host and never waits. A caller that is interrupted or
    cancelled while it waits holds no slot afterwards.
    """

    def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool: ...

    def release(self, name: str, holder: object, /) -> None: ...


class AsyncLocks(Protocol):
    """The asynchronous `Locks`."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool: ...

    def release(self, name: str, holder: object, /) -> None: ...
