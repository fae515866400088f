"""The progress in one partition of a source: records in work and records to commit.

Laws:

1. With "prefix", a record is committed only if it and all earlier records are settled: the position
   never passes a gap.
2. Each record is settled at most once.
3. Records that were admitted before a reset are never committed after it.
4. The cost of a run of records does not depend on their number, unless they have to be settled one
   by one.
"""

from __future__ import annotations

from itertools import filterfalse, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moorage.domain.pipelines.records import SinkRecord


class PendingRun:
    """Successive records of one partition that a pipeline is processing.

    They are settled together. `split` divides them into runs that are settled separately.

    Attributes:
        records: the records as the source delivered them.
        outputs: the records as the transforms returned them; the same as `records` before that.
        sizes: the sizes of their payloads in bytes.
        size: the sum of the sizes.
        progress: the progress of their partition.
        start: the position of the first record among all records that the progress has admitted.
        is_begun: whether a lane is processing them.
        is_done: whether they are settled, or their partition was revoked.
    """

    __slots__ = "is_begun", "is_done", "outputs", "progress", "records", "size", "sizes", "start"

    def __init__(
        self,
        records: Sequence[SinkRecord],
        sizes: Sequence[int],
        progress: PartitionProgress,
        start: int,
    ) -> None:
        self.records = self.outputs = records
        self.sizes = sizes
        self.size = sum(sizes)
        self.progress = progress
        self.start = start
        self.is_begun = self.is_done = False

    def split(self, positions: Iterable[int]) -> list[PendingRun]:
        """Split this run of records at positions, and return the runs that replace it."""
        parts = [
            PendingRun(
                self.records[run_begin:end],
                self.sizes[run_begin:end],
                self.progress,
                self.start + run_begin,
            )
            for run_begin, end in pairwise((0, *positions, len(self.sizes)))
        ]
        for part in parts:
            part.is_begun, part.is_done = self.is_begun, self.is_done
        self.progress.replace(self, parts)
        return parts

    def singles(self) -> list[PendingRun]:
        """Return a run per record, to replace this run of several records."""
        count = len(self.sizes)
        if count == 1:
            return [self]
        # Records that have not been created yet are created together here.
        self.records = self.outputs = [*self.records]
        return self.split(range(1, count))


is_done: Final[Callable[[PendingRun], bool]] = attrgetter("is_done")


class PartitionProgress:
    """The records of one partition that a pipeline has read and not committed yet.

    It is deterministic and knows no time. It belongs to one event loop.

    Args:
        commits: "prefix" if records are committed in their order, "each" if in any.
    """

    __slots__ = ("_first", "_is_prefix", "_next", "_pending", "_settled")

    def __init__(self, commits: Literal["each", "prefix"]) -> None:
        self._is_prefix = commits == "prefix"
        # The positions of the first record not yet taken, and of the next one to be admitted.
        self._first = self._next = 0
        # All batches that were admitted and not yet taken, by the position of their first record.
        self._pending: dict[int, PendingRun] = {}
        self._settled: list[PendingRun] = []

    @property
    def open_runs(self) -> list[PendingRun]:
        """The batches of consecutive records that are not processed yet, in order."""
        return list(filterfalse(is_done, self._in_order()))

    @property
    def begun_until(self) -> int:
        """The position after the last run of records whose processing has begun."""
        ends = [run.start + len(run.sizes) for run in self._pending.values() if run.is_begun]
        return max(ends, default=self._first)

    def admit(self, records: Sequence[SinkRecord], sizes: Sequence[int]) -> PendingRun:
        """Add records at the end, and return them as a pending run.

        Args:
            records: at least one record.
            sizes: the sizes of their payloads in bytes.
        """
        run = self._pending[self._next] = PendingRun(records, sizes, self, self._next)
        self._next += len(sizes)
        return run

    def replace(self, run: PendingRun, parts: Iterable[PendingRun]) -> None:
        """Replace a run of records by its parts, unless a reset has removed the run."""
        if self._pending.get(run.start) is run:
            self._pending.update((part.start, part) for part in parts)

    def settle(self, runs: Iterable[PendingRun]) -> bool:
        """Mark batches of consecutive records as processed.

        Return False if all were processed already.
        """
        settled_runs = list(filterfalse(is_done, runs))
        for run in settled_runs:
            run.is_done = True
        if not self._is_prefix:
            self._settled += settled_runs
        return bool(settled_runs)

    def take(self) -> list[PendingRun]:
        """Remove the batches of records that may be committed now, and return them.

        With "prefix", batches are returned in their order, otherwise in the order in which they
        were settled.
        """
        settled_runs, self._settled = self._settled, []
        if self._is_prefix:
            while (run := self._pending.get(self._first)) is not None and run.is_done:
                settled_runs.append(run)
                self._first += len(run.sizes)
                del self._pending[run.start]
        else:
            for run in settled_runs:
                del self._pending[run.start]
        return settled_runs

    def reset(self) -> list[PendingRun]:
        """Remove and return all batches of records, because the source will deliver them again.

        The partition was revoked, or its deliveries are void.
        """
        runs = self._in_order()
        self.settle(runs)
        self._pending.clear()
        self._settled = []
        self._first = self._next
        return runs

    def _in_order(self) -> list[PendingRun]:
        return [self._pending[start] for start in sorted(self._pending)]
