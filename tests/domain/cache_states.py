"""Test helpers: stored responses, points in time, and decisions of the response cache."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from moorage import CachePolicy
from moorage.domain.cache.rules import (
    CacheEntry,
    Decision,
    StaleAnswer,
    decide,
    new_cache_entry,
)
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Request, Response

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GET = Request.get("/x")
HEAD = Request.head("/x")
CALLER = b"somebody"
POLICY = CachePolicy()


def moment_after(seconds: float) -> datetime:
    """Return the tests' fixed time plus this number of seconds."""
    return NOW + timedelta(seconds=seconds)


def date(seconds: float) -> str:
    """Return the tests' fixed time plus this number of seconds, as an HTTP date."""
    return format_datetime(moment_after(seconds), usegmt=True)


OBSOLETE_DATE = f"{moment_after(5):%A, %d-%b-%y %H:%M:%S} GMT"
OBSOLETE_PAST = f"{moment_after(-20):%A, %d-%b-%y %H:%M:%S} GMT"


def received_entry(
    fields: dict[str, str] | None = None,
    *,
    status: int = 200,
    elapsed: float = 0.0,
    policy: CachePolicy = POLICY,
    request: Request = GET,
) -> CacheEntry | None:
    """Return the cache entry for a response that has just arrived; None if it is not stored."""
    return new_cache_entry(
        request, Response(status, fields or {}, b"kept", elapsed=elapsed), CALLER, NOW, policy
    )


def entry(
    control: str, fields: dict[str, str] | None = None, *, elapsed: float = 0.0
) -> CacheEntry:
    """Return a stored response with this `Cache-Control` header."""
    cached_entry = received_entry(
        {"ETag": '"1"', "Cache-Control": control, **(fields or {})}, elapsed=elapsed
    )
    assert cached_entry is not None
    return cached_entry


def decision_after(
    control: str,
    after: float,
    *,
    directive: str = "",
    request: Request = GET,
    policy: CachePolicy = POLICY,
) -> Decision:
    """Return the decision about a response with this `Cache-Control` after some seconds."""
    headers = {"Cache-Control": directive} if directive else {}
    return decide(request.with_headers(headers), entry(control).later(after), policy)


def expect_stale(*, meanwhile: bool = False, if_error: bool = False) -> StaleAnswer:
    """Return the decision that a cached response must be revalidated."""
    return StaleAnswer(Headers({"If-None-Match": '"1"'}), meanwhile, if_error)
