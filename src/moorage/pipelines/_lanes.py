"""The lanes of a pipeline; each lane processes its batches one after the other.

Laws:

1. While a lane has records of a key, no other lane gets records of this key.
2. A key of which no lane has a record gets a lane with the fewest keys, and of several such lanes
   the one with the fewest records.
3. A record without a key gets a lane with the fewest records.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.pipelines.batches import BatchSize
from moorage.domain.pipelines.settings import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moorage.domain.pipelines.progress import PartitionProgress, PendingRun
    from moorage.domain.pipelines.records import Partition
    from moorage.domain.pipelines.settings import PipelineConfig
    from moorage.pipelines._delivery import BatchDelivery

_RECORDS: Final = attrgetter("records")
_LOAD: Final = attrgetter("load")

_KEY: Final = 1 << 40
"""The load that one key adds to a lane; it is greater than any number of records in a lane."""


class Lane:
    """A queue of records, and the loop that delivers them in batches.

    Attributes:
        records: the number of records that `Lanes` chose this lane for, and that it has not
            delivered.
        load: `records`, plus `_KEY` for each of their keys or partitions, because one number is
            compared faster than two.

    Args:
        config: the settings of the pipeline.
        delivery: delivers the batches.
        delivered: is called with the lane and with each batch that it has delivered.
    """

    def __init__(
        self,
        config: PipelineConfig,
        delivery: BatchDelivery,
        delivered: Callable[[Lane, Sequence[PendingRun]], None],
    ) -> None:
        self._limits = config.batch
        self._delivery = delivery
        self._delivered = delivered
        self._queue: deque[PendingRun] = deque()
        self._changed = asyncio.Event()
        self._needed_until: Mapping[PartitionProgress, int] | None = None
        self._is_complete = False
        self.records = self.load = 0

    def put(self, runs: Iterable[PendingRun]) -> None:
        """Add runs of successive records to the end of the lane's queue."""
        self._queue.extend(runs)
        self._changed.set()

    def complete(self) -> None:
        """End the lane's loop when its queue is empty, because no records will follow."""
        self._is_complete = True
        self._changed.set()

    def stop(self, needed_until: Mapping[PartitionProgress, int]) -> None:
        """End the lane's loop after its current batch and the queued records that are needed.

        Args:
            needed_until: the position in each partition before which all records are needed.
        """
        self._needed_until = needed_until
        self._queue = deque(run for run in self._queue if _is_before(run, needed_until))
        self._changed.set()

    async def run(self) -> None:
        """Deliver batches until the lane is complete, or stopped, and its queue is empty."""
        while batch := await self._next_batch():
            if not await self._delivery.deliver(batch, is_stopped=self._is_stopped):
                # Later records must not overtake unfinished records with the same key.
                return
            self._delivered(self, batch)
            # While the worker waits for the next batch, this batch must not stay in memory.
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
        return batch, size

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


@attrs.define(eq=False)
class _Held:
    """A key or partition with records that are not delivered yet.

    Attributes:
        lane: the lane that has these records.
        records: their number.
    """

    lane: Lane
    records: int


class Lanes:
    """The lanes of one pipeline, and the choice of a lane for each record."""

    def __init__(self, config: PipelineConfig, delivery: BatchDelivery) -> None:
        self._order = config.order
        self.lanes = [Lane(config, delivery, self._release) for _ in range(config.lanes)]
        # The lane of each key or partition that has open records, and the number of these records.
        self._held: dict[bytes | Partition, _Held] = {}

    def put(self, runs: Iterable[PendingRun]) -> None:
        """Put each record into the queue of its lane."""
        if len(self.lanes) == 1:
            self.lanes[0].put(runs)
            return
        for run in runs:
            if self._order is Order.PARTITION:
                self._lane_of(run.records[0].place, len(run.sizes)).put((run,))
            else:
                self._put_by_key(run)

    def _put_by_key(self, run: PendingRun) -> None:
        """Split a run of records by their keys, and add each part to the lane of its keys."""
        lanes = [self._lane_of(record.key, 1) for record in run.records]
        cut_positions = [
            n
            for n, (earlier_lane, lane) in enumerate(pairwise(lanes), 1)
            if earlier_lane is not lane
        ]
        for part, start in zip(run.split(cut_positions), (0, *cut_positions), strict=True):
            lanes[start].put((part,))

    def _lane_of(self, key: bytes | Partition | None, records: int) -> Lane:
        """Return the lane for further records of a key or partition, or for records without one."""
        if key is None:
            lane = min(self.lanes, key=_RECORDS)
        elif (held := self._held.get(key)) is not None:
            held.records += records
            lane = held.lane
        else:
            lane = min(self.lanes, key=_LOAD)
            lane.load += _KEY
            self._held[key] = _Held(lane, records)
        lane.records += records
        lane.load += records
        return lane

    def _release(self, lane: Lane, batch: Sequence[PendingRun]) -> None:
        """Record that a lane has delivered a batch, so that its keys may move to other lanes."""
        if len(self.lanes) == 1:
            return
        for run in batch:
            count = len(run.sizes)
            lane.records -= count
            lane.load -= count
            if self._order is Order.PARTITION:
                self._forget(run.records[0].place, count)
            else:
                for record in run.records:
                    if record.key is not None:
                        self._forget(record.key, 1)

    def _forget(self, key: bytes | Partition, records: int) -> None:
        """Count records of a key or partition as delivered."""
        held = self._held[key]
        held.records -= records
        if not held.records:
            held.lane.load -= _KEY
            del self._held[key]

    def complete(self) -> None:
        """End all lanes when their queues are empty."""
        for lane in self.lanes:
            lane.complete()

    def stop(self, needed_until: Mapping[PartitionProgress, int]) -> None:
        """End all lanes after their current batches and the queued records that are needed.

        Args:
            needed_until: the position in each partition before which all records are needed,
                because later ones have begun, and cannot be committed without them.
        """
        for lane in self.lanes:
            lane.stop(needed_until)


def _is_before(run: PendingRun, needed_until: Mapping[PartitionProgress, int]) -> bool:
    """Return whether a run of records begins before the position to which they are needed."""
    return run.start < needed_until.get(run.progress, 0)
