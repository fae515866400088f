"""One program works with another database and broker after its configuration is changed.

The program reads orders from a database, and publishes them to a broker. Only its configuration
names their kinds. All servers are real, except Kafka (a cluster that librdkafka simulates) and SQS
(a sandbox).
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pika
import pytest
import redis

import moorage
from moorage import AsyncMessagePublisher, Message, MessagePublisher
from moorage.testing.sandboxes.sqs import AmazonSqsSandbox
from tests.adapters.sql.database_harness import url_of
from tests.support.kafka_cluster import KafkaCluster
from tests.support.mqtt_brokers import PrivateMosquitto, Subscriber
from tests.support.nats_servers import PrivateNats
from tests.support.redis_servers import PrivateRedis
from tests.support.servers import rabbitmq_url

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

TOPIC = f"moorage-orders-{uuid4().hex[:8]}"
NUMBERS = [2041, 2042, 2043]
STATEMENTS = {
    "create": f"CREATE TABLE {TOPIC.replace('-', '_')} (number integer)",
    "add": f"INSERT INTO {TOPIC.replace('-', '_')} (number) VALUES (:number)",
    "list": f"SELECT number FROM {TOPIC.replace('-', '_')} ORDER BY number",
    "drop": f"DROP TABLE {TOPIC.replace('-', '_')}",
}


def program(path: Path) -> list[str]:
    """Publish the orders of a database to a broker, and return the topics in the receipts."""
    with moorage.open(path) as hub:
        run = hub.connectors.run
        run("stock", "create")
        try:
            for number in NUMBERS:
                run("stock", "add", {"number": number})
            first, *rest = [row["number"] for row in run("stock", "list")]
        finally:
            run("stock", "drop")
        events = hub.connectors.get("events", MessagePublisher)
        receipt = hub.manager.perform("events", events.publish(TOPIC, Message.of_json(first)))
        named = [run("events", "publish", {"topic": TOPIC, "json": number}) for number in rest]
        assert hub.connectors.health("stock").is_healthy
        assert hub.connectors.health("events").is_healthy
        return [receipt.topic, *(receipt["topic"] for receipt in named)]


async def asynchronous_program(path: Path) -> None:
    """Publish the orders to a broker from an event loop."""
    async with moorage.aopen(path) as hub:
        events = hub.connectors.get("events", AsyncMessagePublisher)
        for number in NUMBERS:
            await hub.manager.perform("events", events.publish(TOPIC, Message.of_json(number)))


@pytest.fixture(name="configuration")
def _configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that writes a program's configuration, with secrets as references."""

    def value_of(connector: str, key: str, value: str) -> str:
        if key not in {"url", "secret_access_key"}:
            return value
        variable = f"{connector}_{key}".upper()
        monkeypatch.setenv(variable, value)
        return f"secret://env/{variable}"

    def configuration(**connectors: dict[str, str]) -> Path:
        lines: list[str] = []
        for name, settings in connectors.items():
            lines.append(f"[connectors.{name}]")
            for key, value in settings.items():
                lines.append(f"{key} = {json.dumps(value_of(name, key, value))}")
        lines.append("[connectors.stock.statements]")
        lines += [f"{name} = {json.dumps(text)}" for name, text in STATEMENTS.items()]
        path = tmp_path / "moorage.toml"
        path.write_text("\n".join(lines), "utf-8")
        return path

    return configuration


Broker = tuple[dict[str, str], "Callable[[], list[bytes]]"]


@contextmanager
def redis_streams() -> Generator[Broker]:
    """Yield a private Redis server."""
    with PrivateRedis() as server:
        client: Any = redis.Redis.from_url(server.url)

        def payloads() -> list[bytes]:
            return [fields[b"payload"] for _, fields in client.xrange(TOPIC)]

        yield {"kind": "redis-streams", "url": server.url}, payloads
        client.close()


@contextmanager
def rabbitmq() -> Generator[Broker]:
    """Yield a queue of the shared RabbitMQ server."""
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url()))
    channel = connection.channel()
    channel.queue_declare(TOPIC, durable=True)

    def payloads() -> list[bytes]:
        taken = [channel.basic_get(TOPIC, auto_ack=True) for _ in NUMBERS]
        return [body or b"" for _, _, body in taken]

    yield {"kind": "rabbitmq", "url": rabbitmq_url()}, payloads
    channel.queue_delete(TOPIC)
    connection.close()


@contextmanager
def nats() -> Generator[Broker]:
    """Yield a private NATS server."""
    with PrivateNats() as server:
        server.add_stream(TOPIC)
        yield {"kind": "nats", "url": server.url}, lambda: server.payloads(TOPIC)


@contextmanager
def mqtt() -> Generator[Broker]:
    """Yield a private Mosquitto broker."""
    with PrivateMosquitto() as broker, Subscriber(broker.port, topic=TOPIC) as subscriber:
        yield {"kind": "mqtt", "url": broker.url}, subscriber.payloads


@contextmanager
def kafka() -> Generator[Broker]:
    """Yield a Kafka cluster that librdkafka simulates."""
    with KafkaCluster() as cluster:
        cluster.create(TOPIC)

        def payloads() -> list[bytes]:
            return [message.value() for message in cluster.messages(TOPIC, len(NUMBERS))]

        yield {"kind": "kafka", "servers": cluster.servers}, payloads


@contextmanager
def sqs() -> Generator[Broker]:
    """Yield a sandbox of Amazon SQS."""
    sandbox = AmazonSqsSandbox(queues=(TOPIC,))
    with sandbox.serving() as server:
        settings = {
            "kind": "sqs",
            "region": sandbox.region,
            "account": "123456789012",
            "endpoint": server.url,
            "access_key_id": sandbox.access_key_id,
            "secret_access_key": sandbox.secret_access_key,
        }

        def payloads() -> list[bytes]:
            return [message["MessageBody"].encode() for message in sandbox.messages[TOPIC]]

        yield settings, payloads


BROKERS: dict[str, Any] = {
    "redis-streams": redis_streams,
    "rabbitmq": rabbitmq,
    "nats": nats,
    "mqtt": mqtt,
    "kafka": kafka,
    "sqs": sqs,
}
PLACES = [
    ("sqlite", "redis-streams"),
    ("postgresql", "rabbitmq"),
    ("mariadb", "nats"),
    ("sqlite", "mqtt"),
    ("postgresql", "kafka"),
    ("mariadb", "sqs"),
]


@pytest.mark.parametrize("database, broker", PLACES)
def test_only_the_configuration_names_the_kinds(
    configuration: Callable[..., Path], database: str, broker: str
) -> None:
    """One program publishes its orders from each database to each broker."""
    stock = {"kind": "sql", "url": url_of(database)}
    with BROKERS[broker]() as (events, payloads):
        topics = program(configuration(stock=stock, events=events))
        stored = payloads()

    assert [TOPIC] * 3 == topics
    assert [b"2041", b"2042", b"2043"] == stored


@pytest.mark.parametrize("broker", BROKERS)
def test_same_asynchronous_program_publishes_to_each_broker(
    configuration: Callable[..., Path], broker: str
) -> None:
    """One asynchronous program publishes to each broker."""
    with BROKERS[broker]() as (events, payloads):
        path = configuration(stock={"kind": "sql", "url": "sqlite://"}, events=events)
        asyncio.run(asynchronous_program(path))
        stored = payloads()

    assert [b"2041", b"2042", b"2043"] == stored
