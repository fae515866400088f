"""A program that interrupts threads that use locks at random moments, and counts leaked slots.

Tests run this as a separate program, because a signal inside a tracing tool, such as one that
measures coverage, would break that tool.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moorage.adapters.concurrency.locks import ThreadLocks
from moorage.adapters.concurrency.semaphore_slots import SlotHolders

if TYPE_CHECKING:
    from collections.abc import Generator


class Interruption(BaseException):
    """The exception that a signal handler raises."""


class Alarm:
    """A SIGALRM timer that interrupts the code that started it, at most once per start."""

    def __init__(self) -> None:
        self.armed = False
        self.struck = 0
        signal.signal(signal.SIGALRM, self.strike)

    def strike(self, *_: object) -> None:
        """Handle SIGALRM by raising an exception in the code that set the alarm."""
        if self.armed:
            self.armed = False
            self.struck += 1
            raise Interruption


@contextmanager
def contending_threads(locks: ThreadLocks) -> Generator[None]:
    """Run three threads that acquire and release the lock until the block ends."""
    stop = threading.Event()

    def acquire_and_release() -> None:
        while not stop.is_set():
            holder = object()
            locks.acquire("a", holder, slots=2, queue=9, timeout=0.000_2)
            locks.release("a", holder)

    threads = [threading.Thread(target=acquire_and_release) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def main(rounds: int) -> None:
    """Print the number of interruptions, and of lock names still in use at the end."""
    sys.setswitchinterval(0.000_005)
    places, timer = SlotHolders(), Alarm()
    locks = ThreadLocks(places)
    with contending_threads(locks):
        for _ in range(rounds):
            holder, is_inside = object(), False
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 3e-4))
                # Python handles no signal between two plain assignments.
                timer.armed = True
                is_inside = locks.acquire("a", holder, slots=2, queue=9, timeout=0.001)
                timer.armed = False
            except Interruption:
                continue
            if is_inside:
                locks.release("a", holder)
    # At its end, the interpreter handles no signals any more, and the last alarm would kill it.
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(timer.struck, len(places.names()))  # noqa: T201 - this is the answer


if __name__ == "__main__":
    main(2_000)
