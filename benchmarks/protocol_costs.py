"""The cost of calls through more connectors, compared with the bare libraries."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import contextmanager
from socket import create_connection
from tempfile import TemporaryDirectory
from time import sleep
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import nats
import paho.mqtt.client
import pymongo
import redis
from connector_costs import TARGET, async_rows, sync_rows
from measure import Comparison
from nats.js.api import StreamConfig
from paho.mqtt.enums import CallbackAPIVersion
from servers import free_port
from sql_costs import is_reachable

from moorage import (
    Message,
    Mqtt,
    Nats,
    RedisStreams,
    Service,
)
from moorage.adapters.mongodb.connector_sync import MongoConnector

if TYPE_CHECKING:
    from collections.abc import Generator

REDIS = os.environ.get("MOORAGE_TEST_REDIS_URL", "redis://127.0.0.1:6379")
NATS: Final = "nats://127.0.0.1:4222"
MQTT: Final = "mqtt://127.0.0.1:1883"
_MESSAGE: Final = Message("a")


@contextmanager
def mongodb() -> Generator[str]:
    """Run a server with MongoDB's protocol, and yield a database URL."""
    port = free_port()
    with TemporaryDirectory(prefix="moorage-bench-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "secantus", "--port", str(port), "--storage-path", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "HOME": folder},
        )
        try:
            while True:
                assert process.poll() is None
                try:
                    create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    sleep(0.05)
            yield f"mongodb://127.0.0.1:{port}/bench?directConnection=true"
        finally:
            process.kill()
            process.wait()


def mongodb_connector(rounds: int) -> Comparison:
    """Measure finding one MongoDB document by its id."""
    with mongodb() as url, pymongo.MongoClient[dict[str, Any]](url) as client:
        collection = client["bench"]["orders"]
        collection.insert_one({"_id": 1, "status": "open"})
        with MongoConnector(url) as connector:
            rows = sync_rows(
                "pymongo",
                lambda: collection.find_one({"_id": 1}),
                Service("shop"),
                lambda perform: perform(connector.find_one("orders", {"_id": 1})),
                rounds,
            )
    return Comparison("a document of MongoDB, sync", rows, TARGET)


def redis_streams_connector(rounds: int) -> Comparison:
    """Measure adding one message to a Redis stream."""
    stream = f"moorage-bench-{uuid4().hex}"
    library: Any = redis.Redis
    client = library.from_url(REDIS)
    publisher = RedisStreams(url=REDIS).publisher("events")
    rows = sync_rows(
        "redis-py",
        lambda: client.xadd(stream, {"payload": b"a"}),
        Service("events"),
        lambda perform: perform(publisher.publish(stream, _MESSAGE)),
        rounds,
    )
    publisher.close()
    client.delete(stream)
    client.close()
    return Comparison("a message in a stream of Redis, sync", rows, TARGET)


def nats_connector_async(rounds: int) -> Comparison:
    """Measure publishing one message to JetStream with the asynchronous connector."""
    subject = f"moorage-bench-{uuid4().hex}"
    with asyncio.Runner() as runner:

        async def open_connection() -> Any:
            library: Any = nats
            client = await library.connect(NATS)
            await client.jetstream().add_stream(
                StreamConfig(name=subject, subjects=[subject], max_msgs=10)
            )
            return client

        client = runner.run(open_connection())
        stream = client.jetstream()
        publisher = Nats(url=NATS).async_publisher("events")
        rows = async_rows(
            "nats-py",
            lambda: stream.publish(subject, b"a"),
            Service("events"),
            lambda perform: perform(publisher.publish(subject, _MESSAGE)),
            rounds,
            loop=runner.get_loop(),
        )
        runner.run(publisher.close())
        runner.run(stream.delete_stream(subject))
        runner.run(client.close())
    return Comparison("a stored message of NATS, async", rows, TARGET)


def mqtt_connector(rounds: int) -> Comparison:
    """Measure publishing one message until an MQTT broker acknowledges it."""
    client = paho.mqtt.client.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1")
    client.loop_start()
    publisher = Mqtt(url=MQTT).publisher("events")
    rows = sync_rows(
        "paho-mqtt",
        lambda: client.publish("moorage/bench", b"a", qos=1).wait_for_publish(),
        Service("events"),
        lambda perform: perform(publisher.publish("moorage/bench", _MESSAGE)),
        rounds,
    )
    publisher.close()
    client.disconnect()
    client.loop_stop()
    return Comparison("an acknowledged message of MQTT, sync", rows, TARGET)


ALL = (
    mongodb_connector,
    *((redis_streams_connector,) if is_reachable(REDIS) else ()),
    *((nats_connector_async,) if is_reachable(NATS) else ()),
    *((mqtt_connector,) if is_reachable(MQTT) else ()),
)
"""What there is a server for."""
