"""Decisions about batches: where a batch ends, and how to find its bad records."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from moorage.domain.values.durations import is_count, is_wait, plain_seconds
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

R = TypeVar("R")


@frozen(kw_only=True)
class BatchLimits:
    """The largest size of the batches that a sink receives.

    Attributes:
        records: the largest number of records in a batch.
        size: the number of bytes of payload at which a batch ends. A larger record becomes a
            separate batch.
        wait: the seconds that an incomplete batch waits for further records. By default it does not
            wait.
    """

    records: int = field(default=500, validator=is_count)
    size: int = field(default=1_000_000, validator=is_count)
    wait: float = field(default=0.0, converter=plain_seconds, validator=is_wait)


class BatchSize(NamedTuple):
    """The size of an incomplete batch, in records and bytes.

    Attributes:
        records: the number of records.
        size: the bytes of their payloads.
    """

    records: int = 0
    size: int = 0

    def fitting(self, sizes: Sequence[int], total: int, limits: BatchLimits) -> int:
        """Return the number of further records that fit into the batch.

        The first record always fits.

        Args:
            sizes: the bytes of the further records, in order.
            total: the sum of these sizes.
            limits: the limits of the batch.
        """
        records, size = self
        if records + len(sizes) <= limits.records and size + total <= limits.size:
            return len(sizes)
        for size_of_record in sizes[: max(0, limits.records - records)]:
            if records and size + size_of_record > limits.size:
                break
            records += 1
            size += size_of_record
        return records - self.records

    def is_full(self, limits: BatchLimits) -> bool:
        """Return whether the batch has no room for a further record."""
        return self.records >= limits.records or self.size >= limits.size

    def plus(self, records: int, size: int) -> BatchSize:
        """Return the batch's size with further records."""
        return BatchSize(self.records + records, self.size + size)


def split_in_half(batch: Sequence[R]) -> tuple[Sequence[R], Sequence[R]]:
    """Split a failed batch of at least two records into two halves, to find its bad records.

    Of n records with k bad ones, halving finds all bad ones in at most 1 + 2k⌈log₂(n/k)⌉ + 2k
    calls, the first included, and every good record is processed once.
    """
    middle_index = len(batch) // 2
    return batch[:middle_index], batch[middle_index:]
