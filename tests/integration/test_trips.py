"""How often a protected call that succeeds goes to its store, counted there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pytest
import sqlalchemy
from sqlalchemy.pool import NullPool

from moorage import ConnectorManager, RateLimitConfig, RetryBudget, Service
from tests.integration.places import Place, Watched, trips, until
from tests.integration.private_redis import PrivateRedis
from tests.integration.proxy import Proxy
from tests.support.servers import redis_server

if TYPE_CHECKING:
    from moorage.ports.state import StateStorage

SOME, MANY = 5, 25
TRIPS: Final = {
    "calm": ["Admission"],
    "waiting": ["Admission", "Confirm"],
    "keyed": ["Claim", "Admission", "Settle"],
}
"""What a call asks of a store that has everything."""


def _service(name: str, kind: str) -> Service:
    """A service with limiter, breaker, retries and budget."""
    limit = (
        RateLimitConfig.per_second(5, burst=1)
        if kind == "waiting"
        else RateLimitConfig.per_second(100_000)
    )
    return Service(name, limits=limit, retry_budget=RetryBudget())


def _call(manager: ConnectorManager, name: str, kind: str, times: int) -> None:
    for _ in range(times):
        key = uuid4().hex if kind == "keyed" else None
        assert "done" == manager.run(name, lambda: "done", idempotency_key=key)


def _asked(
    service: Service, kind: str, state: StateStorage, claims: StateStorage | None = None
) -> list[str]:
    """What one call asks, after a first one; and where it is to wait, one that did."""
    noted: list[dict[str, Any]] = []

    def asked() -> bool:
        noted.clear()
        _call(manager, service.name, kind, 1)
        return kind != "waiting" or noted[0]["wait"] > 0

    keys = None if claims is None else Watched(claims)
    with ConnectorManager([service], state=Watched(state), claims=keys) as manager:
        _call(manager, service.name, kind, 1)
        trips.set(noted)
        until(asked, "a call that waited")
        trips.set(None)
    return [trip["what"] for trip in noted]


@pytest.mark.parametrize("kind", TRIPS)
def test_a_call_asks_as_little_as_it_can(place: Place, name: str, kind: str) -> None:
    """Once for everything that protects it; once more after a wait; and for its key twice."""
    with place.open() as store:
        assert TRIPS[kind] == _asked(_service(name, kind), kind, store)


def test_keys_apart_take_one_more(redis_place: Place, sqlite_place: Place, name: str) -> None:
    """The mark that a request leaves is then a question of its own."""
    with redis_place.open() as state, sqlite_place.open() as claims:
        request = _asked(_service(name, "keyed"), "keyed", state, claims)
    assert ["Claim", "Admission", "MarkSent", "Settle"] == request


@pytest.mark.parametrize("kind", ["calm", "keyed"])
def test_redis_is_asked_once_for_each(name: str, kind: str) -> None:
    """Each question is one round trip over the network, and one call of the script."""
    service = _service(name, kind)

    def scripts(server: PrivateRedis) -> int:
        result = server.ask("INFO", "commandstats")
        return sum(
            int(result[f"cmdstat_{name}"]["calls"])
            for name in ("eval", "evalsha", "fcall")
            if f"cmdstat_{name}" in result
        )

    with PrivateRedis(redis_server()) as server:

        def run(times: int) -> tuple[int, int]:
            before = scripts(server)
            with Proxy("127.0.0.1", server.port) as proxy:
                place = Place("redis", f"redis://127.0.0.1:{proxy.address[1]}/0")
                with place.open() as store, ConnectorManager([service], state=store) as manager:
                    _call(manager, name, kind, times)
                return proxy.turns, scripts(server) - before

        run(1)
        few, many = run(SOME), run(SOME + MANY)
    expected = MANY * len(TRIPS[kind])
    assert (expected, expected) == (many[0] - few[0], many[1] - few[1])


@pytest.mark.parametrize("kind, flushed", [("calm", 0), ("keyed", 3)])
def test_a_question_is_one_transaction(
    postgresql_place: Place, name: str, kind: str, flushed: int
) -> None:
    """PostgreSQL has committed one transaction for each, and an empty one to wait for the disk.

    That comes in the same round trip, once the rows are free again, for what must outlive a crash.
    """
    service, database = _service(name, kind), f"trips_{uuid4().hex}"
    url = sqlalchemy.make_url(postgresql_place.where)
    beside = sqlalchemy.create_engine(
        url.set(drivername="postgresql+psycopg"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    custom = url.set(database=database).render_as_string(hide_password=False)

    def ask(statement: str) -> int:
        with beside.connect() as connection:
            result = connection.execute(sqlalchemy.text(statement))
            return int(result.scalar_one()) if result.returns_rows else 0

    def idle() -> bool:
        return not ask(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'")

    def run(times: int) -> int:
        place = Place("postgresql", custom, postgresql_place.prefix)
        counted = f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}'"
        before = ask(counted)
        with place.open() as store, ConnectorManager([service], state=store) as manager:
            _call(manager, name, kind, times)
        # A connection's numbers are complete when it has ended.
        until(idle, "the end of all connections")
        return ask(counted) - before

    ask(f"CREATE DATABASE {database}")
    try:
        with Place("postgresql", custom, postgresql_place.prefix).open() as store:
            store.migrate()
        until(idle, "the end of all connections")
        run(1)
        # Now and then the database has work of its own, which is less than one for each call.
        assert len(TRIPS[kind]) + flushed == (run(SOME + MANY) - run(SOME)) // MANY
    finally:
        ask(f"DROP DATABASE {database}")
