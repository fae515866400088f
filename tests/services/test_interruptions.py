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
from tests.support.modes import AwaitedManager, Harness, sync_and_async
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

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    async def get(self, *_: object) -> Credentials:
        """Return credentials."""
        await self._harness.reach("before the credential arrives")
        return Credentials.bearer("old")

    async def refresh(self, *_: object) -> Credentials:
        """Return renewed credentials."""
        await self._harness.reach("before the new credential arrives")
        return Credentials.bearer("new")


def interrupt_flow(
    harness: Harness, flow: Callable[[], Any], at: int, error: type[BaseException]
) -> bool:
    """Interrupt a sequence of calls at its n-th point; return False if it ends before that."""
    harness.points.clear()
    harness.by_hand, harness.interrupt_at, harness.interruption = True, at, error
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
        harness.by_hand = False


def run_without_event_loop(flow: Any) -> None:
    """Run a coroutine without an event loop, which would swallow some interruptions."""
    while True:
        flow.send(None)


def every_interruption(
    mode: str, error: type[BaseException], scene: Callable[[Harness], tuple[AwaitedManager, Any]]
) -> list[tuple[Harness, AwaitedManager, str]]:
    """Run a scenario once per possible interruption; return each harness, manager and point."""
    harnesses: list[tuple[Harness, AwaitedManager, str]] = []
    while True:
        harness = Harness(mode)
        manager, flow = scene(harness)
        if not interrupt_flow(harness, flow, len(harnesses) + 1, error):
            return harnesses
        harnesses.append((harness, manager, harness.points[-1]))


def in_every_mode(body: Any) -> Any:
    """Run a test in every mode (sync, async) and with every exception that can interrupt a call."""
    body = pytest.mark.parametrize("error", ERRORS)(body)
    return pytest.mark.parametrize("mode", ["sync", "async", "async, distant store"])(body)


def all_slots_are_free(harness: Harness) -> bool:
    """Return whether all bulkhead slots are free."""
    return not any(harness.locks.inside.values())


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

    def prepare_call(harness: Harness) -> tuple[AwaitedManager, Any]:
        harness.vendor.answers(401, Response(503, {"Retry-After": "1"}), 200)
        service = payment_service(
            circuit=CircuitBreakerConfig(),
            limits=RateLimitConfig(100, burst=1),
            needs_credentials=True,
            idempotency_header=None,
        )
        manager = harness.manager(service, credentials=harness.of_mode(Provider(harness)))
        put = POST.evolve(idempotent=True)
        return manager, lambda: manager.call("bank", put, idempotency_key="k")

    harnesses = every_interruption(mode, error, prepare_call)
    assert {"before the request leaves", "before the answer arrives", "before sleeping"} < {
        place for _, _, place in harnesses
    }
    for harness, manager, place in harnesses:
        requests = len(harness.vendor.requests)
        # The first answer, a 401, proves that nothing was done.
        is_acted = requests > 1 or place in {LEAVING, "before the answer arrives"}
        assert all_slots_are_free(harness), place
        harness.vendor.forget()
        try:
            answer = harness.drive(manager.call("bank", POST, idempotency_key="k"))
            assert is_acted == answer.replayed, place
        except OutcomeUnknown:
            assert is_acted, place
        assert requests + (not is_acted) == len(harness.vendor.requests)
        with pytest.raises(IdempotencyConflict):
            harness.drive(manager.call("bank", GET, idempotency_key="k"))


@in_every_mode
def test_key_is_done_or_unknown_after_interrupted_storing(
    mode: str, error: type[BaseException]
) -> None:
    """After an interruption while storing a response, the key is done, or its outcome unknown."""

    def prepare_call(harness: Harness) -> tuple[AwaitedManager, Any]:
        manager = harness.manager(payment_service(circuit=None, bulkhead=None, retry=None))
        return manager, lambda: manager.call("bank", POST, idempotency_key="k")

    outcomes: list[str] = []
    for harness, manager, _ in every_interruption(mode, error, prepare_call):
        requests_before = len(harness.vendor.requests)
        try:
            answer = harness.drive(manager.call("bank", POST, idempotency_key="k"))
            outcomes.append("replayed" if answer.replayed else "free")
        except OutcomeUnknown:
            outcomes.append("unknown")
        assert requests_before + outcomes[-1].count("free") == len(harness.vendor.requests)

    is_far = mode != "async"
    expected = (
        ["free"] * (4 if is_far else 0) + ["unknown"] * 2 + ["replayed"] * (2 if is_far else 0)
    )
    assert expected == outcomes


@in_every_mode
def test_interrupted_probe_frees_its_slot(mode: str, error: type[BaseException]) -> None:
    """An interrupted probe frees its slot at once and counts neither as success nor failure."""

    def prepare_call(harness: Harness) -> tuple[AwaitedManager, Any]:
        manager = harness.manager(payment_service(retry=None))
        harness.vendor.answers(503)
        with pytest.raises(Exception, match="503"):
            harness.drive(manager.call("bank", GET))
        harness.clock.advance(10)
        return manager, lambda: manager.call("bank", GET)

    harnesses = every_interruption(mode, error, prepare_call)
    assert harnesses
    for harness, manager, place in harnesses:
        state = harness.drive(manager.circuit_state("bank"))
        assert 0 == state.probes_under_way, place
        assert all_slots_are_free(harness), place
        harness.drive(manager.call("bank", GET))
        assert CircuitState.CLOSED is harness.drive(manager.circuit_state("bank")).state


@in_every_mode
def test_interrupted_probe_frees_its_slot_in_every_region(
    mode: str, error: type[BaseException]
) -> None:
    """An interrupted probe that failed over to another region frees its slots in both regions."""

    def prepare_call(harness: Harness) -> tuple[AwaitedManager, Any]:
        manager = harness.manager(payment_service(base_url=None, regions=REGIONS))
        harness.vendor.answers(503, 503)
        for _ in REGIONS:
            with pytest.raises(ConnectorError):
                harness.drive(manager.call("bank", POST))
        harness.clock.advance(10)
        harness.vendor.answers(ConnectionFailed("refused.", may_have_been_processed=False))
        return manager, lambda: manager.call("bank", GET)

    harnesses = every_interruption(mode, error, prepare_call)
    assert 2 == [place for _, _, place in harnesses].count(LEAVING)
    for harness, manager, place in harnesses:
        for name in ("eu", "us"):
            state = harness.drive(manager.circuit_state("bank", region=name))
            assert 0 == state.probes_under_way, place
        assert all_slots_are_free(harness), place


@in_every_mode
def test_interrupted_key_is_repeated_in_its_region(mode: str, error: type[BaseException]) -> None:
    """After an interruption, a repeat goes to the region that may have received the request."""

    def prepare_call(harness: Harness) -> tuple[AwaitedManager, Any]:
        harness.vendor.answers(ConnectionFailed("refused.", may_have_been_processed=False))
        service = payment_service(
            base_url=None,
            regions=REGIONS,
            circuit=CircuitBreakerConfig(),
            idempotency_header="Idempotency-Key",
            idempotency_memory=86_400,
        )
        manager = harness.manager(service)
        return manager, lambda: manager.call("bank", POST, idempotency_key="k")

    harnesses = every_interruption(mode, error, prepare_call)
    assert 2 == [place for _, _, place in harnesses].count(LEAVING)
    for harness, manager, place in harnesses:
        is_sending = place in {LEAVING, "before the answer arrives"}
        reached = harness.points.count(LEAVING)
        harness.vendor.forget()
        del harness.vendor.requests[:]
        harness.drive(manager.call("bank", POST, idempotency_key="k"))
        urls = [requests.url for requests in harness.vendor.requests]
        if is_sending:
            assert [f"{REGIONS[reached - 1].base_url}/charges"] == urls, place
        assert len(urls) <= 1, place


@in_every_mode
def test_interruption_is_neutral(mode: str, error: type[BaseException]) -> None:
    """An interrupted call counts neither as success nor failure in the circuit."""

    def prepare_call(harness: Harness) -> tuple[AwaitedManager, Any]:
        manager = harness.manager(payment_service(retry=None))
        harness.drive(manager.call("bank", GET))
        return manager, lambda: manager.call("bank", GET)

    for harness, manager, place in every_interruption(mode, error, prepare_call):
        state = harness.drive(manager.circuit_state("bank"))
        is_unheard = place == "before the store's answer arrives"
        # If the reply to a count was lost, the count may not have been stored.
        assert (2 if is_unheard else 1, 0) == (state.calls, state.failures), place


@in_every_mode
def test_interrupted_wait_frees_its_slot(mode: str, error: type[BaseException]) -> None:
    """If a caller is interrupted while waiting for a rate limit, another caller gets its slot."""

    def prepare_call(harness: Harness) -> tuple[AwaitedManager, Any]:
        manager = harness.manager(
            payment_service(
                circuit=None, retry=None, limits=RateLimitConfig(1, per=1), bulkhead=None
            )
        )
        harness.drive(manager.call("bank", GET))
        return manager, lambda: manager.call("bank", GET)

    harnesses = every_interruption(mode, error, prepare_call)
    assert "before sleeping" in {place for _, _, place in harnesses}
    for harness, manager, place in harnesses:
        # A request that may have been sent has used its slot, even if its reply was lost.
        answer_lost = (
            place == "before the store's answer arrives" and harness.points.count(place) == 1
        )
        slots_taken = len(harness.vendor.requests) + (answer_lost or place == LEAVING)
        harness.drive(manager.call("bank", GET))
        assert slots_taken == round(harness.vendor.requests[-1].at), place


@in_every_mode
def test_interruption_is_never_retried(mode: str, error: type[BaseException]) -> None:
    """An interruption of a function is raised, and the function is not called again."""
    harness = Harness(mode)
    manager = harness.manager(payment_service(retry=RetryPolicy(5, 0)))
    calls: list[int] = []

    async def perform_effect() -> None:
        calls.append(1)
        raise error

    with pytest.raises(error):
        run_without_event_loop(manager.run("bank", perform_effect))

    assert 1 == len(calls)
    assert all_slots_are_free(harness)


@in_every_mode
def test_interrupted_fast_path_function_is_neutral(mode: str, error: type[BaseException]) -> None:
    """On the fast path, an interrupted function does not count in the circuit."""
    harness = Harness(mode)
    manager = harness.manager(payment_service(bulkhead=None))

    async def perform_effect() -> None:
        raise error

    harness.drive(manager.run("bank", harness.do_nothing))
    for _ in range(3):
        with pytest.raises(error):
            run_without_event_loop(manager.run("bank", perform_effect))

    state = harness.drive(manager.circuit_state("bank"))
    assert (1, 0) == (state.calls, state.failures)


@in_every_mode
def test_interrupted_stream_releases_everything(mode: str, error: type[BaseException]) -> None:
    """A stream that is interrupted while opening or reading releases its slots and connection."""

    def prepare_call(harness: Harness) -> tuple[AwaitedManager, Any]:
        manager = harness.manager(payment_service(retry=None))
        harness.vendor.answers(503)
        with pytest.raises(Exception, match="503"):
            harness.drive(manager.call("bank", GET))
        harness.clock.advance(10)
        harness.vendor.answers(PiecewiseBody(200, (), b"a", b"b"))

        async def read() -> None:
            stream = await manager.stream("bank", GET)
            while await stream.read():
                pass

        return manager, read

    harnesses = every_interruption(mode, error, prepare_call)
    assert 3 == [place for _, _, place in harnesses].count("before a piece arrives")
    for harness, manager, place in harnesses:
        assert all_slots_are_free(harness), place
        assert 0 == harness.drive(manager.circuit_state("bank")).probes_under_way, place
        assert all(answer.closed == 1 for answer in harness.vendor.arrivals), place


@in_every_mode
def test_interrupted_call_emits_its_end(mode: str, error: type[BaseException]) -> None:
    """If a call is interrupted, observers still get its end event, as cancelled."""

    def prepare_call(harness: Harness) -> tuple[AwaitedManager, Any]:
        manager = harness.watched(payment_service(retry=None))
        return manager, lambda: manager.call("bank", GET)

    for harness, _, _ in every_interruption(mode, error, prepare_call):
        assert ("CallStarted", "CallFinished") == (
            harness.event_names()[0],
            harness.event_names()[-1],
        )
        assert harness.events[-1].cancelled


@sync_and_async
async def test_interrupted_waiter_leaves_the_claim(harness: Harness) -> None:
    """Interrupting a caller that waits for another caller's response does not affect that claim."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(200))
    manager = harness.manager(payment_service(bulkhead=None))

    async def call_first() -> Any:
        return await manager.call("bank", POST, idempotency_key="k")

    running_call = harness.start(call_first)
    await gate.reached()

    async def interrupt() -> None:
        raise Interruption

    harness.sleeper.meanwhile.append(interrupt)
    with pytest.raises(Interruption):
        await manager.call("bank", POST, idempotency_key="k")
    gate.open()

    assert 200 == (await running_call.result()).status
    assert (await manager.call("bank", POST, idempotency_key="k")).replayed
