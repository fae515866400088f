"""Named semaphores for threads."""

from __future__ import annotations

from threading import TIMEOUT_MAX, Lock

from moorage.adapters.concurrency.semaphore_slots import INSIDE, WAITING, SlotHolders, Waiter


class ThreadLocks:
    """Named semaphores for threads; waiting threads get a slot in the order of their arrival.

    `enter` takes a slot if one is free and nobody waits for it. `release` gives back the holder's
    slot, if it has one, to the first waiting caller. Unused names take no memory, and in a forked
    child all slots are free.
    """

    __slots__ = ("_slots", "enter")

    def __init__(self, slots: SlotHolders | None = None) -> None:
        self._slots = slots or SlotHolders()
        self.enter = self._slots.enter

    def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        """Take a slot of the semaphore `name`; return False if no slot became free in time."""
        return self._slots.enter(name, holder, slots) or (
            timeout > 0 and self._wait(name, holder, slots, queue, timeout)
        )

    def release(self, name: str, holder: object, /) -> None:
        """Return the caller's slot, if it has one."""
        self._slots.release(name, holder)

    def _wait(self, name: str, holder: object, slots: int, queue: int, timeout: float) -> bool:
        signal = Lock()
        signal.acquire()
        waiter = Waiter(name, holder, signal.release)
        try:
            self._slots.join(waiter, slots, queue)
            if waiter.state == WAITING:
                signal.acquire(timeout=min(timeout, TIMEOUT_MAX))
                if waiter.state == INSIDE:
                    self._slots.settle(name)  # there may be more free slots
                else:
                    self._slots.leave(waiter)
        except BaseException:
            self._slots.leave(waiter)
            raise
        return waiter.state == INSIDE
