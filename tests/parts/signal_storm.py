"""A program that interrupts parts with thousands of signals and counts leaked slots.

Run as a program, told what to interrupt: prints as JSON how often a signal struck and how much
was left. A signal that struck inside a tool that traces us, such as one that measures coverage,
would break that tool.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from moorage import (
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitBreakerConfig,
    RateLimitConfig,
    RateLimiter,
    RetryHandler,
    RetryPolicy,
)
from moorage.adapters.concurrency.locks import ThreadLocks
from moorage.adapters.concurrency.semaphore_slots import SlotHolders
from tests.parts.ways_of_use import Clock, FunctionFailure

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS: Final = 1.0
_MANY: Final = 10**9


class SignalStorm:
    """A timer signal that interrupts the running code at most once per use, at any place."""

    def __init__(self) -> None:
        self.struck = 0
        self.left = 0
        self._armed = False
        self._end = time.monotonic() + _SECONDS
        signal.signal(signal.SIGALRM, self._raise_once)

    def is_running(self) -> bool:
        """Return whether the test's time has not run out yet."""
        return time.monotonic() < self._end

    def _raise_once(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            self.struck += 1
            raise KeyboardInterrupt

    def through(self, action: Callable[[], object], longest: float) -> bool:
        """Run an action that a signal may interrupt; return whether it was interrupted."""
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, longest))
            # Python handles no signal between a plain assignment and the statement after it.
            self._armed = True
            action()
            self._armed = False
        except KeyboardInterrupt:
            return True
        except (FunctionFailure, BulkheadFull):
            self._armed = False
        return False


def import_early(uses: list[Callable[[], object]]) -> None:
    """Run late imports now, since an interruption of them breaks Python's import locks."""
    for use in uses:
        with suppress(FunctionFailure):
            use()


def probes(storm: SignalStorm) -> None:
    """Interrupt calls that probe a half-open circuit, and count the slots that are not freed."""
    clock = Clock()
    config = CircuitBreakerConfig(failures=1, open_for=1, open_growth=1, successes=_MANY)
    breaker = CircuitBreaker(config, clock=clock)
    outcomes = [True, True, False]

    def run_function() -> None:
        if not random.choice(outcomes):
            raise FunctionFailure

    def enter() -> None:
        with breaker.guard():
            run_function()

    uses: list[Callable[[], object]] = [
        lambda: breaker.call(run_function),
        breaker(run_function),
        enter,
    ]
    import_early([lambda: breaker.call(int), breaker.state])
    while storm.is_running():
        clock.advance(1)
        storm.through(random.choice(uses), 1e-4)
        if breaker.state().probes_under_way:
            storm.left += 1
            clock.advance(60)


def interrupt_bulkhead(storm: SignalStorm) -> None:
    """Interrupt calls through a bulkhead that other threads also use, and count leaked slots."""
    taken_places = SlotHolders()
    bulkhead = Bulkhead(2, 9, max_wait=0.001, locks=ThreadLocks(taken_places))
    stop = threading.Event()

    def visit_bulkhead() -> None:
        while not stop.is_set():
            try:
                bulkhead.call(time.sleep, 0)
            except BulkheadFull:
                continue

    def enter() -> None:
        with bulkhead.guard():
            time.sleep(0)

    uses: list[Callable[[], object]] = [lambda: bulkhead.call(time.sleep, 0), enter]
    import_early(uses)
    threads = [threading.Thread(target=visit_bulkhead) for _ in range(3)]
    for thread in threads:
        thread.start()
    while storm.is_running():
        storm.through(random.choice(uses), 2e-4)
    stop.set()
    for thread in threads:
        thread.join()
    storm.left = len(taken_places.names())


def interrupt_waits(storm: SignalStorm) -> None:
    """Interrupt callers that wait for a rate limiter or make reservations."""
    clock = Clock()
    limiter = RateLimiter(RateLimitConfig.per_second(1), clock=clock, sleeper=clock)
    import_early([limiter.acquire, limiter.reserve])
    clock.advance(9)
    limiter.acquire()
    while storm.is_running():
        start_time = clock.nanoseconds()
        if storm.through(random.choice([limiter.acquire, limiter.reserve]), 1e-4):
            # If it had slept already, a second has passed; and no other caller is there.
            slept = (clock.nanoseconds() - start_time) / 1e9
            storm.left += limiter.reserve().delay + slept > 1
        clock.advance(9)
        limiter.acquire()


def retries(storm: SignalStorm) -> None:
    """Interrupt attempts and pauses of a retry handler, and check that no attempt follows."""
    clock = Clock()
    retry = RetryHandler(RetryPolicy(base_delay=0.001), clock=clock, sleeper=clock)
    calls = [0]

    def run_function() -> None:
        calls[0] += 1
        raise FunctionFailure

    def loop() -> None:
        for attempt in retry:
            with attempt:
                run_function()

    uses: list[Callable[[], object]] = [lambda: retry.call(run_function), retry(run_function), loop]
    import_early(uses)
    while storm.is_running():
        calls[0] = 0
        strikes = storm.struck
        is_ended = storm.through(random.choice(uses), 3e-4)
        storm.left += is_ended != (storm.struck > strikes) or calls[0] > 3


def main(kind: str) -> None:
    """Run one kind of interruption, and print the permits that were not returned."""
    # Python warns about a coroutine that is interrupted before its first line, and loses an error
    # that is raised while a generator closes.
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    storm = SignalStorm()
    {"probes": probes, "places": interrupt_bulkhead, "waits": interrupt_waits, "retries": retries}[
        kind
    ](storm)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    print(json.dumps([storm.struck, storm.left]))  # noqa: T201 - this is the answer


if __name__ == "__main__":
    main(sys.argv[1])
