"""Cached responses while they are fresh, and requests that bypass the cache."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    BulkheadConfig,
    CacheHit,
    CacheMissed,
    CachePolicy,
    CallFinished,
    CircuitBreakerConfig,
    Endpoint,
    HedgeConfig,
    NotCached,
    RateLimitConfig,
    Request,
    Response,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.resilience.admission import Admission
from tests.support.caching import (
    FRESH_RESPONSE,
    GET,
    NEWER,
    REFUSALS,
    count_requests,
    events_of,
    vat,
)
from tests.support.modes import SYNC, Harness, sync_and_async

if TYPE_CHECKING:
    from tests.support.virtual_ports import SentRequest

# --- fresh answers ---------------------------------------------------------------


@sync_and_async
async def test_fresh_response_is_reused(harness: Harness) -> None:
    """A fresh cached response is returned marked as cached, with its age."""
    harness.vendor.answers(FRESH_RESPONSE)
    manager = harness.watched(vat())

    first = await manager.call("vat", GET)
    harness.clock.advance(59)
    second_response = await manager.call("vat", GET)

    assert 1 == count_requests(harness)
    assert (False, None) == (first.cached, first.header("age"))
    assert (True, "59", b"first", 200) == (
        second_response.cached,
        second_response.header("age"),
        second_response.body,
        second_response.status,
    )
    assert [
        "CallStarted",
        "CacheMissed",
        "AttemptFinished",
        "CallFinished",
        "CallStarted",
        "CacheHit",
        "CallFinished",
    ] == harness.event_names()
    (miss_event, hit) = events_of(harness, CacheMissed, CacheHit)
    assert not miss_event.stale
    assert (59.0, False, "vat") == (hit.age, hit.stale, hit.service)
    assert (0, 200) == (harness.events[-1].attempts, harness.events[-1].status)
    assert [False, True] == [end.cached for end in events_of(harness, CallFinished)]


@sync_and_async
async def test_caching_is_opt_in(harness: Harness) -> None:
    """Caching is off unless a service enables it; an endpoint may override that."""
    harness.vendor.otherwise = FRESH_RESPONSE
    custom_endpoint = Endpoint("own", path="/own", cache=CachePolicy())
    reduced_endpoint = Endpoint("without", path="/without", cache=None)
    bare_service = Service(
        "off", base_url="https://off.example", circuit=None, endpoints=custom_endpoint
    )
    manager = harness.manager(vat(endpoints=reduced_endpoint), bare_service)

    for service, path in (("vat", "/without"), ("off", "/rates"), ("off", "/own")):
        for _ in range(2):
            await manager.call(service, Request.get(path))

    assert ["/without", "/without", "/rates", "/rates", "/own"] == [
        request.path for request in harness.vendor.requests
    ]


@sync_and_async
async def test_cache_hit_needs_no_admission(harness: Harness) -> None:
    """A cache hit uses no token and no bulkhead slot, and is returned despite an open circuit."""
    harness.vendor.answers(FRESH_RESPONSE, 503)
    service = vat(
        limits=RateLimitConfig(1, burst=2),
        circuit=CircuitBreakerConfig(failures=1),
        bulkhead=BulkheadConfig(1),
        max_limit_wait=0,
    )
    manager = harness.manager(service)
    await manager.call("vat", GET)
    with pytest.raises(VendorFailed):
        await manager.call("vat", Request.get("/else"))

    for _ in range(3):
        assert (await manager.call("vat", GET)).cached

    assert 2 == count_requests(harness)


@sync_and_async
async def test_hooks_run_on_cached_responses(harness: Harness) -> None:
    """Transforms and classifiers run each time a cached response is returned."""
    cached_flags: list[bool] = []

    def mark_response(response: Response) -> Response:
        cached_flags.append(response.cached)
        return response.evolve(body=response.body.upper())

    def refuse(request: Request, response: Response) -> Any:
        return VendorRejected("no") if b"bad" in response.body.lower() else None

    harness.vendor.answers(FRESH_RESPONSE, FRESH_RESPONSE.evolve(body=b"bad"))
    manager = harness.manager(vat(response_transforms=mark_response, classify=refuse))

    bodies = [(await manager.call("vat", GET)).body for _ in range(2)]
    for _ in range(2):
        with pytest.raises(VendorRejected):
            await manager.call("vat", Request.get("/bad"))

    assert [b"FIRST", b"FIRST"] == bodies
    assert [False, True, False, True] == cached_flags
    assert 2 == count_requests(harness)


@pytest.mark.parametrize(
    "status, query",
    [(301, 1), (404, 1), (410, 1), (401, 2), (403, 2), (429, 2), (500, 2), (503, 2)],
)
@sync_and_async
async def test_only_permanent_refusals_are_cached(
    harness: Harness, status: int, query: int
) -> None:
    """Permanent error responses are cached; temporary failures are not."""
    harness.vendor.otherwise = Response(status, {"Cache-Control": "max-age=60", "ETag": "1"})
    manager = harness.manager(vat())

    errors = []
    for _ in range(2):
        with pytest.raises(REFUSALS) as excinfo:
            await manager.call("vat", GET)
        errors.append((type(excinfo.value), excinfo.value.status))

    assert errors[0] == errors[1]
    assert query == count_requests(harness)


@sync_and_async
async def test_classified_failures_are_not_cached(harness: Harness) -> None:
    """A response that the classifier calls a failure is not cached, whatever its status."""

    def find_vendor_failure(request: Request, response: Response) -> Any:
        return VendorFailed("broken inside", status=200) if response.body == b"first" else None

    harness.vendor.answers(FRESH_RESPONSE, NEWER)
    manager = harness.manager(vat(classify=find_vendor_failure))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)

    assert b"second" == (await manager.call("vat", GET)).body
    assert (await manager.call("vat", GET)).cached


@sync_and_async
async def test_last_attempts_response_is_cached(harness: Harness) -> None:
    """If a call makes several attempts, the response of the successful attempt is cached."""
    harness.vendor.answers(Response(503, {"Cache-Control": "max-age=60"}, b"no"), FRESH_RESPONSE)
    manager = harness.manager(vat(retry=RetryPolicy(2, 0)))

    assert b"first" == (await manager.call("vat", GET)).body
    assert b"first" == (await manager.call("vat", GET)).body
    assert 2 == count_requests(harness)


# --- requests that ask for something else ---------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        Request.get("/rates", headers={"Range": "bytes=0-1"}),
        Request.get("/rates", headers={"If-None-Match": '"1"'}),
        Request.get("/rates", headers={"Cache-Control": "no-store"}),
        Request.get("/rates").evolve(body=b"q"),
        Request.options("/rates"),
        Request.get("/other"),
        Request.get("/rates", query={"a": 1}),
    ],
)
@sync_and_async
async def test_other_requests_bypass_the_cache(harness: Harness, request_: Request) -> None:
    """A request that bypasses the cache is sent, and leaves the cached response unchanged."""
    harness.vendor.answers(FRESH_RESPONSE, NEWER)
    manager = harness.manager(vat())
    await manager.call("vat", GET)

    assert b"second" == (await manager.call("vat", request_)).body
    assert b"first" == (await manager.call("vat", GET)).body


@sync_and_async
async def test_conditional_request_gets_its_304(harness: Harness) -> None:
    """A caller's own conditional request is sent, and gets the vendor's 304."""
    harness.vendor.answers(FRESH_RESPONSE, 304)
    manager = harness.manager(vat())
    await manager.call("vat", GET)

    answer = await manager.call("vat", GET.with_header("If-None-Match", '"1"'))

    assert (304, False) == (answer.status, answer.cached)


@sync_and_async
async def test_head_is_answered_by_a_fresh_get(harness: Harness) -> None:
    """A HEAD gets the headers of a fresh cached GET; a response to a HEAD is not cached."""
    harness.vendor.answers(FRESH_RESPONSE, NEWER.evolve(body=b""), 304)
    manager = harness.manager(vat())
    await manager.call("vat", GET)

    head = await manager.call("vat", Request.head("/rates"))
    harness.clock.advance(61)
    response = await manager.call("vat", Request.head("/rates"))
    result = await manager.call("vat", GET)

    assert (b"", '"1"', True) == (head.body, head.header("etag"), head.cached)
    assert ('"2"', False) == (response.header("etag"), response.cached)
    assert (b"first", ["GET", "HEAD", "GET"]) == (
        result.body,
        [str(request.request.method) for request in harness.vendor.requests],
    )
    assert harness.vendor.requests[1].header("if-none-match") is None


@sync_and_async
async def test_streams_bypass_the_cache(harness: Harness) -> None:
    """A streamed response is not read from the cache, and not stored in it."""
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.manager(vat())

    for _ in range(2):
        async with await manager.stream("vat", GET) as stream:
            assert [b"first"] == await stream.all()
    assert not (await manager.call("vat", GET)).cached
    assert 3 == count_requests(harness)


@pytest.mark.parametrize(
    "request_",
    [
        GET,
        Request.get("/rates", headers={"Range": "bytes=0-1"}),
        Request.get("/rates", headers={"Cache-Control": "no-store"}),
    ],
)
@sync_and_async
async def test_only_if_cached_never_calls_the_vendor(harness: Harness, request_: Request) -> None:
    """`only-if-cached` never calls the vendor, and raises NotCached if no response is cached."""
    control = ", ".join(["only-if-cached", *request_.headers.get_all("cache-control")])
    manager = harness.watched(vat())

    with pytest.raises(NotCached, match="only-if-cached") as excinfo:
        await manager.call("vat", request_.with_header("Cache-Control", control))

    assert (0, "vat", 0) == (count_requests(harness), excinfo.value.service, excinfo.value.attempts)
    assert [] == events_of(harness, CacheMissed)


@sync_and_async
async def test_only_if_cached_serves_stale_where_allowed(harness: Harness) -> None:
    """`only-if-cached` serves a stale response if the vendor allows it."""
    single_request = GET.with_header("Cache-Control", "only-if-cached")
    harness.vendor.answers(
        FRESH_RESPONSE.evolve(headers={"Cache-Control": "max-age=60, stale-while-revalidate=60"})
    )
    manager = harness.manager(vat())
    await manager.call("vat", GET)

    for wait in (0, 61):
        harness.clock.advance(wait)
        assert (await manager.call("vat", single_request)).cached
    harness.clock.advance(60)
    with pytest.raises(NotCached):
        await manager.call("vat", single_request)

    assert 1 == count_requests(harness)


# --- with other stages -----------------------------------------------------------------


@sync_and_async
async def test_hedged_response_is_cached(harness: Harness) -> None:
    """A hedged read caches the response that arrives first."""
    harness.vendor.answers(FRESH_RESPONSE)
    manager = harness.manager(vat(hedge=HedgeConfig(5.0)))

    answer = harness.start(lambda: manager.call("vat", GET))
    assert b"first" == (await answer.result()).body
    assert (await manager.call("vat", GET)).cached


@pytest.mark.parametrize("duration, cached", [(2.0, True), (120.0, True), (120.5, False)])
@sync_and_async
async def test_slow_responses_are_not_cached(
    harness: Harness, duration: float, cached: bool
) -> None:
    """A response that took two minutes is not cached, since it may already be outdated."""

    async def answer_slowly(_: SentRequest) -> Response:
        harness.clock.advance(duration)
        return FRESH_RESPONSE.evolve(headers={"Cache-Control": "max-age=600"})

    harness.vendor.answers(answer_slowly)
    manager = harness.manager(vat(timeout=600.0))
    await manager.call("vat", GET)

    assert cached is (await manager.call("vat", GET)).cached


def test_late_hedge_uses_the_same_transforms() -> None:
    """A hedged request that is sent after its call has ended is still changed by the transforms."""
    harness = Harness(SYNC)
    winning_gate, losing_gate = harness.gate(), harness.gate()
    requests: list[Admission] = []

    async def hold_second_admission(command: object) -> None:
        if isinstance(command, Admission):
            requests.append(command)
            if len(requests) == 2:
                await losing_gate.wait()

    def sign_request(request: Request) -> Request:
        return request.with_header("X-Own", "1")

    async def race() -> None:
        harness.store.meanwhile = hold_second_admission
        harness.vendor.answers(winning_gate.answering(FRESH_RESPONSE))
        hedged_service = vat(
            hedge=HedgeConfig(5.0), limits=RateLimitConfig(100), request_transforms=[sign_request]
        )
        manager = harness.manager(hedged_service)
        call = harness.start(lambda: manager.call("vat", GET))
        await winning_gate.reached()
        harness.gather.too_long.set()
        await losing_gate.reached()
        winning_gate.open()
        assert b"first" == (await call.result()).body
        losing_gate.open()
        for item in harness.gather.started:
            await item.wait_until_over()

    harness.drive(race())
    assert ["1", "1"] == [
        request.request.headers.get("X-Own") for request in harness.vendor.requests
    ]


@pytest.mark.untraced
@sync_and_async
async def test_calls_leave_no_cycles(harness: Harness) -> None:
    """A call of a cached service leaves no reference cycles behind."""
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.manager(vat())

    async def calls() -> None:
        for request in (GET, GET, Request.put("/rates", json={}), Request.head("/else")):
            await manager.call("vat", request)

    await calls()
    gc.collect()
    gc.disable()
    earlier_ids = {
        id(live_object) for live_object in gc.get_objects()
    }  # memory that other tests may release meanwhile
    try:
        await calls()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        leaked_objects = [
            thing
            for thing in gc.garbage
            if type(thing).__module__.startswith("moorage") and id(thing) not in earlier_ids
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

    assert [] == leaked_objects
