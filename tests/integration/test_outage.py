"""A store that goes away and comes back, on a real network."""

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
from tests.integration.crew import calls
from tests.integration.places import PATIENCE, Place, Watched, now, trips, until
from tests.integration.private_redis import PrivateRedis
from tests.integration.proxy import Proxy
from tests.integration.workers import Job
from tests.support.servers import redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from moorage.ports.state import StateStorage
    from tests.integration.crew import Crew

TIMEOUT = 0.5
MOST_ANSWERS = 10
"""A call with a key needs fewer."""
SOONEST = 0.125
"""Seconds after which a store is looked for again, at the earliest."""
SERVERS = ("redis", "postgresql", "mariadb")
FAULTS: dict[str, Callable[[Proxy], None]] = {
    "cut": Proxy.cut,
    "swallow": Proxy.swallow,
}


@pytest.fixture(scope="module")
def own_redis() -> Iterator[PrivateRedis]:
    """A Redis that may be killed."""
    with PrivateRedis(redis_server()) as server:
        yield server


class Shop:
    """Calls of a service, with and without keys, over a store that may go away."""

    def __init__(self, place: Place, name: str, claims: StateStorage | None = None) -> None:
        service = Service(
            name,
            limits=RateLimitConfig.per_second(100_000),
            retry=None,
            retry_budget=RetryBudget(),
            timeout=20,
        )
        self._name = name
        self._heard: list[Event] = []
        self.store = place.open()
        self._trips: list[dict[str, Any]] = []
        self._numbers = count()
        self.effects: dict[str, list[str]] = {}
        self._manager = ConnectorManager(
            [service], state=Watched(self.store), claims=claims, observers=[self._heard.append]
        )

    def heard(self, kind: type[Event]) -> int:
        """How often that was told."""
        return sum(isinstance(event, kind) for event in self._heard)

    def call(self, times: int = 20) -> list[dict[str, Any]]:
        """Call without a key; what the store was asked meanwhile.

        Whatever the store does, each call is let through and answered.
        """
        self._trips = []
        trips.set(self._trips)
        for _ in range(times):
            number = next(self._numbers)
            called = [0]

            def function(number: int = number, called: list[int] = called) -> int:
                called[0] += 1
                return number

            assert number == self._manager.run(self._name, function)
            assert [1] == called
        trips.set(None)
        return self._trips

    def pay(self, key: str, **options: Any) -> str:
        """Call with a key; the effect is its own answer."""

        def function() -> str:
            effects = self.effects.setdefault(key, [])
            effects.append(f"effect {len(effects)} of {key}")
            return effects[-1]

        return self._manager.run(self._name, function, idempotency_key=key, **options)

    def recover(self) -> None:
        """Call until the store is there again."""
        before = self.heard(StorageRecovered)

        def recovered() -> bool:
            self.call(1)
            return self.heard(StorageRecovered) > before

        until(recovered, "the store found again")


def _survives(
    shop: Shop, away: Callable[[], None], back: Callable[[], None], *, keeps: bool
) -> None:
    """What holds whatever way a store goes and comes back; `keeps` if it forgets nothing."""
    shop.call()
    assert "effect 0 of before" == shop.pay("before")
    away()
    before, began = shop.heard(StorageLost), now()
    requests = shop.call()
    lost, took = shop.heard(StorageLost) - before, (now() - began) / 1e9
    # Now and then somebody looks for it and pays, and each time that is told; nobody else does.
    assert 1 <= lost == sum(trip["failed"] and not trip["posted"] for trip in requests)
    assert lost <= 1 + took / SOONEST
    assert not any(trip["ended"] - trip["began"] > PATIENCE * 1e9 for trip in requests)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            shop.pay("during", timeout=0.1)
    assert "during" not in shop.effects
    back()
    shop.recover()
    # What was late has not become anybody else's answer.
    keys = [f"key {number}" for number in range(10)]
    assert [f"effect 0 of {key}" for key in keys] == [shop.pay(key) for key in keys]
    assert [f"effect 0 of {key}" for key in keys] == [shop.pay(key) for key in keys]
    assert "effect 0 of during" == shop.pay("during")
    if keeps:
        assert "effect 0 of before" == shop.pay("before")
        assert all(len(effects) == 1 for effects in shop.effects.values())


def _through(proxy: Proxy, place: Place) -> Place:
    """The same store at the other end of a proxy."""
    user, at, _ = urlsplit(place.where).netloc.rpartition("@")
    there = urlsplit(place.where)._replace(netloc=f"{user}{at}127.0.0.1:{proxy.address[1]}")
    return attrs.evolve(place, where=there.geturl(), timeout=TIMEOUT)


@contextmanager
def _proxy_of(place: Place) -> Generator[tuple[Proxy, Place]]:
    """A proxy before a store, and the store as it is reached through it."""
    where = urlsplit(place.where)
    with Proxy(where.hostname or "", where.port or 0) as proxy:
        yield proxy, _through(proxy, place)


@pytest.mark.parametrize("fault", FAULTS)
def test_redis_behind_a_bad_network(redis_place: Place, fault: str, name: str) -> None:
    """Limits and circuits go on, keys are refused, nothing acts twice, and it is found again."""
    with _proxy_of(redis_place) as (proxy, place):
        shop = Shop(place, name)
        with shop.store:
            _survives(shop, lambda: FAULTS[fault](proxy), proxy.heal, keeps=True)


def test_a_slow_redis_is_not_away(redis_place: Place, name: str) -> None:
    """An answer that takes longer than the store's timeout is waited for: limits stay shared."""
    with _proxy_of(redis_place) as (proxy, place):
        shop = Shop(place, name)
        with shop.store:
            proxy.slow()
            assert not any(trip["failed"] for trip in shop.call(3))
            assert "effect 0 of slowly" == shop.pay("slowly")
            proxy.heal()
            assert 0 == shop.heard(StorageLost)


@pytest.mark.parametrize("fault", FAULTS if os.environ.get("MOORAGE_LONG") else ["cut"])
def test_postgresql_behind_a_bad_network(postgresql_place: Place, fault: str, name: str) -> None:
    """The same of a database."""
    with _proxy_of(postgresql_place) as (proxy, place):
        shop = Shop(place, name)
        with shop.store:
            _survives(shop, lambda: FAULTS[fault](proxy), proxy.heal, keeps=True)


@pytest.mark.parametrize("kind", SERVERS)
def test_any_one_answer_may_be_lost(kind: str, name: str, request: pytest.FixtureRequest) -> None:
    """Whichever answer a call with a key never gets, the next finds the key as it should be.

    What acted has its answer, and what did not is free: nobody has to wait for a lease to end.
    """
    with _proxy_of(request.getfixturevalue(f"{kind}_place")) as (proxy, place):
        shop = Shop(place, name)
        with shop.store:
            for number in range(MOST_ANSWERS):
                key = f"key {number}"
                shop.pay(f"before {key}")
                proxy.cut_after(number)
                with suppress(StorageUnavailable):
                    assert f"effect 0 of {key}" == shop.pay(key)
                proxy.heal()
                assert f"effect 0 of {key}" == shop.pay(key, timeout=2)
    assert {1} == {len(effects) for effects in shop.effects.values()}


@pytest.mark.parametrize("kind", SERVERS)
def test_any_one_answer_may_be_lost_to_a_task(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """The same of the awaited face."""
    effects: list[str] = []

    async def pay(manager: AsyncConnectorManager, key: str, **options: Any) -> str:
        async def function() -> str:
            effects.append(key)
            return f"effect of {key}"

        return await manager.run(name, function, idempotency_key=key, **options)

    async def story(proxy: Proxy, place: Place) -> None:
        async with (
            place.open_awaited() as store,
            AsyncConnectorManager([Service(name, timeout=20)], state=store) as manager,
        ):
            for number in range(MOST_ANSWERS):
                key = f"task's key {number}"
                await pay(manager, f"before {key}")
                proxy.cut_after(number)
                with suppress(StorageUnavailable):
                    assert f"effect of {key}" == await pay(manager, key)
                # Meanwhile the store tries to send what was posted.
                await asyncio.sleep(0.05)
                proxy.heal()
                assert f"effect of {key}" == await pay(manager, key, timeout=2)

    with _proxy_of(request.getfixturevalue(f"{kind}_place")) as (proxy, place):
        asyncio.run(story(proxy, place))
    assert len(set(effects)) == len(effects) == 2 * MOST_ANSWERS


def test_no_lost_answer_keeps_a_probe_s_place(redis_place: Place, name: str) -> None:
    """Whichever answer a probe never gets, its place is free long before its lease ends."""
    circuit = CircuitBreakerConfig(failures=1, open_for=0.01, open_at_most=0.01)
    recovered: set[str] = set()

    def down() -> None:
        raise VendorFailed("the vendor is down.")

    def heard(event: Event, service: str) -> None:
        if isinstance(event, StorageRecovered):
            recovered.add(service)

    def let_in(manager: ConnectorManager, service: str) -> bool:
        with suppress(CircuitBreakerOpen):
            manager.run(service, lambda: None)
            return service in recovered
        return False

    with ExitStack() as stack:
        managers: dict[str, ConnectorManager] = {}
        for number in range(4):
            service = Service(f"{name}-{number}", circuit=circuit, retry=None, timeout=600)
            proxy, place = stack.enter_context(_proxy_of(redis_place))
            manager = managers[service.name] = ConnectorManager(
                [service],
                state=stack.enter_context(place.open()),
                observers=[partial(heard, service=service.name)],
            )
            with pytest.raises(VendorFailed):
                manager.run(service.name, down)
            time.sleep(0.02)
            proxy.cut_after(number)
            manager.run(service.name, lambda: None)
            # Now the store is away for certain, whatever it was asked.
            proxy.cut()
            manager.run(service.name, lambda: None)
            proxy.heal()
        for which, manager in managers.items():
            until(partial(let_in, manager, which), f"a place for a probe of {which}")


def test_keys_apart_go_on_without_the_other_store(
    redis_place: Place, sqlite_place: Place, name: str
) -> None:
    """While limits are counted in memory, a key in a store of its own still has one effect."""
    with _proxy_of(redis_place) as (proxy, place), sqlite_place.open() as claims:
        shop = Shop(place, name, claims)
        with shop.store:
            shop.call()
            proxy.cut()
            assert "effect 0 of key" == shop.pay("key")
            assert "effect 0 of key" == shop.pay("key")
            assert 1 == shop.heard(StorageLost)
            proxy.heal()
            shop.recover()
            assert "effect 0 of key" == shop.pay("key")


def test_limits_go_on_without_the_store_of_keys(
    redis_place: Place, sqlite_place: Place, name: str
) -> None:
    """Only calls with a key are refused while the store of keys is away."""
    with _proxy_of(redis_place) as (proxy, place), place.open() as claims:
        shop = Shop(sqlite_place, name, claims)
        with shop.store:
            assert "effect 0 of key" == shop.pay("key")
            proxy.cut()
            with pytest.raises(StorageUnavailable):
                shop.pay("key")
            with pytest.raises(StorageUnavailable):
                shop.pay("other")
            assert [] == [trip for trip in shop.call() if trip["failed"]]
            proxy.heal()
            assert "effect 0 of key" == shop.pay("key")
            assert "effect 0 of other" == shop.pay("other")


def test_redis_is_killed_and_started_again(own_redis: PrivateRedis, name: str) -> None:
    """A Redis that comes back with nothing is used as if it were new."""
    shop = Shop(Place("redis", own_redis.url, timeout=TIMEOUT), name)
    with shop.store:
        _survives(shop, own_redis.kill, own_redis.start, keeps=False)


def test_redis_forgets_everything_at_any_moment(
    crew: Crew, own_redis: PrivateRedis, name: str
) -> None:
    """Whatever is thrown away under load, states and script, calls end as they are said to."""
    service = Service(name, limits=RateLimitConfig.per_second(500, burst=5), timeout=60)
    job = Job(
        scenario="call",
        services=(service,),
        state=Place("redis", own_redis.url),
        threads=3,
        calls=20,
    )
    keyed = attrs.evolve(job, scenario="claims")
    hands = crew.ready([job, keyed, job])
    for hand in hands:
        hand.go()
    flushes = 0
    while not all(hand.of("done") for hand in hands):
        own_redis.ask("FLUSHALL")
        own_redis.ask("SCRIPT", "FLUSH")
        flushes += 1
        time.sleep(0.005)
    crew.rest(hands)
    history = [result for hand in hands for result in hand.told]
    outcomes = [call["outcome"] for call in calls(history)]
    assert flushes > 3
    assert 180 == len(outcomes)
    assert {"good"} == {call["outcome"] for call in calls(history) if "key" not in call}
    assert {"good", "IdempotencyInProgress"} >= set(outcomes)
    assert [] == [result for result in history if result["what"] in {"broke", "StorageLost"}]
