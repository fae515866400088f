"""A worker process with a pipeline from a broker to SQLite, which tests kill.

Arguments: the kind of the broker, its address, and the file of the database.
"""

import sqlite3
import sys

from moorage import BatchLimits, BatchSink, Pipeline, PipelineConfig, SinkRecord, run_pipelines
from moorage.adapters.messages.kafka import Kafka
from moorage.adapters.messages.kafka_source import KafkaSource

KIND, ADDRESS, FILE = sys.argv[1:]


def store(records: list[SinkRecord]) -> None:
    """Write records idempotently, and count each attempt."""
    with sqlite3.connect(FILE, timeout=60.0) as database:
        database.executemany(
            "INSERT INTO effects VALUES (?, 1) ON CONFLICT DO UPDATE SET attempts = attempts + 1",
            [(record.text,) for record in records],
        )
    database.close()


def pipelines() -> list[Pipeline]:
    """Return the pipeline of this worker process."""
    settings = Kafka(
        servers=ADDRESS, options={"session.timeout.ms": 3_000, "heartbeat.interval.ms": 100}
    )
    source = KafkaSource(settings, ["orders"], group="workers")
    config = PipelineConfig(
        lanes=3, batch=BatchLimits(records=20), records_in_flight=200, drain=5.0
    )
    return [Pipeline("orders", source, BatchSink(store), config=config)]


if __name__ == "__main__":
    [report] = run_pipelines(pipelines)
    sys.exit(0 if report.is_clean else 3)
