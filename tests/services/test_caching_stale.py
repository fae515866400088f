"""Stale cached responses: confirmed with the vendor, replaced, or returned instead of an error."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from moorage import (
    CacheHit,
    CacheMissed,
    CachePolicy,
    CacheRevalidated,
    CallFinished,
    ConnectionFailed,
    DestinationRefused,
    HedgeConfig,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryPolicy,
    VendorFailed,
)
from tests.support.caching import (
    FRESH_RESPONSE,
    GET,
    NEWER,
    REFUSALS,
    FaultyCache,
    count_requests,
    events_of,
    vat,
)
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_tasks import Interruption


@sync_and_async
async def test_stale_response_is_revalidated(harness: Harness) -> None:
    """A stale response is revalidated with the vendor, and a 304 makes it fresh again."""
    modified_date = "Sun, 01 Feb 2026 12:00:00 GMT"
    harness.vendor.answers(
        FRESH_RESPONSE.evolve(
            headers=FRESH_RESPONSE.headers.with_header("Last-Modified", modified_date)
        ),
        Response(304, {"Cache-Control": "max-age=10", "X-New": "1"}),
    )
    manager = harness.watched(vat())
    await manager.call("vat", GET)

    harness.clock.advance(60)
    revalidated_response = await manager.call("vat", GET)
    harness.clock.advance(9)
    repeated_response = await manager.call("vat", GET)

    assert 2 == count_requests(harness)
    conditional_request = harness.vendor.requests[1]
    assert ('"1"', modified_date) == (
        conditional_request.header("if-none-match"),
        conditional_request.header("if-modified-since"),
    )
    assert (200, b"first", True, "1", None) == (
        revalidated_response.status,
        revalidated_response.body,
        revalidated_response.cached,
        revalidated_response.header("x-new"),
        revalidated_response.header("age"),
    )
    assert (True, "9", "max-age=10") == (
        repeated_response.cached,
        repeated_response.header("age"),
        repeated_response.header("cache-control"),
    )
    assert [(60.0, "CacheRevalidated")] == [
        (event.age, type(event).__name__) for event in events_of(harness, CacheRevalidated)
    ]
    assert [False, True] == [event.stale for event in events_of(harness, CacheMissed)]
    assert [False, True, True] == [end.cached for end in events_of(harness, CallFinished)]


@pytest.mark.parametrize("hedge", [None, HedgeConfig(5.0)])
@sync_and_async
async def test_final_event_describes_the_last_attempt(
    harness: Harness, hedge: HedgeConfig | None
) -> None:
    """The last event of a call says whether the response came from the cache."""
    harness.vendor.answers(FRESH_RESPONSE, Response(304), Response(304), 200)
    refuses = [False, False, True, False]

    def refuse(request: Request, response: Response) -> Any:
        return VendorFailed("not so") if refuses.pop(0) else None

    manager = harness.watched(vat(classify=refuse, hedge=hedge, retry=RetryPolicy(2)))
    for _ in range(3):
        await manager.call("vat", GET)
        harness.clock.advance(60)

    assert 4 == count_requests(harness)
    assert [False, True, False] == [end.cached for end in events_of(harness, CallFinished)]


@sync_and_async
async def test_changed_response_replaces_the_cached_one(harness: Harness) -> None:
    """If the vendor answers a revalidation with a new response, it is returned and cached."""
    harness.vendor.answers(FRESH_RESPONSE, NEWER)
    manager = harness.manager(vat())
    await manager.call("vat", GET)
    harness.clock.advance(60)

    changed_response = await manager.call("vat", GET)
    repeated_response = await manager.call("vat", GET)

    assert (b"second", False, b"second", True) == (
        changed_response.body,
        changed_response.cached,
        repeated_response.body,
        repeated_response.cached,
    )


@pytest.mark.parametrize(
    "second",
    [
        Response(200, {"Cache-Control": "no-store"}, b"second"),
        Response(200, {"Cache-Control": "max-age=60", "Vary": "*"}, b"second"),
        Response(200, (), b"second"),
    ],
)
@sync_and_async
async def test_response_that_must_not_be_cached_removes_stale_response_it_replaces(
    harness: Harness, second: Response
) -> None:
    """A response that must not be cached removes the stale response it replaces."""
    harness.vendor.answers(FRESH_RESPONSE, second, 503)
    manager = harness.manager(vat(cache=CachePolicy(stale_if_error=0)))
    await manager.call("vat", GET)
    harness.clock.advance(60)

    assert b"second" == (await manager.call("vat", GET)).body
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)

    assert harness.vendor.requests[2].header("if-none-match") is None


@sync_and_async
async def test_useless_responses_are_not_cached(harness: Harness) -> None:
    """A response without a lifetime and without a validator is not cached."""
    cache = FaultyCache(harness)
    harness.vendor.otherwise = Response(200, {"Cache-Control": "max-age=0"})
    manager = harness.manager(vat(), cache=harness.of_mode(cache))

    await manager.call("vat", GET)

    assert ["find"] == cache.asked


@sync_and_async
async def test_uncacheable_variant_leaves_others_unchanged(harness: Harness) -> None:
    """A response that is not cached leaves cached responses of other requests unchanged."""
    cache = FaultyCache(harness)
    vary = {"Cache-Control": "max-age=60", "Vary": "Content-Language"}
    harness.vendor.answers(Response(200, vary), Response(200, {"Cache-Control": "no-store"}))
    manager = harness.manager(vat(), cache=harness.of_mode(cache))
    await manager.call("vat", GET)

    await manager.call("vat", GET.with_header("Content-Language", "de"))

    assert ["find", "store", "find"] == cache.asked
    assert (await manager.call("vat", GET)).cached


@sync_and_async
async def test_304_with_no_store_removes_the_response(harness: Harness) -> None:
    """A stored response whose 304 has `no-store` is returned once more, and then removed."""
    harness.vendor.answers(FRESH_RESPONSE, Response(304, {"Cache-Control": "no-store"}), NEWER)
    manager = harness.manager(vat())
    await manager.call("vat", GET)
    harness.clock.advance(60)

    bodies = [(await manager.call("vat", GET)).body for _ in range(2)]

    assert [b"first", b"second"] == bodies


@sync_and_async
async def test_304_for_another_version_is_repeated(harness: Harness) -> None:
    """If a 304 refers to a version that is not cached, the request is repeated unconditionally."""
    harness.vendor.answers(FRESH_RESPONSE, Response(304, {"ETag": '"9"'}), NEWER)
    manager = harness.manager(vat())
    await manager.call("vat", GET)
    harness.clock.advance(60)

    assert b"second" == (await manager.call("vat", GET)).body
    assert ['"1"', None] == [
        request.header("if-none-match") for request in harness.vendor.requests[1:]
    ]


@sync_and_async
async def test_refused_repeat_after_a_mismatched_304_is_raised(harness: Harness) -> None:
    """If the repeat after a mismatched 304 is refused by a limit, that error is raised."""
    harness.vendor.answers(FRESH_RESPONSE, Response(304, {"ETag": '"9"'}))
    service = vat(limits=RateLimitConfig(2, per=timedelta(days=1)), max_limit_wait=0)
    manager = harness.manager(service)
    await manager.call("vat", GET)
    harness.clock.advance(60)

    with pytest.raises(RateLimitExceeded) as excinfo:
        await manager.call("vat", GET)

    cause = excinfo.value.__cause__
    assert isinstance(cause, VendorFailed)
    assert "The vendor sent HTTP 304 with a" in cause.message
    assert (304, cause.status) == (cause.response and cause.response.status, 304)


@sync_and_async
async def test_unexpected_304_is_returned(harness: Harness) -> None:
    """A 304 to an unconditional request is returned to the caller, and not cached."""
    harness.vendor.answers(304, FRESH_RESPONSE)
    manager = harness.manager(vat())

    assert [304, 200] == [(await manager.call("vat", GET)).status for _ in range(2)]


@sync_and_async
async def test_stale_response_replaces_an_error(harness: Harness) -> None:
    """If the service, request or policy allows it, a stale response replaces an error."""
    harness.vendor.answers(FRESH_RESPONSE)
    harness.vendor.otherwise = 503
    manager = harness.watched(vat(cache=CachePolicy(stale_if_error=100)))
    await manager.call("vat", GET)

    harness.clock.advance(159)
    answer = await manager.call("vat", GET)
    harness.clock.advance(1)
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)

    assert (b"first", True, "159") == (answer.body, answer.cached, answer.header("age"))
    assert [(159.0, True)] == [(hit.age, hit.stale) for hit in events_of(harness, CacheHit)]
    finished_events = events_of(harness, CallFinished)
    assert [(False, None), (True, None), (False, "VendorFailed")] == [
        (end.cached, end.error) for end in finished_events
    ]


@pytest.mark.parametrize(
    "answer, stands_in",
    [
        (500, True),
        (502, True),
        (503, True),
        (504, True),
        (501, False),
        (404, False),
        (403, False),
        (408, False),
        (429, False),
        (ConnectionFailed("away"), True),
        (VendorFailed("nonsense"), True),
        (DestinationRefused("inside"), True),
    ],
)
@sync_and_async
async def test_stale_response_replaces_failures_only(
    harness: Harness, answer: Any, stands_in: object
) -> None:
    """An unreachable or failing vendor leads to a stale response; a rejection does not."""
    control = "max-age=60, stale-if-error=600"
    harness.vendor.answers(FRESH_RESPONSE.evolve(headers={"Cache-Control": control}), answer)
    manager = harness.manager(vat())
    await manager.call("vat", GET)
    harness.clock.advance(60)

    try:
        is_cached = (await manager.call("vat", GET)).cached
    except REFUSALS:
        is_cached = False

    assert stands_in is is_cached


@sync_and_async
async def test_stale_response_replaces_our_own_refusals(harness: Harness) -> None:
    """If circuit, limit, deadline or bulkhead refuse a call, a stale response is returned."""
    harness.vendor.answers(FRESH_RESPONSE)
    service = vat(
        cache=CachePolicy(stale_if_error=100),
        limits=RateLimitConfig(1, burst=1),
        max_limit_wait=0,
    )
    manager = harness.manager(service)
    await manager.call("vat", GET)
    harness.clock.advance(60)
    await manager.call("vat", Request.get("/else"))

    assert (await manager.call("vat", GET)).cached
    assert 2 == count_requests(harness)


@sync_and_async
async def test_stale_period_is_checked_at_the_end_of_the_call(harness: Harness) -> None:
    """The stale period is measured when the response is needed, not when the call began."""
    harness.vendor.answers(
        FRESH_RESPONSE, harness.answer_after(25, 503), harness.answer_after(25, 503)
    )
    manager = harness.manager(vat(cache=CachePolicy(stale_if_error=100)))
    await manager.call("vat", GET)
    harness.clock.advance(110)
    answer = await manager.call("vat", GET)
    harness.clock.advance(5)

    assert (b"first", "135") == (answer.body, answer.header("age"))
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)


@sync_and_async
async def test_stale_response_precedes_the_fallback(harness: Harness) -> None:
    """A service's fallback is used only if there is no stale response."""
    harness.vendor.answers(FRESH_RESPONSE)
    harness.vendor.otherwise = 503
    service = vat(
        cache=CachePolicy(stale_if_error=100), fallback=lambda _: Response(200, (), b"fallback")
    )
    manager = harness.manager(service)
    await manager.call("vat", GET)
    harness.clock.advance(60)

    assert b"first" == (await manager.call("vat", GET)).body
    assert b"fallback" == (await manager.call("vat", Request.get("/else"))).body


@sync_and_async
async def test_callers_get_a_stale_response_while_one_revalidates(harness: Harness) -> None:
    """If allowed, other callers get the stale response while one caller revalidates it."""
    gate = harness.gate()
    harness.vendor.answers(
        FRESH_RESPONSE.evolve(headers={"Cache-Control": "max-age=60, stale-while-revalidate=60"}),
        gate.answering(NEWER),
    )
    manager = harness.watched(vat())
    await manager.call("vat", GET)
    harness.clock.advance(60)

    running_call = harness.start(lambda: manager.call("vat", GET))
    await gate.reached()
    concurrent_response = await manager.call("vat", GET)
    gate.open()
    request = await running_call.result()
    later_response = await manager.call("vat", GET)

    assert [b"first", b"second", b"second"] == [
        concurrent_response.body,
        request.body,
        later_response.body,
    ]
    assert [(True, "60"), (False, None), (True, "0")] == [
        (item.cached, item.header("age")) for item in (concurrent_response, request, later_response)
    ]
    assert 2 == count_requests(harness)
    assert [True, False] == [hit.stale for hit in events_of(harness, CacheHit)]


@sync_and_async
async def test_revalidations_are_independent(harness: Harness) -> None:
    """Two stale responses can be revalidated at the same time."""
    gate = harness.gate()
    stale_response = FRESH_RESPONSE.evolve(
        headers={"Cache-Control": "max-age=60, stale-while-revalidate=60"}
    )
    harness.vendor.answers(stale_response, stale_response, gate.answering(NEWER), NEWER)
    manager = harness.manager(vat())
    other_request = Request.get("/else")
    for request in (GET, other_request):
        await manager.call("vat", request)
    harness.clock.advance(61)

    running_call = harness.start(lambda: manager.call("vat", GET))
    await gate.reached()
    concurrent_response = await manager.call("vat", other_request)
    gate.open()

    assert [b"second"] * 2 == [concurrent_response.body, (await running_call.result()).body]


@sync_and_async
async def test_failed_revalidation_frees_its_slot(harness: Harness) -> None:
    """If a revalidation fails or is interrupted, the next caller revalidates."""
    control = "max-age=60, stale-while-revalidate=600"
    harness.vendor.answers(
        FRESH_RESPONSE.evolve(headers={"Cache-Control": control}), 501, Interruption(), NEWER
    )
    manager = harness.manager(vat())
    await manager.call("vat", GET)
    harness.clock.advance(61)

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert b"second" == (await manager.call("vat", GET)).body
