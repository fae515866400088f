"""The retry budget: retries stay a share of the calls, over all who share it.

Law: over any run of periods, retries ≤ ratio · calls + floor · periods. So an outage of a vendor
adds at most that much to the traffic it sees. A state is `(seen, quiet, period, calls, retries,
carry)`; what calls earned and did not use in one period may still be used in the next.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

import attrs

from mooring.domain.durations import count, micros, seconds, share
from mooring.domain.state import State, steady

Budget: TypeAlias = "tuple[int, int, int, int, int, int]"


@attrs.frozen(kw_only=True)
class RetryBudget:
    """How many retries all callers of a service together may make.

    Attributes:
        ratio: retries per call.
        floor: retries allowed in each period whatever the traffic, so that a quiet service may
            still retry.
        period: seconds.
    """

    ratio: float = attrs.field(default=0.2, validator=lambda _, __, value: share(value, "ratio"))
    floor: int = attrs.field(
        default=10, validator=lambda _, __, value: count(value, "floor", least=0)
    )
    period: float = attrs.field(default=10.0, converter=lambda value: seconds(value, "period"))


class BudgetRule:
    """A configured budget, compiled."""

    __slots__ = ("floor", "parts", "period", "whole")

    def __init__(self, budget: RetryBudget) -> None:
        part = Fraction(budget.ratio).limit_denominator(10_000)
        self.parts, self.whole = part.numerator, part.denominator
        self.floor = budget.floor
        self.period = micros(budget.period)

    def present(self, state: State | None, now: int) -> Budget:
        """The state as of now, in the current period."""
        if state is None:
            return (now, 2 * self.period, now // self.period, 0, 0, 0)
        seen, quiet, period, calls, retries, carry = state
        time, back = steady(seen, now)
        period -= back // self.period
        current = time // self.period
        if current > period:
            spared = max(0, calls * self.parts - retries * self.whole)
            calls, retries, carry = 0, 0, spared if current == period + 1 else 0
            period = current
        return (time, quiet, period, calls, retries, carry)

    def call(self, budget: Budget) -> Budget:
        """Count a first attempt."""
        seen, quiet, period, calls, retries, carry = budget
        return (seen, quiet, period, calls + 1, retries, carry)

    def retry(self, budget: Budget) -> Budget | None:
        """Count a retry, or None if the budget has none left."""
        seen, quiet, period, calls, retries, carry = budget
        allowed = self.floor * self.whole + carry + calls * self.parts
        if (retries + 1) * self.whole > allowed:
            return None
        return (seen, quiet, period, calls, retries + 1, carry)

    def left_for(self, budget: Budget) -> int:
        """Microseconds until the next period begins."""
        return (budget[2] + 1) * self.period - budget[0]
