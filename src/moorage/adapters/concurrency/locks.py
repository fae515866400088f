"""Places in a process of threads."""

from __future__ import annotations

from threading import TIMEOUT_MAX, Lock

from moorage.adapters.concurrency.places import INSIDE, WAITING, Places, Waiter


class ThreadLocks:
    """Named places for threads, given in order of arrival.

    Names that nobody uses take no memory, and in a forked child nobody is in.
    """

    __slots__ = ("_places",)

    def __init__(self, places: Places | None = None) -> None:
        self._places = places or Places()

    def acquire(
        self, name: str, holder: object, /, *, places: int, queue: int, timeout: float
    ) -> bool:
        """Take a place of `name`, or tell that none came free in time."""
        return self._places.enter(name, holder, places) or (
            timeout > 0 and self._wait(name, holder, places, queue, timeout)
        )

    def release(self, name: str, holder: object, /) -> None:
        """Give the place that `holder` has, if it has one, to whoever waits longest."""
        self._places.settle(name, holder)

    def _wait(self, name: str, holder: object, places: int, queue: int, timeout: float) -> bool:
        door = Lock()
        door.acquire()
        waiter = Waiter(name, holder, door.release)
        try:
            self._places.join(waiter, places, queue)
            if waiter.stand == WAITING:
                door.acquire(timeout=min(timeout, TIMEOUT_MAX))
                if waiter.stand == INSIDE:
                    self._places.settle(name)  # there may be room for more
                else:
                    self._places.leave(waiter)
        except BaseException:
            self._places.leave(waiter)
            raise
        return waiter.stand == INSIDE
