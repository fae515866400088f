"""What protection costs where nothing goes wrong: in memory, around a call that does nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import tracemalloc
from datetime import timedelta
from typing import TYPE_CHECKING

import aiobreaker
import attrs
import limits
import purgatory
import pybreaker
import redress
import stamina
import throttled
from limits.storage import MemoryStorage as LimitsStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from measure import Contender, Row, awaited, compare, plain

from moorage import (
    AsyncConnectorManager,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConnectorManager,
    RateLimitConfig,
    RateLimiter,
    RetryHandler,
    Service,
)
from moorage.adapters.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Callable

logging.disable(logging.CRITICAL)

PLENTY = 1_000_000
AHEAD = 1_000_000_000
"""Limits so wide that no contender is ever refused: what is timed is the asking."""


@attrs.frozen
class Target:
    """What a comparison must come to: a ratio to its reference, and the aim beyond it.

    With `more`, both are microseconds on top of the reference instead.
    """

    must: float
    aim: float
    more: bool = False


@attrs.frozen
class Comparison:
    """A table: its title, the reference first, ours last."""

    title: str
    rows: list[Row]
    target: Target


def nothing() -> None:
    """The bare call."""


async def nothing_later() -> None:
    """The bare call, awaited."""


def _wide() -> RateLimitConfig:
    return RateLimitConfig.per_second(PLENTY, burst=AHEAD)


def _limits() -> Callable[[], bool]:
    strategy = FixedWindowRateLimiter(LimitsStorage())
    item = limits.RateLimitItemPerSecond(AHEAD)
    return lambda: strategy.hit(item, "key")


def _redress_retry() -> redress.Retry:
    return redress.Retry(
        classifier=redress.default_classifier,
        strategy=redress.decorrelated_jitter(max_s=30.0),
        deadline_s=30.0,
        max_attempts=3,
    )


def full_stack(rounds: int) -> Comparison:
    """Breaker, limiter, retry and deadline together, plain."""
    hit = _limits()
    breaker = purgatory.SyncCircuitBreakerFactory()
    policy = redress.Policy(retry=_redress_retry())

    @breaker("cheapest")
    def broken() -> None:
        return nothing()

    def limited() -> None:
        if not hit():
            raise RuntimeError
        return broken()

    usual_hit = _limits()
    usual_breaker = pybreaker.CircuitBreaker(fail_max=5)

    @stamina.retry(on=OSError, attempts=3, timeout=30.0)
    def usual() -> None:
        if not usual_hit():
            raise RuntimeError
        usual_breaker.call(nothing)

    manager = ConnectorManager([Service("ours", limits=_wide())])
    return Comparison(
        "full stack, sync",
        compare(
            plain(nothing),
            [
                Contender("redress + purgatory + limits", plain(lambda: policy.call(limited))),
                Contender("stamina + pybreaker + limits", plain(usual)),
                Contender("moorage", plain(lambda: manager.run("ours", nothing))),
            ],
            rounds=rounds,
        ),
        Target(0.4, 0.22),
    )


def full_stack_async(rounds: int) -> Comparison:
    """Breaker, limiter, retry and deadline together, awaited."""
    loop = asyncio.new_event_loop()
    hit = _limits()
    breaker = purgatory.AsyncCircuitBreakerFactory()
    policy = redress.AsyncPolicy(
        retry=redress.AsyncRetry(
            classifier=redress.default_classifier,
            strategy=redress.decorrelated_jitter(max_s=30.0),
            deadline_s=30.0,
            max_attempts=3,
        )
    )

    @breaker("cheapest")
    async def broken() -> None:
        return await nothing_later()

    async def limited() -> None:
        if not hit():
            raise RuntimeError
        return await broken()

    usual_hit = _limits()
    usual_breaker = aiobreaker.CircuitBreaker(fail_max=5)

    @stamina.retry(on=OSError, attempts=3, timeout=30.0)
    async def usual() -> None:
        if not usual_hit():
            raise RuntimeError
        await usual_breaker.call_async(nothing_later)

    manager = AsyncConnectorManager([Service("ours", limits=_wide())])
    try:
        rows = compare(
            awaited(nothing_later, loop),
            [
                Contender(
                    "redress + purgatory + limits", awaited(lambda: policy.call(limited), loop)
                ),
                Contender("stamina + aiobreaker + limits", awaited(usual, loop)),
                Contender("moorage", awaited(lambda: manager.run("ours", nothing_later), loop)),
            ],
            rounds=rounds,
        )
    finally:
        loop.close()
    return Comparison("full stack, async", rows, Target(0.35, 0.16))


def breaker_alone(rounds: int) -> Comparison:
    """A closed circuit."""
    windowed = redress.Policy(circuit_breaker=redress.CircuitBreaker())
    factory = purgatory.SyncCircuitBreakerFactory()

    @factory("alone")
    def counted() -> None:
        return nothing()

    counting = pybreaker.CircuitBreaker(fail_max=5)
    ours = CircuitBreaker()
    return Comparison(
        "breaker alone, sync",
        compare(
            plain(nothing),
            [
                Contender("redress (windowed)", plain(lambda: windowed.call(nothing))),
                Contender("purgatory (consecutive only)", plain(counted)),
                Contender("pybreaker (consecutive only)", plain(lambda: counting.call(nothing))),
                Contender("moorage", plain(lambda: ours.call(nothing))),
            ],
            rounds=rounds,
        ),
        Target(0.5, 0.28),
    )


def limiter_alone(rounds: int) -> Comparison:
    """A token that is there."""
    gcra = throttled.Throttled(
        key="key",
        using=throttled.RateLimiterType.GCRA.value,
        quota=throttled.per_sec(PLENTY, burst=PLENTY),
        store=throttled.MemoryStore(),
    )
    moving = MovingWindowRateLimiter(LimitsStorage())
    item = limits.RateLimitItemPerSecond(1_000, 1)
    ours = RateLimiter(_wide())
    return Comparison(
        "limiter alone, sync",
        compare(
            plain(nothing),
            [
                Contender("throttled (GCRA)", plain(gcra.limit)),
                Contender("limits (fixed window)", plain(_limits())),
                Contender("limits (moving window)", plain(lambda: moving.hit(item, "key"))),
                Contender("moorage", plain(ours.acquire)),
            ],
            rounds=rounds,
        ),
        Target(0.5, 0.25),
    )


def retry_alone(rounds: int) -> Comparison:
    """A first attempt that succeeds."""
    policy = redress.Policy(retry=_redress_retry())
    stamped = stamina.retry(on=OSError, attempts=3, timeout=30.0)(nothing)
    ours = RetryHandler()
    return Comparison(
        "retry, success at once, sync",
        compare(
            plain(nothing),
            [
                Contender("redress", plain(lambda: policy.call(nothing))),
                Contender("stamina", plain(stamped)),
                Contender("moorage", plain(lambda: ours.call(nothing))),
            ],
            rounds=rounds,
        ),
        Target(0.3, 0.1),
    )


def rejection(rounds: int) -> Comparison:
    """A call that an open circuit refuses, over raising and catching an error."""

    def raised() -> None:
        try:
            raise OSError  # noqa: TRY301 - raising and catching is what is timed
        except OSError:
            return

    def failing() -> None:
        raise OSError

    opened = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(days=1))
    counting = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=86_400)
    for breaker in (opened, counting):
        with contextlib.suppress(Exception):
            breaker.call(failing)
    ours = CircuitBreaker(CircuitBreakerConfig(failures=1, open_for=3_600.0, open_at_most=3_600.0))
    with contextlib.suppress(OSError):
        ours.call(failing)

    def refused(
        call: Callable[[Callable[[], None]], object], kind: type[Exception]
    ) -> Callable[[], None]:
        def refuse() -> None:
            try:
                call(nothing)
            except kind:
                return

        return refuse

    return Comparison(
        "rejection by an open circuit, sync",
        compare(
            plain(raised),
            [
                Contender(
                    "aiobreaker", plain(refused(opened.call, aiobreaker.CircuitBreakerError))
                ),
                Contender(
                    "pybreaker", plain(refused(counting.call, pybreaker.CircuitBreakerError))
                ),
                Contender("moorage", plain(refused(ours.call, CircuitBreakerOpen))),
            ],
            rounds=rounds,
        ),
        Target(1.0, 0.4),
    )


def contention(rounds: int) -> Comparison:
    """Four threads on one key, beside one thread: what each call costs in all."""
    hit = _limits()
    ours = RateLimiter(_wide())
    manager = ConnectorManager([Service("ours", limits=_wide())])
    calls: dict[str, Callable[[], object]] = {
        "limits": hit,
        "moorage limiter": ours.try_acquire,
        "moorage full stack": lambda: manager.run("ours", nothing),
    }
    rows = []
    for name, call in calls.items():
        alone, together = _threads(call, 1), _threads(call, 4)
        compared = compare(
            None,
            [Contender(f"{name}, 1 thread", alone), Contender(f"{name}, 4 threads", together)],
            rounds=max(5, rounds // 3),
            block_seconds=0.1,
        )
        rows.extend(compared[:2])
    return Comparison("four threads on one key", rows, Target(1.3, 1.15))


def _threads(call: Callable[[], object], number: int) -> Callable[[int], float]:
    def block(calls: int) -> float:
        each = max(1, calls // number)
        ready = threading.Barrier(number + 1)

        def work() -> None:
            ready.wait()
            for _ in range(each):
                call()

        workers = [threading.Thread(target=work) for _ in range(number)]
        for worker in workers:
            worker.start()
        ready.wait()
        began = time.perf_counter()
        for worker in workers:
            worker.join()
        return (time.perf_counter() - began) * calls / (each * number)

    return block


def memory() -> dict[str, float]:
    """Bytes that one idle key takes, the key itself and its share of the table included."""
    keys = 20_000
    return {
        "moorage limiter": _bytes(lambda: _limiter_keys(keys)) / keys,
        "moorage circuit": _bytes(lambda: _circuit_keys(keys)) / keys,
        "limits": _bytes(lambda: _limits_keys(keys)) / keys,
        "purgatory circuit": _bytes(lambda: _purgatory_keys(keys)) / keys,
    }


def _limiter_keys(number: int) -> object:
    store = MemoryStorage()
    limiter = RateLimiter(RateLimitConfig.per_second(1, burst=5), storage=store)
    for key in range(number):
        limiter.try_acquire(key=str(key))
    limiter._questions.clear()  # noqa: SLF001 - bounded, and no part of what a key costs
    return store


def _circuit_keys(number: int) -> object:
    store = MemoryStorage()
    for key in range(number):
        CircuitBreaker(name=str(key), storage=store).call(nothing)
    return store


def _limits_keys(number: int) -> object:
    store = LimitsStorage()
    strategy = FixedWindowRateLimiter(store)
    item = limits.RateLimitItemPerHour(5)
    for key in range(number):
        strategy.hit(item, str(key))
    return store


def _purgatory_keys(number: int) -> object:
    factory = purgatory.SyncCircuitBreakerFactory()
    for key in range(number):
        with factory.get_breaker(str(key)):
            pass
    return factory


def _bytes(fill: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = fill()
        after = tracemalloc.get_traced_memory()[0]
        del kept
        return after - before
    finally:
        tracemalloc.stop()


ALL = (
    full_stack,
    full_stack_async,
    breaker_alone,
    limiter_alone,
    retry_alone,
    rejection,
    contention,
)
