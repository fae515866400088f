"""Interrupts calls at random moments, and counts slots and keys that stay taken.

A timer raises `KeyboardInterrupt` in the middle of a call, thousands of times, at any point: in the
protected function, in moorage's own functions, or in their clean-up. Then we look whether the
probe's place, the place in the bulkhead or the key has been given back. The manual quotes the
figures. `python -m tools.interruptions 20000` takes a minute; it needs a system with `setitimer`.
"""

import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

from moorage import (
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitBreakerConfig,
    ConnectorError,
    ConnectorManager,
    Idempotency,
    Service,
)
from tools.command_line import tool_parser

PROBING = CircuitBreakerConfig(failures=1, open_for=0.001, successes=10**9)
"""A circuit that is half open for good once it has failed, so that every call is a probe."""


def spin_briefly() -> None:
    """Work for a few microseconds; this is the protected function."""
    for _ in range(60):
        pass


def raise_error() -> NoReturn:
    """Raise an error, to open a circuit."""
    raise ConnectionError


class Timer:
    """A timer that raises `KeyboardInterrupt` once, at a random moment of a call."""

    armed = False

    def __call__(self, *_: object) -> None:
        """Raise KeyboardInterrupt when the timer's signal arrives."""
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def interrupts(self, call: Callable[[], object], longest: float) -> bool:
        """Make a call, and return whether it was interrupted within `longest` seconds."""
        try:
            self.armed = True
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, random.random() * longest))
            call()
            self.armed = False
        except KeyboardInterrupt:
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return False


TIMER = Timer()


def open_circuit(call: Callable[[Callable[[], Any]], object]) -> None:
    """Open a circuit with a failed call, and wait until it allows a probe."""
    try:
        call(raise_error)
    except ConnectionError:
        time.sleep(0.002)


def _probes_manager(manager: ConnectorManager) -> bool:
    return bool(manager.circuit_state("s").probes_under_way)


def managers() -> Iterator[tuple[Callable[[], object], Callable[[], bool]]]:
    """Yield a probe call through a manager's `run`, and a check for a slot left taken."""
    while True:
        manager = ConnectorManager([Service("s", retry=None, circuit=PROBING)])
        open_circuit(partial(manager.run, "s"))
        yield partial(manager.run, "s", spin_briefly), partial(_probes_manager, manager)


def _probes_breaker(breaker: CircuitBreaker) -> bool:
    return bool(breaker.state().probes_under_way)


def breakers() -> Iterator[tuple[Callable[[], object], Callable[[], bool]]]:
    """Yield a probe call through a breaker's `guard`, and a check for an unreleased slot."""
    while True:
        breaker = CircuitBreaker(PROBING)
        open_circuit(breaker.call)

        def enter(breaker: CircuitBreaker = breaker) -> None:
            with breaker.guard():
                spin_briefly()

        yield enter, partial(_probes_breaker, breaker)


def bulkheads() -> Iterator[tuple[Callable[[], object], Callable[[], bool]]]:
    """Yield a call through a bulkhead, and a check for a slot that was not released."""
    while True:
        bulkhead = Bulkhead(1)

        def is_full(bulkhead: Bulkhead = bulkhead) -> bool:
            try:
                bulkhead.call(spin_briefly)
            except BulkheadFull:
                return True
            return False

        yield partial(bulkhead.call, spin_briefly), is_full


def interrupted_slots(
    name: str, kinds: Iterator[tuple[Callable[[], object], Callable[[], bool]]], times: int
) -> str:
    """Interrupt calls this many times; return a line on how many left their slot taken."""
    counts: Counter[str] = Counter()
    call, is_taken = next(kinds)
    for _ in range(times):
        counts["interrupted"] += TIMER.interrupts(call, 60e-6)
        if is_taken():
            counts["left"] += 1
            call, is_taken = next(kinds)
    return f"{name}: {counts['interrupted']} interruptions, {counts['left']} places left taken"


def keys(times: int) -> str:
    """Interrupt keyed calls; return a line on how many then had a second effect."""
    guard = Idempotency(timeout=0.01)
    effects: Counter[int] = Counter()
    counts: Counter[str] = Counter()

    def perform_effect(number: int) -> None:
        effects[number] += 1
        spin_briefly()

    for number in range(times):
        key = f"key-{number}"
        if TIMER.interrupts(partial(guard.call, key, perform_effect, number), 80e-6):
            counts["interrupted"] += 1
            try:
                guard.call(key, perform_effect, number)
            except ConnectorError:
                counts["not guessed"] += 1
            counts["twice"] += effects[number] > 1
    return (
        f"keys: {counts['interrupted']} interruptions, {counts['not guessed']} repeats refused,"
        f" {counts['twice']} second effects"
    )


def main(times: int) -> None:
    """Interrupt each case this many times, and print the results."""
    signal.signal(signal.SIGALRM, TIMER)
    # An interruption of a destructor is only reported there, as noise of this method.
    sys.unraisablehook = lambda _: None
    print(interrupted_slots("probes, run", managers(), times))
    print(interrupted_slots("probes, guard", breakers(), times))
    print(interrupted_slots("bulkhead", bulkheads(), times))
    print(keys(times))


if __name__ == "__main__":
    PARSER = tool_parser("interruptions", __doc__)
    PARSER.add_argument("times", nargs="?", type=int, default=2_000, help="2000 by default")
    main(PARSER.parse_args().times)
