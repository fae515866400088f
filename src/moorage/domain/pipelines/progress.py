"""The progress in one partition of a source: the records that may be committed.

Laws:

1. Of a prefix a record is committed only if it and all records before it are settled: the position
   never passes a gap.
2. Each record is settled at most once, and no record that was not admitted.
3. After a reset nothing that was admitted before it is ever committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

R = TypeVar("R")


class PartitionProgress(Generic[R]):
    """The records of one partition in process, and those that may be committed.

    It is deterministic and knows no time. It belongs to one event loop.

    Args:
        commits: "prefix" if records are committed in their order, "each" if in any.
    """

    __slots__ = ("_is_prefix", "_next", "_open", "_settled")

    def __init__(self, commits: Literal["each", "prefix"]) -> None:
        self._is_prefix = commits == "prefix"
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

    def admit(self, records: Sequence[R]) -> range:
        """Add records at the end, and return their numbers, which no other record ever gets."""
        numbers = range(self._next, self._next + len(records))
        self._open.update(zip(numbers, records, strict=True))
        self._next = numbers.stop
        return numbers

    def is_open(self, number: int) -> bool:
        """Return whether the record with this number still has to be processed."""
        return number in self._open

    def settle(self, numbers: Iterable[int]) -> bool:
        """Record that records are processed; return False if none of them was open."""
        waiting, settled = self._open, self._settled
        before = len(waiting)
        for number in numbers:
            if number in waiting:
                settled[number] = waiting.pop(number)
        return len(waiting) < before

    def take(self) -> list[R]:
        """Remove the records that may be committed now, and return them in order."""
        settled = self._settled
        first_open = next(iter(self._open), _NEVER) if self._is_prefix else _NEVER
        numbers = sorted(number for number in settled if number < first_open)
        return [settled.pop(number) for number in numbers]

    def reset(self) -> list[R]:
        """Remove and return all records, because the source will deliver them again.

        The partition was revoked, or its deliveries are void.
        """
        records = [*self._open.values(), *self._settled.values()]
        self._open.clear()
        self._settled.clear()
        return records


_NEVER: Final = 2**63
"""A number greater than the number of any record."""
