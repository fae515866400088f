"""Checks for pipelines whose source is a message broker."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import tracemalloc
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage import (
    BatchLimits,
    BatchSink,
    Message,
    Pipeline,
    PipelineConfig,
    PollLimits,
    RetryPolicy,
    SinkRecord,
)
from moorage.domain.resilience.retry import Jitter
from moorage.testing import MemorySink
from tests.pipelines.pipeline_waiting import until
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

MANY: Final = PollLimits(1_000, 1_000_000, 0.05)
SHORTEST_PAUSE: Final = 0.02


class Revocations(list[object]):
    """A callback that records the partitions that were revoked from a source."""

    async def __call__(self, partitions: object) -> None:
        """Record a revocation."""
        self.append(partitions)


async def read_count(source: Any, count: int) -> list[SinkRecord]:
    """Poll an open source until it has delivered at least this many records, and return them."""
    records: list[SinkRecord] = []
    async with asyncio.timeout(60.0):
        while len(records) < count:
            records += await source.poll(MANY)
    return records


def messages(count: int, **fields: Any) -> list[Message]:
    """Return numbered messages with ids and seven different keys."""
    return [
        Message(str(number), id=f"id-{number}", key=f"key-{number % 7}", **fields)
        for number in range(count)
    ]


def attempts_by_record(file: Path) -> dict[str, int]:
    """Return how often each record was attempted, by the record's identity."""
    with sqlite3.connect(file) as database:
        rows = dict(database.execute("SELECT identity, attempts FROM effects").fetchall())
    database.close()
    return rows


def _has_count(file: Path, count: int) -> bool:
    return len(attempts_by_record(file)) >= count


def check_killed_workers(
    arguments: Sequence[str],
    file: Path,
    count: int,
    is_done: Callable[[], bool],
    *,
    chance: random.Random | None = None,
    deaths: int = 3,
    repeats: int = 60,
) -> int:
    """Kill workers at random moments, and check that every record is processed.

    Args:
        arguments: the kind of the broker, its URL, and the queue or stream.
        file: the file of the sink's database.
        count: the number of messages in the queue or stream.
        is_done: whether the broker has nothing left to deliver.
        chance: draws the moments.
        deaths: the number of workers that are killed.
        repeats: the number of records that each death may repeat, which are those delivered ahead.

    Returns:
        The number of records that were repeated.
    """
    chance = chance or random.Random(20261125)
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE effects (identity TEXT PRIMARY KEY, attempts INTEGER)")
    database.close()
    command = [sys.executable, "-m", "tests.pipelines.broker_worker", *arguments, str(file)]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    for _ in range(deaths):
        worker = start()
        goal = min(count - 1, len(attempts_by_record(file)) + chance.randrange(1, count // 4))
        wait_until(partial(_has_count, file, goal), "the worker's effects")
        worker.kill()
        worker.communicate()
    worker = start()
    assert worker.stdout is not None
    assert b"running\n" == worker.stdout.readline()
    wait_until(lambda: len(attempts_by_record(file)) == count, "the last effects")
    wait_until(is_done, "the last acknowledgement")
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=60)
    assert (0, b"") == (worker.returncode, errors)
    attempts = attempts_by_record(file).values()
    repeated = sum(attempts) - count
    assert repeated <= deaths * repeats, f"{repeated} records were repeated"
    assert max(attempts) <= deaths + 1
    return repeated


async def check_restarted_broker(
    source: Any,
    publish: Callable[[Sequence[Message]], Awaitable[None]],
    stop: Callable[[], object],
    start: Callable[[], object],
) -> None:
    """Restart the broker under a pipeline; check that all records arrive and that retries pause."""
    sink = MemorySink()
    attempts: list[float] = []
    connect = source.open

    async def count_attempts(revoked: Any) -> None:
        attempts.append(monotonic())
        await connect(revoked)

    source.open = count_attempts
    pauses = RetryPolicy(
        base_delay=2 * SHORTEST_PAUSE, max_delay=2 * SHORTEST_PAUSE, jitter=Jitter.EQUAL
    )
    config = PipelineConfig(batch=BatchLimits(records=10), reconnect=pauses, retry=pauses)
    pipeline = Pipeline("orders", source, sink, config=config)
    run_task = asyncio.create_task(pipeline.run())
    await publish(messages(200)[:100])
    await until(lambda: bool(sink.records))
    await asyncio.to_thread(stop)
    await until(lambda: len(attempts) > 3)
    await asyncio.to_thread(start)
    await publish(messages(200)[100:])
    await until(lambda: len({record.identity for record in sink.records}) == 200)
    pipeline.stop()
    await run_task
    # The first attempt after a failure follows at once.
    assert len(attempts) - 2 <= (attempts[-1] - attempts[0]) / SHORTEST_PAUSE + 1


async def check_slow_sink(source: Any, total: int) -> int:
    """Make a sink hang while the source has a backlog; return the memory use."""
    is_waiting = asyncio.Event()
    released = asyncio.Event()

    async def store(_: list[SinkRecord]) -> None:
        is_waiting.set()
        await released.wait()

    config = PipelineConfig(
        records_in_flight=100, size_in_flight=1_000_000, batch=BatchLimits(records=10), drain=60.0
    )
    pipeline = Pipeline("orders", source, BatchSink(store), config=config)
    tracemalloc.start()
    run_task = asyncio.create_task(pipeline.run())
    await is_waiting.wait()
    loop = asyncio.get_running_loop()
    quiet = loop.time() + 1.0
    held_count = 0
    while loop.time() < quiet:
        await asyncio.sleep(0.05)
        current = tracemalloc.get_traced_memory()[0]
        if current > held_count + 100_000:
            held_count, quiet = current, loop.time() + 1.0
    tracemalloc.stop()
    assert total > pipeline.statistics().received
    released.set()
    pipeline.stop()
    await run_task
    return held_count
