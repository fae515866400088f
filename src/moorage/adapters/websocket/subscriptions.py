"""Subscriptions, which continue after a lost connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from moorage.adapters.websocket._inbox import Inbox
from moorage.domain.connectors.reconnecting import pause_after
from moorage.domain.connectors.websocket_failures import reply_timeout
from moorage.errors import AttemptTimeout, ConnectionFailed, ConnectorError, LocalFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from moorage.adapters.concurrency.background import Background
    from moorage.adapters.websocket._server_connection import ServerConnection
    from moorage.adapters.websocket._session import Session
    from moorage.domain.service.messages import Arrival
    from moorage.ports.message_codec import MessageCodec

_RESUME_TIMEOUT = 30.0
"""Seconds that one attempt to go on may take, before the next one."""


class AsyncSubscription:
    """The messages of a subscription, for an `async with` block and an `async for` loop.

    After a lost connection it subscribes again, and the server continues after the position of the
    last message that was taken. It raises an error if messages without a position may have been
    lost.
    """

    def __init__(
        self,
        connection: ServerConnection,
        payload: Any,
        *,
        after: str | None,
        position_of: Callable[[Any], str | None] | None,
        gaps: bool,
    ) -> None:
        self._connection = connection
        self._payload = payload
        self._position = after
        self._position_of = position_of
        self._gaps = gaps
        self._has_position = True
        self._session: Session | None = None
        self._identity = ""
        self._inbox = Inbox(connection.buffer_bytes)
        self._is_over = False

    @property
    def position(self) -> str | None:
        """The position after the last taken message, from which another process can continue."""
        return self._position

    async def begin(self, timeout: float) -> None:
        """Subscribe on the open connection, within `timeout` seconds."""
        end = monotonic() + timeout
        codec: MessageCodec = self._connection.codec
        session = await self._connection.session(timeout)
        identity = self._connection.next_id()
        message = codec.subscription(identity, self._payload, self._position)
        inbox = Inbox(self._connection.buffer_bytes)
        try:
            async with asyncio.timeout(max(0.0, end - monotonic())):
                await session.subscribe(identity, message, inbox)
        except TimeoutError:
            raise reply_timeout(was_sent=False) from None
        self._session, self._identity, self._inbox = session, identity, inbox

    async def receive(self, timeout: float | None = None) -> Any:
        """Return the next message of the subscription.

        Args:
            timeout: the seconds to wait for it; None to wait as long as it takes.

        Raises:
            StopAsyncIteration: the server ended the subscription.
            AttemptTimeout: no message arrived in time. The next call waits on.
            ConnectorError: the server refused the subscription, or it could not go on.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self.__anext__()
        except TimeoutError:
            raise AttemptTimeout(
                "No message of the subscription arrived in time.",
                may_have_been_processed=False,
                remedy="Wait longer, or continue without a message.",
            ) from None

    async def close(self) -> None:
        """End the subscription at the server."""
        self._is_over = True
        session, self._session = self._session, None
        if session is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._connection.close_timeout):
                    await session.unsubscribe(self._identity)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while not self._is_over:
            arrival = await self._inbox.take()
            if arrival is not None:
                return self._value_of(arrival)
            failure = self._inbox.failure
            if failure is None:
                self._is_over = True
            else:
                await self._resubscribe(failure)
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _value_of(self, arrival: Arrival) -> Any:
        if arrival.error is not None:
            self._is_over = True
            raise arrival.error
        position = (
            arrival.position if self._position_of is None else self._position_of(arrival.value)
        )
        self._has_position = position is not None
        if position is not None:
            self._position = position
        return arrival.value

    async def _resubscribe(self, failure: ConnectorError) -> None:
        """Subscribe again after the last position, as often as the reconnection policy allows."""
        can_help = failure.retryable or isinstance(failure, LocalFailure)
        if not can_help:
            self._is_over = True
            raise failure
        if not (self._has_position or self._gaps):
            self._is_over = True
            raise ConnectionFailed(
                f"The subscription cannot continue without losing messages. {failure.message}",
                may_have_been_processed=False,
                remedy="Give `position_of`, or `gaps=True` if missing messages do not matter.",
            )
        policy = self._connection.policy
        until = monotonic() + policy.patience
        failures = 0
        while True:
            try:
                await self.begin(_RESUME_TIMEOUT)
            except ConnectorError as error:
                if not error.retryable or monotonic() >= until:
                    self._is_over = True
                    raise
                failures += 1
                pause = pause_after(policy, failures, random())  # noqa: S311 - the spread of pauses is no secret
                pause = max(pause, error.vendor_retry_after or 0.0)
                await asyncio.sleep(min(pause, max(0.0, until - monotonic())))
            else:
                return


class Subscription:
    """The messages of a subscription, for a `with` block and a `for` loop."""

    def __init__(self, subscription: AsyncSubscription, background: Background) -> None:
        self._subscription = subscription
        self._background = background

    @property
    def position(self) -> str | None:
        """The position after the last taken message, from which another process can continue."""
        return self._subscription.position

    def receive(self, timeout: float | None = None) -> Any:
        """Return the next message of the subscription.

        Args:
            timeout: the seconds to wait for it; None to wait as long as it takes.

        Raises:
            StopIteration: the server ended the subscription.
            AttemptTimeout: no message arrived in time. The next call waits on.
            ConnectorError: the server refused the subscription, or it could not go on.
        """
        is_over, value = self._background.run(self._received(timeout))
        if is_over:
            raise StopIteration
        return value

    def close(self) -> None:
        """End the subscription at the server."""
        self._background.run(self._subscription.close())

    async def _received(self, timeout: float | None) -> tuple[bool, Any]:
        """Return whether the subscription has ended, and the next message."""
        try:
            return False, await self._subscription.receive(timeout)
        except StopAsyncIteration:
            return True, None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
