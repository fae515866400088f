"""Probes at admission when a circuit is half-open, and the probe slots that they occupy."""

from __future__ import annotations

from datetime import timedelta

import pytest

from moorage import (
    AuthenticationFailed,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    CredentialNotFound,
    DeadlineExceeded,
    InvalidData,
    RateLimitConfig,
    StorageUnavailable,
    VendorFailed,
)
from tests.services.vat import GET, OPENS_AT_ONCE, fail_calls, vat
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import START
from tests.support.virtual_tasks import Interruption


@sync_and_async
async def test_probe_holds_its_slot_for_one_attempt_time_limit(harness: Harness) -> None:
    """A probe occupies its slot for one attempt's time limit, even if its call takes longer."""
    gate = harness.gate()
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE, attempt_timeout=5))
    await fail_calls(harness, manager)
    harness.clock.advance(10)
    harness.vendor.answers(gate.answering(200))

    async def probe() -> None:
        await manager.call("vat", GET, timeout=100)

    running_probe = harness.start(probe)
    await gate.reached()
    harness.clock.advance(9)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)
    harness.clock.advance(1)
    await manager.call("vat", GET)
    gate.open()
    await running_probe.result()


@sync_and_async
async def test_successful_probe_closes_the_circuit(harness: Harness) -> None:
    """After its open time, the circuit admits one probe, and closes if the probe succeeds."""
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))
    await fail_calls(harness, manager)
    harness.clock.advance(10)

    await manager.call("vat", GET)

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_failed_probe_doubles_the_open_time(harness: Harness) -> None:
    """A failed probe opens the circuit again for twice as long."""
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))
    await fail_calls(harness, manager)
    harness.clock.advance(10)
    await fail_calls(harness, manager)

    assert 20.0 == (await manager.circuit_state("vat")).retry_after


@sync_and_async
async def test_probes_are_limited(harness: Harness) -> None:
    """While the configured number of probes is in flight, every other call is refused."""
    gates = [harness.gate() for _ in range(2)]
    service = vat(circuit=CircuitBreakerConfig(failures=1, open_for=10, probes=2, successes=2))
    manager = harness.manager(service)
    await fail_calls(harness, manager)
    harness.clock.advance(10)

    async def probe() -> None:
        await manager.call("vat", GET)

    for gate in gates:
        harness.vendor.answers(gate.answering(200))
    probes = [harness.start(probe) for _ in gates]
    for gate in gates:
        await gate.reached()
    for _ in range(3):
        with pytest.raises(CircuitBreakerOpen) as excinfo:
            await manager.call("vat", GET)
        assert START + timedelta(seconds=10 + 35) == excinfo.value.retry_at
    assert 2 == (await manager.circuit_state("vat")).probes_under_way
    for gate in gates:
        gate.open()
    for item in probes:
        await item.result()

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_interrupted_probe_frees_its_slot(harness: Harness) -> None:
    """An interrupted probe counts neither as success nor failure, and the next call may probe."""
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))
    await fail_calls(harness, manager)
    harness.clock.advance(10)
    harness.vendor.answers(Interruption())

    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert 0 == (await manager.circuit_state("vat")).probes_under_way
    await manager.call("vat", GET)
    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_lost_probe_grant_is_freed(harness: Harness) -> None:
    """If the store's reply that admits a probe is lost, the probe's slot is freed again."""
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE), state=harness.of_mode(harness.store))
    await fail_calls(harness, manager)
    harness.clock.advance(10)
    harness.store.lost_at[len(harness.store.commands) + 2] = StorageUnavailable("cut off")

    await manager.call("vat", GET)

    harness.clock.advance(1)
    state = await manager.circuit_state("vat")
    assert (CircuitState.HALF_OPEN, 0) == (state.state, state.probes_under_way)


@sync_and_async
async def test_unreadable_probe_grant_is_freed(harness: Harness) -> None:
    """If the store adapter cannot read the reply that admits a probe, the slot is freed again."""
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE), state=harness.of_mode(harness.store))
    await fail_calls(harness, manager)
    harness.clock.advance(10)
    harness.store.lost_at[len(harness.store.commands) + 2] = InvalidData("what is this?")

    with pytest.raises(InvalidData):
        await manager.call("vat", GET)

    state = await manager.circuit_state("vat")
    assert (CircuitState.HALF_OPEN, 0) == (state.state, state.probes_under_way)


@sync_and_async
async def test_probe_outcome_counts_despite_a_late_interruption(harness: Harness) -> None:
    """A probe's outcome counts even if its caller is interrupted while reporting the outcome."""
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE), state=harness.of_mode(harness.store))
    await fail_calls(harness, manager)
    harness.clock.advance(10)
    harness.store.fails_at[len(harness.store.commands) + 3] = Interruption()

    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_unsent_probe_does_not_close_the_circuit(harness: Harness) -> None:
    """If the call that probes a half-open circuit finds no credential, it does not close."""
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))
    await fail_calls(harness, manager)
    harness.clock.advance(10)
    service = vat(circuit=OPENS_AT_ONCE, needs_credentials=True)

    with pytest.raises(CredentialNotFound):
        await harness.manager(service).call("vat", GET)

    state = await manager.circuit_state("vat")
    assert (CircuitState.HALF_OPEN, 0) == (state.state, state.probes_under_way)


@sync_and_async
async def test_credential_refusal_does_not_close_a_half_open_circuit(harness: Harness) -> None:
    """If a secret manager refuses access, a half-open circuit does not close."""
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))
    await fail_calls(harness, manager)
    harness.clock.advance(10)
    service = vat(circuit=OPENS_AT_ONCE, needs_credentials=True)

    class RefusingProvider:
        """A credential provider that refuses access to the credentials it has."""

        async def get(self, *_: object) -> object:
            raise AuthenticationFailed("the vault refused us.", status=403)

        async def refresh(self, *_: object) -> object:
            raise NotImplementedError

    with pytest.raises(AuthenticationFailed):
        await harness.manager(service, credentials=harness.of_mode(RefusingProvider())).call(
            "vat", GET
        )

    state = await manager.circuit_state("vat")
    assert (CircuitState.HALF_OPEN, 0) == (state.state, state.probes_under_way)


@sync_and_async
async def test_outcome_of_an_earlier_generation_is_ignored(harness: Harness) -> None:
    """The outcome of a call that began before the circuit last changed its state is not counted."""
    gate = harness.gate()
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))
    harness.vendor.answers(gate.answering(503))

    async def make_early_call() -> None:
        with pytest.raises(VendorFailed):
            await manager.call("vat", GET)

    call = harness.start(make_early_call)
    await gate.reached()
    await fail_calls(harness, manager)
    harness.clock.advance(10)
    await manager.call("vat", GET)
    gate.open()
    await call.result()

    state = await manager.circuit_state("vat")
    assert (CircuitState.CLOSED, 0) == (state.state, state.failures)


@sync_and_async
async def test_probe_past_its_deadline_frees_its_slot(harness: Harness) -> None:
    """A probe that waits for a rate limit past its deadline is not sent and frees its slot."""
    service = vat(circuit=OPENS_AT_ONCE, limits=RateLimitConfig(1, per=20), timeout=30)
    manager = harness.manager(service)
    await fail_calls(harness, manager)
    harness.clock.advance(10)

    async def pass_deadline() -> None:
        harness.clock.advance(30)

    harness.sleeper.meanwhile.append(pass_deadline)
    with pytest.raises(DeadlineExceeded):
        await manager.call("vat", GET)

    assert 0 == (await manager.circuit_state("vat")).probes_under_way
    await manager.call("vat", GET)


@sync_and_async
async def test_probe_lease_of_a_function_follows_its_timeout(harness: Harness) -> None:
    """If a probe's function has a longer timeout than its service, its slot is held that long."""
    gate = harness.gate()
    manager = harness.manager(vat(circuit=OPENS_AT_ONCE))
    await fail_calls(harness, manager)
    harness.clock.advance(10)

    async def probe() -> None:
        await manager.run("vat", gate.wait, timeout=100)

    running_probe = harness.start(probe)
    await gate.reached()
    harness.clock.advance(104)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)
    gate.open()
    await running_probe.result()

    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state
