"""A process that relays an outbox table into a table of published rows until it is killed."""

from __future__ import annotations

import asyncio
import sys

from moorage import (
    AsyncConnectorManager,
    BatchLimits,
    Pipeline,
    PipelineConfig,
    PollingSource,
    Service,
)
from moorage.adapters.sql.checkpoints import SqlCheckpoints
from moorage.adapters.sql.connector import AsyncSqlConnector
from moorage.adapters.sql.outbox_table import OutboxTable
from moorage.adapters.sql.sink import SqlSink


async def relay(url: str, schema: str) -> None:
    """Relay rows exactly once, in small batches, until the process is killed."""
    connector = AsyncSqlConnector(url, options={"options": f"-c search_path={schema}"})
    manager = AsyncConnectorManager([Service("sql")])
    checkpoints = SqlCheckpoints(manager, connector)
    await checkpoints.create_table()
    outbox = OutboxTable(manager, connector, "outbox", limit=50)
    sink = SqlSink(
        manager,
        connector,
        "published",
        columns=["id", "name", "number"],
        row=lambda record: {"id": record.id, **record.json()},
        checkpoints=checkpoints,
    )
    source = PollingSource("outbox", outbox.after, checkpoints, interval=0.001)
    config = PipelineConfig(batch=BatchLimits(records=20), records_in_flight=100)
    await Pipeline("relay", source, sink, config=config).run()


if __name__ == "__main__":
    asyncio.run(relay(*sys.argv[1:]))
