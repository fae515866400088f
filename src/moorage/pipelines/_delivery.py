"""The delivery of a batch to a sink, until all of its records are processed.

Laws:

1. A record is settled only after the sink took it, a transform left it out, or its dead letter was
   stored.
2. Records of one lane reach the sink in their order, even if they are repeated after a failure.
3. A cancellation is not a failure: it makes no dead letter, and settles only records for which the
   sink nevertheless returned a result.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from inspect import isawaitable
from typing import TYPE_CHECKING

import attrs

from moorage.domain.pipelines.batches import split_in_half
from moorage.domain.pipelines.failures import Verdict, verdict
from moorage.domain.pipelines.progress import is_done
from moorage.domain.pipelines.records import SinkRecord, joined_records
from moorage.domain.pipelines.settings import dead_letter_of
from moorage.domain.values.result import Result
from moorage.domain.values.text import with_article
from moorage.errors import LocalFailure
from moorage.pipelines._repeating import RecordAtFault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from moorage.domain.pipelines.progress import PendingRun
    from moorage.domain.pipelines.records import Offset, Partition
    from moorage.domain.pipelines.settings import PipelineConfig
    from moorage.pipelines._in_flight import RecordsInFlight
    from moorage.pipelines._numbers import PipelineNumbers
    from moorage.pipelines._repeating import ActionRepeater
    from moorage.ports.pipelines import DeadLetters, SinkConnector

    Transform: TypeAlias = (
        "Callable[[SinkRecord], SinkRecord | Awaitable[SinkRecord | None] | None]"
    )


@attrs.frozen(kw_only=True)
class BatchDelivery:
    """Delivers batches of records for the lanes of one pipeline.

    Attributes:
        name: the name of the pipeline.
        sink: the sink.
        transforms: functions that change a record, or return None to leave it out.
        dead_letters: stores records that cannot be processed; without it such a record stops the
            pipeline.
        config: the settings of the pipeline.
        stores_positions: whether the sink stores the positions of records together with their
            effects, so that transforms must not change them.
        in_flight: the records that were read and are not committed yet.
        numbers: the counters of the pipeline.
        repeater: repeats actions that fail temporarily.
    """

    name: str
    sink: SinkConnector
    transforms: Sequence[Transform]
    dead_letters: DeadLetters | None
    config: PipelineConfig
    stores_positions: bool
    in_flight: RecordsInFlight
    numbers: PipelineNumbers
    repeater: ActionRepeater

    async def deliver(
        self, batch: Sequence[PendingRun], *, is_stopped: Callable[[], bool] = lambda: False
    ) -> bool:
        """Transform and deliver a batch, until each record is delivered, dropped or a dead letter.

        Args:
            batch: the records.
            is_stopped: returns whether the records that the sink has not tried are left to the
                next run of the pipeline, unless a commit of begun records needs them.

        Returns:
            False if records were left to the next run.

        Raises:
            Stopping: the pipeline stops; the rest of the batch is not settled.
            Exception: a failure that stops the pipeline.
        """
        time = asyncio.get_running_loop().time
        start_time = time()
        begun_runs = self.in_flight.begin(batch)
        is_complete = True
        if self.transforms:
            begun_runs, is_complete = await self._transform_batch(begun_runs, is_stopped)
        groups = deque([begun_runs])
        while groups:
            runs = groups.popleft()
            if is_stopped():
                needed_runs = self.in_flight.needed(runs)
                is_complete &= len(needed_runs) == len(runs)
                runs = needed_runs
            group = self.in_flight.begin(runs)
            if group:
                groups.extendleft(reversed(await self._send_group(group)))
                _raise_if_cancelled()
        self.numbers.batches += 1
        self.numbers.processing_duration += time() - start_time
        return is_complete

    async def _transform_batch(
        self, runs: Sequence[PendingRun], is_stopped: Callable[[], bool]
    ) -> tuple[list[PendingRun], bool]:
        """Apply the transforms to a batch; return its records, and False if some were put back."""
        remaining_runs = deque(_runs_of_one_record(runs))
        transformed_runs: list[PendingRun] = []
        is_complete, was_stopped = True, False
        # Only the record in progress counts as begun, so that stopping and revoking wait only for
        # it.
        self.in_flight.put_back(remaining_runs)
        while remaining_runs:
            if is_stopped() and not was_stopped:
                was_stopped = True
                needed_runs = self.in_flight.needed(remaining_runs)
                is_complete = len(needed_runs) == len(remaining_runs)
                remaining_runs = deque(needed_runs)
                continue
            run = remaining_runs.popleft()
            if self.in_flight.begin([run]) and await self._transform(run):
                transformed_runs.append(run)
        return transformed_runs, is_complete

    async def _transform(self, pending: PendingRun) -> bool:
        """Apply the transforms to a record; return False if it was dropped or failed."""
        try:
            record = await self.repeater.run(lambda: self._apply_transforms(pending.records[0]))
        except RecordAtFault as fault:
            await self._store_dead_letter(pending, fault.error, fault.attempts)
            return False
        if record is None:
            self.numbers.dropped += 1
            self.in_flight.settle([pending])
            return False
        pending.outputs = (record,)
        return True

    async def _apply_transforms(self, original: SinkRecord) -> SinkRecord | None:
        record = original
        for transform in self.transforms:
            outcome = transform(record)
            changed_record = await outcome if isawaitable(outcome) else outcome
            if changed_record is None:
                return None
            if not isinstance(changed_record, SinkRecord):
                raise _wrong_outcome_error(transform, changed_record)
            record = changed_record
        if self.stores_positions and _position_of(record) != _position_of(original):
            raise LocalFailure(
                "A transform has changed the topic, the partition or the offset of a record, which"
                " the sink stores as the position of the source.",
                remedy="Return records with the topic, the partition and the offset that the source"
                " has set.",
            )
        return record

    async def _send_group(self, group: list[PendingRun]) -> list[list[PendingRun]]:
        """Send a group of records to the sink; return the groups of records to retry."""
        records = joined_records([run.outputs for run in group])
        try:
            results = await self.repeater.run(lambda: self._sink_results(group, records))
        except RecordAtFault as fault:
            single_runs = _runs_of_one_record(group)
            if len(single_runs) > 1:
                return [list(half_group) for half_group in split_in_half(single_runs)]
            await self._store_dead_letter(group[0], fault.error, fault.attempts)
            return []
        remaining_records = (
            self._mark_processed(group)
            if results is None
            else await self._settle_results(_runs_of_one_record(group), results)
        )
        return [remaining_records] if remaining_records else []

    async def _sink_results(
        self, group: list[PendingRun], records: Sequence[SinkRecord]
    ) -> Sequence[Result[object]] | None:
        """Return the sink's result for each record; raise the first error if all are temporary.

        A group with records that were revoked since it was formed is not tried, and has no results.
        """
        if any(map(is_done, group)):
            return ()
        count = len(records)
        outcome: object = self.sink.process_batch(records)
        if not isawaitable(outcome):
            raise LocalFailure(
                f"The method process_batch of the sink {type(self.sink).__name__} is not"
                " asynchronous.",
                remedy="Define it with `async def`, or pass its work as a function to BatchSink.",
            )
        results: Sequence[Result[object]] | None = await outcome
        if results is None:
            return None
        if not isinstance(results, Sequence) or not all(map(_is_result, results)):
            raise LocalFailure(
                f"The sink returned {with_article(type(results).__name__)} that is not a list of"
                " results.",
                remedy="Return None if all records were processed, or a list with a Result for each"
                " record.",
            )
        if not 0 < len(results) <= count:
            raise LocalFailure(
                f"The sink returned {len(results)} results for {count} records.",
                remedy="Return one result for each record, or fewer if the sink did not try"
                " the remaining records; or raise an error.",
            )
        errors = [result.error for result in results if result.error is not None]
        if len(errors) == len(results) and all(map(self._is_temporary, errors)):
            raise errors[0]
        return results

    def _mark_processed(self, runs: Sequence[PendingRun]) -> list[PendingRun]:
        """Mark records as processed by the sink, so that none of them is delivered again."""
        if runs:
            self.numbers.processed += sum([len(run.sizes) for run in runs])
            self.numbers.dead_letters_in_a_row = 0
            self.in_flight.settle(runs)
        return []

    async def _settle_results(
        self, group: list[PendingRun], results: Sequence[Result[object]]
    ) -> list[PendingRun]:
        """Mark records as done according to the sink's results; return those to retry."""
        remaining_runs = group[len(results) :]
        failures = [
            (n, result.error) for n, result in enumerate(results) if result.error is not None
        ]
        runs_to_retry: list[PendingRun] = []
        start = 0
        for number, error in failures:
            self._mark_processed(group[start:number])
            start = number + 1
            pending_run = group[number]
            self.numbers.count_failure(error)
            if self._is_temporary(error):
                self.numbers.retried += 1
                runs_to_retry.append(pending_run)
            elif verdict(error, self.config.retry) is Verdict.DEAD_LETTER:
                await self._store_dead_letter(pending_run, error, 1)
            else:
                raise error
        self._mark_processed(group[start : len(results)])
        self.in_flight.put_back(remaining_runs)
        return runs_to_retry + remaining_runs

    def _is_temporary(self, error: Exception) -> bool:
        return verdict(error, self.config.retry) is Verdict.RETRY

    async def _store_dead_letter(
        self, pending: PendingRun, error: Exception, attempts: int
    ) -> None:
        """Store a record that cannot be processed as a dead letter, and mark it as done."""
        numbers, store = self.numbers, self.dead_letters
        if store is None:
            raise error
        numbers.dead_letters_in_a_row += 1
        if numbers.dead_letters_in_a_row > self.config.dead_letters_in_a_row:
            raise LocalFailure(
                f"{numbers.dead_letters_in_a_row} records in a row could not be processed.",
                remedy="Correct the sink or the transforms, run the pipeline again, and"
                " replay the dead letters.",
            ) from error
        letter = dead_letter_of(
            error,
            pending.records[0],
            pipeline=self.name,
            attempts=attempts,
            at=datetime.now(UTC),
        )
        try:
            await self.repeater.run(lambda: store.add(letter))
        except RecordAtFault as fault:
            raise fault.error from None
        numbers.dead_letters += 1
        self.in_flight.settle([pending])


def _is_result(value: object) -> bool:
    return isinstance(value, Result)


def _position_of(record: SinkRecord) -> tuple[Partition, Offset | None]:
    return record.place, record.offset


def _wrong_outcome_error(transform: Transform, outcome: object) -> LocalFailure:
    name = getattr(transform, "__qualname__", type(transform).__name__)
    return LocalFailure(
        f"The transform {name} returned {with_article(type(outcome).__name__)}, which is not a"
        " record of a pipeline.",
        remedy="Return the record, a changed copy of it by attrs.evolve, or None to leave it out.",
    )


def _raise_if_cancelled() -> None:
    """Raise the cancellation of the current task if a sink has returned results instead."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _runs_of_one_record(runs: Sequence[PendingRun]) -> list[PendingRun]:
    """Split groups of records into single records, so that each can be settled separately."""
    return [single_run for run in runs for single_run in run.singles()]
