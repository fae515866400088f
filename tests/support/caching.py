"""Helpers for tests of the response cache: a service, its responses, and a cache that may fail."""

# ruff: noqa: D102 - fakes, as typed and told of as they need to be

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage import (
    AuthenticationFailed,
    CachePolicy,
    CredentialNotFound,
    Credentials,
    RateLimitExceeded,
    Request,
    Response,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.cache.memory import MemoryCache
from moorage.domain.cache.rules import StoredAnswers

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.cache.rules import Entries
    from tests.support.modes import Harness
    from tests.support.virtual_ports import SentRequest

GET = Request.get("/rates")
FRESH_RESPONSE = Response(200, {"Cache-Control": "max-age=60", "ETag": '"1"'}, b"first")
NEWER = Response(200, {"Cache-Control": "max-age=60", "ETag": '"2"'}, b"second")

REFUSALS = (VendorRejected, VendorFailed, AuthenticationFailed, RateLimitExceeded)


def vat(**options: object) -> Service:
    """Return a service with a cache and these options."""
    value = {
        "base_url": "https://vat.example/v1",
        "circuit": None,
        "retry": None,
        "cache": CachePolicy(),
    } | options
    return Service("vat", **value)  # type: ignore[arg-type]  # as each test says


class FaultyCache:
    """A cache in memory that tests can make unavailable, slow or corrupt."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.memory = MemoryCache(harness.clock)
        self.asked: list[str] = []
        self.timeouts: list[float | None] = []
        self.fails: BaseException | None = None
        self.slow = 0.0
        self.unreadable: str | None = None

    async def _reach(self, verb: str, timeout: float | None) -> None:
        self.asked.append(verb)
        await self._harness.reach(f"before the cache is asked to {verb}")
        self.timeouts.append(timeout)
        self._harness.clock.advance(self.slow)
        if self.fails is not None:
            raise self.fails

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        await self._reach("find", timeout)
        result = self.memory.find(key)
        return (
            result
            if self.unreadable is None
            else StoredAnswers(result.version, (), self.unreadable)
        )

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        await self._reach("store", timeout)
        return self.memory.store(key, version, entries, seconds)

    async def delete(self, key: str, /, timeout: float | None = None) -> None:
        await self._reach("delete", timeout)
        self.memory.delete(key)


def events_of(harness: Harness, *kinds: type) -> list[Any]:
    """Return the events of these classes."""
    return [event for event in harness.events if isinstance(event, kinds)]


def count_requests(harness: Harness) -> int:
    """Return the number of requests to the vendor."""
    return len(harness.vendor.requests)


class Provider:
    """A credential provider with a token for each tenant, renewed when it is refused."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.number = 0
        self.missing = False

    async def get(self, service: str, tenant: str | None, /) -> Any:
        await self._harness.yield_to_tasks()
        if self.missing:
            raise CredentialNotFound("none is stored.")
        return Credentials.bearer(f"{tenant}-{self.number}")

    async def refresh(self, service: str, tenant: str | None, stale: Credentials, /) -> Any:
        self.number += 1
        return await self.get(service, tenant)


def response_by_request(make: Callable[[SentRequest], Any]) -> Callable[[SentRequest], Any]:
    """Return a vendor's scripted response that depends on the request."""

    async def answer(one: SentRequest) -> Any:
        return await make(one)

    return answer
