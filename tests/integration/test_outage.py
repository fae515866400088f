"""A store that fails and recovers, on a real network."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from moorage import (
    AsyncConnectorManager,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConnectorManager,
    Event,
    RateLimitConfig,
    RetryBudget,
    Service,
    StorageLost,
    StorageRecovered,
    StorageUnavailable,
    VendorFailed,
)
from moorage.testing import TcpProxy
from tests.integration.private_redis import PrivateRedis
from tests.integration.store_locations import (
    PATIENCE,
    RecordingStore,
    StoreLocation,
    now,
    trips,
    wait_until,
)
from tests.integration.worker_pool import calls
from tests.integration.workers import Job
from tests.support.servers import redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from moorage.ports.state import StateStorage
    from tests.integration.worker_pool import WorkerPool

TIMEOUT = 0.5
MOST_ANSWERS = 10
"""A call with a key needs fewer."""
SOONEST = 0.125
"""Seconds after which a store is looked for again, at the earliest."""
SERVERS = ("redis", "postgresql", "mariadb")
FAULTS: dict[str, Callable[[TcpProxy], None]] = {
    "cut": TcpProxy.cut_connections,
    "swallow": TcpProxy.withhold,
}


@pytest.fixture(scope="module")
def own_redis() -> Iterator[PrivateRedis]:
    """Yield a Redis server that may be killed."""
    with PrivateRedis(redis_server()) as server:
        yield server


class Shop:
    """A client program that calls a service, with and without keys, over a store that may fail."""

    def __init__(
        self, location: StoreLocation, name: str, claims: StateStorage | None = None
    ) -> None:
        service = Service(
            name,
            limits=RateLimitConfig.per_second(100_000),
            retry=None,
            retry_budget=RetryBudget(),
            timeout=20,
        )
        self._name = name
        self._heard: list[Event] = []
        self.store = location.open()
        self._trips: list[dict[str, Any]] = []
        self._numbers = count()
        self.effects: dict[str, list[str]] = {}
        self._manager = ConnectorManager(
            [service],
            state=RecordingStore(self.store),
            claims=claims,
            observers=[self._heard.append],
        )

    def event_count(self, kind: type[Event]) -> int:
        """Return the number of events of this kind that were emitted."""
        return sum(isinstance(event, kind) for event in self._heard)

    def call(self, times: int = 20) -> list[dict[str, Any]]:
        """Make calls without an idempotency key, and return the store commands that they sent.

        Whatever the store does, each call is admitted and answered.
        """
        self._trips = []
        trips.set(self._trips)
        for _ in range(times):
            number = next(self._numbers)
            call_counts = [0]

            def function(number: int = number, called: list[int] = call_counts) -> int:
                called[0] += 1
                return number

            assert number == self._manager.run(self._name, function)
            assert [1] == call_counts
        trips.set(None)
        return self._trips

    def pay(self, key: str, **options: Any) -> str:
        """Make a call with an idempotency key; the response has the number of the effect."""

        def function() -> str:
            effects = self.effects.setdefault(key, [])
            effects.append(f"effect {len(effects)} of {key}")
            return effects[-1]

        return self._manager.run(self._name, function, idempotency_key=key, **options)

    def recover(self) -> None:
        """Make calls until the store is available again."""
        recoveries_before = self.event_count(StorageRecovered)

        def recovered() -> bool:
            self.call(1)
            return self.event_count(StorageRecovered) > recoveries_before

        wait_until(recovered, "the store found again")


def _survives(
    shop: Shop, stop: Callable[[], None], restart: Callable[[], None], *, keeps_data: bool
) -> None:
    """Check calls before, during and after an outage; `keeps_data` states that no data are lost."""
    shop.call()
    assert "effect 0 of before" == shop.pay("before")
    stop()
    losses_before, start_time = shop.event_count(StorageLost), now()
    requests = shop.call()
    losses, duration = shop.event_count(StorageLost) - losses_before, (now() - start_time) / 1e9
    # Sometimes one caller probes the store and loses time, and each probe is reported; no other
    # caller waits.
    assert 1 <= losses == sum(trip["failed"] and not trip["posted"] for trip in requests)
    assert losses <= 1 + duration / SOONEST
    assert not any(trip["ended"] - trip["began"] > PATIENCE * 1e9 for trip in requests)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            shop.pay("during", timeout=0.1)
    assert "during" not in shop.effects
    restart()
    shop.recover()
    # The late reply was not taken for another caller's reply.
    keys = [f"key {number}" for number in range(10)]
    assert [f"effect 0 of {key}" for key in keys] == [shop.pay(key) for key in keys]
    assert [f"effect 0 of {key}" for key in keys] == [shop.pay(key) for key in keys]
    assert "effect 0 of during" == shop.pay("during")
    if keeps_data:
        assert "effect 0 of before" == shop.pay("before")
        assert all(len(effects) == 1 for effects in shop.effects.values())


def _location_through(proxy: TcpProxy, location: StoreLocation) -> StoreLocation:
    """Return the location of the same store as reached through a proxy."""
    user, separator, _ = urlsplit(location.where).netloc.rpartition("@")
    proxied_location = urlsplit(location.where)._replace(
        netloc=f"{user}{separator}127.0.0.1:{proxy.address[1]}"
    )
    return attrs.evolve(location, where=proxied_location.geturl(), timeout=TIMEOUT)


@contextmanager
def _proxy_of(location: StoreLocation) -> Generator[tuple[TcpProxy, StoreLocation]]:
    """Start a proxy in front of a store; return the proxy and the location through it."""
    locations = urlsplit(location.where)
    with TcpProxy(locations.hostname or "", locations.port or 0) as proxy:
        yield proxy, _location_through(proxy, location)


@pytest.mark.parametrize("fault", FAULTS)
def test_calls_continue_and_keys_are_refused_while_redis_is_down(
    redis_location: StoreLocation, fault: str, name: str
) -> None:
    """While Redis is down, calls continue, keys are refused, and no effect happens twice."""
    with _proxy_of(redis_location) as (proxy, location):
        shop = Shop(location, name)
        with shop.store:
            _survives(shop, lambda: FAULTS[fault](proxy), proxy.restore, keeps_data=True)


def test_slow_redis_is_not_an_outage(redis_location: StoreLocation, name: str) -> None:
    """If a reply from Redis is slow, calls wait for it, so that limits remain shared."""
    with _proxy_of(redis_location) as (proxy, location):
        shop = Shop(location, name)
        with shop.store:
            proxy.delay_responses()
            assert not any(trip["failed"] for trip in shop.call(3))
            assert "effect 0 of slowly" == shop.pay("slowly")
            proxy.restore()
            assert 0 == shop.event_count(StorageLost)


@pytest.mark.parametrize("fault", FAULTS if os.environ.get("MOORAGE_LONG") else ["cut"])
def test_calls_continue_and_keys_are_refused_while_postgresql_is_down(
    postgresql_location: StoreLocation, fault: str, name: str
) -> None:
    """While PostgreSQL is down, calls continue, keys are refused, and no effect happens twice."""
    with _proxy_of(postgresql_location) as (proxy, location):
        shop = Shop(location, name)
        with shop.store:
            _survives(shop, lambda: FAULTS[fault](proxy), proxy.restore, keeps_data=True)


@pytest.mark.parametrize("kind", SERVERS)
def test_any_lost_reply_leaves_the_key_correct(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """Whichever reply of the store is lost, the next synchronous call finds the correct state.

    An effect that happened has its response, and a key without effect is free, so nobody waits for
    the end of a lease.
    """
    with _proxy_of(request.getfixturevalue(f"{kind}_location")) as (proxy, location):
        shop = Shop(location, name)
        with shop.store:
            for number in range(MOST_ANSWERS):
                key = f"key {number}"
                shop.pay(f"before {key}")
                proxy.cut_after(number)
                with suppress(StorageUnavailable):
                    assert f"effect 0 of {key}" == shop.pay(key)
                proxy.restore()
                assert f"effect 0 of {key}" == shop.pay(key, timeout=10)
    assert {1} == {len(effects) for effects in shop.effects.values()}


@pytest.mark.parametrize("kind", SERVERS)
def test_any_lost_reply_leaves_the_key_correct_async(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """Whichever reply of the store is lost, the next asynchronous call finds the correct state."""
    effects: list[str] = []

    async def pay(manager: AsyncConnectorManager, key: str, **options: Any) -> str:
        async def function() -> str:
            effects.append(key)
            return f"effect of {key}"

        return await manager.run(name, function, idempotency_key=key, **options)

    async def story(proxy: TcpProxy, location: StoreLocation) -> None:
        async with (
            location.open_async() as store,
            AsyncConnectorManager([Service(name, timeout=20)], state=store) as manager,
        ):
            for number in range(MOST_ANSWERS):
                key = f"task's key {number}"
                await pay(manager, f"before {key}")
                proxy.cut_after(number)
                with suppress(StorageUnavailable):
                    assert f"effect of {key}" == await pay(manager, key)
                # Meanwhile the store tries to send the posted commands.
                await asyncio.sleep(0.05)
                proxy.restore()
                assert f"effect of {key}" == await pay(manager, key, timeout=10)

    with _proxy_of(request.getfixturevalue(f"{kind}_location")) as (proxy, location):
        asyncio.run(story(proxy, location))
    assert len(set(effects)) == len(effects) == 2 * MOST_ANSWERS


def test_lost_replies_free_the_probe_slot(redis_location: StoreLocation, name: str) -> None:
    """Whichever reply to a circuit probe is lost, its slot is free long before its lease ends."""
    circuit = CircuitBreakerConfig(failures=1, open_for=0.01, open_at_most=0.01)
    recovered_services: set[str] = set()

    def raise_vendor_failed() -> None:
        raise VendorFailed("the vendor is down.")

    def record_event(event: Event, service: str) -> None:
        if isinstance(event, StorageRecovered):
            recovered_services.add(service)

    def is_admitted(manager: ConnectorManager, service: str) -> bool:
        with suppress(CircuitBreakerOpen):
            manager.run(service, lambda: None)
            return service in recovered_services
        return False

    with ExitStack() as stack:
        managers: dict[str, ConnectorManager] = {}
        for number in range(4):
            service = Service(f"{name}-{number}", circuit=circuit, retry=None, timeout=600)
            proxy, location = stack.enter_context(_proxy_of(redis_location))
            manager = managers[service.name] = ConnectorManager(
                [service],
                state=stack.enter_context(location.open()),
                observers=[partial(record_event, service=service.name)],
            )
            with pytest.raises(VendorFailed):
                manager.run(service.name, raise_vendor_failed)
            time.sleep(0.02)
            proxy.cut_after(number)
            manager.run(service.name, lambda: None)
            # Now the store is certainly unreachable, for every command.
            proxy.cut_connections()
            manager.run(service.name, lambda: None)
            proxy.restore()
        for service_name, manager in managers.items():
            wait_until(
                partial(is_admitted, manager, service_name),
                f"a place for a probe of {service_name}",
            )


def test_key_store_works_while_the_state_store_fails(
    redis_location: StoreLocation, sqlite_location: StoreLocation, name: str
) -> None:
    """If the state store fails, limits are counted in memory; keys in a separate store work."""
    with _proxy_of(redis_location) as (proxy, location), sqlite_location.open() as claims:
        shop = Shop(location, name, claims)
        with shop.store:
            shop.call()
            proxy.cut_connections()
            assert "effect 0 of key" == shop.pay("key")
            assert "effect 0 of key" == shop.pay("key")
            assert 1 == shop.event_count(StorageLost)
            proxy.restore()
            shop.recover()
            assert "effect 0 of key" == shop.pay("key")


def test_only_keyed_calls_need_the_key_store(
    redis_location: StoreLocation, sqlite_location: StoreLocation, name: str
) -> None:
    """Only calls with an idempotency key are refused while the store of keys is unavailable."""
    with _proxy_of(redis_location) as (proxy, location), location.open() as claims:
        shop = Shop(sqlite_location, name, claims)
        with shop.store:
            assert "effect 0 of key" == shop.pay("key")
            proxy.cut_connections()
            with pytest.raises(StorageUnavailable):
                shop.pay("key")
            with pytest.raises(StorageUnavailable):
                shop.pay("other")
            assert [] == [trip for trip in shop.call() if trip["failed"]]
            proxy.restore()
            assert "effect 0 of key" == shop.pay("key")
            assert "effect 0 of other" == shop.pay("other")


def test_redis_that_restarts_without_data_can_be_used_at_once(
    own_redis: PrivateRedis, name: str
) -> None:
    """A Redis server that restarts without data can be used at once."""
    shop = Shop(StoreLocation("redis", own_redis.url, timeout=TIMEOUT), name)
    with shop.store:
        _survives(shop, own_redis.kill, own_redis.start, keeps_data=False)


def test_calls_stay_correct_if_redis_loses_all_states_under_load(
    pool: WorkerPool, own_redis: PrivateRedis, name: str
) -> None:
    """If Redis loses all states and scripts under load, calls stay correct."""
    service = Service(name, limits=RateLimitConfig.per_second(500, burst=5), timeout=60)
    job = Job(
        scenario="call",
        services=(service,),
        state=StoreLocation("redis", own_redis.url),
        threads=3,
        calls=20,
    )
    keyed_job = attrs.evolve(job, scenario="claims")
    workers = pool.prepare_workers([job, keyed_job, job])
    for worker in workers:
        worker.go()
    flushes = 0
    while not all(worker.reports_of("done") for worker in workers):
        own_redis.ask("FLUSHALL")
        own_redis.ask("SCRIPT", "FLUSH")
        flushes += 1
        time.sleep(0.005)
    pool.give_back(workers)
    history = [result for worker in workers for result in worker.reports]
    outcomes = [call["outcome"] for call in calls(history)]
    assert flushes
    assert 180 == len(outcomes)
    assert {"good"} == {call["outcome"] for call in calls(history) if "key" not in call}
    assert {"good", "IdempotencyInProgress"} >= set(outcomes)
    assert [] == [result for result in history if result["what"] in {"broke", "StorageLost"}]
