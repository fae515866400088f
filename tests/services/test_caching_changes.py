"""The effect of a write on cached responses, and on reads in flight."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    BodyStream,
    CachePolicy,
    ConnectionFailed,
    CredentialNotFound,
    Endpoint,
    HedgeConfig,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    VendorFailed,
    VendorRejected,
)
from tests.support.caching import (
    FRESH_RESPONSE,
    GET,
    NEWER,
    FaultyCache,
    Provider,
    vat,
)
from tests.support.modes import Harness, sync_and_async


@pytest.mark.parametrize(
    "request_",
    [
        Request.put("/rates", json={}),
        Request.patch("/rates", json={}),
        Request.delete("/rates"),
        Request.post("/rates", json={}),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 204, 303])
@sync_and_async
async def test_write_removes_the_cached_response(
    harness: Harness, request_: Request, status: int
) -> None:
    """A write that succeeded or may have succeeded removes the cached response of its URL."""
    harness.vendor.answers(FRESH_RESPONSE, status, NEWER)
    manager = harness.manager(vat(classify=None))
    await manager.call("vat", GET)

    try:
        await manager.call("vat", request_)
    except VendorFailed:
        assert 303 == status

    assert b"second" == (await manager.call("vat", GET)).body


@sync_and_async
async def test_write_removes_urls_that_its_response_names(harness: Harness) -> None:
    """A write also removes cached responses of same-origin URLs that its response headers name."""
    location_headers = {
        "Location": "rates/7",
        "Content-Location": "https://vat.example/v1/rates/8",
    }
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.manager(vat())
    paths = ("/rates/7", "/rates/8", "/rates/9")
    for path in paths:
        await manager.call("vat", Request.get(path))

    harness.vendor.answers(Response(201, location_headers))
    await manager.call("vat", Request.post("/rates", json={}))
    cached_flags = [(await manager.call("vat", Request.get(path))).cached for path in paths]

    assert [False, False, True] == cached_flags


@sync_and_async
async def test_write_removes_its_content_location(harness: Harness) -> None:
    """A write whose response has only `Content-Location` removes that URL's cached response."""
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.manager(vat())
    await manager.call("vat", Request.get("/rates/8"))

    harness.vendor.answers(Response(200, {"Content-Location": "/v1/rates/8"}))
    await manager.call("vat", Request.post("/rates", json={}))

    assert not (await manager.call("vat", Request.get("/rates/8"))).cached


@sync_and_async
async def test_reading_stream_keeps_the_cache(harness: Harness) -> None:
    """A GET that is read as a stream does not invalidate cached responses."""
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.manager(vat())
    await manager.call("vat", GET)

    async with await manager.stream("vat", GET) as stream:
        await stream.all()

    assert (await manager.call("vat", GET)).cached


@pytest.mark.parametrize(
    "location", ["https://elsewhere.example/rates", "http://[", "a b", "//x", "rates"]
)
@sync_and_async
async def test_write_keeps_foreign_urls(harness: Harness, location: str) -> None:
    """A write to one origin does not remove cached responses of another origin."""
    cache = FaultyCache(harness)
    harness.vendor.answers(Response(201, {"Location": location}))

    await harness.manager(vat(), cache=harness.of_mode(cache)).call("vat", Request.post("/rates"))

    assert ["delete"] == cache.asked


@pytest.mark.parametrize(
    "answer, forgets",
    [
        (ConnectionFailed("cut off"), True),
        (500, True),
        (ConnectionFailed("no route", may_have_been_processed=False), False),
        (404, False),
    ],
)
@sync_and_async
async def test_possible_write_removes_the_cached_response(
    harness: Harness, answer: Any, forgets: object
) -> None:
    """A write whose response is lost removes the cached response; a rejected write does not."""
    harness.vendor.answers(FRESH_RESPONSE, answer, NEWER)
    manager = harness.manager(vat())
    await manager.call("vat", GET)

    with pytest.raises((ConnectionFailed, VendorFailed, VendorRejected)):
        await manager.call("vat", Request.put("/rates", json={}))

    assert forgets is not (await manager.call("vat", GET)).cached


@sync_and_async
async def test_any_write_removes_the_cached_response(harness: Harness) -> None:
    """Streamed and hedged writes, and writes to an uncached endpoint, remove cached responses."""
    read = Endpoint("read", "GET", "/rates", cache=CachePolicy(max_wait=9))
    write = Endpoint("write", "PUT", "/rates", idempotent=True)
    harness.vendor.otherwise = FRESH_RESPONSE
    service = vat(cache=None, endpoints=(read, write), hedge=HedgeConfig(5.0))
    manager = harness.manager(service)

    async def call() -> None:
        await manager.call("vat", Request.put("/rates", body=b""))

    async def stream() -> None:
        async with await manager.stream("vat", Request.put("/rates", body=b"")):
            pass

    for operation in (call, stream):
        await manager.call("vat", GET)
        assert (await manager.call("vat", GET)).cached
        await operation()
        assert not (await manager.call("vat", GET)).cached
    await manager.call("vat", Request.options("/rates"))
    assert (await manager.call("vat", GET)).cached


@sync_and_async
async def test_unsent_write_keeps_the_cache(harness: Harness) -> None:
    """A write that was not sent removes nothing from the cache."""
    cache = FaultyCache(harness)
    provider = Provider(harness)
    provider.missing = True
    manager = harness.manager(
        vat(needs_credentials=True),
        credentials=harness.of_mode(provider),
        cache=harness.of_mode(cache),
    )

    with pytest.raises(CredentialNotFound):
        await manager.call("vat", Request.post("/rates"))

    assert [] == cache.asked


@sync_and_async
async def test_rejected_repeat_of_a_possible_write_is_raised(harness: Harness) -> None:
    """If a write's outcome is unknown and its repeat is rejected, the rejection is raised."""
    harness.vendor.answers(ConnectionFailed("cut off"))
    service = vat(
        idempotency_header="Idempotency-Key",
        idempotency_memory=86_400,
        limits=RateLimitConfig(1),
        max_limit_wait=0,
    )
    manager = harness.manager(service)
    post = Request.post("/rates", json={})

    for kind in (ConnectionFailed, RateLimitExceeded):
        with pytest.raises(kind):
            await manager.call("vat", post, idempotency_key="k")


@sync_and_async
async def test_read_overtaken_by_a_write_is_not_cached(harness: Harness) -> None:
    """A response to a read that was in flight during a write is not cached."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(FRESH_RESPONSE), 204, NEWER)
    manager = harness.manager(vat())

    reading = harness.start(lambda: manager.call("vat", GET))
    await gate.reached()
    await manager.call("vat", Request.put("/rates", json={}))
    gate.open()

    assert b"first" == (await reading.result()).body
    assert b"second" == (await manager.call("vat", GET)).body


@sync_and_async
async def test_response_slower_than_the_record_of_writes_is_not_cached(harness: Harness) -> None:
    """A response is not cached if it takes so long that the cache has forgotten recent writes."""
    harness.vendor.otherwise = harness.answer_after(121, FRESH_RESPONSE)
    manager = harness.manager(vat(timeout=200))

    for _ in range(2):
        assert not (await manager.call("vat", GET)).cached


@sync_and_async
async def test_replayed_key_bypasses_the_cache(harness: Harness) -> None:
    """A repeated idempotency key gets its stored response and removes no cached response."""
    harness.vendor.answers(201, FRESH_RESPONSE)
    manager = harness.manager(vat(idempotency_header="Idempotency-Key", idempotency_memory=86_400))
    post = Request.post("/rates", json={})
    await manager.call("vat", post, idempotency_key="k")
    await manager.call("vat", GET)

    assert (await manager.call("vat", post, idempotency_key="k")).replayed
    assert (await manager.call("vat", GET)).cached


@sync_and_async
async def test_request_with_a_stream_bypasses_the_cache(harness: Harness) -> None:
    """A request with a single-use body bypasses the cache."""
    harness.vendor.otherwise = FRESH_RESPONSE
    manager = harness.manager(vat())
    stream = BodyStream(lambda: iter([b"q"]), length=1)

    for _ in range(2):
        assert not (await manager.call("vat", GET.evolve(body=stream))).cached
