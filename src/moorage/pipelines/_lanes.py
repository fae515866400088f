"""The lanes of a pipeline: each processes batches one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from moorage.domain.pipelines.batches import BatchSize, lane_of
from moorage.domain.pipelines.settings import Order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.pipelines.progress import PendingRecord
    from moorage.domain.pipelines.settings import PipelineConfig
    from moorage.pipelines._delivery import BatchDelivery


class Lane:
    """A queue of records, and the loop that delivers them in batches.

    Args:
        config: the settings of the pipeline.
        delivery: delivers the batches.
    """

    def __init__(self, config: PipelineConfig, delivery: BatchDelivery) -> None:
        self._limits = config.batch
        self._delivery = delivery
        self._queue: deque[PendingRecord] = deque()
        self._changed = asyncio.Event()
        self._is_stopped = False
        self._is_complete = False

    @property
    def waiting(self) -> int:
        """The number of records in the queue."""
        return len(self._queue)

    def put(self, records: Iterable[PendingRecord]) -> None:
        """Add records at the end of the lane's queue."""
        self._queue.extend(records)
        self._changed.set()

    def complete(self) -> None:
        """End the lane's loop once its queue is empty, because no more records will be added."""
        self._is_complete = True
        self._changed.set()

    def stop(self) -> None:
        """End the lane's loop after the batch that it is processing."""
        self._is_stopped = True
        self._changed.set()

    async def run(self) -> None:
        """Deliver batches until the lane is stopped or complete."""
        while batch := await self._next_batch():
            await self._delivery.deliver(batch)

    async def _next_batch(self) -> list[PendingRecord]:
        """Wait for records, and return a batch of them; an empty one ends the loop."""
        while not (self._queue or self._is_complete or self._is_stopped):
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
        return [] if self._is_stopped else batch

    @property
    def _is_closing(self) -> bool:
        return self._is_complete or self._is_stopped

    def _fill(
        self, batch: list[PendingRecord], size: BatchSize
    ) -> tuple[list[PendingRecord], BatchSize]:
        """Move records from the queue to a batch until the batch is full."""
        queue, limits = self._queue, self._limits
        first = islice(queue, max(1, limits.records - size.records))
        sizes = [pending.size for pending in first]
        count = size.fitting(sizes, limits)
        records = [queue.popleft() for _ in range(count)]
        return batch + records, size.plus(count, sum(sizes[:count]))

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Lanes:
    """The lanes of one pipeline, and the choice of a record's lane."""

    def __init__(self, config: PipelineConfig, delivery: BatchDelivery) -> None:
        self._order = config.order
        self.lanes = [Lane(config, delivery) for _ in range(config.lanes)]

    def put(self, records: Iterable[PendingRecord]) -> None:
        """Put each record into the queue of its lane."""
        if len(self.lanes) == 1:
            self.lanes[0].put(records)
            return
        for pending in records:
            self._lane_of(pending).put((pending,))

    def _lane_of(self, pending: PendingRecord) -> Lane:
        """Return the lane of a record: of its partition or its key, or else the shortest."""
        record = pending.record
        if self._order is Order.PARTITION:
            key: bytes | None = repr(record.place).encode()
        else:
            key = record.key
        if key is None:
            return min(self.lanes, key=lambda lane: lane.waiting)
        return self.lanes[lane_of(key, len(self.lanes))]

    def complete(self) -> None:
        """End all lanes when their queues are empty."""
        for lane in self.lanes:
            lane.complete()

    def stop(self) -> None:
        """End all lanes after their batches under way."""
        for lane in self.lanes:
            lane.stop()
