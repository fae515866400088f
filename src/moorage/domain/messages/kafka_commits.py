"""Decides when a Kafka consumer commits the positions up to which all records are processed.

Laws:

1. Records count as uncommitted from when they are done until the cluster has acknowledged a
   position after them.
2. Positions that were sent are not due again, unless a later commit failed.
3. A gap between the offsets of a partition counts as records, so that a commit may come earlier
   than necessary, and never later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

P = TypeVar("P")
"""A partition of a topic."""


class UncommittedPositions(Generic[P]):
    """A Kafka consumer's positions up to which all records are processed but not committed.

    It is deterministic and knows no time. It belongs to one thread.

    Attributes:
        records: the number of records before these positions.
    """

    def __init__(self) -> None:
        self.records = self._unsent = 0
        self._done: dict[P, int] = {}
        self._sent: dict[P, int] = {}
        self._committed: dict[P, int] = {}
        # The records of each partition that are uncommitted or unsent, as counted in the sums.
        self._counted: dict[P, tuple[int, int]] = {}

    def add(self, positions: Mapping[P, int]) -> None:
        """Add each partition's position up to which all records are processed."""
        self._done.update(positions)
        self._count(positions)

    def acknowledge(self, positions: Mapping[P, int]) -> None:
        """Record positions that the cluster has committed."""
        self._committed.update(positions)
        self._count(positions)

    def forget(self, partitions: Iterable[P]) -> None:
        """Forget partitions that the consumer no longer has, or reads from another position."""
        places = list(partitions)
        for place in places:
            self._done.pop(place, None)
            self._sent.pop(place, None)
            self._committed.pop(place, None)
        self._count(places)

    def take_due(self, records: int) -> dict[P, int]:
        """Return the positions to commit, if enough records are waiting for a commit.

        Until then nothing is returned. Returned positions count as sent.
        """
        if self._unsent < records:
            return {}
        due_positions = {
            place: position
            for place, position in self._done.items()
            if position > max(self._committed.get(place, 0), self._sent.get(place, 0))
        }
        self._sent.update(due_positions)
        self._count(due_positions)
        return due_positions

    def fail(self) -> None:
        """Mark all positions as not committed, because a commit failed."""
        self._sent.clear()
        self._count(self._done)

    def _count(self, partitions: Iterable[P]) -> None:
        """Count the records of the changed partitions again, but not those of all partitions."""
        for place in partitions:
            position = self._done.get(place, 0)
            committed_position = self._committed.get(place, 0)
            records = max(0, position - committed_position)
            unsent = max(0, position - max(committed_position, self._sent.get(place, 0)))
            earlier_records, earlier_unsent = self._counted.pop(place, (0, 0))
            self.records += records - earlier_records
            self._unsent += unsent - earlier_unsent
            if records:
                self._counted[place] = records, unsent
