"""Caching of HTTP responses: a lookup before a call's attempts, and storage after them.

Laws:

1. An answer is stored only for the caller and the request of the preceding look-up. If a transform
   or a renewed credential changed the request, its answer is not stored, and no validators are
   sent.
2. A stored answer is treated as if it had just arrived: transforms and classification apply to it.
3. If the cache fails, the call continues as if nothing was stored.
4. A write that may have happened removes the stored answers of its URL, and of the URLs that its
   answer names.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urljoin

import attrs

from moorage.domain.auth.credential_codec import fingerprint_of
from moorage.domain.cache.rules import (
    CacheInquiry,
    FreshAnswer,
    StaleAnswer,
    StoredAnswers,
    cache_control,
    cache_key,
    caller_digest,
    confirms,
    decide,
    entries_to_store,
    is_cacheable_request,
    named_url,
    new_cache_entry,
    newest_match,
    received_answer,
    refreshed_response,
    selection_digest,
    usable_seconds,
)
from moorage.domain.cache.state import LONGEST_FLIGHT
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.observation.events import CacheHit, CacheMissed, CacheRevalidated
from moorage.domain.secrets.sensitive import is_sensitive
from moorage.errors import (
    BulkheadFull,
    CircuitBreakerOpen,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    InvalidData,
    NotCached,
    RateLimitExceeded,
    RetryBudgetExhausted,
    StorageUnavailable,
    VendorFailed,
    VendorRejected,
)
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.domain.cache.rules import CacheEntry, Decision
    from moorage.domain.http.requests import Headers, Response
    from moorage.domain.service.cache_policy import CachePolicy
    from moorage.domain.service.plan import Plan
    from moorage.domain.service.settings import Service
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.call import Call
    from moorage.services.calling.guarded_cache import GuardedCache
    from moorage.services.core.core import Core, Flow

_NOT_MODIFIED: Final = 304
_REDIRECTION: Final = 300
_URL_HEADERS: Final = ("location", "content-location")
_UNAVAILABLE_ERRORS: Final = (
    BulkheadFull,
    CircuitBreakerOpen,
    ConnectionFailed,
    DeadlineExceeded,
    RateLimitExceeded,
    RetryBudgetExhausted,
    StorageUnavailable,
    VendorFailed,
)
_BROKEN_STATUSES: Final = frozenset({None, 500, 502, 503, 504})


@attrs.define(eq=False, kw_only=True)
class CacheLookup:
    """One lookup of a request in the cache, with the cached response, if any.

    Attributes:
        request: the request in the form in which it is sent, without credentials and validators.
    """

    request: Request
    key: str
    who: bytes
    found: StoredAnswers
    at: int
    entry: CacheEntry | None
    decision: Decision


class SentLookup(NamedTuple):
    """A request that was sent after its look-up in the cache.

    Attributes:
        lookup: the look-up.
        request: the request without credentials and validators.
        validated: the cached response that the request asks the service to confirm, if any.
    """

    lookup: CacheLookup
    request: Request
    validated: CacheEntry | None = None


class CachedExchange(Exchange):
    """The step of a call that takes the response from the cache, or else sends the request."""

    __slots__ = (
        "_arrival",
        "_cache",
        "_lookup",
        "_plan",
        "_policy",
        "_sent_lookups",
        "_stored_answer",
        "conditional",
    )

    def __init__(self, core: Core, call: Call, request: Request, policy: CachePolicy) -> None:
        super().__init__(core, call, request)
        self._cache: GuardedCache = core.cache
        self._plan = call.plan
        self._policy = policy
        self._stored_answer: Response | None = None
        self.conditional = False
        # The cache look-up of the request that is being sent.
        self._lookup: CacheLookup | None = None
        # The latest looked-up request of each concurrent request of a hedged read.
        self._sent_lookups: dict[Call, SentLookup | None] = {}
        # The latest response to a request that was looked up.
        self._arrival: tuple[Request, Response, datetime] | None = None

    async def run_attempts(self, call: Call, attempts: Callable[[], Flow[Ending]]) -> Ending:
        """Return the cached response, or make the attempts and cache the response."""
        lookup = await self._look_up_request(call)
        entry = None if lookup is None else lookup.entry
        if lookup is not None and entry is not None and isinstance(lookup.decision, FreshAnswer):
            return await self._cached_ending(call, entry)
        only_if_cached = "only-if-cached" in cache_control(self._request.headers)
        if lookup is not None and entry is not None:
            decision = lookup.decision
            if isinstance(decision, StaleAnswer) and decision.while_revalidating:
                if only_if_cached:
                    return await self._cached_ending(call, entry)
                return await self._revalidate_alone(call, lookup, entry, attempts)
        if only_if_cached:
            return None, NotCached(
                "The cache has no response to this request, and only-if-cached forbids sending it."
            )
        return await attempts() if lookup is None else await self._ask(call, lookup, attempts)

    async def send(self, call: Call) -> Response | AttemptResult:
        """Return the cached response, or send the request, possibly to revalidate that response."""
        call.cached = self._stored_answer is not None
        if self._stored_answer is not None:
            call.status = self._stored_answer.status
            return self._stored_answer
        self._arrival = None
        response = await super().send(call)
        sent_lookup = self._sent_lookups.get(call)
        if isinstance(response, AttemptResult) or sent_lookup is None:
            return response
        lookup, request, entry = sent_lookup
        core = self._core
        if entry is None or response.status != _NOT_MODIFIED:
            self._arrival = request, response, core.utc()
            return response
        if not confirms(entry, response):
            # The response confirms another version, so the attempt is repeated unconditionally.
            lookup.entry = None
            return AttemptResult(error=_other_version_error(response), repeats=call.replayable)
        if core.observers:
            call.emit(core, CacheRevalidated, age=entry.age)
        confirmed_response = refreshed_response(entry, response)
        self._arrival = request, confirmed_response, core.utc()
        call.cached = True
        return confirmed_response.evolve(cached=True)

    async def _look_up_request(self, call: Call) -> CacheLookup | None:
        """Look up a call's request in the cache; None if the call must not use the cache."""
        if not is_cacheable_request(self._request):
            return None
        core = self._core
        try:
            request = await self.transformed_request(call) if self.transforms else self._request
            if _needs_provider(self._plan.service) and self._credentials is None:
                self._credentials = await self._current(call)
            inquiry = self._cache_inquiry(request)
        except ConnectorError:
            # The attempt itself will raise this error.
            return None
        if request is not self._request and not is_cacheable_request(request):
            return None
        found_answers = await self._cache.find(call, inquiry.key)
        if found_answers is None:
            return None
        entry = inquiry.matching(found_answers.entries)
        return CacheLookup(
            request=request,
            key=inquiry.key,
            who=inquiry.who,
            found=found_answers,
            at=core.nanoseconds(),
            entry=entry,
            decision=decide(request, entry, self._policy),
        )

    def _cache_inquiry(self, request: Request) -> CacheInquiry:
        """Return the parts of a request that select its cache entry: cache key, caller and headers.

        The lookup is remembered, unless the credential may change or is in the request itself.
        """
        if self._credentials is not None:
            return CacheInquiry(self._key(request), self._caller_digest(request), request)
        inquiries = self._cache.inquiries
        parts = (self._plan, request.path, request.query, request.headers.pairs)
        inquiry = inquiries.get(parts)
        if inquiry is None:
            inquiry = CacheInquiry(self._key(request), self._caller_digest(request), request)
            if not any(map(is_sensitive, request.headers)):
                inquiries.add(parts, inquiry)
        return inquiry

    def _key(self, request: Request) -> str:
        return _key(self._plan, request)

    def _caller_digest(self, request: Request) -> bytes:
        service = self._plan.service
        # A caller may have a credential for each region; only all of them identify the caller.
        credentials = (
            self._credentials,
            service.credentials,
            *(region.credentials for region in service.regions),
        )
        return caller_digest(request, fingerprint_of(credentials), self._policy)

    async def _cached_ending(self, call: Call, entry: CacheEntry) -> Ending:
        """Return a cached response as the call's result."""
        core = self._core
        if core.observers:
            is_stale = entry.age >= entry.lifetime
            call.emit(core, CacheHit, age=entry.age, stale=is_stale)
        self._stored_answer = stored_answer = received_answer(entry, self._request)
        if self._needs_no_hook(call, stored_answer):
            call.cached, call.status = True, stored_answer.status
            return stored_answer, None
        result = await self(call)
        return result.value, result.error

    def _needs_no_hook(self, call: Call, response: Response) -> bool:
        """Return whether a cached response is a success that no hook of the service processes."""
        plan = self._plan
        return (
            response.status < _REDIRECTION
            and plan.classify is None
            and call.parse is None
            and call.claim is None
            and not plan.response_transforms
        )

    async def _revalidate_alone(
        self,
        call: Call,
        lookup: CacheLookup,
        entry: CacheEntry,
        attempts: Callable[[], Flow[Ending]],
    ) -> Ending:
        """Revalidate the cached response; if another caller is doing this, return it unchanged."""
        core = self._core
        place = f"revalidate:{lookup.key}:{lookup.who.hex()}"
        try:
            if await core.acquire(place, self, slots=1, queue=0, timeout=0.0):
                return await self._ask(call, lookup, attempts)
            return await self._cached_ending(call, entry)
        finally:
            core.release(place, self)

    async def _ask(
        self, call: Call, lookup: CacheLookup, attempts: Callable[[], Flow[Ending]]
    ) -> Ending:
        """Send the request; if it fails, return the cached response, if the policy allows that."""
        core = self._core
        if core.observers:
            call.emit(core, CacheMissed, stale=lookup.entry is not None)
        # The lookup has used some of the call's time.
        call.has_less_time = True
        self._lookup, self.conditional = lookup, True
        try:
            value, error = await attempts()
        finally:
            self.conditional = False
            # A call refers to this object; a reference back would be a cycle.
            self._sent_lookups.clear()
        if error is None or (isinstance(error, VendorRejected) and not error.retryable):
            await self._store(call, lookup)
        elif lookup.entry is not None and _is_unavailable(error):
            entry = lookup.entry.later((core.nanoseconds() - lookup.at) / 1e9)
            decision = decide(lookup.request, entry, self._policy)
            if isinstance(decision, StaleAnswer) and decision.if_error:
                return await self._cached_ending(call, entry)
        return value, error

    async def transformed_request(self, call: Call) -> Request:
        """Return the request after the service's functions and the cache have changed it."""
        request = await super().transformed_request(call)
        if not self.conditional or self._lookup is None:
            return request
        return self._conditional_request(call, self._lookup, request)

    def _conditional_request(self, call: Call, lookup: CacheLookup, request: Request) -> Request:
        """Return the request with conditional headers, which let the service confirm a response."""
        if (
            not is_cacheable_request(request)
            or self._key(request) != lookup.key
            or self._caller_digest(request) != lookup.who
        ):
            self._sent_lookups[call] = None
            return request
        entry, decision = lookup.entry, lookup.decision
        if (
            entry is None
            or not isinstance(decision, StaleAnswer)
            or newest_match((entry,), request, lookup.who) is None
        ):
            self._sent_lookups[call] = SentLookup(lookup, request)
            return request
        self._sent_lookups[call] = SentLookup(lookup, request, entry)
        return request.with_headers(decision.validators)

    async def _store(self, call: Call, lookup: CacheLookup) -> None:
        """Replace the cached response by the new one.

        If that is not cacheable, only remove the old one.
        """
        exchange_seconds = (self._core.nanoseconds() - lookup.at) / 1e9
        exchange, policy, caller = self._arrival, self._policy, lookup.who
        if (
            exchange is None
            or exchange[0].method is HttpMethod.HEAD
            or exchange_seconds > LONGEST_FLIGHT
        ):
            return
        request, response, received_at = exchange
        new_entry = new_cache_entry(request, response, caller, received_at, policy)
        found_answers = lookup.found
        other_entries = [
            entry.later(exchange_seconds)
            for entry in found_answers.entries
            if entry.selected_by != selection_digest(request, caller, entry.varies_by)
        ]
        if new_entry is None and len(other_entries) == len(found_answers.entries):
            return
        entries = entries_to_store(new_entry, other_entries, policy)
        if entries:
            usable_for = max(usable_seconds(entry, policy) for entry in entries)
            await self._cache.store(call, lookup.key, found_answers.version, entries, usable_for)
        elif found_answers.entries:
            await self._cache.delete(call, lookup.key)


class CacheInvalidation:
    """The step of a write call that removes cached responses which may be outdated."""

    def __init__(self, core: Core, call: Call, step: Exchange) -> None:
        self._cache: GuardedCache = core.cache
        self._plan = call.plan
        self._sent: Request | None = None
        step.transforms = (*step.transforms, self._note_effect)

    async def run_attempts(self, call: Call, attempts: Callable[[], Flow[Ending]]) -> Ending:
        """Make the attempts, then remove the cached responses that may now be outdated."""
        value, error = await attempts()
        if self._sent is not None and (error is None or call.may_have_acted):
            for key in self._changed_keys(self._sent, None if value is None else value.headers):
                await self._cache.delete(call, key)
        return value, error

    def _note_effect(self, request: Request) -> Request:
        self._sent = request
        return request

    def _changed_keys(self, request: Request, headers: Headers | None) -> list[str]:
        """Return the cache keys of the written URL and of URLs in the response's headers."""
        keys = [_key(self._plan, request)]
        url = named_url(self._plan.service, request)
        for name in _URL_HEADERS:
            if headers is None or name not in headers:
                continue
            with suppress(ValueError, InvalidData):
                keys.append(_key(self._plan, Request.get(urljoin(url, headers[name]))))
        return [*dict.fromkeys(keys)]


def step_with_cache(core: Core, call: Call, request: Request) -> Exchange:
    """Return the step of a call to a service that has a cache policy."""
    policy = call.plan.cache
    if policy is not None and request.method.safe:
        cached_step = CachedExchange(core, call, request, policy)
        call.cache = cached_step
        return cached_step
    step = Exchange(core, call, request)
    if not request.method.safe:
        call.cache = CacheInvalidation(core, call, step)
    return step


def _key(plan: Plan, request: Request) -> str:
    return cache_key(plan.service.name, plan.tenant, named_url(plan.service, request))


def _needs_provider(service: Service) -> bool:
    """Return whether an attempt may have to read credentials from the credential provider."""
    if not service.needs_credentials or service.credentials is not None:
        return False
    return None in [region.credentials for region in service.regions] or not service.regions


def _other_version_error(response: Response) -> VendorFailed:
    return VendorFailed(
        "The vendor sent HTTP 304 with a different version (ETag) from the one in the request.",
        status=response.status,
        response=response,
    )


def _is_unavailable(error: Exception) -> bool:
    """Return whether the service was unreachable, or failed with a status from 500 to 504."""
    return (
        isinstance(error, _UNAVAILABLE_ERRORS)
        and getattr(error, "status", None) in _BROKEN_STATUSES
    )
