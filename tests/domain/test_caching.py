"""The rules for storing a response in the cache, and for its age."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import CachePolicy
from moorage.domain.cache.rules import (
    CacheEntry,
    FreshAnswer,
    cache_control,
    decide,
    is_cacheable_request,
    varies_by,
)
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Request, Response
from tests.domain.cache_states import (
    GET,
    HEAD,
    OBSOLETE_DATE,
    OBSOLETE_PAST,
    POLICY,
    date,
    entry,
    received_entry,
)

# --- reading directives --------------------------------------------------------


@pytest.mark.parametrize(
    "value, expected",
    [
        ("", {}),
        ("no-store", {"no-store": ""}),
        ("Max-Age=60, PUBLIC", {"max-age": "60", "public": ""}),
        ('max-age="60" , private="a, b",x', {"max-age": "60", "private": "a, b", "x": ""}),
        ("max-age=1, max-age=2", {"max-age": "1"}),
        ("max-age = 5", {"max-age": "5"}),
        ('a="b', {"a": "b"}),
        (",,;=", {}),
    ],
)
def test_cache_directives_are_read_in_any_case(value: str, expected: dict[str, str]) -> None:
    """Cache directives are read in any case, quoted or not; the first of several counts."""
    assert expected == cache_control(Headers({"Cache-Control": value}))


def test_repeated_cache_control_headers_are_read_as_one_list() -> None:
    """Repeated `Cache-Control` headers are read as one list."""
    headers = Headers([("Cache-Control", "public"), ("cache-control", "max-age=1")])
    assert {"public": "", "max-age": "1"} == cache_control(headers)


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])))
def test_no_cache_control_value_raises_an_error(value: str) -> None:
    """No `Cache-Control` value makes a cache decision raise an error."""
    cached_entry = received_entry(
        {"ETag": '"1"', "Cache-Control": value, "Expires": value, "Age": value}
    )
    decide(GET.with_header("Cache-Control", value), cached_entry, POLICY)


@pytest.mark.parametrize(
    "vary, expected",
    [
        ([], ()),
        (["Accept, accept-language "], ("accept", "accept-language")),
        (["B", "a", "b"], ("a", "b")),
        (["*"], None),
        (["a", "*"], None),
        ([","], ()),
    ],
)
def test_vary_gives_set_of_header_names_in_lower_case(
    vary: list[str], expected: tuple[str, ...] | None
) -> None:
    """`Vary` becomes a set of header names in lower case, or None for `*`."""
    assert expected == varies_by(Response(200, [("Vary", value) for value in vary]))


@pytest.mark.parametrize(
    "request_, expected",
    [
        (GET, True),
        (HEAD, True),
        (GET.with_header("Cache-Control", "no-cache"), True),
        (GET.with_header("Cache-Control", "no-store"), False),
        (GET.with_header("Range", "bytes=0-1"), False),
        (GET.with_header("If-None-Match", '"1"'), False),
        (GET.with_header("If-Modified-Since", date(0)), False),
        (GET.evolve(body=b"q"), False),
        (Request.post("/x"), False),
        (Request.options("/x"), False),
    ],
)
def test_requests_that_bypass_the_cache(request_: Request, expected: object) -> None:
    """Requests that are unsafe, conditional or for a range bypass the cache."""
    assert expected is is_cacheable_request(request_)


# --- storing responses ---------------------------------------------------------


@pytest.mark.parametrize(
    "status, control, fields, expected",
    [
        # An explicit lifetime is enough to store a response, even a private one.
        (200, "max-age=60", {}, True),
        (200, "private, max-age=60", {}, True),
        (200, 'private="x-own", max-age=60', {}, True),
        (200, "", {"Expires": date(60)}, True),
        (200, "stale-if-error=60", {}, True),
        (200, "stale-while-revalidate=60", {}, True),
        (302, "max-age=60", {}, True),
        (418, "max-age=60", {}, True),
        # `s-maxage` is for shared caches; without a lifetime or validator a response is not stored.
        (200, "s-maxage=60", {}, False),
        (200, "", {}, False),
        (200, "public", {}, False),
        # For the usual statuses, an ETag or modification date is enough.
        (200, "", {"ETag": '"1"'}, True),
        (200, "", {"Last-Modified": date(-60)}, True),
        (203, "", {"ETag": '"1"'}, True),
        (204, "", {"ETag": '"1"'}, True),
        (300, "", {"ETag": '"1"'}, True),
        (301, "", {"ETag": '"1"'}, True),
        (308, "", {"ETag": '"1"'}, True),
        (404, "", {"ETag": '"1"'}, True),
        (405, "", {"ETag": '"1"'}, True),
        (410, "", {"ETag": '"1"'}, True),
        (414, "", {"ETag": '"1"'}, True),
        (201, "", {"ETag": '"1"'}, False),
        (302, "", {"ETag": '"1"'}, False),
        (307, "", {"ETag": '"1"'}, False),
        (302, "public", {"ETag": '"1"'}, True),
        (302, "private", {"ETag": '"1"'}, True),
        # A response with `no-cache` is stored only if it can be revalidated.
        (200, "no-cache, max-age=60", {"ETag": '"1"'}, True),
        (200, "no-cache, max-age=60", {}, False),
        (200, 'no-cache="x", max-age=60', {}, True),
        # These responses are not stored, except for one that varies by a named header.
        (200, "no-store, max-age=60", {}, False),
        (200, "max-age=60", {"Vary": "*"}, False),
        (200, "max-age=60", {"Vary": "Accept, *"}, False),
        (200, "max-age=60", {"Vary": "Accept"}, True),
        *((status, "max-age=60", {"ETag": '"1"'}, False) for status in (
            206, 304, 401, 403, 407, 408, 421, 425, 429, 500, 501, 502, 503, 504,
        )),
    ],
)  # fmt: skip
def test_only_complete_reusable_responses_are_stored(
    status: int, control: str, fields: dict[str, str], expected: object
) -> None:
    """Complete, reusable responses are stored; temporary refusals and failures are not."""
    cached_entry = received_entry({**fields, "Cache-Control": control}, status=status)
    assert expected is (cached_entry is not None)


def test_stale_if_error_makes_responses_storable() -> None:
    """With `stale_if_error`, a response without lifetime and validators is stored."""
    assert received_entry() is None
    assert received_entry(policy=CachePolicy(stale_if_error=1)) is not None


def test_default_lifetime_makes_successes_storable() -> None:
    """With `default_lifetime`, a success without lifetime and validators is stored."""
    policy = CachePolicy(default_lifetime=60)
    assert received_entry(policy=policy) is not None
    assert received_entry(status=404, policy=policy) is None
    assert received_entry({"Cache-Control": "no-store"}, policy=policy) is None
    assert received_entry({"Cache-Control": "no-cache"}, policy=policy) is None


def test_large_answers_are_not_kept() -> None:
    """A response that is larger than the cache policy allows is not stored."""
    cached_entry = entry("max-age=60")
    size = cached_entry.size

    fields = dict(cached_entry.response.headers)
    assert received_entry(fields, policy=CachePolicy(max_bytes=size)) == cached_entry
    assert received_entry(fields, policy=CachePolicy(max_bytes=size - 1)) is None


def test_size_of_cached_response_includes_its_headers_and_constant() -> None:
    """The size of a cached response includes its headers and a constant."""
    bare_entry = CacheEntry(Response(200), 0.0, 0.0, (), b"")
    assert 512 == bare_entry.size
    assert 576 == attrs.evolve(bare_entry, varies_by=("a",)).size
    assert 516 == attrs.evolve(bare_entry, response=Response(200, body=b"four")).size
    assert 579 == attrs.evolve(bare_entry, response=Response(200, {"A": "bc"})).size


def test_headers_left_out_of_the_store() -> None:
    """Hop-by-hop headers, and those that `no-cache` names, are not stored in the cache."""
    cached_entry = entry(
        'max-age=60, no-cache="Set-Cookie, X-Once"',
        {
            "Set-Cookie": "a=b",
            "X-Once": "1",
            "X-Kept": "1",
            "Connection": "X-Hop",
            "X-Hop": "1",
            "Keep-Alive": "1",
            "Date": date(0),
        },
    )
    assert ["ETag", "Cache-Control", "X-Kept", "Date"] == list(cached_entry.response.headers)
    assert FreshAnswer() == decide(GET, cached_entry, POLICY)


@pytest.mark.parametrize("control", ["max-age=60", "max-age=60, no-cache"])
@pytest.mark.parametrize("name", ["X-Own", "XXXX"])
def test_header_that_no_directive_names_is_stored(control: str, name: str) -> None:
    """Any response header that no directive names is stored."""
    assert "1" == entry(control, {name: "1"}).response.headers[name]


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"Cache-Control": "max-age=60"}, 60.0),
        ({"Cache-Control": "max-age=60, s-maxage=10"}, 60.0),
        ({"Cache-Control": "max-age=60", "Expires": date(5)}, 60.0),
        ({"Expires": date(5)}, 5.0),
        ({"Expires": date(5), "Date": date(-5)}, 10.0),
        ({"Expires": date(65), "Date": date(60)}, 5.0),
        ({"Expires": date(-5)}, 0.0),
        ({"Expires": OBSOLETE_DATE}, 5.0),
        ({"Expires": "0"}, 0.0),
        ({"Expires": "-1"}, 0.0),
        ({"Expires": "0", "Last-Modified": date(-86_400)}, 0.0),
        ({"Last-Modified": date(-86_400)}, 0.0),
        ({"Cache-Control": "max-age=soon"}, 0.0),
        ({"Cache-Control": "max-age=-5"}, 0.0),
        ({"Cache-Control": "max-age=1.5"}, 0.0),
        ({"Cache-Control": "max-age"}, 0.0),
        ({"Cache-Control": "max-age=" + "9" * 5000}, 2.0**31),
        ({"Expires": "Fri, 31 Dec 9999 23:59:59 GMT"}, 2.0**31),
    ],
)
def test_response_lifetime_is_max_age(fields: dict[str, str], expected: float) -> None:
    """The lifetime of a response is its `max-age`, or else its `Expires`.

    If the value is malformed, the response is expired.
    """
    cached_entry = received_entry({"ETag": '"1"'} | fields)
    assert cached_entry is not None
    assert expected == cached_entry.lifetime


@pytest.mark.parametrize(
    "status, fields, expected",
    [
        (200, {"Last-Modified": date(-1000)}, 100.0),
        (200, {"Last-Modified": date(-1000), "Date": date(-500)}, 50.0),
        (200, {"Last-Modified": OBSOLETE_DATE, "Date": date(105)}, 10.0),
        (200, {"Last-Modified": date(1000)}, 0.0),
        (200, {"Last-Modified": "soon", "ETag": '"1"'}, 0.0),
        (200, {"Last-Modified": date(-(10**6))}, 600.0),
        (200, {"Last-Modified": date(-1000), "Cache-Control": "max-age=7"}, 7.0),
        (200, {"Last-Modified": date(-1000), "Expires": "0"}, 0.0),
        (302, {"Last-Modified": date(-1000), "Cache-Control": "stale-if-error=1"}, 0.0),
        (302, {"Last-Modified": date(-1000), "Cache-Control": "public"}, 100.0),
    ],
)
def test_heuristic_lifetime_is_a_share_of_the_time_since_the_last_change(
    status: int, fields: dict[str, str], expected: float
) -> None:
    """With a heuristic, a response's lifetime is a fraction of the time since its last change."""
    policy = CachePolicy(heuristic=0.1, heuristic_limit=600)
    cached_entry = received_entry(fields, status=status, policy=policy)
    assert cached_entry is not None
    assert expected == cached_entry.lifetime


@pytest.mark.parametrize(
    "status, fields, expected",
    [
        (200, {}, 60.0),
        (200, {"Last-Modified": date(-100)}, 60.0),
        (200, {"Last-Modified": date(-1000)}, 100.0),
        (200, {"Cache-Control": "max-age=5"}, 5.0),
        (200, {"Expires": "0", "ETag": '"1"'}, 0.0),
        (404, {"ETag": '"1"'}, 0.0),
    ],
)
def test_response_that_states_no_lifetime_has_default_one(
    status: int, fields: dict[str, str], expected: float
) -> None:
    """A response that states no lifetime has the default one, or a longer heuristic one."""
    policy = CachePolicy(heuristic=0.1, default_lifetime=60)
    cached_entry = received_entry(fields, status=status, policy=policy)
    assert cached_entry is not None
    assert expected == cached_entry.lifetime


@pytest.mark.parametrize(
    "fields, elapsed, expected",
    [
        ({}, 0.0, 0.0),
        ({"Age": "5"}, 0.0, 5.0),
        ({"Age": "5"}, 2.0, 7.0),
        ({"Age": "soon"}, 2.0, 2.0),
        ({"Age": "-3"}, 2.0, 2.0),
        ({"Date": date(-20)}, 2.0, 20.0),
        ({"Date": date(-20), "Age": "30"}, 2.0, 32.0),
        ({"Date": date(20)}, 2.0, 2.0),
        ({"Date": "today"}, 2.0, 2.0),
        ({"Date": OBSOLETE_PAST}, 2.0, 20.0),
        # A client's clock may step back while it waits.
        ({"Date": date(20)}, -2.0, 0.0),
    ],
)
def test_age_of_a_response_counts_from_its_date_header(
    fields: dict[str, str], elapsed: float, expected: float
) -> None:
    """A response's age counts from its Date header, and includes other caches and the transfer."""
    assert expected == entry("max-age=60", fields, elapsed=elapsed).age


@pytest.mark.parametrize("given_", [{}, {"Date": "today"}])
def test_response_without_a_date_gets_the_time_of_arrival(given_: dict[str, str]) -> None:
    """A stored response without a date gets the time of its arrival."""
    assert date(0) == entry("max-age=60", given_).response.headers["date"]


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 10**6))
def test_stale_response_stays_stale_until_it_is_confirmed(
    first: float, more: float, lifetime: int
) -> None:
    """A stale cached response stays stale until the server confirms it."""
    cache_entry = entry(f"max-age={lifetime}").later(first)
    early_decision, late_decision = (
        decide(GET, item, POLICY) for item in (cache_entry, cache_entry.later(more))
    )
    assert isinstance(early_decision, FreshAnswer) == (cache_entry.age < lifetime)
    assert isinstance(early_decision, FreshAnswer) or not isinstance(late_decision, FreshAnswer)


@given(st.floats(-1e9, 0))
def test_clock_step_back_makes_nothing_younger(back: float) -> None:
    """A clock step back makes no stored response younger."""
    cache_entry = entry("max-age=60", {"Age": "7"})
    assert cache_entry == cache_entry.later(back)


@given(
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.integers(-1000, 1000),
    st.floats(0, 100),
    st.floats(0, 1000),
)
def test_no_answer_is_used_past_its_lifetime(
    lifetime: int, age: int, skew: int, elapsed: float, rested: float
) -> None:
    """A stored response is fresh only if its lifetime exceeds its age, measured by any clock."""
    cache_entry = entry(
        f"max-age={lifetime}", {"Age": f"{age}", "Date": date(skew)}, elapsed=elapsed
    )
    if isinstance(decide(GET, cache_entry.later(rested), POLICY), FreshAnswer):
        assert lifetime > age + elapsed + rested
        assert lifetime > -skew + rested


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_request_directives_never_make_more_responses_fresh(
    age: int, lifetime: int, most: int, least: int
) -> None:
    """Cache directives of a request make fewer responses fresh, never more."""
    cache_entry = entry(f"max-age={lifetime}").later(age)
    strict = GET.with_header("Cache-Control", f"max-age={most}, min-fresh={least}")
    if isinstance(decide(strict, cache_entry, POLICY), FreshAnswer):
        assert FreshAnswer() == decide(GET, cache_entry, POLICY)
        assert age <= most
        assert lifetime - age > least
