"""Named semaphores for asyncio tasks."""

from __future__ import annotations

import asyncio
from typing import Final

from moorage.adapters.clocks.event_loop import running_loop
from moorage.adapters.concurrency.semaphore_slots import INSIDE, WAITING, SlotHolders, Waiter

_FOREVER: Final = 1e9  # seconds; not every event loop counts further


class AsyncioLocks:
    """Named semaphores for tasks of any event loops, which get slots in the order of arrival.

    `enter` takes a slot if one is free and nobody waits for it. `release` gives back the holder's
    slot, if it has one, to the first waiting caller; any thread may call it. Unused names take no
    memory, and in a forked child all slots are free.
    """

    __slots__ = ("_slots", "enter")

    def __init__(self, slots: SlotHolders | None = None) -> None:
        self._slots = slots or SlotHolders()
        self.enter = self._slots.enter

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        """Take a slot of the semaphore `name`; return False if none became free in time."""
        return self._slots.enter(name, holder, slots) or (
            timeout > 0 and await self._wait(name, holder, slots, queue, timeout)
        )

    def release(self, name: str, holder: object, /) -> None:
        """Return the caller's slot, if it has one."""
        self._slots.release(name, holder)

    async def _wait(
        self, name: str, holder: object, slots: int, queue: int, timeout: float
    ) -> bool:
        loop = running_loop()
        signal = loop.create_future()

        def wake() -> None:
            try:
                if _running_loop() is loop:
                    _set(signal)
                else:
                    loop.call_soon_threadsafe(_set, signal)
            except RuntimeError:  # the loop is closed, so its task cannot continue
                self._slots.leave(waiter)

        waiter = Waiter(name, holder, wake)
        timer = loop.call_later(min(timeout, _FOREVER), _set, signal)
        try:
            self._slots.join(waiter, slots, queue)
            if waiter.state == WAITING:
                await signal
                if waiter.state == INSIDE:
                    self._slots.settle(name)  # there may be more free slots
                else:
                    self._slots.leave(waiter)
        except BaseException:
            self._slots.leave(waiter)
            raise
        finally:
            timer.cancel()
        return waiter.state == INSIDE


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _set(signal: asyncio.Future[None]) -> None:
    if not signal.done():
        signal.set_result(None)
