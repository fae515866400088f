"""A worker process with a transactional Kafka pipeline, which tests kill.

Arguments: the address of the broker, and the transactional id.
"""

import sys
import time

from moorage import BatchLimits, Kafka, Pipeline, PipelineConfig, SinkRecord, run_pipelines
from moorage.adapters.messages.kafka_source import KafkaSource
from moorage.pipelines.kafka_transactions import KafkaTransactionSink

SERVERS, ID = sys.argv[1:]


def delay_record(record: SinkRecord) -> SinkRecord:
    """Delay each record a little, so that the test's kills hit every step."""
    time.sleep(0.001)
    return record


def pipelines() -> list[Pipeline]:
    """Return the pipeline of this worker process."""
    options = {"session.timeout.ms": 1_000, "heartbeat.interval.ms": 100}
    source = KafkaSource(
        Kafka(servers=SERVERS, options=options), ["orders"], group="billing", transactional_id=ID
    )
    config = PipelineConfig(batch=BatchLimits(records=10), records_in_flight=60, drain=5.0)
    sink = KafkaTransactionSink(source, "invoices")
    return [Pipeline("billing", source, sink, transforms=[delay_record], config=config)]


if __name__ == "__main__":
    [report] = run_pipelines(pipelines)
    sys.exit(0 if report.is_clean else 3)
