"""Being let in: circuits that open, in whose name they do, and how they are set by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    DeadlineExceeded,
    Endpoint,
    InvalidData,
    Jitter,
    Request,
    RetryPolicy,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.observation.events import CircuitChanged
from tests.services.vat import GET, OPENS_AT_ONCE, fail, vat
from tests.support.modes import START, Interruption, World, sync_and_async


@sync_and_async
async def test_a_circuit_opens(world: World) -> None:
    """After enough failures nothing is sent any more, and the refusal says when to come back."""
    manager = world.manager(vat(circuit=CircuitBreakerConfig(failures=3, open_for=30)))
    await fail(world, manager, 3)

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("vat", GET)

    assert START + timedelta(seconds=30) == caught.value.retry_at
    assert "has been failing" in caught.value.message
    world.clock.advance(29.999999)
    with pytest.raises(CircuitBreakerOpen) as last:
        await manager.call("vat", GET)
    assert START + timedelta(seconds=30) == last.value.retry_at
    assert (3, "vat", 0) == (
        len(world.vendor.requests),
        caught.value.service,
        caught.value.attempts,
    )


@sync_and_async
async def test_a_circuit_opens_between_attempts(world: World) -> None:
    """A retry that the circuit holds back is refused, with the failure as its cause."""
    world.vendor.otherwise = 503
    policy = RetryPolicy(5, 1.0, jitter=Jitter.NONE)
    service = vat(circuit=CircuitBreakerConfig(failures=2, open_for=30), retry=policy)

    with pytest.raises(CircuitBreakerOpen) as caught:
        await world.manager(service).call("vat", GET)

    assert 2 == len(world.vendor.requests) == caught.value.attempts
    assert VendorFailed is type(caught.value.__cause__)
    # It did not even wait for what would be refused.
    assert [1.0] == world.sleeper.slept
    assert START + timedelta(seconds=31) == caught.value.retry_at


@pytest.mark.parametrize("shadow", [False, True])
@sync_and_async
async def test_a_long_pause_outlasts_an_opening(world: World, shadow: bool) -> None:
    """A retry that comes after the open time is a probe; a shadow holds no retry back."""
    world.vendor.answers(503)
    policy = RetryPolicy(2, 5.0, jitter=Jitter.NONE)
    circuit = CircuitBreakerConfig(failures=1, open_for=60 if shadow else 5, shadow=shadow)

    await world.manager(vat(circuit=circuit, retry=policy)).call("vat", GET)

    assert [5.0] == world.sleeper.slept


@sync_and_async
async def test_a_quorum_is_of_reporters(world: World) -> None:
    """A circuit with a quorum opens only when as many managers have seen failures."""
    circuit = CircuitBreakerConfig(failures=2, quorum=2)
    one, other = world.manager(vat(circuit=circuit)), world.manager(vat(circuit=circuit))

    await fail(world, one, 4)
    assert CircuitState.CLOSED is (await one.circuit_state("vat")).state
    await fail(world, other)

    assert CircuitState.OPEN is (await one.circuit_state("vat")).state


@sync_and_async
async def test_refusals_do_not_open_it(world: World) -> None:
    """A service that refuses is alive and well."""
    world.vendor.otherwise = 404
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))

    for _ in range(3):
        with pytest.raises(VendorRejected):
            await manager.call("vat", GET)

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_a_vendor_that_hangs_opens_it(world: World) -> None:
    """No answer within the deadline is a failure, although the caller's time was over."""
    world.vendor.otherwise = world.hanging()
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))

    with pytest.raises(DeadlineExceeded):
        await manager.call("vat", GET)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_a_failure_is_counted_once(world: World) -> None:
    """A failure that may have been told of is not told again by a caller that is interrupted."""
    circuit = CircuitBreakerConfig(failures=2)
    manager = world.manager(vat(circuit=circuit), state=world.of_mode(world.store))
    world.vendor.answers(503)
    world.store.lost_at[2] = Interruption()

    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert 1 == (await manager.circuit_state("vat")).failures


@sync_and_async
async def test_endpoints_may_have_separate_circuits(world: World) -> None:
    """Failures at one endpoint do not open another endpoint's circuit."""
    slow = Endpoint("slow", path="/slow", circuit=OPENS_AT_ONCE)
    manager = world.manager(vat(circuit=OPENS_AT_ONCE, endpoints=slow))
    world.vendor.answers(503)
    with pytest.raises(VendorFailed):
        await manager.call("vat", Request.get("/slow"))

    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("vat", Request.get("/slow"))
    await manager.call("vat", GET)

    assert "slow" == caught.value.operation
    assert CircuitState.OPEN is (await manager.circuit_state("vat", endpoint="slow")).state


@sync_and_async
async def test_an_endpoint_is_found_anew_for_each_request(world: World) -> None:
    """A request that belongs to none does not keep the next one from its own."""
    slow = Endpoint("slow", path="/slow", timeout=7.0)
    manager = world.manager(vat(circuit=None, retry=None, endpoints=slow, timeout=3.0))
    for path in ("/rates", "/slow", "/rates"):
        await manager.call("vat", Request.get(path))

    assert [3.0, 7.0, 3.0] == [sent.timeouts.total for sent in world.vendor.requests]


@sync_and_async
async def test_slow_answers_open_it(world: World) -> None:
    """Answers that take too long count, although they are good."""
    world.vendor.otherwise = world.after(2.0, 200)
    circuit = CircuitBreakerConfig(slow_call=1, minimum_calls=2, slow_call_rate=1.0)
    manager = world.manager(vat(circuit=circuit))

    for _ in range(2):
        assert 200 == (await manager.call("vat", GET)).status

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_slow_functions_open_it(world: World) -> None:
    """A function that takes too long counts like an answer, and so does one that fails slowly."""
    circuit = CircuitBreakerConfig(slow_call=1, minimum_calls=2, slow_call_rate=1.0)
    manager = world.manager(vat(circuit=circuit))

    async def dawdle() -> None:
        world.clock.advance(2)

    for _ in range(2):
        await manager.run("vat", dawdle)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_a_shadow_never_holds_back(world: World) -> None:
    """A circuit in the shadow counts, and lets every call through."""
    circuit = CircuitBreakerConfig(failures=1, shadow=True)
    manager = world.manager(vat(circuit=circuit))

    await fail(world, manager, 3)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_a_circuit_is_set_by_hand(world: World) -> None:
    """By hand a circuit is forced open, switched off, and reset; each is told of."""
    manager = world.watched(vat(circuit=OPENS_AT_ONCE))

    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitBreakerOpen) as caught:
        await manager.call("vat", GET)
    assert (False, None) == (caught.value.retryable, caught.value.retry_at)
    assert "opened by hand" in caught.value.message
    assert "Close it by hand" in caught.value.remedy

    await manager.set_circuit("vat", CircuitState.DISABLED)
    await fail(world, manager, 3)

    await manager.set_circuit("vat", CircuitState.CLOSED)
    await fail(world, manager)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)

    reports = [event.state for event in world.events if isinstance(event, CircuitChanged)]
    assert [
        CircuitState.FORCED_OPEN,
        CircuitState.DISABLED,
        CircuitState.CLOSED,
        CircuitState.OPEN,
    ] == reports


@sync_and_async
async def test_only_some_states_are_set_by_hand(world: World) -> None:
    """Half open is no state to set, and the error says which are."""
    with pytest.raises(ConfigurationError) as caught:
        await world.manager(vat(circuit=OPENS_AT_ONCE)).set_circuit("vat", CircuitState.HALF_OPEN)

    assert ("state", "vat") == (caught.value.path, caught.value.service)


@sync_and_async
async def test_a_service_without_a_circuit_has_none_to_read(world: World) -> None:
    """Asking for the circuit of a service that has none names the service and the remedy."""
    manager = world.manager(vat())

    for request in (manager.circuit_state("vat"), manager.set_circuit("vat", CircuitState.CLOSED)):
        with pytest.raises(ConfigurationError) as caught:
            await request
        assert ("circuit", "vat") == (caught.value.path, caught.value.service)
        assert "has no circuit breaker" in caught.value.message
        assert "CircuitBreakerConfig" in caught.value.remedy


@sync_and_async
async def test_tenants_have_circuits_of_their_own(world: World) -> None:
    """One tenant's failing credentials hold no other back."""
    manager = world.manager(vat(circuit=OPENS_AT_ONCE))
    world.vendor.answers(503)
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET, tenant="acme")

    await manager.call("vat", GET)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET, tenant="acme")


@sync_and_async
async def test_set_circuit_changes_one_circuit(world: World) -> None:
    """Setting a circuit changes that of one tenant and endpoint only."""
    slow = Endpoint("slow", circuit=OPENS_AT_ONCE)
    manager = world.watched(vat(circuit=OPENS_AT_ONCE, endpoints=slow))

    await manager.set_circuit("vat", CircuitState.FORCED_OPEN, tenant="acme", endpoint="slow")

    results = [
        (await manager.circuit_state("vat", tenant=tenant, endpoint=endpoint)).state
        for tenant in (None, "acme")
        for endpoint in (None, "slow")
    ]
    assert [CircuitState.CLOSED] * 3 + [CircuitState.FORCED_OPEN] == results
    (event,) = world.events
    assert ("acme", "slow") == (event.tenant, event.operation)
    with pytest.raises(ConfigurationError) as caught:
        await manager.set_circuit("vat", CircuitState.OPEN, endpoint="slow")
    assert ("vat", "slow") == (caught.value.service, caught.value.operation)
    with pytest.raises(InvalidData) as unknown:
        await manager.circuit_state("vat", endpoint="fast")
    assert ("vat", "fast") == (unknown.value.service, unknown.value.operation)
