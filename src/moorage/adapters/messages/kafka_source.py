"""A pipeline source that reads Kafka topics as a member of a consumer group.

Laws:

1. Only positions that were passed to `commit` are committed: several times a second, earlier if
   many records wait for it, before a partition moves, and at the end. Uncommitted records are
   delivered again, to the member that has the partition then.
2. `revoked` has returned before a partition goes to another member, unless the partition was lost
   already.
3. While nobody polls, the member stays in its group, and reads nothing.
4. A source with a `transactional_id` commits positions in transactions only, including the
   transactions of a sink that publishes. A position never moves back.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import wait
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from moorage.adapters.concurrency.daemon_worker import DaemonWorker
from moorage.domain.messages.kafka import RULES, TRANSACTION
from moorage.domain.messages.kafka_transactions import positions_after
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.read_failures import read_error
from moorage.domain.pipelines.records import LazyRecords
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import seconds
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from moorage.adapters.messages._kafka_reader import KafkaReader
    from moorage.adapters.messages._kafka_transactions import KafkaTransactions
    from moorage.adapters.messages.kafka import Kafka
    from moorage.domain.messages.kafka_transactions import SourcedMessage
    from moorage.domain.pipelines.records import Offset, Partition, RecordBatch, SinkRecord
    from moorage.ports.pipelines import PollLimits, Revocation

_CLUSTER_WAIT: Final = 10.0
"""Seconds in which a consumer must end."""

_STEP: Final = 0.1
"""Seconds of one wait in a thread, after which the thread checks if it is still needed."""

_USUAL_SIZE: Final = 1_000
"""The bytes of a payload that are assumed before the first record is read."""

_ASSIGNORS: Final = ("cooperative-sticky", "range", "roundrobin")
_START_CHOICES: Final = ("earliest", "latest")


@with_careful_constructor
class KafkaSource:
    """A source that reads Kafka topics as a member of a consumer group.

    The members of a group share the partitions among them. When members come or go, partitions
    move; their uncommitted records are delivered again. Records of a partition keep their order.

    Args:
        settings: the cluster.
        topics: names of topics, which must exist, or patterns of names that begin with "^", such as
            "^orders[.].*". Topics that match a pattern are found while the source runs.
        group: the name of the consumer group.
        instance: the name of a static member, which no other living member may have. Such a member
            keeps its partitions while it is restarted, for `session.timeout.ms` of `Kafka.options`.
            Without a name, the partitions go to other members immediately.
        start: where a new group begins: at the "earliest" record, or with the "latest", which are
            those published after it began. Partitions that are made later, and topics that a
            pattern finds later, are read from their beginning in both cases.
        assignor: "cooperative-sticky" moves only the partitions that must move; "range" and
            "roundrobin" stop the whole group for each change. All members must have the same
            assignment.
        discover_every: seconds between two searches for new topics and partitions.
        transactional_id: the name of this worker's transactions, which no other living worker may
            have. With it the source commits its positions in transactions, in which a
            `KafkaTransactionSink` publishes.
    """

    commits: Literal["each", "prefix"] = "prefix"
    extend_every: float | None = 1.0

    def __init__(
        self,
        settings: Kafka,
        topics: Sequence[str],
        *,
        group: str,
        instance: str | None = None,
        start: str = "earliest",
        assignor: str = "cooperative-sticky",
        discover_every: float | timedelta = 60.0,
        transactional_id: str | None = None,
    ) -> None:
        if isinstance(topics, str) or not topics:
            raise ConfigurationError(
                "The topics of the Kafka source are not a list of names.",
                path="topics",
                remedy='Pass a list of names, such as ["orders"].',
            )
        if transactional_id == "":
            raise ConfigurationError(
                "The transactional id is empty.",
                path="transactional_id",
                remedy='Set a name such as "billing-1", or leave the id out.',
            )
        for path, value, choices in (
            ("start", start, _START_CHOICES),
            ("assignor", assignor, _ASSIGNORS),
        ):
            if value not in choices:
                raise ConfigurationError(
                    f"{brief_repr(value)} is not a valid value of {path!r}.",
                    path=path,
                    remedy=f"Give one of {', '.join(map(repr, choices))}.",
                )
        self.topics = tuple(topics)
        self.group = group
        self.instance = instance
        self.transactional_id = transactional_id
        self._settings = settings
        self._own_options = {
            "group.id": group,
            "auto.offset.reset": start,
            "partition.assignment.strategy": assignor,
            # librdkafka commits only stored positions, and moorage stores the positions of done
            # records.
            "enable.auto.commit": transactional_id is None,
            "enable.auto.offset.store": False,
            "enable.partition.eof": False,
            "topic.metadata.refresh.interval.ms": max(
                10, round(seconds(discover_every, "discover_every") * 1000)
            ),
            **({} if instance is None else {"group.instance.id": instance}),
        }
        self._link: _Link | None = None
        self._reading: asyncio.Future[None] | None = None
        self._size = _USUAL_SIZE
        self._was_open = False
        self._transaction_seconds = TRANSACTION / 1000

    async def open(self, revoked: Revocation, /) -> None:
        """Join the consumer group, after checking that all topics exist.

        After an outage of the whole cluster the member stays the same, so that its group need not
        wait until the member's session ends.
        """
        link = self._link
        if link is not None and link.reader.is_cut_off and self.transactional_id is None:
            await link.wait_until_available(revoked)
            return
        if self._was_open:
            await revoked(None)
        await self.close()
        options = {
            "auto.commit.interval.ms": 200,
            "reconnect.backoff.max.ms": 1_000,
            "queued.max.messages.kbytes": 16_384,
            "fetch.queue.backoff.ms": 10,
            "statistics.interval.ms": 5_000,
            **self._settings.client_options(),
            **self._own_options,
        }
        patience = self._settings.connect_timeout
        self._link = link = _Link(options, self.topics, patience, revoked)
        try:
            if self.transactional_id is not None:
                await link.begin_transactions(
                    self._settings.transaction_options(self.transactional_id),
                    patience,
                    self._transaction_seconds,
                )
            await link.reading.run(link.reader.join)
        except BaseException:
            await self.close()
            raise
        self._was_open = True

    async def poll(self, limits: PollLimits, /) -> RecordBatch:
        """Return the next records; records that a cancelled poll had read come first."""
        link = self._require_link()
        if self._reading is None:
            count = max(1, min(limits.records, limits.size // self._size))
            self._reading = link.reading.run(
                partial(link.reader.read, count, limits.records, limits.wait)
            )
        reading_task = self._reading
        try:
            await asyncio.shield(reading_task)
        finally:
            if reading_task.done():  # pragma: no branch - otherwise it was cancelled, and raises
                self._reading = None
        records = link.reader.take()
        if records:
            largest_size = max(max(run.sizes) for run in records.runs)
            self._size = max(1, largest_size, self._size // 2)
        return records

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Queue records' positions for commit, if this group member still owns their partitions."""
        link = self._require_link()
        positions: dict[Partition, int] = {}
        for place, offset in _offsets(records):
            positions[place] = max(positions.get(place, 0), _next(offset))
        if self.transactional_id is None:
            link.reader.store(positions)
        else:
            await link.publish_and_commit((), positions)

    async def publish(self, messages: Sequence[SourcedMessage[Partition]], /) -> None:
        """Publish messages, and commit the positions of their records, in one transaction.

        The messages are those of all records since the last transaction, in their order.

        Raises:
            ConnectorError: the transaction was aborted, or its outcome is unknown.
            LocalFailure: a record is not of this source.
        """
        link = self._require_link()
        positions = positions_after(messages)
        unread_places = positions.keys() - link.reader.known
        if unread_places:
            raise LocalFailure(
                f"The sink received records of {min(unread_places)[0]!r} that its source has"
                " not read.",
                remedy="Do not change the topic, the partition and the offset that the source"
                " has set on a record.",
            )
        await link.publish_and_commit(messages, positions)

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        """Do nothing, because uncommitted records are delivered again after a rebalance."""

    async def extend(self, _: Sequence[SinkRecord], /) -> None:
        """Stay in the consumer group without reading, while the pipeline's buffer is full.

        It does not wait for `revoked`, because the pipeline may have to commit before that returns.
        """
        link = self._link
        if link is not None and self._reading is None:
            await link.serve()

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Continue reading a partition after an offset, now or once it is assigned."""
        link = self._require_link()
        await link.reading.run(partial(link.reader.seek, partition, _next(offset)))
        link.forget([partition])

    async def lag(self) -> int | None:
        """Return the number of uncommitted records in this member's partitions.

        The number is at most five seconds old.
        """
        return self._require_link().reader.lag

    async def close(self) -> None:
        """Leave the consumer group; a static member remains registered for a while."""
        link, self._link, self._reading = self._link, None, None
        if link is not None:
            await link.close()

    def _require_link(self) -> _Link:
        if self._link is None:
            raise read_error(PublishFault.LOST, RULES)
        return self._link


class _Link:
    """A Kafka reader, and the thread in which its blocking calls run.

    Attributes:
        reader: the reader.
        reading: the thread that reads.
    """

    def __init__(
        self, options: dict[str, Any], topics: Sequence[str], patience: float, revoked: Revocation
    ) -> None:
        from moorage.adapters.messages._kafka_reader import (  # noqa: PLC0415 - only some need it
            KafkaReader,
        )

        self._loop = asyncio.get_running_loop()
        self._call = revoked
        self._options = options
        self._transactions: KafkaTransactions | None = None
        self._transacting: DaemonWorker | None = None
        self._serving: asyncio.Future[None] | None = None
        self._served = asyncio.Event()
        self.reader: KafkaReader = KafkaReader(
            options, topics, patience, self._on_revoked, self.forget
        )
        self.reading = DaemonWorker("moorage-kafka-read")

    async def wait_until_available(self, revoked: Revocation) -> None:
        """Wait until the cluster is available again, then continue reading."""
        self._call = revoked
        await self.reading.run(self.reader.reach)

    async def serve(self) -> None:
        """Keep the reader in its group; return early if the reader is losing partitions."""
        if self._serving is None or self._serving.done():
            self._served.clear()
            self._serving = self.reading.run(self.reader.serve)
            self._serving.add_done_callback(lambda _: self._served.set())
        await self._served.wait()
        if self._serving.done():
            self._serving.result()

    async def begin_transactions(
        self, options: dict[str, Any], patience: float, longest: float
    ) -> None:
        """Abort an earlier worker's transaction with the same id, before positions are read."""
        from moorage.adapters.messages._kafka_transactions import (  # noqa: PLC0415 - only some need it
            KafkaTransactions,
        )

        transactions = KafkaTransactions(options, self._options, patience=patience, longest=longest)
        self._transactions = transactions
        self._transacting = DaemonWorker("moorage-kafka-transactions")
        await self._transacting.run(transactions.begin)

    async def publish_and_commit(
        self, messages: Sequence[SourcedMessage[Partition]], positions: dict[Partition, int]
    ) -> None:
        """Publish messages and move the group's positions in one transaction."""
        membership = self.reader.membership
        if self._transactions is None or self._transacting is None or membership is None:
            raise read_error(PublishFault.LOST, RULES)
        await self._transacting.run(
            partial(self._transactions.publish_and_commit, messages, positions, membership)
        )

    def forget(self, places: Sequence[Partition]) -> None:
        """Forget the committed positions of partitions that are now read from another position."""
        if self._transactions is not None:
            self._transactions.forget(places)

    def _on_revoked(self, places: list[Partition]) -> None:
        """Block the reader's thread until the event loop has handled the loss of partitions."""

        async def call() -> None:
            self._served.set()
            await self._call(places)

        done = asyncio.run_coroutine_threadsafe(call(), self._loop)
        while not self.reader.is_stopped and not wait([done], _STEP).done:
            pass

    async def close(self) -> None:
        """Stop the reader and its thread, waiting a limited time for the cluster."""
        self.reader.stop()
        close_steps = [self.reading.run(self.reader.close)]
        self.reading.end()
        if self._transactions is not None and self._transacting is not None:
            self._transactions.stop()
            close_steps.append(self._transacting.run(self._transactions.close))
            self._transacting.end()
        close_all = asyncio.gather(*close_steps)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLUSTER_WAIT):
                await asyncio.shield(close_all)


def _offsets(records: Sequence[SinkRecord]) -> list[tuple[Partition, Offset | None]]:
    """Return each record's partition and offset, without creating lazily created records."""
    if isinstance(records, LazyRecords) and not records.is_made:
        return [((item.topic(), item.partition()), item.offset()) for item in records.messages]
    return [(record.place, record.offset) for record in records]


def _next(offset: Offset | None) -> int:
    """Return the Kafka position that follows an offset."""
    try:
        return int(offset or 0) + 1
    except ValueError:
        pass
    raise ConfigurationError(
        "The offset of a Kafka record is not a number.",
        path="offset",
        remedy="Pass the offset of the last processed record.",
    )
