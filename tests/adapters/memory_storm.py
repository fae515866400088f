"""A program that interrupts store commands at random moments, and counts partial effects.

The argument names the kind of interruption. Tests run this as a separate program, because a signal
inside a tracing tool, such as one that measures coverage, would break that tool.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from moorage.adapters.state.memory import MemoryStorage

if TYPE_CHECKING:
    from moorage.domain.state.commands import States

_SECONDS: Final = 0.5
_LONG: Final = 10**12


class Number:
    """A command that writes its own number under all of its keys."""

    once = False
    durable = False

    def __init__(self, number: int, *keys: str) -> None:
        self.keys = keys
        self._number = number

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Return the states with the number written to each."""
        return tuple((now, _LONG, self._number) for _ in states), states


class ReadCommand(Number):
    """A command that reads states and writes nothing."""

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Return the states unchanged."""
        return states, states


class InterruptedStore:
    """A store, commands with several keys that get interrupted, and a count of partial effects."""

    def __init__(self) -> None:
        self.store = MemoryStorage(max_entries=10**7)
        self.struck = 0
        self.torn = 0
        self.posted = 0
        self.round = 0

    def post(self) -> None:
        """Post a command to the store, as code in a signal handler or a finaliser does."""
        self.posted += 1
        self.store.post(Number(-1, "posted", f"posted {self.posted}"))

    def work(self) -> None:
        """Run commands that write one to four keys at once, new and existing ones."""
        number = self.round = self.round + 1
        keys = [f"{number // 4} {place}" for place in range(4)]
        for size in (1, 2, 3, 4):
            self.store.execute(Number(number, *keys[:size]))
        self.store.execute(Number(number, "one"))
        self.store.execute(Number(number, "two a", "two b"))
        self.store.execute(Number(number, "three a", "three b", "three c"))

    def check(self) -> None:
        """Count the commands that wrote some of their keys but not all."""
        for keys in (("two a", "two b"), ("three a", "three b", "three c")):
            states = self.store.execute(ReadCommand(0, *keys))
            self.torn += len({state and state[2] for state in states}) > 1


def signals(storm: InterruptedStore) -> None:
    """Raise KeyboardInterrupt in the main thread at random moments."""

    def strike(*_: object) -> None:
        storm.struck += 1
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, strike)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        try:
            signal.setitimer(signal.ITIMER_REAL, 1e-5 + storm.struck % 97 * 1e-6)
            while True:
                storm.work()
        except KeyboardInterrupt:
            storm.check()


def handlers(storm: InterruptedStore) -> None:
    """Post commands from a signal handler while other commands run."""

    def strike(*_: object) -> None:
        storm.struck += 1
        storm.post()

    signal.signal(signal.SIGALRM, strike)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        signal.setitimer(signal.ITIMER_REAL, 1e-5 + storm.struck % 97 * 1e-6)
        storm.work()
        storm.check()
    signal.setitimer(signal.ITIMER_REAL, 0)


def finalisers(storm: InterruptedStore) -> None:
    """Post commands from finalisers of garbage objects while other commands run."""

    class PostingFinaliser:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            storm.struck += 1
            storm.post()

    gc.set_threshold(3)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        PostingFinaliser()
        storm.work()
        storm.check()
    gc.set_threshold(0)


def threads(storm: InterruptedStore) -> None:
    """Raise exceptions in another thread, as frameworks with request time limits do.

    An exception is raised only while the worker is ready for it: a second one would be raised while
    the first is being handled, and end the thread.
    """
    braced = is_over = False

    class LateInterruption(BaseException):
        pass

    def call_until_over() -> None:
        # A separate frame, because at the end of a loop's round some releases of Python let an
        # interruption bypass the surrounding `try`.
        while not is_over:
            storm.work()

    def call_until_interrupted() -> None:
        nonlocal braced
        while not is_over:
            try:
                braced = True
                call_until_over()
            except LateInterruption:
                storm.struck += 1
                storm.check()

    worker = threading.Thread(target=call_until_interrupted)
    worker.start()
    number = ctypes.c_ulong(worker.ident or 0)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        time.sleep(1e-4 + storm.struck % 97 * 1e-6)
        if braced:
            braced = False
            ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(LateInterruption))
    while not braced:
        time.sleep(1e-4)
    is_over = True
    worker.join()


def main(kind: str) -> None:
    """Print the number of interruptions, of partly applied commands, and the store's key count."""
    storm = InterruptedStore()
    sys.setswitchinterval(1e-5)
    {item.__name__: item for item in (signals, handlers, finalisers, threads)}[kind](storm)
    gc.disable()
    storm.work()
    storm.check()
    miscounted = sum(storm.store._counts.values()) - len(storm.store)  # noqa: SLF001 - its own count
    print(storm.struck, storm.torn, miscounted)  # noqa: T201 - this is the answer


if __name__ == "__main__":
    main(sys.argv[1])
