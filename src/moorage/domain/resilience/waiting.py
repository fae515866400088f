"""The queue of this process's callers that wait for the same rate limits.

Laws:

1. If a caller gives up, the next caller gets its grant, the caller after that gets the next
   caller's grant, and so on, as far as each wakes up in time. The last grant is then free.
2. No grant comes later than promised, and waiting callers keep their order.
3. A caller proceeds when its grant comes due, and never later with an expired grant. Otherwise two
   callers could proceed where the limit allows one.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from moorage.domain.state.commands import Ticket

Turn: TypeAlias = "tuple[int, int, tuple[Ticket, ...]]"
"""The local-clock time of a turn, the number of the caller, and the caller's tickets."""

SHORT: Final = 10_000_000
"""Nanoseconds; a caller with a shorter wait does not check whether it has moved up."""


class CallerQueue(NamedTuple):
    """A queue of callers, with the time at which each caller may go on.

    Times are in nanoseconds.
    """

    numbers: tuple[int, ...] = ()
    turns: tuple[Turn, ...] = ()
    wakes: tuple[int, ...] = ()

    def joined(self, turn: Turn) -> CallerQueue:
        """Return the queue with one more caller, who may go on at this time."""
        place = bisect_left(self.turns, turn)
        return CallerQueue(
            _added_last(self.numbers, place, turn[1]),
            _added_last(self.turns, place, turn),
            _added_last(self.wakes, place, turn[0]),
        )

    def with_wait(self, number: int, now: int) -> tuple[CallerQueue, int, bool]:
        """Return the queue, the seconds that a caller sleeps, and whether it may go on then.

        A caller that is not the first wakes up after a sixth of its time, or at the grant of the
        caller before it if that is sooner, because it may have moved up.
        """
        place = self.numbers.index(number)
        time_left = max(0, self.turns[place][0] - now)
        earlier_wait = self.turns[place - 1][0] - now if place else 0
        sleep_time = min(earlier_wait, time_left // 6)
        if sleep_time < SHORT:
            sleep_time = time_left
        wakes = (*self.wakes[:place], now + sleep_time, *self.wakes[place + 1 :])
        return CallerQueue(self.numbers, self.turns, wakes), sleep_time, sleep_time == time_left

    def without_admitted(self, number: int) -> tuple[CallerQueue, Turn]:
        """Return the queue without a caller that proceeds now, and the time that it had."""
        place = self.numbers.index(number)
        return self._without_caller(place, place), self.turns[place]

    def without_caller(self, number: int) -> tuple[CallerQueue, Turn]:
        """Return the queue without a caller that stops waiting, and the time that becomes free."""
        place = last_place = self.numbers.index(number)
        while (
            last_place + 1 < len(self.turns)
            and self.wakes[last_place + 1] <= self.turns[last_place][0]
        ):
            last_place += 1
        return self._without_caller(place, last_place), self.turns[last_place]

    def _without_caller(self, place: int, turn: int) -> CallerQueue:
        return CallerQueue(
            _without_item(self.numbers, place),
            _without_item(self.turns, turn),
            _without_item(self.wakes, place),
        )


def _added_last(items: tuple[Any, ...], place: int, item: Any) -> tuple[Any, ...]:
    return (*items[:place], item, *items[place:])


def _without_item(items: tuple[Any, ...], place: int) -> tuple[Any, ...]:
    return (*items[:place], *items[place + 1 :])
