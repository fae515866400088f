"""Pauses and worker reports of pipelines in a shared store."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from moorage import (
    AuthenticationFailed,
    ConnectionFailed,
    Pipeline,
    PipelineState,
    RecordSink,
    SinkRecord,
)
from moorage.adapters.state.sql import AsyncSqlStorage
from moorage.domain.pipelines.checkpoints import (
    AdvanceCheckpoint,
    BeginCheckpoint,
    ResetCheckpoint,
    checkpoint_key,
)
from moorage.domain.pipelines.control import (
    PausePipeline,
    PipelineStatus,
    ReadPipeline,
    ReportWorker,
    control_key,
)
from moorage.pipelines.running import arun_pipelines
from moorage.pipelines.supervision import SupervisedPipeline
from moorage.testing import MemorySink, MemorySource, make_records
from moorage.wiring.store_urls import aopen_storage
from tests.pipelines.pipeline_waiting import PATIENCE, until
from tests.support.servers import mariadb_url, postgres_url, redis_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.domain.state.commands import States

KEY = control_key("orders")
SECOND = 1_000_000
STORES: dict[str, Callable[[Path], str]] = {
    "memory": lambda _: "memory:",
    "sqlite": lambda folder: f"sqlite:///{folder}/state.db",
    "redis": lambda _: redis_url(),
    "postgresql": lambda _: postgres_url(),
    "mariadb": lambda _: mariadb_url(),
}


def test_reports_are_bounded() -> None:
    """A store keeps a report per worker, for the 20 newest workers and at most a day."""
    states: States = (None,)
    for number in range(30):
        states, is_paused = ReportWorker(KEY, f"w{number}", {"n": number}).apply(
            states, number * SECOND
        )
        assert is_paused is False
    states, _ = ReportWorker(KEY, "w29", {"n": 99}).apply(states, 40 * SECOND)
    _, status = ReadPipeline(KEY).apply(states, 41 * SECOND)
    assert 20 == len(status.workers)
    assert ("w29", 1.0, {"n": 99}) == status.workers[0]
    assert "w10" == status.workers[-1].worker

    later_time = 40 * SECOND + 86_400 * SECOND
    states, _ = ReportWorker(KEY, "new", {}).apply(states, later_time)
    _, status = ReadPipeline(KEY).apply(states, later_time - 5)
    assert [("new", 0.0, {})] == [tuple(report) for report in status.workers]
    assert PipelineStatus(None, ()) == ReadPipeline(KEY).apply((None,), 0)[1]


@pytest.mark.parametrize("store", STORES)
async def test_pause_is_kept_by_every_store(store: str, tmp_path: Path) -> None:
    """In every store, a pipeline's pause survives reports until it is resumed."""
    storage = aopen_storage(STORES[store](tmp_path))
    key = control_key(f"pipeline-{tmp_path.name}")
    async with AsyncExitStack() as cleanup:
        if store != "memory":
            await cleanup.enter_async_context(storage)
        if isinstance(storage, AsyncSqlStorage):
            await storage.migrate()
        assert not await storage.execute(PausePipeline(key, "audit"))
        assert await storage.execute(ReportWorker(key, "w", {"state": "stopped"}))
        status = await storage.execute(ReadPipeline(key))
        assert ("audit", "w") == (status.paused, status.workers[0].worker)
        assert await storage.execute(PausePipeline(key, None))
        assert not await storage.execute(ReportWorker(key, "w", {}))


def test_running_worker_can_store_no_position_after_reset() -> None:
    """After a reset the running worker can store no position; the next one starts at the reset."""
    key = checkpoint_key("orders")
    states, owner = BeginCheckpoint(key, "a").apply((None,), 1)
    states, _ = AdvanceCheckpoint(key, owner.epoch, {"0": 5}).apply(states, 2)
    assert (key,) == ResetCheckpoint(key, {}).keys
    states, _ = ResetCheckpoint(key, {"0": 2}).apply(states, 3)
    states, is_stored = AdvanceCheckpoint(key, owner.epoch, {"0": 6}).apply(states, 4)
    assert not is_stored
    states, next_owner = BeginCheckpoint(key, "a").apply(states, 5)
    assert (3, {"0": 2}) == next_owner
    assert ({},) == (
        BeginCheckpoint(key, "b").apply(ResetCheckpoint(key, {}).apply((None,), 1)[0], 2)[1][1],
    )


async def test_pause_ends_a_run_and_resume_begins_another() -> None:
    """A paused pipeline releases its records, and resumes with a newly opened source."""
    storage = aopen_storage("memory:")
    sinks: list[MemorySink] = []

    def make_pipeline() -> Pipeline:
        sinks.append(MemorySink())
        return Pipeline("orders", MemorySource(make_records(2), is_endless=True), sinks[-1])

    await storage.execute(PausePipeline(KEY, "not yet"))
    pipeline = SupervisedPipeline("orders", make_pipeline, storage, worker="w", interval=0.001)
    task = asyncio.create_task(pipeline.run())

    async def until_state(expected: str) -> None:
        async with asyncio.timeout(PATIENCE):
            status = await storage.execute(ReadPipeline(KEY))
            while expected not in [worker.fields["state"] for worker in status.workers]:
                await asyncio.sleep(0.001)
                status = await storage.execute(ReadPipeline(KEY))

    await until_state("stopped")
    await until(lambda: pipeline.statistics().state is PipelineState.PAUSED)
    assert [] == sinks
    for runs in (1, 2):
        await storage.execute(PausePipeline(KEY, None))
        await until(lambda: len(sinks) == runs and len(sinks[-1].values) == 2)  # noqa: B023 - at once
        await until_state("running")
        assert 2 * runs == pipeline.statistics().processed
        await storage.execute(PausePipeline(KEY, "again"))
        await until(lambda: pipeline.statistics().state is PipelineState.PAUSED)
    pipeline.stop()
    report = await task
    assert (True, PipelineState.STOPPED) == (report.is_clean, report.statistics.state)
    assert 2 == report.statistics.processed
    totals = pipeline.statistics()
    assert (PipelineState.STOPPED, 4, 0) == (
        totals.state,
        totals.processed,
        totals.records_in_flight,
    )


async def test_stop_ends_a_supervised_pipeline() -> None:
    """`stop` ends a supervised pipeline, and its last report has the final counts."""
    storage = aopen_storage("memory:")
    sink = MemorySink()
    pipeline = SupervisedPipeline(
        "orders",
        lambda: Pipeline("orders", MemorySource(make_records(3), is_endless=True), sink),
        storage,
        worker="w",
    )
    task = asyncio.create_task(arun_pipelines([pipeline]))
    await until(lambda: len(sink.values) == 3)
    pipeline.stop()
    [report] = await task
    assert report.is_clean
    [worker] = (await storage.execute(ReadPipeline(KEY))).workers
    assert ("stopped", 3) == (worker.fields["state"], worker.fields["processed"])


async def test_failure_is_reported() -> None:
    """The report of a failed pipeline names the error."""
    storage = aopen_storage("memory:")
    source = MemorySource([])
    source.fail(AuthenticationFailed("no"), method="open")
    pipeline = SupervisedPipeline(
        "orders", lambda: Pipeline("orders", source, MemorySink()), storage, worker="w"
    )
    with pytest.raises(AuthenticationFailed):
        await pipeline.run()
    [worker] = (await storage.execute(ReadPipeline(KEY))).workers
    assert "failed" == worker.fields["state"]
    assert worker.fields["last_error"].startswith("AuthenticationFailed: ")


async def test_pipeline_runs_without_its_store() -> None:
    """A pipeline runs on while the store of its pauses and reports is unreachable."""

    class UnreachableStore:
        async def execute(self, _: object, /, timeout: float | None = None) -> bool:
            raise ConnectionFailed(f"gone for {timeout} s")

    stored: list[SinkRecord] = []
    pipeline = SupervisedPipeline(
        "orders",
        lambda: Pipeline("orders", MemorySource(make_records(2)), RecordSink(stored.append)),
        UnreachableStore(),  # type: ignore[arg-type]  # it has no other method
        worker="w",
    )
    assert (await pipeline.run()).is_clean
    assert 2 == len(stored)
