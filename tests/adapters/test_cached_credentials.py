"""The credential cache, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.credentials.cached import AsyncCachedCredentials, CachedCredentials
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialNotFound,
    StorageUnavailable,
)
from moorage.runtime.flows import as_async, run_now, within_sync
from moorage.testing import VirtualClock
from moorage.testing import credentials_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.auth.methods import Credentials

OLD, NEW, OTHER = kit.OLD, kit.NEW, kit.OTHER
OWNER = ("stripe", "acme")


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_synchronous_credential_cache_passes_conformance_kit(check: kit.Check) -> None:
    """The synchronous credential cache passes the conformance kit."""
    check(lambda renew: CachedCredentials(MemoryCredentialProvider(renew=renew)))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_credential_cache_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """The asynchronous credential cache passes the conformance kit."""
    asyncio.run(
        check(lambda renew: AsyncCachedCredentials(AsyncMemoryCredentialProvider(renew=renew)))
    )


class CacheInMode:
    """A credential cache in sync or async mode, and the provider whose credentials it caches."""

    def __init__(self, *, is_async: bool, **options: Any) -> None:
        self.clock = VirtualClock()
        fields: dict[Any, Any] = {OWNER: OLD}
        self.behind: Any
        self.cached: Any
        if is_async:
            self.behind = AsyncMemoryCredentialProvider(fields)
            self.cached = AsyncCachedCredentials(self.behind, clock=self.clock, **options)
        else:
            self.behind = MemoryCredentialProvider(fields)
            self.cached = CachedCredentials(self.behind, clock=self.clock, **options)
        self._is_async = is_async

    def ask(self, method: Callable[..., Any], *options: object) -> Any:
        """Call a synchronous or asynchronous method and return its result."""
        return asyncio.run(method(*options)) if self._is_async else method(*options)

    def get(self, service: str = "stripe", tenant: str | None = "acme") -> Any:
        """Return the credential from the cache."""
        return self.ask(self.cached.get, service, tenant)

    @property
    def hits_and_misses(self) -> tuple[int, int]:
        """Return the number of cache hits and the number of misses."""
        return self.cached.hits, self.cached.misses


BOTH_MODES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@BOTH_MODES
def test_credential_is_cached_until_its_time_to_live_ends(is_async: bool) -> None:
    """A credential changed outside the cache is seen once the cached one has expired."""
    cache = CacheInMode(is_async=is_async, ttl=10)

    assert OLD == cache.get()
    cache.ask(cache.behind.rotate, *OWNER, NEW)
    cache.clock.advance(9.999_999)
    assert (OLD, (1, 1)) == (cache.get(), cache.hits_and_misses)
    cache.clock.advance(0.000_001)
    assert (NEW, (1, 2)) == (cache.get(), cache.hits_and_misses)


@BOTH_MODES
def test_changes_through_the_cache_are_seen_at_once(is_async: bool) -> None:
    """A credential rotated through the cache is seen at the next read."""
    cache = CacheInMode(is_async=is_async)

    cache.get()
    cache.ask(cache.cached.rotate, *OWNER, NEW)
    assert NEW == cache.get()
    cache.ask(cache.behind.rotate, *OWNER, OTHER)
    assert OTHER == cache.ask(cache.cached.refresh, *OWNER, NEW)
    assert OTHER == cache.get()


@BOTH_MODES
def test_missing_credentials_are_not_cached(is_async: bool) -> None:
    """A missing credential is not cached, so the next call finds it once it exists."""
    cache = CacheInMode(is_async=is_async)

    with pytest.raises(CredentialNotFound):
        cache.get("adyen", None)
    assert not cache.ask(cache.cached.has, "adyen", None)
    cache.ask(cache.behind.rotate, "adyen", None, NEW)
    assert cache.ask(cache.cached.has, "adyen", None)
    assert NEW == cache.get("adyen", None)


@BOTH_MODES
def test_has_uses_the_cache(is_async: bool) -> None:
    """`has` returns true for a cached credential.

    When the cache entry expires, `has` calls the provider.
    """
    cache = CacheInMode(is_async=is_async, ttl=10)
    requests: list[object] = []

    def now(*owner: object) -> bool:
        requests.append(owner)
        return False

    async def has_later(*owner: object) -> bool:
        return now(*owner)

    cache.get()
    cache.behind.has = has_later if is_async else now
    assert cache.ask(cache.cached.has, *OWNER)
    assert [] == requests
    cache.clock.advance(10)
    assert not cache.ask(cache.cached.has, *OWNER)
    assert [OWNER] == requests


@BOTH_MODES
def test_full_cache_drops_the_least_recently_used_credential(is_async: bool) -> None:
    """A full credential cache drops the least recently used credential."""
    cache = CacheInMode(is_async=is_async, most=2, ttl=10)
    for tenant in ("a", "b", "c"):
        cache.ask(cache.behind.rotate, "stripe", tenant, OLD)
    cache.get("stripe", "a")
    cache.clock.advance(5)
    cache.get("stripe", "b")
    cache.clock.advance(5)
    cache.get("stripe", "a")
    cache.get("stripe", "c")

    assert (0, 4) == cache.hits_and_misses
    cache.get("stripe", "a")
    assert (1, 4) == cache.hits_and_misses
    cache.get("stripe", "b")
    assert (1, 5) == cache.hits_and_misses


class UnavailableProvider:
    """A credential provider that fails on demand, and counts its calls."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind
        self.error: BaseException | None = None
        self.asked = 0

    def get(self, *owner: Any) -> Any:
        """Return the stored credential, or raise if the provider is down."""
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self._behind.get(*owner)


def make_unavailable(cache_in_mode: CacheInMode) -> Any:
    """Replace the provider behind the cache with one that is unavailable."""
    provider = UnavailableProvider(cache_in_mode.behind)
    cache_in_mode.cached._provider = provider  # noqa: SLF001 - the one behind
    return provider


@BOTH_MODES
def test_expired_credential_is_returned_in_an_outage_until_the_grace_ends(is_async: bool) -> None:
    """During an outage, the cache returns an expired credential until the grace time is over."""
    cache = CacheInMode(is_async=is_async, ttl=10, grace=60)
    cache.get()
    provider = make_unavailable(cache)
    provider.error = StorageUnavailable("away")
    cache.clock.advance(10)
    for _ in range(3):
        assert OLD == cache.get()
    assert 1 == provider.asked
    cache.clock.advance(5)
    assert (OLD, 2) == (cache.get(), provider.asked)
    provider.error = None
    cache.ask(cache.behind.rotate, *OWNER, NEW)
    cache.clock.advance(5)
    assert (NEW, 3) == (cache.get(), provider.asked)
    provider.error = StorageUnavailable("away")
    cache.clock.advance(69)
    assert NEW == cache.get()
    cache.clock.advance(1)
    with pytest.raises(StorageUnavailable, match="away"):
        cache.get()


@BOTH_MODES
@pytest.mark.parametrize("error", [AuthenticationFailed("no"), CredentialNotFound("no")])
def test_refusals_are_not_bridged_by_the_cache(error: Exception, is_async: bool) -> None:
    """If the provider refuses or has no credential, the cache returns no expired one."""
    cache = CacheInMode(is_async=is_async, ttl=10, grace=60)
    cache.get()
    make_unavailable(cache).error = error
    cache.clock.advance(10)
    with pytest.raises(type(error)):
        cache.get()


@BOTH_MODES
def test_storage_unavailable_is_raised_during_outage_without_grace_time(is_async: bool) -> None:
    """During an outage, a cache without a grace time raises StorageUnavailable."""
    for options, owner in (({}, OWNER), ({"grace": 60}, ("adyen", None))):
        cache = CacheInMode(is_async=is_async, ttl=10, **options)
        cache.get()
        make_unavailable(cache).error = StorageUnavailable("away")
        cache.clock.advance(10)
        with pytest.raises(StorageUnavailable):
            cache.get(*owner)


class RacingProvider:
    """A provider that changes a credential while it is being read."""

    def __init__(self) -> None:
        self.cached: Any = None
        self.behind = MemoryCredentialProvider({OWNER: OLD})

    def get(self, service: str, tenant: str | None, /) -> Credentials:
        """Return the stored credential; at the first call, change it just before returning."""
        result: Credentials = self.behind.get(service, tenant)
        if result == OLD:
            self.cached.rotate(service, tenant, NEW)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


def test_credential_changed_during_its_reading_is_not_cached() -> None:
    """A credential that was changed while the cache read it is not cached."""
    provider: Any = RacingProvider()
    provider.cached = CachedCredentials(provider)

    assert [OLD, NEW, NEW] == [provider.cached.get(*OWNER) for _ in range(3)]
    assert (1, 2) == (provider.cached.hits, provider.cached.misses)


class HeldProvider:
    """A provider whose calls wait until a test releases them.

    Attributes:
        behind: the credentials.
        owners: the owner of each call.
        errors: the errors of the calls, from the first on; None for a call that succeeds.
        is_called, may_end: events that a call sets when it begins, and that the test sets to let
            the call end.
    """

    def __init__(self, *errors: BaseException | None) -> None:
        self.behind: Any = MemoryCredentialProvider({OWNER: OLD, ("stripe", "other"): OTHER})
        self.owners: list[tuple[str, str | None]] = []
        self.errors = list(errors)
        self.is_called: Any = Event()
        self.may_end: Any = Event()

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the credential that is stored now, once the test allows it."""
        result = self._begin(service, tenant)
        assert self.may_end.wait(30)
        return self._end(result)

    def _begin(self, service: str, tenant: str | None) -> Any:
        self.owners.append((service, tenant))
        self.is_called.set()
        return self.behind.get(service, tenant)

    def _end(self, result: Any) -> Any:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


class AsyncHeldProvider(HeldProvider):
    """The asynchronous `HeldProvider`."""

    def __init__(self, *errors: BaseException | None) -> None:
        super().__init__(*errors)
        self.is_called, self.may_end = asyncio.Event(), asyncio.Event()

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the credential that is stored now, once the test allows it."""
        result = self._begin(service, tenant)
        await self.may_end.wait()
        return self._end(result)


def wait_for_queue(cached: CachedCredentials, length: int) -> None:
    """Wait until this number of threads waits for another thread's result."""
    slots = cached._locks._slots  # noqa: SLF001 - nothing else shows that a thread waits
    wait_until(
        lambda: length == sum(queue.length for queue in list(slots._queues.values())),  # noqa: SLF001 - as above
        f"{length} waiting threads",
    )


def get_in_threads(provider: Any, most: int = 8) -> list[Any]:
    """Return the results of this number of threads, which miss the cache at the same time."""
    cached = CachedCredentials(provider)
    with ThreadPoolExecutor(most) as pool:
        futures = [pool.submit(cached.get, *OWNER)]
        assert provider.is_called.wait(30)
        futures += [pool.submit(cached.get, *OWNER) for _ in range(most - 1)]
        wait_for_queue(cached, most - 1)
        provider.may_end.set()
    return [future.exception() or future.result() for future in futures]


async def get_in_tasks(provider: Any, most: int = 8) -> list[Any]:
    """Return the results of this number of tasks, which miss the cache at the same time."""
    cached = AsyncCachedCredentials(provider)
    tasks = [asyncio.create_task(cached.get(*OWNER)) for _ in range(most)]
    await provider.is_called.wait()
    await asyncio.sleep(0)
    provider.may_end.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_threads_that_miss_together_call_the_provider_once() -> None:
    """If threads miss the cache together, one calls the provider and all get its result."""
    provider: Any = HeldProvider()

    assert [OLD] * 8 == get_in_threads(provider)
    assert [OWNER] == provider.owners


def test_tasks_that_miss_together_call_the_provider_once() -> None:
    """If tasks miss the cache together, one calls the provider and all get its result."""

    async def run() -> None:
        provider: Any = AsyncHeldProvider()
        assert [OLD] * 8 == await get_in_tasks(provider)
        assert [OWNER] == provider.owners

    asyncio.run(run())


@pytest.mark.parametrize(
    "error", [CredentialNotFound("none"), StorageUnavailable("away"), KeyError("foreign")], ids=repr
)
def test_error_reaches_all_waiting_threads_and_is_not_cached(error: Exception) -> None:
    """An error of the provider reaches all waiting threads.

    The next call calls the provider again.
    """
    provider: Any = HeldProvider(error)

    results = get_in_threads(provider)
    assert [(type(error), str(error))] * 8 == [(type(item), str(item)) for item in results]
    assert [OWNER] == provider.owners
    assert (1 if isinstance(error, KeyError) else 8) == len(set(map(id, results)))
    assert OLD == CachedCredentials(provider).get(*OWNER)


def test_error_reaches_all_waiting_tasks_and_is_not_cached() -> None:
    """An error of the provider reaches all waiting tasks, a copy each.

    The next call calls the provider again.
    """

    async def run() -> None:
        provider: Any = AsyncHeldProvider(CredentialNotFound("none"))
        results = await get_in_tasks(provider)
        assert [str(CredentialNotFound("none"))] * 8 == [str(result) for result in results]
        assert 8 == len(set(map(id, results)))
        assert [OWNER] == provider.owners
        assert [OLD] * 2 == await get_in_tasks(provider, 2)
        assert [OWNER] * 2 == provider.owners

    asyncio.run(run())


def test_cancelled_task_hands_the_reading_over_to_the_next_one() -> None:
    """If the task that calls the provider is cancelled, the next waiting task calls it."""

    async def run() -> None:
        provider: Any = AsyncHeldProvider()
        cached = AsyncCachedCredentials(provider)
        tasks = [asyncio.create_task(cached.get(*OWNER)) for _ in range(4)]
        await provider.is_called.wait()
        await asyncio.sleep(0)
        provider.is_called.clear()
        tasks[2].cancel()
        tasks[0].cancel()
        await provider.is_called.wait()
        provider.may_end.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)

        assert [OLD, OLD] == results[1::2]
        assert [asyncio.CancelledError] * 2 == [type(result) for result in results[::2]]
        assert [OWNER] * 2 == provider.owners

    asyncio.run(run())


def test_interrupted_thread_hands_the_reading_over_to_the_next_one() -> None:
    """If the thread that calls the provider is interrupted, the next waiting thread calls it."""
    provider: Any = HeldProvider(KeyboardInterrupt())

    first, *others = get_in_threads(provider, 4)
    assert isinstance(first, KeyboardInterrupt)
    assert [OLD] * 3 == others
    assert [OWNER] * 2 == provider.owners


def test_waiting_thread_gives_up_at_its_deadline() -> None:
    """A thread that waits while another thread reads credentials stops waiting at its deadline."""
    provider: Any = HeldProvider()
    cached = CachedCredentials(provider)

    def get_within(seconds: float) -> Any:
        return run_now(within_sync(as_async(cached.get)(*OWNER), seconds))

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(get_within, 0.0)
        assert provider.is_called.wait(30)
        try:
            with pytest.raises(StorageUnavailable, match="Another call is reading") as excinfo:
                get_within(0.001)
            assert ("stripe", True) == (excinfo.value.service, excinfo.value.slow)
        finally:
            provider.may_end.set()
    assert OLD == reader.result()
    assert (1, OLD) == (cached.misses, get_within(0.0))


def test_other_tenants_do_not_wait() -> None:
    """The reading of one tenant's credentials does not delay another tenant's."""

    async def run() -> None:
        provider: Any = AsyncHeldProvider()
        cached = AsyncCachedCredentials(provider)
        tasks = [asyncio.create_task(cached.get("stripe", name)) for name in ("acme", "other")]
        await provider.is_called.wait()
        await asyncio.sleep(0)
        assert [OWNER, ("stripe", "other")] == provider.owners
        provider.may_end.set()
        assert [OLD, OTHER] == await asyncio.gather(*tasks)

    asyncio.run(run())


def test_call_after_a_rotation_asks_the_provider_again() -> None:
    """A call after a rotation asks the provider, even while an earlier call is still asking."""
    provider: Any = HeldProvider()
    cached = CachedCredentials(provider)
    with ThreadPoolExecutor(2) as pool:
        earlier_get = pool.submit(cached.get, *OWNER)
        assert provider.is_called.wait(30)
        cached.rotate(*OWNER, NEW)
        later_get = pool.submit(cached.get, *OWNER)
        try:
            wait_until(lambda: [OWNER] * 2 == provider.owners, "a second call of the provider")
        finally:
            provider.may_end.set()
        assert [OLD, NEW] == [earlier_get.result(), later_get.result()]


@BOTH_MODES
def test_ended_readings_leave_nothing_behind(is_async: bool) -> None:
    """After a failed read, the cache contains neither a held lock nor an error."""
    cache = CacheInMode(is_async=is_async)
    provider = make_unavailable(cache)
    for provider.error in (CredentialNotFound("none"), KeyError("foreign"), KeyboardInterrupt()):
        with pytest.raises(type(provider.error)):
            cache.get()
    provider.error = None
    gc.collect()
    assert set() == cache.cached._locks._slots.names()  # noqa: SLF001 - a leak is seen only there
    assert [] == list(cache.cached._cache._reads)  # noqa: SLF001 - as above


def test_read_after_a_failed_change_asks_the_provider_again() -> None:
    """After a failed change, the next read asks the provider again."""

    class FailingProvider(MemoryCredentialProvider):
        def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
            super().rotate(service, tenant, new)
            raise KeyError

    cached_provider = CachedCredentials(FailingProvider({OWNER: OLD}))
    cached_provider.get(*OWNER)

    with pytest.raises(KeyError):
        cached_provider.rotate(*OWNER, NEW)
    assert NEW == cached_provider.get(*OWNER)


def test_a_child_does_not_inherit_a_lock() -> None:
    """If a thread holds a cache lock during a fork, the forked child is not blocked."""
    cached_provider = CachedCredentials(MemoryCredentialProvider({OWNER: OLD}))
    with cached_provider._cache._lock.current:  # noqa: SLF001 - as a thread that the child does not have
        restart_in_child()
        assert OLD == cached_provider.get(*OWNER) == cached_provider.get(*OWNER)


@pytest.mark.parametrize(
    "options, path", [({"ttl": 0}, "ttl"), ({"grace": -1}, "grace"), ({"most": 0}, "most")]
)
def test_options_are_checked(options: dict[str, Any], path: str) -> None:
    """A cache with a zero time to live, a negative grace time or a zero size is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        CachedCredentials(MemoryCredentialProvider(), **options)
    assert path == excinfo.value.path
