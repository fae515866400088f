"""What is awaited is cut off where it must be: with a real loop, for a few milliseconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

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
from moorage._bridge import run_now, within_later
from moorage.services.call import OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Coroutine

ONCE = RetryPolicy.none()


async def never() -> Any:
    """Wait for ever."""
    await asyncio.Event().wait()


class Hanging:
    """A credential provider that does not answer."""

    async def get(self, service: str, tenant: str | None, /) -> Credentials:
        """Hang."""
        return await never()  # type: ignore[no-any-return]  # never returns

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Say nothing."""
        return True

    async def refresh(self, service: str, tenant: str | None, stale: Credentials, /) -> Credentials:
        """Hang."""
        return await never()  # type: ignore[no-any-return]  # never returns

    async def rotate(self, service: str, tenant: str | None, new: Credentials, /) -> None:
        """Do nothing."""


async def drop(request: Request) -> Request:
    """A transform that does not answer."""
    return await never()  # type: ignore[no-any-return]  # never returns


def test_the_deadline_bounds_credentials() -> None:
    """A credential provider that hangs ends with the call's deadline."""
    service = Service("a", "https://a.example", needs_credentials=True)
    manager = AsyncConnectorManager([service], credentials=Hanging())

    with pytest.raises(DeadlineExceeded) as caught:
        asyncio.run(manager.call("a", Request.get("/"), timeout=0.02))

    assert not caught.value.may_have_been_processed


def test_the_deadline_bounds_transforms() -> None:
    """A transform that hangs ends with the call's deadline."""
    manager = AsyncConnectorManager([Service("a", "https://a.example", request_transforms=drop)])

    with pytest.raises(DeadlineExceeded):
        asyncio.run(manager.call("a", Request.get("/"), timeout=0.02))


@pytest.mark.parametrize(
    "service, options",
    [
        (Service("a", retry=ONCE), {"timeout": 0.02}),
        (Service("a", retry=ONCE, attempt_timeout=0.02), {}),
    ],
)
def test_a_function_keeps_the_bound_it_was_given(service: Service, options: dict[str, Any]) -> None:
    """An asynchronous function that hangs is cancelled at the bound that was asked for."""
    manager = AsyncConnectorManager([service])

    with pytest.raises((AttemptTimeout, DeadlineExceeded)) as caught:
        asyncio.run(manager.run("a", never, **options))

    assert getattr(caught.value, "may_have_been_processed", False)


def test_a_functions_own_timeout_is_its_own() -> None:
    """A TimeoutError that the function raises itself is not taken for the bound's."""
    manager = AsyncConnectorManager([Service("a", retry=ONCE)])

    async def late() -> None:
        raise TimeoutError("own")

    with pytest.raises(TimeoutError, match="own"):
        asyncio.run(manager.run("a", late, timeout=5.0))


def test_where_no_such_loop_runs_nothing_is_bounded() -> None:
    """Outside of asyncio's tasks what is awaited is not bounded, and a warning says so."""

    async def three() -> int:
        return 3

    def bounded() -> Coroutine[Any, Any, int]:
        return within_later(three(), 0.0)

    async def outside() -> int:
        done: list[int] = []
        asyncio.get_running_loop().call_soon(lambda: done.append(run_now(bounded())))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return done.pop()

    with pytest.warns(RuntimeWarning, match="timeout of its own"):
        assert 3 == run_now(bounded())
    with pytest.warns(RuntimeWarning, match="timeout of its own"):
        assert 3 == asyncio.run(outside())
    assert 3 == run_now(within_later(three(), 1e10))
    with pytest.raises(OutOfTimeError):
        asyncio.run(within_later(never(), 0.001))


@pytest.mark.parametrize("timeout", [0.02, None])
def test_an_asynchronous_function_is_cut_off_at_the_services_timeout(timeout: float | None) -> None:
    """Nobody need ask: the timeout of the service, or the call's, ends what is awaited."""
    manager = AsyncConnectorManager([Service("a", timeout=0.02 if timeout is None else 30)])

    with pytest.raises(DeadlineExceeded) as caught:
        asyncio.run(manager.run("a", never, timeout=timeout))
    assert caught.value.may_have_been_processed
    with pytest.raises(DeadlineExceeded):
        asyncio.run(
            AsyncConnectorManager([Service("a", timeout=0.02)]).run("a", never, request_id="r")
        )


def test_a_decorated_function_is_cut_off_at_the_services_timeout() -> None:
    """`protect` bounds what it decorates, as `run` does."""
    protected = AsyncConnectorManager([Service("a", timeout=0.02)]).protect("a")(never)

    with pytest.raises(DeadlineExceeded):
        asyncio.run(protected())


def test_many_bounds_share_a_timer() -> None:
    """However many calls are bounded at once, their loop has one timer for them."""
    loop = asyncio.new_event_loop()
    timers: list[float] = []
    at = loop.call_at

    def call_at(when: float, *given: Any, **named: Any) -> Any:
        timers.append(when)
        return at(when, *given, **named)

    loop.call_at = call_at  # type: ignore[method-assign, assignment]  # a loop of our own

    async def one(seconds: float) -> int:
        async def nothing() -> int:
            return 1

        return await within_later(nothing(), seconds)

    async def many() -> int:
        return sum([await one(60.0) for _ in range(1_000)])

    assert 1_000 == loop.run_until_complete(many())
    assert 1 == len(timers)
    loop.close()


def test_bounds_end_in_the_order_of_their_time() -> None:
    """A later call with less time is cut off before an earlier one with more."""
    ended: list[float] = []

    async def bounded(seconds: float) -> None:
        try:
            await within_later(never(), seconds)
        except OutOfTimeError:
            ended.append(seconds)

    async def all_of_them() -> None:
        await asyncio.gather(*map(bounded, (0.09, 0.03, 0.06)))

    asyncio.run(all_of_them())
    assert [0.03, 0.06, 0.09] == ended


def test_a_bound_inside_another_is_its_own() -> None:
    """The inner bound's end is no cancellation for the outer one, nor the other way round."""

    async def inner() -> str:
        try:
            await within_later(never(), 0.01)
        except OutOfTimeError:
            return "inner"
        return "none"

    async def outer() -> str:
        return await within_later(inner(), 30.0)

    async def reversed_() -> str:
        try:
            await within_later(within_later(never(), 30.0), 0.01)
        except OutOfTimeError:
            return "outer"
        return "none"

    assert "inner" == asyncio.run(outer())
    assert "outer" == asyncio.run(reversed_())


def test_a_cancellation_from_outside_is_no_timeout() -> None:
    """A task that is cancelled while it is bounded is cancelled, and not late."""

    async def cancelled() -> bool:
        task = asyncio.ensure_future(within_later(never(), 0.001))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancelled())


def test_what_ignores_its_end_still_gives_its_value() -> None:
    """A function that ignores its cancellation is awaited, and its task is not left cancelled."""

    async def stubborn() -> str:
        try:
            await never()
        except asyncio.CancelledError:
            return "late"
        return "none"

    async def run() -> tuple[str, int]:
        value = await within_later(stubborn(), 0.01)
        task = asyncio.current_task()
        return value, 0 if task is None else task.cancelling()

    assert ("late", 0) == asyncio.run(run())
