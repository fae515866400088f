"""Measures pipelines: the cost per record from a broker, and concurrent lanes of handlers.

Needs the program redis-server, and starts a private server for the time of a table.
"""

from __future__ import annotations

import asyncio
import shutil
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import faststream.redis
import redis as redis_sync
import redis.asyncio as redis_async
import servers
from measure import ELAPSED, PROCESSOR, Block, Comparison, Contender, Read, Table, Target, compare

from moorage import Pipeline, PipelineConfig, SinkRecord
from moorage.adapters.redis_streams.kind import RedisStreams
from moorage.adapters.redis_streams.source import RedisStreamsSource
from moorage.domain.pipelines.batches import BatchLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Literal

    from moorage.ports.pipelines import PollLimits

BATCH: Final = 500
GROUP: Final = "bench"
LANES: Final = 32
PAUSE: Final = 0.01
_PAYLOAD: Final = b"x" * 1024


class StoppingSink:
    """A sink that counts records, and stops its pipeline after a number of them.

    Args:
        records: the number.
        pause: the seconds that it waits for each batch.
        use: is called with each record; by default the sink looks at none.
    """

    def __init__(
        self,
        records: int,
        pause: float = 0.0,
        use: Callable[[SinkRecord], object] | None = None,
    ) -> None:
        self.pipeline: Pipeline | None = None
        self._left = records
        self._pause = pause
        self._use = use

    async def open(self) -> None:
        """Do nothing."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Wait, use the records, and count them."""
        if self._pause:
            await asyncio.sleep(self._pause)
        if self._use is not None:
            for record in records:
                self._use(record)
        self._left -= len(records)
        if not self._left and self.pipeline is not None:
            self.pipeline.stop()

    async def flush(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class ListSource:
    """A source with the records of a list."""

    commits: Literal["each", "prefix"] = "each"
    extend_every: float | None = None

    def __init__(self, records: list[SinkRecord]) -> None:
        self._records = records
        self._ended = asyncio.Event()

    async def open(self, _: Any, /) -> None:
        """Do nothing."""

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        """Return the next records; None after the last one."""
        batch, self._records = self._records[: limits.records], self._records[limits.records :]
        return batch or None

    async def commit(self, _: Sequence[SinkRecord], /) -> None:
        """Do nothing."""

    release = extend = commit

    async def seek(self, *_: Any) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


async def run_pipeline(
    source: Any,
    records: int,
    config: PipelineConfig | None = None,
    pause: float = 0.0,
    use: Callable[[SinkRecord], object] | None = None,
) -> None:
    """Read this many records from a source into a `StoppingSink`."""
    sink = StoppingSink(records, pause, use)
    pipeline = sink.pipeline = Pipeline("bench", source, sink, config=config)
    report = await pipeline.run()
    if report.statistics.committed != records:
        raise RuntimeError(f"{report.statistics.committed} of {records} records were committed.")


def _filled_block(
    url: str, consume: Callable[[str, int], Coroutine[Any, Any, None]], names: count[int]
) -> Block:
    """Return a function that fills a stream, then measures only the reading from it."""
    client = redis_sync.Redis.from_url(url)

    def block(calls: int, read: Read) -> float:
        stream = f"stream-{next(names)}"
        client.xgroup_create(stream, GROUP, "0", mkstream=True)
        for start in range(0, calls, 1_000):
            pipeline = client.pipeline(transaction=False)
            for _ in range(min(1_000, calls - start)):
                pipeline.xadd(stream, {b"payload": _PAYLOAD})
            pipeline.execute()

        async def time_calls() -> float:
            begin = read()
            await consume(stream, calls)
            return read() - begin

        try:
            return asyncio.run(time_calls())
        finally:
            client.delete(stream)

    return block


def reading_rows(
    library: str,
    run_library_alone: Block,
    run_with_moorage: Block,
    rounds: int,
    peers: Mapping[str, Block] | None = None,
    *,
    block_seconds: float = 0.1,
) -> Table:
    """Measure reading in blocks so long that connecting and stopping hardly count."""
    peer_contenders = [Contender(name, block) for name, block in (peers or {}).items()]
    return compare(
        None,
        [
            Contender(library, run_library_alone),
            Contender("moorage", run_with_moorage),
            *peer_contenders,
        ],
        rounds=max(5, rounds // 4),
        clock=PROCESSOR,
        block_seconds=block_seconds,
        mirrored=True,
        least=4 * BATCH,
    )


def pipeline_redis(rounds: int) -> Comparison:
    """Measure reading 1 KiB records from a Redis stream into an empty sink, acknowledging them."""
    with servers.redis(tcp=True) as (url, _):

        async def run_library_alone(stream: str, calls: int) -> None:
            client = redis_async.Redis.from_url(url)
            while calls:
                reply: Any = await client.xreadgroup(
                    GROUP, "bench", {stream: ">"}, count=BATCH, block=1_000
                )
                entries = _entries(reply)
                await client.xack(stream, GROUP, *(entry[0] for entry in entries))
                calls -= len(entries)
            await client.aclose()

        async def run_with_moorage(stream: str, calls: int) -> None:
            await run_pipeline(
                RedisStreamsSource(RedisStreams(url=url), [stream], group=GROUP), calls
            )

        async def peer(stream: str, calls: int) -> None:
            broker = faststream.redis.RedisBroker(url, logger=None)
            stream_of = faststream.redis.StreamSub(
                stream, group=GROUP, consumer="bench", batch=True, max_records=BATCH
            )
            read, all_read = 0, asyncio.Event()

            @broker.subscriber(stream=stream_of)
            async def handle(messages: list[Any]) -> None:
                nonlocal read
                read += len(messages)
                if read >= calls:
                    all_read.set()

            async with broker:
                await broker.start()
                await all_read.wait()

        names = count()
        rows = reading_rows(
            "redis-py, XREADGROUP and XACK",
            _filled_block(url, run_library_alone, names),
            _filled_block(url, run_with_moorage, names),
            rounds,
            {"FastStream": _filled_block(url, peer, names)},
            block_seconds=0.25,
        )
    return Comparison("a record from a Redis stream", rows, Target(1.25, 1.0))


def _entries(reply: Any) -> Sequence[Any]:
    """Return the entries of a reply's only stream, in either protocol version."""
    if isinstance(reply, dict):
        (entries,) = next(iter(reply.values()))
        return entries
    return reply[0][1]


def pipeline_lanes(rounds: int) -> Comparison:
    """Compare a pipeline's thirty-two lanes with as many bare tasks; a handler takes 10 ms."""

    async def ideal_lanes(calls: int) -> None:
        numbers = iter(range(calls))

        async def task() -> None:
            for _ in numbers:
                await asyncio.sleep(PAUSE)

        await asyncio.gather(*(task() for _ in range(LANES)))

    async def run_with_moorage(calls: int) -> None:
        records = [SinkRecord(_PAYLOAD, topic="orders", offset=n) for n in range(calls)]
        config = PipelineConfig(lanes=LANES, batch=BatchLimits(records=1))
        await run_pipeline(ListSource(records), calls, config, PAUSE)

    def block(consume: Callable[[int], Coroutine[Any, Any, None]]) -> Block:
        def time_calls(calls: int, read: Read) -> float:
            begin = read()
            asyncio.run(consume(calls))
            return read() - begin

        return time_calls

    rows = compare(
        None,
        [
            Contender("32 tasks", block(ideal_lanes)),
            Contender("moorage, 32 lanes", block(run_with_moorage)),
        ],
        rounds=max(5, rounds // 6),
        clock=ELAPSED,
        # A pipeline starts and stops in 10 ms, which is to weigh little.
        block_seconds=1.2,
        mirrored=True,
    )
    return Comparison("a record that a handler takes 10 ms for", rows, Target(1.18, 1.05))


ALL = (*((pipeline_redis,) if shutil.which("redis-server") else ()), pipeline_lanes)
