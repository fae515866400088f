"""Clients of pymongo in event loops, for the asynchronous connector only."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from moorage.adapters.mongodb._monitor import is_ready, obstacles_of
from moorage.domain.connectors.mongodb_failures import unreachable
from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from moorage.adapters.mongodb._monitor import Monitor

Client: Final = AsyncMongoClient
EndOfStream: Final = StopAsyncIteration
time_limit: Final = asyncio.timeout


class Scope:
    """The event loop that a connector belongs to, which is the first that uses it."""

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
                "The connector belongs to another event loop.",
                remedy="Make a connector for each event loop.",
            )


async def ready(client: Any, _: Monitor, seconds: float, *, for_writing: bool) -> None:
    """Wait until the client knows a server that accepts operations.

    Under a time limit pymongo looks for a server until its end, and not for the time that it was
    set to.

    Raises:
        ConnectionFailed: no server was found in time.
    """
    if is_ready(client, for_writing=for_writing):
        return
    with suppress(PyMongoError, TimeoutError):
        async with asyncio.timeout(seconds):
            await client.is_primary
    if not is_ready(client, for_writing=for_writing):
        raise unreachable(obstacles_of(client))
