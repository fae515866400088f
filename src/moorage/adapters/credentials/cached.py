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
5. While one caller reads the credentials of a service and tenant from the provider, all others wait
   for its result, whether credentials or an error. If it is cancelled or interrupted, the next
   waiting caller reads them.
"""

from __future__ import annotations

from copy import copy
from itertools import count as counter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.allowance import allowance
from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.adapters.concurrency.locks import ThreadLocks
from moorage.domain.values.durations import count, seconds
from moorage.errors import ConnectorError, StorageUnavailable
from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from moorage.adapters.concurrency.locks_async import AsyncioLocks
    from moorage.ports.clock import Clock

Locks = TypeVar("Locks")
Provider = TypeVar("Provider", bound=CredentialProvider | AsyncCredentialProvider)

_SECOND: Final = 1_000_000_000
_PAUSE: Final = 5 * _SECOND
"""The maximum time before a provider is called again during an outage."""

_FOREVER: Final = float("inf")
_UNBOUNDED_QUEUE: Final = 10**9


class _Read:
    """A read from the credential provider, whose result all waiting callers share.

    Attributes:
        lock: the name of the lock that the reading caller holds.
        is_ended: True once there are credentials or an error.
    """

    __slots__ = ("__weakref__", "_credentials", "_error", "is_ended", "lock")

    def __init__(self, lock: str) -> None:
        self.lock = lock
        self.is_ended = False
        self._credentials: Any = None
        self._error: Exception | None = None

    def end(self, credentials: object, error: Exception | None = None) -> None:
        """Record the result."""
        self._credentials = credentials
        # All callers would share the traceback, and it would keep this object alive.
        self._error = copy(error) if isinstance(error, ConnectorError) else error
        self.is_ended = True

    def result(self) -> Any:
        """Return the credentials, or raise the error."""
        error = self._error
        if error is None:
            return self._credentials
        try:
            raise copy(error) if isinstance(error, ConnectorError) else error
        finally:
            # Otherwise the traceback would refer to this frame, and the frame to the error.
            del self, error


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
        self._reads: WeakValueDictionary[tuple[str, str | None], _Read] = WeakValueDictionary()
        self._read_numbers = counter()

    def join_read(self, owner: tuple[str, str | None]) -> _Read:
        """Return the read of these credentials that is in progress, or begin one."""
        with self._lock.current:
            read = self._reads.get(owner)
            if read is None:
                read = _Read(str(next(self._read_numbers)))
                entry = self.entries.get(owner)
                if entry is not None and self.nanoseconds() < entry[0]:
                    read.end(entry[1])  # another caller has just stored them
                else:
                    self._reads[owner] = read
            return read

    def end_read(
        self,
        owner: tuple[str, str | None],
        read: _Read,
        credentials: object,
        error: Exception | None = None,
    ) -> None:
        """Pass the result of a read to the waiting callers, but not to later callers."""
        with self._lock.current:
            read.end(credentials, error)
            if self._reads.get(owner) is read:
                del self._reads[owner]

    def has(self, owner: tuple[str, str | None]) -> bool:
        """Return whether the cache has credentials that have not expired."""
        entry = self.entries.get(owner)
        return entry is not None and self.nanoseconds() < entry[0]

    def store(self, owner: tuple[str, str | None], credentials: object, removals: int) -> None:
        """Cache credentials, unless they were removed while the provider was reading them."""
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
        """Remove credentials from the cache, and do not cache the result of a read in progress."""
        with self._lock.current:
            self.removals += 1
            self.entries.pop(owner, None)
            self._reads.pop(owner, None)


class _CachedProvider(Generic[Provider, Locks]):
    """The common code of the synchronous and asynchronous caching providers."""

    _new_locks: Callable[[], Locks]

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
        self._locks = self._new_locks()
        self.hits = 0
        self.misses = 0


class CachedCredentials(_CachedProvider[CredentialProvider, ThreadLocks]):
    """A credential provider that caches the credentials of another provider.

    Attributes:
        hits: the number of credentials from the cache; concurrent threads may lose some counts.
        misses: the number of calls of the provider; callers that waited for one count as hits.
    """

    _new_locks = ThreadLocks

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the credentials of a service and tenant, from the cache if possible."""
        entry = self._entries.get((service, tenant))
        if entry is not None and self._nanoseconds() < entry[0]:
            self.hits += 1
            return entry[1]
        read, reader = self._cache.join_read((service, tenant)), object()
        time_allowed = allowance()
        timeout = _FOREVER if time_allowed is None else time_allowed
        try:
            if not self._locks.acquire(
                read.lock, reader, slots=1, queue=_UNBOUNDED_QUEUE, timeout=timeout
            ):
                raise _slow_read_error(service)
            if not read.is_ended:
                return self._read_from_provider(service, tenant, read)
            credentials = read.result()
            self.hits += 1
            return credentials
        finally:
            self._locks.release(read.lock, reader)
            del read  # otherwise its traceback keeps this frame, and the frame the error

    def _read_from_provider(self, service: str, tenant: str | None, read: _Read) -> Any:
        """Call the provider, cache the credentials, and return them to all waiting callers."""
        cache, owner = self._cache, (service, tenant)
        self.misses += 1
        removals = cache.removals
        try:
            try:
                credentials = self._provider.get(service, tenant)
            except StorageUnavailable as error:
                credentials = cache.get_in_outage(owner, error)
            else:
                cache.store(owner, credentials, removals)
        except Exception as error:
            cache.end_read(owner, read, None, error)
            raise
        else:
            cache.end_read(owner, read, credentials)
            return credentials
        finally:
            del read  # otherwise its traceback keeps this frame, and the frame the error

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


class AsyncCachedCredentials(_CachedProvider[AsyncCredentialProvider, "AsyncioLocks"]):
    """The asynchronous `CachedCredentials`.

    Attributes:
        hits: the number of credentials from the cache; concurrent threads may lose some counts.
        misses: the number of calls of the provider; callers that waited for one count as hits.
    """

    @staticmethod
    def _new_locks() -> AsyncioLocks:
        from moorage.adapters.concurrency.locks_async import AsyncioLocks  # noqa: PLC0415 - synchronous programs never need asyncio

        return AsyncioLocks()

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the credentials of a service and tenant, from the cache if possible."""
        entry = self._entries.get((service, tenant))
        if entry is not None and self._nanoseconds() < entry[0]:
            self.hits += 1
            return entry[1]
        read, reader = self._cache.join_read((service, tenant)), object()
        try:
            if not await self._locks.acquire(
                read.lock, reader, slots=1, queue=_UNBOUNDED_QUEUE, timeout=_FOREVER
            ):
                raise _slow_read_error(service)
            if not read.is_ended:
                return await self._read_from_provider(service, tenant, read)
            credentials = read.result()
            self.hits += 1
            return credentials
        finally:
            self._locks.release(read.lock, reader)
            del read  # otherwise its traceback keeps this frame, and the frame the error

    async def _read_from_provider(self, service: str, tenant: str | None, read: _Read) -> Any:
        """Call the provider, cache the credentials, and return them to all waiting callers."""
        cache, owner = self._cache, (service, tenant)
        self.misses += 1
        removals = cache.removals
        try:
            try:
                credentials = await self._provider.get(service, tenant)
            except StorageUnavailable as error:
                credentials = cache.get_in_outage(owner, error)
            else:
                cache.store(owner, credentials, removals)
        except Exception as error:
            cache.end_read(owner, read, None, error)
            raise
        else:
            cache.end_read(owner, read, credentials)
            return credentials
        finally:
            del read  # otherwise its traceback keeps this frame, and the frame the error

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


def _slow_read_error(service: str) -> StorageUnavailable:
    """Return the error for a caller whose time ends while another caller reads credentials."""
    return StorageUnavailable(
        "Another call is reading the credentials, and reading them takes longer than this call can"
        " wait.",
        service=service,
        slow=True,
        remedy="Find out why the credential provider is slow, or set a longer timeout.",
    )
