"""When an answer may be used again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.domain.caching import (
    CacheEntry,
    Decision,
    Fresh,
    Miss,
    StaleRevalidate,
    age,
    cache_control,
    cache_key,
    decide,
    freshness,
    invalidated,
    refreshed,
    storable,
    varies_by,
)
from mooring.domain.headers import Headers
from mooring.domain.http import Request, Response

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GET = Request.get("/x")


def at(seconds: float) -> datetime:
    """Give a moment from now."""
    return NOW + timedelta(seconds=seconds)


def date(seconds: float) -> str:
    """Write a moment from now as HTTP does."""
    return format_datetime(at(seconds), usegmt=True)


def entry(
    control: str, fields: dict[str, str] | None = None, *, elapsed: float = 0.0
) -> CacheEntry:
    """Keep an answer that arrived just now."""
    headers = {"Cache-Control": control, **(fields or {})}
    return CacheEntry(Response(200, headers, b"kept", elapsed=elapsed), NOW)


def decided(control: str, after: float, *, asked: str = "", shared: bool = False) -> Decision:
    """Decide about an answer with this `Cache-Control` after so many seconds."""
    request = Request.get("/x", headers={"Cache-Control": asked} if asked else None)
    return decide(request, entry(control), at(after), shared=shared)


def stale(*, meanwhile: bool = False, if_error: bool = False) -> StaleRevalidate:
    """Expect a revalidation without validators."""
    return StaleRevalidate(Headers(), meanwhile, if_error)


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
def test_directives(value: str, expected: dict[str, str]) -> None:
    """Directives are read in any case, quoted or not, and the first of several counts."""
    assert expected == cache_control(Headers({"Cache-Control": value}))


def test_directives_of_several_fields() -> None:
    """A repeated header is one list."""
    headers = Headers([("Cache-Control", "public"), ("cache-control", "max-age=1")])
    assert {"public": "", "max-age": "1"} == cache_control(headers)


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])))
def test_no_directive_raises(value: str) -> None:
    """Whatever a service writes, there is a decision."""
    decided(value, 1.0, asked=value)


@pytest.mark.parametrize(
    "request_, status, control, shared, expected",
    [
        (GET, 200, "max-age=60", True, True),
        (GET, 200, "private, max-age=60", False, True),
        (GET, 200, "private, max-age=60", True, False),
        (GET, 200, "no-store, max-age=60", False, False),
        (GET, 200, "no-cache, max-age=60", False, True),
        (GET, 200, "stale-if-error=60", False, True),
        (GET, 200, "public", False, False),
        (GET, 200, "", False, False),
        (GET, 206, "max-age=60", False, False),
        (GET, 304, "max-age=60", False, False),
        (GET, 404, "max-age=60", False, True),
        (GET, 500, "max-age=60", False, True),
        (Request.head("/x"), 200, "max-age=60", False, False),
        (Request.post("/x"), 200, "max-age=60", False, False),
        (Request.get("/x").evolve(body=b"q"), 200, "max-age=60", False, False),
        (GET.with_header("Cache-Control", "no-store"), 200, "max-age=60", False, False),
        (GET.with_header("Range", "bytes=0-1"), 200, "max-age=60", False, False),
        (GET.with_header("Authorization", "x"), 200, "max-age=60", False, True),
        (GET.with_header("Authorization", "x"), 200, "max-age=60", True, False),
        (GET.with_header("X-API-Key", "x"), 200, "max-age=60", True, False),
        (GET.with_header("Authorization", "x"), 200, "max-age=60, public", True, True),
        (GET.with_header("Authorization", "x"), 200, "s-maxage=60", True, True),
        (GET.with_header("Authorization", "x"), 200, "max-age=6, must-revalidate", True, True),
        (GET.with_header("Authorization", "x"), 200, "private, s-maxage=60", True, False),
    ],
)
def test_what_may_be_kept(
    request_: Request,
    status: int,
    control: str,
    shared: bool,  # noqa: FBT001 - a column of the table
    expected: object,
) -> None:
    """Only whole answers to plain GETs are kept, and by a shared cache nothing personal."""
    response = Response(status, {"Cache-Control": control})
    assert expected is storable(request_, response, shared=shared)


@pytest.mark.parametrize(
    "status, fields, expected",
    [
        (200, {"ETag": '"1"'}, True),
        (200, {"Last-Modified": date(-60)}, True),
        (200, {"Expires": date(60)}, True),
        (200, {"ETag": '"1"', "Vary": "*"}, False),
        (200, {"ETag": '"1"', "Vary": "Accept, *"}, False),
        (200, {"ETag": '"1"', "Vary": "Accept"}, True),
        (403, {"ETag": '"1"'}, False),
    ],
)
def test_what_can_be_used_again(status: int, fields: dict[str, str], expected: object) -> None:
    """An answer is worth keeping with a lifetime, or with something to revalidate it by."""
    assert expected is storable(GET, Response(status, fields), shared=False)


@pytest.mark.parametrize(
    "control, fields, private, shared",
    [
        ("max-age=60", {}, 60.0, 60.0),
        ("max-age=60, s-maxage=10", {}, 60.0, 10.0),
        ("max-age=60", {"Expires": date(5)}, 60.0, 60.0),
        ("", {"Expires": date(5)}, 5.0, 5.0),
        ("", {"Expires": date(5), "Date": date(-5)}, 5.0, 5.0),
        ("", {"Expires": date(65), "Date": date(60)}, 5.0, 5.0),
        ("", {"Expires": "0"}, 0.0, 0.0),
        ("", {"Last-Modified": date(-86_400)}, 0.0, 0.0),
        ("max-age=soon", {}, 0.0, 0.0),
        ("max-age=-5", {}, 0.0, 0.0),
        ("max-age=" + "9" * 5000, {}, 2.0**31, 2.0**31),
    ],
)
def test_lifetimes(control: str, fields: dict[str, str], private: float, shared: float) -> None:
    """Explicit lifetimes only: `s-maxage` for shared caches, `max-age`, then `Expires`."""
    kept = entry(control, fields)
    assert private == freshness(kept, NOW, shared=False)
    assert shared == freshness(kept, NOW, shared=True)


@pytest.mark.parametrize(
    "fields, elapsed, after, expected",
    [
        ({}, 0.0, 0.0, 0.0),
        ({}, 0.0, 7.0, 7.0),
        ({}, 0.0, -7.0, 0.0),
        ({"Age": "5"}, 0.0, 7.0, 12.0),
        ({"Age": "5"}, 2.0, 7.0, 14.0),
        ({"Age": "soon"}, 2.0, 7.0, 9.0),
        ({"Date": date(-20)}, 2.0, 7.0, 27.0),
        ({"Date": date(-20), "Age": "30"}, 2.0, 7.0, 39.0),
        ({"Date": date(20)}, 2.0, 7.0, 9.0),
    ],
)
def test_age(fields: dict[str, str], elapsed: float, after: float, expected: float) -> None:
    """Age counts from the service: time in other caches, on the way, and here."""
    assert expected == age(entry("max-age=60", fields, elapsed=elapsed), at(after))


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 10**6))
def test_answers_only_grow_old(first: float, more: float, lifetime: int) -> None:
    """What is stale stays stale, and freshness and age add up to the lifetime."""
    kept = entry(f"max-age={lifetime}")
    early, late = at(first), at(first + more)
    assert freshness(kept, early, shared=False) >= freshness(kept, late, shared=False)
    assert lifetime == pytest.approx(
        freshness(kept, late, shared=False) + age(kept, late), abs=1e-6
    )


@pytest.mark.parametrize(
    "control, after, asked, expected",
    [
        ("max-age=60", 59.0, "", Fresh(59.0)),
        ("max-age=60", 60.0, "", stale()),
        ("max-age=60, no-cache", 1.0, "", stale()),
        ("max-age=60", 1.0, "no-cache", stale()),
        ("max-age=60", 1.0, "no-store", Miss()),
        ("max-age=60", 10.0, "max-age=10", Fresh(10.0)),
        ("max-age=60", 11.0, "max-age=10", stale()),
        ("max-age=60", 10.0, "max-age=soon", stale()),
        ("max-age=60", 10.0, "min-fresh=49", Fresh(10.0)),
        ("max-age=60", 10.0, "min-fresh=50", stale()),
        ("max-age=60", 69.0, "max-stale=10", Fresh(69.0)),
        ("max-age=60", 70.0, "max-stale=10", stale()),
        ("max-age=60", 1e6, "max-stale", Fresh(1e6)),
        ("max-age=60, stale-while-revalidate=9", 61.0, "min-fresh=1", stale()),
        ("max-age=60, stale-if-error=9", 20.0, "max-age=10", stale(if_error=True)),
        ("max-age=60, must-revalidate", 61.0, "max-stale", stale()),
        ("max-age=60, stale-while-revalidate=10", 69.0, "", stale(meanwhile=True)),
        ("max-age=60, stale-while-revalidate=10", 70.0, "", stale()),
        ("max-age=60, stale-while-revalidate=10", 61.0, "max-age=5", stale()),
        ("max-age=60, stale-while-revalidate=10, must-revalidate", 61.0, "", stale()),
        ("max-age=60, stale-if-error=100", 159.0, "", stale(if_error=True)),
        ("max-age=60, stale-if-error=100", 160.0, "", stale()),
        ("max-age=60", 61.0, "stale-if-error=100", stale(if_error=True)),
        ("max-age=60, must-revalidate", 61.0, "stale-if-error=100", stale()),
        ("max-age=60, no-cache, stale-if-error=100", 61.0, "", stale()),
    ],
)
def test_decisions(control: str, after: float, asked: str, expected: Decision) -> None:
    """Service and request together say whether the answer kept is used, checked or passed over."""
    assert expected == decided(control, after, asked=asked)


@pytest.mark.parametrize("control", ["max-age=60, proxy-revalidate", "max-age=9, s-maxage=60"])
def test_shared_caches_are_stricter(control: str) -> None:
    """What only shared caches must revalidate is never stale to their users."""
    grace = f"{control}, stale-if-error=100"
    assert stale() == decided(grace, 61.0, shared=True)
    assert stale(if_error=True) == decided(grace, 61.0)


@pytest.mark.parametrize(
    "request_",
    [
        Request.post("/x"),
        Request.get("/x").evolve(body=b"q"),
        Request.get("/x", headers={"If-None-Match": '"1"'}),
        Request.get("/x", headers={"Range": "bytes=0-1"}),
    ],
)
def test_other_requests_pass_the_cache(request_: Request) -> None:
    """What asks for a part, or sets conditions of its own, is not answered from the cache."""
    assert Miss() == decide(request_, entry("max-age=60"), NOW, shared=False)
    assert Miss() == decide(GET, None, NOW, shared=False)


def test_validators() -> None:
    """A revalidation carries what the answer kept can be recognised by."""
    kept = entry("max-age=1", {"ETag": 'W/"1"', "Last-Modified": date(-60)})
    expected = Headers({"If-None-Match": 'W/"1"', "If-Modified-Since": date(-60)})
    assert StaleRevalidate(expected, while_revalidating=False, if_error=False) == decide(
        GET, kept, at(2), shared=False
    )


def test_a_304_makes_the_answer_fresh_again() -> None:
    """The body stays, fields sent anew replace their namesakes, and the age starts again."""
    kept = entry(
        "max-age=1", {"ETag": '"1"', "Content-Type": "text/plain", "X-Old": "1", "Age": "9"}
    )
    confirmed = Response(
        304,
        [
            ("cache-control", "max-age=60"),
            ("ETag", '"1"'),
            ("Content-Length", "0"),
            ("Content-Type", "text/html"),
            ("Connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("Age", "2"),
        ],
        elapsed=0.5,
    )
    fresh = refreshed(kept, confirmed, at(100))
    assert (200, b"kept") == (fresh.response.status, fresh.response.body)
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
        == fresh.response.headers
    )
    assert Fresh(2.5) == decide(GET, fresh, at(100), shared=False)


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
def test_varying(vary: list[str], expected: tuple[str, ...] | None) -> None:
    """The names are a set without case; with `*` no two requests are alike."""
    assert expected == varies_by(Response(200, [("Vary", value) for value in vary]))


@pytest.mark.parametrize(
    "other",
    [
        Request.get("/y", query={"a": "1"}, headers={"A": "1", "B": "2"}),
        Request.get("/x", query={"a": "2"}, headers={"A": "1", "B": "2"}),
        Request.get("/x", query={"a": "1"}, headers={"A": "2", "B": "2"}),
        Request.get("/x", query={"a": "1"}, headers={"B": "2"}),
        Request.get("/x", query={"a": "1"}, headers={"A": "", "B": "2"}),
        Request.get("/x", query={"a": "1"}, headers=[("A", "1"), ("A", ""), ("B", "2")]),
    ],
)
def test_what_differs_is_kept_apart(other: Request) -> None:
    """Path, query and the headers varied by each make another key."""
    request = Request.get("/x", query={"a": "1"}, headers={"A": "1", "B": "2"})
    assert cache_key(request, ["a"]) != cache_key(other, ["a"])
    assert cache_key(request, ["a"]) == cache_key(request.with_header("B", "3"), ["a"])


def test_keys_tell_nothing() -> None:
    """A key is a digest, and that of the varying is never that of an answer."""
    request = Request.get("/x", headers={"Authorization": "hidden"})
    assert cache_key(request) != cache_key(request, [])
    assert 64 == len(cache_key(request, ["authorization"]))
    assert "hidden" not in cache_key(request, ["authorization"])


@pytest.mark.parametrize(
    "request_, status, expected",
    [
        (Request.post("/x"), 201, cache_key(GET)),
        (Request.delete("/x"), 302, cache_key(GET)),
        (Request.put("/x", query={"a": 1}), 204, cache_key(Request.get("/x", query={"a": 1}))),
        (Request.post("/x"), 400, None),
        (Request.post("/x"), 500, None),
        (GET, 200, None),
    ],
)
def test_changes_invalidate(request_: Request, status: int, expected: str | None) -> None:
    """An unsafe request that was not refused makes what is kept of its URL obsolete."""
    assert expected == invalidated(request_, Response(status))
