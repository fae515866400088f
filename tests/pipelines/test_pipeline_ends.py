"""The end of a pipeline: by a stop, by a cancellation, or despite a hanging source or sink."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest

from moorage import (
    BatchLimits,
    BatchSink,
    ConnectionFailed,
    Pipeline,
    PipelineReport,
    PipelineState,
    RecordSink,
    RetryPolicy,
    SinkRecord,
)
from moorage.pipelines._ending import CLOSING
from moorage.testing import MemoryDeadLetters, MemorySink, MemorySource, make_records
from tests.pipelines.pipeline_waiting import PATIENCE, until
from tests.pipelines.quick_pipelines import config, run
from tests.simulation import virtual_loop

if TYPE_CHECKING:
    from collections.abc import Sequence


async def test_stop_begins_no_new_batch_and_ends_running_ones() -> None:
    """After a stop no new batch begins, running batches end, and other records are released."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def store(records: Sequence[SinkRecord]) -> None:
        has_begun.set()
        await may_end.wait()

    source = MemorySource(make_records(10), is_endless=True, commits="each")
    settings = config(batch=BatchLimits(records=2))
    pipeline = Pipeline("orders", source, BatchSink(store), config=settings)
    run_task = asyncio.create_task(run(pipeline))
    await has_begun.wait()
    pipeline.stop()
    await until(lambda: pipeline.statistics().state is PipelineState.DRAINING)
    may_end.set()
    report = await run_task
    assert report.is_clean
    assert [0, 1] == [record.offset for record in source.committed]
    assert list(range(2, 10)) == [record.offset for record in source.released]
    assert 8 == report.statistics.released


def _lane_records(lanes: Sequence[int]) -> list[SinkRecord]:
    """Return records at successive offsets; records with the same number share a lane."""
    return [
        SinkRecord(b"{}", key=str(lane).encode(), topic="orders", partition=0, offset=offset)
        for offset, lane in enumerate(lanes)
    ]


@pytest.mark.parametrize("wait", [0.0, 3600.0], ids=["at once", "while a batch is filled"])
async def test_stop_processes_the_records_before_those_of_other_lanes(wait: float) -> None:
    """After a stop, earlier records are processed if the commit of started ones needs them."""
    records = _lane_records([1, 0, 1, 1] if wait else [0, 0, 1, 0, 0, 1, 1])
    has_begun, may_end = asyncio.Event(), asyncio.Event()
    stored: list[Any] = []

    async def store(batch: Sequence[SinkRecord]) -> None:
        stored.extend(record.offset for record in batch)
        if records[-1].key == batch[0].key:
            has_begun.set()
        await may_end.wait()

    source = MemorySource(records, is_endless=True)
    settings = config(lanes=2, batch=BatchLimits(records=2 if wait else 1, wait=wait))
    pipeline = Pipeline("orders", source, BatchSink(store), config=settings)
    run_task = asyncio.create_task(run(pipeline))
    await has_begun.wait()
    pipeline.stop()
    await until(lambda: pipeline.statistics().state is PipelineState.DRAINING)
    may_end.set()
    report = await run_task
    assert report.is_clean
    assert [0, 1, 2] == sorted(stored)
    assert 2 == source.committed[-1].offset


@pytest.mark.parametrize("commits", ["each", "prefix"])
def test_stop_gives_back_the_records_that_a_slow_function_has_not_begun(
    commits: Literal["each", "prefix"],
) -> None:
    """After a stop, a sink that calls a slow function with each record finishes one record only."""
    source = MemorySource(make_records(10), is_endless=True, commits=commits)
    stored: list[Any] = []

    async def store(record: SinkRecord) -> None:
        await asyncio.sleep(1.0)
        stored.append(record.offset)
        if record.offset == 2:
            pipeline.stop()
            await asyncio.sleep(1.0)

    pipeline = Pipeline("orders", source, RecordSink(store), config=config(drain=5.0))
    report = virtual_loop.run(pipeline.run())
    assert report.is_clean
    assert [0, 1, 2] == stored
    assert 3 == report.statistics.committed
    assert list(range(3, 10)) == [record.offset for record in source.released]


@pytest.mark.parametrize("is_async", [True, False])
def test_records_before_one_that_hangs_are_committed_at_the_deadline(is_async: bool) -> None:
    """If a function hangs until `drain` is over, the records it has processed are committed."""
    source = MemorySource(make_records(10), is_endless=True)
    stored: list[Any] = []
    never_set = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def store(record: SinkRecord) -> None:
        if record.offset == 3:
            pipeline.stop()
            await asyncio.Event().wait()
        stored.append(record.offset)

    def store_in_thread(record: SinkRecord) -> None:
        if record.offset == 3:
            loops[0].call_soon_threadsafe(pipeline.stop)
            never_set.wait(PATIENCE)
        stored.append(record.offset)

    function = store if is_async else store_in_thread
    pipeline = Pipeline("orders", source, RecordSink(function), config=config(drain=0.01))

    async def run_pipeline() -> PipelineReport:
        loops.append(asyncio.get_running_loop())
        return await pipeline.run()

    report = asyncio.run(run_pipeline())
    assert not report.is_clean
    assert [0, 1, 2] == stored
    assert 3 == report.statistics.committed
    assert list(range(3, 10)) == [record.offset for record in source.released]
    never_set.set()


@pytest.mark.parametrize("commits", ["each", "prefix"])
def test_stop_gives_back_the_records_that_a_slow_transform_has_not_begun(
    commits: Literal["each", "prefix"],
) -> None:
    """After a stop, a batch ends after the record that a slow transform is changing."""
    source = MemorySource(make_records(10), is_endless=True, commits=commits)

    async def look_up(record: SinkRecord) -> SinkRecord:
        await asyncio.sleep(1.0)
        if record.offset == 2:
            pipeline.stop()
            await asyncio.sleep(1.0)
        return record

    sink = MemorySink()
    pipeline = Pipeline("orders", source, sink, transforms=[look_up], config=config(drain=5.0))
    report = virtual_loop.run(pipeline.run())
    assert report.is_clean
    assert [0, 1, 2] == [record.offset for record in sink.records]
    assert 3 == report.statistics.committed
    assert list(range(3, 10)) == [record.offset for record in source.released]


def test_stop_transforms_the_records_before_those_of_other_lanes() -> None:
    """After a stop, a slow transform still gets the records before one of another lane."""
    source = MemorySource(_lane_records([0, 0, 0, 1, 0]), is_endless=True)

    async def look_up(record: SinkRecord) -> SinkRecord:
        await asyncio.sleep(1.0 if record.offset != 3 else 1.5)
        pipeline.stop()
        return record

    sink = MemorySink()
    settings = config(lanes=2, drain=50.0)
    pipeline = Pipeline("orders", source, sink, transforms=[look_up], config=settings)
    report = virtual_loop.run(pipeline.run())
    assert report.is_clean
    assert {0, 1, 2, 3} == {record.offset for record in sink.records}
    assert 4 == report.statistics.committed


def test_first_records_of_a_slow_batch_are_committed_before_its_last_ones() -> None:
    """A batch of a slow function is committed record by record."""
    source = MemorySource(make_records(3))
    committed_counts: list[int] = []

    async def store(_: SinkRecord) -> None:
        await asyncio.sleep(1.0)
        committed_counts.append(pipeline.statistics().committed)

    pipeline = Pipeline("orders", source, RecordSink(store), config=config())
    virtual_loop.run(pipeline.run())
    assert [0, 1, 2] == committed_counts


def test_stop_processes_records_of_a_slow_function_before_those_of_other_lanes() -> None:
    """After a stop, a slow function still gets records that precede one of another lane."""
    source = MemorySource(_lane_records([0, 0, 0, 1, 0]), is_endless=True)
    stored: list[Any] = []

    async def store(record: SinkRecord) -> None:
        await asyncio.sleep(1.0 if record.offset != 3 else 1.5)
        stored.append(record.offset)
        pipeline.stop()

    settings = config(lanes=2, drain=50.0)
    pipeline = Pipeline("orders", source, RecordSink(store), config=settings)
    report = virtual_loop.run(pipeline.run())
    assert report.is_clean
    assert [0, 1, 2, 3] == sorted(stored)
    assert 4 == report.statistics.committed


def test_lane_that_gives_records_back_begins_no_later_ones() -> None:
    """After a stop, a lane that released records does not begin the batches behind them."""
    source = MemorySource(_lane_records([1, 0, 0, 0, 1]), is_endless=True)
    stored: list[Any] = []

    async def store(record: SinkRecord) -> None:
        await asyncio.sleep(1.0 if record.offset == 0 else 2.0)
        stored.append(record.offset)

    async def run_and_stop() -> PipelineReport:
        asyncio.get_running_loop().call_later(0.5, pipeline.stop)
        return await pipeline.run()

    settings = config(lanes=2, drain=50.0, batch=BatchLimits(records=2))
    pipeline = Pipeline("orders", source, RecordSink(store), config=settings)
    report = virtual_loop.run(run_and_stop())
    assert report.is_clean
    assert [0, 1] == stored
    assert 2 == report.statistics.committed


@pytest.mark.parametrize("is_transform", [True, False])
def test_revocation_waits_for_one_record_of_a_slow_function(is_transform: bool) -> None:
    """A revoked partition is given up after the running record, not after its whole batch."""
    source = MemorySource(make_records(10), is_endless=True)
    stored: list[Any] = []

    async def store(record: SinkRecord) -> SinkRecord:
        await asyncio.sleep(1.0)
        stored.append(record.offset)
        return record

    async def revoke() -> float:
        loop = asyncio.get_running_loop()
        run_task = asyncio.create_task(pipeline.run())
        await asyncio.sleep(2.5)
        begin = loop.time()
        await source.revoke([("orders", 0)])
        seconds = loop.time() - begin
        pipeline.stop()
        await run_task
        return seconds

    sink = MemorySink() if is_transform else RecordSink(store)
    transforms = [store] if is_transform else []
    settings = config(drain=50.0)
    pipeline = Pipeline("orders", source, sink, transforms=transforms, config=settings)
    assert 0.5 == round(virtual_loop.run(revoke()), 3)
    assert [0, 1, 2] == stored[:3]


async def test_record_that_stays_open_ends_the_other_lanes() -> None:
    """If a record fails while the pipeline stops, no lane begins a record after it."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()
    stored: list[Any] = []

    async def store(batch: Sequence[SinkRecord]) -> None:
        [record] = batch
        stored.append(record.offset)
        if record.offset == 0:
            raise ConnectionFailed("away")
        if record.offset == 3:
            has_begun.set()
        else:
            await may_end.wait()

    settings = config(
        lanes=3,
        batch=BatchLimits(records=1),
        retry=RetryPolicy(base_delay=3600, max_delay=3600, jitter="none"),
    )
    source = MemorySource(_lane_records([0, 1, 1, 2]), is_endless=True)
    pipeline = Pipeline("orders", source, BatchSink(store), config=settings)
    run_task = asyncio.create_task(run(pipeline))
    await has_begun.wait()
    pipeline.stop()
    await until(lambda: pipeline.statistics().state is PipelineState.DRAINING)
    may_end.set()
    await run_task
    assert [0, 1, 3] == sorted(stored)
    assert [] == source.committed


async def test_hanging_sink_is_cut_off() -> None:
    """A batch that does not end soon after a stop is not committed, and is not a dead letter."""
    has_begun = asyncio.Event()

    async def write_forever(records: Sequence[SinkRecord]) -> None:
        has_begun.set()
        await asyncio.Event().wait()

    letters, source = MemoryDeadLetters(), MemorySource(make_records(3), commits="each")
    pipeline = Pipeline(
        "orders", source, BatchSink(write_forever), dead_letters=letters, config=config(drain=0.0)
    )
    run_task = asyncio.create_task(run(pipeline))
    await has_begun.wait()
    pipeline.stop()
    report = await run_task
    assert not report.is_clean
    assert [] == letters.letters
    assert [] == source.committed
    assert 3 == report.statistics.released


async def test_stop_ends_the_pause_of_a_retry() -> None:
    """A pipeline that waits before a retry stops at once."""
    letters, source = MemoryDeadLetters(), MemorySource(make_records(3))
    sink = MemorySink(lambda _: ConnectionFailed("away"))
    settings = config(retry=RetryPolicy(base_delay=3600, max_delay=3600, jitter="none"))
    pipeline = Pipeline("orders", source, sink, dead_letters=letters, config=settings)
    run_task = asyncio.create_task(run(pipeline))
    await until(lambda: bool(sink.batches))
    pipeline.stop()
    report = await run_task
    assert report.is_clean
    assert [] == letters.letters
    assert [] == source.committed


async def test_cancelled_run_leaves_nothing_behind() -> None:
    """Cancelling a run cancels its sink, closes source and sink, and commits nothing."""
    has_begun = asyncio.Event()
    ended: list[str] = []

    async def write_forever(records: Sequence[SinkRecord]) -> None:
        has_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    source = MemorySource(make_records(3))
    run_task = asyncio.create_task(run(Pipeline("orders", source, BatchSink(write_forever))))
    await has_begun.wait()
    run_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run_task
    assert ["cancelled"] == ended
    assert [] == source.committed
    assert not source.is_open
    assert 1 == len(asyncio.all_tasks())


async def test_report_is_not_clean_if_last_commit_fails() -> None:
    """If the last commit fails, the report says that the end was not clean."""
    source = MemorySource(make_records(3), is_endless=True)
    source.fail(*[ConnectionFailed("away")] * 1_000, method="commit")
    sink = MemorySink()
    pipeline = Pipeline("orders", source, sink, config=config())
    run_task = asyncio.create_task(run(pipeline))
    await until(lambda: 3 == len(sink.records))
    pipeline.stop()
    report = await run_task
    assert not report.is_clean
    assert [] == source.committed


async def test_stop_waits_for_running_commit_before_it_makes_last_one() -> None:
    """A stop waits for the running commit before it makes the last commit."""
    is_begun, may_end = asyncio.Event(), asyncio.Event()
    ended: list[bool] = []

    class SlowSource(MemorySource):
        async def commit(self, records: Sequence[SinkRecord], /) -> None:
            is_begun.set()
            await may_end.wait()
            ended.append(True)
            await super().commit(records)

    pipeline = Pipeline("slow", SlowSource(make_records(1), is_endless=True), MemorySink())
    task = asyncio.create_task(pipeline.run())
    await is_begun.wait()
    pipeline.stop()
    await until(lambda: pipeline.statistics().state is PipelineState.DRAINING)
    asyncio.get_running_loop().call_later(0.01, may_end.set)
    report = await task
    assert report.is_clean
    assert [True] == ended
    assert 1 == report.statistics.committed


class HangingPort:
    """A sink and source whose methods hang and ignore cancellation.

    Args:
        open: whether the sink hangs when it is opened.
    """

    def __init__(self, *, hangs_at_open: bool) -> None:
        self.may_end = False
        self.calls: list[str] = []
        self._source = MemorySource(make_records(3), is_endless=True, commits="each")
        self._hangs_at_open = hangs_at_open
        for name in ("process_batch", "flush", "commit", "release", "close", "poll"):
            setattr(self, name, partial(self._hang, name))
        self.commits, self.extend_every = "each", None

    async def open(self, *revoked: Any) -> None:
        """Open the source, or the sink."""
        if revoked:
            await self._source.open(*revoked)
        elif self._hangs_at_open:
            await self._hang("open")

    async def _hang(self, name: str, *arguments: Any) -> Any:
        self.calls.append(name)
        if name == "poll" and self.calls.count(name) == 1:
            return await self._source.poll(*arguments)
        while not self.may_end:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3_600.0)
        return None


@pytest.mark.parametrize("hangs_at_open", [True, False])
def test_pipeline_ends_in_time_whatever_hangs(*, hangs_at_open: bool) -> None:
    """A pipeline ends in time, even if its source and sink hang and ignore cancellation."""
    ends: Any = HangingPort(hangs_at_open=hangs_at_open)

    async def run_until_stopped() -> tuple[float, PipelineReport]:
        pipeline = Pipeline("orders", ends, ends, config=config(drain=5.0))
        run_task = asyncio.create_task(pipeline.run())
        await asyncio.sleep(10.0)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        pipeline.stop()
        await asyncio.wait([run_task], timeout=60.0)
        seconds = loop.time() - begin
        ends.may_end = True
        return seconds, await run_task

    seconds, report = virtual_loop.run(run_until_stopped())
    assert round(seconds, 6) <= 5.0 + CLOSING
    assert hangs_at_open == report.is_clean
    assert ["close", "close"] == ends.calls[-2:]
