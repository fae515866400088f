"""Clients of pymongo for event loops: the part of the asynchronous connector without a twin."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from pymongo import AsyncMongoClient

from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from moorage.adapters.mongodb._monitor import Monitor

Client: Final = AsyncMongoClient
EndOfStream: Final = StopAsyncIteration
time_limit: Final = asyncio.timeout


class Scope:
    """The event loop that a connector belongs to: the one that uses it first."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        """Refuse to go on in another event loop.

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


async def ready(client: Any, monitor: Monitor, seconds: float, *, for_writing: bool) -> None:
    """Return at once: pymongo looks for a server, and its search is cancelled in time."""
