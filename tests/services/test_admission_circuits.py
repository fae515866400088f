"""Circuit breakers at admission: when they open, which calls share one, and manual settings."""

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
from tests.services.vat import GET, OPENS_AT_ONCE, fail_calls, vat
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import START
from tests.support.virtual_tasks import Interruption


@sync_and_async
async def test_circuit_opens_after_failures(harness: Harness) -> None:
    """After enough failures the circuit refuses calls, and the error says when to retry."""
    manager = harness.manager(vat(circuit=CircuitBreakerConfig(failures=3, open_for=30)))
    await fail_calls(harness, manager, 3)

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("vat", GET)

    assert START + timedelta(seconds=30) == excinfo.value.retry_at
    assert "calls to the service failed" in excinfo.value.message
    harness.clock.advance(29.999999)
    with pytest.raises(CircuitBreakerOpen) as last_excinfo:
        await manager.call("vat", GET)
    assert START + timedelta(seconds=30) == last_excinfo.value.retry_at
    assert (3, "vat", 0) == (
        len(harness.vendor.requests),
        excinfo.value.service,
        excinfo.value.attempts,
    )


@sync_and_async
async def test_circuit_opens_between_attempts(harness: Harness) -> None:
    """If the circuit opens between two attempts, the error has the last failure as its cause."""
    harness.vendor.otherwise = 503
    policy = RetryPolicy(5, 1.0, jitter=Jitter.NONE)
    service = vat(circuit=CircuitBreakerConfig(failures=2, open_for=30), retry=policy)

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await harness.manager(service).call("vat", GET)

    assert 2 == len(harness.vendor.requests) == excinfo.value.attempts
    assert VendorFailed is type(excinfo.value.__cause__)
    # The call did not even wait for an attempt that would be refused.
    assert [1.0] == harness.sleeper.slept
    assert START + timedelta(seconds=31) == excinfo.value.retry_at


@pytest.mark.parametrize("shadow", [False, True])
@sync_and_async
async def test_retry_after_the_open_time_is_a_probe(harness: Harness, shadow: bool) -> None:
    """A retry after the circuit's open time is a probe; in shadow mode no retry is refused."""
    harness.vendor.answers(503)
    policy = RetryPolicy(2, 5.0, jitter=Jitter.NONE)
    circuit = CircuitBreakerConfig(failures=1, open_for=60 if shadow else 5, shadow=shadow)

    await harness.manager(vat(circuit=circuit, retry=policy)).call("vat", GET)

    assert [5.0] == harness.sleeper.slept


@sync_and_async
async def test_quorum_counts_managers(harness: Harness) -> None:
    """A circuit with a quorum opens only after that many managers have seen failures."""
    circuit = CircuitBreakerConfig(failures=2, quorum=2)
    value, second_manager = (
        harness.manager(vat(circuit=circuit)),
        harness.manager(vat(circuit=circuit)),
    )

    await fail_calls(harness, value, 4)
    assert CircuitState.CLOSED is (await value.circuit_state("vat")).state
    await fail_calls(harness, second_manager)

    assert CircuitState.OPEN is (await value.circuit_state("vat")).state


@sync_and_async
async def test_refusals_do_not_open_the_circuit(harness: Harness) -> None:
    """A request that the vendor refuses does not open the circuit."""
    harness.vendor.otherwise = 404
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))

    for _ in range(3):
        with pytest.raises(VendorRejected):
            await manager.call("vat", GET)

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_timeouts_open_the_circuit(harness: Harness) -> None:
    """A call that gets no response before its deadline counts as a failure for the circuit."""
    harness.vendor.otherwise = harness.never_answer()
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))

    with pytest.raises(DeadlineExceeded):
        await manager.call("vat", GET)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_interrupted_report_counts_a_failure_once(harness: Harness) -> None:
    """If a caller is interrupted while reporting a failure, the circuit counts it once."""
    circuit = CircuitBreakerConfig(failures=2)
    manager = harness.manager(vat(circuit=circuit), state=harness.of_mode(harness.store))
    harness.vendor.answers(503)
    harness.store.lost_at[2] = Interruption()

    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert 1 == (await manager.circuit_state("vat")).failures


@sync_and_async
async def test_endpoints_may_have_separate_circuits(harness: Harness) -> None:
    """Failures at one endpoint do not open another endpoint's circuit."""
    slow_endpoint = Endpoint("slow", path="/slow", circuit=OPENS_AT_ONCE)
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE, endpoints=slow_endpoint))
    harness.vendor.answers(503)
    with pytest.raises(VendorFailed):
        await manager.call("vat", Request.get("/slow"))

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("vat", Request.get("/slow"))
    await manager.call("vat", GET)

    assert "slow" == excinfo.value.operation
    assert CircuitState.OPEN is (await manager.circuit_state("vat", endpoint="slow")).state


@sync_and_async
async def test_endpoint_is_matched_per_request(harness: Harness) -> None:
    """A request uses the circuit of its endpoint, regardless of which request came before it."""
    slow_endpoint = Endpoint("slow", path="/slow", timeout=7.0)
    manager = harness.manager(vat(circuit=None, retry=None, endpoints=slow_endpoint, timeout=3.0))
    for path in ("/rates", "/slow", "/rates"):
        await manager.call("vat", Request.get(path))

    assert [3.0, 7.0, 3.0] == [requests.timeouts.total for requests in harness.vendor.requests]


@sync_and_async
async def test_slow_responses_open_the_circuit(harness: Harness) -> None:
    """Successful responses that take too long count against the circuit."""
    harness.vendor.otherwise = harness.answer_after(2.0, 200)
    circuit = CircuitBreakerConfig(slow_call=1, minimum_calls=2, slow_call_rate=1.0)
    manager = harness.manager(vat(circuit=circuit))

    for _ in range(2):
        assert 200 == (await manager.call("vat", GET)).status

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_slow_functions_open_the_circuit(harness: Harness) -> None:
    """A function that exceeds the time limit counts as slow for the circuit, even if it fails."""
    circuit = CircuitBreakerConfig(slow_call=1, minimum_calls=2, slow_call_rate=1.0)
    manager = harness.manager(vat(circuit=circuit))

    async def advance_clock() -> None:
        harness.clock.advance(2)

    for _ in range(2):
        await manager.run("vat", advance_clock)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_shadow_circuit_refuses_nothing(harness: Harness) -> None:
    """A circuit in shadow mode counts failures and lets every call through."""
    circuit = CircuitBreakerConfig(failures=1, shadow=True)
    manager = harness.manager(vat(circuit=circuit))

    await fail_calls(harness, manager, 3)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_circuit_can_be_set_by_hand(harness: Harness) -> None:
    """A circuit can be opened, disabled and reset manually; observers get an event for each."""
    manager = harness.watched(vat(circuit=OPENS_AT_ONCE))

    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("vat", GET)
    assert (False, None) == (excinfo.value.retryable, excinfo.value.retry_at)
    assert "opened by hand" in excinfo.value.message
    assert "Close the circuit breaker by hand when" in excinfo.value.remedy

    await manager.set_circuit("vat", CircuitState.DISABLED)
    await fail_calls(harness, manager, 3)

    await manager.set_circuit("vat", CircuitState.CLOSED)
    await fail_calls(harness, manager)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)

    reports = [event.state for event in harness.events if isinstance(event, CircuitChanged)]
    assert [
        CircuitState.FORCED_OPEN,
        CircuitState.DISABLED,
        CircuitState.CLOSED,
        CircuitState.OPEN,
    ] == reports


@sync_and_async
async def test_half_open_cannot_be_set_by_hand(harness: Harness) -> None:
    """A circuit cannot be set to half open, and the error lists the allowed states."""
    with pytest.raises(ConfigurationError) as excinfo:
        await harness.manager(vat(circuit=OPENS_AT_ONCE)).set_circuit("vat", CircuitState.HALF_OPEN)

    assert ("state", "vat") == (excinfo.value.path, excinfo.value.service)


@sync_and_async
async def test_reading_a_missing_circuit_raises_an_error(harness: Harness) -> None:
    """Reading the circuit of a service without one raises an error that says how to add one."""
    manager = harness.manager(vat())

    for request in (manager.circuit_state("vat"), manager.set_circuit("vat", CircuitState.CLOSED)):
        with pytest.raises(ConfigurationError) as excinfo:
            await request
        assert ("circuit", "vat") == (excinfo.value.path, excinfo.value.service)
        assert "has no circuit breaker" in excinfo.value.message
        assert "CircuitBreakerConfig" in excinfo.value.remedy


@sync_and_async
async def test_tenants_have_separate_circuits(harness: Harness) -> None:
    """Failures of one tenant's calls do not open the circuit of other tenants."""
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))
    harness.vendor.answers(503)
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET, tenant="acme")

    await manager.call("vat", GET)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET, tenant="acme")


@sync_and_async
async def test_setting_circuit_by_hand_changes_only_circuit_of_given_tenant_and_endpoint(
    harness: Harness,
) -> None:
    """Setting a circuit manually changes only the circuit of the given tenant and endpoint."""
    slow_endpoint = Endpoint("slow", circuit=OPENS_AT_ONCE)
    manager = harness.watched(vat(circuit=OPENS_AT_ONCE, endpoints=slow_endpoint))

    await manager.set_circuit("vat", CircuitState.FORCED_OPEN, tenant="acme", endpoint="slow")

    results = [
        (await manager.circuit_state("vat", tenant=tenant, endpoint=endpoint)).state
        for tenant in (None, "acme")
        for endpoint in (None, "slow")
    ]
    assert [CircuitState.CLOSED] * 3 + [CircuitState.FORCED_OPEN] == results
    (event,) = harness.events
    assert ("acme", "slow") == (event.tenant, event.operation)
    with pytest.raises(ConfigurationError) as excinfo:
        await manager.set_circuit("vat", CircuitState.OPEN, endpoint="slow")
    assert ("vat", "slow") == (excinfo.value.service, excinfo.value.operation)
    with pytest.raises(InvalidData) as unknown_excinfo:
        await manager.circuit_state("vat", endpoint="fast")
    assert ("vat", "fast") == (unknown_excinfo.value.service, unknown_excinfo.value.operation)
