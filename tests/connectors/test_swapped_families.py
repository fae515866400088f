"""One program works with systems of another family after its configuration is changed.

The contract of files, and operations that are run by name with plain JSON, are the same in all
families. A broker has the operation `publish`; a database has this operation if its configuration
declares a statement of that name. Receipts differ, so the program uses none.
"""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pika
import pytest
import redis
from sqlalchemy import create_engine, text

import moorage
from moorage import (
    AsyncConnectorManager,
    ConnectorManager,
    Nats,
    RabbitMq,
    RedisStreams,
    Service,
)
from moorage.hub.connectors_async import AsyncConnectors
from moorage.hub.connectors_sync import Connectors
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.storage.s3 import S3Sandbox
from tests.adapters.sql.database_harness import url_of
from tests.support.nats_servers import PrivateNats
from tests.support.redis_servers import PrivateRedis
from tests.support.servers import rabbitmq_url

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

TOPIC = f"moorage-families-{uuid4().hex[:8]}"
TABLE = TOPIC.replace("-", "_")
ORDERS = {"orders/2041.txt": "2041", "orders/2042.txt": "2042"}


def program(configuration: dict[str, Any], http: Any) -> list[str]:
    """Keep orders as files, publish the content of each file, and return the files' names."""
    with moorage.open(configuration, http=http) as hub:
        files = hub.storage()
        for name, order in ORDERS.items():
            files.upload(name, order.encode())
        names = sorted(info.key for info in files.list("orders/").objects)
        for name in names:
            payload = files.download(name).read_all().decode()
            hub.connectors.run("events", "publish", {"topic": TOPIC, "payload": payload})
        assert hub.connectors.health("events").is_healthy
        return names


async def asynchronous_program(configuration: dict[str, Any], http: Any) -> list[str]:
    """Publish the orders from an event loop, one after another, and return the files' names."""
    async with moorage.aopen(configuration, http=http) as hub:
        for order in ORDERS.values():
            await hub.connectors.run("events", "publish", {"topic": TOPIC, "payload": order})
        return sorted(ORDERS)


Queue = tuple[dict[str, Any], "Callable[[], list[str]]"]


@contextmanager
def table() -> Generator[Queue]:
    """Yield a PostgreSQL table used as a queue; its rows are the messages."""
    url = url_of("postgresql")
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {TABLE} (id serial, topic text, payload text)"))

    def payloads() -> list[str]:
        with engine.begin() as connection:
            rows = connection.execute(text(f"SELECT payload FROM {TABLE} ORDER BY id"))
            return [row.payload for row in rows]

    publish = f"INSERT INTO {TABLE} (topic, payload) VALUES (:topic, :payload)"
    try:
        yield {"kind": "sql", "url": url, "statements": {"publish": publish}}, payloads
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP TABLE {TABLE}"))
        engine.dispose()


@contextmanager
def stream() -> Generator[Queue]:
    """Yield a stream of a private Redis server."""
    with PrivateRedis() as server:
        client: Any = redis.Redis.from_url(server.url)

        def payloads() -> list[str]:
            return [fields[b"payload"].decode() for _, fields in client.xrange(TOPIC)]

        try:
            yield {"kind": "redis-streams", "url": server.url}, payloads
        finally:
            client.close()


@contextmanager
def queue() -> Generator[Queue]:
    """Yield a queue of the shared RabbitMQ server."""
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url()))
    channel = connection.channel()
    channel.queue_declare(TOPIC, durable=True)

    def payloads() -> list[str]:
        taken: list[str] = []
        while (body := channel.basic_get(TOPIC, auto_ack=True)[2]) is not None:
            taken.append(body.decode())
        return taken

    try:
        yield {"kind": "rabbitmq", "url": rabbitmq_url()}, payloads
    finally:
        channel.queue_delete(TOPIC)
        connection.close()


@contextmanager
def jetstream() -> Generator[Queue]:
    """Yield a stream of a private NATS server."""
    with PrivateNats() as server:
        server.add_stream(TOPIC)

        def payloads() -> list[str]:
            return [payload.decode() for payload in server.payloads(TOPIC)]

        yield {"kind": "nats", "url": server.url}, payloads


QUEUES: dict[str, Callable[[], AbstractContextManager[Queue]]] = {
    "table": table,
    "stream": stream,
    "queue": queue,
    "jetstream": jetstream,
}


def files_of(kind: str, folder: Path) -> tuple[dict[str, Any], Any]:
    """Return the configuration of a storage vendor, and the HTTP client that reaches it."""
    if kind == "folder":
        return {"kind": "local_files", "root": str(folder / "kept")}, None
    if kind == "fsspec":
        return {"kind": "fsspec", "url": f"memory://{TOPIC}"}, None
    bucket = S3Sandbox()
    settings = {
        "kind": "s3",
        "bucket": bucket.bucket,
        "region": bucket.region,
        "access_key_id": bucket.key.id,
        "credentials": bucket.key.secret,
    }
    return settings, SandboxHttpClient(bucket)


@pytest.mark.parametrize(
    "files, queue_kind",
    [("folder", "table"), ("s3", "stream"), ("fsspec", "queue"), ("folder", "jetstream")],
)
def test_only_the_configuration_names_the_families(
    tmp_path: Path, files: str, queue_kind: str
) -> None:
    """One program stores files in a folder or a bucket, and publishes to a broker or a table."""
    vendor, http = files_of(files, tmp_path)
    with QUEUES[queue_kind]() as (events, payloads):
        configuration = {
            "storage": {"vendor": "place"},
            "vendors": {"place": vendor},
            "connectors": {"events": events},
        }
        names = program(configuration, http)
        stored = payloads()

    assert sorted(ORDERS) == names
    assert sorted(ORDERS.values()) == stored


@pytest.mark.parametrize("queue_kind", QUEUES)
def test_asynchronous_program_fills_a_queue_of_any_family(queue_kind: str) -> None:
    """One asynchronous program publishes to a broker or a table."""
    with QUEUES[queue_kind]() as (events, payloads):
        asyncio.run(asynchronous_program({"connectors": {"events": events}}, None))
        stored = payloads()

    assert sorted(ORDERS.values()) == stored


MOVES = 6
"""The replacements of the connector of a running program."""


def publisher_of(settings: dict[str, Any], *, is_async: bool) -> Any:
    """Return the publisher that a configuration of these settings would make."""
    fields = {**settings}
    kinds: dict[str, Any] = {"redis-streams": RedisStreams, "rabbitmq": RabbitMq, "nats": Nats}
    broker = kinds[fields.pop("kind")](**fields)
    return broker.async_publisher("events") if is_async else broker.publisher("events")


@contextmanager
def brokers() -> Generator[tuple[list[dict[str, Any]], Callable[[], list[str]]]]:
    """Yield the settings of three kinds of brokers, and a function that returns all messages."""
    with stream() as first, queue() as second, jetstream() as third:
        queues = [first, second, third]

        def payloads() -> list[str]:
            return [payload for _, read_queue in queues for payload in read_queue()]

        yield [settings for settings, _ in queues], payloads


@pytest.mark.parametrize("seed", range(3))
def test_threads_publish_while_their_broker_is_replaced(seed: int) -> None:
    """While threads publish and the broker is replaced, each message arrives at one broker."""
    generator = random.Random(seed)
    with brokers() as (settings, payloads):
        registry = Connectors(ConnectorManager([Service("events")]))
        registry.add(publisher_of(settings[0], is_async=False))
        is_over = Event()

        def publish(thread: int) -> list[str]:
            published: list[str] = []
            while not is_over.is_set():
                published.append(f"{thread}-{len(published)}")
                message = {"topic": TOPIC, "payload": published[-1]}
                registry.run("events", "publish", message)
            return published

        with ThreadPoolExecutor(3) as threads:
            publishing = [threads.submit(publish, thread) for thread in range(3)]
            try:
                for _ in range(MOVES):
                    registry.run("events", "publish", {"topic": TOPIC, "payload": "mover"})
                    registry.replace(publisher_of(generator.choice(settings), is_async=False))
            finally:
                is_over.set()
            published = [message for future in publishing for message in future.result()]
        registry.close()
        stored = payloads()

    assert sorted(published + ["mover"] * MOVES) == sorted(stored)


@pytest.mark.parametrize("seed", range(3))
def test_tasks_publish_while_their_broker_is_replaced(seed: int) -> None:
    """While tasks publish and the broker is replaced, each message arrives at one broker."""
    generator = random.Random(seed)

    async def run(settings: list[dict[str, Any]]) -> list[str]:
        registry = AsyncConnectors(AsyncConnectorManager([Service("events")]))
        registry.add(publisher_of(settings[0], is_async=True))
        published: list[str] = []

        async def publish(task: int) -> None:
            for number in range(20):
                published.append(f"{task}-{number}")
                message = {"topic": TOPIC, "payload": published[-1]}
                await registry.run("events", "publish", message)

        async def move() -> None:
            for number in range(MOVES):
                published.append(f"mover-{number}")
                message = {"topic": TOPIC, "payload": published[-1]}
                await registry.run("events", "publish", message)
                await registry.replace(publisher_of(generator.choice(settings), is_async=True))

        await asyncio.gather(*map(publish, range(3)), move())
        await registry.close()
        return published

    with brokers() as (settings, payloads):
        published = asyncio.run(run(settings))
        stored = payloads()

    assert sorted(published) == sorted(stored)
