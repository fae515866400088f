"""Measurements of a recorded history of calls, which tests compare with the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SECOND: Final = 1_000_000_000
_ROUNDED: Final = 2_000
"""Nanoseconds: stores count in microseconds."""


def burst_of(grants: Iterable[tuple[int, int]], rate: float) -> float:
    """Return the largest burst above `rate` that certainly occurred in some time window.

    Each grant happened between two known times, the first and the second. So the n-th grant is not
    earlier than the n-th of all first times, and not later than the n-th of all second times.
    """
    spans = list(grants)
    first, span_ends = sorted(span[0] for span in spans), sorted(span[1] for span in spans)
    begin = first[0]
    highest, ahead = 0.0, -float("inf")
    for number, (low, high) in enumerate(zip(first, span_ends, strict=True)):
        ahead = max(ahead, (low - begin) * rate / SECOND - number)
        highest = max(highest, number + 1 + ahead - (high + _ROUNDED - begin) * rate / SECOND)
    return highest


def most_at_once(starts: Iterable[int], ends: Iterable[int]) -> int:
    """Return the largest number of calls that ran at the same time."""
    inside = highest = 0
    for _, step in sorted([(time, 1) for time in starts] + [(time, -1) for time in ends]):
        inside += step
        highest = max(highest, inside)
    return highest
