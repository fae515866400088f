"""What a rate limit is to the person who configures it, and the one rule for several at once.

A limit is a rule over one state, and every rule has the same functions:

- `calm(state, now, cost)`: the state after an immediate grant, or None where that needs thought;
- `present(state, now)`: the state as of now, which is what the others take;
- `earliest(present, cost, at)`: the first time from `at` on at which `cost` can be granted;
- `grant(present, cost, at)`: the state after a grant at that time, and the ticket for it;
- `refund(present, ticket)`: the state after a queued grant was given up;
- `drain(present, pause)`: the state after the vendor asked for a pause;
- `confirm(present, ticket)`: how long the holder of a queued grant must still wait.

Several limits grant jointly: one time that suits them all, or nothing from any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from mooring.domain.bucket import TokenBucket
from mooring.domain.durations import SECOND, count, seconds
from mooring.domain.quota import CalendarQuota
from mooring.domain.state import State, Ticket
from mooring.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from datetime import timedelta

LARGEST: Final = 2**53
"""Numbers of a state stay below this, so that stores whose numbers are doubles keep them exact."""


class Rule(Protocol):
    """One limit, compiled."""

    @property
    def burst(self) -> int: ...
    def calm(self, state: State | None, now: int, cost: int, /) -> State | None: ...
    def present(self, state: State | None, now: int, /) -> Any: ...
    def earliest(self, present: Any, cost: int, at: int, /) -> int: ...
    def grant(self, present: Any, cost: int, at: int, /) -> tuple[State, Ticket]: ...
    def refund(self, present: Any, ticket: Ticket, /) -> State: ...
    def drain(self, present: Any, pause: int, /) -> State: ...
    def confirm(self, present: Any, ticket: Ticket, /) -> int: ...


class Calendar(Enum):
    """Periods that begin when the calendar (UTC) says so."""

    DAY = "day"
    MONTH = "month"


@attrs.frozen
class RateLimitConfig:
    """At most `burst` calls at once, and `rate` per `per` seconds over time.

    With `calendar`, at most `rate` calls per calendar day or month instead, all of which may be
    used at once. Either is exact: over every span of t seconds, granted ≤ burst + rate · t / per.

    Attributes:
        rate: tokens per period; a fraction such as 0.5 is fine.
        per: the period, in seconds.
        burst: how many tokens may be taken at once; by default as many as one period gives.
        calendar: a calendar period instead of `per`.
    """

    rate: float | Fraction = attrs.field()
    per: float = attrs.field(default=1.0, converter=lambda value: seconds(value, "per"))
    burst: int = attrs.field()
    calendar: Calendar | None = attrs.field(default=None, kw_only=True)
    rule: Rule = attrs.field(init=False, repr=False, eq=False)

    @rate.validator
    def _check_rate(self, _: Any, value: object) -> None:
        usable = isinstance(value, (int, float, Fraction)) and not isinstance(value, bool)
        if not usable or not 0 < value < LARGEST:  # type: ignore[operator]  # narrowed just above
            raise ConfigurationError(
                f"{value!r} is not a rate.", path="rate", remedy="Give a number above zero."
            )

    @burst.default
    def _whole_period(self) -> int:
        try:
            return max(1, int(self.rate))
        except (TypeError, ValueError, OverflowError):
            return 1

    @burst.validator
    def _check_burst(self, _: Any, value: int) -> None:
        count(value, "burst")

    @rule.default
    def _compile(self) -> Rule:
        # attrs runs validators after every default: what a rule is made of is checked first.
        self._check_rate(None, self.rate)
        self._check_burst(None, self.burst)
        if self.calendar is not None:
            if self.rate != int(self.rate):
                raise ConfigurationError(
                    f"{self.rate!r} calls per {self.calendar.value} is not a count.",
                    path="rate",
                    remedy="Give a whole number for a calendar quota.",
                )
            return CalendarQuota(int(self.rate), monthly=self.calendar is Calendar.MONTH)
        pace = Fraction(self.rate).limit_denominator(SECOND) / (
            Fraction(self.per).limit_denominator(SECOND) * SECOND
        )
        tokens, ticks = pace.numerator, pace.denominator
        if tokens == 0 or (2 * self.burst) * ticks >= LARGEST or tokens >= LARGEST:
            raise ConfigurationError(
                f"{self.rate!r} per {self.per!r} s with a burst of {self.burst} is beyond what "
                "can be counted exactly.",
                path="burst",
                remedy="Use a smaller burst, or a rate with fewer digits.",
            )
        return TokenBucket(tokens, ticks, self.burst)

    @classmethod
    def per_second(cls, rate: float, *, burst: int | None = None) -> RateLimitConfig:
        """`rate` a second."""
        return cls._of(rate, 1.0, burst)

    @classmethod
    def per_minute(cls, rate: float, *, burst: int | None = None) -> RateLimitConfig:
        """`rate` a minute."""
        return cls._of(rate, 60.0, burst)

    @classmethod
    def per_hour(cls, rate: float, *, burst: int | None = None) -> RateLimitConfig:
        """`rate` an hour."""
        return cls._of(rate, 3_600.0, burst)

    @classmethod
    def per_day(cls, rate: float, *, burst: int | None = None) -> RateLimitConfig:
        """`rate` in 24 hours, refilled evenly; see `per_calendar_day` for a daily quota."""
        return cls._of(rate, 86_400.0, burst)

    @classmethod
    def per_calendar_day(cls, quota: int) -> RateLimitConfig:
        """`quota` calls from midnight to midnight, UTC."""
        return cls(quota, calendar=Calendar.DAY)

    @classmethod
    def per_calendar_month(cls, quota: int) -> RateLimitConfig:
        """`quota` calls from the first of the month to the next, UTC."""
        return cls(quota, calendar=Calendar.MONTH)

    @classmethod
    def _of(cls, rate: float, per: float | timedelta, burst: int | None) -> RateLimitConfig:
        return cls(rate, per) if burst is None else cls(rate, per, burst)

    def check_cost(self, cost: int) -> int:
        """`cost`, if it can ever be granted."""
        if isinstance(cost, bool) or not isinstance(cost, int) or cost < 1:
            raise InvalidData(
                f"{cost!r} is not a cost.", field="cost", remedy="Give an integer of 1 or more."
            )
        if cost > self.rule.burst:
            raise InvalidData(
                f"A cost of {cost} is more than the burst of {self.rule.burst}: it can never be "
                "granted.",
                field="cost",
                remedy="Raise the burst, or split the call.",
            )
        return cost


def joint_time(
    rules: Sequence[Rule], presents: Sequence[State], costs: Sequence[int], now: int
) -> int:
    """The first time, from `now` on, at which every limit can grant."""
    at = now
    while True:
        later = max(
            rule.earliest(present, cost, at)
            for rule, present, cost in zip(rules, presents, costs, strict=True)
        )
        if later == at:
            return at
        at = later
