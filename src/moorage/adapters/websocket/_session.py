"""One open connection, shared by many requests and subscriptions.

Laws:

1. A message is delivered where it arrives, and delivery never waits for a consumer. So heartbeats
   are answered even if consumers are slow. One task reads the messages that need more work:
   fragments, and messages after which something must be sent.
2. A reply to a request that has ended is dropped, so a request that was cancelled leaves nothing
   behind.
3. A message that the codec cannot read ends the connection: it may have been any request's reply.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from moorage.adapters.websocket._opening import DirectConnection, closure_of
from moorage.domain.connectors.websocket_failures import Closure, closing_error
from moorage.errors import LocalFailure, VendorFailed

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from moorage.adapters.websocket._inbox import Inbox
    from moorage.domain.service.messages import Arrival
    from moorage.errors import ConnectorError
    from moorage.ports.message_codec import MessageCodec

_UNREADABLE_CODE = 1003
_APPLICATION_CODES = range(4000, 5000)


class PendingReply(Protocol):
    """A request that waits for its reply, with the interface of a future."""

    def done(self) -> bool: ...

    def set_result(self, arrival: Arrival, /) -> None: ...

    def set_exception(self, error: ConnectorError, /) -> None: ...


class Session:
    """An open WebSocket connection.

    Attributes:
        closure: the end of the connection; None while it is open.
    """

    def __init__(self, connection: ClientConnection, codec: MessageCodec) -> None:
        self._connection = connection
        self._protocol = connection.protocol
        self._codec = codec
        self._replies: dict[str, PendingReply] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._is_ready = asyncio.get_running_loop().create_future()
        self._outcome: tuple[str | bytes, ...] | Exception | None = None
        self._direct = connection if isinstance(connection, DirectConnection) else None
        if self._direct is not None:
            self._direct.receive = self._receive
        self._reader = asyncio.create_task(self._read(), name="moorage reads a WebSocket")
        self.closure: Closure | None = None

    @property
    def is_open(self) -> bool:
        """True if messages can be sent over the connection."""
        return self.closure is None and self._protocol.state is State.OPEN

    @property
    def load(self) -> int:
        """The number of requests and subscriptions that use the connection."""
        return len(self._replies) + len(self._inboxes)

    @property
    def server(self) -> str | None:
        """The name of the server's software, if known."""
        response = self._connection.response
        return None if response is None else response.headers.get("Server")

    async def begin(self) -> None:
        """Send the protocol's first message, and wait for the server's acceptance."""
        opening = self._codec.opening()
        if opening is None:
            return
        await self.send(opening)
        await self._is_ready

    async def request(self, identity: str, message: str | bytes) -> Any:
        """Send a request, and return its reply.

        Raises:
            ConnectorError: the reply is an error, or the connection ended before the reply.
        """
        reply: asyncio.Future[Arrival] = asyncio.get_running_loop().create_future()
        try:
            if not self.begin_request(identity, message, reply):
                self._replies[identity] = reply
                await self.send(message)
            arrival = await reply
        finally:
            self.forget_request(identity)
        if arrival.error is not None:
            raise arrival.error
        return arrival.value

    def begin_request(self, identity: str, message: str | bytes, reply: PendingReply) -> bool:
        """Send a request, and pass its reply to `reply`.

        Return False if sending would have to wait.

        Nothing was sent then. Otherwise the caller calls `forget_request` at the end.
        """
        direct_connection = self._direct
        if direct_connection is None or not self.is_open:
            return False
        self._replies[identity] = reply
        if direct_connection.send_at_once(message):
            return True
        del self._replies[identity]
        return False

    def forget_request(self, identity: str) -> None:
        """Ignore the reply to a request from now on."""
        self._replies.pop(identity, None)

    async def subscribe(self, identity: str, message: str | bytes, inbox: Inbox) -> None:
        """Send the message that starts a subscription, whose messages then go into `inbox`."""
        self._inboxes[identity] = inbox
        try:
            await self.send(message)
        except BaseException:
            self._inboxes.pop(identity, None)
            raise

    async def unsubscribe(self, identity: str) -> None:
        """Stop delivering a subscription's messages, and end it at the server."""
        if self._inboxes.pop(identity, None) is None:
            return
        cancellation = self._codec.cancellation(identity)
        if cancellation is not None and self.is_open:
            with suppress(ConnectionClosed):
                await self._connection.send(cancellation)

    async def send(self, message: str | bytes) -> None:
        """Send a message over the WebSocket connection.

        Raises:
            ConnectorError: the connection has ended.
        """
        was_open = self.is_open
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            closure = self.closure or closure_of(error)
        else:
            return
        raise self._error(closure, was_sent=was_open)

    async def ping(self) -> None:
        """Send a ping, and wait until the server replies to it.

        Raises:
            ConnectorError: the connection ended before the answer.
        """
        try:
            await (await self._connection.ping())
        except ConnectionClosed as error:
            closure = closure_of(error)
        else:
            return
        raise self._error(closure, was_sent=False)

    async def close(self) -> None:
        """Close the connection, waiting a limited time for its end."""
        await self._connection.close()
        await self.wait_closed()

    def abort(self) -> None:
        """Cut the connection off without a closing handshake."""
        self._connection.transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is fully closed."""
        await asyncio.wait([self._reader])

    def _receive(self, message: str | bytes) -> bool:
        """Deliver a message; return False if it needs a response, or could not be delivered."""
        try:
            self._outcome = self._deliver(self._codec.read(message), message) or None
        except Exception as error:  # noqa: BLE001 - whatever a codec raises
            self._outcome = error
        return self._outcome is None

    async def _read(self) -> None:
        closure = Closure()
        try:
            while True:
                message = await self._connection.recv()
                outcome, self._outcome = self._outcome, None
                if isinstance(outcome, Exception):
                    closure = Closure(_UNREADABLE_CODE, by_client=True)
                    break
                if outcome is None:
                    outcome = self._deliver(self._codec.read(message), message)
                for text in outcome:
                    await self._connection.send(text)
                if self._direct is not None:
                    self._direct.queued -= 1
        except ConnectionClosed as error:
            closure = closure_of(error)
        except Exception:  # noqa: BLE001 - whatever a codec raises
            closure = Closure(_UNREADABLE_CODE, by_client=True)
        finally:
            self._end(closure)
        if closure.code == _UNREADABLE_CODE:
            await self._connection.close(_UNREADABLE_CODE)

    def _deliver(self, arrival: Arrival, message: str | bytes) -> tuple[str | bytes, ...]:
        """Deliver a message, and return the messages to send in response."""
        answers = () if arrival.answer is None else (arrival.answer,)
        if arrival.is_ready and not self._is_ready.done():
            self._is_ready.set_result(None)
        identity = arrival.id
        if identity is None:
            return answers
        reply = self._replies.get(identity)
        if reply is None:
            inbox = self._inboxes.get(identity)
            if inbox is not None:
                size = len(message.encode() if isinstance(message, str) else message)
                return answers + self._put(identity, inbox, arrival, size)
        elif not reply.done():
            if arrival.has_value or arrival.error is not None:
                reply.set_result(arrival)
            elif arrival.is_last:
                reply.set_exception(_no_reply())
        return answers

    def _put(
        self, identity: str, inbox: Inbox, arrival: Arrival, size: int
    ) -> tuple[str | bytes, ...]:
        """Queue a subscription's message; if the queue is full, return an unsubscribe message."""
        has_content = arrival.error is not None or (arrival.has_value and not arrival.is_reply)
        if has_content and not inbox.put(arrival, size):
            inbox.end(_too_slow())
            del self._inboxes[identity]
            cancellation = self._codec.cancellation(identity)
            return () if cancellation is None else (cancellation,)
        if arrival.is_last or arrival.error is not None:
            del self._inboxes[identity]
            inbox.end()
        return ()

    def _end(self, closure: Closure) -> None:
        """End all requests and subscriptions after the end of the connection."""
        self.closure = closure
        if self._direct is not None:
            self._direct.receive = None
        for reply in tuple(self._replies.values()):
            if not reply.done():
                reply.set_exception(self._error(closure, was_sent=True))
        for inbox in self._inboxes.values():
            inbox.end(self._error(closure, was_sent=False))
        self._inboxes.clear()
        if not self._is_ready.done():
            self._is_ready.set_exception(self._error(closure, was_sent=False))
            self._is_ready.exception()

    def _error(self, closure: Closure, *, was_sent: bool) -> ConnectorError:
        error = None
        if closure.code in _APPLICATION_CODES:
            error = self._codec.closing_error(closure.code, closure.reason, was_sent=was_sent)
        return error or closing_error(closure, was_sent=was_sent)


def _no_reply() -> VendorFailed:
    return VendorFailed(
        "The server ended the request without a reply.",
        retryable=False,
        remedy="Find out whether the request was carried out before you repeat it.",
    )


def _too_slow() -> LocalFailure:
    return LocalFailure(
        "The messages of the subscription filled its buffer, because they were read too slowly.",
        may_have_been_processed=False,
        remedy="Read messages faster, or raise `buffer_bytes`. A subscription whose messages have"
        " positions continues by itself.",
    )
