"""Kafka's connector and source, tested with a broker that is not librdkafka's mock."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    BatchSink,
    ConnectorManager,
    Message,
    Pipeline,
    PublishReceipt,
    Secret,
    Service,
    SinkRecord,
)
from moorage.adapters.messages.kafka import Kafka
from moorage.adapters.messages.kafka_source import KafkaSource
from moorage.pipelines.kafka_transactions import KafkaTransactionSink
from tests.pipelines.pipeline_waiting import until
from tests.support.tansu_servers import PrivateTansu

if TYPE_CHECKING:
    from collections.abc import Generator

PASSWORD = "hunter2-of-nobody"
TOTAL = 300
NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Generator[PrivateTansu]:
    """Yield a broker for the tests of this module."""
    with PrivateTansu() as server:
        yield server


@pytest.fixture
def topic(server: PrivateTansu) -> str:
    """Return a new topic of four partitions."""
    topic = f"orders-{next(NUMBERS)}"
    server.create(topic, 4)
    return topic


def settings(server: PrivateTansu) -> Kafka:
    """Return broker settings with which a group soon detects a lost member."""
    options = {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 100}
    return Kafka(servers=server.servers, options=options)


def publish(server: PrivateTansu, topic: str, total: int) -> list[PublishReceipt]:
    """Publish messages with seven different keys, and return their receipts."""
    messages = [
        Message(str(number), key=str(number % 7), headers={"trace": str(number)}, id=f"m{number}")
        for number in range(total)
    ]
    publisher = settings(server).publisher("events")
    with ConnectorManager([Service("events")]) as manager:
        results = manager.perform("events", publisher.publish_batch(topic, messages))
    publisher.close()
    return [result.unwrap() for result in results]


def read(server: PrivateTansu, topic: str, total: int) -> list[SinkRecord]:
    """Read records in a pipeline that commits and stops after this number of records."""
    records: list[SinkRecord] = []

    async def run() -> None:
        async def store(batch: list[SinkRecord]) -> None:
            records.extend(batch)
            if len(records) >= total:
                pipeline.stop()

        source: Any = KafkaSource(settings(server), [topic], group=f"readers-{topic}")
        pipeline = Pipeline("orders", source, BatchSink(store))
        assert (await pipeline.run()).is_clean

    asyncio.run(run())
    return records


def test_each_record_is_read_at_its_receipt_position(server: PrivateTansu, topic: str) -> None:
    """Each record is read at its receipt's position, and records with one key keep their order."""
    receipts = publish(server, topic, TOTAL)
    records = read(server, topic, TOTAL)

    assert {(receipt.id, receipt.partition, receipt.offset) for receipt in receipts} == {
        (record.id, record.partition, record.offset) for record in records
    }
    by_key = defaultdict[bytes | None, list[int]](list)
    for record in records:
        by_key[record.key].append(int(record.text))
        assert (("trace", record.payload),) == record.attributes
    assert {str(key).encode(): [*range(key, TOTAL, 7)] for key in range(7)} == by_key


def test_next_member_goes_on_after_the_committed_records(server: PrivateTansu, topic: str) -> None:
    """A pipeline that ends cleanly commits its positions, so the next one repeats no record."""
    publish(server, topic, 10)
    first = read(server, topic, 10)
    publish(server, topic, 10)
    second = read(server, topic, 10)

    places = {(record.partition, record.offset) for record in [*first, *second]}
    assert (10, 10, 20) == (len(first), len(second), len(places))


def test_transactions_move_each_record_once(server: PrivateTansu, topic: str) -> None:
    """Workers that end cleanly publish each record once, and readers see only committed records.

    The second worker has the same transactional id as the first.
    """
    target = f"{topic}-billed"
    server.create(target, 4)

    async def bill(total: int) -> None:
        source = KafkaSource(
            settings(server), [topic], group=f"billing-{topic}", transactional_id=f"bill-{topic}"
        )
        pipeline = Pipeline("billing", source, KafkaTransactionSink(source, target))
        run_task = asyncio.create_task(pipeline.run())
        await until(lambda: pipeline.statistics().committed >= total)
        pipeline.stop()
        assert (await run_task).is_clean

    for total in 20, 30:
        publish(server, topic, total)
        asyncio.run(bill(total))
    payloads = [str(number) for total in (20, 30) for number in range(total)]
    assert sorted(payloads) == sorted(record.text for record in read(server, target, 50))


def test_unknown_user_is_refused() -> None:
    """If the broker demands SCRAM and has no such user, AuthenticationFailed is raised."""
    with PrivateTansu("--authentication") as server:
        account = Kafka(servers=server.servers, username="billing", password=Secret(PASSWORD))
        publisher = account.publisher("events")
        manager = ConnectorManager([Service("events")])
        with pytest.raises(AuthenticationFailed) as error:
            manager.perform("events", publisher.publish("orders", Message("1")))
        publisher.close()
    assert PASSWORD not in str(error.value)
