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
from tests.support.modes import AwaitedManager, Harness, sync_and_async

GET = Request.get("/rates")
HEDGE = HedgeConfig(0.1)


def vat(**options: object) -> Service:
    """Return a service that hedges its reads."""
    fields = {"base_url": "https://vat.example", "circuit": None, "retry": None, "hedge": HEDGE}
    return Service("vat", **fields | options)  # type: ignore[arg-type]  # as each test says


async def start_slow_call(
    harness: Harness, manager: AwaitedManager, request: Request = GET, **options: Any
) -> Any:
    """Start a call and let its request count as slow; return the call and the request's gate."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(options.pop("first", Response(200, body=b"first"))))

    async def call() -> Response:
        response: Response = await manager.call("vat", request, **options)
        return response

    running_call = harness.start(call)
    await gate.reached()
    harness.gather.too_long.set()
    return running_call, gate


@sync_and_async
async def test_first_successful_response_wins(harness: Harness) -> None:
    """If the first request is slow, a second is sent, and its response is used."""
    manager = harness.watched(vat())

    started_call, gate = await start_slow_call(harness, manager)
    response = await started_call.result()
    gate.open()

    assert (b"", 2) == (response.body, len(harness.vendor.requests))
    assert 0.1 == harness.gather.stagger
    assert {"id-1"} == {event.request_id for event in harness.events}
    assert [30.0, 30.0] == [requests.timeouts.total for requests in harness.vendor.requests]
    assert 2 == harness.events[-1].attempts


@sync_and_async
async def test_hedges_share_the_deadline(harness: Harness) -> None:
    """A hedge gets only the rest of the call's time."""
    harness.vendor.answers(503)

    await harness.manager(vat()).call("vat", GET, timeout=2)

    assert [2.0, 2.0] == [requests.timeouts.total for requests in harness.vendor.requests]


@sync_and_async
async def test_quick_response_is_not_hedged(harness: Harness) -> None:
    """If the first response is quick, no second request is sent."""
    await harness.manager(vat()).call("vat", GET)

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_failed_request_is_hedged_at_once(harness: Harness) -> None:
    """If the first request fails, the hedge is sent at once, and its response can be used."""
    harness.vendor.answers(503)

    assert 200 == (await harness.manager(vat()).call("vat", GET)).status


@sync_and_async
async def test_losing_request_is_cancelled(harness: Harness) -> None:
    """The losing request of a hedge is cancelled if it is a task, and runs on if it is a thread."""
    manager = harness.manager(vat())
    started_call, gate = await start_slow_call(harness, manager)
    await started_call.result()

    assert 2 == len(harness.gather.started)
    if not harness.is_awaited:
        gate.open()
    for item in harness.gather.started:
        await item.wait_until_over()
    assert harness.gather.started[0].ending is not None
    _, error = harness.gather.started[0].ending
    assert ("CancelledError" if harness.is_awaited else "NoneType") == type(error).__name__


@sync_and_async
async def test_first_error_is_raised(harness: Harness) -> None:
    """If every hedged request fails, the first error is raised, with the number of all attempts."""
    harness.vendor.answers(Response(503, {"Retry-After": "9"}), 500, 502)
    manager = harness.manager(vat(hedge=HedgeConfig(0.1, max_extra=2)))

    with pytest.raises(VendorFailed) as excinfo:
        await manager.call("vat", GET)

    assert (503, 3) == (excinfo.value.status, excinfo.value.attempts)
    assert excinfo.value.retry_at is not None


@pytest.mark.parametrize("rate", [1, 1_000_000])
@sync_and_async
async def test_hedges_are_admitted(harness: Harness, rate: int) -> None:
    """A hedge uses a rate-limit token like any attempt, but never waits for one."""
    harness.vendor.answers(503)
    manager = harness.manager(vat(limits=RateLimitConfig(rate, burst=1)))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)

    assert (1, []) == (len(harness.vendor.requests), harness.sleeper.slept)


@sync_and_async
async def test_hedges_are_recorded(harness: Harness) -> None:
    """A failed hedge counts in the circuit like any failed attempt."""
    harness.vendor.answers(503, 503)
    circuit = CircuitBreakerConfig(failures=2)
    manager = harness.watched(vat(circuit=circuit))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)

    assert CircuitState.OPEN is (await manager.circuit_state("vat")).state
    reports = [event for event in harness.events if type(event).__name__ == "AttemptFinished"]
    assert [(1, 503), (2, 503)] == [(e.attempt, e.status) for e in reports]


@sync_and_async
async def test_pause_from_a_hedge_is_kept(harness: Harness) -> None:
    """If a hedge gets a 429, the vendor is paused for every caller."""
    harness.vendor.answers(503, Response(429, {"Retry-After": "30"}))
    manager = harness.manager(vat(limits=RateLimitConfig(100), max_limit_wait=1))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)


@sync_and_async
async def test_hedged_calls_are_retried(harness: Harness) -> None:
    """An attempt that failed with all its hedges is retried."""
    harness.vendor.answers(503, 503)
    manager = harness.watched(vat(retry=RetryPolicy(3, 0)))

    assert 200 == (await manager.call("vat", GET)).status
    assert 3 == harness.events[-1].attempts == len(harness.vendor.requests)
    harness.vendor.otherwise = 503
    with pytest.raises(VendorFailed) as excinfo:
        await manager.call("vat", GET)
    assert 6 == excinfo.value.attempts


@sync_and_async
async def test_hedges_share_one_renewal(harness: Harness) -> None:
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

    harness.vendor.otherwise = by_token
    service = vat(needs_credentials=True)
    manager = harness.manager(service, credentials=harness.of_mode(Provider()))

    assert 200 == (await manager.call("vat", GET)).status
    harness.vendor.otherwise = 401
    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", GET)

    assert 2 == len(renewals)


@sync_and_async
async def test_attempt_is_repeated_after_a_renewal(harness: Harness) -> None:
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

    harness.vendor.otherwise = by_token
    service = vat(needs_credentials=True)
    manager = harness.manager(service, credentials=harness.of_mode(Provider()))

    started_call, gate = await start_slow_call(harness, manager, first=401)
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
async def test_only_reads_are_hedged(harness: Harness, request_: Request, hedged: bool) -> None:
    """A write is hedged only if it is declared idempotent."""
    harness.vendor.answers(503)
    service = vat(endpoints=Endpoint("search", path="/search", idempotent=True))

    try:
        await harness.manager(service).call("vat", request_)
        assert hedged
    except VendorFailed:
        assert not hedged

    assert 1 + hedged == len(harness.vendor.requests)


@sync_and_async
async def test_keyed_calls_are_not_hedged(harness: Harness) -> None:
    """A call with an idempotency key is not hedged."""
    harness.vendor.answers(503)

    with pytest.raises(VendorFailed):
        await harness.manager(vat()).call("vat", GET, idempotency_key="k")

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_endpoint_may_have_its_own_hedging(harness: Harness) -> None:
    """An endpoint may have its own hedging settings."""
    harness.vendor.answers(503)
    service = vat(hedge=None, endpoints=Endpoint("rates", path="/rates", hedge=HEDGE))

    assert 200 == (await harness.manager(service).call("vat", GET)).status


@sync_and_async
async def test_late_loser_is_ignored(harness: Harness) -> None:
    """If the slower hedged request fails after the call has ended, the call is not affected."""
    manager = harness.watched(vat())
    started_call, gate = await start_slow_call(
        harness, manager, first=Response(429, {"Retry-After": "60"})
    )
    response = await started_call.result()
    gate.open()
    for item in harness.gather.started:
        await item.wait_until_over()

    finished_event: Any = harness.events[-1]
    assert (200, 200, None) == (response.status, finished_event.status, finished_event.error)


@sync_and_async
async def test_refused_hedges_did_nothing(harness: Harness) -> None:
    """If the vendor refused all hedged requests, the error says that nothing was done."""
    harness.vendor.answers(Response(403), Response(403))

    with pytest.raises(AuthenticationFailed) as excinfo:
        await harness.manager(vat()).call("vat", GET)

    assert vars(excinfo.value)["_acted"] is False
    assert 2 == excinfo.value.attempts


@sync_and_async
async def test_error_says_so_if_one_hedged_request_may_have_been_processed(
    harness: Harness,
) -> None:
    """If one hedged request may have been processed, the error says so."""
    harness.vendor.answers(Response(403), Response(503))

    with pytest.raises(ConnectorError) as excinfo:
        await harness.manager(vat()).call("vat", GET)

    assert vars(excinfo.value)["_acted"] is True
