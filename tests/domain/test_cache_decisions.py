"""The rules for reusing a stored HTTP response."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import CachePolicy, InvalidData, Region, Service
from moorage.domain.cache import rules as caching
from moorage.domain.cache.rules import (
    CacheEntry,
    CacheInquiry,
    Decision,
    FreshAnswer,
    NoCachedAnswer,
    StaleAnswer,
    cache_key,
    caller_digest,
    confirms,
    decide,
    entries_to_store,
    named_url,
    new_cache_entry,
    newest_match,
    refreshed_response,
    selection_digest,
    usable_seconds,
)
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Request, Response
from tests.domain.cache_states import (
    CALLER,
    GET,
    HEAD,
    NOW,
    POLICY,
    date,
    decision_after,
    entry,
    expect_stale,
    moment_after,
    received_entry,
)

# --- cache decisions -----------------------------------------------------------


@pytest.mark.parametrize(
    "control, after, directive, expected",
    [
        ("max-age=60", 59.0, "", FreshAnswer()),
        ("max-age=60", 60.0, "", expect_stale()),
        ("max-age=60, no-cache", 1.0, "", expect_stale()),
        ('max-age=60, no-cache=""', 1.0, "", expect_stale()),
        ('max-age=60, no-cache="x"', 1.0, "", FreshAnswer()),
        ("max-age=60", 1.0, "no-cache", expect_stale()),
        ("max-age=60", 10.0, "max-age=10", FreshAnswer()),
        ("max-age=60", 11.0, "max-age=10", expect_stale()),
        ("max-age=60", 0.0, "max-age=0", FreshAnswer()),
        ("max-age=60", 1.0, "max-age=0", expect_stale()),
        ("max-age=60", 10.0, "max-age=soon", expect_stale()),
        ("max-age=60", 10.0, "min-fresh=49", FreshAnswer()),
        ("max-age=60", 10.0, "min-fresh=50", expect_stale()),
        ("max-age=60", 69.0, "max-stale=10", FreshAnswer()),
        ("max-age=60", 70.0, "max-stale=10", expect_stale()),
        ("max-age=60", 1e6, "max-stale", FreshAnswer()),
        ("max-age=60", 61.0, "only-if-cached", expect_stale()),
        ("max-age=60, proxy-revalidate", 61.0, "max-stale=10", FreshAnswer()),
        ("max-age=60, s-maxage=1", 59.0, "", FreshAnswer()),
        ("max-age=60, must-revalidate", 59.0, "", FreshAnswer()),
        ("max-age=60, must-revalidate", 61.0, "max-stale", expect_stale()),
        ("max-age=60, stale-while-revalidate=9", 61.0, "min-fresh=1", expect_stale()),
        ("max-age=60, stale-while-revalidate=10", 69.0, "", expect_stale(meanwhile=True)),
        ("max-age=60, stale-while-revalidate=10", 70.0, "", expect_stale()),
        ("max-age=60, stale-while-revalidate=1", 60.5, "", expect_stale(meanwhile=True)),
        ("max-age=60, stale-while-revalidate=10", 61.0, "max-age=5", expect_stale()),
        ("max-age=60, stale-while-revalidate=10, must-revalidate", 61.0, "", expect_stale()),
        ("max-age=60, stale-if-error=9", 20.0, "max-age=10", expect_stale(if_error=True)),
        ("max-age=60, stale-if-error=100", 159.0, "", expect_stale(if_error=True)),
        ("max-age=60, stale-if-error=100", 160.0, "", expect_stale()),
        ("max-age=60", 61.0, "stale-if-error=100", expect_stale(if_error=True)),
        ("max-age=60, must-revalidate", 61.0, "stale-if-error=100", expect_stale()),
        ("max-age=60, no-cache, stale-if-error=100", 61.0, "", expect_stale()),
    ],
)
def test_cache_directives_decide_on_reuse_revalidation_or_miss(
    control: str, after: float, directive: str, expected: Decision
) -> None:
    """Cache directives of response and request decide on reuse, revalidation or a miss."""
    assert expected == decision_after(control, after, directive=directive)


@pytest.mark.parametrize(
    "control, after, directive, expected",
    [
        ("max-age=60", 159.0, "", True),
        ("max-age=60", 160.0, "", False),
        ("max-age=60, stale-if-error=10", 71.0, "", False),
        ("max-age=60, stale-if-error=0", 60.5, "", False),
        ("max-age=60", 61.0, "stale-if-error=0", False),
        ("max-age=60, must-revalidate", 61.0, "", False),
    ],
)
def test_policy_sets_stale_if_error(
    control: str, after: float, directive: str, expected: object
) -> None:
    """Without a directive, the cache policy's `stale_if_error` applies."""
    decision = decision_after(
        control, after, directive=directive, policy=CachePolicy(stale_if_error=100)
    )
    assert isinstance(decision, StaleAnswer)
    assert expected is decision.if_error


def test_no_entry_is_a_miss() -> None:
    """Without a stored response, the cache decides on a miss."""
    assert NoCachedAnswer() == decide(GET, None, POLICY)


def test_heads_are_answered_while_fresh_only() -> None:
    """A fresh stored GET response also answers a HEAD request, which never revalidates it."""
    cached_entry = entry("max-age=60, stale-if-error=100")
    assert FreshAnswer() == decide(HEAD, cached_entry, POLICY)
    assert NoCachedAnswer() == decide(HEAD, cached_entry.later(61), POLICY)
    assert (b"", True) == (
        caching.received_answer(cached_entry, HEAD).body,
        caching.received_answer(cached_entry, HEAD).cached,
    )


def test_cached_response_has_its_age() -> None:
    """A response from the cache is marked as cached, with its current `Age`."""
    report = caching.received_answer(entry("max-age=60", {"Age": "3"}).later(4.7), GET)
    assert (("7",), b"kept", True) == (report.headers.get_all("age"), report.body, report.cached)


def test_cache_revalidation_sends_stored_etag_and_modification_date() -> None:
    """A cache revalidation sends the stored ETag and modification date."""
    cached_entry = entry("max-age=1", {"ETag": 'W/"1"', "Last-Modified": date(-60)}).later(2)
    decision = decide(GET, cached_entry, POLICY)
    expected = Headers({"If-None-Match": 'W/"1"', "If-Modified-Since": date(-60)})
    assert StaleAnswer(expected, while_revalidating=False, if_error=False) == decision
    assert isinstance(decision, StaleAnswer)
    assert expected.pairs == decision.validators.pairs


@pytest.mark.parametrize(
    "original, named, expected",
    [
        ('"1"', '"1"', True),
        ('W/"1"', '"1"', True),
        ('"1"', 'W/"1"', True),
        ('"1"', None, True),
        ('"1"', '"2"', False),
        (None, '"2"', False),
        (None, None, True),
    ],
)
def test_304_with_another_etag_confirms_nothing(
    original: str | None, named: str | None, expected: object
) -> None:
    """A 304 response with a different ETag does not confirm the stored response."""
    cached_entry = entry("max-age=1", {"Last-Modified": date(-60)})
    headers = cached_entry.response.headers.without("etag")
    if original is not None:
        headers = headers.with_header("ETag", original)
    cached_entry = attrs.evolve(
        cached_entry, response=cached_entry.response.evolve(headers=headers)
    )
    assert expected is confirms(
        cached_entry, Response(304, {} if named is None else {"ETag": named})
    )


def test_response_304_makes_the_stored_response_fresh_again() -> None:
    """A 304 response keeps the stored body, replaces the headers it has, and resets the age."""
    cached_entry = entry(
        "max-age=1", {"Content-Type": "text/plain", "X-Old": "1", "Age": "9"}
    ).later(100)
    confirmation = Response(
        304,
        [
            ("cache-control", "max-age=60"),
            ("ETag", '"1"'),
            ("Content-Length", "0"),
            ("Content-Type", "text/html"),
            ("Content-Encoding", "gzip"),
            ("Connection", "X-Hop, close"),
            ("connection", "x-skip"),
            ("x-hop", "1"),
            ("X-Skip", "1"),
            ("Age", "2"),
        ],
        elapsed=0.5,
    )
    merged_response = refreshed_response(cached_entry, confirmation)
    assert (200, b"kept") == (merged_response.status, merged_response.body)
    assert (
        Headers(
            {
                "Content-Type": "text/plain",
                "X-Old": "1",
                "cache-control": "max-age=60",
                "ETag": '"1"',
                "Age": "2",
            }
        )
        == merged_response.headers
    )
    later_entry = new_cache_entry(GET, merged_response, CALLER, moment_after(100), POLICY)
    assert later_entry is not None
    assert (60.0, 2.5) == (later_entry.lifetime, later_entry.age)


def test_response_304_without_a_date_counts_as_made_now() -> None:
    """A 304 response without a date counts as made now, whatever the stored response's age."""
    cached_entry = entry("max-age=60", {"Age": "50", "Date": date(-50)}).later(100)
    later_entry = new_cache_entry(
        GET, refreshed_response(cached_entry, Response(304)), CALLER, moment_after(100), POLICY
    )
    assert later_entry is not None
    assert (0.0, date(100)) == (later_entry.age, later_entry.response.headers["date"])


# --- matching requests to entries ----------------------------------------------


@pytest.mark.parametrize(
    "other, alike",
    [
        ({"A": "1", "B": "2"}, True),
        ({"a": "1", "B": "3"}, True),
        ({"A": "1"}, True),
        ({"A": "2"}, False),
        ({"A": ""}, False),
        ({}, False),
        ([("A", "1"), ("A", "")], False),
    ],
)
def test_vary_matches_request_headers(other: dict[str, str], alike: object) -> None:
    """A stored response serves requests with the same values of its `Vary` headers."""
    request = Request.get("/x", headers={"A": "1", "B": "2"})
    cached_entry = new_cache_entry(
        request, Response(200, {"ETag": "1", "Vary": "a"}), CALLER, NOW, POLICY
    )
    assert cached_entry is not None
    result = newest_match((cached_entry,), Request.get("/x", headers=other), CALLER)
    assert alike is (result == cached_entry)
    assert newest_match((cached_entry,), request, b"somebody else") is None


def test_newest_of_several_matching_responses_is_used() -> None:
    """Of several matching stored responses, the newest is used."""
    newer_entry, older_entry = entry("max-age=1"), entry("max-age=2")
    assert newer_entry == newest_match((newer_entry, older_entry), GET, CALLER)


@pytest.mark.parametrize(
    "name", ["Authorization", "Cookie", "X-API-Key", "X-User-Token", "Accept", "accept-language"]
)
def test_credential_headers_separate_callers(name: str) -> None:
    """Callers with different credential or `varies_by` headers share no stored responses."""
    asks = [
        caller_digest(Request.get("/x", headers=headers), b"credential", POLICY)
        for headers in ({}, {name: "1"}, {name.lower(): "1"}, {name: "2"})
    ]
    assert asks[1] == asks[2]
    assert 3 == len(set(asks))
    assert asks[0] != caller_digest(GET, b"another", POLICY)


def test_other_headers_do_not_separate_callers() -> None:
    """Callers that differ in a header share responses, unless the cache policy lists the header."""
    policy = CachePolicy(varies_by="Stripe-Account")
    traced = GET.with_header("Traceparent", "1")
    account = GET.with_header("stripe-account", "1")

    assert caller_digest(GET, b"", POLICY) == caller_digest(traced, b"", POLICY)
    assert caller_digest(GET, b"", POLICY) == caller_digest(account, b"", POLICY)
    assert caller_digest(GET, b"", policy) != caller_digest(account, b"", policy)


def test_keys_distinguish_service_tenant_and_url() -> None:
    """Services, tenants and URLs have different cache keys, and no key shows the URL."""
    keys = {
        cache_key(service, tenant, url)
        for service in ("a", "b")
        for tenant in (None, "", "a")
        for url in ("https://api.example/x", "https://api.example/x?token=hidden")
    }
    assert 12 == len(keys)
    assert not any("hidden" in key or "example" in key for key in keys)


def test_cache_keys_are_same_in_every_version() -> None:
    """Cache keys are the same in every version of moorage, because processes share the cache."""
    request = Request.get("/x", headers=[("Accept", "a"), ("Authorization", "b"), ("X", "c")])
    assert (
        "{@acme:vat}:cache:6e95512efcddbfebc3c2cd9c16ff34b33c33b0d221b6da3ea3f9883f3da53eb2"
    ) == cache_key("vat", "acme", "https://vat.example/rates?a=1")
    assert (
        "f6a3274ab8a18bf25abd43d93654c5cfd63f7f6a3456b074e0f65d65a689f66e"
        == caller_digest(request, b"known", POLICY).hex()
    )


REGIONS = (
    Region("one", "https://one.example/v1"),
    Region("two", "https://two.example/api/v1/"),
    Region("three", "https://three.example"),
)


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/x", "https://one.example/v1/x"),
        ("x?a=1", "https://one.example/v1/x?a=1"),
        ("https://one.example/v1/x", "https://one.example/v1/x"),
        ("https://two.example/api/v1/x", "https://one.example/v1/x"),
        ("https://three.example/x?a=1#b", "https://one.example/v1/x?a=1"),
    ],
)
def test_url_is_the_same_in_every_region(path: str, expected: str) -> None:
    """A request has the same cache URL in all regions."""
    service = Service("vat", regions=REGIONS)
    assert expected == named_url(service, Request.get(path))


@pytest.mark.parametrize("home", ["https://one.example/v1/", "https://one.example/MX/"])
@pytest.mark.parametrize("other", ["https://two.example/v1/", "https://two.example/MX/"])
def test_region_base_url_loses_only_its_final_slash(home: str, other: str) -> None:
    """Only the final slash is removed from a region's base URL."""
    service = Service("vat", regions=(Region("one", home), Region("two", other)))
    assert f"{home}x" == named_url(service, Request.get("/x"))
    assert f"{home}x" == named_url(service, Request.get(f"{other}x"))


def test_url_must_belong_to_the_service() -> None:
    """A request to another origin is refused, and has no key in the service's cache."""
    one = Service("vat", base_url="https://vat.example/v1")
    request = Request.get("/x", query={"a": 1})
    assert "https://vat.example/v1/x?a=1" == named_url(one, request)
    for service in (one, Service("vat", regions=REGIONS)):
        with pytest.raises(InvalidData, match="another origin"):
            named_url(service, Request.get("https://four.example/x"))


# --- limits on stored responses ------------------------------------------------


def sized_entry(number: int, control: str = "max-age=60") -> CacheEntry:
    """Return a cached response of about a thousand bytes."""
    cached_entry = entry(control)
    body = b"%d" % number * 1000
    return attrs.evolve(
        cached_entry, response=cached_entry.response.evolve(body=body), selected_by=b"%d" % number
    )


def test_oldest_variants_are_dropped_first() -> None:
    """Above the maximum of entries or bytes, the oldest cached response of a URL is dropped."""
    first, second, third = sized_entry(1), sized_entry(2), sized_entry(3)
    assert (first, second) == entries_to_store(first, (second, third), CachePolicy(max_variants=2))
    assert (first, second) == entries_to_store(
        first, (second, third), CachePolicy(max_bytes=first.size * 2)
    )
    assert (second, third) == entries_to_store(None, (second, third), POLICY)
    assert () == entries_to_store(None, (), POLICY)


def test_expired_variants_are_dropped() -> None:
    """A cached response that can serve no request any more is dropped."""
    one, two = sized_entry(1), sized_entry(2)
    expired_entry = two.later(60 + POLICY.keep_stale)
    assert (one,) == entries_to_store(one, (expired_entry,), POLICY)
    nearly = two.later(60 + POLICY.keep_stale - 0.5)
    assert (one, nearly) == entries_to_store(one, (nearly,), POLICY)


@pytest.mark.parametrize(
    "fields, policy, expected",
    [
        ({"Cache-Control": "max-age=60"}, POLICY, 60.0),
        ({"Cache-Control": "max-age=60", "Age": "50"}, POLICY, 10.0),
        ({"Cache-Control": "max-age=60", "ETag": "1"}, CachePolicy(keep_stale=100), 160.0),
        ({"Cache-Control": "max-age=60"}, CachePolicy(keep_stale=100), 60.0),
        ({"Cache-Control": "max-age=60, stale-if-error=7"}, POLICY, 67.0),
        ({"Cache-Control": "max-age=60, stale-while-revalidate=8"}, POLICY, 68.0),
        ({"Cache-Control": "max-age=60"}, CachePolicy(stale_if_error=9), 69.0),
        ({"Cache-Control": "max-age=60, stale-if-error=7"}, CachePolicy(stale_if_error=9), 67.0),
    ],
)
def test_entry_is_stored_as_long_as_it_can_be_used(
    fields: dict[str, str], policy: CachePolicy, expected: float
) -> None:
    """A cache entry is stored as long as it is fresh, servable when stale, or revalidatable."""
    cached_entry = received_entry(fields, policy=policy)
    assert cached_entry is not None
    assert expected == usable_seconds(cached_entry, policy)


@given(
    st.lists(
        st.tuples(st.sampled_from([(), ("accept",), ("accept", "x"), ("x",)]), st.booleans()),
        max_size=6,
    ),
    st.sampled_from([{}, {"Accept": "a"}, {"Accept": "a", "X": "1"}]),
)
def test_inquiry_matches_as_the_rule_does(entries: list[Any], headers: dict[str, str]) -> None:
    """A cache inquiry that remembers its digests finds the same entry as `matching`."""
    request = Request.get("/x", headers=headers)
    stored_entries = tuple(
        CacheEntry(
            Response(200),
            1.0,
            number,
            names,
            selection_digest(request, CALLER if same_caller else b"other", names),
        )
        for number, (names, same_caller) in enumerate(entries)
    )
    inquiry = CacheInquiry("key", CALLER, request)
    for _ in range(2):
        assert newest_match(stored_entries, request, CALLER) is inquiry.matching(stored_entries)


def test_inquiry_matches_more_selections_than_it_remembers() -> None:
    """A cache inquiry finds its entry even after many entries that vary by other headers."""
    request = Request.get("/x", headers={"Accept": "a"})
    names = [(f"x-{number}",) for number in range(20)]
    other_entries = [
        CacheEntry(Response(200), 1.0, 0, name, b"of another request") for name in names
    ]
    match = CacheEntry(
        Response(200), 1.0, 0, ("accept",), selection_digest(request, CALLER, ("accept",))
    )
    inquiry = CacheInquiry("key", CALLER, request)

    assert [match, match] == [inquiry.matching((*other_entries, match)) for _ in range(2)]
