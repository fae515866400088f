"""A repeated call with a key goes only to the region that may have processed the first call."""

from __future__ import annotations

import pytest

from moorage import (
    CircuitBreakerOpen,
    ConnectionFailed,
    OutcomeUnknown,
    Request,
    RetryBudget,
    RetryBudgetExhausted,
    RetryPolicy,
)
from tests.services.two_regions import (
    CUT_OFF,
    EU,
    HONOURED,
    POST,
    REFUSED_CONNECTION,
    US,
    answers,
    open_circuits,
    regions_used,
    shop,
)
from tests.services.vat import OPENS_AT_ONCE
from tests.support.modes import Harness, sync_and_async


@sync_and_async
async def test_keyed_call_without_retry_budget_is_sent_once(harness: Harness) -> None:
    """If the retry budget is used up, a keyed call is sent only once."""
    answers(harness, eu=[REFUSED_CONNECTION])
    budget = RetryBudget(ratio=0.01, floor=0)
    manager = harness.manager(shop(retry_budget=budget, **HONOURED))

    with pytest.raises(RetryBudgetExhausted):
        await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == regions_used(harness)


@sync_and_async
async def test_key_is_repeated_in_its_region_only(harness: Harness) -> None:
    """A keyed request that may have been processed is repeated only in the same region."""
    answers(harness, eu=[CUT_OFF, REFUSED_CONNECTION, 200])
    manager = harness.manager(shop(**HONOURED))

    await manager.call("shop", POST, idempotency_key="k")

    assert ["eu", "eu", "eu"] == regions_used(harness)
    assert [1.0, 2.0] == harness.sleeper.slept


@sync_and_async
async def test_unsent_key_may_change_regions(harness: Harness) -> None:
    """A keyed request may change regions as long as it was certainly not processed."""
    answers(harness, eu=[REFUSED_CONNECTION], us=[CUT_OFF])
    manager = harness.manager(shop(**HONOURED))

    await manager.call("shop", POST, idempotency_key="k")

    assert ["eu", "us", "us"] == regions_used(harness)


@pytest.mark.parametrize("has_claim_store", [False, True], ids=["together", "apart"])
@sync_and_async
async def test_unknown_key_is_repeated_in_its_region(
    harness: Harness, *, has_claim_store: bool
) -> None:
    """An idempotency key with an unknown outcome stays in its region, whatever the priorities."""
    answers(harness, eu=[REFUSED_CONNECTION], us=[CUT_OFF])
    claims = Harness(harness.mode).store
    claims._harness = harness  # noqa: SLF001 - of this harness's mode
    claims.memory = type(claims.memory)(harness.clock)
    manager_options = {"claims": harness.of_mode(claims)} if has_claim_store else {}
    manager = harness.manager(shop(**HONOURED, retry=RetryPolicy(2)), **manager_options)

    with pytest.raises(ConnectionFailed):
        await manager.call("shop", POST, idempotency_key="k")
    response = await manager.call("shop", POST, idempotency_key="k")

    assert 200 == response.status
    assert ["eu", "us", "us"] == regions_used(harness)


@sync_and_async
async def test_unknown_key_waits_for_its_region(harness: Harness) -> None:
    """While its region's circuit is open, an unknown outcome is not repeated elsewhere."""
    answers(harness, eu=[CUT_OFF])
    manager = harness.watched(shop(**HONOURED, retry=None))
    with pytest.raises(ConnectionFailed):
        await manager.call("shop", POST, idempotency_key="k")
    await open_circuits(manager, "eu")
    harness.events.clear()

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == regions_used(harness)
    assert "eu" == excinfo.value.region
    assert ["CallStarted", "CallRefused", "CallFinished"] == harness.event_names()


@sync_and_async
async def test_unknown_key_of_a_removed_region_needs_an_operator(harness: Harness) -> None:
    """If a region was removed, an operator must resolve its keys with an unknown outcome."""
    answers(harness, eu=[CUT_OFF])
    with pytest.raises(ConnectionFailed):
        await harness.manager(shop(**HONOURED, retry=None)).call("shop", POST, idempotency_key="k")

    with pytest.raises(OutcomeUnknown):
        await harness.manager(shop(US, **HONOURED)).call("shop", POST, idempotency_key="k")

    assert ["eu"] == regions_used(harness)


@sync_and_async
async def test_keys_honoured_across_regions(harness: Harness) -> None:
    """If the vendor honours idempotency keys across regions, a repeat may go to any region."""
    answers(harness, eu=[CUT_OFF, CUT_OFF])
    everywhere = shop(**HONOURED, idempotency_across_regions=True, retry=RetryPolicy(2))
    manager = harness.manager(everywhere)

    await manager.call("shop", POST, idempotency_key="k")
    with pytest.raises(ConnectionFailed):
        await harness.manager(
            shop(EU, **HONOURED, idempotency_across_regions=True, retry=None)
        ).call("shop", POST, idempotency_key="l")
    await open_circuits(manager, "eu")
    await manager.call("shop", POST, idempotency_key="l")

    assert ["eu", "us", "eu", "us"] == regions_used(harness)


@sync_and_async
async def test_unkeyed_request_is_not_protected(harness: Harness) -> None:
    """A request without an idempotency key is not repeated, even if the vendor honours keys."""
    answers(harness, eu=[CUT_OFF])
    manager = harness.manager(shop(**HONOURED, idempotency_across_regions=True))

    with pytest.raises(ConnectionFailed):
        await manager.call("shop", POST)

    assert ["eu"] == regions_used(harness)


@sync_and_async
async def test_vendor_without_keys_leaves_the_outcome_unknown(harness: Harness) -> None:
    """A request that may have been processed is not sent again to a vendor without keys."""
    answers(harness, eu=[CUT_OFF])
    manager = harness.manager(shop())

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == regions_used(harness)


@sync_and_async
async def test_idempotent_keyed_request_may_change_regions(harness: Harness) -> None:
    """An idempotent request with an idempotency key may be repeated in any region."""
    answers(harness, eu=[CUT_OFF])
    manager = harness.manager(shop(**HONOURED))

    await manager.call("shop", Request.put("/items/7"), idempotency_key="k")

    assert ["eu", "us"] == regions_used(harness)


@sync_and_async
async def test_key_bound_to_a_region_is_refused_by_its_circuit(harness: Harness) -> None:
    """A call whose key must stay in a region is refused while that region's circuit is open."""
    answers(harness, eu=[503])
    manager = harness.watched(shop(circuit=OPENS_AT_ONCE, **HONOURED))

    with pytest.raises(CircuitBreakerOpen):
        await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == regions_used(harness)
    assert 1 == harness.event_names().count("CallRefused")
