"""Costs of reading records from brokers in a pipeline, and of publishing batches.

All figures are processor time of this process; the brokers are other processes. Each contender
reads or publishes the same messages of 1 KiB in batches of 500, acknowledged. The bare clients do
nothing with what they read.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import aio_pika
import confluent_kafka
import faststream.nats
import nats
import pika
import redis
from connector_costs import RABBITMQ, server
from measure import ELAPSED, PROCESSOR, Block, Comparison, Contender, Read, Target, compare
from nats.js.api import ConsumerConfig, StreamConfig
from pipeline_costs import BATCH, GROUP, StoppingSink, reading_rows, run_pipeline
from protocol_costs import NATS, REDIS
from sql_costs import is_reachable

from moorage import (
    AsyncConnectorManager,
    ConnectorManager,
    Kafka,
    Message,
    Nats,
    Pipeline,
    RabbitMq,
    RedisStreams,
    Results,
    Service,
)
from moorage.adapters.messages.kafka_source import KafkaSource
from moorage.adapters.messages.nats_source import NatsSource
from moorage.adapters.messages.rabbitmq_source import RabbitMqSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from typing import TypeAlias

    from moorage import SinkRecord

    _NoteBatch: TypeAlias = Callable[[int], None]
    _Reading = Callable[[str, str], Coroutine[Any, Any, None]]

PAYLOAD: Final = b"x" * 1024
READING: Final = Target(1.25, 1.0)
PUBLISHING: Final = Target(1.18, 1.0)
MESSAGES: Final = [Message(PAYLOAD)] * BATCH

SINK_FIELDS: Final = attrgetter(
    "topic", "partition", "offset", "published_at", "payload", "key", "attributes"
)

_PARTITIONS: Final = 32
"""The partitions of the topics that are read; the mock cluster keeps 5 MiB in each."""

_RUN: Final = 100
"""The successive records of one partition."""

_TOPICS: Final = {"few": BATCH, "many": 64_000}
"""The topics that are read, and the numbers of their records."""

# A mock cluster of librdkafka's own; its groups would wait three seconds for further members.
_KAFKA: Final = f"""
import confluent_kafka, ctypes, pathlib, signal
folder = pathlib.Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
library = ctypes.CDLL(str(next(folder.glob("librdkafka*.so*"))))
for name in "rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new":
    getattr(library, name).restype = ctypes.c_void_p
library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
options = ctypes.c_void_p(library.rd_kafka_conf_new())
client = ctypes.c_void_p(library.rd_kafka_new(0, options, None, 0))
cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(client, 1))
library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 50)
for topic in b"few", b"many":
    library.rd_kafka_mock_topic_create(cluster, topic, {_PARTITIONS}, 1)
print(library.rd_kafka_mock_cluster_bootstraps(cluster).decode().rpartition(":")[2], flush=True)
signal.pause()
"""


def reading(
    fill: Callable[[str, int], Awaitable[object]],
    read: Callable[[str, int], Awaitable[object]],
    drop: Callable[[str], Awaitable[object]],
    names: count[int],
) -> Block:
    """Return a function that fills a queue or topic, then measures only the reading from it."""

    def block(calls: int, clock: Read) -> float:
        name = f"moorage-bench-{uuid4().hex[:8]}-{next(names)}"

        async def time_calls() -> float:
            begin = clock()
            await read(name, calls)
            return clock() - begin

        asyncio.run(_await_work(fill(name, calls)))
        try:
            return asyncio.run(time_calls())
        finally:
            asyncio.run(_await_work(drop(name)))

    return block


async def _await_work(work: Awaitable[object]) -> None:
    await work


async def _consume_with(
    broker: Any, register: Callable[[Callable[[list[bytes]], Awaitable[None]]], None], calls: int
) -> None:
    """Consume batches with a FastStream broker; handled messages are acknowledged."""
    read, all_read = 0, asyncio.Event()

    async def handle(messages: list[bytes]) -> None:
        nonlocal read
        read += len(messages)
        if read >= calls:
            all_read.set()

    register(handle)
    async with broker:
        await broker.start()
        await all_read.wait()


def publishing_rows(
    library: str,
    run_library_alone: Block,
    run_with_moorage: Block,
    rounds: int,
    peers: Mapping[str, Block] | None = None,
    *,
    block_seconds: float = 0.01,
) -> Any:
    """Measure publishing in short blocks, so that other load affects all rows alike."""
    peer_contenders = [Contender(name, block) for name, block in (peers or {}).items()]
    return compare(
        None,
        [
            Contender(library, run_library_alone),
            Contender("moorage", run_with_moorage),
            *peer_contenders,
        ],
        rounds=2 * rounds,
        clock=PROCESSOR,
        block_seconds=block_seconds,
        mirrored=True,
        least=BATCH,
    )


def pipeline_rabbitmq(rounds: int) -> Comparison:
    """Measure reading 1 KiB records from a RabbitMQ queue into an empty sink, acknowledged."""

    async def fill(queue: str, calls: int) -> None:
        connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ))
        channel = connection.channel()
        channel.queue_declare(queue)
        for _ in range(calls):
            channel.basic_publish("", queue, PAYLOAD)
        connection.close()

    async def drop(queue: str) -> None:
        connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ))
        connection.channel().queue_delete(queue)
        connection.close()

    async def run_library_alone(queue: str, calls: int) -> None:
        async with await aio_pika.connect(RABBITMQ) as connection:
            channel = await connection.channel()
            await channel.set_qos(BATCH)
            read = 0
            async with (await channel.get_queue(queue)).iterator() as messages:
                async for message in messages:
                    read += 1
                    if read == calls or not read % (BATCH // 2):
                        await message.ack(multiple=True)
                    if read == calls:
                        break

    async def run_with_moorage(queue: str, calls: int) -> None:
        await run_pipeline(RabbitMqSource(RabbitMq(url=RABBITMQ), [queue]), calls)

    names = count()
    rows = reading_rows(
        "aio-pika",
        reading(fill, run_library_alone, drop, names),
        reading(fill, run_with_moorage, drop, names),
        rounds,
    )
    return Comparison("a record from a queue of RabbitMQ", rows, READING)


def pipeline_nats(rounds: int) -> Comparison:
    """Measure reading 1 KiB records from a NATS stream into an empty sink, acknowledging them."""

    async def fill(subject: str, calls: int) -> None:
        async with await nats.connect(NATS) as client:
            stream = client.jetstream()
            await stream.add_stream(StreamConfig(name=subject, subjects=[subject]))
            for start in range(0, calls, BATCH):
                size = min(BATCH, calls - start)
                await asyncio.gather(*(stream.publish(subject, PAYLOAD) for _ in range(size)))

    async def drop(subject: str) -> None:
        async with await nats.connect(NATS) as client:
            await client.jetstream().delete_stream(subject)

    async def run_library_alone(subject: str, calls: int) -> None:
        async with await nats.connect(NATS) as client:
            consumer = await client.jetstream().pull_subscribe(
                subject, GROUP, config=ConsumerConfig(max_ack_pending=2 * BATCH)
            )
            while calls > 0:
                messages = await consumer.fetch(min(BATCH, calls))
                for message in messages:
                    await message.ack()
                calls -= len(messages)
            await client.flush()

    async def run_with_moorage(subject: str, calls: int) -> None:
        await run_pipeline(NatsSource(Nats(url=NATS), [subject], group=GROUP), calls)

    async def peer(subject: str, calls: int) -> None:
        broker = faststream.nats.NatsBroker(NATS, logger=None)
        options = {"stream": faststream.nats.JStream(subject, declare=False), "durable": GROUP}
        pull = faststream.nats.PullSub(batch_size=BATCH, timeout=0.2, batch=True)

        def register(handle: Callable[[list[bytes]], Awaitable[None]]) -> None:
            broker.subscriber(subject, pull_sub=pull, **options)(handle)

        await _consume_with(broker, register, calls)

    names = count()
    rows = reading_rows(
        "nats-py",
        reading(fill, run_library_alone, drop, names),
        reading(fill, run_with_moorage, drop, names),
        rounds,
        {"FastStream": reading(fill, peer, drop, names)},
    )
    return Comparison("a record from a stream of NATS", rows, READING)


def pipeline_kafka(rounds: int) -> Comparison:
    """Measure reading 1 KiB records from a Kafka topic into an empty sink, at a steady rate.

    Each block reads a topic with many records and one with few. The difference is the cost of the
    further records, without joining the group, the first fetch and leaving.
    """
    with server(_KAFKA) as port:
        servers = f"127.0.0.1:{port}"
        _fill_topics(servers)
        rows = _kafka_rows(lambda use: _steady_block(servers, use), rounds)
    return Comparison("a further record from a topic of Kafka", rows, READING)


def pipeline_kafka_start(rounds: int) -> Comparison:
    """Measure the fixed cost of reading: join a Kafka group, read 500 records of 1 KiB, leave."""
    with server(_KAFKA) as port:
        servers = f"127.0.0.1:{port}"
        _fill_topics(servers)
        rows = _kafka_rows(lambda use: _start_block(servers, use), rounds)
    return Comparison("joining a group of Kafka, 500 records and leaving", rows)


def pipeline_kafka_rate(rounds: int) -> Comparison:
    """Measure the elapsed time for a further 1 KiB record of a Kafka topic, into an empty sink.

    It begins when the first batch was used, and ends with the last record.
    """
    with server(_KAFKA) as port:
        servers = f"127.0.0.1:{port}"
        _fill_topics(servers)
        rows = compare(
            None,
            [
                Contender("confluent-kafka", _rate_block(servers, _note_batches_of_library)),
                Contender("moorage", _rate_block(servers, _note_batches_of_moorage)),
            ],
            rounds=max(5, rounds // 4),
            clock=ELAPSED,
            block_seconds=0.0,
            mirrored=True,
        )
    return Comparison("a further record from a topic of Kafka, as a rate", rows, READING)


def _rate_block(
    servers: str, read: Callable[[str, _NoteBatch], Coroutine[Any, Any, None]]
) -> Block:
    """Return a function that measures the time from the first batch of a topic to the last."""

    def block(_: int, clock: Read) -> float:
        batches: list[tuple[float, int]] = []
        asyncio.run(read(servers, lambda size: batches.append((clock(), size))))
        (begin, first_size), (end, _) = batches[0], batches[-1]
        return (end - begin) / (_TOPICS["many"] - first_size)

    return block


async def _note_batches_of_library(servers: str, note: _NoteBatch) -> None:
    """Read and commit a Kafka topic with the bare client of a new group, noting each batch."""

    def consume() -> None:
        records_left = _TOPICS["many"]
        consumer = _consumer(servers, "many")
        while records_left > 0:
            messages = consumer.consume(BATCH, timeout=1.0)
            _use_messages(messages, confluent_kafka.Message.value)
            if messages:
                records_left -= len(messages)
                consumer.commit(asynchronous=True)
                note(len(messages))
        consumer.close()

    await asyncio.to_thread(consume)


class _NotingSink(StoppingSink):
    """A sink that notes the size of each batch, and stops its pipeline after the last record."""

    def __init__(self, records: int, note: _NoteBatch) -> None:
        super().__init__(records)
        self._note = note

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Count the records, and note their number."""
        await super().process_batch(records)
        self._note(len(records))


async def _note_batches_of_moorage(servers: str, note: _NoteBatch) -> None:
    """Read and commit a Kafka topic with a pipeline of a new group, noting each batch."""
    source = KafkaSource(Kafka(servers=servers), ["many"], group=uuid4().hex)
    sink = _NotingSink(_TOPICS["many"], note)
    pipeline = sink.pipeline = Pipeline("bench", source, sink)
    await pipeline.run()


def _kafka_rows(block: Callable[[_Reading], Block], rounds: int) -> Any:
    """Measure reading with the bare client, with a pipeline, and with use of every record field.

    A pipeline calls its sink in an event loop, so one row measures a bare client whose batches are
    used there.
    """
    contenders: dict[str, _Reading] = {
        "confluent-kafka": partial(_consume, use=confluent_kafka.Message.value),
        "moorage": partial(_consume_with_moorage, use=None),
        "confluent-kafka, all fields read": partial(_consume, use=_read_fields),
        "moorage, all fields read": partial(_consume_with_moorage, use=SINK_FIELDS),
        "confluent-kafka, batches handed to asyncio": _consume_in_event_loop,
    }
    return compare(
        None,
        [Contender(name, block(read)) for name, read in contenders.items()],
        rounds=max(5, rounds // 4),
        clock=PROCESSOR,
        block_seconds=0.0,
        mirrored=True,
    )


def _steady_block(servers: str, read: _Reading) -> Block:
    """Return a function that measures the time of reading one further record."""

    def block(_: int, clock: Read) -> float:
        few, many = (_seconds(read, servers, topic, clock) for topic in _TOPICS)
        return (many - few) / (_TOPICS["many"] - _TOPICS["few"])

    return block


def _start_block(servers: str, read: _Reading) -> Block:
    """Return a function that measures reading the topic that has only few records."""

    def block(_: int, clock: Read) -> float:
        return _seconds(read, servers, "few", clock)

    return block


def _seconds(read: _Reading, servers: str, topic: str, clock: Read) -> float:
    """Return the seconds in which a new group reads a topic."""
    begin = clock()
    asyncio.run(read(servers, topic))
    return clock() - begin


def _fill_topics(servers: str) -> None:
    """Publish the records of all topics that are read."""
    producer = confluent_kafka.Producer({"bootstrap.servers": servers})
    for topic, size in _TOPICS.items():
        for number in range(size):
            producer.produce(topic, PAYLOAD, partition=number // _RUN % _PARTITIONS)
            # The queue of the producer has room for 100,000 messages.
            producer.poll(0)
        producer.flush(60)


async def _consume_with_moorage(
    servers: str, topic: str, use: Callable[[Any], object] | None
) -> None:
    """Read and commit a Kafka topic with a pipeline of a new group."""
    source = KafkaSource(Kafka(servers=servers), [topic], group=uuid4().hex)
    await run_pipeline(source, _TOPICS[topic], use=use)


async def _consume(
    servers: str, topic: str, use: Callable[[confluent_kafka.Message], object]
) -> None:
    """Read and commit a Kafka topic with the bare client of a new group, in a thread."""
    await asyncio.to_thread(_consume_in_thread, servers, topic, use)


def _consume_in_thread(
    servers: str, topic: str, use: Callable[[confluent_kafka.Message], object]
) -> None:
    """Read and commit Kafka messages with the bare client, using each message."""
    calls = _TOPICS[topic]
    consumer = _consumer(servers, topic)
    while calls > 0:
        messages = consumer.consume(BATCH, timeout=1.0)
        _use_messages(messages, use)
        if messages:
            calls -= len(messages)
            consumer.commit(asynchronous=True)
    consumer.close()


async def _consume_in_event_loop(servers: str, topic: str) -> None:
    """Read and commit Kafka messages with the bare client, using each message in the event loop."""
    calls = _TOPICS[topic]
    consumer = _consumer(servers, topic)
    while calls > 0:
        messages = await asyncio.to_thread(consumer.consume, BATCH, 1.0)
        _use_messages(messages, confluent_kafka.Message.value)
        if messages:
            calls -= len(messages)
            consumer.commit(asynchronous=True)
    await asyncio.to_thread(consumer.close)


def _consumer(servers: str, topic: str) -> confluent_kafka.Consumer:
    """Return a bare client that reads a topic in a new group."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": uuid4().hex,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "queued.max.messages.kbytes": 16_384,
        }
    )
    consumer.subscribe([topic])
    return consumer


def _use_messages(
    messages: Sequence[confluent_kafka.Message], use: Callable[[confluent_kafka.Message], object]
) -> None:
    """Use each message, after checking that it is not an error."""
    for message in messages:
        error = message.error()
        if error is not None:
            raise confluent_kafka.KafkaException(error)
        use(message)


def _read_fields(message: Any) -> None:
    """Read every field of a Kafka message that a pipeline's record also has."""
    message.topic(), message.partition(), message.offset(), message.timestamp()
    message.value(), message.key(), message.headers()


def _publishing(publish: Callable[[int], Awaitable[object]], runner: asyncio.Runner) -> Block:
    """Return a function that measures publishing messages in batches."""

    def block(calls: int, clock: Read) -> float:
        async def time_calls() -> float:
            begin = clock()
            for start in range(0, calls, BATCH):
                await publish(min(BATCH, calls - start))
            return clock() - begin

        return runner.run(time_calls())

    return block


def publish_redis(rounds: int) -> Comparison:
    """Measure adding messages of 1 KiB to a Redis stream in batches, per message."""
    topic = f"moorage-bench-{uuid4().hex}"
    client: Any = redis.Redis.from_url(REDIS)
    publisher = RedisStreams(url=REDIS, longest_stream=1_000).publisher("events")
    manager = ConnectorManager([Service("events")])

    async def run_library_alone(size: int) -> None:
        pipeline = client.pipeline(transaction=False)
        for _ in range(size):
            pipeline.xadd(topic, {b"payload": PAYLOAD}, maxlen=1_000, approximate=True)
        pipeline.execute()

    async def run_with_moorage(size: int) -> None:
        check(manager.perform("events", publisher.publish_batch(topic, MESSAGES[:size])))

    with asyncio.Runner() as runner:
        rows = publishing_rows(
            "redis-py",
            _publishing(run_library_alone, runner),
            _publishing(run_with_moorage, runner),
            rounds,
        )
    publisher.close()
    client.delete(topic)
    client.close()
    return Comparison("a message of a batch in a Redis stream", rows, PUBLISHING)


def publish_rabbitmq(rounds: int) -> Comparison:
    """Measure publishing 1 KiB messages to RabbitMQ in confirmed batches, asynchronously."""
    queue = f"moorage-bench-{uuid4().hex}"
    publisher = RabbitMq(url=RABBITMQ).async_publisher("events")
    manager = AsyncConnectorManager([Service("events")])
    with asyncio.Runner() as runner:

        async def open_publisher() -> tuple[Any, Any]:
            connection = await aio_pika.connect(RABBITMQ)
            channel = await connection.channel()
            await channel.declare_queue(queue, arguments={"x-max-length": 10})
            return connection, channel

        connection, channel = runner.run(open_publisher())
        message = aio_pika.Message(PAYLOAD, delivery_mode=2)

        async def run_library_alone(size: int) -> None:
            exchange = channel.default_exchange
            await asyncio.gather(*(exchange.publish(message, queue) for _ in range(size)))

        async def run_with_moorage(size: int) -> None:
            batch = publisher.publish_batch(queue, MESSAGES[:size])
            check(await manager.perform("events", batch))

        rows = publishing_rows(
            "aio-pika",
            _publishing(run_library_alone, runner),
            _publishing(run_with_moorage, runner),
            rounds,
        )
        runner.run(_await_work(publisher.close()))
        runner.run(_await_work(channel.queue_delete(queue)))
        runner.run(_await_work(connection.close()))
    return Comparison("a message of a batch in a queue of RabbitMQ", rows, PUBLISHING)


def publish_nats(rounds: int) -> Comparison:
    """Measure publishing 1 KiB messages to JetStream in batches, asynchronously, per message."""
    subject = f"moorage-bench-{uuid4().hex}"
    publisher = Nats(url=NATS).async_publisher("events")
    manager = AsyncConnectorManager([Service("events")])
    with asyncio.Runner() as runner:

        async def open_publisher() -> Any:
            client = await nats.connect(NATS)
            await client.jetstream().add_stream(
                StreamConfig(name=subject, subjects=[subject], max_msgs=10)
            )
            return client

        client = runner.run(open_publisher())
        stream = client.jetstream()

        async def run_library_alone(size: int) -> None:
            await asyncio.gather(*(stream.publish(subject, PAYLOAD) for _ in range(size)))

        async def run_with_moorage(size: int) -> None:
            batch = publisher.publish_batch(subject, MESSAGES[:size])
            check(await manager.perform("events", batch))

        rows = publishing_rows(
            "nats-py",
            _publishing(run_library_alone, runner),
            _publishing(run_with_moorage, runner),
            rounds,
        )
        runner.run(_await_work(publisher.close()))
        runner.run(_await_work(stream.delete_stream(subject)))
        runner.run(_await_work(client.close()))
    return Comparison("a message of a batch in a stream of NATS", rows, PUBLISHING)


def publish_kafka(rounds: int) -> Comparison:
    """Measure publishing 1 KiB messages to a Kafka cluster in batches, per message."""
    with server(_KAFKA) as port:
        servers = f"127.0.0.1:{port}"
        options = {"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 0}
        producer = confluent_kafka.Producer(options)
        producer.list_topics("bench", timeout=10.0)
        publisher = Kafka(servers=servers).publisher("events")
        manager = ConnectorManager([Service("events")])

        async def run_library_alone(size: int) -> None:
            receipts: list[object] = []

            def record_receipt(error: Any, message: object) -> None:
                if error is not None:
                    raise confluent_kafka.KafkaException(error)
                receipts.append(message)

            for _ in range(size):
                producer.produce("bench", PAYLOAD, on_delivery=record_receipt)
            while len(receipts) < size:
                producer.poll(1.0)

        async def run_with_moorage(size: int) -> None:
            check(manager.perform("events", publisher.publish_batch("bench", MESSAGES[:size])))

        async def run_with_receipts(size: int) -> None:
            batch = publisher.publish_batch("bench", MESSAGES[:size])
            for result in manager.perform("events", batch):
                result.unwrap()

        with asyncio.Runner() as runner:
            rows = publishing_rows(
                "confluent-kafka",
                _publishing(run_library_alone, runner),
                _publishing(run_with_moorage, runner),
                rounds,
                {"moorage, with receipts": _publishing(run_with_receipts, runner)},
                # The threads of librdkafka need some batches to reach their usual rhythm.
                block_seconds=0.05,
            )
        publisher.close()
    return Comparison("a message of a batch in a topic of Kafka", rows, PUBLISHING)


def check(results: Results[Any]) -> None:
    """Raise the error of the first unpublished message."""
    results.raise_first_error()


ALL = (
    *((pipeline_rabbitmq, publish_rabbitmq) if is_reachable(RABBITMQ) else ()),
    *((pipeline_nats, publish_nats) if is_reachable(NATS) else ()),
    *((publish_redis,) if is_reachable(REDIS) else ()),
    pipeline_kafka,
    pipeline_kafka_rate,
    pipeline_kafka_start,
    publish_kafka,
)
"""What there is a server for."""
