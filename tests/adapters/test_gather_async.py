"""Tests of running several steps of a call concurrently in asyncio tasks."""

import asyncio

import pytest

from moorage.adapters.concurrency.gather_async import AsyncioGather
from moorage.errors import InvalidData
from moorage.testing import gather_conformance as kit
from moorage.testing.kits.checks import name_of


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_asyncio_gather_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """AsyncioGather passes the conformance kit."""
    asyncio.run(check(AsyncioGather))


async def echo(item: int) -> int:
    """Return the item after a short sleep."""
    return item


async def raise_error() -> int:
    """Raise ZeroDivisionError, like a step that has a bug."""
    raise ZeroDivisionError


def test_step_that_raises_cancels_the_other_steps() -> None:
    """If a step raises, the other steps are cancelled and no further step starts."""
    ended_steps: list[str] = []

    async def hang_until_cancelled() -> int:
        try:
            await asyncio.sleep(20)
        finally:
            ended_steps.append("hang")
        return 0

    async def append_unexpected() -> int:
        ended_steps.append("never")
        return 0

    with pytest.raises(ZeroDivisionError):
        asyncio.run(
            AsyncioGather().run_all(
                [hang_until_cancelled, raise_error, append_unexpected], at_once=2
            )
        )
    with pytest.raises(ZeroDivisionError):
        asyncio.run(
            AsyncioGather().first(
                [hang_until_cancelled, raise_error, append_unexpected], stagger=0, good=bool
            )
        )
    assert ["hang", "hang"] == [name for name in ended_steps if name == "hang"]


def test_a_step_that_cancels_itself_cancels_the_caller() -> None:
    """If a step raises CancelledError itself, the caller is cancelled and does not wait forever."""

    async def cancel() -> int:
        raise asyncio.CancelledError

    for steps in ([cancel], [cancel, lambda: echo(1)]):
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(AsyncioGather().first(steps, stagger=1e9, good=bool))
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(AsyncioGather().run_all(steps, at_once=2))


def test_exception_of_the_judge_is_raised() -> None:
    """If the `good` function that judges a step's result raises, that exception is raised."""
    with pytest.raises(ZeroDivisionError):
        asyncio.run(AsyncioGather().first([lambda: echo(0)], stagger=0, good=lambda n: 1 // n > 0))


def test_error_of_a_losing_step_does_not_affect_the_result() -> None:
    """If a losing step raises when it is cancelled, the winner's good result is still returned."""

    async def raise_after_cancellation() -> int:
        try:
            await asyncio.sleep(20)
        finally:
            await raise_error()
        return 0

    result = AsyncioGather().first(
        [raise_after_cancellation, lambda: echo(1)], stagger=0.001, good=bool
    )

    assert 1 == asyncio.run(result)


def test_first_refuses_an_empty_list_of_steps() -> None:
    """AsyncioGather.first refuses an empty list of steps."""
    with pytest.raises(InvalidData, match="no step"):
        asyncio.run(AsyncioGather().first([], stagger=1, good=bool))
