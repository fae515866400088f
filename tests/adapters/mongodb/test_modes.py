"""A cancelled MongoDB operation ends, even if the driver ignores the cancellation."""

from __future__ import annotations

import asyncio

import pytest

from moorage.adapters.mongodb._modes_async import cancel_until_ended, cancellable


async def _failure() -> None:
    raise LookupError("refused")


async def _result() -> int:
    return 3


def test_operation_result_or_exception_reaches_its_caller() -> None:
    """An operation's result or exception reaches its caller."""

    async def run_both() -> int:
        with pytest.raises(LookupError, match="refused"):
            await cancel_until_ended(_failure())
        return await cancel_until_ended(_result()) + await cancellable(_result())

    assert asyncio.run(run_both()) == 6


@pytest.mark.parametrize("ends_in_failure", [False, True])
def test_ignored_cancellation_is_repeated(ends_in_failure: bool) -> None:
    """If an operation ignores a cancellation, it is cancelled again until it ends."""
    ignored_cancellations: list[int] = []

    async def ignore_cancellation(begun: asyncio.Event) -> None:
        begun.set()
        for number in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ignored_cancellations.append(number)
        if ends_in_failure:
            raise LookupError("lost")
        await asyncio.Event().wait()

    async def cancel() -> bool:
        begun = asyncio.Event()
        caller = asyncio.ensure_future(cancel_until_ended(ignore_cancellation(begun)))
        await begun.wait()
        caller.cancel()
        await asyncio.wait((caller,))
        return caller.cancelled()

    assert asyncio.run(cancel())
    assert ignored_cancellations == [0, 1]


def test_operation_ends_before_a_caller_that_is_cancelled_twice() -> None:
    """An operation ends before its caller does, even if the caller is cancelled twice."""

    async def ignore_cancellation(begun: asyncio.Event, ignored: asyncio.Event) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ignored.set()
        await asyncio.Event().wait()

    async def cancel_twice() -> tuple[bool, int]:
        begun, ignored = asyncio.Event(), asyncio.Event()
        caller = asyncio.ensure_future(cancel_until_ended(ignore_cancellation(begun, ignored)))
        await begun.wait()
        caller.cancel()
        await ignored.wait()
        caller.cancel()
        await asyncio.wait((caller,))
        return caller.cancelled(), len(asyncio.all_tasks()) - 1

    assert asyncio.run(cancel_twice()) == (True, 0)
