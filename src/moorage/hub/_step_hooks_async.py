"""Calls the hooks of steps in an asynchronous program, with a time limit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from moorage.domain.steps.result import hook_timed_out

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_CANCEL_SECONDS: Final = 1.0
"""Seconds that a hook has to end after it was cancelled."""


async def call_hook_async(
    name: str, hook: Callable[[], Coroutine[None, None, object]], seconds: float | None
) -> None:
    """Call a hook, and cancel it if it exceeds its time limit or its caller is cancelled.

    A hook that ignores its cancellation is left behind.

    Args:
        name: the name of the hook.
        hook: the hook.
        seconds: the time limit in seconds; None for no limit.

    Raises:
        DeadlineExceeded: it took longer.
    """
    task = asyncio.ensure_future(hook())
    task.add_done_callback(_forget)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            task.result()
            return
    except asyncio.CancelledError:
        await _cancel(task)
        raise
    await _cancel(task)
    assert seconds is not None  # noqa: S101 - without a limit it is done
    raise hook_timed_out(name, seconds)


async def _cancel(task: asyncio.Future[object]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=_CANCEL_SECONDS)


def _forget(task: asyncio.Future[object]) -> None:
    """Read the error of an abandoned hook, so that the event loop does not report it."""
    with suppress(asyncio.CancelledError):
        task.exception()
