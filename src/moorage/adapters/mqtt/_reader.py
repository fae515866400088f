"""A connection that receives messages of an MQTT broker.

Laws:

1. Acknowledgements are sent in the order in which the messages arrived, as MQTT demands. The
   acknowledgement of a message waits for those of all earlier messages, at most until the
   connection is closed.
2. No more unacknowledged messages are delivered than the limit says, whatever the broker sends:
   some brokers send more once a first message is acknowledged. If too many messages wait in memory,
   nothing more is read from the network, since no broker limits messages of QoS 0.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from math import inf
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.domain.messages.message import key_bytes
from moorage.domain.messages.mqtt_subscriptions import end_error, record_fields
from moorage.domain.pipelines.records import checked_records
from moorage.domain.secrets.frames import without_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.mqtt._links import AsyncMqttLink
    from moorage.domain.pipelines.records import SinkRecord
    from moorage.errors import ConnectorError
    from moorage.ports.pipelines import PollLimits

_TIMEOUT: Final = 10.0
"""Seconds in which acknowledgements must leave this process."""

_CLOSING_SECONDS: Final = 0.3
"""Seconds in which a broker should answer when the connection is closed."""

_MOST_UNCOUNTED: Final = 1_000
"""Messages without acknowledgement that are held in memory, beyond those that are limited."""

_FULL_PAUSE: Final = 1.0
"""Seconds between two signs of life while there is no room for messages."""


class MqttReader:
    """A connection to an MQTT broker that receives messages.

    Args:
        link: the connection, whose subscription the broker has accepted.
        prefetch: the number of messages that are delivered and not acknowledged, at most.
    """

    def __init__(self, link: AsyncMqttLink, prefetch: int) -> None:
        self._link = link
        self._name = token_hex(8)
        self._count = 0
        self._prefetch = prefetch
        self._most = prefetch + _MOST_UNCOUNTED
        self._out = 0
        self._buffer: deque[SinkRecord] = deque()
        self._unsettled: dict[str, tuple[int, int]] = {}
        self._done: set[str] = set()
        self._taken = False
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self._failure: ConnectorError | None = None
        self._collect()
        self._reading = asyncio.ensure_future(self._read())

    @property
    def has_delivered(self) -> bool:
        """True if a delivered message is unsettled."""
        return self._taken and bool(self._unsettled)

    async def take(self, limits: PollLimits) -> list[SinkRecord]:
        """Return the messages that have arrived, waiting for the first if there are none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limits.wait):
                while not self._has_next and self._failure is None:
                    self._arrived.clear()
                    await self._arrived.wait()
        self._check()
        records: list[SinkRecord] = []
        size = 0
        while self._has_next and len(records) < limits.records and size < limits.size:
            record = self._buffer.popleft()
            size += len(record.payload)
            self._out += str(record.offset) in self._unsettled
            records.append(record)
        self._taken = self._taken or bool(records)
        self._has_room.set()
        return records

    @property
    def _has_next(self) -> bool:
        """True if a message waits in memory, and the limit allows its delivery."""
        return bool(self._buffer) and self._out < self._prefetch

    async def acknowledge(self, records: Sequence[SinkRecord]) -> None:
        """Acknowledge processed messages, each after all messages that arrived earlier.

        If not all bytes leave this process, the connection counts as lost.
        """
        self._check()
        offsets = {str(record.offset) for record in records}
        self._done.update(offsets.intersection(self._unsettled))
        for offset in list(self._unsettled):
            if offset not in self._done:
                break
            self._acknowledge(offset)
        try:
            await self._link.flush(monotonic() + _TIMEOUT)
        except (OSError, DeadlinePassed):
            self._lose_connection()
        except BaseException:
            self._lose_connection()
            raise
        self._check()

    def _lose_connection(self) -> None:
        """Cause all later calls to fail, because a part of a packet may have been sent."""
        self._failure = self._failure or end_error(None)
        self._arrived.set()

    def _acknowledge(self, offset: str) -> None:
        number, qos = self._unsettled.pop(offset)
        self._done.discard(offset)
        self._out -= 1
        self._arrived.set()
        self._link.session.acknowledge(number, qos)

    async def close(self) -> None:
        """Acknowledge all processed messages and disconnect; the broker keeps the others."""
        try:
            if self._failure is None:
                await self._finish()
        finally:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            self._link.close()

    async def _finish(self) -> None:
        """Send all acknowledgements, and wait briefly for the broker to receive them."""
        # A broker that insists on the message order can only end the connection, as happens here.
        for offset in list(self._unsettled):
            if offset in self._done:
                self._acknowledge(offset)
        self._link.session.ping()
        with suppress(OSError, DeadlinePassed, TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._link.flush(monotonic() + _CLOSING_SECONDS)
                while self._link.session.awaits_ping and self._failure is None:
                    self._arrived.clear()
                    await self._arrived.wait()

    def _check(self) -> None:
        if self._failure is not None:
            raise without_frames(self._failure)

    async def _read(self) -> None:
        """Receive messages until the connection ends."""
        link = self._link
        try:
            while True:
                if len(self._buffer) < self._most:
                    # Requests that end subscriptions wait there.
                    await link.flush(monotonic() + _TIMEOUT)
                    await link.receive(inf)
                    self._collect()
                    self._arrived.set()
                    continue
                self._has_room.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FULL_PAUSE):
                        await self._has_room.wait()
                link.session.ping()
                await link.flush(monotonic() + _TIMEOUT)
        except (OSError, DeadlinePassed):
            self._collect()
            self._failure = end_error(link.session.end_code)
        finally:
            self._arrived.set()

    def _collect(self) -> None:
        """Convert the session's messages to records in memory."""
        new_messages = self._link.session.messages
        if not new_messages:
            return
        messages = list(new_messages)
        new_messages.clear()
        self._link.session.end_removed_subscriptions(messages)
        begin = self._count + 1
        self._count += len(messages)
        offsets = [f"{self._name}-{number}" for number in range(begin, self._count + 1)]
        for offset, (_, message) in zip(offsets, messages, strict=True):
            if message.qos:
                self._unsettled[offset] = message.mid, message.qos
        self._buffer += _records(messages, offsets)


def _records(messages: Sequence[tuple[str, Any]], offsets: Sequence[str]) -> list[SinkRecord]:
    """Convert messages to records; each message comes with its topic."""
    fields = [_fields(message.properties) for _, message in messages]
    return checked_records(
        [bytes(message.payload) for _, message in messages],
        key=[key_bytes(item["key"]) for item in fields],
        attributes=[tuple(item["attributes"]) for item in fields],
        content_type=[item["content_type"] for item in fields],
        id=[item["id"] for item in fields],
        offset=offsets,
        topic=[topic for topic, _ in messages],
        deliveries=[2 if message.dup else 1 for _, message in messages],
    )


def _fields(properties: Any) -> dict[str, Any]:
    """Return the fields of a record that are taken from the properties of a message."""
    return record_fields(
        getattr(properties, "ContentType", None), getattr(properties, "UserProperty", ())
    )
