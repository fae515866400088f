"""A source of records from JetStream streams, with durable pull consumers.

Laws:

1. A message is acknowledged only by `commit`. Until then it is delivered again: at once if the
   source gave it back or closed, and otherwise when nobody has extended it for `ack_wait` seconds.
2. Deliveries outlive the connection, so that a reconnected source commits what it read before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from moorage.domain.messages.nats import RULES
from moorage.domain.messages.nats_consumers import (
    STARTS,
    ConsumerSettings,
    checked_group,
    checked_subjects,
)
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.read_failures import read_error
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import count, seconds
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from moorage.adapters.messages._nats_reader import Deliveries, NatsReader
    from moorage.adapters.messages.nats import Nats
    from moorage.domain.pipelines.records import Offset, Partition, SinkRecord
    from moorage.ports.pipelines import PollLimits, Revocation


@with_careful_constructor
class NatsSource:
    """A source that reads JetStream streams with durable pull consumers.

    The workers of a group share the messages among them, without an order between workers. Each
    subject of the source has a durable consumer of its own in each stream that stores it, named
    after the group and the subject. Consumers that do not exist are created. Messages of one worker
    keep their order in each stream, until one of them is delivered again.

    Args:
        settings: the server. Its `stream` is the only stream that is read; by default all streams
            whose messages have the subjects.
        subjects: the subjects, which may have the wildcards "*" and ">". A stream must exist for
            each subject without wildcards.
        group: the name of the group of workers.
        start: the messages that a new group reads: "all", or the "new" ones, stored after it began.
        ack_wait: the seconds after which a message that nobody has acknowledged or extended is
            delivered again.
        max_deliveries: the maximum number of deliveries of a message; None for no limit. A message
            beyond the limit stays in its stream, and no worker sees it any more.
        max_unacknowledged: the number of messages of a consumer that all workers together have read
            and not acknowledged, at most. With 1 the group keeps the order of each subject.
        exclusive: whether a consumer delivers to one worker at a time, and to the next when that
            one ends or is silent for `ack_wait` seconds. `exclusive` needs NATS 2.11.
        discover_every: the seconds between two searches for new streams with the subjects.
    """

    commits: Literal["each", "prefix"] = "each"

    def __init__(
        self,
        settings: Nats,
        subjects: Sequence[str],
        *,
        group: str,
        start: str = "all",
        ack_wait: float | timedelta = 30.0,
        max_deliveries: int | None = None,
        max_unacknowledged: int = 1_000,
        exclusive: bool = False,
        discover_every: float | timedelta = 60.0,
    ) -> None:
        if start not in STARTS:
            raise ConfigurationError(
                f"{start!r} is not a valid value of 'start'.",
                path="start",
                remedy=f"Give one of {', '.join(map(repr, STARTS))}.",
            )
        if max_deliveries is not None:
            count(max_deliveries, "max_deliveries")
        count(max_unacknowledged, "max_unacknowledged")
        self.subjects = checked_subjects(subjects)
        self.group = checked_group(group)
        self._settings = settings
        self._consumers = ConsumerSettings(
            subjects=self.subjects,
            stream=settings.stream,
            discover_every=seconds(discover_every, "discover_every"),
            group=group,
            start=start,
            ack_wait=seconds(ack_wait, "ack_wait"),
            max_deliveries=max_deliveries,
            max_unacknowledged=max_unacknowledged,
            exclusive=exclusive,
        )
        self.extend_every: float | None = self._consumers.ack_wait / 3
        self._deliveries: Deliveries | None = None
        self._reader: NatsReader | None = None

    async def open(self, _: Revocation, /) -> None:
        """Connect to NATS, and create missing consumers."""
        from moorage.adapters.messages._nats_links import (  # noqa: PLC0415 - only some need it
            connect_nats_async,
        )
        from moorage.adapters.messages._nats_reader import (  # noqa: PLC0415 - only some need it
            Deliveries,
            NatsReader,
        )

        await self._disconnect(gives_back=False)
        if self._deliveries is None:
            self._deliveries = Deliveries()
        link = await connect_nats_async(self._settings, self._settings.connect_timeout)
        self._reader = NatsReader(
            link,
            self._settings.api,
            self._consumers,
            self._deliveries,
        )
        try:
            await self._reader.begin()
        except BaseException:
            await self._disconnect(gives_back=False)
            raise

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord]:
        """Return messages of the consumers, ordered within each stream."""
        return await self._connected().poll(limits)

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Acknowledge messages, and wait for the server's confirmation."""
        await self._connected().acknowledge(records)

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        """Return messages for immediate redelivery, to this worker or another."""
        await self._connected().give_back(records)

    async def extend(self, records: Sequence[SinkRecord], /) -> None:
        """Extend the lease of messages, so that the server delivers them to no other worker."""
        await self._connected().extend(records)

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Move the group to a position; it then reads all later messages of the subject.

        JetStream cannot move a consumer. The consumer is deleted and created again, so that
        messages which workers are processing may be delivered again.
        """
        await self._connected().seek(partition, offset)

    async def lag(self) -> int | None:
        """Return the number of messages that the consumers have not settled yet."""
        return await self._connected().lag()

    async def close(self) -> None:
        """Return all unacknowledged messages for redelivery, and disconnect."""
        await self._disconnect(gives_back=True)
        self._deliveries = None

    async def _disconnect(self, *, gives_back: bool) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.end(gives_back=gives_back)

    def _connected(self) -> NatsReader:
        if self._reader is None:
            raise read_error(PublishFault.LOST, RULES)
        return self._reader
