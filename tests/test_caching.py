"""The response cache over HTTP: examples of the RFCs, in sync and async mode, with a real server.

Time does not pass in these tests: a response that must be old arrives with an `Age`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    CachePolicy,
    ConnectorManager,
    Credentials,
    HedgeConfig,
    Request,
    Response,
    Service,
)
from moorage.adapters.cache.memory import AsyncMemoryCache, MemoryCache
from moorage.adapters.cache.sealed import AsyncSealedCache, SealedCache
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.testing import Behaviour, ReceivedRequest, VendorServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from moorage import Timeouts

REUSED, CONFIRMED, ASKED = "reused", "confirmed", "asked anew"
GET = Request.get("/rates")


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """Yield the HTTP server of a vendor."""
    with VendorServer() as server:
        yield server


def service(vendor: VendorServer, **options: Any) -> Service:
    """Return a service at this server with a response cache."""
    fields: dict[str, Any] = {"circuit": None, "retry": None, "cache": CachePolicy()} | options
    return Service("vat", base_url=vendor.url, **fields)


def calls(mode: str, custom: Service, *requests: Request, **ports: Any) -> list[Response]:
    """Make the given calls with one manager, synchronous or asynchronous."""
    if mode == "sync":
        with ConnectorManager([custom], **ports) as manager:
            return [manager.call("vat", request) for request in requests]

    async def run() -> list[Response]:
        async with AsyncConnectorManager([custom], **ports) as manager:
            return [await manager.call("vat", request) for request in requests]

    return asyncio.run(run())


BOTH = pytest.mark.parametrize("mode", ["sync", "async"])


def with_dates(fields: dict[str, str]) -> dict[str, str]:
    """Return headers in which `@60` is replaced by a date sixty seconds from now."""
    now = datetime.now(UTC)
    return {
        name: format_datetime(now + timedelta(seconds=int(value[1:])), usegmt=True)
        if value[:1] == "@"
        else value
        for name, value in fields.items()
    }


def versions(*fields: dict[str, str]) -> Any:
    """Return a server function that gives conditional requests a 304 response."""
    value = iter(fields)

    def answer(received: ReceivedRequest) -> Behaviour:
        if (
            received.headers.get("if-none-match") == '"1"'
            or "if-modified-since" in received.headers
        ):
            return Behaviour(304, {"Cache-Control": "max-age=60"})
        return Behaviour(200, next(value, {}), b"an answer")

    return answer


CASES: tuple[tuple[str, dict[str, str], dict[str, str], str], ...] = (
    # --- RFC 9111, 4.2: freshness
    ("max-age", {"Cache-Control": "max-age=60"}, {}, REUSED),
    ("max-age in capitals", {"Cache-Control": "MAX-AGE=60"}, {}, REUSED),
    ("max-age in quotes", {"Cache-Control": 'max-age="60"'}, {}, REUSED),
    ("max-age among others", {"Cache-Control": 'foo="a, b", max-age=60, bar'}, {}, REUSED),
    ("max-age within another's text", {"Cache-Control": 'foo="max-age=60"'}, {}, ASKED),
    ("max-age of zero", {"Cache-Control": "max-age=0"}, {}, ASKED),
    ("max-age that is none", {"Cache-Control": "max-age=soon"}, {}, ASKED),
    ("max-age with a fraction", {"Cache-Control": "max-age=60.5"}, {}, ASKED),
    ("max-age below zero", {"Cache-Control": "max-age=-60"}, {}, ASKED),
    ("max-age beyond all numbers", {"Cache-Control": "max-age=99999999999"}, {}, REUSED),
    ("the first of two max-ages", {"Cache-Control": "max-age=0, max-age=60"}, {}, ASKED),
    ("s-maxage is for others", {"Cache-Control": "s-maxage=60"}, {}, ASKED),
    ("max-age, not s-maxage", {"Cache-Control": "s-maxage=0, max-age=60"}, {}, REUSED),
    ("an age within", {"Cache-Control": "max-age=60", "Age": "30"}, {}, REUSED),
    ("an age beyond", {"Cache-Control": "max-age=60", "Age": "61"}, {}, ASKED),
    ("the first of two ages counts", {"Cache-Control": "max-age=60", "Age": "61, 0"}, {}, ASKED),
    ("an age that is none", {"Cache-Control": "max-age=60", "Age": "old"}, {}, REUSED),
    ("a date long ago", {"Cache-Control": "max-age=60", "Date": "@-3600"}, {}, ASKED),
    ("a date that is none", {"Cache-Control": "max-age=60", "Date": "today"}, {}, REUSED),
    ("a date in the future", {"Cache-Control": "max-age=60", "Date": "@3600"}, {}, REUSED),
    ("expires", {"Expires": "@60"}, {}, REUSED),
    ("expires in the past", {"Expires": "@-60"}, {}, ASKED),
    ("expires at its date", {"Expires": "@0", "Date": "@0"}, {}, ASKED),
    ("expires of zero", {"Expires": "0"}, {}, ASKED),
    ("expires that is no date", {"Expires": "tomorrow"}, {}, ASKED),
    ("expires by the vendor's clock", {"Expires": "@7200", "Date": "@3600"}, {}, REUSED),
    ("max-age before expires", {"Cache-Control": "max-age=60", "Expires": "0"}, {}, REUSED),
    ("nothing said", {}, {}, ASKED),
    ("nothing is guessed", {"Last-Modified": "@-86400"}, {}, CONFIRMED),
    # --- 5.2.2: what the answer allows
    ("no-store", {"Cache-Control": "no-store, max-age=60"}, {}, ASKED),
    ("no-cache", {"Cache-Control": "no-cache, max-age=60", "ETag": '"1"'}, {}, CONFIRMED),
    ("no-cache of a field", {"Cache-Control": 'no-cache="a", max-age=60'}, {}, REUSED),
    ("private", {"Cache-Control": "private, max-age=60"}, {}, REUSED),
    ("public alone", {"Cache-Control": "public"}, {}, ASKED),
    ("must-revalidate while fresh", {"Cache-Control": "must-revalidate, max-age=60"}, {}, REUSED),
    ("an unknown directive", {"Cache-Control": "max-age=60, surprise=1"}, {}, REUSED),
    # --- 5.2.1: what the request allows
    ("asked for no-cache", {"Cache-Control": "max-age=60"}, {"Cache-Control": "no-cache"}, ASKED),
    (
        "asked for no-cache, with a validator",
        {"Cache-Control": "max-age=60", "ETag": '"1"'},
        {"Cache-Control": "no-cache"},
        CONFIRMED,
    ),
    ("asked for no-store", {"Cache-Control": "max-age=60"}, {"Cache-Control": "no-store"}, ASKED),
    (
        "asked for something young",
        {"Cache-Control": "max-age=60", "Age": "30"},
        {"Cache-Control": "max-age=20"},
        ASKED,
    ),
    (
        "young enough",
        {"Cache-Control": "max-age=60", "Age": "10"},
        {"Cache-Control": "max-age=20"},
        REUSED,
    ),
    (
        "asked for something fresh for long",
        {"Cache-Control": "max-age=60", "Age": "50"},
        {"Cache-Control": "min-fresh=20"},
        ASKED,
    ),
    (
        "fresh for long enough",
        {"Cache-Control": "max-age=60", "Age": "10"},
        {"Cache-Control": "min-fresh=20"},
        REUSED,
    ),
    (
        "something stale will do",
        {"Cache-Control": "max-age=60", "Age": "70", "ETag": '"1"'},
        {"Cache-Control": "max-stale=60"},
        REUSED,
    ),
    (
        "not so stale",
        {"Cache-Control": "max-age=60", "Age": "130", "ETag": '"1"'},
        {"Cache-Control": "max-stale=60"},
        CONFIRMED,
    ),
    (
        "stale, but must be revalidated",
        {"Cache-Control": "max-age=60, must-revalidate", "Age": "70", "ETag": '"1"'},
        {"Cache-Control": "max-stale"},
        CONFIRMED,
    ),
    # --- 4.3: validation
    ("an entity tag", {"ETag": '"1"'}, {}, CONFIRMED),
    ("another entity tag", {"ETag": '"0"'}, {}, ASKED),
    ("a date of change", {"Cache-Control": "max-age=0", "Last-Modified": "@-60"}, {}, CONFIRMED),
    ("stale, with a tag", {"Cache-Control": "max-age=9", "Age": "9", "ETag": '"1"'}, {}, CONFIRMED),
    # --- 4.1: varying
    ("vary, alike", {"Cache-Control": "max-age=60", "Vary": "X-A"}, {}, REUSED),
    ("vary, different", {"Cache-Control": "max-age=60", "Vary": "X-A"}, {"X-A": "1"}, ASKED),
    ("vary on everything", {"Cache-Control": "max-age=60", "Vary": "*"}, {}, ASKED),
    ("no vary", {"Cache-Control": "max-age=60"}, {"X-A": "1"}, REUSED),
    ("no vary, by policy", {"Cache-Control": "max-age=60"}, {"Accept": "text/csv"}, ASKED),
    # --- 3.5 and more: who asks
    ("another user", {"Cache-Control": "max-age=60"}, {"Authorization": "Bearer b"}, ASKED),
    ("another session", {"Cache-Control": "max-age=60, public"}, {"Cookie": "a=b"}, ASKED),
    # --- requests that pass by
    ("a part", {"Cache-Control": "max-age=60"}, {"Range": "bytes=0-1"}, ASKED),
    ("a condition", {"Cache-Control": "max-age=60"}, {"If-None-Match": '"7"'}, ASKED),
)


@pytest.mark.parametrize(
    "fields, table, expected", [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
@BOTH
def test_second_request_is_answered_as_the_caching_rfcs_require(
    mode: str,
    vendor: VendorServer,
    fields: dict[str, str],
    table: dict[str, str],
    expected: str,
) -> None:
    """A second request is served from the cache, revalidated or repeated, as the RFCs demand."""
    vendor.always(versions(with_dates(fields)))

    _, second = calls(mode, service(vendor), GET, Request.get("/rates", headers=table))

    store_outcome = CONFIRMED if second.cached else ASKED
    outcome = REUSED if len(vendor.requests) == 1 else store_outcome
    assert expected == outcome
    assert (200, outcome != ASKED) == (second.status, second.cached)
    assert (b"an answer", outcome == REUSED) == (
        second.body,
        "age" in second.headers and second.cached,
    )


@BOTH
def test_revalidated_response_is_fresh(mode: str, vendor: VendorServer) -> None:
    """If a 304 has a new lifetime, the cached response is fresh for all later calls."""
    vendor.always(versions({"ETag": '"1"', "X-Kept": "1"}))

    _, confirmed_response, reused_response = calls(mode, service(vendor), GET, GET, GET)

    assert 2 == len(vendor.requests)
    assert [(b"an answer", "1")] * 2 == [
        (item.body, item.header("x-kept")) for item in (confirmed_response, reused_response)
    ]


@BOTH
def test_stale_response_replaces_a_failure(mode: str, vendor: VendorServer) -> None:
    """A stale response replaces the error of a failing or unreachable server."""
    stale_headers = {"Cache-Control": "max-age=1, stale-if-error=600", "Age": "5"}
    vendor.queue(
        Behaviour(200, stale_headers, b"an answer"),
        Behaviour(503),
        Behaviour(raw=b"", then="reset"),
    )

    answers = calls(mode, service(vendor), GET, GET, GET)

    assert [False, True, True] == [answer.cached for answer in answers]
    assert 3 == len(vendor.requests)


@BOTH
def test_write_invalidates_its_url(mode: str, vendor: VendorServer) -> None:
    """A write to a URL removes its cached response."""
    vendor.always(Behaviour(200, {"Cache-Control": "max-age=60"}))

    answers = calls(mode, service(vendor), GET, GET, Request.put("/rates", json=1), GET, GET)

    assert [False, True, False, False, True] == [answer.cached for answer in answers]


def test_managers_share_a_file_cache(vendor: VendorServer, tmp_path: Path) -> None:
    """With the same credential, sync and async managers share cached responses in files."""
    cipher = AesGcmCipher(generate_keys())
    vendor.always(Behaviour(200, {"Cache-Control": "max-age=60"}, b"a secret"))
    path = tmp_path / "cache.db"
    custom_service = service(vendor, credentials=Credentials.bearer("one"))
    other_service = service(vendor, credentials=Credentials.bearer("two"))

    with SqliteStorage(path) as storage:
        plain_cache = SealedCache(storage, cipher)
        async_cache = AsyncSealedCache(AsyncSqliteStorage(path), cipher)
        answers = [
            *calls("async", custom_service, GET, cache=async_cache),
            *calls("sync", custom_service, GET, cache=plain_cache),
            *calls("sync", other_service, GET, GET, cache=plain_cache),
        ]

    assert [False, True, False, True] == [answer.cached for answer in answers]
    stored_bytes = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"a secret" not in stored_bytes
    assert b"Bearer" not in stored_bytes


def test_managers_share_a_memory_cache(vendor: VendorServer) -> None:
    """Sync and async managers share cached responses in memory."""
    vendor.always(Behaviour(200, {"Cache-Control": "max-age=60"}))
    memory = MemoryCache()

    calls("sync", service(vendor), GET, cache=memory)
    (repeated_response,) = calls("async", service(vendor), GET, cache=AsyncMemoryCache(memory))

    assert repeated_response.cached


class RenewableToken:
    """An asynchronous provider of a token, which records how many renewals run concurrently."""

    def __init__(self) -> None:
        self.token = "first"
        self.renewals = self.running = self.most_running = 0

    async def get(self, service: str, tenant: str | None, /) -> Credentials:
        """Return the current token."""
        return Credentials.bearer(self.token)

    async def refresh(self, service: str, tenant: str | None, stale: Credentials, /) -> Credentials:
        """Renew the token after the other tasks have run."""
        self.renewals += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        for _ in range(50):
            await asyncio.sleep(0)
        self.running -= 1
        self.token = "second"
        return Credentials.bearer(self.token)


class TwoTokenClient:
    """An asynchronous HTTP client of a service that accepts a token until it is revoked."""

    def __init__(self) -> None:
        self.accepted = "Bearer first"

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Return an answer that may be used while another call revalidates it, or a 401."""
        for _ in range(5):
            await asyncio.sleep(0)
        if request.headers["Authorization"] != self.accepted:
            return Response(401)
        return Response(200, {"Cache-Control": "max-age=0, stale-while-revalidate=60"}, b"{}")

    async def aclose(self) -> None:
        """Do nothing, because nothing is open."""


def test_concurrent_revalidations_renew_a_refused_credential_once() -> None:
    """If two revalidations are refused the same token, only one of the calls renews it."""

    async def run() -> list[int]:
        client, tokens = TwoTokenClient(), RenewableToken()
        custom: Any = {"http": client, "credentials": tokens}
        answering = Service(
            "vat", "https://vat.example", needs_credentials=True, cache=CachePolicy()
        )
        async with AsyncConnectorManager([answering], **custom) as manager:
            requests = [Request.get("/1"), Request.get("/2")]
            for request in requests:
                await manager.call("vat", request)
            client.accepted = "Bearer second"
            answers = await asyncio.gather(*(manager.call("vat", request) for request in requests))
        assert [200, 200] == [answer.status for answer in answers]
        return [tokens.renewals, tokens.most_running]

    assert [1, 1] == asyncio.run(run())


class NestedGather:
    """A `Gather` that runs the extra request of a hedged read when the client asks for it."""

    def __init__(self) -> None:
        self.extra_steps: list[Callable[[], Any]] = []

    def run_all(self, steps: Sequence[Callable[[], Any]], /, *, at_once: int) -> list[Any]:
        """Run the steps one after another."""
        return [step() for step in steps]

    def first(
        self, steps: Sequence[Callable[[], Any]], /, *, stagger: float, good: Callable[[Any], bool]
    ) -> Any:
        """Return the result of the first step; the other steps are run during it."""
        self.extra_steps = [*steps[1:]]
        return steps[0]()


def test_hedged_request_does_not_disturb_the_validation_of_the_first() -> None:
    """If a hedged request bypasses the cache, the first request's 304 still gets a cached body."""
    gather, requests = NestedGather(), list[Request]()

    class ConfirmingClient:
        """An HTTP client that confirms the stored answer after the extra request was sent."""

        def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
            """Return 304 for a conditional request, and an answer for any other."""
            requests.append(request)
            if "If-None-Match" not in request.headers:
                return Response(200, {"Cache-Control": "max-age=0", "ETag": '"1"'}, b"rates")
            for step in gather.extra_steps:
                step()
            return Response(304)

    def ask_again_later(request: Request) -> Request:
        if requests and "If-None-Match" in requests[-1].headers:
            return request.with_headers({"Cache-Control": "no-store"})
        return request

    hedged = Service(
        "vat",
        "https://vat.example",
        cache=CachePolicy(),
        hedge=HedgeConfig(0.01),
        request_transforms=ask_again_later,
    )
    ports: Any = {"http": ConfirmingClient(), "gather": gather}
    with ConnectorManager([hedged], **ports) as manager:
        answers = [manager.call("vat", GET) for _ in range(2)]

    assert [(200, b"rates")] * 2 == [(answer.status, answer.body) for answer in answers]
    assert 3 == len(requests)
