"""A connection that receives messages from RabbitMQ queues, with aio-pika.

All queues share a channel. When it closes, RabbitMQ delivers unacknowledged messages again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from aiormq.exceptions import AMQPError

from moorage.adapters.messages._rabbitmq_async import (
    close_connection,
    drop_connection,
    open_connection,
)
from moorage.adapters.messages._rabbitmq_faults import rabbitmq_fault
from moorage.domain.messages.message import key_bytes
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.rabbitmq import (
    STREAM_OFFSET,
    acknowledgements,
    attributes_and_key,
    cancelled_error,
    deliveries,
    reading_error,
    stream_error,
)
from moorage.domain.pipelines.records import checked_records
from moorage.domain.secrets.frames import without_frames

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from moorage.adapters.messages.rabbitmq import RabbitMq
    from moorage.domain.pipelines.records import SinkRecord
    from moorage.errors import ConnectorError
    from moorage.ports.pipelines import PollLimits

_CLOSING_SECONDS: Final = 0.4
_ABOVE_ANY_TAG: Final = 2**64
"""A number greater than the tag of any delivery."""

_SEND_TIMEOUT: Final = 10.0
"""Seconds in which acknowledgements must leave this process."""

_MOST_CYCLES: Final = 100
"""Cycles of the event loop for which a first message waits for others that arrive with it."""

_IDLE_CYCLES: Final = 3
"""Cycles of the event loop without a further message, after which none is on its way here."""


async def connect_reader(
    settings: RabbitMq, queues: Sequence[str], *, prefetch: int, exclusive: bool
) -> RabbitMqReader:
    """Open a connection to RabbitMQ, and start to receive messages.

    Args:
        settings: the server.
        queues: the names of the queues.
        prefetch: the largest number of messages of a queue that are not acknowledged.
        exclusive: whether no other consumer may read the queues.
    """
    seconds = settings.connect_timeout
    until = monotonic() + seconds
    connection: Any = None
    queue: str | None = None
    try:
        async with asyncio.timeout(seconds):
            connection = await open_connection(settings, seconds)
            # A channel of aio-pika does not end its tasks when its connection is closed.
            wire = await connection.transport.connection.channel(publisher_confirms=False)
            reader = RabbitMqReader(connection, wire)
            for queue in queues:
                await reader.consume(queue, prefetch=prefetch, exclusive=exclusive)
            return reader
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        fault = rabbitmq_fault(error, is_connecting=queue is None)
        failure = error if fault is None else reading_error(fault, str(error), queue)
    except BaseException:
        await drop_connection(connection, until)
        raise
    await drop_connection(connection, until)
    raise without_frames(failure)


class RabbitMqReader:
    """A connection to RabbitMQ that receives messages."""

    def __init__(self, connection: Any, wire: Any) -> None:
        self._connection = connection
        self._wire = wire
        self._name = token_hex(8)
        self._buffer: deque[tuple[str, Any]] = deque()
        # An ordered set: the delivery tags that a poll has taken and that are not settled.
        self._unsettled: dict[int, None] = {}
        self._queues: list[str] = []
        self._arrived = asyncio.Event()
        self._failure: ConnectorError | None = None
        wire.on_consumer_cancel_callbacks.add(self._on_cancelled)
        wire.closing.add_done_callback(self._on_closed)

    @property
    def has_delivered(self) -> bool:
        """True if a delivered message is unsettled."""
        return bool(self._unsettled)

    async def consume(self, queue: str, *, prefetch: int, exclusive: bool) -> None:
        """Start to receive the messages of an existing queue."""
        wire = self._wire

        async def on_message(message: Any) -> None:
            self._add(queue, message)

        await wire.queue_declare(queue, passive=True)
        await wire.basic_qos(prefetch_count=prefetch)
        await wire.basic_consume(queue, on_message, exclusive=exclusive)
        self._queues.append(queue)

    async def take(self, limits: PollLimits) -> list[SinkRecord]:
        """Return the messages that have arrived, waiting for the first if there are none."""
        if not self._buffer and self._failure is None:
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.wait):
                    await self._arrived.wait()
        if self._buffer:
            await self._receive_more(limits.records)
        self._check()
        taken_messages: list[tuple[str, Any]] = []
        size = 0
        while self._buffer and len(taken_messages) < limits.records and size < limits.size:
            queue, message = self._buffer.popleft()
            size += len(message.body)
            taken_messages.append((queue, message))
        tags = [message.delivery_tag for _, message in taken_messages]
        self._unsettled.update(dict.fromkeys(tags))
        return _records(taken_messages, [f"{self._name}-{tag}" for tag in tags])

    async def _receive_more(self, limit: int) -> None:
        """Receive messages that have reached this process already, so that they are read together.

        The client passes on a few messages in each cycle of the event loop.
        """
        count = idle_cycles = 0
        for _ in range(_MOST_CYCLES):
            idle_cycles = 0 if len(self._buffer) > count else idle_cycles + 1
            count = len(self._buffer)
            if idle_cycles > _IDLE_CYCLES or count >= limit or self._failure is not None:
                break
            await asyncio.sleep(0)

    async def acknowledge(self, records: Iterable[SinkRecord]) -> None:
        """Acknowledge messages; one frame acknowledges all before the first unsettled one."""
        tags = self._settled_tags(records)
        first_open = next(iter(self._unsettled), _ABOVE_ANY_TAG)
        await self._send_frames(
            [
                partial(self._wire.basic_ack, tag, multiple=multiple)
                for tag, multiple in acknowledgements(tags, first_open)
            ]
        )

    async def requeue(self, records: Iterable[SinkRecord]) -> None:
        """Return messages to their queues."""
        await self._send_frames(
            [partial(self._wire.basic_nack, tag) for tag in self._settled_tags(records)]
        )

    def _settled_tags(self, records: Iterable[SinkRecord]) -> list[int]:
        """Return the delivery tags that are unsettled, and mark them as settled.

        RabbitMQ closes the channel when it is told a tag twice.
        """
        self._check()
        places = (str(record.offset).partition("-") for record in records)
        tags = [int(tag) for name, _, tag in places if name == self._name]
        tags = [tag for tag in tags if tag in self._unsettled]
        for tag in tags:
            del self._unsettled[tag]
        return tags

    async def _send_frames(self, messages: Sequence[Callable[..., Awaitable[object]]]) -> None:
        """Send frames to RabbitMQ, and wait until the operating system has all of them."""
        try:
            async with asyncio.timeout(_SEND_TIMEOUT):
                for send in messages:
                    await send(wait=send is messages[-1])
        except (OSError, RuntimeError, AMQPError) as error:
            failure = reading_error(PublishFault.LOST, str(error), None)
        else:
            return
        raise without_frames(failure)

    async def lag(self) -> int:
        """Return the number of messages in the queues, and of this reader's unacknowledged ones."""
        self._check()
        waiting = len(self._buffer) + len(self._unsettled)
        try:
            async with asyncio.timeout(_SEND_TIMEOUT):
                for queue in self._queues:
                    answer = await self._wire.queue_declare(queue, passive=True)
                    waiting += answer.message_count
        except (OSError, RuntimeError, AMQPError) as error:
            failure = reading_error(PublishFault.LOST, str(error), None)
        else:
            return waiting
        raise without_frames(failure)

    async def close(self) -> None:
        """Close the connection; RabbitMQ then delivers unacknowledged messages again."""
        await close_connection(self._connection, _CLOSING_SECONDS)

    def _check(self) -> None:
        if self._failure is not None:
            raise without_frames(self._failure)

    def _add(self, queue: str, message: Any) -> None:
        if STREAM_OFFSET in (message.header.properties.headers or {}):
            self._fail(stream_error(queue))
            return
        self._buffer.append((queue, message))
        self._arrived.set()

    def _on_cancelled(self, _: Any) -> None:
        self._fail(cancelled_error())

    def _on_closed(self, closing: asyncio.Future[Any]) -> None:
        error = None if closing.cancelled() else closing.exception()
        fault = None if error is None else rabbitmq_fault(error)
        self._fail(reading_error(fault or PublishFault.LOST, str(error or ""), None))

    def _fail(self, failure: ConnectorError) -> None:
        self._failure = self._failure or failure
        self._arrived.set()


def _records(messages: Sequence[tuple[str, Any]], offsets: Sequence[str]) -> list[SinkRecord]:
    """Convert messages to records; each message comes with the name of its queue."""
    properties = [message.header.properties for _, message in messages]
    headers: list[dict[str, Any]] = [item.headers or {} for item in properties]
    pairs = [attributes_and_key(item) for item in headers]
    return checked_records(
        [message.body for _, message in messages],
        key=[key_bytes(key) for _, key in pairs],
        attributes=[tuple(attributes) for attributes, _ in pairs],
        content_type=[item.content_type for item in properties],
        id=[item.message_id or None for item in properties],
        offset=offsets,
        published_at=[item.timestamp for item in properties],
        schema=[item.message_type for item in properties],
        topic=[queue for queue, _ in messages],
        producer=[item.app_id for item in properties],
        deliveries=[
            deliveries(item, was_delivered=bool(message.redelivered))
            for item, (_, message) in zip(headers, messages, strict=True)
        ],
    )
