"""A quota that is renewed with each calendar day or month, in UTC.

Law: in every period at most `burst` is granted, each grant counted in the period of its time.
(Callers that queue for a later period keep their grants if a vendor's pause passes its end: they
are sent when the pause ends.) A newcomer is granted in the first period that has room, so a caller
that gives up makes room in the period that it waited for.

A state is `(seen, keep_for, at, used, frozen_until, shift, later)`: `used` calls were granted in
the period of `at`. `frozen_until` is the end of a pause, `shift` the time by which a clock step has
moved the other times. `later` has `(begin, used)` for each period that has queued calls, and for
those before it. It has at most 100; an omitted period before the last of these counts as full.
Store times count from the Unix epoch, so they have a calendar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.domain.state.commands import reading_time
from moorage.domain.values.durations import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction

    from moorage.domain.state.commands import State, Ticket

Later: TypeAlias = "tuple[tuple[int, int], ...]"
Quota: TypeAlias = "tuple[int, int, int, int, int, int, Later]"

LATER: Final = 100

# The year begins in March, so that a leap day is its last day; an era is 400 years.
_MARCH_OF_YEAR_0: Final = 719_468
_JANUARY: Final = 10
_DECEMBER: Final = 12


def civil_month(day: int) -> tuple[int, int]:
    """Return the year and the month (1 to 12) of a day, counted from 1970-01-01."""
    era, day_of_era = divmod(day + _MARCH_OF_YEAR_0, 146_097)
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    is_next_year = month >= _JANUARY
    return year + era * 400 + is_next_year, month - 9 if is_next_year else month + 3


def first_day(year: int, month: int) -> int:
    """Return the first day of a month, counted from 1970-01-01."""
    since_march = (month - 3) % _DECEMBER
    era, year_of_era = divmod(year - (since_march >= _JANUARY), 400)
    day_of_year = (153 * since_march + 2) // 5
    days = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + days - _MARCH_OF_YEAR_0


class CalendarQuota:
    """A limit of `burst` calls per calendar day or month."""

    __slots__ = ("burst", "monthly")

    def __init__(self, burst: int, *, monthly: bool) -> None:
        self.burst = burst
        self.monthly = monthly

    def part(self, share: Fraction, least: int) -> CalendarQuota:
        """Return a quota with a share of the calls, but at least `least`."""
        return CalendarQuota(max(least, int(self.burst * share)), monthly=self.monthly)

    def period(self, at: int) -> tuple[int, int]:
        """Return the beginning and the end of the calendar period that contains `at`."""
        day = at // DAY
        if not self.monthly:
            return day * DAY, (day + 1) * DAY
        year, month = civil_month(day)
        later_numbers = (year, month + 1) if month < _DECEMBER else (year + 1, 1)
        return first_day(year, month) * DAY, first_day(*later_numbers) * DAY

    def fast_grant(self, state: State | None, now: int, cost: int) -> Quota | None:
        """Return the state after an immediate grant; None if the full rule has to decide."""
        if state is None:
            return None
        state_time, keep_for, at, used_calls, frozen_until, time_shift, later_counts = state
        used_calls += cost
        # The state expires with the period of `at`, or with a pause that ends later.
        state_end = state_time + keep_for
        if (
            later_counts
            or now < state_time
            or now < at
            or now < frozen_until
            or now >= state_end
            or used_calls > self.burst
        ):
            return None
        return (now, state_end - now, now, used_calls, frozen_until, time_shift, ())

    def present(self, state: State | None, now: int) -> Quota:
        """Return the quota's state at the present time.

        If the clock stepped back, all times in the state are moved back with it.
        """
        if state is None:
            return (now, 0, now, 0, 0, 0, ())
        state_time, keep_for, at, used_calls, frozen_until, time_shift, later_pause = state
        time, clock_step = reading_time(state_time, now)
        keep_for -= time - state_time
        if clock_step:
            at, frozen_until, time_shift = (
                at - clock_step,
                frozen_until - clock_step,
                time_shift - clock_step,
            )
            later_pause = self._counts_from(
                ((period_start - clock_step, count) for period_start, count in later_pause), 0
            )
            keep_for = self._keep_for(time, at, frozen_until, later_pause)
        period_start = self.period(time)[0]
        if period_start > at:
            at, used_calls = time, self._later_calls(later_pause, period_start)
        if later_pause and later_pause[0][0] <= period_start:
            later_pause = tuple(
                start_time for start_time in later_pause if start_time[0] > period_start
            )
        return (time, max(0, keep_for), at, used_calls, frozen_until, time_shift, later_pause)

    def earliest(self, quota: Quota, cost: int, at: int) -> int:
        """Return the earliest time, not before `at`, in a period that has `cost` calls left."""
        at = max(at, quota[4])
        later_pause = quota[6]
        while self._used_calls(quota, at) + cost > self.burst:
            at = self.period(at)[1]
            if len(later_pause) == LATER and later_pause[-2][0] < at < later_pause[-1][0]:
                at = later_pause[-1][0]
        return at

    def grant(
        self,
        quota: Quota,
        cost: int,
        at: int,
        *,
        refundable: bool,  # noqa: ARG002 - a count needs no memory of its grants to take one back
    ) -> tuple[Quota, Ticket]:
        """Return the quota with `cost` calls counted in the period that contains `at`."""
        state_time, _, state_end, used_calls, frozen_until, time_shift, later_pause = quota
        period_start = self.period(at)[0]
        if period_start <= state_end:
            state_end, used_calls = at, used_calls + cost
        else:
            later_pause = self._with_grant(state_end, later_pause, period_start, cost)
        keep_for = self._keep_for(state_time, state_end, frozen_until, later_pause)
        return (
            state_time,
            keep_for,
            state_end,
            used_calls,
            frozen_until,
            time_shift,
            later_pause,
        ), (
            0,
            at,
            cost,
            time_shift,
        )

    def refund(self, quota: Quota, ticket: Ticket) -> Quota:
        """Return the quota after giving back the calls of a grant."""
        state_time, _, at, used_calls, frozen_until, time_shift, later_pause = quota
        due_time = ticket[1] + time_shift - ticket[3]
        period_start = self.period(due_time)[0]
        if period_start > state_time:
            # A pause delays only the callers that wait for a later period.
            period_start = self.period(max(due_time, frozen_until))[0]
        if period_start == self.period(at)[0]:
            used_calls = max(0, used_calls - ticket[2])
        later_pause = tuple(
            (start_time, max(0, count - ticket[2]) if start_time == period_start else count)
            for start_time, count in later_pause
        )
        # If a later period does not directly follow the one before, the periods between them are
        # full.
        while (
            later_pause
            and not later_pause[-1][1]
            and self.period((at, *dict(later_pause))[-2])[1] == later_pause[-1][0]
        ):
            later_pause = later_pause[:-1]
        keep_for = self._keep_for(state_time, at, frozen_until, later_pause)
        return (state_time, keep_for, at, used_calls, frozen_until, time_shift, later_pause)

    def left(self, quota: Quota) -> int:
        """Return the number of calls that the present period has left."""
        return max(0, self.burst - self._used_calls(quota, quota[0]))

    def drain(self, quota: Quota, pause: int) -> Quota:
        """Return the state at the beginning of a pause of `pause` microseconds.

        Queued calls keep their grants.
        """
        state_time, _, at, used_calls, frozen_until, time_shift, later_pause = quota
        frozen_until = max(frozen_until, state_time + pause)
        later_pause = self._counts_from(later_pause, frozen_until)
        keep_for = self._keep_for(state_time, at, frozen_until, later_pause)
        return (state_time, keep_for, at, used_calls, frozen_until, time_shift, later_pause)

    def paused(self, quota: Quota) -> int:
        """Return the microseconds until the quota's current pause ends; 0 without a pause."""
        return max(0, quota[4] - quota[0])

    def resume(self, quota: Quota) -> Quota:
        """Return the state after the pause was ended; counted calls stay counted."""
        state_time, _, at, used_calls, _, time_shift, later_pause = quota
        if not self.paused(quota):
            return quota
        return (
            state_time,
            self._keep_for(state_time, at, state_time, later_pause),
            at,
            used_calls,
            state_time,
            time_shift,
            later_pause,
        )

    def confirm(self, quota: Quota, ticket: Ticket) -> int:
        """Return the microseconds that a ticket's holder must still wait; 0 if it may proceed."""
        moved_time = quota[5] - ticket[3]
        return max(0, ticket[1] + moved_time - quota[0], quota[4] - quota[0])

    def _keep_for(self, seen: int, at: int, frozen: int, later: Later) -> int:
        """Return the microseconds for which to store a state, until its last period ends."""
        return max(self.period(later[-1][0] if later else at)[1], frozen) - seen

    def _used_calls(self, quota: Quota, at: int) -> int:
        period_start = self.period(at)[0]
        return quota[3] if period_start <= quota[2] else self._later_calls(quota[6], period_start)

    def _later_calls(self, later: Later, begin: int) -> int:
        """Return the number of calls counted in the future period that begins at `begin`."""
        for start_time, used_calls in later:
            if start_time == begin:
                return used_calls
        return self.burst if later and begin < later[-1][0] else 0

    def _counts_from(self, later: Iterable[tuple[int, int]], earliest: int) -> Later:
        """Return the call counts of periods from `earliest` on.

        The first count includes earlier periods.
        """
        counts: dict[int, int] = {}
        for period_start, used_calls in later:
            period_start = self.period(max(period_start, earliest))[0]  # noqa: PLW2901 - the begin of its period
            counts[period_start] = counts.get(period_start, 0) + used_calls
        return tuple(counts.items())

    def _with_grant(self, since: int, later: Later, begin: int, cost: int) -> Later:
        """Return the call counts of future periods after one more grant."""
        if later and begin <= later[-1][0]:
            return tuple(
                (start_time, used_calls + cost * (start_time == begin))
                for start_time, used_calls in later
            )
        next_period = self.period(later[-1][0] if later else since)[1]
        while next_period < begin and len(later) < LATER:
            later, next_period = (*later, (next_period, 0)), self.period(next_period)[1]
        later = (*later, (begin, cost))
        return later if len(later) <= LATER else (*later[:-2], later[-1])
