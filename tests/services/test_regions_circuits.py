"""Services with several regions, each with its own circuit: calls skip open circuits."""

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
from tests.services.two_regions import (
    GET,
    POST,
    REFUSED_CONNECTION,
    answers,
    open_circuits,
    regions_used,
    shop,
)
from tests.services.vat import OPENS_AT_ONCE
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import START


@sync_and_async
async def test_open_region_is_skipped(harness: Harness) -> None:
    """While the circuit of a region is open, its calls go to the next region."""
    answers(harness, eu=[503])
    manager = harness.watched(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    harness.events.clear()

    await manager.call("shop", POST)

    assert ["eu", "us"] == regions_used(harness)
    assert ["CallStarted", "AttemptFinished", "CallFinished"] == harness.event_names()
    states = [await manager.circuit_state("shop", region=name) for name in ("eu", "us")]
    assert [CircuitState.OPEN, CircuitState.CLOSED] == [state.state for state in states]


@sync_and_async
async def test_opening_circuit_moves_the_call(harness: Harness) -> None:
    """If a failure opens a region's circuit, the same call goes on in the next region."""
    answers(harness, eu=[503])
    manager = harness.watched(shop(circuit=OPENS_AT_ONCE))

    await manager.call("shop", GET)

    assert ["eu", "us"] == regions_used(harness)
    changed_events = [event for event in harness.events if type(event).__name__ == "CircuitChanged"]
    assert ["eu"] == [event.region for event in changed_events]


@sync_and_async
async def test_recovered_region_is_probed(harness: Harness) -> None:
    """After its open time, a region gets one probe, and then all calls again."""
    answers(harness, eu=[503])
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    await manager.call("shop", GET)
    harness.clock.advance(10)

    await manager.call("shop", GET)

    state = await manager.circuit_state("shop", region="eu")
    assert CircuitState.CLOSED is state.state
    assert ["eu", "us", "eu"] == regions_used(harness)


@sync_and_async
async def test_other_calls_use_next_region_while_one_call_probes_region(harness: Harness) -> None:
    """While one call probes a region, other calls use the next region."""
    gate = harness.gate()
    answers(harness, eu=[503, gate.answering(200)])
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    harness.clock.advance(10)

    probe = harness.start(lambda: manager.call("shop", GET))
    await gate.reached()
    await manager.call("shop", GET)
    gate.open()
    await probe.result()

    assert ["eu", "eu", "us"] == regions_used(harness)


@sync_and_async
async def test_call_is_refused_until_the_first_region_can_be_probed(harness: Harness) -> None:
    """If the circuits of all regions are open, a call is refused until the first can be probed."""
    answers(harness, eu=[503], us=[503])
    manager = harness.watched(shop(circuit=OPENS_AT_ONCE, retry=None))
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    harness.clock.advance(4)
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    harness.events.clear()

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("shop", GET)

    assert (None, START + timedelta(seconds=10)) == (excinfo.value.region, excinfo.value.retry_at)
    assert (0, True) == (excinfo.value.attempts, excinfo.value.retryable)
    assert ["CallStarted", "CallRefused", "CallFinished"] == harness.event_names()
    refused_event = harness.events[1]
    assert (None, "CircuitBreakerOpen") == (refused_event.region, refused_event.error)
    assert 6.0 == refused_event.retry_after


@sync_and_async
async def test_error_has_no_retry_time_if_all_regions_were_opened_by_hand(harness: Harness) -> None:
    """If an operator opened all circuits, the error has no retry time."""
    manager = harness.watched(shop())
    await open_circuits(manager, "eu", "us")

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("shop", GET)

    assert (None, False) == (excinfo.value.retry_at, excinfo.value.retryable)
    assert harness.events[-2].retry_after > 1e9


@sync_and_async
async def test_retry_time_ignores_regions_opened_by_hand(harness: Harness) -> None:
    """If an operator opened one of two circuits, the error has the retry time of the other."""
    answers(harness, us=[503])
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE, retry=None))
    await open_circuits(manager, "eu")
    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("shop", GET)

    assert START + timedelta(seconds=10) == excinfo.value.retry_at


@sync_and_async
async def test_region_opened_by_hand_is_drained(harness: Harness) -> None:
    """A region whose circuit is forced open gets no calls until it is closed."""
    manager = harness.watched(shop())
    await open_circuits(manager, "eu")
    await manager.call("shop", GET)
    await manager.set_circuit("shop", CircuitState.CLOSED, region="eu")
    await manager.call("shop", GET)

    assert ["us", "eu"] == regions_used(harness)
    assert "eu" == harness.events[0].region


@sync_and_async
async def test_retry_stays_if_other_circuits_are_open(harness: Harness) -> None:
    """If all other regions have open circuits, the retry stays in its region."""
    answers(harness, eu=[503, 503])
    manager = harness.watched(shop())
    await open_circuits(manager, "us")
    harness.events.clear()

    await manager.call("shop", GET)

    assert ["eu", "eu", "eu"] == regions_used(harness)
    assert [1.0, 2.0] == harness.sleeper.slept
    assert "CallRefused" not in harness.event_names()


@sync_and_async
async def test_unsent_request_pauses_if_it_cannot_move(harness: Harness) -> None:
    """Without another region, a refused connection is retried after a pause."""
    answers(harness, eu=[REFUSED_CONNECTION])
    manager = harness.manager(shop())
    await open_circuits(manager, "us")

    await manager.call("shop", POST)

    assert (["eu", "eu"], [1.0]) == (regions_used(harness), harness.sleeper.slept)


@sync_and_async
async def test_call_is_refused_if_all_circuits_are_open(harness: Harness) -> None:
    """If the circuits of all regions are open, the retry is refused."""
    answers(harness, eu=[503])
    manager = harness.watched(shop(circuit=OPENS_AT_ONCE))
    await open_circuits(manager, "us")

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("shop", GET)

    assert isinstance(excinfo.value.__cause__, VendorFailed)
    assert (["eu"], "eu") == (regions_used(harness), excinfo.value.region)
    assert 1 == harness.event_names().count("CallRefused")


@sync_and_async
async def test_each_attempt_looks_for_another_region(harness: Harness) -> None:
    """Each retry looks for another region again, even if none was available before."""
    answers(harness, eu=[503, 503])
    manager = harness.manager(shop())
    await open_circuits(manager, "us")

    async def close_circuit() -> None:
        await manager.set_circuit("shop", CircuitState.CLOSED, region="us")

    harness.sleeper.meanwhile.extend((harness.do_nothing, close_circuit))
    await manager.call("shop", GET)

    assert ["eu", "eu", "us"] == regions_used(harness)


@sync_and_async
async def test_circuit_by_hand_needs_the_region(harness: Harness) -> None:
    """A circuit can be set by hand only with the name of an existing region."""
    manager = harness.manager(shop(), Service("vat", "https://vat.example"))

    for service, region, problem, remedy in (
        ("shop", None, "The service has a separate circuit breaker", "Name one of: eu, us."),
        ("shop", "ap", "The service has no region 'ap'", "Name one of: eu, us."),
        ("vat", "eu", "The service has no region 'eu'", "Leave the region out."),
    ):
        with pytest.raises(ConfigurationError, match=problem) as excinfo:
            await manager.circuit_state(service, region=region)
        assert (remedy, "region") == (excinfo.value.remedy, excinfo.value.path)
        with pytest.raises(ConfigurationError):
            await manager.set_circuit(service, CircuitState.CLOSED, region=region)


@sync_and_async
async def test_regions_go_on_without_their_store(harness: Harness) -> None:
    """While the store is down, each process keeps its own record of the regions' health."""
    answers(harness, eu=[503])
    store = harness.of_mode(harness.store)
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE, retry=None), state=store)
    harness.store.is_away = StorageUnavailable("away.")

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)
    await manager.call("shop", GET)

    assert ["eu", "us"] == regions_used(harness)
