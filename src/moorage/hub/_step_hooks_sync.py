"""Calls the hooks of steps in a synchronous program, with a time limit."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING

from moorage.domain.steps.result import hook_timed_out

if TYPE_CHECKING:
    from collections.abc import Callable


def call_hook_sync(name: str, hook: Callable[[], object], seconds: float | None) -> None:
    """Call a hook in a new thread, with this thread's context; return when the hook ends.

    A thread cannot be ended from outside, so a hook that exceeds its time limit continues in its
    thread. If the system has no more threads, the hook runs in this thread, without a time limit.

    Args:
        name: the name of the hook.
        hook: the hook.
        seconds: the time limit in seconds; None for no limit, in this thread.

    Raises:
        DeadlineExceeded: it took longer.
    """
    if seconds is None:
        hook()
        return
    result_future: Future[None] = Future()

    def call() -> None:
        try:
            hook()
        except BaseException as error:  # noqa: BLE001 - raised by the waiting thread
            result_future.set_exception(error)
        else:
            result_future.set_result(None)

    context = copy_context()
    thread = Thread(target=context.run, args=(call,), name=f"moorage-{name}", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        call()
    wait_for([result_future], timeout=seconds)
    if not result_future.done():
        raise hook_timed_out(name, seconds)
    result_future.result()
