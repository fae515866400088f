"""A worker process with a pipeline from a broker to SQLite, which tests kill.

Arguments: the kind of the broker, its address, the queue, stream or topic, and the file of the
database.
"""

import sqlite3
import sys
from typing import Any

from moorage import (
    BatchLimits,
    BatchSink,
    Pipeline,
    PipelineConfig,
    RedisStreams,
    Secret,
    SinkRecord,
    run_pipelines,
)
from moorage.adapters.messages.kafka import Kafka
from moorage.adapters.messages.kafka_source import KafkaSource
from moorage.adapters.messages.nats import Nats
from moorage.adapters.messages.nats_source import NatsSource
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.adapters.messages.rabbitmq_source import RabbitMqSource
from moorage.adapters.mqtt.kind import Mqtt
from moorage.adapters.mqtt.source import MqttSource
from moorage.adapters.redis_streams.source import RedisStreamsSource

KIND, ADDRESS, PLACE, FILE = sys.argv[1:]


def store(records: list[SinkRecord]) -> None:
    """Write records idempotently, and count each attempt."""
    with sqlite3.connect(FILE, timeout=60.0) as database:
        database.executemany(
            "INSERT INTO effects VALUES (?, 1) ON CONFLICT DO UPDATE SET attempts = attempts + 1",
            [(record.identity,) for record in records],
        )
    database.close()


class AnnouncingSink(BatchSink):
    """A sink that prints a line when it opens, as a sign for the test to send a signal."""

    async def open(self) -> None:
        """Print that the pipeline runs."""
        sys.stdout.write("running\n")
        sys.stdout.flush()


def source() -> Any:
    """Return a source that soon takes over messages from a dead worker."""
    url = Secret(ADDRESS)
    match KIND:
        case "rabbitmq":
            return RabbitMqSource(RabbitMq(url=url), [PLACE], prefetch=60)
        case "nats":
            return NatsSource(Nats(url=url), [PLACE], group="workers", ack_wait=2.0)
        case "mqtt":
            return MqttSource(Mqtt(url=url), [PLACE], client_id=f"worker-of-{PLACE}", prefetch=60)
        case "redis":
            return RedisStreamsSource(
                RedisStreams(url=url), [PLACE], group="workers", claim_after=2.0
            )
        case _:
            options = {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 100}
            settings = Kafka(servers=ADDRESS, options=options)
            return KafkaSource(settings, [PLACE], group="workers")


def pipelines() -> list[Pipeline]:
    """Return the pipeline of this worker process."""
    config = PipelineConfig(lanes=3, batch=BatchLimits(records=20), records_in_flight=60, drain=5.0)
    return [Pipeline("orders", source(), AnnouncingSink(store), config=config)]


if __name__ == "__main__":
    [report] = run_pipelines(pipelines)
    sys.exit(0 if report.is_clean else 3)
