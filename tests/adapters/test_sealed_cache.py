"""The encrypted response cache in a store of shared state."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from moorage import (
    CachePolicy,
    ConfigurationError,
    ConnectorManager,
    Request,
    Response,
    Service,
    StorageUnavailable,
)
from moorage.adapters.cache.sealed import AsyncSealedCache, SealedCache
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.adapters.state.sql import AsyncSqlStorage, SqlStorage
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.cache.state import (
    CachedAnswers,
    ReadCachedAnswers,
    RemoveCachedAnswers,
    StoreCachedAnswers,
)
from moorage.testing import FakeVendor, ScriptedHttpClient, VirtualClock, cache_conformance, name_of
from moorage.testing.kits.cache_conformance import entry
from tests.adapters.sql_harness import harnesses
from tests.support.servers import redis_url
from tests.support.timed_store import TimedStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage.domain.state.commands import Command

PATIENT = 30.0
"""Seconds that a busy machine may take."""
KINDS = ("memory", "sqlite", "redis", "postgresql", "mariadb")
CIPHER = AesGcmCipher(generate_keys())
SECRET = b"a secret answer"


@pytest.fixture(scope="module", params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[tuple[Any, Any]]:
    """Return constructors of each kind of store, synchronous and asynchronous."""
    kind: str = request.param
    if kind == "memory":
        memory = MemoryStorage()
        yield (lambda: memory), lambda: AsyncMemoryStorage(memory)
    elif kind == "sqlite":
        path: Path = tmp_path_factory.mktemp("cache") / "cache.db"
        yield (
            lambda: SqliteStorage(path, timeout=PATIENT),
            lambda: AsyncSqliteStorage(path, timeout=PATIENT),
        )
    elif kind == "redis":
        url, prefix = redis_url(), f"cache:{uuid4().hex}:"
        options: dict[str, Any] = {"timeout": PATIENT, "prefix": prefix}
        yield (lambda: RedisStorage(url, **options)), lambda: AsyncRedisStorage(url, **options)
    else:
        with harnesses(kind) as harness:
            url = harness.url.render_as_string(hide_password=False)
            options = {"timeout": PATIENT, "prefix": harness.prefix}
            yield (lambda: SqlStorage(url, **options)), lambda: AsyncSqlStorage(url, **options)


@pytest.mark.parametrize("check", cache_conformance.CHECKS, ids=name_of)
def test_sealed_cache_passes_conformance_kit_on_every_store(
    check: cache_conformance.Check, stores: tuple[Any, Any]
) -> None:
    """SealedCache passes the conformance kit on every store."""
    storage = stores[0]()
    try:
        check(lambda: SealedCache(storage, CIPHER))
    finally:
        getattr(storage, "close", int)()


@pytest.mark.parametrize("check", cache_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_sealed_cache_passes_conformance_kit_on_every_store(
    check: cache_conformance.AsyncCheck, stores: tuple[Any, Any]
) -> None:
    """AsyncSealedCache passes the conformance kit on every store."""

    async def run() -> None:
        storage = stores[1]()
        try:
            await check(lambda: AsyncSealedCache(storage, CIPHER))
        finally:
            closing = getattr(storage, "aclose", int)()
            if inspect.isawaitable(closing):
                await closing

    asyncio.run(run())


def keep_secret(cache: SealedCache, key: str = "key") -> bool:
    """Cache a response that contains a secret."""
    single_entry = entry(1)
    changed_entry = type(single_entry)(
        single_entry.response.evolve(body=SECRET), 60.0, 0.0, (), b"who"
    )
    return cache.store(key, cache.find(key).version, (changed_entry,), 60.0)


def content(storage: MemoryStorage, key: str = "key") -> bytes:
    """Return the bytes that the store has for the cached response."""
    cached_answers: CachedAnswers = storage.execute(ReadCachedAnswers(key))
    assert cached_answers.content is not None
    return cached_answers.content


def test_cache_content_is_encrypted() -> None:
    """Cached responses are stored encrypted, with different bytes each time."""
    storage = MemoryStorage()
    cache = SealedCache(storage, CIPHER)
    assert keep_secret(cache)
    first = content(storage)
    assert keep_secret(cache)

    assert SECRET not in first
    assert b"Set-Cookie" not in first
    assert first != content(storage)


def test_moved_content_cannot_be_read() -> None:
    """A cached response that was copied to another key cannot be read."""
    storage = MemoryStorage()
    cache = SealedCache(storage, CIPHER)
    assert keep_secret(cache)
    assert storage.execute(StoreCachedAnswers("other", 0, content(storage), 10**9))

    result = cache.find("other")
    assert ((), "InvalidData") == (result.entries, result.unreadable)


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\x00" * 200])
def test_damaged_content_is_replaced(damage: bytes) -> None:
    """Damaged cache content is reported as unreadable, and replaced."""
    storage = MemoryStorage()
    cache = SealedCache(storage, CIPHER)
    assert storage.execute(StoreCachedAnswers("key", 0, damage, 10**9))

    assert "InvalidData" == cache.find("key").unreadable
    assert keep_secret(cache)
    assert 1 == len(cache.find("key").entries)


def test_encrypted_non_responses_cannot_be_read() -> None:
    """Decrypted bytes that are not a response are reported as unreadable."""
    storage = MemoryStorage()
    cache = SealedCache(storage, CIPHER)
    assert keep_secret(cache)
    associated_data = b"\xackept answers\xa3key"
    CIPHER.open(content(storage), associated_data)
    for packed_bytes in (b"", b"\x02", b"\x01\x91\x01", b"\xff" * 9):
        version = cache.find("key").version
        assert storage.execute(
            StoreCachedAnswers("key", version, CIPHER.seal(packed_bytes, associated_data), 10**9)
        )
        result = cache.find("key")
        assert () == result.entries
        assert (packed_bytes == b"") or result.unreadable == "InvalidData"


def test_cache_content_under_older_key_is_readable_as_long_as_that_key_is_configured() -> None:
    """Cache content encrypted with an older key is readable while that key is configured."""
    storage = MemoryStorage()
    old_ring = generate_keys()
    new_ring = generate_keys(old_ring)
    assert keep_secret(SealedCache(storage, AesGcmCipher(old_ring)))

    assert 1 == len(SealedCache(storage, AesGcmCipher(new_ring)).find("key").entries)
    result = SealedCache(storage, AesGcmCipher(new_ring.without(1))).find("key")
    assert ((), "ConfigurationError") == (result.entries, result.unreadable)


@pytest.mark.parametrize("kind", [SealedCache, AsyncSealedCache])
@pytest.mark.parametrize("cipher", [None, object(), "key"])
def test_sealed_cache_without_cipher_is_refused_at_construction(kind: Any, cipher: object) -> None:
    """A sealed cache without a cipher is refused at construction."""
    with pytest.raises(ConfigurationError, match="encrypted responses cannot use it") as excinfo:
        kind(MemoryStorage(), cipher)
    assert "cipher" == excinfo.value.path


@pytest.mark.parametrize("kind", [SealedCache, AsyncSealedCache])
def test_invalid_store_is_refused(kind: Any) -> None:
    """A sealed cache on an object that is not a store is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        kind({}, CIPHER)
    assert "storage" == excinfo.value.path


def test_repr_shows_the_store() -> None:
    """The `repr` of a sealed cache shows its store without the password."""
    representation = repr(SealedCache(RedisStorage("redis://:hidden@127.0.0.1:6379/0"), CIPHER))
    assert "SealedCache(RedisStorage('redis://:***@127.0.0.1:6379/0'))" == representation


def test_store_errors_pass_through() -> None:
    """Exceptions of the store reach the caller of the cache unchanged."""
    absent_error = StorageUnavailable("away.")

    class UnavailableStore:
        def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
            raise absent_error

    cache = SealedCache(UnavailableStore(), CIPHER)  # type: ignore[arg-type]  # as much of a store as is used
    with pytest.raises(StorageUnavailable):
        cache.find("key")


def test_cached_response_ages_by_the_clock_of_the_store() -> None:
    """A cached response ages and expires by the store's clock."""
    clock = VirtualClock()
    storage = MemoryStorage(clock)
    cache = SealedCache(storage, CIPHER)
    assert keep_secret(cache)

    clock.advance(59.0)
    assert [59.0] == [entry.age for entry in cache.find("key").entries]
    clock.advance(1.0)
    assert () == cache.find("key").entries
    storage.execute(RemoveCachedAnswers("key"))
    assert () == cache.find("key").entries


def test_store_gets_the_remaining_time() -> None:
    """The store's timeout is the time that the call has left, but at most `max_wait`."""
    clock = VirtualClock()
    storage = TimedStorage(clock)
    cached_service = Service(
        "rates", base_url="https://rates.example", cache=CachePolicy(max_wait=0.5)
    )
    vendor = FakeVendor()
    vendor.always(Response(200, {"Cache-Control": "max-age=60"}, b"1"))
    http = ScriptedHttpClient(vendor)
    cache = SealedCache(storage, CIPHER)
    with ConnectorManager([cached_service], http=http, cache=cache, clock=clock) as manager:
        manager.call("rates", Request.get("/a"), timeout=0.25)
    assert [("ReadCachedAnswers", 0.25), ("StoreCachedAnswers", 0.5)] == storage.timeouts


def test_store_without_timeouts_works() -> None:
    """An encrypted cache works on a store whose `execute` accepts no timeout."""
    memory = MemoryStorage()

    class StoreWithoutTimeouts:
        """An older store whose methods take no timeout."""

        def execute(self, command: Command[Any], /) -> Any:
            """Run one command on its states, and return its result."""
            return memory.execute(command)

    cache = SealedCache(cast("Any", StoreWithoutTimeouts()), CIPHER)
    assert keep_secret(cache)
    assert cache.find("key", timeout=1.0).entries
