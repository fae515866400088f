"""The status of a service's protections, as values for display."""

from __future__ import annotations

from moorage import Hub, RateLimitConfig, RetryBudget, Service
from moorage.hub.service_status import service_statuses


def test_limits_have_the_names_of_their_rates() -> None:
    """A rate limit is shown in its largest whole time unit, and a retry budget by its count."""
    limits = [
        RateLimitConfig.per_second(10, burst=20),
        RateLimitConfig.per_minute(30),
        RateLimitConfig.per_day(0.5),
        RateLimitConfig.per_calendar_day(500),
        RateLimitConfig.per_calendar_month(9_000),
    ]
    vat = Service("vat", "http://127.0.0.1:9", limits=limits, retry_budget=RetryBudget())
    with Hub([], services=[vat]) as hub:
        hub.manager.run("vat", int)
        (status,) = service_statuses(hub)
        assert [] == service_statuses(hub, None, ())
    assert [
        "10 per second, 20 at once",
        "30 per minute, 30 at once",
        "0.5 per day, 1 at once",
        "500 per calendar day",
        "9000 per calendar month",
    ] == [limit.name for limit in status.limits]
    assert status.limits[2].wait > 0 == status.limits[2].paused
    assert status.budget is not None
    assert (1, 0, True, 10.0) == (
        status.budget.calls,
        status.budget.retries,
        status.budget.allows,
        status.budget.period,
    )
    assert status.circuit is not None
