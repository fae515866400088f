"""The decision when a Kafka consumer commits the positions of records that are done.

Laws:

1. Records count as uncommitted from when they are done until the cluster has acknowledged a
   position after them.
2. A gap between the offsets of a partition counts as records, so that a commit may come earlier
   than necessary, and never later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

P = TypeVar("P")
"""A partition of a topic."""


class UncommittedPositions(Generic[P]):
    """The positions of a Kafka consumer that are done and not committed yet.

    It is deterministic and knows no time. It belongs to one thread.

    Attributes:
        records: the number of records before these positions.
    """

    def __init__(self) -> None:
        self.records = 0
        self._done: dict[P, int] = {}
        self._committed: dict[P, int] = {}

    def add(self, positions: Mapping[P, int]) -> None:
        """Add positions of partitions, before which all records are done."""
        self._done.update(positions)
        self._count()

    def acknowledge(self, positions: Mapping[P, int]) -> None:
        """Record positions that the cluster has committed."""
        self._committed.update(positions)
        self._count()

    def forget(self, partitions: Iterable[P]) -> None:
        """Forget partitions that the consumer no longer has, or reads from another position."""
        for place in partitions:
            self._done.pop(place, None)
            self._committed.pop(place, None)
        self._count()

    def due(self, records: int) -> dict[P, int]:
        """Return the positions to commit, as soon as this many records wait; otherwise none."""
        if self.records < max(1, records):
            return {}
        return {place: at for place, at in self._done.items() if at > self._committed_at(place)}

    def _count(self) -> None:
        self.records = sum(
            max(0, position - self._committed_at(place)) for place, position in self._done.items()
        )

    def _committed_at(self, place: P) -> int:
        return self._committed.get(place, 0)
