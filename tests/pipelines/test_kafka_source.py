"""The Kafka source, with librdkafka's mock cluster."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    AuthenticationFailed,
    BatchLimits,
    BatchSink,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    Message,
    Pipeline,
    PipelineConfig,
    PipelineState,
    PollLimits,
    RecordSink,
    RetryPolicy,
    Secret,
    Service,
    SinkRecord,
    TopicNotFound,
)
from moorage.adapters.concurrency.daemon_worker import DaemonWorker
from moorage.adapters.messages.kafka import Kafka
from moorage.adapters.messages.kafka_source import KafkaSource
from moorage.domain.messages.kafka import reading_error
from moorage.testing import MemoryDeadLetters, MemorySink
from tests.pipelines.pipeline_waiting import PATIENCE, until
from tests.support.kafka_cluster import COMMIT, JOIN, LEAVE, KafkaCluster
from tests.support.transactional_kafka import TransactionalKafka
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from moorage.domain.pipelines.records import Partition
    from moorage.ports.pipelines import Revocation

MANY = PollLimits(1_000, 1_000_000, 0.01)
LONG_POLL = PollLimits(1_000, 1_000_000, 60.0)
WRONG_PASSWORD = "hunter2-of-nobody"
FAST = {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 100}
QUICK_RETRIES = RetryPolicy(base_delay=0.01, max_delay=0.05)


@pytest.fixture
def cluster() -> Generator[KafkaCluster]:
    """Yield a mock cluster with a topic of four partitions."""
    with KafkaCluster(orders=4) as cluster:
        yield cluster


def source(cluster: KafkaCluster | TransactionalKafka, *topics: str, **options: Any) -> KafkaSource:
    """Return a Kafka source at the cluster."""
    timeout = options.pop("connect_timeout", 10.0)
    extra = options.pop("options", {})
    settings = Kafka(servers=cluster.servers, connect_timeout=timeout, options=FAST | extra)
    options.setdefault("group", "workers")
    return KafkaSource(settings, topics or ["orders"], **options)


class Revocations:
    """A callback that records the revocations of a source."""

    def __init__(self) -> None:
        self.seen: list[Sequence[Partition] | None] = []

    async def __call__(self, partitions: Sequence[Partition] | None) -> None:
        """Record a revocation."""
        self.seen.append(partitions)


async def publish(
    cluster: KafkaCluster | TransactionalKafka, *messages: Message, topic: str = "orders"
) -> None:
    """Publish messages with the Kafka connector."""
    publisher = Kafka(servers=cluster.servers).async_publisher("events")
    async with AsyncConnectorManager([Service("events")]) as manager, publisher:
        await manager.perform("events", publisher.publish_batch(topic, messages))


async def read(reader: KafkaSource, count: int) -> list[SinkRecord]:
    """Poll the source until it has returned this many records."""
    records: list[SinkRecord] = []
    async with asyncio.timeout(120):
        while len(records) < count:
            records += await reader.poll(MANY)
    return records


def numbered_records(count: int, keys: int = 7) -> list[Message]:
    """Return numbered messages with a few different keys."""
    return [Message(str(number), key=f"k{number % keys}") for number in range(count)]


async def test_published_message_is_read_unchanged(cluster: KafkaCluster) -> None:
    """A published Kafka message is read unchanged, with topic, partition, offset and time."""
    await publish(
        cluster, Message.of_json({"a": 1}, key="customer", headers={"trace": "1"}, id="m-1")
    )
    reader = source(cluster)
    await reader.open(Revocations())
    [record] = await read(reader, 1)
    assert (b'{"a":1}', b"customer", "m-1", "application/json", "orders", 0) == (
        record.payload,
        record.key,
        record.identity,
        record.content_type,
        record.topic,
        record.offset,
    )
    assert (("trace", b"1"),) == record.attributes
    assert record.published_at is not None
    await reader.close()


async def test_message_of_another_program_is_read(cluster: KafkaCluster) -> None:
    """A Kafka message's missing value or odd headers are read as attributes of the record."""
    import confluent_kafka  # noqa: PLC0415 - only where it is installed

    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.servers})
    producer.produce("orders", None, key=b"", headers=[("", b"1"), ("a", None)], partition=0)
    producer.flush()
    reader = source(cluster)
    await reader.open(Revocations())
    [record] = await read(reader, 1)
    assert (b"", None, "orders/0/0") == (record.payload, record.key, record.identity)
    assert (("(unnamed)", b"1"), ("a", b""), ("kafka-tombstone", b"")) == record.attributes
    await reader.close()


async def test_message_without_a_value_is_copied(cluster: KafkaCluster) -> None:
    """A copy of a Kafka message without a value has none either, so that it deletes its key."""
    headers = [("kafka-tombstone", b""), ("trace", b"1")]
    await publish(cluster, Message(b"", key="a", headers=headers), Message(b"", key="a"))
    reader = source(cluster)
    await reader.open(Revocations())
    deletion, empty_record = await read(reader, 2)
    assert (b"", (("trace", b"1"), ("kafka-tombstone", b""))) == (
        deletion.payload,
        deletion.attributes,
    )
    assert (b"", ()) == (empty_record.payload, empty_record.attributes)
    await reader.close()


async def test_poll_returns_no_more_records_and_bytes_than_its_limits(
    cluster: KafkaCluster,
) -> None:
    """A poll returns no more records than its limit, and fewer if they are large."""
    await publish(cluster, *(Message("x" * 10_000, key="a") for _ in range(30)))
    reader = source(cluster)
    await reader.open(Revocations())
    assert len(await reader.poll(PollLimits(7, 1_000_000, 60.0))) <= 7
    for _ in range(5):
        assert len(await reader.poll(PollLimits(100, 25_000, 60.0))) <= 2
    assert len(await reader.poll(PollLimits(1, 1, 60.0))) == 1
    await reader.close()


async def test_committed_records_are_not_delivered_again(cluster: KafkaCluster) -> None:
    """A new group member continues after the committed positions, not after the positions read."""
    await publish(cluster, *(Message(str(number), key="one") for number in range(10)))
    first = source(cluster)
    await first.open(Revocations())
    records = await read(first, 10)
    await first.commit(records[:4])
    await first.release(records[4:])
    await first.close()
    second = source(cluster)
    await second.open(Revocations())
    assert [b"4", b"5"] == [record.payload for record in await read(second, 6)][:2]
    await second.close()


async def test_member_closed_while_it_joins_leaves_its_group(cluster: KafkaCluster) -> None:
    """A source that is closed while it joins leaves the group, so that no member waits for it."""
    reader = source(cluster)
    cluster.track_requests()
    await reader.open(Revocations())
    await until(lambda: JOIN in cluster.requests)
    await reader.close()
    assert [LEAVE] == [kind for kind in cluster.requests if kind == LEAVE]


async def test_cancelled_poll_loses_nothing(cluster: KafkaCluster) -> None:
    """If a poll is cancelled at any moment, its records are returned by the next poll."""
    reader = source(cluster)
    await reader.open(Revocations())
    got: list[bytes] = []
    poll_task = asyncio.create_task(reader.poll(LONG_POLL))
    await asyncio.sleep(0)
    poll_task.cancel()
    await asyncio.wait([poll_task])
    for number in range(20):
        poll_task = asyncio.create_task(reader.poll(LONG_POLL))
        await asyncio.sleep(0)
        await publish(cluster, Message(str(number), key="one"))
        poll_task.cancel()
        await asyncio.wait([poll_task])
        if not poll_task.cancelled():
            got += [record.payload for record in poll_task.result()]
    got += [record.payload for record in await read(reader, 20 - len(got))]
    assert [str(number).encode() for number in range(20)] == got
    await reader.close()


@pytest.mark.parametrize("assignor", ["cooperative-sticky", "range"])
async def test_member_can_commit_before_it_loses_a_partition(
    cluster: KafkaCluster, assignor: str
) -> None:
    """A member can commit before it loses a partition, and the next member continues from there."""
    await publish(cluster, *numbered_records(200))
    first, second = source(cluster, assignor=assignor), source(cluster, assignor=assignor)
    records: list[SinkRecord] = []
    lost: list[Partition] = []

    async def note_revoked(partitions: Sequence[Partition] | None) -> None:
        assert partitions is not None
        lost.extend(partitions)
        # Longer than the longest single wait of the reader's thread.
        await asyncio.sleep(0.3)
        await first.commit([record for record in records if record.place in partitions])

    await first.open(note_revoked)
    records += await read(first, 200)
    await second.open(Revocations())
    other_records: list[SinkRecord] = []
    async with asyncio.timeout(120):
        while not lost:
            other_records += await second.poll(MANY)
            records += await first.poll(MANY)
    await publish(cluster, *numbered_records(200))
    rest: list[SinkRecord] = []
    async with asyncio.timeout(120):
        # If a member gets all partitions again, it may read everything before the other member.
        while not other_records or len({(r.place, r.offset) for r in rest + other_records}) < 200:
            rest += await first.poll(MANY)
            other_records += await second.poll(MANY)
    moved = {record.place for record in other_records}
    assert moved <= set(lost)
    positions: dict[Partition, int] = defaultdict(int)
    for record in records:
        positions[record.place] += 1
    # While a group rebalances, the mock cluster refuses commits, so records may be delivered again.
    for place in moved:
        assert positions[place] >= min(
            int(r.offset or 0) for r in other_records if r.place == place
        )
    await first.close()
    await second.close()


async def test_partition_that_comes_back_is_read(cluster: KafkaCluster) -> None:
    """A partition that was removed and reassigned while the source was full is read again."""
    first, second = source(cluster), source(cluster)
    await first.open(Revocations())
    await publish(cluster, Message("begin", key="a"))
    await first.commit(await read(first, 1))
    await second.open(Revocations())
    link = second._link  # noqa: SLF001 - to see what the member has
    assert link is not None
    async with asyncio.timeout(120):
        while not link.reader.known:
            await first.extend([])
            await second.poll(MANY)
    await second.close()
    await publish(cluster, *numbered_records(40))
    numbers = sorted(int(record.payload) for record in await read(first, 40))
    assert [*range(40)] == numbers
    await first.close()


class RevocationSignal(KafkaSource):
    """A Kafka source that shows when it tells its pipeline about lost partitions."""

    revoking: asyncio.Event

    async def open(self, revoked: Revocation, /) -> None:
        """Open the source with a callback that sets the event `revoking`."""
        self.revoking = asyncio.Event()

        async def signal_and_revoke(partitions: Sequence[Partition] | None) -> None:
            self.revoking.set()
            await revoked(partitions)

        await super().open(signal_and_revoke)


async def test_partition_leaves_pipeline_without_room(cluster: KafkaCluster) -> None:
    """A pipeline at its record limit gives up partitions after its batch, and then continues."""
    await publish(cluster, *numbered_records(40))
    released = asyncio.Event()
    stored: set[str] = set()

    async def store(record: SinkRecord) -> None:
        await released.wait()
        stored.add(record.text)

    settings = Kafka(servers=cluster.servers, options=FAST)
    reader = RevocationSignal(settings, ["orders"], group="workers")
    config = PipelineConfig(records_in_flight=4, batch=BatchLimits(records=2), drain=60.0)
    first = Pipeline("orders", reader, RecordSink(store), config=config)
    run_tasks = [asyncio.create_task(first.run())]
    await until(lambda: first.statistics().records_in_flight == 4)
    second = Pipeline("orders", source(cluster), RecordSink(store), config=config)
    run_tasks.append(asyncio.create_task(second.run()))
    async with asyncio.timeout(PATIENCE):
        await reader.revoking.wait()
    released.set()
    await until(lambda: len(stored) == 40)
    await until(lambda: first.statistics().records_in_flight == 0)
    assert first.statistics().committed >= 4
    assert second.statistics().committed >= 1
    for pipeline in first, second:
        pipeline.stop()
    assert all(report.is_clean for report in await asyncio.gather(*run_tasks))


async def test_lost_partitions_are_not_committed(cluster: KafkaCluster) -> None:
    """A member that was away for too long commits no positions of lost partitions."""
    await publish(cluster, *numbered_records(20))
    options = {"max.poll.interval.ms": 1_500, "session.timeout.ms": 1_000}
    first = source(cluster, options=options)
    seen = Revocations()
    await first.open(seen)
    records = await read(first, 20)
    await asyncio.sleep(2.5)
    await first.commit(records)
    async with asyncio.timeout(120):
        while not seen.seen:
            await first.poll(MANY)
    await first.close()
    second = source(cluster)
    await second.open(Revocations())
    repeated = await read(second, 20)
    assert {r.text for r in repeated} == {r.text for r in records}
    await second.close()


async def test_member_that_has_no_room_to_read_for_longer_than_limit_keeps_its_partitions(
    cluster: KafkaCluster,
) -> None:
    """A member keeps its partitions even if it reads nothing for longer than the poll limit."""
    await publish(cluster, *numbered_records(20))
    reader = source(cluster, options={"max.poll.interval.ms": 3_000})
    seen = Revocations()
    await reader.open(seen)
    records = await read(reader, 20)
    loop = asyncio.get_running_loop()
    end = loop.time() + 5.0
    while loop.time() < end:
        await reader.extend(records)
        await asyncio.sleep(0.2)
    await publish(cluster, *numbered_records(5))
    assert 5 == len(await read(reader, 5))
    assert [] == seen.seen
    await reader.close()


async def test_topics_that_match_a_pattern_are_found(cluster: KafkaCluster) -> None:
    """A source with a pattern reads all matching topics, including those created later."""
    cluster.create("orders.a")
    reader = source(cluster, "^orders[.].*", "orders", discover_every=0.1)
    await reader.open(Revocations())
    await publish(cluster, Message("a"), topic="orders.a")
    assert [b"a"] == [record.payload for record in await read(reader, 1)]
    cluster.create("orders.b")
    await publish(cluster, Message("b"), topic="orders.b")
    await publish(cluster, Message("c"))
    assert {"orders.b", "orders"} == {record.topic for record in await read(reader, 2)}
    await reader.close()


async def test_position_can_be_moved(cluster: KafkaCluster) -> None:
    """After a seek, a partition continues at the new offset, even if it was not assigned before."""
    await publish(cluster, *(Message(str(number), key="one") for number in range(5)))
    for assignor in ("cooperative-sticky", "range"):
        reader = source(cluster, group=assignor, assignor=assignor)
        await reader.open(Revocations())
        records = await read(reader, 5)
        place = records[0].place
        await reader.seek(place, 2)
        assert [b"3", b"4"] == [record.payload for record in await read(reader, 2)]
        with pytest.raises(ConfigurationError, match="is not a number"):
            await reader.seek(place, "yesterday")
        await reader.close()
        reader = source(cluster, group=f"{assignor}-2", assignor=assignor)
        await reader.open(Revocations())
        await reader.seek(place, "1")
        assert [b"2", b"3", b"4"] == [record.payload for record in await read(reader, 3)]
        await reader.close()


async def test_group_that_begins_at_the_end_gets_only_new_messages(cluster: KafkaCluster) -> None:
    """A consumer group that begins at the end gets messages published after it began."""
    await publish(cluster, *numbered_records(3))
    reader = source(cluster, start="latest")
    await reader.open(Revocations())
    assert not await reader.poll(PollLimits(1, 1, 1.0))
    await publish(cluster, Message("new"))
    assert [b"new"] == [record.payload for record in await read(reader, 1)]
    await reader.close()


async def read_all(reader: KafkaSource, count: int) -> list[bytes]:
    """Open a source, read this many records, commit them, and close it; return the payloads."""
    await reader.open(Revocations())
    records = await read(reader, count)
    await reader.commit(records)
    await reader.close()
    return sorted(record.payload for record in records)


async def test_group_for_new_records_reads_what_came_while_it_was_away(
    cluster: KafkaCluster,
) -> None:
    """A group that begins at the end keeps its place in partitions that had no new records."""
    await publish(cluster, *numbered_records(8))
    reader = source(cluster, start="latest")
    await reader.open(Revocations())
    assert not await reader.poll(PollLimits(1, 1, 1.0))
    await reader.close()
    await publish(cluster, *numbered_records(8, keys=8))

    payloads = await read_all(source(cluster, start="latest"), 8)

    assert [str(number).encode() for number in range(8)] == payloads


async def test_topic_made_later_is_read_from_its_beginning(cluster: KafkaCluster) -> None:
    """A topic that a pattern finds later is read from its beginning, also after a restart."""
    await publish(cluster, *numbered_records(3))
    reader = source(cluster, "^orders.*", start="latest", discover_every=0.1)
    await reader.open(Revocations())
    assert not await reader.poll(PollLimits(1, 1, 1.0))
    cluster.create("orders-b", 2)
    await publish(cluster, Message("b"), topic="orders-b")
    records = await read(reader, 1)
    await reader.commit(records)
    await reader.close()
    cluster.create("orders-c")
    await publish(cluster, Message("c"), topic="orders-c")

    payloads = await read_all(source(cluster, "^orders.*", start="latest"), 1)

    assert [b"b"] == [record.payload for record in records]
    assert [b"c"] == payloads


async def test_topic_that_is_added_to_a_group_begins_at_its_end(cluster: KafkaCluster) -> None:
    """A topic that a group names later begins at its end too, in spite of the group's age."""
    cluster.create("invoices")
    await publish(cluster, Message("old"), topic="invoices")
    reader = source(cluster, start="latest")
    await reader.open(Revocations())
    assert not await reader.poll(PollLimits(1, 1, 1.0))
    await reader.close()
    reader = source(cluster, "orders", "invoices", start="latest")
    await reader.open(Revocations())
    async with asyncio.timeout(120):
        while not await asyncio.to_thread(cluster.committed, "workers", "invoices"):
            assert not await reader.poll(MANY)
    await publish(cluster, Message("new"), topic="invoices")

    assert [b"new"] == [record.payload for record in await read(reader, 1)]
    await reader.close()


async def test_unknown_topic_is_final_error_that_names_topic(cluster: KafkaCluster) -> None:
    """An unknown topic is a final error that names the topic."""
    with pytest.raises(TopicNotFound, match="'nothing' to read from"):
        await source(cluster, "nothing").open(Revocations())


@pytest.mark.parametrize(
    "code, error, text",
    [
        (30, AuthenticationFailed, "may not read"),
        (23, ConfigurationError, "INCONSISTENT_GROUP_PROTOCOL"),
        (82, ConfigurationError, "same `instance`"),
    ],
)
async def test_permanent_refusal_by_the_group_stops_the_source(
    cluster: KafkaCluster, code: int, error: type[Exception], text: str
) -> None:
    """If the consumer group refuses the member for good, the source stops."""
    reader = source(cluster, instance="one")
    cluster.fail_next(*[code] * 50, request=JOIN)
    await reader.open(Revocations())
    with pytest.raises(error, match=text):
        await read(reader, 1)
    await reader.close()


async def test_commit_that_is_refused_temporarily_is_repeated(cluster: KafkaCluster) -> None:
    """A commit that the cluster refuses temporarily is repeated."""
    await publish(cluster, *(Message(str(number), key="one") for number in range(3)))
    reader = source(cluster)
    await reader.open(Revocations())
    records = await read(reader, 3)
    cluster.fail_next(15, 15, request=COMMIT)
    await reader.commit(records[:2])
    assert not await reader.poll(PollLimits(1, 1, 1.0))
    await reader.close()
    second = source(cluster)
    await second.open(Revocations())
    assert [b"2"] == [record.payload for record in await read(second, 1)]
    await second.close()


async def test_leaving_member_repeats_a_refused_commit(cluster: KafkaCluster) -> None:
    """A leaving member repeats its commit, since a rebalancing group refuses the first one."""
    await publish(cluster, *(Message(str(number), key="one") for number in range(3)))
    reader = source(cluster, options={"auto.commit.interval.ms": 86_400_000})
    await reader.open(Revocations())
    records = await read(reader, 3)
    cluster.fail_next(27, 27, 27, request=COMMIT)
    await reader.commit(records)
    await reader.close()
    assert [3] == cluster.committed("workers", "orders")


async def test_many_done_records_are_committed_at_once(cluster: KafkaCluster) -> None:
    """Positions are committed when a quarter of the limit has accumulated, at any interval."""
    await publish(cluster, *(Message(str(number), key="one") for number in range(20)))
    reader = source(cluster, options={"auto.commit.interval.ms": 86_400_000})
    await reader.open(Revocations())
    records = await read(reader, 20)
    small_limits, large_limits = PollLimits(40, 1_000_000, 0.05), PollLimits(80, 1_000_000, 0.05)
    await reader.commit(records[:15])
    assert not await reader.poll(large_limits)
    assert [] == cluster.committed("workers", "orders")
    async with asyncio.timeout(60):
        while cluster.committed("workers", "orders") != [15]:
            assert not await reader.poll(small_limits)
    await reader.close()


async def test_reads_wait_for_commits(cluster: KafkaCluster) -> None:
    """Records that wait for a commit count towards the limit, even while commits fail."""
    await publish(cluster, *(Message(str(number), key="one") for number in range(20)))
    reader = source(cluster, options={"auto.commit.interval.ms": 86_400_000})
    await reader.open(Revocations())
    records: list[SinkRecord] = []
    while len(records) < 8:
        records += await reader.poll(PollLimits(8 - len(records), 1_000_000, 0.05))
    cluster.fail_next(*[15] * 200, request=COMMIT)
    await reader.commit(records[:8])
    eight = PollLimits(8, 1_000_000, 0.3)
    assert not await reader.poll(eight)
    assert [] == cluster.committed("workers", "orders")
    cluster.end_failures(COMMIT)
    async with asyncio.timeout(60):
        while len(records) < 20:
            records += await reader.poll(eight)
    assert [str(number) for number in range(20)] == [record.text for record in records]
    assert [8] == cluster.committed("workers", "orders")
    await reader.close()


async def test_permanently_refused_commit_stops_the_source(cluster: KafkaCluster) -> None:
    """A commit that the cluster refuses for good stops the source."""
    await publish(cluster, *numbered_records(3))
    reader = source(cluster)
    await reader.open(Revocations())
    records = await read(reader, 3)
    cluster.fail_next(*[30] * 20, request=COMMIT)
    await reader.commit(records)
    with pytest.raises(AuthenticationFailed, match="may not read"):
        await read(reader, 1)
    await reader.close()


@pytest.mark.parametrize(
    "arguments, path",
    [
        ({"topics": "orders"}, "topics"),
        ({"topics": []}, "topics"),
        ({"topics": ["a"], "start": "0"}, "start"),
        ({"topics": ["a"], "assignor": "sticky"}, "assignor"),
        ({"topics": ["a"], "discover_every": -1}, "discover_every"),
    ],
)
def test_wrong_argument_of_kafka_source_is_refused(arguments: dict[str, Any], path: str) -> None:
    """A wrong argument of the Kafka source is refused; the error contains the argument's name."""
    topics = arguments.pop("topics")
    with pytest.raises(ConfigurationError) as error:
        KafkaSource(Kafka(servers="localhost:1"), topics, group="workers", **arguments)
    assert path == error.value.path


async def test_pattern_or_option_that_librdkafka_refuses_is_a_final_error(
    cluster: KafkaCluster,
) -> None:
    """If librdkafka refuses a topic pattern or an option, the error is final."""
    with pytest.raises(ConfigurationError, match="refused the group"):
        await source(cluster, "^(").open(Revocations())
    with pytest.raises(ConfigurationError, match="librdkafka refuses the settings"):
        await source(cluster, options={"no.such": 1}).open(Revocations())


async def test_wrong_password_is_final_and_not_shown() -> None:
    """If the cluster refuses the password, the error is final and does not show the password."""
    # The mock cluster knows no passwords: it ends the connection of a client that sends one.
    with KafkaCluster(orders=1) as cluster:
        settings = Kafka(
            servers=cluster.servers,
            username="reader",
            password=Secret(WRONG_PASSWORD),
            connect_timeout=2.0,
        )
        reader = KafkaSource(settings, ["orders"], group="workers")
        with pytest.raises((AuthenticationFailed, ConnectionFailed)) as error:
            await reader.open(Revocations())
    assert WRONG_PASSWORD not in str(error.value)
    assert WRONG_PASSWORD not in repr(reader)


def test_wrong_password_is_a_final_error() -> None:
    """A wrong password counts as a final error, even while the cluster is running."""
    error = reading_error("_AUTHENTICATION")
    assert isinstance(error, AuthenticationFailed)


async def test_function_that_is_cancelled_before_its_turn_is_skipped() -> None:
    """A thread skips a function that was cancelled before its turn."""
    worker = DaemonWorker("test")
    begin = threading.Event()
    first = worker.run(begin.wait)
    second = worker.run(threading.Event().set)
    second.cancel()
    await asyncio.sleep(0)
    begin.set()
    assert await first
    assert 3 == await worker.run(lambda: 3)
    worker.end()


async def test_use_of_closed_source_raises_connection_failed(cluster: KafkaCluster) -> None:
    """Using a Kafka source before it is open raises the error of a lost connection."""
    reader = source(cluster)
    with pytest.raises(ConnectionFailed, match="was lost"):
        await reader.poll(MANY)
    await reader.extend([])
    await reader.close()


async def test_unreachable_cluster_is_a_temporary_error(cluster: KafkaCluster) -> None:
    """If no cluster is reachable, the error is temporary; reopening keeps the same member."""
    await publish(cluster, *numbered_records(4))
    reader = source(cluster, connect_timeout=1.0)
    seen = Revocations()
    await reader.open(seen)
    await read(reader, 4)
    cluster.set_down(is_down=True)
    with pytest.raises(ConnectionFailed):
        await reader.poll(LONG_POLL)
    with pytest.raises(ConnectionFailed):
        await reader.open(seen)
    cluster.set_down(is_down=False)
    await reader.open(seen)
    await publish(cluster, Message("new"))
    assert ["new"] == [record.text for record in await read(reader, 1)]
    assert [] == seen.seen
    await reader.open(seen)
    assert 5 == len(await read(reader, 5))
    assert None is seen.seen[0]
    await reader.close()


async def test_pipeline_outlives_its_cluster(cluster: KafkaCluster) -> None:
    """After an outage of the cluster a pipeline reconnects, and each record reaches the sink."""
    await publish(cluster, *numbered_records(100))
    sink = MemorySink()
    pipeline = Pipeline(
        "orders",
        source(cluster, connect_timeout=0.5),
        sink,
        config=PipelineConfig(
            batch=BatchLimits(records=10), reconnect=QUICK_RETRIES, retry=QUICK_RETRIES
        ),
    )
    run_task = asyncio.create_task(pipeline.run())
    await until(lambda: len(sink.records) >= 100)
    cluster.set_down(is_down=True)
    await until(lambda: pipeline.statistics().state is PipelineState.RECONNECTING)
    assert pipeline.statistics().failed < 50
    cluster.set_down(is_down=False)
    await publish(cluster, *(Message(str(number)) for number in range(100, 200)))
    await until(lambda: 200 == len({record.text for record in sink.records}))
    pipeline.stop()
    await run_task


async def test_member_outlives_an_outage(cluster: KafkaCluster) -> None:
    """After an outage a source continues as the same member, so that the group does not wait."""
    await publish(cluster, *numbered_records(10))
    sink = MemorySink()
    # The group would wait for a member that rejoins under another id.
    endless = {"session.timeout.ms": 290_000}
    pipeline = Pipeline(
        "orders",
        source(cluster, connect_timeout=0.5, options=endless),
        sink,
        config=PipelineConfig(reconnect=QUICK_RETRIES),
    )
    run_task = asyncio.create_task(pipeline.run())
    await until(lambda: len(sink.records) == 10 and pipeline.statistics().committed == 10)
    cluster.set_down(is_down=True)
    await until(lambda: pipeline.statistics().failed > 2)
    cluster.set_down(is_down=False)
    await publish(cluster, *numbered_records(10))
    await until(lambda: len(sink.records) == 20)
    pipeline.stop()
    await run_task


async def test_pipeline_keeps_order_and_turns_bad_record_into_dead_letter(
    cluster: KafkaCluster,
) -> None:
    """Records of one key reach the sink in order, and a bad record becomes a dead letter."""
    await publish(cluster, *numbered_records(500))
    by_key: dict[bytes | None, list[int]] = defaultdict(list)
    letters = MemoryDeadLetters()

    async def store(record: SinkRecord) -> None:
        if record.text == "77":
            raise InvalidData("Order 77 has no total.")
        by_key[record.key].append(int(record.text))

    config = PipelineConfig(lanes=4, records_in_flight=50, batch=BatchLimits(records=10))
    pipeline = Pipeline(
        "orders", source(cluster), RecordSink(store), dead_letters=letters, config=config
    )
    run_task = asyncio.create_task(pipeline.run())
    highest = 0

    def is_done() -> bool:
        nonlocal highest
        highest = max(highest, pipeline.statistics().records_in_flight)
        return pipeline.statistics().processed == 499 and bool(letters.letters)

    await until(is_done)
    pipeline.stop()
    report = await run_task
    assert report.is_clean
    assert highest <= 50
    assert ["77"] == [letter.record.text for letter in letters.letters]
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    reader = source(cluster)
    await reader.open(Revocations())
    assert not await reader.poll(PollLimits(1, 1, 1.5))
    await reader.close()


async def test_rebalance_between_pipelines_repeats_little() -> None:
    """While group members come and go, no record is lost, and few are processed twice."""
    stored: list[str] = []

    async def store(records: Sequence[SinkRecord]) -> None:
        await asyncio.sleep(0.002)
        stored.extend(record.text for record in records)

    # The mock cluster refuses commits while a group rebalances, which Kafka does not.
    with TransactionalKafka(orders=4) as broker:
        options = {"session.timeout.ms": 60_000, "auto.commit.interval.ms": 86_400_000}
        config = PipelineConfig(
            lanes=2, records_in_flight=1_000, batch=BatchLimits(records=5), drain=60.0
        )
        pipelines = [
            Pipeline(
                "orders",
                source(broker, options=options),
                BatchSink(store),
                config=config,
            )
            for _ in range(3)
        ]
        run_tasks: list[asyncio.Task[Any]] = []
        total = 0
        for pipeline in pipelines:
            run_tasks.append(asyncio.create_task(pipeline.run()))
            for _ in range(4):
                await publish(
                    broker, *(Message(str(n), key=f"k{n % 11}") for n in range(total, total + 50))
                )
                total += 50
        await until(lambda: len(stored) > total // 4)
        for pipeline, task in zip(pipelines[:2], run_tasks[:2], strict=True):
            pipeline.stop()
            await task
        await until(lambda: len(set(stored)) == total)
        pipelines[2].stop()
        await run_tasks[2]
    assert {*map(str, range(total))} == {*stored}
    # A member on a busy machine may leave before its last commit is accepted.
    assert len(stored) < total * 1.5


def test_killed_worker_loses_no_record(cluster: KafkaCluster, tmp_path: Path) -> None:
    """After `kill -9` at random moments each record is processed, in only a few attempts."""
    messages = 600
    asyncio.run(publish(cluster, *numbered_records(messages)))
    file = tmp_path / "effects.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE effects (record TEXT PRIMARY KEY, attempts INTEGER)")
        database.commit()

        def count_effects() -> int:
            return int(database.execute("SELECT count(*) FROM effects").fetchone()[0])

        def has_effects_of(goal: int) -> bool:
            return count_effects() >= goal

        def start() -> subprocess.Popen[bytes]:
            words = [sys.executable, "-m", "tests.pipelines.broker_worker", "kafka"]
            return subprocess.Popen(
                [*words, cluster.servers, "orders", str(file)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

        generator = random.Random(20261125)
        for _ in range(3):
            worker = start()
            goal = min(messages - 1, count_effects() + generator.randrange(1, 150))
            wait_until(partial(has_effects_of, goal), "the worker's effects")
            worker.kill()
            worker.communicate()
        asyncio.run(publish(cluster, Message("last")))
        worker = start()
        wait_until(lambda: count_effects() == messages + 1, "the last effects")
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=60)
        assert (0, b"") == (worker.returncode, errors)
        [(highest,)] = database.execute("SELECT max(attempts) FROM effects")
    database.close()
    assert highest <= 4
