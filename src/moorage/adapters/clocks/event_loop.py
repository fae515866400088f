"""The event loop of asyncio, which asynchronous adapters need."""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop

from moorage.errors import LocalFailure


def running_loop() -> AbstractEventLoop:
    """Return the running event loop.

    Raises:
        LocalFailure: no event loop of asyncio runs in this thread.
    """
    try:
        return get_running_loop()
    except RuntimeError:
        pass
    raise LocalFailure(
        "The asynchronous classes of moorage need a running asyncio event loop, but this"
        " thread runs none.",
        remedy="Run your program with asyncio.run. Under Trio, use the synchronous classes in"
        " a thread (trio.to_thread.run_sync).",
        retryable=False,
        may_have_been_processed=False,
    )
