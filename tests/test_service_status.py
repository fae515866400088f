"""The status of a service's protections, as values for display."""

from __future__ import annotations

from contextlib import suppress

import pytest

from moorage import Hub, RateLimitConfig, RateLimitExceeded, RetryBudget, Service
from moorage.contracts.inference import GenerationRequest
from moorage.contracts.routes import Account
from moorage.domain.resilience.rate_limit import Calendar
from moorage.hub.service_status import service_statuses
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.inference.openai import OpenAISandbox
from moorage.vendors.inference.openai import OpenAI


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
    assert [None, None, None, 499, 8_999] == [limit.left for limit in status.limits]
    assert status.budget is not None
    assert (1, 0, True, 10.0) == (
        status.budget.calls,
        status.budget.retries,
        status.budget.allows,
        status.budget.period,
    )
    assert status.circuit is not None


@pytest.mark.parametrize("parts", [1, 4])
def test_calls_left_of_a_quota_are_shown_until_none_is_left(parts: int) -> None:
    """The status shows the calls that a quota has left, over all of its parts, and at last none."""
    quota = RateLimitConfig(9, calendar=Calendar.DAY, parts=parts)
    service = Service("vat", limits=quota, max_limit_wait=0, retry=None)
    left: list[int | None] = []
    with Hub([], services=[service]) as hub:
        for _ in range(60):
            with suppress(RateLimitExceeded):
                hub.manager.run("vat", int)
            (status,) = service_statuses(hub)
            left.append(status.limits[0].left)
    assert [8, 0] == [left[0], left[-1]]
    assert set(range(9)) == set(left)


def test_tokens_left_of_a_budget_are_shown_for_each_tenant() -> None:
    """The status of an account's budget shows the tokens of the day and the month that are left."""
    sandbox = OpenAISandbox()
    vendor = OpenAI(
        credentials=sandbox.api_key,
        model="model-large",
        daily_tokens=10_000,
        monthly_tokens=50_000,
    )
    with Hub([Account("models", vendor)], http=SandboxHttpClient(sandbox)) as hub:
        used = hub.inference("acme").generate(GenerationRequest("a")).usage.total
        left = {
            tenant: [limit.left for limit in status.limits]
            for tenant in (None, "acme")
            for status in service_statuses(hub, tenant, ("models.budget",))
        }
    assert {None: [10_000, 50_000], "acme": [10_000 - used, 50_000 - used]} == left
