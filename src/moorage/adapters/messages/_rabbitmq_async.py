"""A connection of an asynchronous program to RabbitMQ, with aio-pika.

One channel in confirm mode carries the messages of all tasks. RabbitMQ closes the channel if it
refuses a message; then it is not known which of several unconfirmed messages it has stored.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import aio_pika

from moorage.adapters.messages._rabbitmq_faults import rabbitmq_fault
from moorage.adapters.messages._rabbitmq_transport import BoundedConnection
from moorage.adapters.messages.rabbitmq import (
    OF_CHANNEL,
    RULES,
    check_properties,
    connecting_error,
    sending_error,
)
from moorage.adapters.trust import context_for
from moorage.domain.messages.broker_rules import headers_of
from moorage.domain.messages.message import PublishReceipt
from moorage.domain.messages.publish_failures import (
    PublishFault,
    publish_error,
    shared_refusal_error,
)
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.result import Result
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.messages.rabbitmq import RabbitMq
    from moorage.domain.messages.message import OutgoingMessage

_CLOSING_SECONDS: Final = 1.0


async def connect_aio_pika(settings: RabbitMq, timeout: float) -> AioPikaLink:
    """Open a connection and a channel, and check that the exchange exists."""
    seconds = min(timeout, settings.connect_timeout)
    until = monotonic() + seconds
    connection: Any = None
    try:
        async with asyncio.timeout(seconds):
            connection = await open_connection(settings, seconds)
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            if settings.exchange:
                exchange = await channel.get_exchange(settings.exchange, ensure=True)
            else:
                exchange = channel.default_exchange
            return AioPikaLink(settings, connection, channel, exchange)
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = connecting_error(error) or error
    except BaseException:
        await drop_connection(connection, until)
        raise
    await drop_connection(connection, until)
    raise without_frames(failure)


async def open_connection(settings: RabbitMq, seconds: float) -> Any:
    """Open an aio-pika connection; the caller must convert its exceptions."""
    address = settings.address()
    context = None if address.tls is None else context_for(address.tls, "")
    return await aio_pika.connect(
        host=address.host,
        port=address.port,
        login=address.user,
        password=address.password_text(),
        virtualhost=address.path,
        ssl=context is not None,
        ssl_context=context,
        timeout=seconds,
        client_properties={"connection_name": "moorage"},
        heartbeat=settings.heartbeat,
        connection_class=BoundedConnection,
    )


async def drop_connection(connection: Any, until: float) -> None:
    """Close an unneeded connection within the remaining time."""
    if connection is not None:
        await close_connection(connection, max(0.0, min(_CLOSING_SECONDS, until - monotonic())))


async def close_connection(connection: Any, seconds: float) -> None:
    """Close an aio-pika connection cleanly; after a time limit, cut the connection."""
    try:
        async with asyncio.timeout(seconds):
            await connection.close()
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPError):
        return
    finally:
        connection.abort()


class AioPikaLink:
    """A connection to RabbitMQ that many tasks use concurrently."""

    def __init__(self, settings: RabbitMq, connection: Any, channel: Any, exchange: Any) -> None:
        self._settings = settings
        self._connection = connection
        self._channel = channel
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._in_flight = 0
        self._has_lost_messages = False
        self._publishing: dict[str, asyncio.Future[None]] = {}
        self._closing: asyncio.Task[None] | None = None
        transport = connection.transport.connection
        properties: dict[str, Any] = transport.server_properties or {}
        self.version: str | None = f"RabbitMQ {properties.get('version', '')}".strip()
        self._longest_frame: int = transport.connection_tune.frame_max
        # aiormq waits silently while RabbitMQ blocks the connection; no other event reports it.
        self._unblocked: Any = getattr(transport, "_Connection__connection_unblocked", None)

    def is_connected(self) -> bool:
        """Return whether the connection and its channel are open."""
        return not self._connection.is_closed and not self._channel.is_closed

    @property
    def is_blocked(self) -> bool:
        """True while RabbitMQ accepts no messages, because memory or disk space is short."""
        return self._unblocked is not None and not self._unblocked.is_set()

    async def ping(self, timeout: float) -> None:
        """Open and close a channel, to check that the broker answers."""
        if self.is_blocked:
            return
        async with asyncio.timeout(timeout):
            channel = await self._connection.channel(publisher_confirms=False)
            await channel.close()

    def problem(self) -> tuple[str, str] | None:
        """Return the broker's alarm about memory or disk space; None if there is none."""
        if not self.is_blocked:
            return None
        error = publish_error(PublishFault.BLOCKED, RULES)
        return error.message, error.remedy

    async def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Publish a message, and wait until the broker has confirmed it."""
        check_properties((item,), self._longest_frame)
        async with asyncio.timeout(timeout):
            return await self._publish(item)

    async def _publish(self, item: OutgoingMessage) -> PublishReceipt:
        """Publish a message, and wait for its confirmation without a time limit."""
        id = item.id
        if id is None or not self._settings.mandatory:
            return await self._publish_now(item)
        # RabbitMQ returns a message with only its id, so no two messages of one id may be in
        # flight.
        while (earlier_task := self._publishing.get(id)) is not None:
            await asyncio.wait([earlier_task])
        done = self._publishing[id] = self._loop.create_future()
        try:
            return await self._publish_now(item)
        finally:
            del self._publishing[id]
            done.set_result(None)

    async def _publish_after(
        self, earlier_task: asyncio.Task[PublishReceipt] | None, item: OutgoingMessage
    ) -> PublishReceipt:
        if earlier_task is not None:
            await asyncio.wait([earlier_task])
        return await self._publish(item)

    async def _publish_now(self, item: OutgoingMessage) -> PublishReceipt:
        if self.is_blocked:
            raise publish_error(PublishFault.BLOCKED, RULES)
        self._in_flight += 1
        try:
            await self._exchange.publish(
                self._properties(item),
                item.topic,
                mandatory=self._settings.mandatory,
            )
        except TimeoutError:
            raise
        except Exception as error:
            fault = rabbitmq_fault(error)
            is_shared = self._is_shared(fault)
            self._in_flight -= 1
            if fault is None:
                raise
            failure = sending_error(fault, self._settings, item)
            if is_shared:
                failure = shared_refusal_error(failure, RULES)
        else:
            self._in_flight -= 1
            return self._receipt(item)
        raise failure

    def _is_shared(self, fault: PublishFault | None) -> bool:
        """Return whether another message may have caused the fault of a message.

        If RabbitMQ refuses one message, it closes the channel, and each unconfirmed message gets
        the same error. A message whose caller has stopped waiting counts as unconfirmed, too.
        """
        if fault not in OF_CHANNEL or not self._channel.is_closed:
            return False
        self._has_lost_messages = self._has_lost_messages or self._in_flight > 1
        return self._has_lost_messages

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Publish messages one after another, and wait for all confirmations together."""
        check_properties(items, self._longest_frame)
        ids = [item.id for item in items if item.id is not None]
        # A message that repeats an earlier id waits for the earlier message; the order stays the
        # same.
        has_repeats = len(set(ids)) < len(ids)
        tasks: list[asyncio.Task[PublishReceipt]] = []
        for item in items:
            earlier_task = tasks[-1] if tasks and has_repeats else None
            tasks.append(self._loop.create_task(self._publish_after(earlier_task, item)))
        late_tasks: list[asyncio.Task[PublishReceipt]] = []

        def expire() -> None:
            late_tasks.extend(task for task in tasks if task.cancel())

        # One timer for all messages, because a timer each would cost more than sending them.
        timer = self._loop.call_later(timeout, expire)
        try:
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            timer.cancel()
        results: list[Result[PublishReceipt]] = []
        for answer in answers:
            if isinstance(answer, PublishReceipt):
                results.append(Result(answer))
            elif isinstance(answer, TimeoutError) or (
                late_tasks and isinstance(answer, asyncio.CancelledError)
            ):
                results.append(Result(error=publish_error(PublishFault.TIMEOUT, RULES)))
            elif isinstance(answer, ConnectorError):
                results.append(Result(error=without_frames(answer)))
            else:
                raise answer
        return results

    async def leave(self, timeout: float) -> None:
        """Close the connection to RabbitMQ cleanly."""
        await close_connection(self._connection, timeout)

    def close(self) -> None:
        """Start to close the connection in the background."""
        if not self._connection.is_closed and not self._loop.is_closed():
            self._closing = self._loop.create_task(
                close_connection(self._connection, _CLOSING_SECONDS)
            )

    def _receipt(self, item: OutgoingMessage) -> PublishReceipt:
        return PublishReceipt(
            broker=RULES.system,
            topic=item.topic,
            at=datetime.now(UTC),
            id=item.id,
            stream=self._settings.exchange or None,
        )

    def _properties(self, item: OutgoingMessage) -> aio_pika.Message:
        message = item.message
        mode = aio_pika.DeliveryMode
        headers: dict[str, Any] = {
            # aiormq's encoder does not accept bytes.
            name: value if isinstance(value, str) else bytearray(value)
            for name, value in headers_of(message, RULES)
        }
        return aio_pika.Message(
            message.payload,
            headers=headers,
            content_type=message.content_type,
            message_id=item.id,
            delivery_mode=mode.PERSISTENT if self._settings.persistent else mode.NOT_PERSISTENT,
        )
