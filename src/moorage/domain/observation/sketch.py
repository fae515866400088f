"""Estimates percentiles of durations from a few hundred counters, called a sketch.

A duration is counted in the bucket of its logarithm. The buckets are so narrow that the middle of
one differs from each duration in it by at most one per cent. The laws:

- A percentile is within one per cent of the exact one, down to durations of 100 nanoseconds.
- The order of durations and of merges changes nothing: a sketch that was merged from several is
  equal to the sketch of all their durations.
- There are at most `MAX_BUCKETS` buckets. Durations more than eight decades below the longest one
  share the lowest bucket, and percentiles among them are too high.
"""

from __future__ import annotations

import math
from itertools import accumulate
from math import ceil, log
from typing import TYPE_CHECKING, Final

from moorage.domain.values.frozen_values import frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

ACCURACY: Final = 0.01
"""The maximum relative error of a percentile of durations."""

MAX_BUCKETS: Final = 1_024
"""The maximum number of buckets of a sketch."""

_GAMMA: Final = (1 + ACCURACY) / (1 - ACCURACY)
_SCALE: Final = 1 / math.log(_GAMMA)
_MAX_NANOSECONDS: Final = 3_200_000_000 * 10**9
"""The longest duration in nanoseconds, about a hundred years."""

_VERSION: Final = 1
_FIELDS: Final = 5
_MAX_VARINT: Final = 10
"""The maximum number of bytes of an encoded number."""


@frozen
class Sketch:
    """The distribution of durations, as a count for each range of durations (bucket).

    Attributes:
        zeros: the number of durations of zero nanoseconds.
        buckets: the index and the count of each bucket, by ascending index.
        total: the sum of the durations in nanoseconds.
        shortest, longest: the shortest and the longest duration in nanoseconds; 0 without
        durations.
    """

    zeros: int = 0
    buckets: tuple[tuple[int, int], ...] = ()
    total: int = 0
    shortest: int = 0
    longest: int = 0

    @property
    def count(self) -> int:
        """The number of durations."""
        return self.zeros + sum(count for _, count in self.buckets)

    @property
    def mean(self) -> float | None:
        """The mean duration in seconds; None if there are no durations."""
        count = self.count
        return self.total / count / 1e9 if count else None

    def percentile(self, percent: float) -> float | None:
        """Return the smallest duration in seconds that `percent` of all do not exceed.

        Return None if there are no durations.

        Raises:
            InvalidData: `percent` is not a number above 0 and up to 100.
        """
        if isinstance(percent, bool) or not isinstance(percent, (int, float)):
            raise _percent_error(percent)
        if not 0 < percent <= 100:
            raise _percent_error(percent)
        count = self.count
        if not count:
            return None
        # The float's rounding error is subtracted, which could otherwise lead to the next duration.
        rank = max(1, math.ceil(count * percent / 100 * (1 - 2**-50)))
        if rank == count:
            return self.longest / 1e9
        bucket_middle, total = 0.0, self.zeros
        for index, number in self.buckets:
            if total >= rank:
                break
            total += number
            bucket_middle = 2 * _GAMMA**index / (_GAMMA + 1)
        return min(max(bucket_middle, self.shortest), self.longest) / 1e9

    def number_within(self, duration: float) -> int:
        """Return the number of durations of at most `duration` seconds.

        Durations that differ from it by less than two per cent may be counted on either side.
        """
        limit = _nanoseconds(duration)
        if limit >= self.longest:
            return self.count
        index = _index_of(limit) if limit else -1
        return self.zeros + sum(
            number for bucket_index, number in self.buckets if bucket_index <= index
        )

    def to_bytes(self) -> bytes:
        """Return the sketch as bytes, about two per bucket."""
        numbers = [self.zeros, self.total, self.shortest, self.longest, len(self.buckets)]
        previous = 0
        for index, count in self.buckets:
            numbers += [index - previous, count]
            previous = index
        return bytes([_VERSION]) + b"".join(map(_varint, numbers))

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """Return the sketch in bytes that `to_bytes` returned.

        Raises:
            InvalidData: the bytes are not a sketch.
        """
        numbers = _numbers(data[1:]) if data[:1] == bytes([_VERSION]) else []
        pairs = numbers[_FIELDS:]
        if len(numbers) < _FIELDS or len(pairs) != 2 * numbers[_FIELDS - 1]:
            raise _unreadable_error()
        zeros, total, shortest_duration, longest_duration = numbers[: _FIELDS - 1]
        indexes = accumulate(pairs[::2])
        sketch = cls(
            zeros,
            tuple(zip(indexes, pairs[1::2], strict=True)),
            total,
            shortest_duration,
            longest_duration,
        )
        if 0 in pairs[2::2] or 0 in pairs[1::2] or not _is_consistent(sketch):
            raise _unreadable_error()
        return sketch


def _is_consistent(sketch: Sketch) -> bool:
    """Return whether the fields of a decoded sketch are consistent."""
    if not sketch.buckets:
        return sketch.total == sketch.shortest == sketch.longest == 0
    if not sketch.shortest <= sketch.longest <= _MAX_NANOSECONDS or not sketch.longest:
        return False
    first_index, last_index = sketch.buckets[0][0], sketch.buckets[-1][0]
    return last_index - first_index < MAX_BUCKETS and last_index == _index_of(sketch.longest)


class SketchRecorder:
    """Counts durations into a `Sketch`, one at a time and in one thread at a time."""

    __slots__ = ("_buckets", "_floor", "_longest", "_shortest", "_top", "_total", "_zeros")

    def __init__(self) -> None:
        self._zeros = 0
        self._buckets: dict[int, int] = {}
        self._total = 0
        self._shortest = _MAX_NANOSECONDS
        self._longest = 0
        self._top = -1
        self._floor = 0

    def add(self, duration: float) -> None:
        """Count a duration in seconds.

        Raises:
            InvalidData: the duration is not a number of seconds from zero to a hundred years.
        """
        self.add_nanoseconds(_nanoseconds(duration))

    def add_nanoseconds(self, duration: int) -> None:
        """Count a duration in nanoseconds; a negative one counts as zero."""
        if duration <= 0:
            self._zeros += 1
            self._shortest = 0
            return
        self._total += duration
        self._shortest = min(self._shortest, duration)
        self._longest = max(self._longest, duration)
        index = ceil(log(duration) * _SCALE)
        buckets = self._buckets
        if index in buckets:
            buckets[index] += 1
        else:
            self._count(index, 1)

    def merge(self, sketch: Sketch) -> None:
        """Add the durations of another sketch."""
        if not sketch.zeros and not sketch.buckets:
            return
        self._zeros += sketch.zeros
        self._total += sketch.total
        self._shortest = min(self._shortest, sketch.shortest)
        self._longest = max(self._longest, sketch.longest)
        # The highest bucket comes first, so that lower ones already find the final limit.
        for index, count in reversed(sketch.buckets):
            self._count(index, count)

    def freeze(self) -> Sketch:
        """Return the sketch of all durations that were counted."""
        if not self._zeros and not self._buckets:
            return Sketch()
        buckets = tuple(sorted(self._buckets.items()))
        return Sketch(self._zeros, buckets, self._total, self._shortest, self._longest)

    def _count(self, index: int, count: int) -> None:
        """Increase a bucket's counter; merge buckets that are too far below the highest bucket."""
        buckets = self._buckets
        if index > self._top:
            self._top = index
            self._floor = lowest_index = max(0, index - MAX_BUCKETS + 1)
            for low_index in [
                bucket_index for bucket_index in buckets if bucket_index < lowest_index
            ]:
                buckets[lowest_index] = buckets.get(lowest_index, 0) + buckets.pop(low_index)
        index = max(index, self._floor)
        buckets[index] = buckets.get(index, 0) + count


def merged_sketch(sketches: Iterable[Sketch]) -> Sketch:
    """Return one sketch of the durations in several sketches."""
    recorder = SketchRecorder()
    for sketch in sketches:
        recorder.merge(sketch)
    return recorder.freeze()


def _index_of(nanoseconds: int) -> int:
    return ceil(log(nanoseconds) * _SCALE)


def _nanoseconds(duration: float) -> int:
    is_valid = isinstance(duration, (int, float)) and not isinstance(duration, bool)
    if is_valid and 0 <= duration <= _MAX_NANOSECONDS / 1e9:
        return round(duration * 1e9)
    raise InvalidData(
        f"{str(duration)[:80]!r} is not a duration.",
        field="duration",
        remedy="Pass seconds from zero to a hundred years.",
    )


def _percent_error(percent: object) -> InvalidData:
    return InvalidData(
        f"{str(percent)[:80]!r} is not a percentage.",
        field="percent",
        remedy="Pass a number above 0 and up to 100, such as 95.",
    )


def _unreadable_error() -> InvalidData:
    return InvalidData(
        "The bytes are not a sketch of durations.",
        field="data",
        remedy="Pass the bytes that `to_bytes` returned, unchanged.",
    )


def _varint(number: int) -> bytes:
    """Encode a number as groups of seven bits, the lowest group first."""
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _numbers(data: bytes) -> list[int]:
    """Decode the numbers that `_varint` encoded."""
    numbers: list[int] = []
    number = bit_shift = 0
    for byte in data:
        number |= (byte & 0x7F) << bit_shift
        bit_shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = bit_shift = 0
        elif bit_shift >= 7 * _MAX_VARINT:
            raise _unreadable_error()
    if bit_shift:
        raise _unreadable_error()
    return numbers
