"""Services with several regions: the region of each attempt, and failover."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    ConnectionFailed,
    Endpoint,
    Jitter,
    Region,
    Request,
    RetryBudget,
    RetryBudgetExhausted,
    RetryPolicy,
    VendorFailed,
)
from tests.services.two_regions import (
    CUT_OFF,
    EU,
    GET,
    POST,
    REFUSED_CONNECTION,
    US,
    answers,
    regions_used,
    shop,
)
from tests.support.modes import Harness, sync_and_async


@sync_and_async
async def test_first_tier_is_used(harness: Harness) -> None:
    """Requests go to the base URL of a region in the first tier."""
    manager = harness.watched(shop())

    await manager.call("shop", GET)

    assert ["https://eu.example/v1/items"] == [requests.url for requests in harness.vendor.requests]
    assert [None, "eu", "eu"] == [event.region for event in harness.events]


@sync_and_async
async def test_region_is_drawn_by_weight(harness: Harness) -> None:
    """Within a tier, regions are chosen at random by weight."""
    us = Region("us", "https://us.example", weight=3)
    manager = harness.manager(shop(EU, us))

    for harness.chance.draw in (0.0, 0.24, 0.26, 0.99):
        await manager.call("shop", GET)

    assert ["eu", "eu", "us", "us"] == regions_used(harness)


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@sync_and_async
async def test_refused_connection_moves_on_at_once(harness: Harness, request_: Request) -> None:
    """After a refused connection the next region is tried without a pause."""
    answers(harness, eu=[REFUSED_CONNECTION])
    manager = harness.watched(shop())

    response = await manager.call("shop", request_)

    assert (200, ["eu", "us"], []) == (
        response.status,
        regions_used(harness),
        harness.sleeper.slept,
    )
    last_event = harness.events[-1]
    assert (2, "us") == (last_event.attempts, last_event.region)


@sync_and_async
async def test_failover_needs_no_time_for_a_pause(harness: Harness) -> None:
    """A call without time for a pause still tries another region at once."""
    answers(harness, eu=[REFUSED_CONNECTION])
    manager = harness.manager(shop())

    assert 200 == (await manager.call("shop", POST, timeout=0.5)).status
    assert ["eu", "us"] == regions_used(harness)


@sync_and_async
async def test_failover_is_an_attempt(harness: Harness) -> None:
    """A failover counts as an attempt, and the error names the last region."""
    answers(harness, eu=[REFUSED_CONNECTION] * 9, us=[REFUSED_CONNECTION] * 9)
    manager = harness.manager(shop(retry=RetryPolicy(2)))

    with pytest.raises(ConnectionFailed) as excinfo:
        await manager.call("shop", POST)

    assert ["eu", "us"] == regions_used(harness)
    assert (2, "us") == (excinfo.value.attempts, excinfo.value.region)
    assert str(excinfo.value).startswith("shop in us: ")


@sync_and_async
async def test_failover_takes_from_the_retry_budget(harness: Harness) -> None:
    """Another region is tried only if the retry budget allows one more attempt."""
    answers(harness, eu=[REFUSED_CONNECTION])
    budget = RetryBudget(ratio=0.01, floor=0)
    manager = harness.manager(shop(retry_budget=budget))

    with pytest.raises(RetryBudgetExhausted):
        await manager.call("shop", GET)

    assert ["eu"] == regions_used(harness)


@sync_and_async
async def test_second_attempt_at_a_region_pauses(harness: Harness) -> None:
    """A second attempt in the same region is made after a pause, like any retry."""
    answers(harness, eu=[REFUSED_CONNECTION, REFUSED_CONNECTION], us=[REFUSED_CONNECTION])
    manager = harness.manager(shop(retry=RetryPolicy(4, 1.0, jitter=Jitter.NONE)))

    await manager.call("shop", GET)

    assert ["eu", "us", "eu", "us"] == regions_used(harness)
    assert [2.0, 4.0] == harness.sleeper.slept


@sync_and_async
async def test_untried_regions_come_first(harness: Harness) -> None:
    """A call tries all other regions before it repeats one."""
    answers(harness, eu=[REFUSED_CONNECTION], us=[REFUSED_CONNECTION])
    ap = Region("ap", "https://ap.example/v1", tier=3)
    manager = harness.manager(shop(EU, US, ap))

    await manager.call("shop", POST)

    assert ["eu", "us", "ap"] == regions_used(harness)


@pytest.mark.parametrize("failure", [CUT_OFF, 503], ids=["cut off", "503"])
@sync_and_async
async def test_failed_read_changes_regions_after_a_pause(harness: Harness, failure: Any) -> None:
    """An idempotent request that may have been processed goes to another region after the pause."""
    answers(harness, eu=[failure])
    manager = harness.manager(shop())

    await manager.call("shop", GET)

    assert (["eu", "us"], [1.0]) == (regions_used(harness), harness.sleeper.slept)


@pytest.mark.parametrize("failure", [CUT_OFF, 503], ids=["cut off", "503"])
@sync_and_async
async def test_possibly_processed_post_is_not_repeated(harness: Harness, failure: Any) -> None:
    """A POST without an idempotency key that may have been processed goes to no other region."""
    answers(harness, eu=[failure])
    manager = harness.manager(shop())

    with pytest.raises((ConnectionFailed, VendorFailed)):
        await manager.call("shop", POST)

    assert ["eu"] == regions_used(harness)


@pytest.mark.parametrize(
    "endpoint, request_, moves",
    [
        (None, Request.put("/items/7"), True),
        (None, POST.evolve(idempotent=True), True),
        (Endpoint("any", path="/orders", idempotent=True), POST, True),
        (Endpoint("any", path="/items", idempotent=False), GET, False),
        (None, GET.evolve(idempotent=False), False),
    ],
)
@sync_and_async
async def test_idempotent_requests_may_change_regions(
    harness: Harness, endpoint: Endpoint | None, request_: Request, *, moves: bool
) -> None:
    """A request or endpoint declared idempotent may be repeated in another region."""
    answers(harness, eu=[CUT_OFF])
    manager = harness.manager(shop(endpoints=endpoint or ()))

    if moves:
        await manager.call("shop", request_)
    else:
        with pytest.raises(ConnectionFailed):
            await manager.call("shop", request_)

    assert (["eu", "us"] if moves else ["eu"]) == regions_used(harness)


@sync_and_async
async def test_service_without_circuits_fails_over_too(harness: Harness) -> None:
    """A service without a circuit also fails over, but remembers no failed region."""
    answers(harness, eu=[REFUSED_CONNECTION, REFUSED_CONNECTION])
    manager = harness.manager(shop(circuit=None))

    await manager.call("shop", GET)
    await manager.call("shop", GET)

    assert ["eu", "us", "eu", "us"] == regions_used(harness)
