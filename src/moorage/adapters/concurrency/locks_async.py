"""Places in a process of tasks."""

from __future__ import annotations

import asyncio
from typing import Final

from moorage.adapters.concurrency.places import INSIDE, WAITING, Places, Waiter

_FOREVER: Final = 1e9  # seconds; not every event loop counts further


class AsyncioLocks:
    """Named places for tasks, in one event loop or in several, given in order of arrival.

    Names that nobody uses take no memory, and in a forked child nobody is in. `release` may be
    called from any thread.
    """

    __slots__ = ("_places",)

    def __init__(self, places: Places | None = None) -> None:
        self._places = places or Places()

    async def acquire(
        self, name: str, holder: object, /, *, places: int, queue: int, timeout: float
    ) -> bool:
        """Take a place of `name`, or tell that none came free in time."""
        return self._places.enter(name, holder, places) or (
            timeout > 0 and await self._wait(name, holder, places, queue, timeout)
        )

    def release(self, name: str, holder: object, /) -> None:
        """Give the place that `holder` has, if it has one, to whoever waits longest."""
        self._places.settle(name, holder)

    async def _wait(
        self, name: str, holder: object, places: int, queue: int, timeout: float
    ) -> bool:
        loop = asyncio.get_running_loop()
        called = loop.create_future()

        def wake() -> None:
            try:
                if _running_loop() is loop:
                    _call(called)
                else:
                    loop.call_soon_threadsafe(_call, called)
            except RuntimeError:  # the loop is closed, so nobody is there to come in
                self._places.leave(waiter)

        waiter = Waiter(name, holder, wake)
        late = loop.call_later(min(timeout, _FOREVER), _call, called)
        try:
            self._places.join(waiter, places, queue)
            if waiter.stand == WAITING:
                await called
                if waiter.stand == INSIDE:
                    self._places.settle(name)  # there may be room for more
                else:
                    self._places.leave(waiter)
        except BaseException:
            self._places.leave(waiter)
            raise
        finally:
            late.cancel()
        return waiter.stand == INSIDE


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _call(called: asyncio.Future[None]) -> None:
    if not called.done():
        called.set_result(None)
