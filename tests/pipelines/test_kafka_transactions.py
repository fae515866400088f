"""Pipelines from Kafka to Kafka whose messages and positions are committed in transactions."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import moorage
from moorage import (
    AuthenticationFailed,
    BatchLimits,
    ConfigurationError,
    ConnectionFailed,
    Kafka,
    LocalFailure,
    Pipeline,
    PipelineConfig,
    PollLimits,
    RetryPolicy,
    SinkRecord,
    TopicNotFound,
)
from moorage.adapters.messages.kafka_source import KafkaSource
from moorage.config import read_configuration
from moorage.config.pipeline_building import build_pipeline
from moorage.pipelines.kafka_transactions import KafkaTransactionSink
from moorage.testing import MemoryDeadLetters, MemorySource
from tests.pipelines.pipeline_waiting import until
from tests.support.transactional_kafka import (
    ADD_OFFSETS_TO_TXN,
    END_TXN,
    INIT_PRODUCER_ID,
    OFFSET_FETCH,
    PRODUCE,
    TXN_OFFSET_COMMIT,
    TransactionalKafka,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

FAST = {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 100}
QUICK_RETRIES = RetryPolicy(base_delay=0.01, max_delay=0.05)
COUNT = 60


@pytest.fixture
def broker() -> Generator[TransactionalKafka]:
    """Yield a broker with one topic of four partitions to read and one topic to publish to."""
    with TransactionalKafka(orders=4, invoices=2) as broker:
        yield broker


def publish(broker: TransactionalKafka, count: int = COUNT, topic: str = "orders") -> None:
    """Publish numbered messages with seven keys."""
    import confluent_kafka  # noqa: PLC0415 - only where it is installed

    producer = confluent_kafka.Producer({"bootstrap.servers": broker.servers})
    for number in range(count):
        producer.produce(topic, str(number), key=f"k{number % 7}")
    assert 0 == producer.flush(60)


def source(broker: TransactionalKafka, id: str | None = "billing-1", **options: Any) -> KafkaSource:
    """Return a Kafka source that takes part in transactions."""
    settings = Kafka(
        servers=broker.servers,
        options=FAST | options.pop("options", {}),
        connect_timeout=options.pop("connect_timeout", 10.0),
    )
    return KafkaSource(settings, ["orders"], group="billing", transactional_id=id, **options)


def pipeline(
    broker: TransactionalKafka, reader: KafkaSource | None = None, **options: Any
) -> Pipeline:
    """Return a pipeline from orders to invoices, with small batches."""
    reader = reader or source(broker)
    sink = KafkaTransactionSink(reader, options.pop("topic", "invoices"))
    settings = {
        "batch": BatchLimits(records=10),
        "retry": QUICK_RETRIES,
        "reconnect": QUICK_RETRIES,
        "drain": 2.0,
    }
    config = PipelineConfig(**settings | options.pop("config", {}))
    return Pipeline("billing", reader, sink, config=config, **options)


def invoices(broker: TransactionalKafka) -> list[int]:
    """Return, in order, the numbers of all invoices that readers of committed messages see."""
    return sorted(int(message.value()) for message in broker.messages("invoices"))


async def run(pipeline_: Pipeline, is_done: Callable[[], bool]) -> Any:
    """Run a pipeline until a condition holds, and return its report."""
    task = asyncio.create_task(pipeline_.run())

    def is_over() -> bool:
        return task.done() or is_done()

    await until(is_over)
    pipeline_.stop()
    return await task


def is_committed(broker: TransactionalKafka, count: int = COUNT) -> Callable[[], bool]:
    """Return a function that returns whether all orders are committed."""
    return lambda: sum(map(max, broker.committed("billing", "orders"), [0] * 4)) == count


async def test_messages_and_positions_are_committed_together(broker: TransactionalKafka) -> None:
    """Each record is published once with its key, and positions move in the same transaction."""
    publish(broker)
    report = await run(pipeline(broker), is_committed(broker))
    assert report.is_clean
    assert [*range(COUNT)] == invoices(broker)
    assert {f"k{number}".encode() for number in range(7)} == {
        message.key() for message in broker.messages("invoices")
    }


async def test_dropped_records_are_committed_too(broker: TransactionalKafka) -> None:
    """Positions move past records that a transform drops, even if nothing is published."""
    publish(broker)
    report = await run(pipeline(broker, transforms=[lambda record: None]), is_committed(broker))
    assert (COUNT, []) == (report.statistics.dropped, invoices(broker))


async def test_messages_of_one_key_are_published_in_order(broker: TransactionalKafka) -> None:
    """Messages of one key are published in the order of their records."""
    publish(broker)
    await run(pipeline(broker), is_committed(broker))
    by_key: dict[bytes, list[int]] = {}
    for message in broker.messages("invoices"):
        by_key.setdefault(message.key(), []).append(int(message.value()))
    assert all(numbers == sorted(numbers) for numbers in by_key.values())


async def test_message_that_is_too_large_becomes_a_dead_letter(broker: TransactionalKafka) -> None:
    """A record whose message is too large becomes a dead letter; others are published once."""
    publish(broker)

    def enlarge(record: SinkRecord) -> SinkRecord:
        return attrs.evolve(record, payload=b"x" * 20_000) if record.json() == 17 else record

    letters = MemoryDeadLetters()
    reader = source(broker, options={"message.max.bytes": 10_000})
    await run(
        pipeline(broker, reader, transforms=[enlarge], dead_letters=letters), is_committed(broker)
    )
    assert [17] == [letter.record.json() for letter in letters.letters]
    assert [number for number in range(COUNT) if number != 17] == invoices(broker)


@pytest.mark.parametrize(
    "request_number, code",
    [
        pytest.param(PRODUCE, 10, id="a message is refused"),
        pytest.param(ADD_OFFSETS_TO_TXN, 30, id="the group is refused once"),
        pytest.param(TXN_OFFSET_COMMIT, 22, id="the generation is over"),
        pytest.param(TXN_OFFSET_COMMIT, 25, id="the member is unknown"),
        pytest.param(END_TXN, 49, id="the commit is refused"),
    ],
)
async def test_aborted_transaction_is_repeated(
    request_number: int, code: int, broker: TransactionalKafka
) -> None:
    """A refused transaction is aborted, and its records are published once."""
    publish(broker)
    refused = []

    def refuse_second(number: int) -> int | None:
        if number == request_number:
            refused.append(number)
        return code if number == request_number and len(refused) == 2 else None

    broker.before = refuse_second
    letters = MemoryDeadLetters()
    running = pipeline(broker, dead_letters=letters)
    await run(running, is_committed(broker))
    set_aside = {letter.record.json() for letter in letters.letters}
    assert len(refused) >= 2
    assert [number for number in range(COUNT) if number not in set_aside] == invoices(broker)


@pytest.mark.parametrize("is_carried_out", [True, False])
async def test_each_message_is_published_once_after_a_lost_commit_response(
    is_carried_out: bool,
    broker: TransactionalKafka,
) -> None:
    """After a commit's response was lost, each message is published exactly once."""
    publish(broker)
    seen: list[int] = []

    def lose_answer(number: int) -> bool:
        seen.append(number)
        # A new producer has started when the worker gives up waiting for the reply.
        return number == END_TXN and seen.count(END_TXN) > 1 == seen.count(INIT_PRODUCER_ID)

    if is_carried_out:
        broker.is_losing = lose_answer
    else:
        broker.is_ignoring = lose_answer
    reader = source(broker)
    reader._transaction_seconds = 0.3  # noqa: SLF001 - so that the test need not wait
    report = await run(pipeline(broker, reader), is_committed(broker))
    assert [*range(COUNT)] == invoices(broker)
    assert report.statistics.retried >= 1


async def test_fenced_worker_stops(broker: TransactionalKafka) -> None:
    """A worker stops when another starts with its transactional id, and publishes no more."""
    publish(broker)
    first = pipeline(broker)
    first_run = asyncio.create_task(first.run())
    await until(is_committed(broker))
    second = source(broker)
    await second.open(_ignore)
    await second.close()
    publish(broker)
    with pytest.raises(ConfigurationError, match="Another worker has started with the same"):
        await first_run
    assert [*range(COUNT)] == invoices(broker)
    await run(pipeline(broker), is_committed(broker, 2 * COUNT))
    assert sorted([*range(COUNT)] * 2) == invoices(broker)


async def test_records_of_a_lost_partition_are_not_published(broker: TransactionalKafka) -> None:
    """A batch whose partitions were lost is aborted; its records are published once later."""
    publish(broker)
    expelled = threading.Event()

    def expel(number: int) -> int | None:
        if number == TXN_OFFSET_COMMIT and not expelled.is_set():
            broker.expel("billing")
            expelled.set()
        return None

    broker.before = expel
    await run(pipeline(broker), is_committed(broker))
    assert [*range(COUNT)] == invoices(broker)


async def test_two_workers_share_the_partitions(broker: TransactionalKafka) -> None:
    """Workers with different ids share a topic, and publish each record once."""
    publish(broker, 400)
    first = pipeline(broker, source(broker, "billing-1"))
    second = pipeline(broker, source(broker, "billing-2"))
    first_run = asyncio.create_task(first.run())
    await until(lambda: bool(first.statistics().processed))
    second_run = asyncio.create_task(second.run())
    await until(is_committed(broker, 400))
    first.stop()
    await first_run
    publish(broker, 100)
    await until(is_committed(broker, 500))
    second.stop()
    await second_run
    assert Counter([*range(400), *range(100)]) == Counter(invoices(broker))


async def _ignore(_: object) -> None:
    """Do nothing when partitions are revoked."""


async def test_seek_back_publishes_again(broker: TransactionalKafka) -> None:
    """After a seek to an earlier position, the records from there are published again."""
    publish(broker)
    reader = source(broker)
    await reader.open(_ignore)
    sink = KafkaTransactionSink(reader, "invoices")
    records: list[SinkRecord] = []
    while len(records) < COUNT:
        records += await reader.poll(PollLimits(1_000, 1_000_000, 0.05))
    await sink.process_batch(records)
    await sink.process_batch(records)
    assert [*range(COUNT)] == invoices(broker)
    place = records[0].place
    offset = min(int(record.offset or 0) for record in records if record.place == place)
    await reader.seek(place, offset)
    await sink.process_batch([record for record in records if record.place == place])
    assert len(invoices(broker)) > COUNT
    await reader.close()


async def test_records_of_another_place_are_refused(broker: TransactionalKafka) -> None:
    """A record whose topic was changed or offset removed by a transform cannot be committed."""
    reader = source(broker)
    await reader.open(_ignore)
    sink = KafkaTransactionSink(reader, lambda record: record.topic)
    with pytest.raises(LocalFailure, match="has no Kafka offset"):
        await sink.process_batch([SinkRecord(b"1", topic="orders", partition=0)])
    with pytest.raises(LocalFailure, match="that its source has not read"):
        await sink.process_batch([SinkRecord(b"1", topic="invoices", partition=0, offset=3)])
    await reader.close()


async def test_closed_source_publishes_nothing(broker: TransactionalKafka) -> None:
    """A sink whose source is closed, or has no partitions yet, raises a temporary error."""
    reader = source(broker)
    sink = KafkaTransactionSink(reader, "invoices")
    record = SinkRecord(b"1", topic="orders", partition=0, offset=0)
    with pytest.raises(ConnectionFailed):
        await sink.process_batch([record])
    await reader.open(_ignore)
    with pytest.raises(ConnectionFailed):
        await reader.commit([record])
    await reader.close()


async def test_pipeline_without_dead_letters_stops_if_topic_is_missing(
    broker: TransactionalKafka,
) -> None:
    """If a topic is missing, a pipeline without dead letters stops."""
    publish(broker)
    with pytest.raises(TopicNotFound):
        await run(pipeline(broker, topic="receipts"), is_committed(broker))


async def test_pipeline_whose_user_may_not_use_transactional_id_stops_before_it_reads(
    broker: TransactionalKafka,
) -> None:
    """A pipeline whose user may not use the transactional id stops before it reads."""
    broker.before = lambda number: 53 if number == INIT_PRODUCER_ID else None
    with pytest.raises(AuthenticationFailed, match="transactional_id"):
        await pipeline(broker).run()


async def test_source_with_transactions_cannot_be_opened_while_no_broker_is_reachable() -> None:
    """A source with transactions cannot be opened while no broker is reachable."""
    with TransactionalKafka(orders=1) as broker:
        reader = source(broker, connect_timeout=1.0)
    with pytest.raises(ConnectionFailed):
        await reader.open(_ignore)


async def test_options_that_librdkafka_refuses_for_transactional_producer_are_refused(
    broker: TransactionalKafka,
) -> None:
    """Options that librdkafka refuses for a transactional producer are refused."""
    with pytest.raises(ConfigurationError, match="librdkafka refuses the settings"):
        await source(broker, options={"max.in.flight": 100}).open(_ignore)


async def test_batch_larger_than_the_queue_waits_for_space(broker: TransactionalKafka) -> None:
    """A batch larger than librdkafka's queue waits for space, up to the time limit."""
    publish(broker)
    silent = threading.Event()
    broker.before = lambda number: silent.wait(120) and None if number == PRODUCE else None
    reader = source(broker, options={"queue.buffering.max.messages": 3}, connect_timeout=1.0)
    reader._transaction_seconds = 0.3  # noqa: SLF001 - so that the test need not wait
    running = pipeline(broker, reader)
    task = asyncio.create_task(running.run())
    await until(lambda: running.statistics().retried > 0)
    reader._link._transactions._longest = 60.0  # type: ignore[union-attr]  # noqa: SLF001 - so that the test need not wait
    silent.set()
    await until(is_committed(broker))
    running.stop()
    await task
    assert [*range(COUNT)] == invoices(broker)


async def test_nothing_is_published_while_positions_are_unknown(broker: TransactionalKafka) -> None:
    """While the group's positions are unknown after a doubtful commit, nothing is published."""
    publish(broker)
    seen: list[int] = []

    def lose_answer(number: int) -> bool:
        seen.append(number)
        is_first = seen.count(INIT_PRODUCER_ID) == 1
        return number == END_TXN and seen.count(END_TXN) > 1 and is_first

    def ignore(number: int) -> bool:
        return number == OFFSET_FETCH and seen.count(INIT_PRODUCER_ID) == 2

    broker.is_losing = lose_answer
    broker.is_ignoring = ignore
    reader = source(broker, connect_timeout=1.0)
    reader._transaction_seconds = 0.3  # noqa: SLF001 - so that the test need not wait
    await run(pipeline(broker, reader), is_committed(broker))
    assert [*range(COUNT)] == invoices(broker)


def test_transactions_need_non_empty_id_at_source(broker: TransactionalKafka) -> None:
    """Transactions need a non-empty id at the source, and a pipeline with only one lane."""
    with pytest.raises(ConfigurationError, match="The transactional id is empty"):
        source(broker, "")
    with pytest.raises(ConfigurationError, match="has no transactions"):
        KafkaTransactionSink(source(broker, None), "invoices")
    with pytest.raises(ConfigurationError, match="needs records in order"):
        pipeline(broker, config={"lanes": 2})
    with pytest.raises(ConfigurationError, match=r"transaction\.timeout\.ms"):
        source(broker, options={"transaction.timeout.ms": 1})


def configuration(broker: TransactionalKafka, **changes: Any) -> dict[str, Any]:
    """Return a configuration with a transactional pipeline."""
    connector = {"kind": "kafka", "servers": broker.servers, "options": FAST}
    table = {
        "source": {
            "connector": "events",
            "topics": ["orders"],
            "group": "billing",
            "transactional_id": "billing-1",
        },
        "sink": {"kind": "kafka-transactions", "topic": "invoices"},
    }
    return {"connectors": {"events": connector}, "pipelines": {"billing": {**table, **changes}}}


async def test_configured_pipeline_publishes_in_transactions(broker: TransactionalKafka) -> None:
    """A configured pipeline publishes in transactions; a replay of dead letters does not."""
    publish(broker)
    tree = configuration(broker)
    [settings] = read_configuration(tree).pipelines
    async with moorage.aopen(tree) as hub:
        await run(build_pipeline(settings, hub, None), is_committed(broker))
        assert [*range(COUNT)] == invoices(broker)
        letters = MemorySource([SinkRecord(b"77", topic="orders", partition=0, offset=5)])
        await build_pipeline(settings, hub, None, letters).run()
        assert [*range(COUNT), 77] == invoices(broker)


@pytest.mark.parametrize(
    "changes, path, phrase",
    [
        (
            {"source": {"connector": "events", "topics": ["orders"], "group": "billing"}},
            "sink.kind",
            "the source has no transactions",
        ),
        ({"source": {"function": "shop:orders"}}, "sink.kind", "the source has no transactions"),
        ({"lanes": 2}, "lanes", "in order"),
        ({"sink": {"kind": "kafka-transactions", "topic": ""}}, "sink.topic", "topic"),
    ],
)
def test_transactional_sink_is_refused_with_non_transactional_source(
    changes: dict[str, Any], path: str, phrase: str, broker: TransactionalKafka
) -> None:
    """A transactional sink with a non-transactional source, or with several lanes, is refused."""
    with pytest.raises(ConfigurationError, match=phrase) as excinfo:
        read_configuration(configuration(broker, **changes))
    assert f"pipelines.billing.{path}" in str(excinfo.value)


async def test_close_does_not_wait_for_a_silent_broker(broker: TransactionalKafka) -> None:
    """A pipeline whose commit hangs ends after its drain time; its records are read again."""
    publish(broker)
    silent = threading.Event()
    requested = threading.Event()

    def withhold_answer(number: int) -> int | None:
        if number == END_TXN:
            requested.set()
            silent.wait(60)
        return None

    broker.before = withhold_answer
    running = pipeline(broker, config={"drain": 0.2})
    task = asyncio.create_task(running.run())
    await until(requested.is_set)
    running.stop()
    report = await task
    assert not report.is_clean
    silent.set()
    broker.before = lambda _: None
    await run(pipeline(broker), is_committed(broker))
    assert [*range(COUNT)] == invoices(broker)


def _worker(broker: TransactionalKafka) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tests.pipelines.transaction_worker",
        broker.servers,
        "billing-1",
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=120)
    assert (0, b"") == (worker.returncode, errors)


@pytest.mark.parametrize(
    "request_number, is_carried_out",
    [
        pytest.param(PRODUCE, True, id="after the messages"),
        pytest.param(TXN_OFFSET_COMMIT, True, id="after the positions"),
        pytest.param(END_TXN, False, id="before the commit"),
        pytest.param(END_TXN, True, id="after the commit"),
    ],
)
def test_each_message_is_published_once_if_worker_dies_in_a_transaction(
    request_number: int,
    is_carried_out: bool,
    broker: TransactionalKafka,
) -> None:
    """If a worker is killed at any step of a transaction, each message is published once."""
    publish(broker)
    requested = threading.Event()
    seen: list[int] = []

    def kill_at_request(number: int) -> bool:
        if number == request_number:
            seen.append(number)
            if len(seen) == 3:
                worker.kill()
                worker.communicate()
                requested.set()
                return True
        return False

    if is_carried_out:
        broker.is_losing = kill_at_request
    else:
        broker.is_ignoring = kill_at_request
    worker = _worker(broker)
    wait_until(requested.is_set, "the third request")
    numbers = invoices(broker)
    assert len(numbers) == len(set(numbers))
    worker = _worker(broker)
    wait_until(is_committed(broker), "the rest")
    _end(worker)
    assert [*range(COUNT)] == invoices(broker)


def kill_at_random(broker: TransactionalKafka, chance: random.Random, count: int) -> None:
    """Kill two workers at random moments, and check that each message is published exactly once."""
    publish(broker, count)
    for _ in range(2):
        worker = _worker(broker)
        goal = len(broker.messages("invoices", "read_uncommitted")) + chance.randrange(
            1, count // 4
        )

        def is_there(goal: int = goal) -> bool:
            return len(broker.messages("invoices", "read_uncommitted")) >= min(goal, count - 1)

        wait_until(is_there, "the messages of a worker")
        worker.kill()
        worker.communicate()
    if not is_committed(broker, count)():
        worker = _worker(broker)
        wait_until(is_committed(broker, count), "the rest")
        _end(worker)
    assert [*range(count)] == invoices(broker)


@pytest.mark.parametrize("seed", range(int(os.environ.get("BROKER_KILLS", "1"))))
def test_workers_killed_at_random_publish_each_message_once(
    seed: int, broker: TransactionalKafka
) -> None:
    """Workers that are killed at random moments publish each message exactly once."""
    kill_at_random(broker, random.Random(seed), 300)
