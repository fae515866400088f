"""The rules of RFC 9111 and RFC 5861 for reusing a response in a client's cache.

A cache keeps several responses for one URL of a service and a tenant. They differ in `selected_by`:
a digest of the caller (the credential, and every header that may carry one) and of the request
headers that the response varies by. So no response is ever given to another caller, and the rules
are those of a private cache: `private` responses are kept, and `s-maxage` and `proxy-revalidate`
are ignored.

Ages are durations. A response is as old as its headers say when it is received, and ages by the
clock of the cache that stores it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import attrs

from moorage.domain.http.dates import parse_http_date, write_http_date
from moorage.domain.http.fingerprint import digest
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import HttpMethod, Request, join_url
from moorage.domain.secrets.sensitive import is_sensitive
from moorage.domain.state.keys import state_key
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from moorage.domain.http.response import Response
    from moorage.domain.service.cache_policy import CachePolicy
    from moorage.domain.service.settings import Service

_MAX_SECONDS = 2.0**31
_DIRECTIVE = re.compile(
    r"""([\w!#$%&'*+.^`|~\-]+)(?:\s{0,4}=\s{0,4}(?:"((?:[^"\\]|\\.)*+)"?|([^\s,;"]*)))?""", re.ASCII
)
_DELTA = re.compile(r"[0-9]+")

_CACHEABLE: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414})
"""HTTP statuses of responses that may be cached without an explicit lifetime."""
_UNCACHEABLE: Final = frozenset({206, 304, 401, 403, 407, 408, 421, 425, 429})
"""HTTP statuses of responses that are never cached, such as parts and refusals."""
_FIRST_SERVER_ERROR: Final = 500
_LIFETIMES: Final = ("max-age", "stale-while-revalidate", "stale-if-error")
_CONDITIONS: Final = frozenset(
    {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"}
)
_HOP_BY_HOP: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_BODY_HEADERS: Final = frozenset(
    {"content-encoding", "content-length", "content-range", "content-type"}
)
"""Headers of a 304 response that describe only that response and not the cached one."""
_MESSAGE_HEADERS: Final = frozenset({"age", "date"})
"""Headers that only tell when a message was made."""
_NO_DIRECTIVES: Final[Mapping[str, str]] = MappingProxyType({})
_MOST_SELECTORS: Final = 16
_FIELD: Final = 64
"""The approximate overhead of a header or a cache entry, in bytes."""


@attrs.frozen
class CacheEntry:
    """An HTTP response in the cache, with its age and lifetime.

    Attributes:
        response: the response, without the fields that must not be reused.
        lifetime: the seconds for which the response is fresh.
        age: the entry's age in seconds.
        varies_by: the names of the request headers that the response depends on.
        selected_by: a digest of the caller and of the caller's values of these headers.
    """

    response: Response
    lifetime: float
    age: float
    varies_by: tuple[str, ...]
    selected_by: bytes

    def later(self, seconds: float) -> CacheEntry:
        """Return the cache entry with its age increased by `seconds`."""
        entry: Any = _new(_NewEntry)
        entry.response = self.response
        entry.lifetime = self.lifetime
        entry.age = self.age + seconds if seconds > 0.0 else self.age
        entry.varies_by = self.varies_by
        entry.selected_by = self.selected_by
        entry.__class__ = CacheEntry
        return entry  # type: ignore[no-any-return]  # its class was just set

    @property
    def size(self) -> int:
        """The approximate size of a cache entry in bytes."""
        headers = self.response.headers.pairs
        return (
            len(self.response.body)
            + sum(_FIELD + len(name) + len(value) for name, value in headers)
            + _FIELD * (8 + len(self.varies_by))
        )


class _NewEntry(CacheEntry):
    """A mutable cache entry, which becomes a `CacheEntry` once all of its fields are set."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_new: Final = object.__new__

Entries: TypeAlias = "tuple[CacheEntry, ...]"
"""The cached responses of one URL, the newest first."""


class StoredAnswers(NamedTuple):
    """The result of a cache look-up: the stored HTTP responses with the same cache key.

    Attributes:
        version: identifies the content that was read, so that a response is stored only if nothing
            has changed since.
        entries: the responses, with their current ages.
        unreadable: the name of the error that reading the content raised, if it did.
    """

    version: int
    entries: Entries = ()
    unreadable: str | None = None


@attrs.frozen
class FreshAnswer:
    """The decision to return the cached response, because it is fresh."""


_FRESH_DECISION: Final = FreshAnswer()


@attrs.frozen
class StaleAnswer:
    """The decision to ask the service to confirm the cached response.

    Attributes:
        validators: conditional headers for the request; without any the request is sent unchanged.
        while_revalidating: whether the cached response may be used while another call
            revalidates it.
        if_error: whether the cached response may be used if the service cannot be reached or fails.
    """

    validators: Headers
    while_revalidating: bool
    if_error: bool


@attrs.frozen
class NoCachedAnswer:
    """The decision to ask the service, because no cached response can be used."""


Decision: TypeAlias = FreshAnswer | StaleAnswer | NoCachedAnswer


# --- what is what ---------------------------------------------------------------


def cache_control(headers: Headers) -> Mapping[str, str]:
    """Parse the `Cache-Control` headers; the first of several equal directives counts."""
    values = headers.get_all("cache-control")
    if not values:
        return _NO_DIRECTIVES
    return _directives(values[0] if len(values) == 1 else ",".join(values))


@lru_cache(maxsize=256)
def _directives(text: str) -> Mapping[str, str]:
    directives: dict[str, str] = {}
    for match in _DIRECTIVE.finditer(text):
        directives.setdefault(match[1].lower(), match[2] or match[3] or "")
    return MappingProxyType(directives)


def varies_by(response: Response) -> tuple[str, ...] | None:
    """Return the request headers that a response depends on; None for `Vary: *`."""
    names = _listed_names(response.headers, "vary")
    return None if "*" in names else tuple(sorted(names))


def named_url(service: Service, request: Request) -> str:
    """Return the URL to use in cache keys, which is the same for all regions of a service.

    Raises:
        InvalidData: the request is for a URL of another service.
    """
    main_url, *other_urls = [item.base_url for item in service.regions] or [service.base_url or ""]
    try:
        return join_url(main_url, request)
    except InvalidData:
        for base in other_urls:
            with suppress(InvalidData):
                url = join_url(base, request)
                return main_url.rstrip("/") + url.removeprefix(base.rstrip("/"))
        raise


def cache_key(service: str, tenant: str | None, url: str) -> str:
    """Return the cache key of a URL, which does not reveal the URL."""
    return state_key("cache", service, tenant, digest([url.encode()]).hex())


def caller_digest(request: Request, known_by: bytes, policy: CachePolicy) -> bytes:
    """Return a digest that identifies the caller of a request.

    It covers the credential, headers that may hold a credential, and the headers that the policy
    names.
    """
    secret_names = {name.lower() for name in request.headers if is_sensitive(name)}
    return selection_digest(request, known_by, sorted({*secret_names, *policy.varies_by}))


def selection_digest(request: Request, caller: bytes, names: Iterable[str]) -> bytes:
    """Return a digest of the caller and of the request headers on which the response depends."""
    parts = [caller]
    for name in names:
        values = request.headers.get_all(name)
        parts += [name.encode(), b"%d" % len(values), ", ".join(values).encode()]
    return digest(parts)


def newest_match(entries: Entries, request: Request, caller: bytes) -> CacheEntry | None:
    """Return the newest cached response that fits the request and its caller."""
    for entry in entries:
        if entry.selected_by == selection_digest(request, caller, entry.varies_by):
            return entry
    return None


class CacheInquiry:
    """The cache lookup of one request, which computes each digest once.

    Attributes:
        key: the key of the responses for its URL.
        caller: the digest of the caller.
    """

    __slots__ = ("_headers_of", "_selectors", "key", "who")

    def __init__(self, key: str, caller: bytes, request: Request) -> None:
        self.key = key
        self.who = caller
        self._headers_of = request
        self._selectors: dict[tuple[str, ...], bytes] = {}

    def matching(self, entries: Entries) -> CacheEntry | None:
        """Return the newest cached response that fits this request and its caller."""
        for entry in entries:
            names = entry.varies_by
            selected_by = self._selectors.get(names)
            if selected_by is None:
                selected_by = selection_digest(self._headers_of, self.who, names)
                if len(self._selectors) < _MOST_SELECTORS:
                    self._selectors[names] = selected_by
            if entry.selected_by == selected_by:
                return entry
        return None


def is_cacheable_request(request: Request) -> bool:
    """Return whether the cache may answer a request or store its response.

    It may if the request is for a whole resource that its URL and headers identify, and if the
    headers do not forbid it.
    """
    is_whole = request.method in (HttpMethod.GET, HttpMethod.HEAD) and request.body == b""
    return (
        is_whole
        and not request.headers.has_any(_CONDITIONS)
        and "no-store" not in cache_control(request.headers)
    )


# --- what is kept ---------------------------------------------------------------


def new_cache_entry(
    request: Request, response: Response, caller: bytes, received_at: datetime, policy: CachePolicy
) -> CacheEntry | None:
    """Return the response to a GET as a cache entry; None if it must not be stored."""
    names = varies_by(response)
    if names is None or not _storable(response, policy):
        return None
    headers = _storable_headers(response.headers)
    made_at = parse_http_date(headers.get("date", ""), received_at)
    if made_at is None:
        made_at = received_at
        headers = headers.with_header("Date", write_http_date(received_at))
    apparent_age = (received_at - made_at).total_seconds()
    on_the_way = _delta(headers.get("age", "").partition(",")[0].strip()) + response.elapsed
    entry = CacheEntry(
        response.evolve(headers=headers),
        _lifetime(response, made_at, policy),
        max(0.0, apparent_age, on_the_way),
        names,
        selection_digest(request, caller, names),
    )
    return entry if entry.size <= policy.max_bytes else None


def entries_to_store(
    new: CacheEntry | None, others: Sequence[CacheEntry], policy: CachePolicy
) -> Entries:
    """Return the cache entries to store for a URL: the new one, and as many others as fit.

    A stale response is dropped once it can neither be revalidated nor be used in case of an error.
    """
    entries: list[CacheEntry] = []
    room = policy.max_bytes
    for entry in (*([] if new is None else [new]), *others):
        room -= entry.size
        if room >= 0 and len(entries) < policy.max_variants and usable_seconds(entry, policy) > 0:
            entries.append(entry)
    return tuple(entries)


def usable_seconds(entry: CacheEntry, policy: CachePolicy) -> float:
    """Return the seconds for which a cached response may still be used, fresh or stale."""
    directives = cache_control(entry.response.headers)
    graces = [_delta(directives.get(grace, "")) for grace in _LIFETIMES[1:]]
    if "stale-if-error" not in directives:
        graces.append(policy.stale_if_error)
    if _validators(entry.response):
        graces.append(policy.keep_stale)
    return entry.lifetime - entry.age + max(graces)


def refreshed_response(entry: CacheEntry, not_modified: Response) -> Response:
    """Return the cached response with the new headers of a 304 response."""
    dropped_names = _HOP_BY_HOP | _BODY_HEADERS | _listed_names(not_modified.headers, "connection")
    new_headers = Headers(
        [pair for pair in not_modified.headers.pairs if pair[0].lower() not in dropped_names]
    )
    pairs = [
        pair
        for pair in entry.response.headers.pairs
        if pair[0] not in new_headers and pair[0].lower() not in _MESSAGE_HEADERS
    ]
    return entry.response.evolve(
        headers=Headers([*pairs, *new_headers.pairs]), elapsed=not_modified.elapsed
    )


def confirms(entry: CacheEntry, not_modified: Response) -> bool:
    """Return whether a 304 response confirms a cached response: same ETag, or no ETag."""
    validators, named_version = (
        response.headers.get("etag", "").removeprefix("W/")
        for response in (entry.response, not_modified)
    )
    return not named_version or named_version == validators


def received_answer(entry: CacheEntry, request: Request) -> Response:
    """Return a cached response as the caller receives it, with an `Age` header."""
    headers, age = entry.response.headers, _age_header(int(entry.age))
    headers = headers.joined(age) or headers.without("Age").joined(age) or headers
    body = b"" if request.method is HttpMethod.HEAD else entry.response.body
    return entry.response.as_cached(headers, body)


@lru_cache(maxsize=256)
def _age_header(seconds: int) -> Headers:
    """Return the `Age` header for a number of seconds."""
    return Headers({"Age": f"{seconds}"})


# --- what is done with it -------------------------------------------------------


def decide(request: Request, entry: CacheEntry | None, policy: CachePolicy) -> Decision:
    """Decide whether to use a cached response, within the limits that the request sets."""
    if entry is None:
        return NoCachedAnswer()
    request_directives = cache_control(request.headers)
    directives = cache_control(entry.response.headers)
    if not request_directives and "no-cache" not in directives and entry.age < entry.lifetime:
        # A fast path for the usual case, with the same result as the rules below.
        return _FRESH_DECISION
    needs_check = "no-cache" in request_directives or directives.get("no-cache") == ""
    strict = needs_check or "must-revalidate" in directives
    remaining_lifetime = entry.lifetime - entry.age
    is_young_enough = "max-age" not in request_directives or entry.age <= _delta(
        request_directives["max-age"]
    )
    spare_seconds = remaining_lifetime - (
        _delta(request_directives["min-fresh"]) if "min-fresh" in request_directives else 0.0
    )
    tolerated_staleness = (
        0.0
        if strict or "max-stale" not in request_directives
        else _delta(request_directives["max-stale"] or "9" * 10)
    )
    if is_young_enough and not needs_check and spare_seconds + tolerated_staleness > 0:
        return _FRESH_DECISION
    if request.method is HttpMethod.HEAD:
        return NoCachedAnswer()
    accepts_stale = is_young_enough and not strict and "min-fresh" not in request_directives
    default_seconds = (
        0.0 if "stale-if-error" in {*request_directives, *directives} else policy.stale_if_error
    )
    return StaleAnswer(
        _validators(entry.response),
        while_revalidating=accepts_stale
        and _may_serve_stale(remaining_lifetime, 0.0, "stale-while-revalidate", directives),
        if_error=not strict
        and _may_serve_stale(
            remaining_lifetime, default_seconds, "stale-if-error", request_directives, directives
        ),
    )


# --- the details ----------------------------------------------------------------


def _storable(response: Response, policy: CachePolicy) -> bool:
    status, directives = response.status, cache_control(response.headers)
    if status in _UNCACHEABLE or status >= _FIRST_SERVER_ERROR:
        return False
    has_validators = bool(_validators(response))
    if "no-store" in directives or (directives.get("no-cache") == "" and not has_validators):
        return False
    if "expires" in response.headers or any(name in directives for name in _LIFETIMES):
        return True
    cacheable = status in _CACHEABLE or "public" in directives or "private" in directives
    usable_later = has_validators or policy.stale_if_error > 0
    return cacheable and (usable_later or (response.ok and policy.default_lifetime > 0))


def _storable_headers(headers: Headers) -> Headers:
    """Return those headers of a response that a cache may store.

    Fields of the connection, and fields that `no-cache` names, may not.
    """
    unchecked = cache_control(headers).get("no-cache", "")
    dropped_names = _HOP_BY_HOP | _listed_names(headers, "connection") | _names(unchecked)
    return Headers([pair for pair in headers.pairs if pair[0].lower() not in dropped_names])


def _listed_names(headers: Headers, name: str) -> set[str]:
    """Return the header names that another header lists, in lower case."""
    return _names(",".join(headers.get_all(name)))


def _names(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",")} - {""}


def _lifetime(response: Response, made_at: datetime, policy: CachePolicy) -> float:
    headers, directives = response.headers, cache_control(response.headers)
    if "max-age" in directives:
        return _delta(directives["max-age"])
    if "expires" in headers:
        # A value that is not a date, such as 0, counts as a date in the past.
        expires = parse_http_date(headers["expires"], made_at) or made_at
        return min(_MAX_SECONDS, max(0.0, (expires - made_at).total_seconds()))
    if response.status not in _CACHEABLE and "public" not in directives:
        return 0.0
    changed_at = parse_http_date(headers.get("last-modified", ""), made_at) or made_at
    unchanged_seconds = max(0.0, (made_at - changed_at).total_seconds())
    heuristic = min(unchanged_seconds * policy.heuristic, policy.heuristic_limit)
    return max(heuristic, policy.default_lifetime) if response.ok else heuristic


def _validators(response: Response) -> Headers:
    conditions = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
    validators = [(name, response.headers.get(field)) for name, field in conditions.items()]
    return Headers([(name, value) for name, value in validators if value is not None])


def _may_serve_stale(
    left: float, usual: float, directive: str, *control: Mapping[str, str]
) -> bool:
    """Return whether a stale response is still within its grace period."""
    grace = max(usual, *(_delta(directives.get(directive, "")) for directives in control))
    return grace > 0 and left + grace > 0


def _delta(text: str) -> float:
    """Parse the number of seconds in a `Cache-Control` directive.

    A string that is not a number counts as 0, which makes a response stale.
    """
    return min(float(text), _MAX_SECONDS) if _DELTA.fullmatch(text) else 0.0
