"""Connections to Amazon SQS, for synchronous and asynchronous programs.

A link needs no connection of its own, because the HTTP client opens, keeps and replaces them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from moorage.adapters.concurrency._plain import run_now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.adapters.sqs._requests import SqsRequests
    from moorage.domain.messages.message import OutgoingMessage, PublishReceipt
    from moorage.domain.values.result import Result


class _SqsLink:
    """The common code of synchronous and asynchronous links to SQS.

    Args:
        requests: sends the requests.
    """

    version = None

    def __init__(self, requests: SqsRequests) -> None:
        self._requests = requests
        self._is_open = True

    def is_connected(self) -> bool:
        """Return whether the link to SQS is open, which it is until `close` is called."""
        return self._is_open

    def problem(self) -> tuple[str, str] | None:
        """Return None, because SQS reports no problems of its own."""
        return None

    def close(self) -> None:
        """Mark the link as closed, so that no further requests are sent."""
        self._is_open = False


class SqsLink(_SqsLink):
    """A synchronous program's access to one account's SQS queues.

    Args:
        requests: sends the requests.
        end: closes the HTTP client; None if the application passed that client.
    """

    def __init__(self, requests: SqsRequests, end: Callable[[], None] | None) -> None:
        super().__init__(requests)
        self._end = end

    def ping(self, timeout: float, /) -> None:
        """Ask SQS for the name of one queue, to check the connection."""
        run_now(self._requests.ping(timeout))

    def publish(self, item: OutgoingMessage, timeout: float, /) -> PublishReceipt:
        """Send one message to a queue of SQS."""
        return run_now(self._requests.publish(item, timeout))

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> list[Result[PublishReceipt]]:
        """Send several messages to a queue in one HTTP request."""
        return run_now(self._requests.publish_batch(items, timeout))

    def leave(self, timeout: float, /) -> None:  # noqa: ARG002 - HTTP has no farewell
        """Close the connections of the HTTP client."""
        self.close()

    def close(self) -> None:
        """Mark the link as closed, and close the connections of the HTTP client."""
        super().close()
        if self._end is not None:
            self._end()


class AsyncSqsLink(_SqsLink):
    """An asynchronous program's access to one account's SQS queues.

    Args:
        requests: sends the requests.
        end: closes the HTTP client; None if the application passed that client.
    """

    def __init__(self, requests: SqsRequests, end: Callable[[], Awaitable[None]] | None) -> None:
        super().__init__(requests)
        self._end = end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Task[None] | None = None

    async def ping(self, timeout: float, /) -> None:
        """Ask SQS for the name of one queue, to check the connection."""
        self._loop = asyncio.get_running_loop()
        await self._requests.ping(timeout)

    async def publish(self, item: OutgoingMessage, timeout: float, /) -> PublishReceipt:
        """Send one message to a queue of SQS."""
        return await self._requests.publish(item, timeout)

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> list[Result[PublishReceipt]]:
        """Send several messages to a queue in one HTTP request."""
        return await self._requests.publish_batch(items, timeout)

    async def leave(self, timeout: float, /) -> None:  # noqa: ARG002 - HTTP has no farewell
        """Close the connections of the HTTP client."""
        super().close()
        if self._end is not None:
            await self._end()

    def close(self) -> None:
        """Mark the link as closed, and close the HTTP client in its event loop."""
        super().close()
        loop = asyncio.get_running_loop()
        if self._end is not None and self._loop is loop:
            self._closing = loop.create_task(self._ended(self._end))

    async def _ended(self, end: Callable[[], Awaitable[None]]) -> None:
        await end()
