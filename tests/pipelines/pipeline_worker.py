"""A worker process with a pipeline from Redis to Redis, which tests kill.

Arguments: the URL of the server, the number of lanes, and "hang" for a sink that never ends.
"""

import sys
import time

import redis

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
from moorage.adapters.redis_streams.source import RedisStreamsSource

URL, LANES, KIND = sys.argv[1:]


def store(records: list[SinkRecord]) -> None:
    """Write records idempotently, and count each attempt."""
    with redis.Redis.from_url(URL) as client, client.pipeline() as commands:
        for record in records:
            commands.incr(f"attempts/{record.identity}")
            commands.hset("effects", record.identity, record.payload)
        commands.execute()
    while KIND == "hang":
        time.sleep(1)


def pipelines() -> list[Pipeline]:
    """Return the pipeline of this worker process."""
    source = RedisStreamsSource(
        RedisStreams(url=Secret(URL)), ["orders"], group="workers", consumer="worker"
    )
    config = PipelineConfig(
        lanes=int(LANES), batch=BatchLimits(records=20), records_in_flight=200, drain=0.5
    )
    return [Pipeline("orders", source, BatchSink(store), config=config)]


if __name__ == "__main__":
    [report] = run_pipelines(pipelines)
    sys.exit(0 if report.is_clean else 3)
