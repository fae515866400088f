"""A source of records from queues of RabbitMQ.

Laws:

1. A message is acknowledged only by `commit`. Messages that are not acknowledged when the
   connection ends are delivered again, to this consumer or another.
2. RabbitMQ delivers no more than `prefetch` messages of a queue that are not acknowledged, so that
   a slow sink keeps the rest in the queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import ConfigurationError, ConnectionFailed, UnsupportedByVendor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.messages._rabbitmq_reader import RabbitMqReader
    from moorage.adapters.messages.rabbitmq import RabbitMq
    from moorage.domain.pipelines.records import Offset, Partition, SinkRecord
    from moorage.ports.pipelines import PollLimits, Revocation


@with_careful_constructor
class RabbitMqSource:
    """A source that reads classic and quorum queues of RabbitMQ.

    The consumers of a queue share its messages among them, without an order between consumers. A
    queue with `x-single-active-consumer` keeps the order: it delivers to one consumer, and to the
    next when that one ends.

    RabbitMQ gives messages neither ids nor positions. A message that is published without an id
    gets a new `identity` with each delivery.

    Args:
        settings: the server.
        queues: the names of the queues, which must exist.
        prefetch: the largest number of messages of a queue that are delivered and not yet
            acknowledged. These messages are held in memory.
        exclusive: whether no other consumer may read the queues. The others wait until this one has
            ended.
    """

    commits: Literal["each", "prefix"] = "each"
    extend_every: float | None = None

    def __init__(
        self,
        settings: RabbitMq,
        queues: Sequence[str],
        *,
        prefetch: int = 500,
        exclusive: bool = False,
    ) -> None:
        if isinstance(queues, str) or not queues:
            raise ConfigurationError(
                "The RabbitMQ source needs a list of queues.",
                path="queues",
                remedy='Pass a list of names, such as ["orders"].',
            )
        if not 1 <= prefetch <= 65_535:
            raise ConfigurationError(
                f"{prefetch!r} is not a valid value of 'prefetch'.",
                path="prefetch",
                remedy="Pass a number from 1 to 65535.",
            )
        self.queues = tuple(queues)
        self._settings = settings
        self._prefetch = prefetch
        self._exclusive = exclusive
        self._reader: RabbitMqReader | None = None

    async def open(self, revoked: Revocation, /) -> None:
        """Connect to RabbitMQ and begin to receive.

        Earlier deliveries can no longer be acknowledged.
        """
        from moorage.adapters.messages._rabbitmq_reader import (  # noqa: PLC0415 - only some need it
            connect_reader,
        )

        if self._reader is not None and self._reader.has_delivered:
            await revoked(None)
        await self.close()
        self._reader = await connect_reader(
            self._settings, self.queues, prefetch=self._prefetch, exclusive=self._exclusive
        )

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord]:
        """Return messages of the queues, ordered within each queue."""
        return await self._connected().take(limits)

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Acknowledge messages at RabbitMQ."""
        await self._connected().acknowledge(records)

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        """Return messages to their queues, and to their old positions if RabbitMQ can do that."""
        await self._connected().requeue(records)

    async def extend(self, records: Sequence[SinkRecord], /) -> None:
        """Do nothing, because RabbitMQ reserves messages for a connected consumer."""

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Raise an error, because RabbitMQ queues have no positions."""
        del partition, offset
        raise UnsupportedByVendor(
            "A RabbitMQ source cannot seek, because queues have no positions.",
            remedy="Publish the messages again, or read them from another broker.",
        )

    async def lag(self) -> int | None:
        """Return the number of messages that wait in the queues or are unacknowledged here."""
        return await self._connected().lag()

    async def close(self) -> None:
        """Close the connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()

    def _connected(self) -> RabbitMqReader:
        if self._reader is None:
            raise ConnectionFailed(
                "The connection to RabbitMQ is closed.",
                remedy="Wait until the pipeline reconnects.",
            )
        return self._reader
