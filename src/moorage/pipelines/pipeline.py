"""A pipeline reads records from a source, transforms them, and delivers them to a sink.

Laws:

1. A record is committed at the source only after it was settled: processed by the sink and flushed,
   left out by a transform, or stored as a dead letter.
2. The records in flight never exceed the limits of the settings, in number and in bytes.
3. A pipeline that stops begins no more batches. Batches in progress get a limited time to end. All
   other records are neither committed nor made dead letters.
4. A pipeline ends by itself only if its source ends, or after a failure that is not temporary.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from moorage.domain.pipelines.failures import FailureConsequence, source_verdict, verdict
from moorage.domain.pipelines.records import joined_records
from moorage.domain.pipelines.settings import PipelineConfig, PipelineReport, PipelineState
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, ConnectorError, LocalFailure
from moorage.pipelines._delivery import BatchDelivery
from moorage.pipelines._ending import EndTimeLimit
from moorage.pipelines._in_flight import RecordsInFlight
from moorage.pipelines._lanes import Lanes
from moorage.pipelines._numbers import PipelineNumbers
from moorage.pipelines._repeating import ActionRepeater, PipelineStopping

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from moorage.domain.pipelines.failures import Verdict
    from moorage.domain.pipelines.records import Partition
    from moorage.domain.pipelines.settings import PipelineStatistics
    from moorage.domain.resilience.retry import RetryPolicy
    from moorage.pipelines._delivery import Transform
    from moorage.pipelines._in_flight import DoneRecords
    from moorage.ports.pipelines import DeadLetters, SinkConnector, SourceConnector


@with_careful_constructor
class Pipeline:
    """Delivers each record of a source to a sink at least once.

    A pipeline runs once, in one event loop.

    Args:
        name: the name of the pipeline in dead letters and metrics.
        source: the source.
        sink: the sink.
        transforms: functions that receive a record and return it or another, or None to leave it
            out. Transforms may be asynchronous, and are applied in their order.
        dead_letters: stores records that cannot be processed. Without it the pipeline stops at the
            first such record.
        config: the settings.

    Raises:
        ConfigurationError: the source, the sink or a transform has no such methods; or the sink's
            attribute `needs_one_lane` is True, and there are several lanes.
    """

    def __init__(
        self,
        name: str,
        source: SourceConnector,
        sink: SinkConnector,
        *,
        transforms: Sequence[Transform] = (),
        dead_letters: DeadLetters | None = None,
        config: PipelineConfig | None = None,
    ) -> None:
        _check_parts(source, sink, transforms)
        self.name = name
        self._source = source
        self._sink = sink
        self._config = config or PipelineConfig()
        stores_positions = bool(getattr(sink, "needs_one_lane", False))
        if self._config.lanes > 1 and stores_positions:
            raise ConfigurationError(
                f"The sink of the pipeline {name!r} needs records in order, but there are"
                f" {self._config.lanes} lanes.",
                path="lanes",
                remedy="Set lanes to 1, or remove the checkpoints of the sink.",
            )
        self._stopping = asyncio.Event()
        self._opened = asyncio.Event()
        self._ending = EndTimeLimit(self._config.drain)
        self._numbers = PipelineNumbers()
        self._in_flight = RecordsInFlight(self._config, source.commits)
        self._lanes = Lanes(
            self._config,
            BatchDelivery(
                name=name,
                sink=sink,
                transforms=tuple(transforms),
                dead_letters=dead_letters,
                config=self._config,
                stores_positions=stores_positions,
                in_flight=self._in_flight,
                numbers=self._numbers,
                repeater=self._repeater(
                    self._config.retry, self._config.exhausted, verdict, counts_retries=True
                ),
            ),
        )
        self._commits = self._repeater(self._config.retry, FailureConsequence.RETRY, source_verdict)
        self._connections = self._repeater(
            self._config.reconnect, FailureConsequence.RETRY, source_verdict
        )
        self._uncommitted: list[DoneRecords] = []
        self._committing = asyncio.Lock()
        self._failure: Exception | None = None

    def _repeater(
        self,
        policy: RetryPolicy,
        exhausted: FailureConsequence,
        judge: Callable[[Exception, RetryPolicy], Verdict],
        *,
        counts_retries: bool = False,
    ) -> ActionRepeater:
        return ActionRepeater(
            policy,
            exhausted,
            judge,
            self._numbers,
            self._stopping,
            counts_retries=counts_retries,
        )

    def statistics(self) -> PipelineStatistics:
        """Return the statistics of the pipeline, without waiting."""
        return self._numbers.statistics(self._in_flight)

    def stop(self) -> None:
        """Begin to stop: read no more records, and finish the current batches.

        Call it in the pipeline's event loop, for example from a signal handler of the loop.
        """
        self._stopping.set()

    async def run(self) -> PipelineReport:
        """Run until the source ends, or until `stop` is called.

        Raises:
            LocalFailure: the pipeline has already run.
            ConnectorError: a failure that is not temporary. Its records are delivered again when
                the pipeline runs again.
            Exception: a transform or the sink raised an error that a repetition cannot solve.
        """
        numbers = self._numbers
        if numbers.state is not PipelineState.READY:
            raise LocalFailure(
                f"The pipeline {self.name!r} has already run.",
                remedy="Create a new pipeline with the same source and sink.",
            )
        numbers.state = PipelineState.CONNECTING
        try:
            is_clean = not await self._open_sink() or await self._run_tasks()
        except BaseException as error:
            numbers.state = PipelineState.FAILED
            if isinstance(error, Exception):
                numbers.note(error)
            raise
        finally:
            numbers.lag = None
            await self._close()
        numbers.state = PipelineState.STOPPED
        return PipelineReport(is_clean=is_clean, statistics=self.statistics())

    async def _open_sink(self) -> bool:
        """Open the sink; return False if the pipeline was stopped before that succeeded."""
        open_task = asyncio.ensure_future(self._sink.open())
        stop_task = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([open_task, stop_task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop_task.cancel()
            is_open = open_task.done()
            if not is_open:
                self._ending.stop()
                await self._ending.cancel([open_task])
        if is_open:
            await open_task
        return is_open

    async def _run_tasks(self) -> bool:
        """Run all loops; return whether all current batches ended before the deadline."""
        lanes = [self._task(lane.run()) for lane in self._lanes.lanes]
        reading = self._task(self._read())
        helper_tasks = [self._task(self._commit_settled())]
        if self._source.extend_every is not None:
            helper_tasks.append(self._task(self._keep_extending(self._source.extend_every)))
        measure_lag: Callable[[], Awaitable[int | None]] | None = getattr(self._source, "lag", None)
        if measure_lag is not None:
            helper_tasks.append(self._task(self._keep_measuring(measure_lag)))
        ending_tasks = [self._task(self._stopping.wait()), self._task(asyncio.wait(lanes))]
        try:
            await asyncio.wait(ending_tasks, return_when=asyncio.FIRST_COMPLETED)
            self._stopping.set()
            self._ending.stop()
            self._numbers.state = PipelineState.DRAINING
            # Without a record here, the source could not commit later records that other lanes have
            # begun.
            self._lanes.stop({} if self._failure else self._in_flight.begun_until())
            reading.cancel()
            _, unfinished_lanes = await asyncio.wait(lanes, timeout=self._config.drain)
            await self._cancel_between_commits([reading, *unfinished_lanes, *helper_tasks])
            is_committed = await self._commit_at_end()
        finally:
            await self._ending.cancel([reading, *lanes, *helper_tasks, *ending_tasks])
        if self._failure is not None:
            raise self._failure
        return is_committed and not unfinished_lanes

    async def _cancel_between_commits(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Cancel tasks, but first wait briefly for a commit in progress."""
        # Cancelling a request closes the connection, which the last commit needs.
        await self._ending.run(self._committing.acquire())
        await self._ending.cancel(tasks)
        self._committing = asyncio.Lock()

    def _task(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        return asyncio.create_task(self._stop_on_failure(work))

    async def _stop_on_failure(self, work: Awaitable[object]) -> None:
        """Wait until one of the pipeline's loops ends; stop the pipeline if the loop failed."""
        try:
            await work
        except PipelineStopping:
            # A record of this lane stays open, so the records after it need not be processed.
            self._lanes.stop({})
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._fail(_stray_cancellation_error())
        except Exception as error:  # noqa: BLE001 - raised by `run`
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._stopping.set()
        self._lanes.stop({})

    async def _read(self) -> None:
        """Read from the source until it ends."""
        await self._connections.run(self._open)
        while True:
            limits = await self._in_flight.wait_for_room()
            try:
                records = await self._source.poll(limits)
            except Exception as error:  # noqa: BLE001 - the repeater decides about the error
                self._numbers.state = PipelineState.RECONNECTING
                await self._connections.run(self._open, failure=error)
                self._numbers.reconnects += 1
                continue
            if records is None:
                self._lanes.complete()
                return
            self._numbers.received += len(records)
            self._lanes.put(self._in_flight.admit(records))
            # While the worker waits for the next records, these records must not stay in memory.
            del records

    async def _open(self) -> None:
        await self._source.open(self._on_revoked)
        self._numbers.state = PipelineState.RUNNING
        self._opened.set()
        # A commit that failed because of the lost connection can succeed now.
        self._commits.end_pauses()

    async def _on_revoked(self, partitions: Sequence[Partition] | None) -> None:
        """Commit the finished records of revoked partitions, and forget their other records."""
        if partitions is not None:
            await self._in_flight.end_batches(partitions, self._config.drain)
            with suppress(ConnectorError):
                await self._commit()
        async with self._committing:
            self._in_flight.forget(partitions)
            self._uncommitted = [
                done
                for done in self._uncommitted
                if partitions is not None and done.partition not in partitions
            ]

    async def _commit_settled(self) -> None:
        """Commit records at the source whenever some of them are done."""
        settled_event = self._in_flight.settled
        while True:
            await settled_event.wait()
            settled_event.clear()
            await self._commits.run(self._commit)

    async def _commit(self) -> None:
        async with self._committing:
            self._uncommitted += self._in_flight.take()
            if self._uncommitted:
                await self._sink.flush()
                records = joined_records([done.records for done in self._uncommitted])
                await self._source.commit(records)
                self._numbers.committed += sum(done.total for done in self._uncommitted)
                self._uncommitted = []

    async def _commit_at_end(self) -> bool:
        """Commit the finished records and release the others; return whether both succeeded."""
        error = await self._ending.run(self._commit_and_release())
        if error is None or isinstance(error, (ConnectorError, TimeoutError)):
            return error is None
        raise error

    async def _commit_and_release(self) -> None:
        await self._commit()
        records = self._in_flight.open_records()
        if records:
            await self._source.release(records)
            self._numbers.released += len(records)

    async def _keep_extending(self, seconds: float) -> None:
        """Extend the source's lease on unfinished records, every `seconds` seconds."""
        while True:
            await asyncio.sleep(seconds)
            records = self._in_flight.open_records()
            if records:
                # The next attempt follows soon; if it fails too, records are delivered again.
                with suppress(ConnectorError):
                    async with self._committing:
                        await self._source.extend(records)

    async def _keep_measuring(self, lag: Callable[[], Awaitable[int | None]]) -> None:
        """Measure the number of records that wait in the source, at regular intervals."""
        await self._opened.wait()
        while True:
            try:
                async with self._committing:
                    self._numbers.lag = await lag()
            except Exception:  # noqa: BLE001 - a failed measurement must not end the pipeline
                self._numbers.lag = None
            await asyncio.sleep(self._config.measure_every)

    async def _close(self) -> None:
        """Close the source and the sink, in limited time."""
        for close_function in (self._source.close, self._sink.close):
            await self._ending.run(close_function())


def _check_parts(source: object, sink: object, transforms: Sequence[object]) -> None:
    """Raise an error if a source, a sink or a transform lacks what a pipeline calls.

    Raises:
        ConfigurationError: an object lacks a method, or the transforms are not functions.
    """
    for path, part, method, remedy in (
        ("source", source, "poll", "Pass a source, such as PollingSource for a function."),
        ("sink", sink, "process_batch", "Pass a sink, such as RecordSink for a function."),
    ):
        if not hasattr(part, method):
            raise ConfigurationError(
                f"The {path} is {with_article(type(part).__name__)} without a method {method!r}.",
                path=path,
                remedy=remedy,
            )
    if callable(transforms) or not all(map(callable, transforms)):
        raise ConfigurationError(
            "The transforms are not a list of functions.",
            path="transforms",
            remedy="Pass a list of functions that accept a record.",
        )


def _stray_cancellation_error() -> LocalFailure:
    return LocalFailure(
        "The source, a transform or the sink of the pipeline raised a CancelledError, although"
        " nobody had cancelled the pipeline.",
        remedy="Check whether it waits for a task that other code cancels.",
    )
