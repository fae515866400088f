"""A service in several places: a key stays where it may have been processed."""

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
    REFUSED,
    US,
    answers,
    opened,
    shop,
    went,
)
from tests.services.vat import OPENS_AT_ONCE
from tests.support.modes import World, sync_and_async


@sync_and_async
async def test_a_first_attempt_is_no_retry(world: World) -> None:
    """Where no retry is allowed, a key is still sent once, and refused where it would be twice."""
    answers(world, eu=[REFUSED])
    budget = RetryBudget(ratio=0.01, floor=0)
    manager = world.manager(shop(retry_budget=budget, **HONOURED))

    with pytest.raises(RetryBudgetExhausted):
        await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)


@sync_and_async
async def test_a_key_stays_where_it_was_sent(world: World) -> None:
    """Under a key what may have been processed is repeated in the same region, and only there."""
    answers(world, eu=[CUT_OFF, REFUSED, 200])
    manager = world.manager(shop(**HONOURED))

    await manager.call("shop", POST, idempotency_key="k")

    assert ["eu", "eu", "eu"] == went(world)
    assert [1.0, 2.0] == world.sleeper.slept


@sync_and_async
async def test_a_key_that_never_left_goes_elsewhere(world: World) -> None:
    """Until it may have been processed a key goes anywhere; then it stays there."""
    answers(world, eu=[REFUSED], us=[CUT_OFF])
    manager = world.manager(shop(**HONOURED))

    await manager.call("shop", POST, idempotency_key="k")

    assert ["eu", "us", "us"] == went(world)


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
@sync_and_async
async def test_unknown_key_is_repeated_in_its_region(world: World, *, apart: bool) -> None:
    """A key with an unknown outcome is repeated in its region, even if another comes first."""
    answers(world, eu=[REFUSED], us=[CUT_OFF])
    claims = World(world.mode).store
    claims._world = world  # noqa: SLF001 - of this world's mode
    claims.memory = type(claims.memory)(world.clock)
    others = {"claims": world.of_mode(claims)} if apart else {}
    manager = world.manager(shop(**HONOURED, retry=RetryPolicy(2)), **others)

    with pytest.raises(ConnectionFailed):
        await manager.call("shop", POST, idempotency_key="k")
    response = await manager.call("shop", POST, idempotency_key="k")

    assert 200 == response.status
    assert ["eu", "us", "us"] == went(world)


@sync_and_async
async def test_a_key_waits_for_its_region(world: World) -> None:
    """A key of unknown outcome is asked nowhere while the circuit of its region is open."""
    answers(world, eu=[CUT_OFF])
    manager = world.watched(shop(**HONOURED, retry=None))
    with pytest.raises(ConnectionFailed):
        await manager.call("shop", POST, idempotency_key="k")
    await opened(manager, "eu")
    world.events.clear()

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)
    assert "eu" == caught.value.region
    assert ["CallStarted", "CallRefused", "CallFinished"] == world.told()


@sync_and_async
async def test_a_key_of_a_region_that_is_gone_is_unknown(world: World) -> None:
    """A key that was sent to a region which is configured no more is a person's to resolve."""
    answers(world, eu=[CUT_OFF])
    with pytest.raises(ConnectionFailed):
        await world.manager(shop(**HONOURED, retry=None)).call("shop", POST, idempotency_key="k")

    with pytest.raises(OutcomeUnknown):
        await world.manager(shop(US, **HONOURED)).call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)


@sync_and_async
async def test_a_key_may_be_honoured_everywhere(world: World) -> None:
    """Where the vendor honours keys across regions, any of them may be asked again."""
    answers(world, eu=[CUT_OFF, CUT_OFF])
    everywhere = shop(**HONOURED, idempotency_across_regions=True, retry=RetryPolicy(2))
    manager = world.manager(everywhere)

    await manager.call("shop", POST, idempotency_key="k")
    with pytest.raises(ConnectionFailed):
        await world.manager(shop(EU, **HONOURED, idempotency_across_regions=True, retry=None)).call(
            "shop", POST, idempotency_key="l"
        )
    await opened(manager, "eu")
    await manager.call("shop", POST, idempotency_key="l")

    assert ["eu", "us", "eu", "us"] == went(world)


@sync_and_async
async def test_without_a_key_nothing_is_honoured(world: World) -> None:
    """A vendor's support for keys does not protect a request without one."""
    answers(world, eu=[CUT_OFF])
    manager = world.manager(shop(**HONOURED, idempotency_across_regions=True))

    with pytest.raises(ConnectionFailed):
        await manager.call("shop", POST)

    assert ["eu"] == went(world)


@sync_and_async
async def test_a_vendor_without_keys_leaves_a_key_unknown(world: World) -> None:
    """Where no key is honoured, what may have been processed is unknown, in every region."""
    answers(world, eu=[CUT_OFF])
    manager = world.manager(shop())

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)


@sync_and_async
async def test_a_harmless_request_with_a_key_goes_elsewhere(world: World) -> None:
    """A key binds nothing that is harmless to do twice."""
    answers(world, eu=[CUT_OFF])
    manager = world.manager(shop(**HONOURED))

    await manager.call("shop", Request.put("/items/7"), idempotency_key="k")

    assert ["eu", "us"] == went(world)


@sync_and_async
async def test_key_bound_to_a_region_is_refused_by_its_circuit(world: World) -> None:
    """If a key must stay in a region and its circuit is open, the call is refused."""
    answers(world, eu=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE, **HONOURED))

    with pytest.raises(CircuitBreakerOpen):
        await manager.call("shop", POST, idempotency_key="k")

    assert ["eu"] == went(world)
    assert 1 == world.told().count("CallRefused")
