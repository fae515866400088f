"""Pipelines that report to a shared store, and pause while the store says so."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.pipelines.control import (
    ReportWorker,
    control_key,
)
from moorage.domain.pipelines.settings import PipelineReport, PipelineState, PipelineStatistics
from moorage.domain.values.functions import check_store_kind
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.pipelines.pipeline import Pipeline
    from moorage.ports.state import AsyncStateStorage

_TIMEOUT: Final = 5.0
"""Seconds in which the store must answer; the pipeline itself does not wait for it."""


class SupervisedPipeline:
    """A pipeline that reports to a shared store, and runs unless it is paused there.

    A pause ends the run as `stop` does, and the end of the pause begins another run. While the
    store is unreachable, the pipeline stays running or paused as before.

    Attributes:
        name: the name of the pipeline.
        reload_error: the reason why the last change of its configuration was refused, which
            reports show; None if it was accepted.

    Args:
        name: the name of the pipeline.
        make: function that makes a new pipeline for each run.
        storage: the store of the reports and pauses.
        worker: the name of this worker in reports.
        interval: seconds between two reports.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Pipeline],
        storage: AsyncStateStorage,
        *,
        worker: str,
        interval: float = 2.0,
    ) -> None:
        check_store_kind(storage, "storage")
        self.name = name
        self.reload_error: str | None = None
        self._key = control_key(name)
        self._make = make
        self._storage = storage
        self._worker = worker
        self._interval = interval
        self._stopping = asyncio.Event()
        # A single value, because another thread may read the numbers between two batches.
        self._runs: tuple[Pipeline | None, PipelineStatistics] = (None, PipelineStatistics())
        self._is_paused = False

    def statistics(self) -> PipelineStatistics:
        """Return the statistics of all runs with the latest state, without waiting."""
        pipeline, ended_statistics = self._runs
        return (
            ended_statistics if pipeline is None else pipeline.statistics().plus(ended_statistics)
        )

    def stop(self) -> None:
        """Begin to stop, as `Pipeline.stop` does."""
        self._stopping.set()
        pipeline, _ = self._runs
        if pipeline is not None:
            pipeline.stop()

    async def run(self) -> PipelineReport:
        """Run until the source ends, or until `stop` is called.

        Returns:
            The report of the last run; it is clean if all runs were clean.

        Raises:
            Exception: the failure that stopped the pipeline.
        """
        is_clean, statistics = True, PipelineStatistics(state=PipelineState.STOPPED)
        await self._report(statistics)
        while not self._stopping.is_set():
            if self._is_paused:
                self._runs = None, attrs.evolve(self._runs[1], state=PipelineState.PAUSED)
                await self._wait()
                await self._report(statistics)
                continue
            report = await self._run_once()
            is_clean, statistics = is_clean and report.is_clean, report.statistics
            if not self._is_paused:
                break
        self._runs = None, attrs.evolve(self._runs[1], state=statistics.state)
        return PipelineReport(is_clean=is_clean, statistics=statistics)

    async def _run_once(self) -> PipelineReport:
        """Run the pipeline until it ends or is paused."""
        pipeline = self._make()
        self._runs = pipeline, self._runs[1]
        reporting_task = asyncio.create_task(self._keep_reporting(pipeline))
        try:
            return await pipeline.run()
        finally:
            ended_statistics = attrs.evolve(
                self.statistics(), records_in_flight=0, size_in_flight=0
            )
            self._runs = None, ended_statistics
            reporting_task.cancel()
            await asyncio.wait([reporting_task])
            await self._report(pipeline.statistics())

    async def _keep_reporting(self, pipeline: Pipeline) -> None:
        while not self._is_paused:
            await self._report(pipeline.statistics())
            await asyncio.sleep(self._interval)
        pipeline.stop()

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                await self._stopping.wait()

    async def _report(self, statistics: PipelineStatistics) -> None:
        """Store the pipeline's statistics; return whether the pipeline is paused."""
        fields = {**attrs.asdict(statistics), "state": statistics.state.value}
        if self.reload_error is not None:
            fields["reload_error"] = self.reload_error
        command = ReportWorker(self._key, self._worker, fields)
        with suppress(ConnectorError):
            self._is_paused = await self._storage.execute(command, timeout=_TIMEOUT)
