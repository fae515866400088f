"""The records that a pipeline has read but not committed yet."""

from __future__ import annotations

import asyncio
from itertools import chain, filterfalse, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.pipelines.progress import PartitionProgress, is_done
from moorage.domain.pipelines.records import runs_of
from moorage.ports.pipelines import PollLimits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    from moorage.domain.pipelines.progress import PendingRun
    from moorage.domain.pipelines.records import Partition, SinkRecord
    from moorage.domain.pipelines.settings import PipelineConfig


_PROGRESS: Final = attrgetter("progress")
_SIZE: Final = attrgetter("size")


class DoneRecords(NamedTuple):
    """Records of one partition that are done but not committed yet.

    Attributes:
        partition: the partition.
        records: the records to pass to the source's `commit`: all of them, or only the last one of
            a prefix.
        total: the number of all done records, including those not in `records`.
    """

    partition: Partition
    records: Sequence[SinkRecord]
    total: int


class RecordsInFlight:
    """The records that a pipeline has read but not committed yet.

    Attributes:
        records: the number of these records.
        size: the bytes of their payloads.
        settled: an event that is set when a record is settled.
    """

    def __init__(self, config: PipelineConfig, commits: Literal["each", "prefix"]) -> None:
        self.records = 0
        self.size = 0
        self.settled = asyncio.Event()
        self._config = config
        self._commits: Literal["each", "prefix"] = commits
        self._partitions: dict[Partition, PartitionProgress] = {}
        self._revoking: frozenset[Partition] = frozenset()
        # The partitions with records that were settled since the last `take`.
        self._settled: set[PartitionProgress] = set()
        self._less = asyncio.Event()

    def admit(self, records: Sequence[SinkRecord]) -> list[PendingRun]:
        """Add records that the source delivered; return them as runs of pending records."""
        admitted_runs: list[PendingRun] = []
        for partition, run, sizes in runs_of(records):
            progress = self._partitions.get(partition)
            if progress is None:
                progress = self._partitions[partition] = PartitionProgress(self._commits)
            admitted_runs.append(progress.admit(run, sizes))
        self.records += len(records)
        self.size += sum(map(_SIZE, admitted_runs))
        return admitted_runs

    def begin(self, runs: Iterable[PendingRun]) -> list[PendingRun]:
        """Mark records as begun and return them, but put back those of revoked partitions."""
        begun_runs = list(filterfalse(is_done, runs))
        revoked_partitions = self._revoking
        if revoked_partitions:
            open_runs, begun_runs = begun_runs, []
            revoked_runs: list[PendingRun] = []
            for run in open_runs:
                is_revoked = run.records[0].place in revoked_partitions
                (revoked_runs if is_revoked else begun_runs).append(run)
            self.put_back(revoked_runs)
        for run in begun_runs:
            run.is_begun = True
        return begun_runs

    def put_back(self, runs: Iterable[PendingRun]) -> None:
        """Mark runs of records as not begun, because the sink does not process them now."""
        for run in runs:
            run.is_begun = False
        self._less.set()

    def settle(self, runs: Iterable[PendingRun]) -> None:
        """Record that records are done: processed, dropped, or stored as dead letters."""
        changed_partitions = [
            progress
            for progress, settled_runs in groupby(runs, _PROGRESS)
            if progress.settle(settled_runs)
        ]
        if changed_partitions:
            self._settled.update(changed_partitions)
            self.settled.set()
            self._less.set()

    def take(self) -> list[DoneRecords]:
        """Remove and return the records that are done, so that the source can commit them."""
        done_records: list[DoneRecords] = []
        changed_partitions, self._settled = self._settled, set()
        for partition, progress in self._partitions.items():
            done_runs = progress.take() if progress in changed_partitions else None
            if done_runs:
                total = self._remove(done_runs)
                records = (
                    done_runs[-1].records[-1:]
                    if self._commits == "prefix"
                    else _records_of(done_runs)
                )
                done_records.append(DoneRecords(partition, records, total))
        return done_records

    def begun_until(self) -> dict[PartitionProgress, int]:
        """Return, for each partition, the position after the last record that was begun.

        The result is empty if the source commits records in any order: then a record that has not
        begun prevents no commit of others.
        """
        if self._commits == "each":
            return {}
        return {progress: progress.begun_until for progress in self._partitions.values()}

    def needed(self, runs: Iterable[PendingRun]) -> list[PendingRun]:
        """Return records that have begun, or that must end before begun ones can be committed."""
        until = self.begun_until()
        return [run for run in runs if run.is_begun or run.start < until.get(run.progress, 0)]

    def open_records(self) -> list[SinkRecord]:
        """Return the records that are not done."""
        return _records_of(
            run for progress in self._partitions.values() for run in progress.open_runs
        )

    async def wait_for_room(self) -> PollLimits:
        """Wait until more records may be read, and return how many may be read."""
        config = self._config
        while self._is_full():
            self._less.clear()
            await self._less.wait()
        return PollLimits(
            config.records_in_flight - self.records,
            max(1, config.size_in_flight - self.size),
            config.poll_wait,
        )

    def _is_full(self) -> bool:
        """Return whether more than half of the allowed records or bytes are in flight."""
        config = self._config
        return (
            self.records > config.records_in_flight // 2 or self.size > config.size_in_flight // 2
        )

    async def end_batches(self, partitions: Sequence[Partition], seconds: float) -> None:
        """Begin no more records of revoked partitions; wait briefly for records that have begun."""
        self._revoking |= frozenset(partitions)
        try:
            async with asyncio.timeout(seconds):
                while any(map(self._has_begun_records, partitions)):
                    self._less.clear()
                    await self._less.wait()
        except TimeoutError:
            pass

    def _has_begun_records(self, partition: Partition) -> bool:
        progress = self._partitions.get(partition)
        return progress is not None and any(
            pending_run.is_begun for pending_run in progress.open_runs
        )

    def forget(self, partitions: Iterable[Partition] | None) -> None:
        """Forget the records of some or all partitions; the source will deliver them again."""
        partition_keys = list(self._partitions) if partitions is None else list(partitions)
        for partition in partition_keys:
            progress = self._partitions.pop(partition, None)
            if progress is not None:
                self._remove(progress.reset())
        self._revoking -= frozenset(partition_keys)

    def _remove(self, runs: Sequence[PendingRun]) -> int:
        """Count the records of runs as no longer in flight, and return their number."""
        count = sum([len(pending_run.sizes) for pending_run in runs])
        self.records -= count
        self.size -= sum(map(_SIZE, runs))
        if runs:
            self._less.set()
        return count


def _records_of(runs: Iterable[PendingRun]) -> list[SinkRecord]:
    return list(chain.from_iterable(pending_run.records for pending_run in runs))
