"""The lanes of a pipeline; each lane processes its batches one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from moorage.domain.pipelines.batches import BatchSize, lane_of
from moorage.domain.pipelines.settings import Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.domain.pipelines.progress import PartitionProgress, PendingRun
    from moorage.domain.pipelines.settings import PipelineConfig
    from moorage.pipelines._delivery import BatchDelivery

_WAITING: Final = attrgetter("waiting")


class Lane:
    """A queue of records, and the loop that delivers them in batches.

    Attributes:
        waiting: the number of records that `Lanes` chose this lane for, and that wait in it.

    Args:
        config: the settings of the pipeline.
        delivery: delivers the batches.
    """

    def __init__(self, config: PipelineConfig, delivery: BatchDelivery) -> None:
        self._limits = config.batch
        self._delivery = delivery
        self._queue: deque[PendingRun] = deque()
        self._changed = asyncio.Event()
        self._needed_until: Mapping[PartitionProgress, int] | None = None
        self._is_complete = False
        self.waiting = 0

    def put(self, runs: Iterable[PendingRun]) -> None:
        """Add runs of successive records to the end of the lane's queue."""
        self._queue.extend(runs)
        self._changed.set()

    def complete(self) -> None:
        """End the lane's loop when its queue is empty, because no records will follow."""
        self._is_complete = True
        self._changed.set()

    def stop(self, needed_until: Mapping[PartitionProgress, int]) -> None:
        """End the lane's loop after its current batch, and after queued records still needed.

        Args:
            needed_until: the position in each partition before which all records are needed.
        """
        self._needed_until = needed_until
        self._queue = deque(run for run in self._queue if _is_before(run, needed_until))
        self._changed.set()

    async def run(self) -> None:
        """Deliver batches until the lane has no more records, or is stopped and needs no more."""
        while batch := await self._next_batch():
            if not await self._delivery.deliver(batch, is_stopped=self._is_stopped):
                # Later records of the same keys must not overtake those that were left.
                return
            # Waiting for the next batch must not keep this one in memory.
            del batch

    async def _next_batch(self) -> list[PendingRun]:
        """Wait for records and return a batch; an empty batch ends the loop."""
        while not (self._queue or self._is_closing):
            await self._wait_for_change()
        batch, size = self._fill([], BatchSize())
        if self._limits.wait and not size.is_full(self._limits):
            try:
                async with asyncio.timeout(self._limits.wait):
                    while not self._is_closing and not size.is_full(self._limits):
                        await self._wait_for_change()
                        batch, size = self._fill(batch, size)
                        if self._queue:
                            break
            except TimeoutError:
                pass
        if self._needed_until is None:
            return batch
        needed_runs = [run for run in batch if _is_before(run, self._needed_until)]
        return needed_runs or self._fill([], BatchSize())[0]

    def _is_stopped(self) -> bool:
        return self._needed_until is not None

    @property
    def _is_closing(self) -> bool:
        return self._is_complete or self._is_stopped()

    def _fill(self, batch: list[PendingRun], size: BatchSize) -> tuple[list[PendingRun], BatchSize]:
        """Move records from the queue to a batch until the batch is full."""
        queue, limits = self._queue, self._limits
        batch = [*batch]
        while queue and not size.is_full(limits):
            run = queue[0]
            count = size.fitting(run.sizes, run.size, limits)
            if not count:
                break
            queue.popleft()
            if count < len(run.sizes):
                run, remaining_run = run.split((count,))
                queue.appendleft(remaining_run)
            batch.append(run)
            size = size.plus(count, run.size)
            self.waiting -= count
        return batch, size

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Lanes:
    """The lanes of one pipeline, and the choice of a lane for each record."""

    def __init__(self, config: PipelineConfig, delivery: BatchDelivery) -> None:
        self._order = config.order
        self.lanes = [Lane(config, delivery) for _ in range(config.lanes)]

    def put(self, runs: Iterable[PendingRun]) -> None:
        """Put each record into the queue of its lane."""
        if len(self.lanes) == 1:
            self.lanes[0].put(runs)
            return
        for run in runs:
            if self._order is Order.PARTITION:
                lane = self._lane_of(repr(run.records[0].place).encode())
                lane.put((run,))
            else:
                self._put_by_key(run)

    def _put_by_key(self, run: PendingRun) -> None:
        """Split a run of records by their keys, and put each part into the lane of its keys."""
        lanes: list[Lane] = []
        for record in run.records:
            lane = self._lane_of(record.key)
            lane.waiting += 1
            lanes.append(lane)
        cut_positions = [
            n
            for n, (earlier_lane, lane) in enumerate(pairwise(lanes), 1)
            if earlier_lane is not lane
        ]
        for part, start in zip(run.split(cut_positions), (0, *cut_positions), strict=True):
            lanes[start].put((part,))

    def _lane_of(self, key: bytes | None) -> Lane:
        """Return the lane of a key; for a record without a key, the emptiest lane."""
        if key is None:
            return min(self.lanes, key=_WAITING)
        return self.lanes[lane_of(key, len(self.lanes))]

    def complete(self) -> None:
        """End all lanes when their queues are empty."""
        for lane in self.lanes:
            lane.complete()

    def stop(self, needed_until: Mapping[PartitionProgress, int]) -> None:
        """End all lanes after their current batches, and after queued records still needed.

        Args:
            needed_until: the position in each partition before which all records are needed,
                because later ones have begun, and cannot be committed without them.
        """
        for lane in self.lanes:
            lane.stop(needed_until)


def _is_before(run: PendingRun, needed_until: Mapping[PartitionProgress, int]) -> bool:
    """Return whether a run of records begins before the position up to which records are needed."""
    return run.start < needed_until.get(run.progress, 0)
