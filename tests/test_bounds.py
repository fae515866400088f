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
    """Under another library's loop what is awaited is simply awaited."""

    async def three() -> int:
        return 3

    def bounded() -> Coroutine[Any, Any, int]:
        return within_later(three(), 0.0)

    assert 3 == run_now(bounded())
    with pytest.raises(OutOfTimeError):
        asyncio.run(within_later(never(), 0.001))
