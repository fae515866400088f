"""Open circuits of a shared store, which a process remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    Request,
    Service,
    VendorFailed,
)
from moorage.domain.resilience.admission import Admission
from tests.support.modes import sync_and_async

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager, World

GET = Request.get("/rates")
VAT = Service(
    "vat",
    base_url="https://vat.example",
    circuit=CircuitBreakerConfig(failures=1, open_for=60),
    retry=None,
)


def shared(world: World, **ports: Any) -> AwaitedManager:
    """Return a manager over the world's shared store."""
    return world.watched(VAT, state=world.of_mode(world.store), **ports)


def admissions(world: World) -> int:
    """Return how often the store was asked to admit an attempt."""
    return sum(isinstance(command, Admission) for command in world.store.commands)


async def opened(world: World) -> AwaitedManager:
    """Return a manager whose circuit has just opened."""
    world.vendor.otherwise = 503
    manager = shared(world)
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    return manager


async def refused(manager: AwaitedManager) -> CircuitBreakerOpen:
    """Return the error of a refused call."""
    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.call("vat", GET)
    return excinfo.value


@sync_and_async
async def test_refusals_of_one_second_ask_the_store_once(world: World) -> None:
    """While a circuit is open, a process asks the store at most once a second."""
    manager = await opened(world)
    before = admissions(world)

    for _ in range(3):
        for _ in range(20):
            await refused(manager)
        world.clock.advance(1)

    assert 3 == admissions(world) - before
    assert 1 == len(world.vendor.requests)


@sync_and_async
async def test_remembered_refusal_tells_when_to_retry(world: World) -> None:
    """The time to retry is when the circuit half-opens, however old the memory is."""
    manager = await opened(world)
    first = await refused(manager)
    world.clock.advance(0.75)
    second = await refused(manager)

    assert first.retry_at is not None
    assert first.retry_at == second.retry_at


@sync_and_async
async def test_remembered_circuit_is_probed_in_time(world: World) -> None:
    """The first call after the open time is a probe."""
    manager = await opened(world)
    world.clock.advance(59.5)
    await refused(manager)
    world.vendor.otherwise = 200
    world.clock.advance(0.5)

    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_own_process_obeys_a_person_at_once(world: World) -> None:
    """A circuit that is closed by hand admits the next call of the same manager."""
    manager = await opened(world)
    await refused(manager)
    world.vendor.otherwise = 200
    await manager.set_circuit("vat", CircuitState.CLOSED)

    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_other_processes_obey_a_person_within_a_second(world: World) -> None:
    """A circuit that another process closes by hand admits calls a second later."""
    manager = await opened(world)
    await refused(manager)
    world.vendor.otherwise = 200
    await shared(world).set_circuit("vat", CircuitState.CLOSED)
    await refused(manager)
    world.clock.advance(1)

    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_circuit_opened_by_hand_is_remembered_as_such(world: World) -> None:
    """A remembered refusal says that a person opened the circuit."""
    manager = shared(world)
    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)
    before = admissions(world)
    messages = {(await refused(manager)).message for _ in range(5)}

    assert {"The circuit was opened by hand."} == messages
    assert 1 == admissions(world) - before


@sync_and_async
async def test_half_open_circuit_is_not_remembered(world: World) -> None:
    """A call that is refused during a probe does not delay the calls after the probe."""
    manager = await opened(world)
    world.clock.advance(60)
    world.vendor.otherwise = 200
    gate = world.gate()
    world.vendor.answers(gate.answering(200))

    async def call() -> None:
        await manager.call("vat", GET)

    probe = world.start(call)
    await gate.reached()
    error = await refused(manager)
    gate.open()
    await probe.result()

    assert "The circuit is half open, and other calls are probing the service." == error.message
    assert 200 == (await manager.call("vat", GET)).status
