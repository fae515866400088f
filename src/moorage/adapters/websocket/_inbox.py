"""A size-limited queue of a subscription's messages that the program has not taken yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.domain.service.messages import Arrival
    from moorage.errors import ConnectorError


class Inbox:
    """A size-limited queue of received messages.

    Attributes:
        failure: the error that ended it; None if it ended as planned, or has not ended.
        is_ended: True if no more messages arrive.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: deque[tuple[Arrival, int]] = deque()
        self._size = 0
        self._change = asyncio.Event()
        self.failure: ConnectorError | None = None
        self.is_ended = False

    def put(self, arrival: Arrival, size: int) -> bool:
        """Add a message of `size` bytes; return False if the queue is full.

        A single message always has room, because its size has a bound of its own.
        """
        if self._messages and self._size + size > self._limit:
            return False
        self._messages.append((arrival, size))
        self._size += size
        self._change.set()
        return True

    def end(self, failure: ConnectorError | None = None) -> None:
        """Mark the queue as ended; waiting messages can still be taken."""
        self.is_ended = True
        self.failure = failure
        self._change.set()

    async def take(self) -> Arrival | None:
        """Return the next message; None after the last one."""
        while not self._messages:
            if self.is_ended:
                return None
            self._change.clear()
            await self._change.wait()
        arrival, size = self._messages.popleft()
        self._size -= size
        return arrival
