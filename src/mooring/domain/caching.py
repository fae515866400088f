"""When an answer may be used again: the rules of RFC 9111 and RFC 5861 for a client's cache.

A cache keeps two things. Under `cache_key(request)` lie the names of the headers that the answer
varies by, and under `cache_key(request, names)` the answer itself. A *shared* cache serves several
users, and keeps nothing that is private to one of them. Without an explicit lifetime an answer is
stale at once; nothing is guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from mooring.domain.fingerprint import digest
from mooring.domain.headers import Headers
from mooring.domain.http import HttpMethod, Request
from mooring.domain.http_date import parse_http_date
from mooring.domain.query import encode_pairs
from mooring.domain.sensitive import is_sensitive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mooring.domain.response import Response

_LONGEST = 2.0**31
_DIRECTIVE = re.compile(
    r"""([\w!#$%&'*+.^`|~\-]+)(?:\s{0,4}=\s{0,4}(?:"((?:[^"\\]|\\.)*+)"?|([^\s,;"]*)))?""", re.ASCII
)
_DELTA = re.compile(r"[0-9]+")

_CACHEABLE: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses that may be kept without an explicit lifetime."""
_INCOMPLETE: Final = frozenset({206, 304})
_LIFETIMES: Final = ("s-maxage", "max-age", "stale-while-revalidate", "stale-if-error")
_CONDITIONS: Final = (
    "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range",
)  # fmt: skip
_NOT_UPDATED: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
        "content-encoding", "content-length", "content-range", "content-type",
    }
)  # fmt: skip
"""Fields of a 304 that describe that message and not the answer kept."""


@attrs.frozen
class CacheEntry:
    """An answer as it was received, and when that was, by the clock that will give `now`."""

    response: Response
    received_at: datetime


@attrs.frozen
class Fresh:
    """The answer kept may be used; it is `age` seconds old."""

    age: float


@attrs.frozen
class StaleRevalidate:
    """The service is to be asked, with these headers added, whether the answer kept still holds.

    Attributes:
        validators: conditions for the request; without any it is sent as it is.
        while_revalidating: whether the answer kept may be used meanwhile.
        if_error: whether it may be used if the service cannot be reached or answers with 500, 502,
            503 or 504.
    """

    validators: Headers
    while_revalidating: bool
    if_error: bool


@attrs.frozen
class Miss:
    """The cache has no part in this request's answer."""


Decision: TypeAlias = Fresh | StaleRevalidate | Miss


def cache_control(headers: Headers) -> dict[str, str]:
    """Read `Cache-Control`; of a repeated directive the first counts."""
    directives: dict[str, str] = {}
    for found in _DIRECTIVE.finditer(",".join(headers.get_all("cache-control"))):
        directives.setdefault(found[1].lower(), found[2] or found[3] or "")
    return directives


def varies_by(response: Response) -> tuple[str, ...] | None:
    """Name the request headers that an answer depends on; None if on more than headers."""
    names = ",".join(response.headers.get_all("vary")).lower().split(",")
    stripped = {name.strip() for name in names} - {""}
    return None if "*" in stripped else tuple(sorted(stripped))


def cache_key(request: Request, names: Sequence[str] | None = None) -> str:
    """Name where the answer to a GET is kept, or without `names` where its varying is.

    The key tells nothing of what it is made of. It does not tell services, tenants or credentials
    apart, which its user must.
    """
    parts = [request.path, encode_pairs(request.query)]
    for name in () if names is None else names:
        values = request.headers.get_all(name)
        parts += [name, f"{len(values)}", ", ".join(values)]
    kind = b"names" if names is None else b"answer"
    return digest([kind, *(part.encode() for part in parts)]).hex()


def storable(request: Request, response: Response, *, shared: bool) -> bool:
    """Tell whether the answer may be kept; the request is the one sent, credentials included."""
    asked, said = cache_control(request.headers), cache_control(response.headers)
    if not _is_cacheable(request) or response.status in _INCOMPLETE:
        return False
    if "no-store" in asked or "no-store" in said:
        return False
    if varies_by(response) is None or (shared and not _may_share(request, said)):
        return False
    if "expires" in response.headers or any(name in said for name in _LIFETIMES):
        return True
    return response.status in _CACHEABLE and bool(_validators(response))


def age(entry: CacheEntry, now: datetime) -> float:
    """Return how many seconds ago the service made or last confirmed the answer."""
    headers, received_at = entry.response.headers, entry.received_at
    made_at = parse_http_date(headers.get("date", ""), received_at) or received_at
    apparent = (received_at - made_at).total_seconds()
    stated = headers.get("age", "")
    on_the_way = (_delta(stated) if _DELTA.fullmatch(stated) else 0.0) + entry.response.elapsed
    return max(apparent, on_the_way) + max(0.0, (now - received_at).total_seconds())


def freshness(entry: CacheEntry, now: datetime, *, shared: bool) -> float:
    """Return for how many seconds the answer is still fresh; below zero, since when it is stale."""
    return _lifetime(entry, shared=shared) - age(entry, now)


def decide(request: Request, entry: CacheEntry | None, now: datetime, *, shared: bool) -> Decision:
    """Say what to do with the answer kept for a request, which the request may restrict further."""
    asked = cache_control(request.headers)
    if entry is None or not _is_cacheable(request) or "no-store" in asked:
        return Miss()
    said = cache_control(entry.response.headers)
    current, left = age(entry, now), freshness(entry, now, shared=shared)
    checked = "no-cache" in asked or "no-cache" in said
    strict = checked or "must-revalidate" in said
    if shared:
        strict = strict or "proxy-revalidate" in said or "s-maxage" in said
    young = "max-age" not in asked or current <= _delta(asked["max-age"])
    spare = left - (_delta(asked["min-fresh"]) if "min-fresh" in asked else 0.0)
    bearable = 0.0 if strict or "max-stale" not in asked else _delta(asked["max-stale"] or "9" * 10)
    if young and not checked and spare + bearable > 0:
        return Fresh(current)
    patient = young and not strict and "min-fresh" not in asked
    return StaleRevalidate(
        _validators(entry.response),
        while_revalidating=patient and _bears("stale-while-revalidate", left, said),
        if_error=not strict and _bears("stale-if-error", left, asked, said),
    )


def refreshed(entry: CacheEntry, not_modified: Response, now: datetime) -> CacheEntry:
    """Return the answer kept as a 304 confirms it: its own body, and the fields sent anew."""
    dropped = {
        *_NOT_UPDATED,
        *(name.strip().lower() for name in not_modified.headers.get("connection", "").split(",")),
    }
    sent = Headers([pair for pair in not_modified.headers.pairs if pair[0].lower() not in dropped])
    kept = [pair for pair in entry.response.headers.pairs if pair[0] not in sent]
    response = entry.response.evolve(
        headers=Headers([*kept, *sent.pairs]), elapsed=not_modified.elapsed
    )
    return CacheEntry(response, now)


def invalidated(request: Request, response: Response) -> str | None:
    """Return the key whose answers no longer hold, once this request has changed something."""
    if request.method.safe or response.status >= 400:
        return None
    return cache_key(request)


def _is_cacheable(request: Request) -> bool:
    """Tell whether the request asks for a whole resource that its URL and headers name."""
    plain = request.method is HttpMethod.GET and request.body == b""
    return plain and not any(name in request.headers for name in _CONDITIONS)


def _may_share(request: Request, said: dict[str, str]) -> bool:
    """Tell whether other users may see the answer.

    Any header that holds a credential counts as `Authorization` does: API keys are as personal.
    """
    if "private" in said:
        return False
    allowed = any(name in said for name in ("public", "s-maxage", "must-revalidate"))
    return allowed or not any(is_sensitive(name) for name in request.headers)


def _lifetime(entry: CacheEntry, *, shared: bool) -> float:
    headers, received_at = entry.response.headers, entry.received_at
    said = cache_control(headers)
    if shared and "s-maxage" in said:
        return _delta(said["s-maxage"])
    if "max-age" in said:
        return _delta(said["max-age"])
    expires = parse_http_date(headers.get("expires", ""), received_at)
    if expires is None:
        return 0.0
    made_at = parse_http_date(headers.get("date", ""), received_at) or received_at
    return (expires - made_at).total_seconds()


def _validators(response: Response) -> Headers:
    conditions = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
    known = [(name, response.headers.get(field)) for name, field in conditions.items()]
    return Headers([(name, value) for name, value in known if value is not None])


def _bears(directive: str, left: float, *control: dict[str, str]) -> bool:
    """Tell whether an answer with so much freshness left is within the grace that was given."""
    grace = max(_delta(directives.get(directive, "")) for directives in control)
    return grace > 0 and left + grace > 0


def _delta(text: str) -> float:
    """Read a number of seconds; what is none is 0, so that it makes an answer stale."""
    return min(float(text), _LONGEST) if _DELTA.fullmatch(text) else 0.0
