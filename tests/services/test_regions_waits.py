"""Services with several regions: `Retry-After`, limits and deadlines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from moorage import (
    DeadlineExceeded,
    Jitter,
    RateLimitConfig,
    RateLimitExceeded,
    Response,
    RetryPolicy,
    VendorFailed,
)
from tests.services.two_regions import (
    GET,
    REFUSED_CONNECTION,
    answers,
    open_circuits,
    regions_used,
    shop,
)
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import START


@sync_and_async
async def test_last_error_has_retry_after(harness: Harness) -> None:
    """When all attempts are used up, the error has the vendor's `Retry-After`."""
    answers(harness, eu=[Response(503, {"Retry-After": "7"})])
    manager = harness.manager(shop(retry=None))

    with pytest.raises(VendorFailed) as excinfo:
        await manager.call("shop", GET)

    assert START + timedelta(seconds=7) == excinfo.value.retry_at


@sync_and_async
async def test_retry_after_of_a_503_applies_to_its_region(harness: Harness) -> None:
    """A 503 with `Retry-After` pauses only the region that sent it."""
    answers(harness, eu=[Response(503, {"Retry-After": "3600"})])
    manager = harness.watched(shop(limits=RateLimitConfig(100)))

    await manager.call("shop", GET)
    await manager.call("shop", GET)

    assert ["eu", "us", "eu"] == regions_used(harness)
    assert [1.0] == harness.sleeper.slept
    assert "VendorPaused" not in harness.event_names()


@sync_and_async
async def test_absurd_pause_of_a_region_ends_after_an_hour(harness: Harness) -> None:
    """If a region requests a pause of decades, it is tried again after the maximum pause."""
    answers(harness, eu=[Response(503, {"Retry-After": "9" * 20})])
    manager = harness.watched(shop(limits=RateLimitConfig(100)))

    await manager.call("shop", GET)
    harness.clock.advance(3600)
    await manager.call("shop", GET)

    assert ["eu", "us", "eu"] == regions_used(harness)


@sync_and_async
async def test_region_is_not_called_before_its_retry_after(harness: Harness) -> None:
    """A call does not return to a region before that region's `Retry-After` has passed."""
    answers(harness, eu=[Response(503, {"Retry-After": "3"})], us=[503])
    manager = harness.manager(shop(retry=RetryPolicy(4, 1.0, jitter=Jitter.NONE)))

    await manager.call("shop", GET)

    assert ["eu", "us", "us"] == regions_used(harness)
    assert [0.0, 1.0, 3.0] == [requests.at for requests in harness.vendor.requests]


@sync_and_async
async def test_retry_after_holds_without_another_region(harness: Harness) -> None:
    """If no other region is available, the retry waits for the `Retry-After`."""
    answers(harness, eu=[Response(503, {"Retry-After": "7"})])
    manager = harness.manager(shop())
    await open_circuits(manager, "us")

    await manager.call("shop", GET)

    assert [0.0, 7.0] == [requests.at for requests in harness.vendor.requests]


@sync_and_async
async def test_limits_are_for_all_regions(harness: Harness) -> None:
    """A 429 pauses all regions, and a service's rate limit covers all regions together."""
    answers(harness, eu=[Response(429, {"Retry-After": "5"})])
    manager = harness.watched(shop(limits=RateLimitConfig(1, per=1)))

    await manager.call("shop", GET)

    assert ["eu", "us"] == regions_used(harness)
    assert 5.0 <= harness.vendor.requests[1].at
    assert "VendorPaused" in harness.event_names()


@sync_and_async
async def test_429_without_a_limit_pauses_every_region(harness: Harness) -> None:
    """After a 429 a call tries no other region, even if the service has no rate limit."""
    answers(harness, eu=[Response(429, {"Retry-After": "5"})])
    manager = harness.manager(shop())

    await manager.call("shop", GET)

    assert ["eu", "us"] == regions_used(harness)
    assert [0.0, 5.0] == [requests.at for requests in harness.vendor.requests]


@sync_and_async
async def test_used_up_allowance_pauses_every_region(harness: Harness) -> None:
    """A success that reports no remaining allowance pauses every region."""
    used_up = {"RateLimit-Limit": "9", "RateLimit-Remaining": "0", "RateLimit-Reset": "5"}
    answers(harness, eu=[Response(200, used_up)])
    manager = harness.watched(shop(limits=RateLimitConfig(100)))

    await manager.call("shop", GET)

    assert "VendorPaused" in harness.event_names()


@sync_and_async
async def test_limits_hold_across_regions(harness: Harness) -> None:
    """A call beyond the rate limit is refused, even if other regions are available."""
    manager = harness.watched(shop(limits=RateLimitConfig(1, per=60), max_limit_wait=0))
    await manager.call("shop", GET)

    with pytest.raises(RateLimitExceeded):
        await manager.call("shop", GET)

    assert ["eu"] == regions_used(harness)
    assert 1 == harness.event_names().count("CallRefused")


@sync_and_async
async def test_circuit_that_opens_during_a_wait_moves_the_call(harness: Harness) -> None:
    """If a circuit opens while a call waits for a limit, the next region is used."""
    manager = harness.manager(shop(limits=RateLimitConfig(1, per=1)))
    await manager.call("shop", GET)

    async def run_beside() -> None:
        await open_circuits(manager, "eu")

    harness.sleeper.meanwhile.append(run_beside)
    await manager.call("shop", GET)

    assert ["eu", "us"] == regions_used(harness)


@sync_and_async
async def test_no_attempt_begins_after_the_deadline(harness: Harness) -> None:
    """No attempt in another region begins after the call's deadline."""
    answers(harness, eu=[harness.answer_after(4.5, 503)])
    manager = harness.manager(shop())

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET, timeout=5)
    assert ["eu"] == regions_used(harness)

    answers(harness, eu=[harness.never_answer()])
    with pytest.raises(DeadlineExceeded):
        await manager.call("shop", GET, timeout=5)
    assert ["eu", "eu"] == regions_used(harness)


@sync_and_async
async def test_second_region_gets_the_remaining_time(harness: Harness) -> None:
    """An attempt in a second region gets the rest of the deadline."""
    answers(harness, eu=[harness.answer_after(1.0, REFUSED_CONNECTION)])
    manager = harness.manager(shop())

    await manager.call("shop", GET, timeout=5)

    assert [5.0, 4.0] == [requests.timeouts.total for requests in harness.vendor.requests]
