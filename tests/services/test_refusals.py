"""A process remembers for a second that an open circuit or an empty limit refused a call."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    Endpoint,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Service,
    StorageUnavailable,
    VendorFailed,
)
from moorage.domain.resilience.admission import Admission
from moorage.domain.resilience.gate_commands import return_unused
from moorage.domain.values.durations import SECOND
from tests.support.modes import sync_and_async

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager, Harness

GET = Request.get("/rates")
VAT = Service(
    "vat",
    base_url="https://vat.example",
    circuit=CircuitBreakerConfig(failures=1, open_for=60),
    retry=None,
)


def manager_on_shared_store(harness: Harness, **ports: Any) -> AwaitedManager:
    """Return a manager that uses the test's shared store."""
    return harness.watched(VAT, state=harness.of_mode(harness.store), **ports)


def admissions(harness: Harness) -> int:
    """Return the number of admission commands that the store received."""
    return sum(isinstance(command, Admission) for command in harness.store.commands)


async def manager_with_open_circuit(harness: Harness) -> AwaitedManager:
    """Return a manager whose circuit has just opened."""
    harness.vendor.otherwise = 503
    manager = manager_on_shared_store(harness)
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    return manager


async def refusal_of_call(manager: AwaitedManager) -> CircuitBreakerOpen:
    """Return the error of a refused call."""
    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("vat", GET)
    return excinfo.value


@sync_and_async
async def test_process_asks_store_at_most_once_second_while_circuit_is_open(
    harness: Harness,
) -> None:
    """While a circuit is open, a process asks the store at most once a second."""
    manager = await manager_with_open_circuit(harness)
    before = admissions(harness)

    for _ in range(3):
        for _ in range(20):
            await refusal_of_call(manager)
        harness.clock.advance(1)

    assert 3 == admissions(harness) - before
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_remembered_refusal_has_time_at_which_circuit_half_opens(harness: Harness) -> None:
    """A remembered rejection has the time at which the circuit half-opens, whatever its age."""
    manager = await manager_with_open_circuit(harness)
    first = await refusal_of_call(manager)
    harness.clock.advance(0.75)
    second = await refusal_of_call(manager)

    assert first.retry_at is not None
    assert first.retry_at == second.retry_at


@sync_and_async
async def test_remembered_circuit_is_probed_in_time(harness: Harness) -> None:
    """A remembered rejection does not delay the probe at the end of the circuit's open time."""
    manager = await manager_with_open_circuit(harness)
    harness.clock.advance(59.5)
    await refusal_of_call(manager)
    harness.vendor.otherwise = 200
    harness.clock.advance(0.5)

    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_own_process_obeys_a_person_at_once(harness: Harness) -> None:
    """If a person closes a circuit, the same manager's next call is admitted."""
    manager = await manager_with_open_circuit(harness)
    await refusal_of_call(manager)
    harness.vendor.otherwise = 200
    await manager.set_circuit("vat", CircuitState.CLOSED)

    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_circuit_that_another_process_closes_by_hand_admits_calls_second_later(
    harness: Harness,
) -> None:
    """If a person closes a circuit in another process, calls are admitted a second later."""
    manager = await manager_with_open_circuit(harness)
    await refusal_of_call(manager)
    harness.vendor.otherwise = 200
    await manager_on_shared_store(harness).set_circuit("vat", CircuitState.CLOSED)
    await refusal_of_call(manager)
    harness.clock.advance(1)

    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_circuit_opened_by_hand_is_remembered_as_such(harness: Harness) -> None:
    """If an operator opened the circuit, a remembered rejection says so."""
    manager = manager_on_shared_store(harness)
    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)
    before = admissions(harness)
    messages = {(await refusal_of_call(manager)).message for _ in range(5)}

    assert {"The circuit breaker was opened by hand."} == messages
    assert 1 == admissions(harness) - before


@sync_and_async
async def test_half_open_circuit_is_not_remembered(harness: Harness) -> None:
    """A call that is refused during a probe does not delay the calls after the probe."""
    manager = await manager_with_open_circuit(harness)
    harness.clock.advance(60)
    harness.vendor.otherwise = 200
    gate = harness.gate()
    harness.vendor.answers(gate.answering(200))

    async def call() -> None:
        await manager.call("vat", GET)

    probe = harness.start(call)
    await gate.reached()
    error = await refusal_of_call(manager)
    gate.open()
    await probe.result()

    assert (
        "The circuit breaker is half-open, and other calls are already probing the service."
    ) == error.message
    assert 200 == (await manager.call("vat", GET)).status


def limited_manager(harness: Harness, **settings: Any) -> AwaitedManager:
    """Return a manager of a service with a rate limit over the test's shared store."""
    options: dict[str, Any] = {
        "limits": RateLimitConfig(4, burst=2),
        "max_limit_wait": 0,
        "circuit": None,
    }
    service = attrs.evolve(VAT, **(options | settings))
    return harness.watched(service, state=harness.of_mode(harness.store))


async def count_granted_calls(manager: AwaitedManager, calls: int, **options: Any) -> int:
    """Return how many of several calls a limit grants."""
    grants = 0
    for _ in range(calls):
        with suppress(RateLimitExceeded):
            await manager.call("vat", GET, **options)
            grants += 1
    return grants


@sync_and_async
async def test_process_asks_store_again_only_when_next_token_is_available_after_refusal(
    harness: Harness,
) -> None:
    """After a rejection, a process asks the store again when the next token is available."""
    manager = limited_manager(harness)
    assert 2 == await count_granted_calls(manager, 20)
    assert 3 == admissions(harness)

    for tokens in range(1, 5):
        harness.clock.advance(0.249)
        assert 0 == await count_granted_calls(manager, 20)
        harness.clock.advance(0.001)
        assert 1 == await count_granted_calls(manager, 20)
        assert 3 + 2 * tokens == admissions(harness)


@sync_and_async
async def test_processes_use_each_token_of_a_limit(harness: Harness) -> None:
    """Processes that remember rejections together use the whole limit, and never exceed it."""
    managers = [limited_manager(harness) for _ in range(5)]
    grants = 0
    for _ in range(100):
        for manager in managers:
            grants += await count_granted_calls(manager, 1)
        harness.clock.advance(0.0625)

    assert 2 + int(99 * 0.0625 * 4) == grants


@sync_and_async
async def test_remembered_refusal_has_time_at_which_next_token_is_available(
    harness: Harness,
) -> None:
    """A remembered rejection has the time at which the next token is available."""
    manager = limited_manager(harness)
    await count_granted_calls(manager, 2)
    times = set()
    for _ in range(3):
        with pytest.raises(RateLimitExceeded) as excinfo:
            await manager.call("vat", GET)
        times.add(excinfo.value.retry_at)
        harness.clock.advance(0.0625)

    assert 1 == len(times)


@sync_and_async
async def test_process_asks_store_again_after_second_even_if_next_token_is_hour_away(
    harness: Harness,
) -> None:
    """Even if the next token is an hour away, a process asks the store again after a second."""
    manager = limited_manager(harness, limits=RateLimitConfig.per_hour(1))
    await count_granted_calls(manager, 2)
    before = admissions(harness)
    for _ in range(3):
        harness.clock.advance(1)
        await count_granted_calls(manager, 10)

    assert 3 == admissions(harness) - before


@sync_and_async
async def test_call_that_can_wait_asks_the_store(harness: Harness) -> None:
    """A remembered rejection does not affect calls that can wait longer than the rejected call."""
    manager = limited_manager(harness, limits=RateLimitConfig(1), max_limit_wait=5)
    assert 1 == await count_granted_calls(manager, 1)
    assert 0 == await count_granted_calls(manager, 1, timeout=0.5)
    assert 0 == await count_granted_calls(manager, 1, timeout=0.25)
    assert 2 == admissions(harness)

    assert 1 == await count_granted_calls(manager, 1)


@sync_and_async
async def test_remembered_refusal_applies_only_to_calls_with_same_limits_and_same_cost(
    harness: Harness,
) -> None:
    """A remembered rejection applies only to calls with the same limits and the same cost."""
    endpoints = (Endpoint("heavy", cost=2), Endpoint("own", limits=RateLimitConfig(9)))
    manager = limited_manager(harness, endpoints=endpoints)
    await count_granted_calls(manager, 3)
    before = admissions(harness)
    for endpoint in ("heavy", "own", None):
        assert 0 == await count_granted_calls(manager, 1, endpoint=endpoint)

    assert 3 == admissions(harness) - before
    assert 1 == await count_granted_calls(manager, 1, tenant="a")


@sync_and_async
async def test_token_that_call_gives_back_is_at_once_available_to_same_manager_next_call(
    harness: Harness,
) -> None:
    """A token that a call returns can be used at once by the same manager's next call."""
    manager = limited_manager(harness, limits=RateLimitConfig(1, burst=1), max_limit_wait=1)
    assert 1 == await count_granted_calls(manager, 1)
    flows = manager.manager._flows
    gates = flows.plans.find("vat", None, None).gates
    queued = harness.store.memory.execute(Admission(gates, within=SECOND, lease=SECOND))
    assert 0 == await count_granted_calls(manager, 1)
    for command in return_unused(gates, queued):
        flows.core.post(command)

    assert 1 == await count_granted_calls(manager, 1)


@sync_and_async
async def test_refusal_during_an_outage_is_remembered_until_the_next_probe(
    harness: Harness,
) -> None:
    """During an outage a process also remembers rejections, but only until the next probe."""
    harness.store.is_away = StorageUnavailable("it does not answer.")
    manager = limited_manager(harness, limits=RateLimitConfig.per_hour(1))
    assert 1 == await count_granted_calls(manager, 20)
    assert 1 == admissions(harness)
    harness.store.is_away = None
    harness.clock.advance(0.25)

    assert 1 == await count_granted_calls(manager, 5)
    assert 3 == admissions(harness)
