"""Costs of reading records from an MQTT broker in a pipeline, and of publishing batches.

All figures are processor time of this process; the broker is another. Both contenders read or
publish the same messages of 1 KiB with QoS 1. paho-mqtt does nothing with what it reads.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import servers
from broker_costs import MESSAGES, PAYLOAD, PUBLISHING, READING, check, publishing_rows, reading
from measure import Comparison
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pipeline_costs import BATCH, reading_rows, run_pipeline

from moorage import ConnectorManager, Mqtt, Service
from moorage.adapters.mqtt.source import MqttSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measure import Read

_HOUR: Final = 3_600


def _connected_client(port: int, client_id: str, expiry: int = _HOUR) -> Any:
    """Return a connected client that resumes its session."""
    client: Any = Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5
    )
    properties: Any = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = expiry
    properties.ReceiveMaximum = BATCH
    client.max_queued_messages_set(0)
    client.max_inflight_messages_set(65_535)
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    return client


@contextmanager
def _client_thread(client: Any) -> Iterator[Any]:
    """Run a client's thread during a block, and disconnect afterwards."""
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def _publish(client: Any, topic: str, size: int) -> None:
    """Publish messages, and wait for all acknowledgements."""
    receipts: list[MQTTMessageInfo] = [client.publish(topic, PAYLOAD, qos=1) for _ in range(size)]
    for receipt in receipts:
        receipt.wait_for_publish(60)


def pipeline_mqtt(rounds: int) -> Comparison:
    """Measure reading 1 KiB records from an MQTT topic into an empty sink, acknowledging them."""
    with servers.mosquitto() as port:

        async def fill(topic: str, calls: int) -> None:
            client, subscribed = _connected_client(port, topic), []
            client.on_subscribe = lambda *event: subscribed.append(event)
            client.subscribe(topic, qos=1)
            while not subscribed:
                client.loop()
            client.disconnect()
            with _client_thread(_connected_client(port, "filler", 0)) as filler:
                for start in range(0, calls, BATCH):
                    _publish(filler, topic, min(BATCH, calls - start))

        async def drop(topic: str) -> None:
            with _client_thread(_connected_client(port, topic, 0)):
                pass

        async def run_library_alone(topic: str, calls: int) -> None:
            client, read = _connected_client(port, topic), count(1)

            def record_receipt(*_: object) -> None:
                if next(read) == calls:
                    client.disconnect()

            client.on_message = record_receipt
            client.loop_forever(retry_first_connection=False)

        async def run_with_moorage(topic: str, calls: int) -> None:
            settings = Mqtt(url=f"mqtt://127.0.0.1:{port}")
            source = MqttSource(settings, [topic], client_id=topic, prefetch=BATCH)
            await run_pipeline(source, calls)

        names = count()
        rows = reading_rows(
            "paho-mqtt",
            reading(fill, run_library_alone, drop, names),
            reading(fill, run_with_moorage, drop, names),
            rounds,
        )
    return Comparison("a record from a topic of MQTT", rows, READING)


def publish_mqtt(rounds: int) -> Comparison:
    """Measure publishing 1 KiB messages to an MQTT broker in batches, per acknowledged message."""
    topic = f"moorage-bench-{uuid4().hex}"
    with servers.mosquitto() as port, _client_thread(_connected_client(port, "bench", 0)) as client:
        publisher = Mqtt(url=f"mqtt://127.0.0.1:{port}").publisher("events")
        manager = ConnectorManager([Service("events")])

        def run_library_alone(calls: int, clock: Read) -> float:
            begin = clock()
            for start in range(0, calls, BATCH):
                _publish(client, topic, min(BATCH, calls - start))
            return clock() - begin

        def run_with_moorage(calls: int, clock: Read) -> float:
            begin = clock()
            for start in range(0, calls, BATCH):
                batch = publisher.publish_batch(topic, MESSAGES[: min(BATCH, calls - start)])
                check(manager.perform("events", batch))
            return clock() - begin

        rows = publishing_rows("paho-mqtt", run_library_alone, run_with_moorage, rounds)
        publisher.close()
    return Comparison("a message of a batch to a topic of MQTT", rows, PUBLISHING)


ALL = (pipeline_mqtt, publish_mqtt) if shutil.which("mosquitto") else ()
"""What there is a broker for."""
