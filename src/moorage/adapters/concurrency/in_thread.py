"""Runs a blocking function in a separate thread, and awaits it in an event loop."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.concurrency.thread_start import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def run_in_thread(function: Callable[[], T]) -> T:
    """Run a blocking function in a separate thread that does not keep the process alive.

    If the caller is cancelled, the function goes on, and its result is dropped.

    Raises:
        LocalFailure: the system has no more threads.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    context = copy_context()

    def run() -> None:
        try:
            value = context.run(function)
        except BaseException as error:  # noqa: BLE001 - it is raised in the event loop
            settle(outcome.set_exception, error)
        else:
            settle(outcome.set_result, value)

    def settle(function: Callable[[Any], None], argument: object) -> None:
        def in_loop() -> None:
            if not outcome.done():
                function(argument)

        if not loop.is_closed():
            loop.call_soon_threadsafe(in_loop)

    start_thread(Thread(target=run, name="moorage-pipeline", daemon=True))
    return await outcome
