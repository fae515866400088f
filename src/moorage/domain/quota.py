"""A quota that starts afresh with each calendar day or month, UTC.

Law: in every period at most `burst` is granted, each grant counted in the period of its time.
(Callers that queue for a later period when a vendor's pause passes its end keep their grants: they
go when the pause ends.)

A state is `(seen, quiet, at, used, frozen, shift)`: `used` calls were granted in the period of
`at`, the time of the last grant; a queued grant lies in a later period, so `at` may be ahead of
`seen`. `frozen` is the end of a pause, `shift` how far a clock that stepped has moved the times.
Store times count from the Unix epoch, which is what gives them a calendar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.domain.durations import DAY
from moorage.domain.state import steady

if TYPE_CHECKING:
    from fractions import Fraction

    from moorage.domain.state import State, Ticket

Quota: TypeAlias = "tuple[int, int, int, int, int, int]"

# A year is taken to begin in March, so that a leap day ends it; 400 years are an era.
_MARCH_OF_YEAR_0: Final = 719_468
_JANUARY: Final = 10
_DECEMBER: Final = 12


def civil_month(day: int) -> tuple[int, int]:
    """Year and month (1 to 12) of a day counted from 1970-01-01."""
    era, of_era = divmod(day + _MARCH_OF_YEAR_0, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    after = month >= _JANUARY
    return year + era * 400 + after, month - 9 if after else month + 3


def first_day(year: int, month: int) -> int:
    """The first day of a month, counted from 1970-01-01."""
    since_march = (month - 3) % _DECEMBER
    era, of_era = divmod(year - (since_march >= _JANUARY), 400)
    of_year = (153 * since_march + 2) // 5
    days = of_era * 365 + of_era // 4 - of_era // 100 + of_year
    return era * 146_097 + days - _MARCH_OF_YEAR_0


class CalendarQuota:
    """`burst` calls per calendar day, or per month."""

    __slots__ = ("burst", "monthly")

    def __init__(self, burst: int, *, monthly: bool) -> None:
        self.burst = burst
        self.monthly = monthly

    @property
    def shape(self) -> str:
        """What makes two quotas' states comparable."""
        return f"{'month' if self.monthly else 'day'}-{self.burst}"

    def part(self, share: Fraction, least: int) -> CalendarQuota:
        """A share of this quota, which is `least` at the least."""
        return CalendarQuota(max(least, int(self.burst * share)), monthly=self.monthly)

    def period(self, at: int) -> tuple[int, int]:
        """Begin and end of the period that `at` lies in."""
        day = at // DAY
        if not self.monthly:
            return day * DAY, (day + 1) * DAY
        year, month = civil_month(day)
        after = (year, month + 1) if month < _DECEMBER else (year + 1, 1)
        return first_day(year, month) * DAY, first_day(*after) * DAY

    def calm(self, state: State | None, now: int, cost: int) -> Quota | None:
        """Grant at once within the period of the last grant; None in every other case."""
        if state is None:
            return None
        seen, quiet, at, used, frozen, shift = state
        used += cost
        # `quiet` is over with the period of `at`, or with a pause that ends later still.
        ends = seen + quiet
        if now < seen or now < at or now < frozen or now >= ends or used > self.burst:
            return None
        return (now, ends - now, now, used, frozen, shift)

    def present(self, state: State | None, now: int) -> Quota:
        """The state with `seen` at the time to go by, moved back with a clock that stepped."""
        if state is None:
            return (now, 0, now, 0, 0, 0)
        seen, quiet, at, used, frozen, shift = state
        time, back = steady(seen, now)
        if not back:
            return (time, max(0, quiet - (time - seen)), at, used, frozen, shift)
        at, frozen = at - back, frozen - back
        return (time, max(self.period(at)[1], frozen) - time, at, used, frozen, shift - back)

    def earliest(self, quota: Quota, cost: int, at: int) -> int:
        """The first time from `at` on at which `cost` fits a period."""
        at = max(at, quota[2], quota[4])
        return at if self._used(quota, at) + cost <= self.burst else self.period(at)[1]

    def grant(
        self,
        quota: Quota,
        cost: int,
        at: int,
        *,
        kept: bool,  # noqa: ARG002 - a count needs no memory of its grants to take one back
    ) -> tuple[Quota, Ticket]:
        """Count `cost` in the period of `at`, which `earliest` has allowed."""
        seen, _, _, _, frozen, shift = quota
        quiet = max(self.period(at)[1], frozen) - seen
        used = self._used(quota, at) + cost
        return (seen, quiet, at, used, frozen, shift), (0, at, cost, shift)

    def refund(self, quota: Quota, ticket: Ticket) -> Quota:
        """Give back a grant of the period that is being counted."""
        seen, quiet, at, used, frozen, shift = quota
        if self.period(ticket[1] + shift - ticket[3]) == self.period(at):
            used = max(0, used - ticket[2])
        return (seen, quiet, at, used, frozen, shift)

    def drain(self, quota: Quota, pause: int) -> Quota:
        """Grant nothing for `pause` microseconds; those who queue go on counting after it."""
        seen, _, at, used, frozen, shift = quota
        frozen = max(frozen, seen + pause)
        if at > seen:
            at = max(at, frozen)
        quiet = max(self.period(at)[1], frozen) - seen
        return (seen, quiet, at, used, frozen, shift)

    def confirm(self, quota: Quota, ticket: Ticket) -> int:
        """How long the holder of a ticket must still wait; 0 is go."""
        moved = quota[5] - ticket[3]
        return max(0, ticket[1] + moved - quota[0], quota[4] - quota[0])

    def _used(self, quota: Quota, at: int) -> int:
        return quota[3] if quota[2] >= self.period(at)[0] else 0
