"""The fast path of asynchronous parts, which has the same results as a guard's full path."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AttemptTimeout,
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    RateLimitConfig,
    RateLimiter,
    RetryHandler,
    RetryPolicy,
)
from moorage.adapters.state.memory import MemoryStorage
from tests.parts.ways_of_use import AsyncSleeper, Clock, FunctionFailure
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ENDS: list[Callable[[], BaseException] | None] = [
    None,
    FunctionFailure,
    lambda: ConnectionFailed("cut off"),
    lambda: InvalidData("misuse"),
    asyncio.CancelledError,
    KeyboardInterrupt,
]
"""The possible endings of a call; errors are created anew, because parts mark them."""

WALKS = st.lists(
    st.tuples(
        st.sampled_from([*ENDS, None, ENDS[1]]),
        st.sampled_from([0.0, 0.0, 0.4, 3.0]),
        st.booleans(),
    ),
    max_size=25,
)
CIRCUITS = [
    CircuitBreakerConfig(failures=2, window=5.0, open_for=2.0, probes=1),
    CircuitBreakerConfig(failure_rate=0.5, minimum_calls=3, window_calls=8, open_for=1.0),
    CircuitBreakerConfig(failures=2, open_for=1.0, shadow=True),
]


class Function:
    """A function with given results that needs some virtual time, and counts its calls."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls = 0
        self.ends: list[Callable[[], BaseException] | None] = []
        self.suspends = False

    async def __call__(self) -> int:
        """Raise the next error, or return the number of calls."""
        self.calls += 1
        if self.suspends:
            await asyncio.sleep(0)
        end = self.ends.pop(0) if self.ends else None
        if end is not None:
            raise end()
        return self.calls


def ending(call: Callable[[], Any]) -> tuple[object, ...]:
    """Return the value that a call returns, or a description of the error that it raises."""

    async def flow() -> object:
        return await call()

    coroutine = flow()
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return ("value", stop.value)
    except BaseException as error:  # noqa: BLE001 - also what is no Exception
        return type(error).__name__, str(error), getattr(error, "attempts", None)


def fast_result(part: Any, function: Function) -> tuple[object, ...]:
    """Return the result of a call through the part's fast path."""
    return ending(lambda: part.call(function))


def result_of_full_path(part: Any, function: Function) -> tuple[object, ...]:
    """Return the result of a call through the part's guard, which is the full path."""

    async def run_guarded() -> object:
        async with part.guard():
            return await function()

    return ending(run_guarded)


WAYS = (fast_result, result_of_full_path)


def walk_results(
    make: Callable[[Clock], Any],
    walk: list[Any],
    call_function: Callable[[Any, Function], tuple[object, ...]],
    look: Callable[[Any, Clock], object],
) -> list[object]:
    """Return everything that can be observed of a sequence of calls."""
    clock = Clock()
    part, function = make(clock), Function(clock)
    observations: list[object] = []
    for end, pause, suspends in walk:
        clock.advance(pause)
        function.ends, function.suspends = [end], suspends
        observations += [call_function(part, function), function.calls, look(part, clock)]
    return observations


@pytest.mark.untraced
@examples(150)
@given(st.sampled_from(CIRCUITS), WALKS)
def test_circuit_breaker_has_equal_results_on_fast_and_full_path(
    config: CircuitBreakerConfig, walk: list[Any]
) -> None:
    """On the fast path a circuit breaker has the same results and states as on the full one."""

    def make_part(clock: Clock) -> CircuitBreaker:
        return CircuitBreaker(config, storage=MemoryStorage(clock), clock=clock)

    observations, other_observations = (
        walk_results(make_part, walk, way, lambda part, _: part.state()) for way in WAYS
    )
    assert other_observations == observations


@given(WALKS)
def test_rate_limiter_has_equal_results_on_fast_and_full_path(walk: list[Any]) -> None:
    """On the fast path a rate limiter has the same results, costs and waits as on the full one."""

    def make_part(clock: Clock) -> RateLimiter:
        return RateLimiter(
            RateLimitConfig.per_second(1, burst=2),
            storage=MemoryStorage(clock),
            clock=clock,
            async_sleeper=AsyncSleeper(clock),
            timeout=2.0,
        )

    observations, other_observations = (
        walk_results(make_part, walk, way, lambda _, clock: [*clock.slept]) for way in WAYS
    )
    assert other_observations == observations


@given(
    st.lists(st.sampled_from(ENDS), max_size=4), st.sampled_from([None, 1.5, 30.0]), st.booleans()
)
def test_retry_has_equal_results_on_fast_and_full_path(
    ends: list[Any], timeout: float | None, suspends: bool
) -> None:
    """On the fast path a retry has the same results, attempts and pauses as on the full one."""
    outcomes: list[list[object]] = []
    observers: tuple[list[Any], ...] = ([], [lambda _: None])
    for listening in observers:
        clock = Clock()
        handler = RetryHandler(
            RetryPolicy(max_attempts=3, base_delay=1.0, jitter="none"),
            timeout=timeout,
            clock=clock,
            async_sleeper=AsyncSleeper(clock),
            observers=listening,
        )
        function = Function(clock)
        function.ends, function.suspends = [*ends], suspends
        name, detail, *_ = fast_result(handler, function)
        value = detail if name == "value" else None
        outcomes.append([name, value, function.calls, clock.slept])
    assert outcomes[0] == outcomes[1]


class FakeAsyncFunction:
    """An object that looks like an asynchronous function, but is not one."""

    def __init__(self) -> None:
        self.function: Callable[[], object] = lambda: 1

    async def _call(self) -> None:
        """Make the object look asynchronous."""

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "_call" if name == "__call__" else name)

    def __call__(self) -> object:
        """Call the function."""
        return self.function()


class CustomAwaitable:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Generator[None, None, int]:
        yield
        return 7


@pytest.mark.parametrize(
    "part",
    [CircuitBreaker(), RateLimiter(RateLimitConfig.per_second(9)), RetryHandler()],
    ids=["circuit", "limiter", "retry"],
)
def test_value_that_cannot_be_awaited_is_refused(part: Any) -> None:
    """A function's awaitable is awaited; other values are refused."""
    function = FakeAsyncFunction()
    name, message, *_ = ending(lambda: part.call(function))
    assert ConfigurationError.__name__ == name
    assert "did not return an awaitable" in str(message)
    function.function = CustomAwaitable
    assert ("value", 7) == ending(lambda: part.call(function))


def test_a_late_function_is_cut_off() -> None:
    """A retry handler with a timeout cancels an asynchronous function that is too slow."""

    async def wait_forever() -> None:
        await asyncio.Event().wait()

    async def main() -> type[BaseException]:
        try:
            await RetryHandler(RetryPolicy.none(), timeout=0.001).call(wait_forever)
        except Exception as error:  # noqa: BLE001 - returned
            return type(error.__cause__ or error)
        raise AssertionError

    assert AttemptTimeout is asyncio.run(main())
