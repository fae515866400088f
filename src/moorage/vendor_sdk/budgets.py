"""The budget of an account, for vendors that bill by tokens."""

from __future__ import annotations

from moorage.domain.resilience.rate_limit import Calendar, RateLimitConfig
from moorage.domain.service.settings import Service
from moorage.domain.values.names import BUDGET_SERVICE


def token_budget(name: str, *, daily: int | None, monthly: int | None) -> dict[str, Service]:
    """Return the service whose limits count an account's tokens; empty without a budget.

    A vendor's `services` contain it, and `Wire.send_within_budget` takes the tokens of a request.
    Without the shared store no process knows how many tokens are left, so requests are refused.

    Args:
        name: name of the vendor.
        daily: tokens of a calendar day in UTC; None for no such limit.
        monthly: tokens of a calendar month in UTC; None for no such limit.
    """
    limits = [
        RateLimitConfig(tokens, calendar=calendar, without_store="refuse")
        for calendar, tokens in ((Calendar.DAY, daily), (Calendar.MONTH, monthly))
        if tokens is not None
    ]
    if not limits:
        return {}
    return {BUDGET_SERVICE: Service(name, limits=tuple(limits), circuit=None, retry=None)}
