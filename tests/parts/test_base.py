"""Behaviour that all parts share: names, stores, clocks, observers, and sync and async mode."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from moorage import (
    Bulkhead,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConfigurationError,
    Idempotency,
    RateLimitConfig,
    RateLimiter,
    RateLimitExceeded,
    RetryHandler,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.domain.observation.events import Event
from tests.parts.ways_of_use import (
    AsyncSleeper,
    Clock,
    DistantStore,
    FunctionFailure,
    PlainStore,
    as_async,
)

ONCE = CircuitBreakerConfig(failures=1)


def raise_error() -> None:
    """Raise an error that opens a circuit."""
    raise FunctionFailure


@pytest.mark.parametrize("make", [MemoryStorage, AsyncMemoryStorage, PlainStore])
def test_two_parts_with_same_name_and_same_store_share_their_state(
    make: type[MemoryStorage],
) -> None:
    """Two parts with the same name and the same store share their state."""
    store = make()
    first, second, other_breaker = (
        CircuitBreaker(ONCE, name=name, storage=store) for name in ("a", "a", "b")
    )

    with pytest.raises(FunctionFailure):
        first.call(raise_error)

    with pytest.raises(CircuitBreakerOpen):
        second.call(raise_error)
    with pytest.raises(FunctionFailure):
        other_breaker.call(raise_error)


def test_parts_share_nothing_by_default() -> None:
    """Parts without a store do not share state, even if they have the same name."""
    first, second = CircuitBreaker(ONCE, name="a"), CircuitBreaker(ONCE, name="a")

    for breaker in (first, second):
        with pytest.raises(FunctionFailure):
            breaker.call(raise_error)


@pytest.mark.parametrize("storage", [None, MemoryStorage(), AsyncMemoryStorage()])
def test_sync_callers_and_async_tasks_share_a_part_in_memory(storage: MemoryStorage | None) -> None:
    """Synchronous callers and asynchronous tasks can share one part in memory."""
    breaker = CircuitBreaker(ONCE, storage=storage)

    with pytest.raises(FunctionFailure):
        breaker.call(raise_error)

    with pytest.raises(CircuitBreakerOpen):
        asyncio.run(breaker.call(as_async(raise_error)))


def test_synchronous_store_is_refused_by_asynchronous_calls() -> None:
    """An asynchronous call of a part with a synchronous store is refused with a remedy."""
    breaker = CircuitBreaker(storage=PlainStore())

    with pytest.raises(ConfigurationError, match=r"PlainStore .* asynchronous store") as excinfo:
        asyncio.run(breaker.astate())

    assert "storage" == excinfo.value.path


def test_asynchronous_store_is_refused_by_synchronous_calls() -> None:
    """A synchronous call of a part with an asynchronous store is refused with a remedy."""
    breaker = CircuitBreaker(storage=DistantStore())

    for use in (breaker.state, lambda: breaker.call(len, "")):
        with pytest.raises(ConfigurationError, match=r"DistantStore .* a synchronous store"):
            use()
    assert 0 == asyncio.run(breaker.astate()).calls


def test_durations_may_be_timedeltas() -> None:
    """A part accepts a timedelta in place of seconds."""
    clock = Clock()
    limiter = RateLimiter(
        RateLimitConfig(1, timedelta(seconds=2)),
        timeout=timedelta(seconds=3),
        clock=clock,
        sleeper=clock,
    )

    limiter.acquire()
    limiter.acquire(timeout=timedelta(seconds=2))
    limiter.pause(timedelta(seconds=4))

    assert [2.0] == clock.slept
    with pytest.raises(RateLimitExceeded):
        limiter.acquire()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "1", True])
def test_invalid_timeouts_are_refused(timeout: float) -> None:
    """An invalid timeout is refused with the argument's name when a part is created."""
    with pytest.raises(ConfigurationError) as excinfo:
        CircuitBreaker(timeout=timeout)

    assert "timeout" == excinfo.value.path


def test_observers_are_plain_functions() -> None:
    """An asynchronous observer is refused when a part is created."""

    async def observe(event: Event, /) -> None: ...

    with pytest.raises(ConfigurationError, match="observe") as excinfo:
        CircuitBreaker(observers=[observe])  # type: ignore[list-item]  # refused

    assert "observers" == excinfo.value.path


@pytest.mark.parametrize("name", ["sleeper", "async_sleeper"])
def test_sleepers_have_their_mode(name: str) -> None:
    """A part refuses a sleeper of the wrong mode, sync or async, when it is created."""
    clock = Clock()
    wrong_sleeper: Any = {"sleeper": AsyncSleeper(clock), "async_sleeper": clock}[name]

    with pytest.raises(ConfigurationError, match="sleep") as excinfo:
        RetryHandler(**{name: wrong_sleeper})

    assert "sleeper" == excinfo.value.path


@pytest.mark.parametrize(
    "part", [Bulkhead(1), CircuitBreaker(), RetryHandler(), RateLimiter(RateLimitConfig(1))]
)
@pytest.mark.parametrize("use", ["call", "__call__"])
def test_uncallable_functions_are_refused(part: object, use: str) -> None:
    """A part refuses to call or decorate a value that is not a function."""
    with pytest.raises(ConfigurationError) as excinfo:
        getattr(part, use)(5)

    assert "function" == excinfo.value.path


def test_idempotency_refuses_uncallable_functions() -> None:
    """The key, payload and action functions of the idempotency part must be functions."""
    wrong_argument: Any = 5
    part = Idempotency()
    uses: list[tuple[str, Any]] = [
        ("key", lambda: part(wrong_argument)),
        ("payload", lambda: part(str, payload=wrong_argument)),
        ("function", lambda: part(str)(wrong_argument)),
        ("function", lambda: part.call("k", wrong_argument)),
        ("function", lambda: part.answer("k", wrong_argument, payload=None)),
        ("function", lambda: asyncio.run(part.aanswer("k", wrong_argument, payload=None))),
    ]
    for field, use in uses:
        with pytest.raises(ConfigurationError) as excinfo:
            use()
        assert field == excinfo.value.path


@pytest.mark.parametrize("wrong", [print, None, 5])
def test_observers_are_a_series(wrong: object) -> None:
    """`observers` must be a sequence; a single observer or None is refused."""
    options: Any = {"observers": wrong}
    with pytest.raises(ConfigurationError) as excinfo:
        CircuitBreaker(**options)

    assert "observers" == excinfo.value.path
