"""A service in several places: each of them has a circuit, and calls pass over what is open."""

from __future__ import annotations

from datetime import timedelta

import pytest

from moorage import (
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    Service,
    StorageUnavailable,
    VendorFailed,
)
from tests.services.two_regions import GET, POST, REFUSED, answers, opened, shop, went
from tests.services.vat import OPENS_AT_ONCE
from tests.support.modes import START, World, sync_and_async


@sync_and_async
async def test_an_open_circuit_is_passed_over(world: World) -> None:
    """While the circuit of a region is open its calls go to the next, and nobody was refused."""
    answers(world, eu=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    world.events.clear()

    await manager.call("shop", POST)

    assert ["eu", "us"] == went(world)
    assert ["CallStarted", "AttemptFinished", "CallFinished"] == world.told()
    states = [await manager.circuit_state("shop", region=name) for name in ("eu", "us")]
    assert [CircuitState.OPEN, CircuitState.CLOSED] == [state.state for state in states]


@sync_and_async
async def test_a_circuit_that_opens_sends_the_call_on(world: World) -> None:
    """Where the circuit of a region opens on a failure, the same call goes to the next."""
    answers(world, eu=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE))

    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)
    changed = [event for event in world.events if type(event).__name__ == "CircuitChanged"]
    assert ["eu"] == [event.region for event in changed]


@sync_and_async
async def test_a_region_that_recovers_gets_its_probe(world: World) -> None:
    """When its open time is over, the next call is the region's probe; then all is as before."""
    answers(world, eu=[503])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    await manager.call("shop", GET)
    world.clock.advance(10)

    await manager.call("shop", GET)

    state = await manager.circuit_state("shop", region="eu")
    assert CircuitState.CLOSED is state.state
    assert ["eu", "us", "eu"] == went(world)


@sync_and_async
async def test_one_call_is_the_probe(world: World) -> None:
    """While a region's probe is under way the other calls go to the next region."""
    gate = world.gate()
    answers(world, eu=[503, gate.answering(200)])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    world.clock.advance(10)

    probe = world.start(lambda: manager.call("shop", GET))
    await gate.reached()
    await manager.call("shop", GET)
    gate.open()
    await probe.result()

    assert ["eu", "eu", "us"] == went(world)


@sync_and_async
async def test_all_open_is_refused(world: World) -> None:
    """Where every circuit is open the call is refused, until the first of them lets one in."""
    answers(world, eu=[503], us=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    world.clock.advance(4)
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    world.events.clear()

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", GET)

    assert (None, START + timedelta(seconds=10)) == (caught.value.region, caught.value.retry_at)
    assert (0, True) == (caught.value.attempts, caught.value.retryable)
    assert ["CallStarted", "CallRefused", "CallFinished"] == world.told()
    refused = world.events[1]
    assert (None, "CircuitBreakerOpen") == (refused.region, refused.error)  # type: ignore[attr-defined]  # CallRefused
    assert 6.0 == refused.retry_after  # type: ignore[attr-defined]  # CallRefused


@sync_and_async
async def test_all_opened_by_hand_is_refused(world: World) -> None:
    """Where every region is drained by hand, nobody knows when to come back."""
    manager = world.watched(shop())
    await opened(manager, "eu", "us")

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", GET)

    assert (None, False) == (caught.value.retry_at, caught.value.retryable)
    assert world.events[-2].retry_after > 1e9  # type: ignore[attr-defined]  # CallRefused


@sync_and_async
async def test_one_opened_by_hand_does_not_hide_when_another_opens(world: World) -> None:
    """Where one region is drained and the other is sick, the latter says when to come back."""
    answers(world, us=[503])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, retry=None))
    await opened(manager, "eu")
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", GET)

    assert START + timedelta(seconds=10) == caught.value.retry_at


@sync_and_async
async def test_one_opened_by_hand_is_drained(world: World) -> None:
    """A region whose circuit is forced open gets no calls until it is closed again."""
    manager = world.watched(shop())
    await opened(manager, "eu")
    await manager.call("shop", GET)
    await manager.set_circuit("shop", CircuitState.CLOSED, region="eu")
    await manager.call("shop", GET)

    assert ["us", "eu"] == went(world)
    assert "eu" == world.events[0].region


@sync_and_async
async def test_retry_stays_if_other_circuits_are_open(world: World) -> None:
    """If every other circuit is open, the retry stays in its region, after its pause."""
    answers(world, eu=[503, 503])
    manager = world.watched(shop())
    await opened(manager, "us")
    world.events.clear()

    await manager.call("shop", GET)

    assert ["eu", "eu", "eu"] == went(world)
    assert [1.0, 2.0] == world.sleeper.slept
    assert "CallRefused" not in world.told()


@sync_and_async
async def test_unsent_request_pauses_if_it_cannot_move(world: World) -> None:
    """A refused connection without another region waits out the backoff before it is retried."""
    answers(world, eu=[REFUSED])
    manager = world.manager(shop())
    await opened(manager, "us")

    await manager.call("shop", POST)

    assert (["eu", "eu"], [1.0]) == (went(world), world.sleeper.slept)


@sync_and_async
async def test_call_is_refused_if_all_circuits_are_open(world: World) -> None:
    """If its own region's circuit opened too, the call is refused."""
    answers(world, eu=[503])
    manager = world.watched(shop(circuit=OPENS_AT_ONCE))
    await opened(manager, "us")

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("shop", GET)

    assert isinstance(caught.value.__cause__, VendorFailed)
    assert (["eu"], "eu") == (went(world), caught.value.region)
    assert 1 == world.told().count("CallRefused")


@sync_and_async
async def test_each_attempt_looks_for_another_region(world: World) -> None:
    """Each attempt looks for another region again, even if none was open before."""
    answers(world, eu=[503, 503])
    manager = world.manager(shop())
    await opened(manager, "us")

    async def closed() -> None:
        await manager.set_circuit("shop", CircuitState.CLOSED, region="us")

    world.sleeper.meanwhile.extend((world.nothing, closed))
    await manager.call("shop", GET)

    assert ["eu", "eu", "us"] == went(world)


@sync_and_async
async def test_circuit_by_hand_needs_the_region(world: World) -> None:
    """Setting a circuit by hand needs the name of an existing region."""
    manager = world.manager(shop(), Service("vat", "https://vat.example"))

    for service, region, problem, existing in (
        ("shop", None, "Each region has a circuit", "Name one of: eu, us."),
        ("shop", "ap", "There is no region 'ap'", "Name one of: eu, us."),
        ("vat", "eu", "There is no region 'eu'", "Leave the region out."),
    ):
        with pytest.raises(ConfigurationError, match=problem) as caught:
            await manager.circuit_state(service, region=region)
        assert (existing, "region") == (caught.value.remedy, caught.value.path)
        with pytest.raises(ConfigurationError):
            await manager.set_circuit(service, CircuitState.CLOSED, region=region)


@sync_and_async
async def test_regions_go_on_without_their_store(world: World) -> None:
    """While the store is away each process knows the regions by itself."""
    answers(world, eu=[503])
    store = world.of_mode(world.store)
    manager = world.manager(shop(circuit=OPENS_AT_ONCE, retry=None), state=store)
    world.store.is_away = StorageUnavailable("away.")

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    await manager.call("shop", GET)

    assert ["eu", "us"] == went(world)
