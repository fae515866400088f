"""The progress in one partition of a source: the records that may be committed.

Laws:

1. Of a prefix a record is committed only if it and all records before it are settled: the position
   never passes a gap.
2. Each record is settled at most once, and no record that was not admitted.
3. After a reset nothing that was admitted before it is ever committed.
"""

from __future__ import annotations

from typing import Final, Generic, Literal, NamedTuple, TypeVar

R = TypeVar("R")


class Place(NamedTuple):
    """The position of a record among those that its partition admitted.

    Attributes:
        generation: the number of resets before the record was admitted.
        number: the number of records that the partition had admitted before it.
    """

    generation: int
    number: int


class PartitionProgress(Generic[R]):
    """The records of one partition in process, and those that may be committed.

    It is deterministic and knows no time. It belongs to one event loop.

    Args:
        commits: "prefix" if records are committed in their order, "each" if in any.
    """

    __slots__ = ("_generation", "_is_prefix", "_next", "_open", "_settled")

    def __init__(self, commits: Literal["each", "prefix"]) -> None:
        self._is_prefix = commits == "prefix"
        self._generation = 0
        self._next = 0
        self._open: dict[int, R] = {}
        self._settled: dict[int, R] = {}

    @property
    def held(self) -> int:
        """The number of admitted records that `take` has not returned yet."""
        return len(self._open) + len(self._settled)

    @property
    def open_records(self) -> list[R]:
        """The records that are not processed yet, in order."""
        return list(self._open.values())

    def admit(self, record: R) -> Place:
        """Add a record at the end, and return its place."""
        place = Place(self._generation, self._next)
        self._open[self._next] = record
        self._next += 1
        return place

    def is_open(self, place: Place) -> bool:
        """Return whether the record at a position still has to be processed."""
        return place.generation == self._generation and place.number in self._open

    def settle(self, place: Place) -> bool:
        """Record that the record at a position is processed; return False if it was not open."""
        if not self.is_open(place):
            return False
        self._settled[place.number] = self._open.pop(place.number)
        return True

    def take(self) -> list[R]:
        """Remove the records that may be committed now, and return them in order."""
        first_open = next(iter(self._open), _NEVER) if self._is_prefix else _NEVER
        numbers = sorted(number for number in self._settled if number < first_open)
        return [self._settled.pop(number) for number in numbers]

    def reset(self) -> list[R]:
        """Remove and return all records, because the source will deliver them again.

        The partition was revoked, or its deliveries are void.
        """
        records = [*self._open.values(), *self._settled.values()]
        self._generation += 1
        self._open.clear()
        self._settled.clear()
        return records


_NEVER: Final = 2**63
"""A number greater than the number of any record."""
