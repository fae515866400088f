"""Hooks of steps in a synchronous program, which are given up in time."""

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
    """Call a hook in a thread of its own, with the context of this one; return when it is over.

    A thread cannot be ended from outside, so one that takes too long is left behind.

    Args:
        name: the name of the hook.
        hook: the hook.
        seconds: the seconds that it may take; None for no limit, in this thread.

    Raises:
        DeadlineExceeded: it took longer.
    """
    if seconds is None:
        hook()
        return
    done: Future[None] = Future()

    def call() -> None:
        try:
            hook()
        except BaseException as error:  # noqa: BLE001 - raised by the waiting thread
            done.set_exception(error)
        else:
            done.set_result(None)

    context = copy_context()
    Thread(target=context.run, args=(call,), name=f"moorage-{name}", daemon=True).start()
    wait_for([done], timeout=seconds)
    if not done.done():
        raise hook_timed_out(name, seconds)
    done.result()
