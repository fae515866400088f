"""The retry budget: retries of all processes stay below a share of all calls.

Law: over any run of periods, retries ≤ ratio · calls + floor · periods, where the calls of the
period before the run count too: an unused allowance of one period may still be used in the next. So
retries add at most that much traffic during an outage of a vendor.

A state is `(seen, keep_for, period, calls, retries, carry)`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.state.commands import reading_time
from moorage.domain.values.durations import count, is_seconds, is_share, micros, plain_seconds
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    import attrs

    from moorage.domain.state.commands import State

Budget: TypeAlias = "tuple[int, int, int, int, int, int]"

_MILLION: Final = 10**6


def _check_floor(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    count(value, attribute.name, least=0)


@frozen(kw_only=True)
class RetryBudget:
    """The share of calls that may be retries, for all callers of a service.

    Attributes:
        ratio: the number of retries for each call, such as 0.1 for one retry in ten calls; decimals
            after the sixth are ignored.
        floor: the number of retries allowed in each period however few calls there are, so that a
            rarely called service may still retry.
        period: the length of a period in seconds.
    """

    ratio: float = field(default=0.2, validator=is_share)
    floor: int = field(default=10, validator=_check_floor)
    period: float = field(default=10.0, converter=plain_seconds, validator=is_seconds)


class BudgetRule:
    """The compiled form of a `RetryBudget`."""

    __slots__ = ("floor", "parts", "period", "whole")

    def __init__(self, budget: RetryBudget) -> None:
        # The ratio counts as its decimal text, rounded down: 0.29 means 29 of 100.
        part = Fraction(int(Fraction(str(budget.ratio)) * _MILLION), _MILLION)
        self.parts, self.whole = part.numerator, part.denominator
        self.floor = budget.floor
        self.period = micros(budget.period)

    def present(self, state: State | None, now: int) -> Budget:
        """Return the budget's state in the current period."""
        if state is None:
            return (now, 2 * self.period, now // self.period, 0, 0, 0)
        state_time, keep_for, period, calls, retries, carried_share = state
        time, _ = reading_time(state_time, now)
        period_number = time // self.period
        if period_number > period:
            unspent_share = max(0, calls * self.parts - retries * self.whole)
            calls, retries, carried_share = (
                0,
                0,
                unspent_share if period_number == period + 1 else 0,
            )
        return (time, keep_for, period_number, calls, retries, carried_share)

    def fast_count_call(self, state: State | None, now: int, _cost: int = 0, /) -> Budget | None:
        """Return the budget after counting a first attempt; None if the period has changed.

        The last argument makes it callable like the `fast_grant` of a limit.
        """
        if state is None:
            return None
        state_time, keep_for, period, calls, retries, carried_share = state
        if now < state_time or now // self.period != period:
            return None
        return (now, keep_for, period, calls + 1, retries, carried_share)

    def count_call(self, budget: Budget) -> Budget:
        """Return the budget after counting one more first attempt."""
        state_time, keep_for, period, calls, retries, carried_share = budget
        return (state_time, keep_for, period, calls + 1, retries, carried_share)

    def uncount_call(self, budget: Budget) -> Budget:
        """Return the budget after removing one first attempt from this period's count."""
        state_time, keep_for, period, calls, retries, carried_share = budget
        return (state_time, keep_for, period, max(0, calls - 1), retries, carried_share)

    def count_retry(self, budget: Budget) -> Budget | None:
        """Return the budget after counting one more retry; None if no retry is allowed."""
        state_time, keep_for, period, calls, retries, carried_share = budget
        allowed_parts = self.floor * self.whole + carried_share + calls * self.parts
        if (retries + 1) * self.whole > allowed_parts:
            return None
        return (state_time, keep_for, period, calls, retries + 1, carried_share)

    def left_for(self, budget: Budget) -> int:
        """Return the microseconds until the next period of the retry budget begins."""
        return (budget[2] + 1) * self.period - budget[0]
