"""The progress in one partition of a source: the records that may be committed.

Laws:

1. With "prefix", a record is committed only if it and all before it are settled: the position
   never passes a gap.
2. Each record is settled at most once.
3. After a reset nothing that was admitted before it is ever committed.
"""

from __future__ import annotations

from itertools import filterfalse, repeat, takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.domain.pipelines.records import SinkRecord


class PendingRecord:
    """A record on its way through a pipeline.

    Attributes:
        record: the record as the source delivered it.
        output: the record as the transforms returned it; the same as `record` before that.
        progress: the progress of its partition.
        size: the size of its payload in bytes.
        is_begun: whether a lane is processing it.
        is_done: whether it is settled, or its partition was revoked.
    """

    __slots__ = "is_begun", "is_done", "output", "progress", "record", "size"

    def __init__(self, record: SinkRecord, progress: PartitionProgress) -> None:
        self.record = self.output = record
        self.progress = progress
        self.size = len(record.payload)
        self.is_begun = self.is_done = False


is_done: Final[Callable[[PendingRecord], bool]] = attrgetter("is_done")


class PartitionProgress:
    """The records of one partition in process, and those that may be committed.

    It is deterministic and knows no time. It belongs to one event loop.

    Args:
        commits: "prefix" if records are committed in their order, "each" if in any.
    """

    __slots__ = ("_is_prefix", "_pending", "_settled")

    def __init__(self, commits: Literal["each", "prefix"]) -> None:
        self._is_prefix = commits == "prefix"
        # A set that knows its order: all records that were admitted and not yet taken.
        self._pending: dict[PendingRecord, None] = {}
        self._settled: list[PendingRecord] = []

    @property
    def open_records(self) -> list[PendingRecord]:
        """The records that are not processed yet, in order."""
        return list(filterfalse(is_done, self._pending))

    def admit(self, records: Iterable[SinkRecord]) -> list[PendingRecord]:
        """Add records at the end, and return them as pending records."""
        admitted = list(map(PendingRecord, records, repeat(self)))
        self._pending.update(dict.fromkeys(admitted))
        return admitted

    def settle(self, records: Iterable[PendingRecord]) -> bool:
        """Record that records are processed; return False if none of them was open."""
        settled = list(filterfalse(is_done, records))
        for pending in settled:
            pending.is_done = True
        if not self._is_prefix:
            self._settled += settled
        return bool(settled)

    def take(self) -> list[PendingRecord]:
        """Remove the records that may be committed now, and return them.

        Those of a prefix are in their order, others in the order in which they were settled.
        """
        pending, taken = self._pending, self._settled
        if self._is_prefix:
            taken = list(takewhile(is_done, pending))
        self._settled = []
        if len(taken) == len(pending):
            pending.clear()
        else:
            for record in taken:
                del pending[record]
        return taken

    def reset(self) -> list[PendingRecord]:
        """Remove and return all records, because the source will deliver them again.

        The partition was revoked, or its deliveries are void.
        """
        records = list(self._pending)
        self.settle(records)
        self._pending.clear()
        self._settled = []
        return records
