"""Processes that share one SQLite store; the first command-line argument chooses the task."""

# ruff: noqa: T201 - a script prints

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Thread
from typing import TYPE_CHECKING

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.domain.values.durations import DAY
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from moorage.domain.state.commands import States


class Add:
    """A command that adds one to several counters, and returns the earlier values."""

    once = True

    def __init__(self, *keys: str, durable: bool = False) -> None:
        self.keys = keys
        self.durable = durable

    def apply(self, states: States, now: int) -> tuple[States, tuple[list[int], int]]:
        """Return the states with one added to each counter."""
        counts = [0 if state is None else state[2] for state in states]
        return tuple((now, DAY, number + 1) for number in counts), (counts, now)


class ShiftedClock:
    """The system's clocks, except that the wall clock is wrong by some hours."""

    def __init__(self, hours: float) -> None:
        self.nanoseconds = SystemClock().nanoseconds
        self._wrong = timedelta(hours=hours)

    def utc(self) -> datetime:
        """Return the wrong time of this clock."""
        return datetime.now(UTC) + self._wrong


def count(path: str, threads: int, times: int) -> None:
    """Add to one counter from many threads, and print the value that each addition returned."""
    store, results = SqliteStorage(path, timeout=30), []

    def add() -> None:
        for _ in range(times):
            (number, other_number), _ = store.execute(Add("one", "two"))
            assert number == other_number
            results.append(number)

    joint_threads = [Thread(target=add) for _ in range(threads)]
    for thread in joint_threads:
        thread.start()
    for thread in joint_threads:
        thread.join()
    print(*results)


def increment_counters(path: str) -> None:
    """Increase two counters over and over, and print the first counter after each write."""
    store = SqliteStorage(path, timeout=30)
    number = 0
    while True:
        number += 1
        (result, _), _ = store.execute(Add("one", "two", durable=not number % 5))
        print(result, flush=True)


def tell_time(path: str, hours: float) -> None:
    """Print the store's time and the system's time, under a wall clock that is hours wrong."""
    store = SqliteStorage(path, clock=ShiftedClock(hours))
    print(store.execute(Add("time"))[1], time.time_ns() // 1000)


class SignalInterruption(BaseException):
    """The exception that a signal handler raises."""


def add_while_interrupted(path: str) -> None:
    """Add while signals interrupt the process.

    Print the number of interruptions and of locks that are still held.
    """

    def strike(*_: object) -> None:
        raise SignalInterruption

    store, other_storage, generator = (
        SqliteStorage(path, timeout=5),
        SqliteStorage(path, timeout=0.05),
        Random(1),
    )
    store.execute(Add("one", "two"))
    signal.signal(signal.SIGALRM, strike)
    strikes = partial_writes = locked_files = 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            signal.setitimer(signal.ITIMER_REAL, generator.uniform(5e-6, 400e-6))
            for number in range(10):
                store.execute(Add("one", "two", durable=not number))
            signal.setitimer(signal.ITIMER_REAL, 0)
        except SignalInterruption:
            strikes += 1
        try:
            (value, two), _ = other_storage.execute(Add("one", "two"))
        except StorageUnavailable:
            locked_files += 1
        else:
            partial_writes += value != two
    print(strikes, partial_writes, locked_files)


if __name__ == "__main__":
    what, path, *more = sys.argv[1:]
    if what == "count":
        count(path, *map(int, more))
    elif what == "increment_counters":
        increment_counters(path)
    elif what == "add_while_interrupted":
        add_while_interrupted(path)
    else:
        tell_time(path, float(more[0]))
