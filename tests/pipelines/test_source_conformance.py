"""Broker sources pass the source conformance kit."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from moorage import AsyncConnectorManager, RedisStreams, Secret, Service
from moorage.adapters.imap.source import ImapSource
from moorage.adapters.messages.kafka import Kafka
from moorage.adapters.messages.kafka_source import KafkaSource
from moorage.adapters.messages.nats import Nats
from moorage.adapters.messages.nats_source import NatsSource
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.adapters.messages.rabbitmq_source import RabbitMqSource
from moorage.adapters.mqtt.kind import Mqtt
from moorage.adapters.mqtt.source import MqttSource
from moorage.adapters.redis_streams.source import RedisStreamsSource
from moorage.testing import TcpProxy, name_of, source_conformance
from moorage.testing.kits.checks import waiting_at_most
from tests.adapters.messages.rabbitmq_harness import Broker
from tests.pipelines.broker_harness import Revocations
from tests.support.imap_servers import PrivateDovecot
from tests.support.kafka_cluster import KafkaCluster
from tests.support.mqtt_brokers import PrivateMosquitto
from tests.support.nats_servers import PrivateNats
from tests.support.redis_servers import PrivateRedis
from tests.support.servers import rabbitmq_url

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from moorage import Message

CHECKS = pytest.mark.parametrize("check", source_conformance.CHECKS, ids=name_of)


@pytest.fixture(autouse=True)
def _allow_slow_brokers() -> Generator[None]:
    """Allow waits of two minutes, because brokers may be slow on a busy machine."""
    with waiting_at_most(120.0):
        yield


@pytest.fixture(scope="module")
def redis_server() -> Generator[PrivateRedis]:
    """Yield a Redis server for these tests only."""
    with PrivateRedis() as server:
        yield server


def publishing(settings: Any, topic: str) -> Callable[[Sequence[Message]], Any]:
    """Return a function that publishes messages with a broker's publisher."""

    async def publish(messages: Sequence[Message]) -> None:
        publisher = settings.async_publisher("events")
        async with AsyncConnectorManager([Service("events")]) as manager, publisher:
            for result in await manager.perform("events", publisher.publish_batch(topic, messages)):
                result.unwrap()

    return publish


def interrupting(proxy: TcpProxy) -> Callable[[], None]:
    """Return a function that cuts all connections and then accepts new connections."""

    def interrupt() -> None:
        proxy.cut_connections()
        proxy.restore()

    return interrupt


@CHECKS
async def test_redis_streams_source_passes_source_conformance_kit(
    check: source_conformance.Check, redis_server: PrivateRedis
) -> None:
    """The Redis Streams source passes the source conformance kit."""
    stream = uuid4().hex
    with TcpProxy("127.0.0.1", redis_server.port) as proxy:
        host, port = proxy.address
        settings = RedisStreams(url=Secret(f"redis://{host}:{port}"))
        subject = source_conformance.SourceSubject(
            make=lambda: RedisStreamsSource(settings, [stream], group="workers", claim_after=1.0),
            publish=publishing(RedisStreams(url=Secret(redis_server.url)), stream),
            interrupt=interrupting(proxy),
        )
        await check(subject)


@CHECKS
@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_rabbitmq_source_passes_source_conformance_kit(
    check: source_conformance.Check, kind: str
) -> None:
    """The RabbitMQ source passes the source conformance kit."""
    url = urlsplit(rabbitmq_url())
    broker = Broker(rabbitmq_url(), arguments={"x-queue-type": kind})
    with TcpProxy(str(url.hostname), url.port or 5672) as proxy, closing(broker):
        host, port = proxy.address
        settings = RabbitMq(url=Secret(f"amqp://guest:guest@{host}:{port}"))
        subject = source_conformance.SourceSubject(
            make=lambda: RabbitMqSource(settings, [broker.queue]),
            publish=publishing(RabbitMq(url=Secret(broker.url)), broker.queue),
            interrupt=interrupting(proxy),
        )
        await check(subject)


@pytest.fixture(scope="module")
def nats_server() -> Generator[PrivateNats]:
    """Yield a NATS server for these tests only."""
    with PrivateNats() as server:
        yield server


@CHECKS
async def test_nats_source_passes_source_conformance_kit(
    check: source_conformance.Check, nats_server: PrivateNats
) -> None:
    """The NATS source passes the source conformance kit."""
    subject = f"s-{uuid4().hex}"
    await asyncio.to_thread(nats_server.add_stream, subject)
    with TcpProxy("127.0.0.1", nats_server.port) as proxy:
        host, port = proxy.address
        settings = Nats(url=Secret(f"nats://{host}:{port}"))
        await check(
            source_conformance.SourceSubject(
                make=lambda: NatsSource(settings, [subject], group="workers", ack_wait=1.0),
                publish=publishing(Nats(url=Secret(nats_server.url)), subject),
                interrupt=interrupting(proxy),
            )
        )


@pytest.fixture(scope="module")
def mqtt_broker() -> Generator[PrivateMosquitto]:
    """Yield an MQTT broker for these tests only."""
    with PrivateMosquitto() as broker:
        yield broker


@pytest.mark.untraced
@CHECKS
@pytest.mark.parametrize("qos", [1, 2])
async def test_mqtt_source_passes_source_conformance_kit(
    check: source_conformance.Check, qos: int, mqtt_broker: PrivateMosquitto
) -> None:
    """The MQTT source passes the source conformance kit."""
    topic = uuid4().hex
    with TcpProxy("127.0.0.1", mqtt_broker.port) as proxy:
        host, port = proxy.address
        settings = Mqtt(url=Secret(f"mqtt://{host}:{port}"))

        def make_source() -> MqttSource:
            return MqttSource(settings, [topic], client_id=topic, qos=qos)

        # The broker keeps messages only for clients that it knows.
        first = make_source()
        await first.open(Revocations())
        await first.close()
        await check(
            source_conformance.SourceSubject(
                make=make_source,
                publish=publishing(Mqtt(url=Secret(mqtt_broker.url), qos=qos), topic),
                interrupt=interrupting(proxy),
                releases=False,
            )
        )


@pytest.fixture(scope="module")
def dovecot() -> Generator[PrivateDovecot]:
    """Yield an IMAP server for these tests only."""
    with PrivateDovecot() as server:
        yield server


@CHECKS
@pytest.mark.parametrize("moves", [False, True], ids=["mark", "move"])
async def test_imap_source_passes_source_conformance_kit(
    check: source_conformance.Check, dovecot: PrivateDovecot, *, moves: bool
) -> None:
    """The IMAP source passes the source conformance kit."""
    user = uuid4().hex
    with dovecot.client(user) as client:
        client.create("Done")

    async def publish(messages: Sequence[Message]) -> None:
        await asyncio.to_thread(dovecot.add, user, *(message.payload for message in messages))

    with TcpProxy("127.0.0.1", dovecot.port) as proxy:
        settings = dovecot.settings(user, proxy.address[1])
        await check(
            source_conformance.SourceSubject(
                make=lambda: ImapSource(settings, move_to="Done" if moves else None),
                publish=publish,
                interrupt=interrupting(proxy),
                keeps=frozenset(),
            )
        )


@pytest.mark.untraced
@CHECKS
async def test_kafka_source_passes_source_conformance_kit_with_mock_cluster(
    check: source_conformance.Check,
) -> None:
    """The Kafka source passes the source conformance kit with a mock cluster."""
    with KafkaCluster(orders=4) as cluster:
        settings = Kafka(
            servers=cluster.servers,
            options={
                "session.timeout.ms": 1_000,
                "heartbeat.interval.ms": 100,
                "statistics.interval.ms": 100,
            },
        )
        subject = source_conformance.SourceSubject(
            make=lambda: KafkaSource(settings, ["orders"], group="workers"),
            publish=publishing(settings, "orders"),
            releases=False,
        )
        await check(subject)
