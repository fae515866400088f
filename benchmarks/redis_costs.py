"""Shared state in Redis: a call's cost compared with one round trip of redis-py.

Needs a Redis (MOORAGE_TEST_REDIS_URL, or the local one), and leaves keys there that expire.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import limits
import pybreaker
import redis
import redis.asyncio
import stamina
import throttled
from in_process import HUGE_BURST, HUGE_RATE, call_alone, do_nothing_async
from limits.storage import RedisStorage as LimitsStorage
from limits.strategies import FixedWindowRateLimiter
from measure import (
    ELAPSED,
    Block,
    Comparison,
    Contender,
    Read,
    Target,
    async_block,
    compare,
    sync_block,
)

from moorage import (
    AsyncConnectorManager,
    ConnectorManager,
    RateLimitConfig,
    RateLimiter,
    RetryBudget,
    Service,
)
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

URL = os.environ.get("MOORAGE_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
PATIENT = 10.0
CONCURRENT_CALLS = 50


def _limits() -> Callable[[], bool]:
    strategy = FixedWindowRateLimiter(LimitsStorage(URL))
    item = limits.RateLimitItemPerSecond(HUGE_BURST)
    return lambda: strategy.hit(item, "moorage-bench")


def _usual_script() -> Callable[[], None]:
    is_admitted = _limits()
    client = redis.Redis.from_url(URL)
    state = pybreaker.CircuitRedisStorage(pybreaker.STATE_CLOSED, client, namespace="moorage-bench")
    breaker = pybreaker.CircuitBreaker(fail_max=5, state_storage=state)

    @stamina.retry(on=OSError, attempts=3, timeout=30.0)
    def usual_call() -> None:
        if not is_admitted():
            raise RuntimeError
        breaker.call(call_alone)

    return usual_call


def _service(name: str, **more: Any) -> Service:
    return Service(name, limits=RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST), **more)


def redis_full_stack(rounds: int) -> Comparison:
    """Measure limiter, breaker and retry together, without and with a shared retry budget."""
    client = redis.Redis.from_url(URL)
    with RedisStorage(URL, timeout=PATIENT) as state:
        manager = ConnectorManager(
            [_service("ours"), _service("budgeted", retry_budget=RetryBudget())], state=state
        )
        numbers = iter(range(10**9))

        def with_key() -> object:
            return manager.run("ours", call_alone, idempotency_key=f"{os.getpid()}-{next(numbers)}")

        rows = compare(
            None,
            [
                Contender(
                    "one INCRBY of redis-py", sync_block(lambda: client.incrby("moorage-bench", 1))
                ),
                Contender("pybreaker + limits + stamina", sync_block(_usual_script())),
                Contender("moorage with an idempotency key", sync_block(with_key)),
                Contender(
                    "moorage with a budget", sync_block(lambda: manager.run("budgeted", call_alone))
                ),
                Contender("moorage", sync_block(lambda: manager.run("ours", call_alone))),
            ],
            rounds=rounds,
            clock=ELAPSED,
            block_seconds=0.03,
        )
        manager.close()
    client.close()
    return Comparison("full stack over Redis, sync", rows, Target(1.5, 1.25))


def redis_limiter(rounds: int) -> Comparison:
    """Measure a call that a rate limiter with state in Redis admits at once."""
    client = redis.Redis.from_url(URL)
    gcra = throttled.Throttled(
        key="moorage-bench",
        using=throttled.RateLimiterType.GCRA.value,
        quota=throttled.per_sec(HUGE_RATE, burst=HUGE_RATE),
        store=throttled.RedisStore(server=URL),
    )
    with RedisStorage(URL, timeout=PATIENT) as state:
        our_limiter = RateLimiter(
            RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST), storage=state
        )
        rows = compare(
            None,
            [
                Contender(
                    "one INCRBY of redis-py", sync_block(lambda: client.incrby("moorage-bench", 1))
                ),
                Contender("throttled (GCRA)", sync_block(gcra.limit)),
                Contender("limits (fixed window)", sync_block(_limits())),
                Contender("moorage", sync_block(our_limiter.acquire)),
            ],
            rounds=rounds,
            clock=ELAPSED,
            block_seconds=0.03,
        )
    client.close()
    return Comparison("limiter over Redis, sync", rows, Target(1.25, 1.19))


def redis_lease(rounds: int) -> Comparison:
    """Measure a limiter's token from a lease; the process fetches twenty tokens at a time."""
    client = redis.Redis.from_url(URL)
    with RedisStorage(URL, timeout=PATIENT) as state:
        limit = RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST)
        our_limiter = RateLimiter(limit, storage=state, name="leased", lease=20)
        rows = compare(
            None,
            [
                Contender(
                    "one INCRBY of redis-py", sync_block(lambda: client.incrby("moorage-bench", 1))
                ),
                Contender("moorage, lease=20", sync_block(our_limiter.acquire)),
            ],
            rounds=rounds,
            clock=ELAPSED,
            block_seconds=0.03,
        )
    client.close()
    return Comparison("limiter over Redis with leased tokens, sync", rows, Target(0.15, 0.1))


def redis_together(rounds: int) -> Comparison:
    """Compare fifty concurrent callers in one loop with one INCRBY at a time."""
    loop = asyncio.new_event_loop()
    client = redis.asyncio.Redis.from_url(URL)
    state = AsyncRedisStorage(URL, timeout=PATIENT)
    manager = AsyncConnectorManager([_service("together")], state=state)

    async def increment() -> object:
        return await client.incrby("moorage-bench", 1)

    async def protect() -> object:
        return await manager.run("together", do_nothing_async)

    rows = compare(
        None,
        [
            Contender("one INCRBY of redis-py, alone", async_block(increment, loop)),
            Contender("one INCRBY, 50 at once", _concurrent_calls(increment, loop)),
            Contender("moorage full stack, alone", async_block(protect, loop)),
            Contender("moorage full stack, 50 at once", _concurrent_calls(protect, loop)),
        ],
        rounds=rounds,
        clock=ELAPSED,
        block_seconds=0.05,
    )
    loop.run_until_complete(manager.close())
    loop.run_until_complete(state.aclose())
    loop.run_until_complete(client.aclose())
    loop.close()
    return Comparison("fifty at once over Redis, async", rows, Target(0.8, 0.6))


def _concurrent_calls(
    function: Callable[[], Awaitable[object]], loop: asyncio.AbstractEventLoop
) -> Block:
    """Return a function that measures calls in fifty concurrent tasks."""

    async def caller(calls: int) -> None:
        for _ in range(calls):
            await function()

    async def timed_run(each: int, read: Read) -> float:
        start = read()
        await asyncio.gather(*(caller(each) for _ in range(CONCURRENT_CALLS)))
        return read() - start

    def block(calls: int, read: Read) -> float:
        calls_per_task = -(-calls // CONCURRENT_CALLS)
        return (
            loop.run_until_complete(timed_run(calls_per_task, read))
            * calls
            / (calls_per_task * CONCURRENT_CALLS)
        )

    return block


def is_reachable() -> bool:
    """Return whether a Redis server answers at `URL`."""
    place = urlsplit(URL)
    try:
        socket.create_connection((place.hostname or "", place.port or 6379), 1).close()
    except OSError:
        return False
    return True


ALL = (redis_full_stack, redis_limiter, redis_lease, redis_together) if is_reachable() else ()
