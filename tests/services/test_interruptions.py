"""Calls that are cancelled at any `await`, or interrupted inside any port.

Every flow is driven by hand to each point where it can be interrupted: an asynchronous one by
throwing into the coroutine, a synchronous one by raising inside its port.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    BulkheadConfig,
    CircuitBreakerConfig,
    CircuitState,
    ConnectionFailed,
    ConnectorError,
    Credentials,
    IdempotencyConflict,
    Jitter,
    OutcomeUnknown,
    RateLimitConfig,
    Region,
    Request,
    Response,
    RetryPolicy,
    Service,
)
from tests.support.modes import AwaitedManager, World, sync_and_async
from tests.support.virtual_ports import PiecewiseBody
from tests.support.virtual_tasks import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.untraced

ERRORS = (Interruption, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
LEAVING = "before the request leaves"
GET = Request.get("/rates")
REGIONS = (Region("eu", "https://eu.example"), Region("us", "https://us.example", tier=2))
POST = Request.post("/charges", json={"amount": "9.99"})


class Provider:
    """A credential provider that can be interrupted."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, *_: object) -> Credentials:
        """Return credentials."""
        await self._world.reach("before the credential arrives")
        return Credentials.bearer("old")

    async def refresh(self, *_: object) -> Credentials:
        """Return renewed credentials."""
        await self._world.reach("before the new credential arrives")
        return Credentials.bearer("new")


def interrupt_flow(
    world: World, flow: Callable[[], Any], at: int, error: type[BaseException]
) -> bool:
    """Interrupt a sequence of calls at its n-th point; return False if it ends before that."""
    world.points.clear()
    world.by_hand, world.interrupt_at, world.interruption = True, at, error
    coroutine = flow()
    try:
        coroutine.send(None)
        for _ in range(at - 1):
            coroutine.send(None)
        if error is GeneratorExit:
            coroutine.close()
            return True
        coroutine.throw(error)
        raise AssertionError("the clean-up waited for an event")
    except StopIteration:
        return False
    except error:
        return True
    finally:
        world.by_hand = False


def run_without_event_loop(flow: Any) -> None:
    """Run a coroutine without an event loop, which would swallow some interruptions."""
    while True:
        flow.send(None)


def every_interruption(
    mode: str, error: type[BaseException], scene: Callable[[World], tuple[AwaitedManager, Any]]
) -> list[tuple[World, AwaitedManager, str]]:
    """Run a scenario once per possible interruption; return each one's world, manager and point."""
    worlds: list[tuple[World, AwaitedManager, str]] = []
    while True:
        world = World(mode)
        manager, flow = scene(world)
        if not interrupt_flow(world, flow, len(worlds) + 1, error):
            return worlds
        worlds.append((world, manager, world.points[-1]))


def in_every_mode(body: Any) -> Any:
    """Run a test in every mode (sync, async) and with every exception that can interrupt a call."""
    body = pytest.mark.parametrize("error", ERRORS)(body)
    return pytest.mark.parametrize("mode", ["sync", "async", "async, distant store"])(body)


def all_slots_are_free(world: World) -> bool:
    """Return whether all bulkhead slots are free."""
    return not any(world.locks.inside.values())


def payment_service(**options: Any) -> Service:
    """Return a service with all protections, whose circuit opens at the first failure."""
    fields: dict[str, Any] = {
        "base_url": "https://bank.example",
        "circuit": CircuitBreakerConfig(failures=1, open_for=10, consecutive_failures=None),
        "bulkhead": BulkheadConfig(1),
        "retry": RetryPolicy(2, 1.0, jitter=Jitter.NONE),
    }
    return Service("bank", **fields | options)


@in_every_mode
def test_interrupted_key_is_free_or_unknown(mode: str, error: type[BaseException]) -> None:
    """After an interruption, a key is free only if nothing was sent; else it is unknown or done."""

    def prepare_call(world: World) -> tuple[AwaitedManager, Any]:
        world.vendor.answers(401, Response(503, {"Retry-After": "1"}), 200)
        service = payment_service(
            circuit=CircuitBreakerConfig(),
            limits=RateLimitConfig(100, burst=1),
            needs_credentials=True,
            idempotency_header=None,
        )
        manager = world.manager(service, credentials=world.of_mode(Provider(world)))
        put = POST.evolve(idempotent=True)
        return manager, lambda: manager.call("bank", put, idempotency_key="k")

    worlds = every_interruption(mode, error, prepare_call)
    assert {"before the request leaves", "before the answer arrives", "before sleeping"} < {
        place for _, _, place in worlds
    }
    for world, manager, place in worlds:
        requests = len(world.vendor.requests)
        # The first answer, a 401, proves that nothing was done.
        is_acted = requests > 1 or place in {LEAVING, "before the answer arrives"}
        assert all_slots_are_free(world), place
        world.vendor.forget()
        try:
            answer = world.drive(manager.call("bank", POST, idempotency_key="k"))
            assert is_acted == answer.replayed, place
        except OutcomeUnknown:
            assert is_acted, place
        assert requests + (not is_acted) == len(world.vendor.requests)
        with pytest.raises(IdempotencyConflict):
            world.drive(manager.call("bank", GET, idempotency_key="k"))


@in_every_mode
def test_key_is_done_or_unknown_after_interrupted_storing(
    mode: str, error: type[BaseException]
) -> None:
    """After an interruption while storing a response, the key is done, or its outcome unknown."""

    def prepare_call(world: World) -> tuple[AwaitedManager, Any]:
        manager = world.manager(payment_service(circuit=None, bulkhead=None, retry=None))
        return manager, lambda: manager.call("bank", POST, idempotency_key="k")

    outcomes: list[str] = []
    for world, manager, _ in every_interruption(mode, error, prepare_call):
        requests_before = len(world.vendor.requests)
        try:
            answer = world.drive(manager.call("bank", POST, idempotency_key="k"))
            outcomes.append("replayed" if answer.replayed else "free")
        except OutcomeUnknown:
            outcomes.append("unknown")
        assert requests_before + outcomes[-1].count("free") == len(world.vendor.requests)

    is_far = mode != "async"
    expected = (
        ["free"] * (4 if is_far else 0) + ["unknown"] * 2 + ["replayed"] * (2 if is_far else 0)
    )
    assert expected == outcomes


@in_every_mode
def test_interrupted_probe_frees_its_slot(mode: str, error: type[BaseException]) -> None:
    """An interrupted probe frees its slot at once and counts neither as success nor failure."""

    def prepare_call(world: World) -> tuple[AwaitedManager, Any]:
        manager = world.manager(payment_service(retry=None))
        world.vendor.answers(503)
        with pytest.raises(Exception, match="503"):
            world.drive(manager.call("bank", GET))
        world.clock.advance(10)
        return manager, lambda: manager.call("bank", GET)

    worlds = every_interruption(mode, error, prepare_call)
    assert worlds
    for world, manager, place in worlds:
        state = world.drive(manager.circuit_state("bank"))
        assert 0 == state.probes_under_way, place
        assert all_slots_are_free(world), place
        world.drive(manager.call("bank", GET))
        assert CircuitState.CLOSED is world.drive(manager.circuit_state("bank")).state


@in_every_mode
def test_interrupted_probe_frees_its_slot_in_every_region(
    mode: str, error: type[BaseException]
) -> None:
    """An interrupted probe that failed over to another region frees its slots in both regions."""

    def prepare_call(world: World) -> tuple[AwaitedManager, Any]:
        manager = world.manager(payment_service(base_url=None, regions=REGIONS))
        world.vendor.answers(503, 503)
        for _ in REGIONS:
            with pytest.raises(ConnectorError):
                world.drive(manager.call("bank", POST))
        world.clock.advance(10)
        world.vendor.answers(ConnectionFailed("refused.", may_have_been_processed=False))
        return manager, lambda: manager.call("bank", GET)

    worlds = every_interruption(mode, error, prepare_call)
    assert 2 == [place for _, _, place in worlds].count(LEAVING)
    for world, manager, place in worlds:
        for name in ("eu", "us"):
            state = world.drive(manager.circuit_state("bank", region=name))
            assert 0 == state.probes_under_way, place
        assert all_slots_are_free(world), place


@in_every_mode
def test_interrupted_key_is_repeated_in_its_region(mode: str, error: type[BaseException]) -> None:
    """After an interruption, a repeat goes to the region that may have received the request."""

    def prepare_call(world: World) -> tuple[AwaitedManager, Any]:
        world.vendor.answers(ConnectionFailed("refused.", may_have_been_processed=False))
        service = payment_service(
            base_url=None,
            regions=REGIONS,
            circuit=CircuitBreakerConfig(),
            idempotency_header="Idempotency-Key",
            idempotency_memory=86_400,
        )
        manager = world.manager(service)
        return manager, lambda: manager.call("bank", POST, idempotency_key="k")

    worlds = every_interruption(mode, error, prepare_call)
    assert 2 == [place for _, _, place in worlds].count(LEAVING)
    for world, manager, place in worlds:
        is_sending = place in {LEAVING, "before the answer arrives"}
        reached = world.points.count(LEAVING)
        world.vendor.forget()
        del world.vendor.requests[:]
        world.drive(manager.call("bank", POST, idempotency_key="k"))
        urls = [requests.url for requests in world.vendor.requests]
        if is_sending:
            assert [f"{REGIONS[reached - 1].base_url}/charges"] == urls, place
        assert len(urls) <= 1, place


@in_every_mode
def test_interruption_is_neutral(mode: str, error: type[BaseException]) -> None:
    """An interrupted call counts neither as success nor failure in the circuit."""

    def prepare_call(world: World) -> tuple[AwaitedManager, Any]:
        manager = world.manager(payment_service(retry=None))
        world.drive(manager.call("bank", GET))
        return manager, lambda: manager.call("bank", GET)

    for world, manager, place in every_interruption(mode, error, prepare_call):
        state = world.drive(manager.circuit_state("bank"))
        is_unheard = place == "before the store's answer arrives"
        # If the reply to a count was lost, the count may not have been stored.
        assert (2 if is_unheard else 1, 0) == (state.calls, state.failures), place


@in_every_mode
def test_interrupted_wait_frees_its_slot(mode: str, error: type[BaseException]) -> None:
    """If a caller is interrupted while waiting for a rate limit, another caller gets its slot."""

    def prepare_call(world: World) -> tuple[AwaitedManager, Any]:
        manager = world.manager(
            payment_service(
                circuit=None, retry=None, limits=RateLimitConfig(1, per=1), bulkhead=None
            )
        )
        world.drive(manager.call("bank", GET))
        return manager, lambda: manager.call("bank", GET)

    worlds = every_interruption(mode, error, prepare_call)
    assert "before sleeping" in {place for _, _, place in worlds}
    for world, manager, place in worlds:
        # A request that may have been sent has used its slot, even if its reply was lost.
        answer_lost = (
            place == "before the store's answer arrives" and world.points.count(place) == 1
        )
        slots_taken = len(world.vendor.requests) + (answer_lost or place == LEAVING)
        world.drive(manager.call("bank", GET))
        assert slots_taken == round(world.vendor.requests[-1].at), place


@in_every_mode
def test_interruption_is_never_retried(mode: str, error: type[BaseException]) -> None:
    """An interruption of a function is raised, and the function is not called again."""
    world = World(mode)
    manager = world.manager(payment_service(retry=RetryPolicy(5, 0)))
    calls: list[int] = []

    async def perform_effect() -> None:
        calls.append(1)
        raise error

    with pytest.raises(error):
        run_without_event_loop(manager.run("bank", perform_effect))

    assert 1 == len(calls)
    assert all_slots_are_free(world)


@in_every_mode
def test_interrupted_fast_path_function_is_neutral(mode: str, error: type[BaseException]) -> None:
    """On the fast path, an interrupted function does not count in the circuit."""
    world = World(mode)
    manager = world.manager(payment_service(bulkhead=None))

    async def perform_effect() -> None:
        raise error

    world.drive(manager.run("bank", world.do_nothing))
    for _ in range(3):
        with pytest.raises(error):
            run_without_event_loop(manager.run("bank", perform_effect))

    state = world.drive(manager.circuit_state("bank"))
    assert (1, 0) == (state.calls, state.failures)


@in_every_mode
def test_interrupted_stream_releases_everything(mode: str, error: type[BaseException]) -> None:
    """A stream that is interrupted while opening or reading releases its slots and connection."""

    def prepare_call(world: World) -> tuple[AwaitedManager, Any]:
        manager = world.manager(payment_service(retry=None))
        world.vendor.answers(503)
        with pytest.raises(Exception, match="503"):
            world.drive(manager.call("bank", GET))
        world.clock.advance(10)
        world.vendor.answers(PiecewiseBody(200, (), b"a", b"b"))

        async def read() -> None:
            stream = await manager.stream("bank", GET)
            while await stream.read():
                pass

        return manager, read

    worlds = every_interruption(mode, error, prepare_call)
    assert 3 == [place for _, _, place in worlds].count("before a piece arrives")
    for world, manager, place in worlds:
        assert all_slots_are_free(world), place
        assert 0 == world.drive(manager.circuit_state("bank")).probes_under_way, place
        assert all(answer.closed == 1 for answer in world.vendor.arrivals), place


@in_every_mode
def test_interrupted_call_emits_its_end(mode: str, error: type[BaseException]) -> None:
    """If a call is interrupted, observers still get its end event, as cancelled."""

    def prepare_call(world: World) -> tuple[AwaitedManager, Any]:
        manager = world.watched(payment_service(retry=None))
        return manager, lambda: manager.call("bank", GET)

    for world, _, _ in every_interruption(mode, error, prepare_call):
        assert ("CallStarted", "CallFinished") == (world.event_names()[0], world.event_names()[-1])
        assert world.events[-1].cancelled


@sync_and_async
async def test_interrupted_waiter_leaves_the_claim(world: World) -> None:
    """Interrupting a caller that waits for another caller's response does not affect that claim."""
    gate = world.gate()
    world.vendor.answers(gate.answering(200))
    manager = world.manager(payment_service(bulkhead=None))

    async def call_first() -> Any:
        return await manager.call("bank", POST, idempotency_key="k")

    running_call = world.start(call_first)
    await gate.reached()

    async def interrupt() -> None:
        raise Interruption

    world.sleeper.meanwhile.append(interrupt)
    with pytest.raises(Interruption):
        await manager.call("bank", POST, idempotency_key="k")
    gate.open()

    assert 200 == (await running_call.result()).status
    assert (await manager.call("bank", POST, idempotency_key="k")).replayed
