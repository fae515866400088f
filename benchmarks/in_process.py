"""The overhead of protections around an empty function, with a memory store."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import threading
import tracemalloc
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiobreaker
import limits
import purgatory
import pybreaker
import redress
import stamina
import throttled
from limits.storage import MemoryStorage as LimitsStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from measure import ELAPSED, Comparison, Contender, Target, async_block, compare, sync_block

from moorage import (
    AsyncConnectorManager,
    CachePolicy,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConnectorManager,
    Credentials,
    Endpoint,
    RateLimitConfig,
    RateLimiter,
    Request,
    Response,
    RetryHandler,
    Service,
)
from moorage.adapters.state.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from measure import Block, Read

    from moorage import Timeouts

logging.disable(logging.CRITICAL)

HUGE_RATE = 1_000_000
HUGE_BURST = 1_000_000_000
"""Limits so wide that no contender is ever refused: what is timed is the asking."""


def call_alone() -> None:
    """Do nothing; a direct call of this function is the baseline of the comparison."""


async def do_nothing_async() -> None:
    """Do nothing asynchronously; a direct await of this function is the baseline."""


def _wide_limit() -> RateLimitConfig:
    return RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST)


def _limits() -> Callable[[], bool]:
    strategy = FixedWindowRateLimiter(LimitsStorage())
    item = limits.RateLimitItemPerSecond(HUGE_BURST)
    return lambda: strategy.hit(item, "key")


def _redress_retry() -> redress.Retry:
    return redress.Retry(
        classifier=redress.default_classifier,
        strategy=redress.decorrelated_jitter(max_s=30.0),
        deadline_s=30.0,
        max_attempts=3,
    )


def cheapest_peers() -> Callable[[], object]:
    """Return an empty call behind other libraries' fastest breaker, limiter, retry and deadline."""
    is_admitted = _limits()
    breaker = purgatory.SyncCircuitBreakerFactory()
    policy = redress.Policy(retry=_redress_retry())

    @breaker("cheapest")
    def call_behind_breaker() -> None:
        return call_alone()

    def limited_call() -> None:
        if not is_admitted():
            raise RuntimeError
        return call_behind_breaker()

    return lambda: policy.call(limited_call)


def usual_peers(work: Callable[[], object] = call_alone) -> Callable[[], object]:
    """Wrap a function in the packages usually combined: a retry, a circuit breaker, a limiter."""
    is_admitted = _limits()
    breaker = pybreaker.CircuitBreaker(fail_max=5)

    @stamina.retry(on=OSError, attempts=3, timeout=30.0)
    def retried_call() -> None:
        if not is_admitted():
            raise RuntimeError
        breaker.call(work)

    return retried_call


def cheapest_async_peers() -> Callable[[], Awaitable[object]]:
    """Return an empty asynchronous call behind other libraries' fastest protections for tasks."""
    is_admitted = _limits()
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
    async def call_behind_breaker() -> None:
        return await do_nothing_async()

    async def limited_call() -> None:
        if not is_admitted():
            raise RuntimeError
        return await call_behind_breaker()

    return lambda: policy.call(limited_call)


def full_stack(rounds: int) -> Comparison:
    """Measure breaker, limiter, retry and deadline together around a synchronous function."""
    manager = ConnectorManager([Service("ours", limits=_wide_limit())])
    return Comparison(
        "full stack, sync",
        compare(
            sync_block(call_alone),
            [
                Contender("redress + purgatory + limits", sync_block(cheapest_peers())),
                Contender("stamina + pybreaker + limits", sync_block(usual_peers())),
                Contender("moorage", sync_block(lambda: manager.run("ours", call_alone))),
            ],
            rounds=rounds,
        ),
        Target(0.4, 0.22),
    )


def full_stack_async(rounds: int) -> Comparison:
    """Measure breaker, limiter, retry and deadline together around an asynchronous function."""
    loop = asyncio.new_event_loop()
    hit_limits = _limits()
    breaker = aiobreaker.CircuitBreaker(fail_max=5)

    @stamina.retry(on=OSError, attempts=3, timeout=30.0)
    async def retried_call() -> None:
        if not hit_limits():
            raise RuntimeError
        await breaker.call_async(do_nothing_async)

    manager = AsyncConnectorManager([Service("ours", limits=_wide_limit())])
    try:
        rows = compare(
            async_block(do_nothing_async, loop),
            [
                Contender(
                    "redress + purgatory + limits", async_block(cheapest_async_peers(), loop)
                ),
                Contender("stamina + aiobreaker + limits", async_block(retried_call, loop)),
                Contender(
                    "moorage", async_block(lambda: manager.run("ours", do_nothing_async), loop)
                ),
            ],
            rounds=rounds,
        )
    finally:
        loop.close()
    return Comparison("full stack, async", rows, Target(0.35, 0.16))


def breaker_alone(rounds: int) -> Comparison:
    """Measure a call through a closed circuit."""
    windowed_breaker = redress.Policy(circuit_breaker=redress.CircuitBreaker())
    factory = purgatory.SyncCircuitBreakerFactory()

    @factory("alone")
    def call_counted() -> None:
        return call_alone()

    consecutive_breaker = pybreaker.CircuitBreaker(fail_max=5)
    breaker = CircuitBreaker()
    return Comparison(
        "breaker alone, sync",
        compare(
            sync_block(call_alone),
            [
                Contender(
                    "redress (windowed)", sync_block(lambda: windowed_breaker.call(call_alone))
                ),
                Contender("purgatory (consecutive only)", sync_block(call_counted)),
                Contender(
                    "pybreaker (consecutive only)",
                    sync_block(lambda: consecutive_breaker.call(call_alone)),
                ),
                Contender("moorage", sync_block(lambda: breaker.call(call_alone))),
            ],
            rounds=rounds,
        ),
        Target(0.5, 0.28),
    )


def limiter_alone(rounds: int) -> Comparison:
    """Measure a call for which a rate limiter has a free token."""
    gcra = throttled.Throttled(
        key="key",
        using=throttled.RateLimiterType.GCRA.value,
        quota=throttled.per_sec(HUGE_RATE, burst=HUGE_RATE),
        store=throttled.MemoryStore(),
    )
    moving_window = MovingWindowRateLimiter(LimitsStorage())
    item = limits.RateLimitItemPerSecond(1_000, 1)
    limiter = RateLimiter(_wide_limit())
    return Comparison(
        "limiter alone, sync",
        compare(
            sync_block(call_alone),
            [
                Contender("throttled (GCRA)", sync_block(gcra.limit)),
                Contender("limits (fixed window)", sync_block(_limits())),
                Contender(
                    "limits (moving window)", sync_block(lambda: moving_window.hit(item, "key"))
                ),
                Contender("moorage", sync_block(limiter.acquire)),
            ],
            rounds=rounds,
        ),
        Target(0.5, 0.25),
    )


def retry_alone(rounds: int) -> Comparison:
    """Measure a call with retries that succeeds at the first attempt."""
    policy = redress.Policy(retry=_redress_retry())
    stamina_function = stamina.retry(on=OSError, attempts=3, timeout=30.0)(call_alone)
    retry = RetryHandler()
    return Comparison(
        "retry, success at once, sync",
        compare(
            sync_block(call_alone),
            [
                Contender("redress", sync_block(lambda: policy.call(call_alone))),
                Contender("stamina", sync_block(stamina_function)),
                Contender("moorage", sync_block(lambda: retry.call(call_alone))),
            ],
            rounds=rounds,
        ),
        Target(0.3, 0.1),
    )


def rejection(rounds: int) -> Comparison:
    """Compare a call that an open circuit refuses with raising and catching an error."""

    def raise_and_catch() -> None:
        try:
            raise OSError  # noqa: TRY301 - this benchmark times raising and catching
        except OSError:
            return

    def raise_os_error() -> None:
        raise OSError

    async_breaker = aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(days=1))
    sync_breaker = pybreaker.CircuitBreaker(fail_max=1, reset_timeout=86_400)
    for breaker in (async_breaker, sync_breaker):
        with contextlib.suppress(Exception):
            breaker.call(raise_os_error)
    own_breaker = CircuitBreaker(
        CircuitBreakerConfig(failures=1, open_for=3_600.0, open_at_most=3_600.0)
    )
    with contextlib.suppress(OSError):
        own_breaker.call(raise_os_error)

    def refused_call(
        call: Callable[[Callable[[], None]], object], kind: type[Exception]
    ) -> Callable[[], None]:
        def refuse() -> None:
            try:
                call(call_alone)
            except kind:
                return

        return refuse

    return Comparison(
        "rejection by an open circuit, sync",
        compare(
            sync_block(raise_and_catch),
            [
                Contender(
                    "aiobreaker",
                    sync_block(refused_call(async_breaker.call, aiobreaker.CircuitBreakerError)),
                ),
                Contender(
                    "pybreaker",
                    sync_block(refused_call(sync_breaker.call, pybreaker.CircuitBreakerError)),
                ),
                Contender(
                    "moorage", sync_block(refused_call(own_breaker.call, CircuitBreakerOpen))
                ),
            ],
            rounds=rounds,
        ),
        Target(1.0, 0.4),
    )


def breaker_async(rounds: int) -> Comparison:
    """Measure an asynchronous function behind a closed circuit."""
    loop = asyncio.new_event_loop()
    factory = purgatory.AsyncCircuitBreakerFactory()

    @factory("alone")
    async def call_counted() -> None:
        return await do_nothing_async()

    consecutive_breaker = aiobreaker.CircuitBreaker(fail_max=5)
    breaker, limiter, retry = CircuitBreaker(), RateLimiter(_wide_limit()), RetryHandler()
    stacked_function = retry(breaker(limiter(do_nothing_async)))
    try:
        rows = compare(
            async_block(do_nothing_async, loop),
            [
                Contender("purgatory (consecutive only)", async_block(call_counted, loop)),
                Contender(
                    "aiobreaker (consecutive only)",
                    async_block(lambda: consecutive_breaker.call_async(do_nothing_async), loop),
                ),
                Contender("moorage", async_block(lambda: breaker.call(do_nothing_async), loop)),
                Contender(
                    "moorage limiter", async_block(lambda: limiter.call(do_nothing_async), loop)
                ),
                Contender(
                    "moorage, circuit, limiter and retries", async_block(stacked_function, loop)
                ),
            ],
            rounds=rounds,
        )
    finally:
        loop.close()
    return Comparison("parts alone, async", rows)


class _Vendor:
    """A vendor in this process that responds immediately."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._answer = Response(200, headers, body=json.dumps({"rates": ["1.00"] * 120}).encode())

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Respond to the request immediately."""
        return self._answer


def _manager(*endpoints: Endpoint, headers: dict[str, str], **options: Any) -> ConnectorManager:
    service = Service(
        "ours",
        base_url="https://vendor.example",
        endpoints=endpoints,
        limits=_wide_limit(),
        idempotency_header="Idempotency-Key",
        idempotency_memory=86_400.0,
        **options,
    )
    http: Any = _Vendor({"Content-Type": "application/json"} | headers)
    return ConnectorManager([service], http=http, state=MemoryStorage(max_entries=10**7))


def lookups(rounds: int) -> Comparison:
    """Measure calls that differ in their look-ups, such as by endpoint, tenant, cache or key."""
    get_request = Request.get("/rates")
    post_request = Request.post(
        "/pay", json={"items": [{"sku": f"A-{i}", "qty": i} for i in range(40)]}
    )
    large_request = Request.post("/pay", json={"lines": ["x" * 100] * 9_000})
    numbers = iter(range(10**9))
    plain_manager = _manager(headers={})
    bearer_manager = _manager(headers={}, credentials=Credentials.bearer("token"))
    caching_manager = _manager(headers={"Cache-Control": "max-age=3600"}, cache=CachePolicy())
    open_for_good = CircuitBreakerConfig(failures=1, open_for=3_600.0, open_at_most=3_600.0)
    refusing_manager = ConnectorManager([Service("ours", circuit=open_for_good, retry=None)])

    def raise_os_error() -> None:
        raise OSError

    def refuse_call() -> None:
        with contextlib.suppress(CircuitBreakerOpen):
            refusing_manager.run("ours", call_alone)

    with contextlib.suppress(OSError):
        refusing_manager.run("ours", raise_os_error)

    def by_path(number: int, path: str, request: str) -> Callable[[], object]:
        manager = _manager(
            *(Endpoint(f"e{i}", method="GET", path=path.format(i)) for i in range(number)),
            headers={},
        )
        last_request = Request.get(request.format(number - 1))
        return lambda: manager.call("ours", last_request)

    def by_tenant(number: int) -> Callable[[], object]:
        # Each tenant is called seldom, so a circuit's window is long: its slots are not measured.
        manager = _manager(headers={}, circuit=CircuitBreakerConfig(window=3_600.0))
        tenants = itertools.cycle([f"t{i}" for i in range(number)])

        def call() -> object:
            return manager.call("ours", get_request, tenant=next(tenants))

        for _ in range(number):
            call()
        return call

    calls: dict[str, Callable[[], object]] = {
        "moorage": lambda: plain_manager.call("ours", get_request),
        "moorage with fixed credentials": lambda: bearer_manager.call("ours", get_request),
        "moorage, endpoint by path, 1": by_path(1, "/v{}/rates", "/v{}/rates"),
        "moorage, endpoint by path, 1,000": by_path(1_000, "/v{}/rates", "/v{}/rates"),
        "moorage, endpoint by template, 1,000": by_path(1_000, "/v{}/{{id}}/x", "/v{}/7/x"),
        "moorage, 10,100 tenants in turn": by_tenant(10_100),
        "moorage, refused by an open circuit": refuse_call,
        "moorage, answered from the cache": lambda: caching_manager.call("ours", get_request),
        "moorage, a new key": lambda: plain_manager.call(
            "ours", post_request, idempotency_key=f"k{next(numbers)}"
        ),
        "moorage, a repeated key": lambda: plain_manager.call(
            "ours", post_request, idempotency_key="k"
        ),
        "moorage, a new key, 0.9 MB": lambda: plain_manager.call(
            "ours", large_request, idempotency_key=f"l{next(numbers)}"
        ),
        "moorage, 100 calls by call_many": lambda: plain_manager.call_many(
            "ours", [get_request] * 100
        ),
    }
    table = compare(
        None, [Contender(name, sync_block(call)) for name, call in calls.items()], rounds=rounds
    )
    return Comparison("lookups for a request, sync", table, more=True)


def contention_peer(rounds: int) -> Comparison:
    """Compare four threads on one key of another library's limiter with one thread."""
    return _contention("limits", _limits(), rounds)


def contention_limiter(rounds: int) -> Comparison:
    """Compare four threads on one key of moorage's limiter with one thread."""
    return _contention("moorage limiter", RateLimiter(_wide_limit()).try_acquire, rounds)


def contention_full_stack(rounds: int) -> Comparison:
    """Compare four threads that call one service with one thread."""
    manager = ConnectorManager([Service("ours", limits=_wide_limit())])
    return _contention("moorage full stack", lambda: manager.run("ours", call_alone), rounds)


def _contention(name: str, call: Callable[[], object], rounds: int) -> Comparison:
    table = compare(
        None,
        [
            Contender(f"{name}, 1 thread", _threads(call, 1)),
            Contender(f"{name}, 4 threads", _threads(call, 4)),
        ],
        rounds=max(5, rounds // 3),
        clock=ELAPSED,
        block_seconds=0.1,
    )
    return Comparison(f"four threads on one key, {name}", table, Target(1.3, 1.15))


def _threads(call: Callable[[], object], number: int) -> Block:
    def block(calls: int, read: Read) -> float:
        calls_per_thread = max(1, calls // number)
        start_barrier = threading.Barrier(number + 1)

        def make_calls() -> None:
            start_barrier.wait()
            for _ in range(calls_per_thread):
                call()

        workers = [threading.Thread(target=make_calls) for _ in range(number)]
        for worker in workers:
            worker.start()
        start_barrier.wait()
        start = read()
        for worker in workers:
            worker.join()
        return (read() - start) * calls / (calls_per_thread * number)

    return block


def memory() -> dict[str, float]:
    """Return the bytes of memory per idle key, including the key and its share of the table."""
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
    limiter._questions.clear()  # noqa: SLF001 - a cache of limited size is not part of a key's cost
    return store


def _circuit_keys(number: int) -> object:
    store = MemoryStorage()
    for key in range(number):
        CircuitBreaker(name=str(key), storage=store).call(call_alone)
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
        bytes_before = tracemalloc.get_traced_memory()[0]
        contents = fill()
        bytes_after = tracemalloc.get_traced_memory()[0]
        del contents
        return bytes_after - bytes_before
    finally:
        tracemalloc.stop()


ALL = (
    full_stack,
    full_stack_async,
    breaker_alone,
    limiter_alone,
    retry_alone,
    rejection,
    breaker_async,
    lookups,
    contention_peer,
    contention_limiter,
    contention_full_stack,
)
