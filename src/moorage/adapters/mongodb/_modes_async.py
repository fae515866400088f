"""Clients of pymongo in event loops, for the asynchronous connector only."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import PyMongoError

from moorage.adapters.mongodb._monitor import obstacles_of
from moorage.domain.connectors.mongodb_failures import unreachable_error
from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from moorage.adapters.mongodb._monitor import Monitor

R = TypeVar("R")

Client: Final = AsyncMongoClient
EndOfStream: Final = StopAsyncIteration
time_limit: Final = asyncio.timeout

_CANCEL_INTERVAL: Final = 0.1
"""Seconds after which an operation that ignored its cancellation is cancelled again."""


class Scope:
    """The event loop that owns a connector: the first one that uses it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        """Raise an error if another event loop uses the connector.

        Raises:
            LocalFailure: the connector belongs to another event loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise LocalFailure(
                "The connector was used in another event loop before.",
                remedy="Create a connector for each event loop.",
            )


async def ready(client: Any, monitor: Monitor, seconds: float, *, for_writing: bool) -> None:
    """Wait until the client knows a server that accepts operations.

    Under a time limit, pymongo looks for a server until the limit ends, and ignores its own timeout
    for server selection.

    Raises:
        ConnectionFailed: no server was found in time.
    """
    if monitor.is_ready(client, for_writing=for_writing):
        return
    with suppress(PyMongoError, TimeoutError):
        async with asyncio.timeout(seconds):
            if for_writing or client.read_preference == ReadPreference.PRIMARY:
                await client.is_primary
            else:
                # Only an operation waits until a server that the read preference allows is
                # available.
                await client.admin.command("ping", read_preference=client.read_preference)
    if not monitor.is_ready(client, for_writing=for_writing):
        raise unreachable_error(obstacles_of(client))


async def cancel_until_ended(operation: Awaitable[R]) -> R:
    """Await an operation; if the caller is cancelled, cancel it repeatedly until it ends."""
    task = asyncio.ensure_future(operation)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            # The caller may be cancelled again; without this loop, the operation would run on
            # alone.
            with suppress(asyncio.CancelledError):
                await asyncio.wait((task,), timeout=_CANCEL_INTERVAL)
        if not task.cancelled():
            task.exception()
        raise
    return task.result()


async def _await_operation(  # pyright: ignore[reportUnusedFunction]  # since Python 3.12
    operation: Awaitable[R],
) -> R:
    return await operation


# pymongo writes within `asyncio.wait_for`, which before Python 3.12 ignores a cancellation that
# arrives when the write has just ended.
cancellable: Final = cancel_until_ended if sys.version_info < (3, 12) else _await_operation
