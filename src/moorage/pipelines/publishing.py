"""Sinks and stores of dead letters that publish to a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.messages.message import Message
from moorage.domain.values.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.adapters.messages.publisher_async import AsyncMessagePublisher
    from moorage.domain.pipelines.records import SinkRecord
    from moorage.domain.pipelines.settings import DeadLetter
    from moorage.ports.connector import AsyncPerformer

_NAMES: Final = "pipeline", "topic", "partition", "offset", "error", "message", "attempts", "at"
_HEADERS: Final = frozenset(f"dead-letter-{name}" for name in _NAMES)


class PublishSink:
    """A sink that publishes records to a broker, and waits for the broker's acknowledgement.

    Args:
        manager: performs the publications under the protections of the publisher's service.
        publisher: the publisher of the broker.
        topic: the topic, or a function that returns the topic for a record. By default each record
            keeps its own topic.
    """

    def __init__(
        self,
        manager: AsyncPerformer,
        publisher: AsyncMessagePublisher,
        topic: str | Callable[[SinkRecord], str] | None = None,
    ) -> None:
        self._manager = manager
        self._publisher = publisher
        self._topic = topic

    async def open(self) -> None:
        """Do nothing, because the publisher connects when it publishes."""

    async def process_batch(
        self, records: Sequence[SinkRecord], /
    ) -> Sequence[Result[object]] | None:
        """Publish records up to the first one with another topic, and return their results."""
        topic = self._topic_of(records[0])
        count = next(
            (n for n, record in enumerate(records) if self._topic_of(record) != topic),
            len(records),
        )
        messages = [message_of(record) for record in records[:count]]
        operation = self._publisher.publish_batch(topic, messages)
        results = await self._manager.perform(self._publisher.service, operation)
        if count == len(records) and not results.errors:
            return None
        return [Result(result.value, result.error) for result in results]

    def _topic_of(self, record: SinkRecord) -> str:
        if callable(self._topic):
            return self._topic(record)
        return self._topic or record.topic

    async def flush(self) -> None:
        """Do nothing, because published messages are already acknowledged."""

    async def close(self) -> None:
        """Do nothing, because the publisher belongs to the caller."""


@attrs.frozen
class DeadLetterTopic:
    """A broker's topic that stores dead letters with their original payload, key and headers.

    The headers that begin with "dead-letter-" say where the record came from and why it failed.

    Attributes:
        manager: performs the publications under the protections of the publisher's service.
        publisher: the publisher of the broker.
        topic: the topic.
    """

    manager: AsyncPerformer
    publisher: AsyncMessagePublisher
    topic: str

    async def add(self, letter: DeadLetter, /) -> None:
        """Publish a dead letter."""
        record = letter.record
        values = (
            letter.pipeline,
            record.topic,
            record.partition,
            record.offset,
            letter.error,
            letter.message,
            letter.attempts,
            letter.at.isoformat(),
        )
        headers = [
            (f"dead-letter-{name}", _one_line(str(value)))
            for name, value in zip(_NAMES, values, strict=True)
            if value is not None
        ]
        # A record from a topic of dead letters has such headers already.
        attributes = [pair for pair in record.attributes if pair[0].lower() not in _HEADERS]
        message = attrs.evolve(message_of(record), headers=(*attributes, *headers))
        operation = self.publisher.publish(self.topic, message)
        await self.manager.perform(self.publisher.service, operation)


def message_of(record: SinkRecord) -> Message:
    """Convert a record to a message that can be published."""
    return Message(
        record.payload,
        key=record.key,
        headers=record.attributes,
        content_type=record.content_type,
        id=record.id,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
