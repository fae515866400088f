"""Cached responses are returned only to callers with the same credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    CachePolicy,
    ConfigurationError,
    ConnectionFailed,
    CredentialNotFound,
    Credentials,
    HmacSigning,
    InvalidData,
    Region,
    Request,
    Response,
    RetryPolicy,
    Service,
)
from moorage.hub.internals import core_of
from tests.support.caching import (
    FRESH_RESPONSE,
    GET,
    NEWER,
    FaultyCache,
    Provider,
    count_requests,
    response_by_request,
    vat,
)
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from tests.support.virtual_ports import SentRequest


HMAC = HmacSigning(signs="{url}", headers={"S": "{signature}"})


def respond_with_credentials(one: SentRequest) -> Any:
    """Make a vendor respond with the name of the caller's credentials."""
    person_name = one.header("authorization") or one.url.partition("?")[2] or "nobody"

    async def answer(_: SentRequest) -> Response:
        return FRESH_RESPONSE.evolve(body=person_name.encode())

    return answer(one)


@sync_and_async
async def test_tenants_share_no_cached_responses(harness: Harness) -> None:
    """A tenant never gets another tenant's cached response, even with the same credential."""
    harness.vendor.otherwise = response_by_request(respond_with_credentials)
    provider = harness.of_mode(Provider(harness))
    custom_service = vat(needs_credentials=True)
    same_service = Service("same", base_url="https://x.example", circuit=None, cache=CachePolicy())
    manager = harness.manager(custom_service, same_service, credentials=provider)

    for service in ("vat", "same"):
        bodies = [
            (await manager.call(service, GET, tenant=tenant)).body
            for tenant in ("a", "b", None, "a", "b", None)
        ]
        assert bodies[:3] == bodies[3:]
    assert [b"Bearer a-0", b"Bearer b-0", b"Bearer None-0"] == [
        (await manager.call("vat", GET, tenant=tenant)).body for tenant in ("a", "b", None)
    ]
    assert 6 == count_requests(harness)


@sync_and_async
async def test_services_share_no_cached_responses(harness: Harness) -> None:
    """Two services at the same address share no cached responses."""
    harness.vendor.answers(FRESH_RESPONSE, NEWER)
    other_service = Service(
        "other", base_url="https://vat.example/v1", circuit=None, cache=CachePolicy()
    )
    manager = harness.manager(vat(), other_service)

    assert b"first" == (await manager.call("vat", GET)).body
    assert b"second" == (await manager.call("other", GET)).body


@pytest.mark.parametrize(
    "one, other",
    [
        (Credentials.bearer("a"), Credentials.bearer("b")),
        (Credentials.basic("me", "a"), Credentials.basic("me", "b")),
        (Credentials.api_key("a"), Credentials.api_key("b")),
        (Credentials.api_key("a", query="key"), Credentials.api_key("b", query="key")),
        (Credentials.signed(HMAC, "a"), Credentials.signed(HMAC, "b")),
        (Credentials.bearer("a"), None),
    ],
)
@sync_and_async
async def test_credentials_share_no_cached_responses(
    harness: Harness, one: Credentials, other: Credentials | None
) -> None:
    """Services that share a cache never return a response fetched with another credential."""
    harness.vendor.answers(FRESH_RESPONSE, NEWER)
    cache = harness.of_mode(FaultyCache(harness))
    managers = [
        harness.manager(vat(credentials=existing_credentials), cache=cache)
        for existing_credentials in (one, other)
    ]

    for _ in range(2):
        assert [b"first", b"second"] == [(await m.call("vat", GET)).body for m in managers]
    assert 2 == count_requests(harness)


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "X-Session"])
@sync_and_async
async def test_credentials_in_headers_share_no_cached_responses(
    harness: Harness, name: str
) -> None:
    """Different credentials in a header, even one set by a transform, share no cached response."""
    harness.vendor.answers(FRESH_RESPONSE, NEWER)
    user = ["a"]
    manager = harness.manager(
        vat(request_transforms=lambda request: request.with_header(name, user[0]))
    )

    bodies = []
    for user[0] in ("a", "b", "a", "b"):
        bodies.append((await manager.call("vat", GET)).body)

    assert [b"first", b"second", b"first", b"second"] == bodies


@sync_and_async
async def test_responses_cached_for_the_old_credential_are_not_used_after_renewal(
    harness: Harness,
) -> None:
    """After a credential is renewed, responses cached for the old one are not used."""
    provider = Provider(harness)
    ports = {"credentials": harness.of_mode(provider)}
    harness.vendor.answers(FRESH_RESPONSE)
    manager = harness.manager(vat(needs_credentials=True), **ports)
    await manager.call("vat", GET)

    provider.number = 1
    harness.vendor.answers(NEWER)
    assert b"second" == (await manager.call("vat", GET)).body
    assert harness.vendor.requests[1].header("if-none-match") is None


@sync_and_async
async def test_response_cached_for_the_old_credential_is_not_revalidated(harness: Harness) -> None:
    """After a renewal, a response cached for the old credential is not revalidated."""
    provider = Provider(harness)
    manager = harness.manager(vat(needs_credentials=True), credentials=harness.of_mode(provider))
    harness.vendor.answers(FRESH_RESPONSE)
    await manager.call("vat", GET)
    harness.clock.advance(60)

    harness.vendor.answers(401, NEWER)
    assert b"second" == (await manager.call("vat", GET)).body
    harness.vendor.answers(FRESH_RESPONSE)
    assert b"first" == (await manager.call("vat", GET)).body

    assert [None, '"1"', None, None] == [
        request.header("if-none-match") for request in harness.vendor.requests
    ]
    assert (await manager.call("vat", GET)).cached


@sync_and_async
async def test_response_to_a_stale_credential_is_not_cached(harness: Harness) -> None:
    """The response to a request whose credential was renewed during the request is not cached."""

    def refuse_response(_: Request, response: Response) -> Any:
        return AuthenticationFailed("stale.", status=401) if response.body == b"first" else None

    provider = Provider(harness)
    manager = harness.manager(
        vat(needs_credentials=True, classify=refuse_response), credentials=harness.of_mode(provider)
    )
    harness.vendor.answers(FRESH_RESPONSE, NEWER, NEWER)

    assert b"second" == (await manager.call("vat", GET)).body
    provider.number = 0
    assert not (await manager.call("vat", GET)).cached


@sync_and_async
async def test_hook_may_refuse_a_cached_response(harness: Harness) -> None:
    """If a hook refuses a cached response, the error says that no request was sent."""
    refusals: list[bool] = []

    def refuse_response(_: Request, __: Response) -> Any:
        return AuthenticationFailed("stale.", status=401) if refusals else None

    provider = harness.of_mode(Provider(harness))
    manager = harness.manager(
        vat(needs_credentials=True, classify=refuse_response), credentials=provider
    )
    harness.vendor.answers(FRESH_RESPONSE)
    await manager.call("vat", GET)
    refusals.append(True)
    with pytest.raises(AuthenticationFailed) as excinfo:
        await manager.call("vat", GET)

    assert 1 == count_requests(harness)
    assert vars(excinfo.value)["_acted"] is False


@sync_and_async
async def test_own_credentials_need_no_provider(harness: Harness) -> None:
    """A service with its own credentials uses the cache without calling the credential provider."""
    provider = Provider(harness)
    provider.missing = True
    harness.vendor.answers(FRESH_RESPONSE)
    manager = harness.manager(
        vat(needs_credentials=True, credentials=Credentials.bearer("own")),
        credentials=harness.of_mode(provider),
    )

    assert [False, True] == [(await manager.call("vat", GET)).cached for _ in range(2)]


@sync_and_async
async def test_no_cached_response_without_credentials(harness: Harness) -> None:
    """Without a credential the caller gets an error, even if a response is cached."""
    provider = Provider(harness)
    manager = harness.manager(vat(needs_credentials=True), credentials=harness.of_mode(provider))
    harness.vendor.answers(FRESH_RESPONSE)
    await manager.call("vat", GET)
    provider.missing = True

    with pytest.raises(CredentialNotFound):
        await manager.call("vat", GET)


@sync_and_async
async def test_response_to_a_request_changed_by_a_transform_is_not_cached(harness: Harness) -> None:
    """If a transform changes the request after the cache look-up, the response is not cached."""
    paths = iter(["/a", "/b", "/a", "/a", "/a"])
    harness.vendor.answers(FRESH_RESPONSE, NEWER)
    manager = harness.manager(
        vat(request_transforms=lambda request: request.evolve(path=next(paths)))
    )

    # A look-up for /a and a request to /b; a look-up for /a and a request to /a; then a hit.
    bodies = [(await manager.call("vat", GET)).body for _ in range(3)]

    assert [b"first", b"second", b"second"] == bodies
    assert ["/b", "/a"] == [request.path for request in harness.vendor.requests]


@sync_and_async
async def test_request_that_a_transform_makes_uncacheable_is_sent(harness: Harness) -> None:
    """A request that a transform makes uncacheable is sent without using the cache."""
    header = iter(["X", "X", "Range", "Range", "X", "X", "Range", "X", "Range"])
    harness.vendor.otherwise = FRESH_RESPONSE.evolve(headers={"Cache-Control": "max-age=60"})
    manager = harness.manager(
        vat(request_transforms=lambda request: request.with_header(next(header), "1"))
    )

    # Stored; requested in part although it is fresh; stale, and stored anew; requested in part.
    cached_flags = [(await manager.call("vat", GET)).cached for _ in range(2)]
    harness.clock.advance(60)
    cached_flags += [(await manager.call("vat", GET)).cached for _ in range(2)]

    assert [False, False, False, False] == cached_flags


@sync_and_async
async def test_transform_errors_are_raised_as_without_a_cache(harness: Harness) -> None:
    """A failing transform raises the same error whether or not the service is cached."""

    def answer_wrongly(request: Request) -> Any:
        return None

    def other_host(request: Request) -> Request:
        return request.evolve(path="https://elsewhere.example/")

    for transform, kind in ((answer_wrongly, ConfigurationError), (other_host, InvalidData)):
        manager = harness.manager(vat(request_transforms=transform))
        with pytest.raises(kind):
            await manager.call("vat", GET)
    assert 0 == count_requests(harness)


@sync_and_async
async def test_variants_are_cached_separately(harness: Harness) -> None:
    """Responses with `Vary` are cached side by side, each for the requests that match it."""

    async def by_language(one: SentRequest) -> Response:
        language = one.header("content-language") or "none"
        return FRESH_RESPONSE.evolve(
            headers=FRESH_RESPONSE.headers.with_header("Vary", "Content-Language"),
            body=language.encode(),
        )

    harness.vendor.otherwise = response_by_request(by_language)
    manager = harness.manager(vat(cache=CachePolicy(max_variants=2)))

    async def get_response(language: str) -> tuple[bytes, bool]:
        answer = await manager.call("vat", GET.with_header("Content-Language", language))
        return answer.body, answer.cached

    assert [(b"de", False), (b"fr", False), (b"de", True), (b"fr", True)] == [
        await get_response(language) for language in ("de", "fr", "de", "fr")
    ]
    assert [(b"it", False), (b"de", False)] == [
        await get_response(language) for language in ("it", "de")
    ]


@sync_and_async
async def test_variants_age_independently_of_use(harness: Harness) -> None:
    """A cached variant gets older whether or not it is requested."""
    vary = {"Cache-Control": "max-age=60", "Vary": "Content-Language"}
    answer = Response(200, vary)
    harness.vendor.answers(answer, harness.answer_after(25, answer), answer)
    manager = harness.manager(vat())
    await manager.call("vat", GET)

    harness.clock.advance(30)
    await manager.call("vat", GET.with_header("Content-Language", "de"))
    harness.clock.advance(5)

    assert not (await manager.call("vat", GET)).cached


@sync_and_async
async def test_validators_match_the_sent_request(harness: Harness) -> None:
    """A validator is sent only with a request that matches the cached response's `Vary` headers."""
    language = iter(["de", "de", "de", "fr", "de"])
    vary = {"Cache-Control": "max-age=60", "ETag": '"1"', "Vary": "Content-Language"}
    harness.vendor.otherwise = FRESH_RESPONSE.evolve(headers=vary)
    manager = harness.manager(
        vat(request_transforms=lambda one: one.with_header("Content-Language", next(language)))
    )
    await manager.call("vat", GET)
    harness.clock.advance(60)

    # Looked up in German, but sent in French.
    assert not (await manager.call("vat", GET)).cached
    assert [None, None] == [request.header("if-none-match") for request in harness.vendor.requests]


REGIONS = (
    Region("one", "https://one.example/v1"),
    Region("two", "https://two.example/api/v1/", tier=2, credentials=Credentials.bearer("two")),
)


@sync_and_async
async def test_regions_share_the_cache(harness: Harness) -> None:
    """A response cached from one region is used for all regions of the service."""
    harness.vendor.answers(ConnectionFailed("away"), FRESH_RESPONSE, 204)
    manager = harness.manager(
        vat(base_url=None, regions=REGIONS, retry=RetryPolicy(2, 0), needs_credentials=True),
        credentials=harness.of_mode(Provider(harness)),
    )

    await manager.call("vat", GET)
    second_response = await manager.call("vat", GET)
    absolute = await manager.call("vat", Request.get("https://two.example/api/v1/rates"))
    await manager.call("vat", Request.put("https://one.example/v1/rates"))
    other_region_response = await manager.call("vat", GET)

    assert [True, True, False] == [
        item.cached for item in (second_response, absolute, other_region_response)
    ]
    assert ["one", "two", "one", "one"] == [
        request.url[8:11] for request in harness.vendor.requests
    ]


@sync_and_async
async def test_region_credentials_separate_the_cache(harness: Harness) -> None:
    """Services whose regions have different credentials share no cached responses."""
    harness.vendor.answers(FRESH_RESPONSE, NEWER)
    cache = harness.of_mode(FaultyCache(harness))
    other_regions = (REGIONS[0], attrs.evolve(REGIONS[1], credentials=Credentials.bearer("other")))
    managers = [
        harness.manager(vat(base_url=None, regions=regions), cache=cache)
        for regions in (REGIONS, other_regions)
    ]

    assert [b"first", b"second"] == [(await manager.call("vat", GET)).body for manager in managers]


@sync_and_async
async def test_foreign_urls_are_refused(harness: Harness) -> None:
    """A request for another service's URL is refused, with or without a cache."""
    manager = harness.manager(vat(base_url=None, regions=REGIONS))

    for request in (Request.get("https://three.example/"), Request.put("https://three.example/")):
        with pytest.raises(InvalidData):
            await manager.call("vat", request)


@sync_and_async
async def test_credentials_of_requests_are_not_remembered(harness: Harness) -> None:
    """The cache remembers a request's digest only if its headers contain no credential."""
    harness.vendor.otherwise = response_by_request(respond_with_credentials)
    manager = harness.manager(vat())
    inquiries = core_of(manager.manager).cache.inquiries
    for headers, remembered in (({}, 1), ({"Authorization": "z"}, 1), ({"Accept": "a/b"}, 2)):
        request = Request.get(GET.path, headers=headers)
        for _ in range(2):
            await manager.call("vat", request)
        assert remembered == len(inquiries)
    assert 3 == count_requests(harness)
