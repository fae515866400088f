"""Credentials of another provider, kept for a while in the memory of this process.

1. A hit costs a look into a dictionary and at a clock; no lock is taken.
2. What is put in place or renewed here is forgotten at once, and so is what was asked for before
   that and arrives after it. What others change is seen when `ttl` is over, or when the vendor
   refuses what is kept: `refresh` always asks the provider.
3. That there is nothing is not kept, and neither is a failure.
4. While the provider is away, and only then, what was kept is given on for `grace`, so that its
   outage is not ours; the provider is asked again after a short pause. What it refuses, or says
   that it does not have, is not given.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.forking import in_child
from moorage.domain.values.durations import count, seconds
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from datetime import timedelta

    from moorage.ports.clock import Clock
    from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider

_SECOND: Final = 1_000_000_000
_PAUSE: Final = 5 * _SECOND
"""For how long a provider that is away is not asked again, at most."""


class _Kept:
    """Cached credentials, with the time at which they expire in the cache.

    `changes` counts what was forgotten, so that what is older than that is told.
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
        self._most = count(most, "most")
        self.nanoseconds = (SystemClock() if clock is None else clock).nanoseconds
        self.entries: dict[tuple[str, str | None], tuple[int, Any, int]] = {}
        self.changes = 0
        self._forget_lock()
        in_child(self, _Kept._forget_lock)

    def _forget_lock(self) -> None:
        self._lock = Lock()

    def has(self, owner: tuple[str, str | None]) -> bool:
        """Return whether there are credentials that have not expired in the cache."""
        entry = self.entries.get(owner)
        return entry is not None and self.nanoseconds() < entry[0]

    def keep(self, owner: tuple[str, str | None], got: object, since: int) -> None:
        """Keep what was got, unless something was forgotten since it was asked for."""
        with self._lock:
            if self.changes != since:
                return
            entries = self.entries
            entries.pop(owner, None)
            while len(entries) >= self._most:
                del entries[next(iter(entries))]
            fresh = self.nanoseconds() + self._ttl
            entries[owner] = (fresh, got, fresh + self._grace)

    def spare(self, owner: tuple[str, str | None], error: StorageUnavailable) -> Any:
        """Return credentials that are usable while the provider is away, or raise its error."""
        with self._lock:
            entry, now = self.entries.get(owner), self.nanoseconds()
            if entry is None or now >= entry[2]:
                raise error
            _, got, end = entry
            self.entries[owner] = (min(now + min(self._ttl, _PAUSE), end), got, end)
        return got

    def forget(self, owner: tuple[str, str | None]) -> None:
        """Forget it, and do not keep what others are getting just now."""
        with self._lock:
            self.changes += 1
            self.entries.pop(owner, None)


class CachedCredentials:
    """A credential provider that asks another one, and remembers for a while.

    Args:
        provider: knows the credentials.
        ttl: for how long one is kept; so long a change made elsewhere may go unseen.
        grace: for how long after that one is given while the provider is away.
        most: how many are kept at most; the oldest goes first.
        clock: measures time.

    Attributes:
        hits: how many were given without asking; threads that count at once may lose some.
        misses: for how many the provider was asked.
    """

    def __init__(
        self,
        provider: CredentialProvider,
        *,
        ttl: float | timedelta = 60.0,
        grace: float | timedelta = 0.0,
        most: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        self._provider = provider
        self._kept = _Kept(ttl, grace, most, clock)
        self._entries, self._nanoseconds = self._kept.entries, self._kept.nanoseconds
        self.hits = 0
        self.misses = 0

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current or recently current credentials of a service and tenant."""
        entry = self._entries.get((service, tenant))
        if entry is not None and self._nanoseconds() < entry[0]:
            self.hits += 1
            return entry[1]
        self.misses += 1
        since = self._kept.changes
        try:
            got = self._provider.get(service, tenant)
        except StorageUnavailable as error:
            return self._kept.spare((service, tenant), error)
        self._kept.keep((service, tenant), got, since)
        return got

    def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return self._kept.has((service, tenant)) or self._provider.has(service, tenant)

    def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Have the provider renew what is stale."""
        try:
            return self._provider.refresh(service, tenant, stale)
        finally:
            self._kept.forget((service, tenant))

    def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Have the provider put a new credential in place."""
        try:
            self._provider.rotate(service, tenant, new)
        finally:
            self._kept.forget((service, tenant))


class AsyncCachedCredentials:
    """As `CachedCredentials`, awaited.

    Args:
        provider: knows the credentials.
        ttl: for how long one is kept; so long a change made elsewhere may go unseen.
        grace: for how long after that one is given while the provider is away.
        most: how many are kept at most; the oldest goes first.
        clock: measures time.

    Attributes:
        hits: how many were given without asking; threads that count at once may lose some.
        misses: for how many the provider was asked.
    """

    def __init__(
        self,
        provider: AsyncCredentialProvider,
        *,
        ttl: float | timedelta = 60.0,
        grace: float | timedelta = 0.0,
        most: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        self._provider = provider
        self._kept = _Kept(ttl, grace, most, clock)
        self._entries, self._nanoseconds = self._kept.entries, self._kept.nanoseconds
        self.hits = 0
        self.misses = 0

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current or recently current credentials of a service and tenant."""
        entry = self._entries.get((service, tenant))
        if entry is not None and self._nanoseconds() < entry[0]:
            self.hits += 1
            return entry[1]
        self.misses += 1
        since = self._kept.changes
        try:
            got = await self._provider.get(service, tenant)
        except StorageUnavailable as error:
            return self._kept.spare((service, tenant), error)
        self._kept.keep((service, tenant), got, since)
        return got

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return self._kept.has((service, tenant)) or await self._provider.has(service, tenant)

    async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Have the provider renew what is stale."""
        try:
            return await self._provider.refresh(service, tenant, stale)
        finally:
            self._kept.forget((service, tenant))

    async def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Have the provider put a new credential in place."""
        try:
            await self._provider.rotate(service, tenant, new)
        finally:
            self._kept.forget((service, tenant))
