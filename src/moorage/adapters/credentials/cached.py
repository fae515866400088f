"""A credential provider that caches the credentials of another provider in memory.

1. A hit costs a lookup in a dictionary and a reading of the clock; it takes no lock.
2. Storing or renewing credentials here removes them from the cache immediately, and the results of
   earlier requests that are still under way are not stored. A change by another process is noticed
   when `ttl` has passed, or when the vendor refuses the credentials: `refresh` always calls the
   provider.
3. Failures and missing credentials are not cached.
4. During an outage of the provider, and only then, expired credentials are used for `grace`. The
   provider is called again after a short pause. If it refuses, or has no credentials, its error is
   raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.domain.values.durations import count, seconds
from moorage.errors import StorageUnavailable
from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider

if TYPE_CHECKING:
    from datetime import timedelta

    from moorage.ports.clock import Clock

Provider = TypeVar("Provider", bound=CredentialProvider | AsyncCredentialProvider)

_SECOND: Final = 1_000_000_000
_PAUSE: Final = 5 * _SECOND
"""The maximum time before a provider is called again during an outage."""


class _Cache:
    """The cached credentials of all services and tenants.

    Attributes:
        entries: by owner, the time of expiry, the credentials, and the end of the grace time.
        removals: the number of removals so far, from which a request sees whether another removal
            came meanwhile.
        nanoseconds: returns the time.
    """

    def __init__(
        self,
        ttl: float | timedelta,
        grace: float | timedelta,
        most: int,
        clock: Clock | None,
    ) -> None:
        self._ttl = round(seconds(ttl, "ttl") * _SECOND)
        self._grace = round(seconds(grace, "grace", zero=True) * _SECOND)
        self._max_entries = count(most, "most")
        self.nanoseconds = (SystemClock() if clock is None else clock).nanoseconds
        self.entries: dict[tuple[str, str | None], tuple[int, Any, int]] = {}
        self.removals = 0
        self._lock = ForkSafeLock()

    def has(self, owner: tuple[str, str | None]) -> bool:
        """Return whether the cache has credentials that have not expired."""
        entry = self.entries.get(owner)
        return entry is not None and self.nanoseconds() < entry[0]

    def store(self, owner: tuple[str, str | None], credentials: object, removals: int) -> None:
        """Cache credentials, unless they were removed while the provider was being asked."""
        with self._lock.current:
            if self.removals != removals:
                return
            entries = self.entries
            entries.pop(owner, None)
            while len(entries) >= self._max_entries:
                del entries[next(iter(entries))]
            expiry = self.nanoseconds() + self._ttl
            entries[owner] = (expiry, credentials, expiry + self._grace)

    def get_in_outage(self, owner: tuple[str, str | None], error: StorageUnavailable) -> Any:
        """Return cached credentials while the provider is unavailable, within a grace period."""
        with self._lock.current:
            entry, now = self.entries.get(owner), self.nanoseconds()
            if entry is None or now >= entry[2]:
                raise error
            _, credentials, end = entry
            self.entries[owner] = (min(now + min(self._ttl, _PAUSE), end), credentials, end)
        return credentials

    def remove(self, owner: tuple[str, str | None]) -> None:
        """Remove credentials; a provider's answer that is already on its way is not cached."""
        with self._lock.current:
            self.removals += 1
            self.entries.pop(owner, None)


class _CachedProvider(Generic[Provider]):
    """The common code of the synchronous and asynchronous caching providers."""

    def __init__(
        self,
        provider: Provider,
        *,
        ttl: float | timedelta = 60.0,
        grace: float | timedelta = 0.0,
        most: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        """Wrap a provider, and set the limits of the cache.

        Args:
            provider: the provider of the credentials.
            ttl: seconds, or a timedelta, for which credentials are cached; a change by another
                process may remain unnoticed for this time.
            grace: seconds, or a timedelta, for which expired credentials may be used during an
                outage of the provider.
            most: the maximum number of cached credentials; the oldest are removed first.
            clock: measures time.
        """
        self._provider = provider
        self.read_only: bool = getattr(provider, "read_only", False)
        self._cache = _Cache(ttl, grace, most, clock)
        self._entries, self._nanoseconds = self._cache.entries, self._cache.nanoseconds
        self.hits = 0
        self.misses = 0


class CachedCredentials(_CachedProvider[CredentialProvider]):
    """A credential provider that caches the credentials of another provider.

    Attributes:
        hits: the number of credentials from the cache; concurrent threads may lose some counts.
        misses: the number of calls of the provider.
    """

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the credentials of a service and tenant, from the cache if possible."""
        entry = self._entries.get((service, tenant))
        if entry is not None and self._nanoseconds() < entry[0]:
            self.hits += 1
            return entry[1]
        self.misses += 1
        removals = self._cache.removals
        try:
            credentials = self._provider.get(service, tenant)
        except StorageUnavailable as error:
            return self._cache.get_in_outage((service, tenant), error)
        self._cache.store((service, tenant), credentials, removals)
        return credentials

    def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return self._cache.has((service, tenant)) or self._provider.has(service, tenant)

    def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Renew stale credentials at the provider, and remove the old ones from the cache."""
        try:
            return self._provider.refresh(service, tenant, stale)
        finally:
            self._cache.remove((service, tenant))

    def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Store new credentials at the provider, and remove the old ones from the cache."""
        try:
            self._provider.rotate(service, tenant, new)
        finally:
            self._cache.remove((service, tenant))


class AsyncCachedCredentials(_CachedProvider[AsyncCredentialProvider]):
    """The asynchronous `CachedCredentials`.

    Attributes:
        hits: the number of credentials from the cache; concurrent threads may lose some counts.
        misses: the number of calls of the provider.
    """

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the credentials of a service and tenant, from the cache if possible."""
        entry = self._entries.get((service, tenant))
        if entry is not None and self._nanoseconds() < entry[0]:
            self.hits += 1
            return entry[1]
        self.misses += 1
        removals = self._cache.removals
        try:
            credentials = await self._provider.get(service, tenant)
        except StorageUnavailable as error:
            return self._cache.get_in_outage((service, tenant), error)
        self._cache.store((service, tenant), credentials, removals)
        return credentials

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return self._cache.has((service, tenant)) or await self._provider.has(service, tenant)

    async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Renew stale credentials at the provider, and remove the old ones from the cache."""
        try:
            return await self._provider.refresh(service, tenant, stale)
        finally:
            self._cache.remove((service, tenant))

    async def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Store new credentials at the provider, and remove the old ones from the cache."""
        try:
            await self._provider.rotate(service, tenant, new)
        finally:
            self._cache.remove((service, tenant))
