"""When an answer may be used again: the rules of RFC 9111 and RFC 5861 for a client's own cache.

A cache keeps several answers under the name of one URL, of a service and a tenant. What tells them
apart is `selected_by`: a digest of who asked (the credential, and every header that may hold one)
and of the request headers that the answer varies by. So nothing is ever given to whom it was not
given, and the rules are those of a cache that belongs to one user: `private` answers are kept, and
`s-maxage` and `proxy-revalidate` are for others.

Ages are durations. What was received is as old as its headers say, and grows older by the time for
which it has rested, by the clock of whatever keeps it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import attrs

from moorage.domain.fingerprint import digest
from moorage.domain.headers import Headers
from moorage.domain.http import HttpMethod, Request, join_url
from moorage.domain.http_date import parse_http_date, write_http_date
from moorage.domain.keys import state_key
from moorage.domain.sensitive import is_sensitive
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from moorage.domain.cache_policy import CachePolicy
    from moorage.domain.response import Response
    from moorage.domain.service import Service

_LONGEST = 2.0**31
_DIRECTIVE = re.compile(
    r"""([\w!#$%&'*+.^`|~\-]+)(?:\s{0,4}=\s{0,4}(?:"((?:[^"\\]|\\.)*+)"?|([^\s,;"]*)))?""", re.ASCII
)
_DELTA = re.compile(r"[0-9]+")

_CACHEABLE: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414})
"""Statuses that may be kept without an explicit lifetime."""
_NEVER: Final = frozenset({206, 304, 401, 403, 407, 408, 421, 425, 429})
"""Parts of an answer, and refusals that are meant for now or for who asked."""
_BROKEN: Final = 500
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
_OF_THE_BODY: Final = frozenset(
    {"content-encoding", "content-length", "content-range", "content-type"}
)
"""Fields of a 304 that describe that message and not the answer kept."""
_OF_THE_MESSAGE: Final = frozenset({"age", "date"})
"""Fields that tell when a message was made, and nothing of the next one."""
_FIELD: Final = 64
"""Bytes that a header, or an entry itself, takes besides its text, about."""


@attrs.frozen
class CacheEntry:
    """An answer that is kept.

    Attributes:
        response: as it was received, less what must not be used again.
        lifetime: for how many seconds it is fresh.
        age: how old it is, in seconds.
        varies_by: the names of the request headers that it depends on.
        selected_by: a digest of who asked for it, and with which values of these headers.
    """

    response: Response
    lifetime: float
    age: float
    varies_by: tuple[str, ...]
    selected_by: bytes

    def later(self, seconds: float) -> CacheEntry:
        """Return it as old as it is after so many seconds more."""
        return attrs.evolve(self, age=self.age + max(0.0, seconds))

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        headers = self.response.headers.pairs
        return (
            len(self.response.body)
            + sum(_FIELD + len(name) + len(value) for name, value in headers)
            + _FIELD * (8 + len(self.varies_by))
        )


Entries: TypeAlias = "tuple[CacheEntry, ...]"
"""What is kept of one URL, the newest first."""


class Found(NamedTuple):
    """What a cache has under a key.

    Attributes:
        mark: tells what was there when it was looked at, so that what comes of it is kept only if
            nothing has changed since.
        entries: the answers, as old as they are now.
        unreadable: the name of the error with which what is there could not be read, if so.
    """

    mark: int
    entries: Entries = ()
    unreadable: str | None = None


@attrs.frozen
class Fresh:
    """The answer kept may be used."""


@attrs.frozen
class Stale:
    """The service is to be asked, with these headers added, whether the answer kept still holds.

    Attributes:
        validators: conditions for the request; without any it is sent as it is.
        while_revalidating: whether the answer kept may be used while somebody asks.
        if_error: whether it may be used if the service cannot be reached or breaks.
    """

    validators: Headers
    while_revalidating: bool
    if_error: bool


@attrs.frozen
class Miss:
    """There is nothing that could be used."""


Decision: TypeAlias = Fresh | Stale | Miss


# --- what is what ---------------------------------------------------------------


def cache_control(headers: Headers) -> dict[str, str]:
    """Read `Cache-Control`; of a repeated directive the first counts."""
    directives: dict[str, str] = {}
    if "cache-control" not in headers:
        return directives
    for found in _DIRECTIVE.finditer(",".join(headers.get_all("cache-control"))):
        directives.setdefault(found[1].lower(), found[2] or found[3] or "")
    return directives


def varies_by(response: Response) -> tuple[str, ...] | None:
    """Name the request headers that an answer depends on; None if on more than headers."""
    names = _listed(response.headers, "vary")
    return None if "*" in names else tuple(sorted(names))


def named_url(service: Service, request: Request) -> str:
    """Return the URL that names what a request is for: the same in every region of a service.

    Raises:
        InvalidData: it is a URL of another service.
    """
    home, *others = [one.base_url for one in service.regions] or [service.base_url or ""]
    try:
        return join_url(home, request)
    except InvalidData:
        for base in others:
            with suppress(InvalidData):
                url = join_url(base, request)
                return home.rstrip("/") + url.removeprefix(base.rstrip("/"))
        raise


def cache_key(service: str, tenant: str | None, url: str) -> str:
    """Name where the answers of a URL are kept. The key tells nothing of the URL."""
    return state_key("cache", service, tenant, digest([url.encode()]).hex())


def asker(request: Request, known_by: bytes, policy: CachePolicy) -> bytes:
    """Digest who asks: by credential, by every header that may hold another, and by the policy."""
    own = {name.lower() for name in request.headers if is_sensitive(name)}
    return selector(request, known_by, sorted({*own, *policy.varies_by}))


def selector(request: Request, who: bytes, names: Iterable[str]) -> bytes:
    """Digest what an answer that varies by these headers was selected by."""
    parts = [who]
    for name in names:
        values = request.headers.get_all(name)
        parts += [name.encode(), b"%d" % len(values), ", ".join(values).encode()]
    return digest(parts)


def matching(entries: Entries, request: Request, who: bytes) -> CacheEntry | None:
    """Return the newest answer that was given to the same asker for a request like this one."""
    for entry in entries:
        if entry.selected_by == selector(request, who, entry.varies_by):
            return entry
    return None


def may_be_kept(request: Request) -> bool:
    """Tell whether the cache has a part in a request.

    That is, it asks for a whole resource that its URL and headers name, and allows for it.
    """
    whole = request.method in (HttpMethod.GET, HttpMethod.HEAD) and request.body == b""
    plain = _CONDITIONS.isdisjoint(map(str.lower, request.headers))
    return whole and plain and "no-store" not in cache_control(request.headers)


# --- what is kept ---------------------------------------------------------------


def kept(
    request: Request, response: Response, who: bytes, received_at: datetime, policy: CachePolicy
) -> CacheEntry | None:
    """Return the answer to a GET as it is to be kept, or None if it must not or need not be."""
    names = varies_by(response)
    if names is None or not _storable(response, policy):
        return None
    headers = _lasting(response.headers)
    made_at = parse_http_date(headers.get("date", ""), received_at)
    if made_at is None:
        made_at = received_at
        headers = headers.with_header("Date", write_http_date(received_at))
    apparent = (received_at - made_at).total_seconds()
    on_the_way = _delta(headers.get("age", "")) + response.elapsed
    entry = CacheEntry(
        response.evolve(headers=headers),
        _lifetime(response, made_at, policy),
        max(0.0, apparent, on_the_way),
        names,
        selector(request, who, names),
    )
    return entry if entry.size <= policy.max_bytes else None


def together(new: CacheEntry | None, others: Sequence[CacheEntry], policy: CachePolicy) -> Entries:
    """Return what is to be kept of a URL: the new answer, and as many others as there is room for.

    Of a stale answer there is no more use once it can neither be revalidated nor stand in.
    """
    chosen: list[CacheEntry] = []
    room = policy.max_bytes
    for entry in (*([] if new is None else [new]), *others):
        room -= entry.size
        if room >= 0 and len(chosen) < policy.max_variants and useful_for(entry, policy) > 0:
            chosen.append(entry)
    return tuple(chosen)


def useful_for(entry: CacheEntry, policy: CachePolicy) -> float:
    """Return for how many more seconds there may be a use for an answer."""
    said = cache_control(entry.response.headers)
    graces = [_delta(said.get(grace, "")) for grace in _LIFETIMES[1:]]
    if "stale-if-error" not in said:
        graces.append(policy.stale_if_error)
    if _validators(entry.response):
        graces.append(policy.keep_stale)
    return entry.lifetime - entry.age + max(graces)


def refreshed(entry: CacheEntry, not_modified: Response) -> Response:
    """Return the answer kept as a 304 confirms it: its own body, and the fields sent anew."""
    dropped = _HOP_BY_HOP | _OF_THE_BODY | _listed(not_modified.headers, "connection")
    sent = Headers([pair for pair in not_modified.headers.pairs if pair[0].lower() not in dropped])
    pairs = [
        pair
        for pair in entry.response.headers.pairs
        if pair[0] not in sent and pair[0].lower() not in _OF_THE_MESSAGE
    ]
    return entry.response.evolve(
        headers=Headers([*pairs, *sent.pairs]), elapsed=not_modified.elapsed
    )


def confirms(entry: CacheEntry, not_modified: Response) -> bool:
    """Tell whether a 304 is about the answer kept: it names no other version than that."""
    known, named = (
        response.headers.get("etag", "").removeprefix("W/")
        for response in (entry.response, not_modified)
    )
    return not named or named == known


def given(entry: CacheEntry, request: Request) -> Response:
    """Return the answer kept as it is given again, which says how old it is."""
    headers = entry.response.headers.with_header("Age", f"{int(entry.age)}")
    body = b"" if request.method is HttpMethod.HEAD else entry.response.body
    return entry.response.evolve(headers=headers, body=body, cached=True)


# --- what is done with it -------------------------------------------------------


def decide(request: Request, entry: CacheEntry | None, policy: CachePolicy) -> Decision:
    """Say what to do with the answer kept for a request, which the request may restrict further."""
    if entry is None:
        return Miss()
    asked = cache_control(request.headers)
    said = cache_control(entry.response.headers)
    checked = "no-cache" in asked or said.get("no-cache") == ""
    strict = checked or "must-revalidate" in said
    left = entry.lifetime - entry.age
    young = "max-age" not in asked or entry.age <= _delta(asked["max-age"])
    spare = left - (_delta(asked["min-fresh"]) if "min-fresh" in asked else 0.0)
    bearable = 0.0 if strict or "max-stale" not in asked else _delta(asked["max-stale"] or "9" * 10)
    if young and not checked and spare + bearable > 0:
        return Fresh()
    if request.method is HttpMethod.HEAD:
        return Miss()
    patient = young and not strict and "min-fresh" not in asked
    usual = 0.0 if "stale-if-error" in {*asked, *said} else policy.stale_if_error
    return Stale(
        _validators(entry.response),
        while_revalidating=patient and _bears(left, 0.0, "stale-while-revalidate", said),
        if_error=not strict and _bears(left, usual, "stale-if-error", asked, said),
    )


# --- the details ----------------------------------------------------------------


def _storable(response: Response, policy: CachePolicy) -> bool:
    status, said = response.status, cache_control(response.headers)
    if status in _NEVER or status >= _BROKEN:
        return False
    checkable = bool(_validators(response))
    if "no-store" in said or (said.get("no-cache") == "" and not checkable):
        return False
    if "expires" in response.headers or any(name in said for name in _LIFETIMES):
        return True
    known = status in _CACHEABLE or "public" in said or "private" in said
    return known and (policy.stale_if_error > 0 or checkable)


def _lasting(headers: Headers) -> Headers:
    """The fields that may be used again: neither the connection's nor what `no-cache` names."""
    unchecked = cache_control(headers).get("no-cache", "")
    dropped = _HOP_BY_HOP | _listed(headers, "connection") | _names(unchecked)
    return Headers([pair for pair in headers.pairs if pair[0].lower() not in dropped])


def _listed(headers: Headers, name: str) -> set[str]:
    """The names of other headers that a header lists, in lower case."""
    return _names(",".join(headers.get_all(name)))


def _names(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",")} - {""}


def _lifetime(response: Response, made_at: datetime, policy: CachePolicy) -> float:
    headers, said = response.headers, cache_control(response.headers)
    if "max-age" in said:
        return _delta(said["max-age"])
    if "expires" in headers:
        # What is no date, such as 0, is in the past.
        expires = parse_http_date(headers["expires"], made_at) or made_at
        return min(_LONGEST, max(0.0, (expires - made_at).total_seconds()))
    if response.status not in _CACHEABLE and "public" not in said:
        return 0.0
    changed_at = parse_http_date(headers.get("last-modified", ""), made_at) or made_at
    unchanged = max(0.0, (made_at - changed_at).total_seconds())
    return min(unchanged * policy.heuristic, policy.heuristic_limit)


def _validators(response: Response) -> Headers:
    conditions = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
    known = [(name, response.headers.get(field)) for name, field in conditions.items()]
    return Headers([(name, value) for name, value in known if value is not None])


def _bears(left: float, usual: float, directive: str, *control: dict[str, str]) -> bool:
    """Tell whether an answer with so much freshness left is within the grace that was given."""
    grace = max(usual, *(_delta(directives.get(directive, "")) for directives in control))
    return grace > 0 and left + grace > 0


def _delta(text: str) -> float:
    """Read a number of seconds; what is none is 0, so that it makes an answer stale."""
    return min(float(text), _LONGEST) if _DELTA.fullmatch(text) else 0.0
