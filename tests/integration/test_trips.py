"""The number of store commands that a successful protected call needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pytest
import sqlalchemy
from sqlalchemy.pool import NullPool

from moorage import ConnectorManager, RateLimitConfig, RetryBudget, Service
from moorage.testing import TcpProxy
from tests.integration.private_redis import PrivateRedis
from tests.integration.store_locations import RecordingStore, StoreLocation, trips, wait_until
from tests.support.servers import redis_server

if TYPE_CHECKING:
    from moorage.ports.state import StateStorage

FEW_CALLS, MANY_CALLS = 5, 25
TRIPS: Final = {
    "calm": ["Admission"],
    "waiting": ["Admission", "Confirm"],
    "keyed": ["Claim", "Admission", "Settle"],
}
"""What a call asks of a store that has everything."""


def _service(name: str, kind: str) -> Service:
    """Return a service with rate limiter, circuit breaker, retries and retry budget."""
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


def _commands_of_call(
    service: Service, kind: str, state: StateStorage, claims: StateStorage | None = None
) -> list[str]:
    """Return the store commands of one call that follows a first call.

    The second call may have had to wait.
    """
    noted_trips: list[dict[str, Any]] = []

    def call_has_waited() -> bool:
        noted_trips.clear()
        _call(manager, service.name, kind, 1)
        return kind != "waiting" or noted_trips[0]["wait"] > 0

    keys = None if claims is None else RecordingStore(claims)
    with ConnectorManager([service], state=RecordingStore(state), claims=keys) as manager:
        _call(manager, service.name, kind, 1)
        trips.set(noted_trips)
        wait_until(call_has_waited, "a call that waited")
        trips.set(None)
    return [trip["what"] for trip in noted_trips]


@pytest.mark.parametrize("kind", TRIPS)
def test_store_commands_of_a_call(location: StoreLocation, name: str, kind: str) -> None:
    """A call needs one store command, one more after a wait, and two more for a key."""
    with location.open() as store:
        assert TRIPS[kind] == _commands_of_call(_service(name, kind), kind, store)


def test_marking_request_as_sent_is_one_more_command_if_keys_have_separate_store(
    redis_location: StoreLocation, sqlite_location: StoreLocation, name: str
) -> None:
    """If keys have a separate store, marking the request as sent is one more command."""
    with redis_location.open() as state, sqlite_location.open() as claims:
        request = _commands_of_call(_service(name, "keyed"), "keyed", state, claims)
    assert ["Claim", "Admission", "MarkSent", "Settle"] == request


@pytest.mark.parametrize("kind", ["calm", "keyed"])
def test_each_command_is_one_network_round_trip_and_one_script_call_in_redis(
    name: str, kind: str
) -> None:
    """Each command is one network round trip and one script call in Redis."""
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
            scripts_before = scripts(server)
            with TcpProxy("127.0.0.1", server.port) as proxy:
                location = StoreLocation("redis", f"redis://127.0.0.1:{proxy.address[1]}/0")
                with location.open() as store, ConnectorManager([service], state=store) as manager:
                    _call(manager, name, kind, times)
                return proxy.requests, scripts(server) - scripts_before

        run(1)
        few_trips, many_trips = run(FEW_CALLS), run(FEW_CALLS + MANY_CALLS)
    expected = MANY_CALLS * len(TRIPS[kind])
    assert (expected, expected) == (many_trips[0] - few_trips[0], many_trips[1] - few_trips[1])


@pytest.mark.parametrize("kind, flushed", [("calm", 0), ("keyed", 3)])
def test_each_command_commits_one_transaction_in_postgresql(
    postgresql_location: StoreLocation, name: str, kind: str, flushed: int
) -> None:
    """Each command commits one transaction in PostgreSQL, and an empty one that waits for the disk.

    The second one uses the same round trip and releases the row locks first; it is sent only for
    states that must survive a crash.
    """
    service, database = _service(name, kind), f"trips_{uuid4().hex}"
    url = sqlalchemy.make_url(postgresql_location.where)
    extra_engine = sqlalchemy.create_engine(
        url.set(drivername="postgresql+psycopg"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    database_url = url.set(database=database).render_as_string(hide_password=False)

    def query_value(statement: str) -> int:
        with extra_engine.connect() as connection:
            result = connection.execute(sqlalchemy.text(statement))
            return int(result.scalar_one()) if result.returns_rows else 0

    def idle() -> bool:
        return not query_value(
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
        )

    def run(times: int) -> int:
        location = StoreLocation("postgresql", database_url, postgresql_location.prefix)
        commit_query = f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}'"
        commits_before = query_value(commit_query)
        with location.open() as store, ConnectorManager([service], state=store) as manager:
            _call(manager, name, kind, times)
        # The statistics of a connection are complete when it has ended.
        wait_until(idle, "the end of all connections")
        return query_value(commit_query) - commits_before

    query_value(f"CREATE DATABASE {database}")
    try:
        with StoreLocation("postgresql", database_url, postgresql_location.prefix).open() as store:
            store.migrate()
        wait_until(idle, "the end of all connections")
        run(1)
        # Sometimes the database does work of its own, but less than once per call.
        assert (
            len(TRIPS[kind]) + flushed
            == (run(FEW_CALLS + MANY_CALLS) - run(FEW_CALLS)) // MANY_CALLS
        )
    finally:
        query_value(f"DROP DATABASE {database}")
