"""A sink that publishes to Kafka in transactions of its Kafka source.

Laws:

1. The messages of a batch and the positions of its records become visible together, or not at all.
   A consumer that reads only committed messages sees each message exactly once.
2. A batch is published as a whole, so its records arrive in one lane, in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.messages.broker_rules import check_message, check_topic
from moorage.domain.messages.kafka import RULES
from moorage.domain.messages.kafka_transactions import SourcedMessage
from moorage.domain.messages.message import OutgoingMessage
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import ConfigurationError, LocalFailure
from moorage.pipelines.publishing import message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.adapters.messages.kafka_source import KafkaSource
    from moorage.domain.pipelines.records import Partition, SinkRecord


@with_careful_constructor
class KafkaTransactionSink:
    """A sink that publishes each record exactly once to the Kafka cluster of its source.

    Args:
        source: the source of the same pipeline, with a `transactional_id`.
        topic: the topic, or a function that returns the topic for a record.

    Raises:
        ConfigurationError: the source has no transactions.
    """

    needs_one_lane = True

    def __init__(self, source: KafkaSource, topic: str | Callable[[SinkRecord], str]) -> None:
        if source.transactional_id is None:
            raise ConfigurationError(
                "The source of the sink has no transactions.",
                path="transactional_id",
                remedy='Set transactional_id in the source, such as "billing-1".',
            )
        self._source = source
        self._topic = topic

    async def open(self) -> None:
        """Do nothing, because the source starts its transactions when it is opened."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Publish records and commit their positions in one transaction."""
        await self._source.publish([self._message(record) for record in records])

    def _message(self, record: SinkRecord) -> SourcedMessage[Partition]:
        topic = self._topic(record) if callable(self._topic) else self._topic
        message = message_of(record)
        check_topic(topic, RULES)
        check_message(message, RULES)
        if not isinstance(record.offset, int):
            raise LocalFailure(
                f"A record of {record.topic!r} has no Kafka offset.",
                remedy="Do not change the topic, partition and offset that the source has set"
                " in records.",
            )
        return SourcedMessage(record.place, record.offset + 1, OutgoingMessage(topic, message))

    async def flush(self) -> None:
        """Do nothing, because published messages are already committed."""

    async def close(self) -> None:
        """Do nothing, because the transactions belong to the source."""
