"""Time limits of asynchronous functions and ports.

Managers run in an event loop in virtual time: on a busy machine, a short limit in real time is over
before the function begins.
"""

from __future__ import annotations

import asyncio
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic_ns
from types import coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from moorage import (
    AsyncConnectorManager,
    AttemptTimeout,
    Credentials,
    DeadlineExceeded,
    Request,
    RetryPolicy,
    Service,
)
from moorage.runtime.flows import run_now
from moorage.runtime.flows import within_async as within_later_until
from moorage.services.calling.call import OutOfTimeError
from tests.simulation.virtual_loop import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Generator

R = TypeVar("R")

ONCE = RetryPolicy.none()


def within_async(pending: Awaitable[R], seconds: float) -> Coroutine[Any, Any, R]:
    """Return a coroutine that awaits something for at most this many seconds."""
    return within_later_until(pending, monotonic_ns() + seconds * 1e9, monotonic_ns)


class LoopClock:
    """The clock of the running event loop."""

    def nanoseconds(self) -> int:
        """Return the loop's time in nanoseconds, or 0 before the loop runs."""
        try:
            return int(asyncio.get_running_loop().time() * 1e9)
        except RuntimeError:
            return 0

    def utc(self) -> datetime:
        """Return the loop's time as a date and time."""
        return datetime.fromtimestamp(self.nanoseconds() / 1e9, UTC)


def manager_of(service: Service, **ports: Any) -> AsyncConnectorManager:
    """Return a manager with one service, whose clock is that of the event loop."""
    return AsyncConnectorManager([service], clock=LoopClock(), **ports)


async def wait_forever() -> Any:
    """Wait without end."""
    await asyncio.Event().wait()


class HangingProvider:
    """A credential provider that never responds."""

    async def get(self, service: str, tenant: str | None, /) -> Credentials:
        """Never return."""
        return await wait_forever()  # type: ignore[no-any-return]  # never returns

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Do nothing."""
        return True

    async def refresh(self, service: str, tenant: str | None, stale: Credentials, /) -> Credentials:
        """Never return."""
        return await wait_forever()  # type: ignore[no-any-return]  # never returns

    async def rotate(self, service: str, tenant: str | None, new: Credentials, /) -> None:
        """Do nothing."""


async def drop(request: Request) -> Request:
    """Never return, as a request transform that hangs."""
    return await wait_forever()  # type: ignore[no-any-return]  # never returns


def test_deadline_bounds_credentials() -> None:
    """A credential provider that hangs is cancelled at the call's deadline."""
    service = Service("a", "https://a.example", needs_credentials=True)
    manager = manager_of(service, credentials=HangingProvider())

    with pytest.raises(DeadlineExceeded) as excinfo:
        run(manager.call("a", Request.get("/"), timeout=30.0))

    assert not excinfo.value.may_have_been_processed


def test_deadline_bounds_transforms() -> None:
    """A transform that hangs is cancelled at the call's deadline."""
    manager = manager_of(Service("a", "https://a.example", request_transforms=drop))

    with pytest.raises(DeadlineExceeded):
        run(manager.call("a", Request.get("/"), timeout=30.0))


@pytest.mark.parametrize(
    "service, options",
    [
        (Service("a", retry=ONCE), {"timeout": 20.0}),
        (Service("a", retry=ONCE, attempt_timeout=20.0), {}),
    ],
)
def test_function_is_cancelled_at_its_limit(service: Service, options: dict[str, Any]) -> None:
    """An asynchronous function that hangs is cancelled at the given limit."""
    manager = manager_of(service)

    with pytest.raises((AttemptTimeout, DeadlineExceeded)) as excinfo:
        run(manager.run("a", wait_forever, **options))

    assert getattr(excinfo.value, "may_have_been_processed", False)


def test_timeout_error_that_function_itself_raises_is_not_mistaken_for_time_limit() -> None:
    """A TimeoutError that the function itself raises is not mistaken for the time limit's."""
    manager = AsyncConnectorManager([Service("a", retry=ONCE)])

    async def raise_own_timeout() -> None:
        raise TimeoutError("own")

    with pytest.raises(TimeoutError, match="own"):
        asyncio.run(manager.run("a", raise_own_timeout, timeout=5.0))


@coroutine
def collect_answers(*items: Any) -> Generator[Any, Any, list[Any]]:
    """Yield each item, as a coroutine yields to its event loop; return the replies."""
    answers: list[Any] = []
    for item in items:
        answer = yield item
        answers += [answer]
    return answers


def run_without_asyncio(steps: Coroutine[Any, Any, Any], *answers: Any) -> tuple[list[Any], Any]:
    """Run a coroutine without asyncio, and return the yielded items and its result."""
    yielded_steps = [steps.send(None)]
    try:
        for answer in answers:
            yielded_steps += [steps.send(answer)]
    except StopIteration as stop:
        return yielded_steps, stop.value
    raise AssertionError(yielded_steps)


def test_suspension_outside_of_asyncio_is_not_bounded() -> None:
    """Outside asyncio a function runs without its time limit, and a warning says so."""

    async def suspend_outside_asyncio() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: run_without_asyncio(within_async(collect_answers("a"), 0.0), 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with pytest.warns(RuntimeWarning, match="Set a timeout in the code"):
        assert run_without_asyncio(within_async(collect_answers("a", "b", "c"), 0.0), 1, 2, 3) == (
            ["a", "b", "c"],
            [1, 2, 3],
        )
    with pytest.warns(RuntimeWarning, match="Set a timeout in the code"):
        assert run_without_asyncio(within_async(collect_answers("a", "b"), 0.0), None, 2) == (
            ["a", "b"],
            [None, 2],
        )
    with pytest.warns(RuntimeWarning, match="Set a timeout in the code"):
        asyncio.run(suspend_outside_asyncio())


def test_function_outside_asyncio_runs_even_if_warnings_are_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If warnings are errors, a function outside asyncio still runs, and the log has the notice."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (["a", "b"], [1, 2]) == run_without_asyncio(
            within_async(collect_answers("a", "b"), 0.0), 1, 2
        )
    assert ["Set a timeout in the code" in message for message in caplog.messages] == [True]


def test_functions_that_never_suspend_or_have_no_limit_cause_no_warning() -> None:
    """A function that never suspends, or has no time limit, causes no warning."""

    async def return_three() -> int:
        return 3

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run_now(within_async(return_three(), 0.0)) == 3
        assert run_without_asyncio(within_async(collect_answers("a"), 1e10), 1) == (["a"], [1])


def test_time_before_the_first_suspension_counts() -> None:
    """A function that computes beyond its time limit is cancelled at its first await."""
    now = [0]

    async def slow_call() -> None:
        now[0] += 31_000_000_000
        await wait_forever()

    with pytest.raises(OutOfTimeError):
        asyncio.run(within_later_until(slow_call(), 30e9, lambda: now[0]))


def test_cancelled_function_may_wait_once_more() -> None:
    """A cancelled function may await its clean-up, and then stays cancelled."""
    cleanups: list[str] = []

    async def wait_once_more() -> None:
        try:
            await wait_forever()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            cleanups.append("up")

    with pytest.raises(OutOfTimeError):
        asyncio.run(within_async(wait_once_more(), 0.001))
    assert cleanups == ["up"]


def test_error_after_a_caught_cancellation_has_no_context() -> None:
    """If a cancelled function raises another error, the cancellation is not its context."""

    async def fail_after_cancellation() -> None:
        with suppress(asyncio.CancelledError):
            await wait_forever()
        raise ValueError("own")

    with pytest.raises(ValueError, match="own") as excinfo:
        asyncio.run(within_async(fail_after_cancellation(), 0.001))
    assert excinfo.value.__context__ is None


def test_closed_coroutine_closes_what_it_awaits() -> None:
    """If a call is closed while it waits, its function cleans up at once."""
    closings: list[bool] = []

    async def wait_in_block() -> None:
        try:
            await collect_answers("a")
        finally:
            closings.append(True)

    steps = within_async(wait_in_block(), 1e10)
    assert steps.send(None) == "a"
    steps.close()
    assert closings == [True]


class CustomAwaitable:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Generator[Any, Any, Any]:
        """Wait without end."""
        return wait_forever().__await__()


def test_any_awaitable_is_bounded() -> None:
    """Futures and other awaitables are cancelled at the time limit, like coroutines."""

    async def future() -> None:
        await within_async(asyncio.get_running_loop().create_future(), 0.001)

    with pytest.raises(OutOfTimeError):
        asyncio.run(future())
    with pytest.raises(OutOfTimeError):
        asyncio.run(within_async(CustomAwaitable(), 0.001))
    with pytest.raises(DeadlineExceeded):
        run(manager_of(Service("a", timeout=20.0)).run("a", CustomAwaitable))


@pytest.mark.parametrize("timeout", [20.0, None])
def test_service_timeout_cancels_functions(timeout: float | None) -> None:
    """The timeout of the service or the call cancels an asynchronous function."""
    manager = manager_of(Service("a", timeout=20.0 if timeout is None else 30.0))

    with pytest.raises(DeadlineExceeded) as excinfo:
        run(manager.run("a", wait_forever, timeout=timeout))
    assert excinfo.value.may_have_been_processed
    with pytest.raises(DeadlineExceeded):
        run(manager_of(Service("a", timeout=20.0)).run("a", wait_forever, request_id="r"))


def test_service_timeout_cancels_decorated_functions() -> None:
    """A function decorated with `protect` is cancelled like one passed to `run`."""
    protected = manager_of(Service("a", timeout=20.0)).protect("a")(wait_forever)

    with pytest.raises(DeadlineExceeded):
        run(protected())


@pytest.mark.parametrize("suspends, number", [(True, 1), (False, 0)])
def test_limits_share_a_timer(suspends: bool, number: int) -> None:
    """An event loop has one timer for all waiting calls."""
    loop = asyncio.new_event_loop()
    timers: list[float] = []
    schedule = loop.call_at

    def call_at(when: float, *value: Any, **named: Any) -> Any:
        timers.append(when)
        return schedule(when, *value, **named)

    loop.call_at = call_at  # type: ignore[method-assign, assignment]  # a loop of our own

    async def call_once() -> int:
        if suspends:
            await asyncio.sleep(0)
        return 1

    manager = AsyncConnectorManager([Service("a", timeout=60.0)])

    async def run_many() -> int:
        results_of_flow = [await within_async(call_once(), 60.0) for _ in range(500)]
        return sum(results_of_flow + [await manager.run("a", call_once) for _ in range(500)])

    assert loop.run_until_complete(run_many()) == 1_000
    assert len(timers) == number
    loop.close()


def test_limits_end_in_the_order_of_their_time() -> None:
    """A call with a shorter time limit is cancelled first, even if it began later."""
    ended_limits: list[float] = []

    async def run_bounded(seconds: float) -> None:
        try:
            await within_async(wait_forever(), seconds)
        except OutOfTimeError:
            ended_limits.append(seconds)

    async def run_together() -> None:
        await asyncio.gather(*map(run_bounded, (0.09, 0.03, 0.06)))

    asyncio.run(run_together())
    assert [0.03, 0.06, 0.09] == ended_limits


def test_only_the_expired_of_two_nested_time_limits_raises() -> None:
    """Of two nested time limits, only the one that expires raises its error."""

    async def run_inner() -> str:
        try:
            await within_async(wait_forever(), 0.01)
        except OutOfTimeError:
            return "inner"
        return "none"

    async def run_outer() -> str:
        return await within_async(run_inner(), 30.0)

    async def nest_shorter_limit() -> str:
        try:
            await within_async(within_async(wait_forever(), 30.0), 0.01)
        except OutOfTimeError:
            return "outer"
        return "none"

    assert "inner" == asyncio.run(run_outer())
    assert "outer" == asyncio.run(nest_shorter_limit())


def test_cancellation_from_outside_is_no_timeout() -> None:
    """A task cancelled from outside raises CancelledError, not a timeout."""

    async def cancel_task() -> bool:
        task = asyncio.ensure_future(within_async(wait_forever(), 0.001))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancel_task())


def test_function_that_ignores_its_cancellation() -> None:
    """A function that ignores its cancellation returns its value, and its task continues."""

    async def ignore_cancellation() -> str:
        try:
            await wait_forever()
        except asyncio.CancelledError:
            return "late"
        return "none"

    async def within_limit() -> tuple[str, int]:
        value = await within_async(ignore_cancellation(), 0.01)
        task = asyncio.current_task()
        return value, 0 if task is None else task.cancelling()

    assert ("late", 0) == asyncio.run(within_limit())
