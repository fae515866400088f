"""Hedged reads: a second request is sent if the response to the first is slow."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    CircuitBreakerConfig,
    CircuitState,
    ConnectorError,
    Credentials,
    Endpoint,
    HedgeConfig,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryPolicy,
    Service,
    VendorFailed,
)
from tests.support.modes import AwaitedManager, World, sync_and_async

GET = Request.get("/rates")
HEDGE = HedgeConfig(0.1)


def vat(**options: object) -> Service:
    """Return a service that hedges its reads."""
    fields = {"base_url": "https://vat.example", "circuit": None, "retry": None, "hedge": HEDGE}
    return Service("vat", **fields | options)  # type: ignore[arg-type]  # as each test says


async def start_slow_call(
    world: World, manager: AwaitedManager, request: Request = GET, **options: Any
) -> Any:
    """Start a call and let its request count as slow; return the call and the request's gate."""
    gate = world.gate()
    world.vendor.answers(gate.answering(options.pop("first", Response(200, body=b"first"))))

    async def call() -> Response:
        response: Response = await manager.call("vat", request, **options)
        return response

    running_call = world.start(call)
    await gate.reached()
    world.gather.too_long.set()
    return running_call, gate


@sync_and_async
async def test_first_successful_response_wins(world: World) -> None:
    """If the first request is slow, a second is sent, and its response is used."""
    manager = world.watched(vat())

    started_call, gate = await start_slow_call(world, manager)
    response = await started_call.result()
    gate.open()

    assert (b"", 2) == (response.body, len(world.vendor.requests))
    assert 0.1 == world.gather.stagger
    assert {"id-1"} == {event.request_id for event in world.events}
    assert [30.0, 30.0] == [requests.timeouts.total for requests in world.vendor.requests]
    assert 2 == world.events[-1].attempts


@sync_and_async
async def test_hedges_share_the_deadline(world: World) -> None:
    """A hedge gets only the rest of the call's time."""
    world.vendor.answers(503)

    await world.manager(vat()).call("vat", GET, timeout=2)

    assert [2.0, 2.0] == [requests.timeouts.total for requests in world.vendor.requests]


@sync_and_async
async def test_quick_response_is_not_hedged(world: World) -> None:
    """If the first response is quick, no second request is sent."""
    await world.manager(vat()).call("vat", GET)

    assert 1 == len(world.vendor.requests)


@sync_and_async
async def test_failed_request_is_hedged_at_once(world: World) -> None:
    """If the first request fails, the hedge is sent at once, and its response can be used."""
    world.vendor.answers(503)

    assert 200 == (await world.manager(vat()).call("vat", GET)).status


@sync_and_async
async def test_losing_request_is_cancelled(world: World) -> None:
    """The losing request of a hedge is cancelled if it is a task, and runs on if it is a thread."""
    manager = world.manager(vat())
    started_call, gate = await start_slow_call(world, manager)
    await started_call.result()

    assert 2 == len(world.gather.started)
    if not world.is_awaited:
        gate.open()
    for item in world.gather.started:
        await item.wait_until_over()
    assert world.gather.started[0].ending is not None
    _, error = world.gather.started[0].ending
    assert ("CancelledError" if world.is_awaited else "NoneType") == type(error).__name__


@sync_and_async
async def test_first_error_is_raised(world: World) -> None:
    """If every hedged request fails, the first error is raised, with the number of all attempts."""
    world.vendor.answers(Response(503, {"Retry-After": "9"}), 500, 502)
    manager = world.manager(vat(hedge=HedgeConfig(0.1, max_extra=2)))

    with pytest.raises(VendorFailed) as excinfo:
        await manager.call("vat", GET)

    assert (503, 3) == (excinfo.value.status, excinfo.value.attempts)
    assert excinfo.value.retry_at is not None


@pytest.mark.parametrize("rate", [1, 1_000_000])
@sync_and_async
async def test_hedges_are_admitted(world: World, rate: int) -> None:
    """A hedge uses a rate-limit token like any attempt, but never waits for one."""
    world.vendor.answers(503)
    manager = world.manager(vat(limits=RateLimitConfig(rate, burst=1)))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)

    assert (1, []) == (len(world.vendor.requests), world.sleeper.slept)


@sync_and_async
async def test_hedges_are_recorded(world: World) -> None:
    """A failed hedge counts in the circuit like any failed attempt."""
    world.vendor.answers(503, 503)
    circuit = CircuitBreakerConfig(failures=2)
    manager = world.watched(vat(circuit=circuit))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state
    reports = [event for event in world.events if type(event).__name__ == "AttemptFinished"]
    assert [(1, 503), (2, 503)] == [(e.attempt, e.status) for e in reports]


@sync_and_async
async def test_pause_from_a_hedge_is_kept(world: World) -> None:
    """If a hedge gets a 429, the vendor is paused for every caller."""
    world.vendor.answers(503, Response(429, {"Retry-After": "30"}))
    manager = world.manager(vat(limits=RateLimitConfig(100), max_limit_wait=1))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)


@sync_and_async
async def test_hedged_calls_are_retried(world: World) -> None:
    """An attempt that failed with all its hedges is retried."""
    world.vendor.answers(503, 503)
    manager = world.watched(vat(retry=RetryPolicy(3, 0)))

    assert 200 == (await manager.call("vat", GET)).status
    assert 3 == world.events[-1].attempts == len(world.vendor.requests)
    world.vendor.otherwise = 503
    with pytest.raises(VendorFailed) as excinfo:
        await manager.call("vat", GET)
    assert 6 == excinfo.value.attempts


@sync_and_async
async def test_hedges_share_one_renewal(world: World) -> None:
    """If hedged requests are refused with 401 at the same time, the credential is renewed once."""
    renewals: list[int] = []

    class Provider:
        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer("old")

        async def refresh(self, *_: object) -> Credentials:
            renewals.append(1)
            return Credentials.bearer("new")

    async def by_token(sent: Any) -> int:
        return 401 if sent.header("authorization") == "Bearer old" else 200

    world.vendor.otherwise = by_token
    service = vat(needs_credentials=True)
    manager = world.manager(service, credentials=world.of_mode(Provider()))

    assert 200 == (await manager.call("vat", GET)).status
    world.vendor.otherwise = 401
    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", GET)

    assert 2 == len(renewals)


@sync_and_async
async def test_attempt_is_repeated_after_a_renewal(world: World) -> None:
    """If all hedges are refused but one renewed the credential, the attempt is repeated."""

    class Provider:
        def __init__(self) -> None:
            self.token = "old"

        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer(self.token)

        async def refresh(self, *_: object) -> Credentials:
            self.token = "new"
            return await self.get()

    async def by_token(sent: Any) -> int:
        return 401 if sent.header("authorization") == "Bearer old" else 200

    world.vendor.otherwise = by_token
    service = vat(needs_credentials=True)
    manager = world.manager(service, credentials=world.of_mode(Provider()))

    started_call, gate = await start_slow_call(world, manager, first=401)
    gate.open()

    assert 200 == (await started_call.result()).status


@pytest.mark.parametrize(
    "request_, hedged",
    [
        (Request.get("/rates"), True),
        (Request.head("/rates"), True),
        (Request.put("/rates", json=1), False),
        (Request.delete("/rates"), False),
        (Request.post("/rates", json=1), False),
        (Request.post("/rates", json=1).evolve(idempotent=True), True),
        (Request.get("/rates").evolve(idempotent=False), False),
        (Request.post("/search", json=1), True),
        (Request.post("/search", body=iter([b""])), False),
    ],
)
@sync_and_async
async def test_only_reads_are_hedged(world: World, request_: Request, hedged: bool) -> None:
    """A write is hedged only if it is declared idempotent."""
    world.vendor.answers(503)
    service = vat(endpoints=Endpoint("search", path="/search", idempotent=True))

    try:
        await world.manager(service).call("vat", request_)
        assert hedged
    except VendorFailed:
        assert not hedged

    assert 1 + hedged == len(world.vendor.requests)


@sync_and_async
async def test_keyed_calls_are_not_hedged(world: World) -> None:
    """A call with an idempotency key is not hedged."""
    world.vendor.answers(503)

    with pytest.raises(VendorFailed):
        await world.manager(vat()).call("vat", GET, idempotency_key="k")

    assert 1 == len(world.vendor.requests)


@sync_and_async
async def test_endpoint_may_have_its_own_hedging(world: World) -> None:
    """An endpoint may have its own hedging settings."""
    world.vendor.answers(503)
    service = vat(hedge=None, endpoints=Endpoint("rates", path="/rates", hedge=HEDGE))

    assert 200 == (await world.manager(service).call("vat", GET)).status


@sync_and_async
async def test_late_loser_is_ignored(world: World) -> None:
    """If the slower hedged request fails after the call has ended, the call is not affected."""
    manager = world.watched(vat())
    started_call, gate = await start_slow_call(
        world, manager, first=Response(429, {"Retry-After": "60"})
    )
    response = await started_call.result()
    gate.open()
    for item in world.gather.started:
        await item.wait_until_over()

    finished_event: Any = world.events[-1]
    assert (200, 200, None) == (response.status, finished_event.status, finished_event.error)


@sync_and_async
async def test_refused_hedges_did_nothing(world: World) -> None:
    """If the vendor refused all hedged requests, the error says that nothing was done."""
    world.vendor.answers(Response(403), Response(403))

    with pytest.raises(AuthenticationFailed) as excinfo:
        await world.manager(vat()).call("vat", GET)

    assert vars(excinfo.value)["_acted"] is False
    assert 2 == excinfo.value.attempts


@sync_and_async
async def test_error_says_so_if_one_hedged_request_may_have_been_processed(world: World) -> None:
    """If one hedged request may have been processed, the error says so."""
    world.vendor.answers(Response(403), Response(503))

    with pytest.raises(ConnectorError) as excinfo:
        await world.manager(vat()).call("vat", GET)

    assert vars(excinfo.value)["_acted"] is True
