"""The RabbitMQ source, against a shared and a private server."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pika
import pytest
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from moorage import (
    AsyncConnectorManager,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    Message,
    Pipeline,
    PollLimits,
    RecordSink,
    Secret,
    Service,
    SinkRecord,
    TopicNotFound,
    UnsupportedByVendor,
)
from moorage.adapters.messages._rabbitmq_reader import RabbitMqReader
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.adapters.messages.rabbitmq_source import RabbitMqSource
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.rabbitmq import acknowledgements, reading_error
from moorage.pipelines.publishing import DeadLetterTopic
from tests.adapters.messages.rabbitmq_harness import Broker
from tests.pipelines.broker_harness import (
    MANY,
    Revocations,
    check_killed_workers,
    check_restarted_broker,
    check_slow_sink,
    messages,
    read_count,
)
from tests.pipelines.pipeline_waiting import until
from tests.support.ports import free_port
from tests.support.rabbitmq_servers import LossyProxy, PrivateRabbitMq
from tests.support.servers import rabbitmq_url

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

WRONG = "hunter2-of-nobody"
QUORUM = {"x-queue-type": "quorum"}
CHANNEL_OPEN = b"\x00\x14\x00\x0a"


@pytest.fixture(scope="module")
def private_server() -> Generator[PrivateRabbitMq]:
    """Yield a RabbitMQ server for these tests only."""
    with PrivateRabbitMq() as server:
        yield server


@pytest.fixture
def broker() -> Generator[Broker]:
    """Yield a queue on the shared RabbitMQ server."""
    with closing(Broker(rabbitmq_url())) as broker:
        yield broker


def source(broker: Broker, *queues: str, **options: Any) -> RabbitMqSource:
    """Return a source that reads from a queue."""
    return RabbitMqSource(RabbitMq(url=Secret(broker.url)), queues or [broker.queue], **options)


async def publish(broker: Broker, items: Sequence[Message]) -> None:
    """Publish messages with the RabbitMQ connector."""
    publisher = RabbitMq(url=Secret(broker.url)).async_publisher("events")
    async with AsyncConnectorManager([Service("events")]) as manager, publisher:
        for result in await manager.perform("events", publisher.publish_batch(broker.queue, items)):
            result.unwrap()


def count(broker: Broker) -> int:
    """Return the number of messages that wait in the queue."""
    return int(broker.channel.queue_declare(broker.queue, passive=True).method.message_count)


async def test_published_message_is_read_unchanged(broker: Broker) -> None:
    """A published RabbitMQ message is read unchanged, with its queue."""
    message = Message.of_json(
        {"a": 1}, key=b"\xff", headers={"trace": "1", "raw": b"\xfe"}, id="m-1"
    )
    await publish(broker, [message])
    reader = source(broker)
    await reader.open(Revocations())
    [record] = await read_count(reader, 1)
    assert (message.payload, b"\xff", "m-1", "application/json", broker.queue, 1) == (
        record.payload,
        record.key,
        record.identity,
        record.content_type,
        record.topic,
        record.deliveries,
    )
    assert {("trace", "1"), ("raw", b"\xfe")} == set(record.attributes)
    await reader.commit([record])
    await reader.commit([record])
    await reader.close()
    assert 0 == count(broker)


@pytest.mark.parametrize(
    "properties",
    [
        {"timestamp": 1_700_000_000_000_000_000},
        {"message_id": b"\xff"},
        {"headers": {b"\xff": "1"}},
    ],
)
async def test_unreadable_property_is_left_out(broker: Broker, properties: dict[str, Any]) -> None:
    """A message with an undecodable property is read, and does not block other messages."""
    for options in ({}, properties, {}):
        described = pika.BasicProperties(type="order", **options)
        broker.channel.basic_publish("", broker.queue, b"1", described)
    reader = source(broker)
    await reader.open(Revocations())

    records = await read_count(reader, 3)

    facts = [(item.schema, item.published_at, item.id, list(item.attributes)) for item in records]
    assert [("order", None, None, [])] * 3 == facts
    await reader.commit(records)
    await reader.close()
    assert 0 == count(broker)


async def test_message_of_another_program_is_read(broker: Broker) -> None:
    """Properties of another program's message are read, with headers of any type as JSON."""
    time = datetime(2026, 11, 25, tzinfo=UTC)
    properties = pika.BasicProperties(
        headers={"": "1", "count": 2, "list": [1, None], "moorage-key": ""},
        message_id="",
        timestamp=int(time.timestamp()),
        type="order",
        app_id="shop",
    )
    broker.channel.basic_publish("", broker.queue, b"1", properties)
    reader = source(broker)
    await reader.open(Revocations())
    [record] = await read_count(reader, 1)
    attributes = {("(unnamed)", "1"), ("count", "2"), ("list", "[1, null]")}
    assert attributes == set(record.attributes)
    assert (None, None, time, "order", "shop") == (
        record.key,
        record.id,
        record.published_at,
        record.schema,
        record.producer,
    )
    await reader.close()


@pytest.mark.parametrize("arguments", [None, QUORUM], ids=["classic", "quorum"])
async def test_deliveries_are_counted(arguments: dict[str, Any] | None) -> None:
    """A record that RabbitMQ delivers again is marked as redelivered, even without properties."""
    with closing(Broker(rabbitmq_url(), arguments)) as broker:
        broker.channel.basic_publish("", broker.queue, b"1")
        reader, identities = source(broker), set[str]()
        for number in (1, 2):
            await reader.open(Revocations())
            [record] = await read_count(reader, 1)
            assert number == record.deliveries
            identities.add(record.identity)
        assert 2 == len(identities), "a position that is used again would hide another message"
        await reader.close()


async def test_released_messages_go_to_another_consumer(broker: Broker) -> None:
    """Released messages are delivered to another consumer, in order."""
    await publish(broker, messages(3))
    first, second = source(broker), source(broker)
    await first.open(Revocations())
    records = await read_count(first, 3)
    await second.open(Revocations())
    await first.release(records[1:])
    await first.extend(records[:1])
    async with asyncio.timeout(60.0):
        redelivered: list[SinkRecord] = []
        while len(redelivered) < 2:
            redelivered += await second.poll(MANY)
            redelivered += await first.poll(PollLimits(10, 10, 0.01))
    assert {b"1", b"2"} == {record.payload for record in redelivered}
    await first.close()
    await second.close()


async def test_reopening_the_source_invalidates_all_deliveries(broker: Broker) -> None:
    """Opening the source again invalidates all deliveries; late acknowledgements are ignored."""
    await publish(broker, messages(2))
    reader, revocations = source(broker), Revocations()
    await reader.open(revocations)
    assert [] == revocations
    records = await read_count(reader, 2)
    await reader.open(revocations)
    assert [None] == revocations
    await reader.commit(records)
    assert 2 == len(await read_count(reader, 2))
    await reader.close()


async def test_unacknowledged_messages_are_bounded(broker: Broker) -> None:
    """RabbitMQ delivers no more messages than may be unacknowledged at once."""
    await publish(broker, messages(10))
    reader = source(broker, prefetch=3)
    await reader.open(Revocations())
    records = await read_count(reader, 3)
    assert [] == await reader.poll(MANY)
    await reader.commit(records[:1])
    assert 1 == len(await read_count(reader, 1))
    await reader.close()


async def test_slow_sink_keeps_the_backlog_in_the_queue(broker: Broker) -> None:
    """While the sink hangs, a 40 MB backlog stays in the queue, with little memory used."""
    payload = b"x" * 20_000
    for _ in range(2_000):
        broker.channel.basic_publish("", broker.queue, payload)
    held_count = await check_slow_sink(source(broker, prefetch=100), 2_000)
    assert held_count < 8_000_000


async def test_deleted_queue_ends_the_delivery(broker: Broker) -> None:
    """If the queue is deleted, polls fail temporarily; the next opening reports it as missing."""
    reader = source(broker)
    await reader.open(Revocations())
    broker.channel.queue_delete(broker.queue)
    with pytest.raises(ConnectionFailed, match="ended the delivery"):
        await reader.poll(PollLimits(1, 1, 60.0))
    for use in (partial(reader.commit, []), reader.lag):
        with pytest.raises(ConnectionFailed, match="ended the delivery"):
            await use()
    with pytest.raises(TopicNotFound, match=broker.queue):
        await reader.open(Revocations())


async def test_queue_with_exclusive_consumer_cannot_be_read_by_second_one_until_first_ends(
    broker: Broker,
) -> None:
    """A queue with an exclusive consumer cannot be read by a second one until the first ends."""
    first, second = source(broker, exclusive=True), source(broker)
    await first.open(Revocations())
    with pytest.raises(ConnectionFailed, match="Another consumer"):
        await second.open(Revocations())
    await first.close()
    await second.open(Revocations())
    await second.close()


async def test_single_active_consumer_fails_over() -> None:
    """When a queue's single active consumer ends, the queue delivers to the next one."""
    arguments = {"x-single-active-consumer": True}
    with closing(Broker(rabbitmq_url(), arguments)) as broker:
        first, second = source(broker), source(broker)
        await first.open(Revocations())
        await second.open(Revocations())
        await publish(broker, messages(3))
        assert 3 == len(await read_count(first, 3))
        assert [] == await second.poll(MANY)
        await first.close()
        assert [b"0", b"1", b"2"] == [record.payload for record in await read_count(second, 3)]
        with pytest.raises(ConnectionFailed, match="single active consumer"):
            await source(broker, exclusive=True).open(Revocations())
        await second.close()


async def test_stream_is_refused(private_server: PrivateRabbitMq) -> None:
    """A RabbitMQ stream is refused, because the source stores no position in streams."""
    with closing(Broker(private_server.url, {"x-queue-type": "stream"})) as broker:
        reader = source(broker)
        await reader.open(Revocations())
        await publish(broker, messages(1))
        with pytest.raises(ConfigurationError, match="is a RabbitMQ stream"):
            await reader.poll(PollLimits(1, 1, 60.0))
        await reader.close()


async def test_poison_messages_go_to_a_queue_of_dead_letters(broker: Broker) -> None:
    """A message that the sink refuses goes to the dead-letter queue; others are stored."""
    stored: list[str] = []

    async def store(record: SinkRecord) -> None:
        if record.text == "3":
            raise InvalidData("It has no total.")
        stored.append(record.text)

    settings = RabbitMq(url=Secret(broker.url))
    publisher = settings.async_publisher("events")
    await publish(broker, messages(10))
    with closing(Broker(broker.url)) as failed:
        async with AsyncConnectorManager([Service("events")]) as manager, publisher:
            pipeline = Pipeline(
                "orders",
                source(broker),
                RecordSink(store),
                dead_letters=DeadLetterTopic(manager, publisher, failed.queue),
            )
            run_task = asyncio.create_task(pipeline.run())
            await until(lambda: len(stored) == 9 and count(failed) == 1)
            pipeline.stop()
            report = await run_task
        assert report.is_clean
        assert [b"3"] == failed.payloads()
    assert 0 == count(broker)


async def test_stopping_pipeline_ends_its_running_batch(broker: Broker) -> None:
    """A stopping pipeline finishes its running batch, and leaves the rest in the queue."""
    has_begun, may_continue = asyncio.Event(), asyncio.Event()
    stored: list[str] = []

    async def store(record: SinkRecord) -> None:
        has_begun.set()
        await may_continue.wait()
        stored.append(record.text)

    await publish(broker, messages(50))
    pipeline = Pipeline("orders", source(broker), RecordSink(store))
    run_task = asyncio.create_task(pipeline.run())
    await has_begun.wait()
    pipeline.stop()
    may_continue.set()
    report = await run_task
    assert report.is_clean
    await until(lambda: len(stored) + count(broker) == 50)


def test_killed_worker_loses_no_record(broker: Broker, tmp_path: Path) -> None:
    """Workers are killed with `kill -9` at random moments, and each message is processed."""
    asyncio.run(publish(broker, messages(600)))
    arguments = ("rabbitmq", broker.url, broker.queue)
    check_killed_workers(arguments, tmp_path / "effects", 600, lambda: count(broker) == 0)


async def test_pipeline_survives_restart_of_broker(private_server: PrivateRabbitMq) -> None:
    """If the broker restarts, the pipeline goes on, and pauses between its attempts to connect."""
    with closing(Broker(private_server.url, QUORUM)) as broker:
        await check_restarted_broker(
            source(broker),
            partial(publish, broker),
            partial(private_server.control, "stop_app"),
            partial(private_server.control, "start_app"),
        )
        broker.reconnect()


async def test_each_wrong_or_missing_setting_raises_specific_error_that_shows_no_secret(
    private_server: PrivateRabbitMq, broker: Broker
) -> None:
    """Each wrong or missing setting raises a specific error that shows no secret."""
    private_server.control("add_user", "reader", "right")
    private_server.control("set_permissions", "reader", "", "", "")
    cases: list[tuple[str, type[ConnectorError], str]] = [
        (private_server.url.replace("//", f"//guest:{WRONG}@"), AuthenticationFailed, "password"),
        (private_server.url.replace("//", "//reader:right@"), AuthenticationFailed, "may not read"),
        (private_server.url + "missing", TopicNotFound, "virtual host"),
        (private_server.url, TopicNotFound, "no queue 'missing'"),
        (f"amqp://guest:{WRONG}@127.0.0.1:{free_port()}", ConnectionFailed, "accepts"),
    ]
    with closing(Broker(private_server.url)) as other:
        for url, kind, words in cases:
            queue = other.queue if "reader" in url else "missing"
            reader = RabbitMqSource(RabbitMq(url=Secret(url)), [queue])
            with pytest.raises(kind, match=words) as error:
                await reader.open(Revocations())
            assert WRONG not in str(error.value)
            assert "right" not in str(error.value).replace("rights", "").replace("the right", "")
    private_server.control("delete_user", "reader")


async def test_lost_connection_is_temporary(broker: Broker) -> None:
    """After a lost connection, polls and commits fail temporarily; old deliveries are invalid."""
    url = urlsplit(broker.url)
    await publish(broker, messages(1))
    with LossyProxy(url.hostname or "", url.port or 5672) as proxy:
        settings = RabbitMq(url=Secret(f"amqp://guest:guest@127.0.0.1:{proxy.port}/"))
        reader, revocations = RabbitMqSource(settings, [broker.queue]), Revocations()
        await reader.open(revocations)
        records = await read_count(reader, 1)
        poll_task = asyncio.create_task(reader.poll(PollLimits(1, 1, 3_600.0)))
        await asyncio.sleep(0)
        proxy.hang_up()
        with pytest.raises(ConnectionFailed, match="was lost"):
            await poll_task
        with pytest.raises(ConnectionFailed, match="was lost"):
            await reader.commit(records)
        await reader.open(revocations)
        assert [None] == revocations
        assert 1 == len(await read_count(reader, 1))
        await reader.close()


async def test_cancelled_opening_leaves_no_connection(broker: Broker) -> None:
    """If opening is cancelled while the server is silent, the connection is closed."""
    url = urlsplit(broker.url)
    with LossyProxy(url.hostname or "", url.port or 5672, mute_at=CHANNEL_OPEN) as proxy:
        settings = RabbitMq(url=Secret(f"amqp://guest:guest@127.0.0.1:{proxy.port}/"))
        reader = RabbitMqSource(settings, [broker.queue])
        opening = asyncio.create_task(reader.open(Revocations()))
        await until(lambda: proxy.is_mute)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await until(lambda: proxy.ended == 1)


async def test_use_of_closed_source_raises_connection_failed(broker: Broker) -> None:
    """Using a RabbitMQ source that is not open raises an error; it never supports seeking."""
    with pytest.raises(ConnectionFailed, match="closed"):
        await source(broker).poll(MANY)
    with pytest.raises(UnsupportedByVendor, match="no position"):
        await source(broker).seek((broker.queue, None), 1)


@pytest.mark.parametrize(
    "options, path",
    [
        ({"queues": "orders"}, "queues"),
        ({"queues": []}, "queues"),
        ({"queues": ["orders"], "prefetch": 0}, "prefetch"),
        ({"queues": ["orders"], "prefetch": 65_536}, "prefetch"),
    ],
)
def test_wrong_arguments_of_rabbitmq_source_are_refused_before_connecting(
    options: dict[str, Any], path: str
) -> None:
    """Wrong arguments of the RabbitMQ source are refused before connecting."""
    with pytest.raises(ConfigurationError) as error:
        RabbitMqSource(RabbitMq(url=Secret("amqp://host")), **options)
    assert path == error.value.path


@pytest.mark.parametrize(
    "fault, text, kind, words",
    [
        (PublishFault.TOPIC, "home node of durable queue is down", ConnectionFailed, "read now"),
        (PublishFault.INVALID, "delivery acknowledgement timed out", ConnectionFailed, "in time"),
        (PublishFault.UNSENT, "", ConnectionFailed, "was lost"),
        (PublishFault.INVALID, "inequivalent arg", ConfigurationError, "in this way"),
    ],
)
def test_stopped_node_and_late_acknowledgement_are_temporary_errors(
    fault: PublishFault, text: str, kind: type[ConnectorError], words: str
) -> None:
    """A stopped node and a late acknowledgement are temporary errors; a wrong argument is not."""
    error = reading_error(fault, text, "orders")
    assert isinstance(error, kind)
    assert error.retryable is (kind is ConnectionFailed)
    assert words in error.message


@pytest.mark.parametrize(
    "done, first_open, expected",
    [
        ([3, 1, 2], 9, [(3, True)]),
        ([1, 4], 2, [(1, True), (4, False)]),
        ([5, 4], 1, [(4, False), (5, False)]),
        ([], 1, []),
    ],
)
def test_only_deliveries_before_the_first_open_one_are_acknowledged_together(
    done: list[int], first_open: int, expected: list[tuple[int, bool]]
) -> None:
    """Deliveries before the first open one are acknowledged together, later deliveries singly."""
    assert expected == acknowledgements(done, first_open)


async def test_open_delivery_is_not_acknowledged_with_others(broker: Broker) -> None:
    """If a single delivery is not acknowledged, only this delivery is repeated."""
    for number in range(6):
        broker.channel.basic_publish("", broker.queue, str(number).encode())
    reader = source(broker)
    await reader.open(Revocations())
    records = await read_count(reader, 6)
    await reader.commit([records[4], records[0], records[1]])
    await reader.commit([records[3], records[5]])
    await reader.close()
    await reader.open(Revocations())
    assert ["2"] == [record.text for record in await read_count(reader, 1)]
    assert [] == await reader.poll(PollLimits(10, 1_000, 0.2))
    await reader.close()


class Wire:
    """A channel of the AMQP client whose messages a test delivers."""

    def __init__(self) -> None:
        self.on_consumer_cancel_callbacks: set[object] = set()
        self.closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_message: Any = None
        self.channel: Any = None

    async def queue_declare(self, *_: object, **__: object) -> None:
        """Do nothing, because the queue exists."""

    async def basic_qos(self, **_: object) -> None:
        """Do nothing, because the test delivers a limited number of messages."""

    async def basic_consume(self, _: str, on_message: Any, **__: object) -> None:
        """Remember the function that receives messages."""
        self.on_message = on_message

    async def deliver(self, count: int) -> None:
        """Deliver messages, one in each cycle of the event loop."""
        for tag in range(1, count + 1):
            delivery = Basic.Deliver("consumer", tag, False, "", "orders")
            header = ContentHeader(properties=Basic.Properties())
            await self.on_message(
                DeliveredMessage(delivery=delivery, header=header, body=b"1", channel=self.channel)
            )
            await asyncio.sleep(0)


async def test_messages_that_arrive_together_are_read_together() -> None:
    """A poll returns all messages of a burst, although the client passes them on one by one."""
    wire = Wire()
    reader = RabbitMqReader(None, wire)
    await reader.consume("orders", prefetch=10, exclusive=False)
    delivering = asyncio.create_task(wire.deliver(10))
    assert 4 == len(await reader.take(PollLimits(4, 1_000, 1.0)))
    assert 6 == len(await reader.take(PollLimits(100, 1_000, 1.0)))
    await delivering
