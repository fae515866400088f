"""Database servers without free connections, and stores that close idle connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from moorage import (
    AsyncConnectorManager,
    Event,
    RateLimitConfig,
    Service,
    StorageLost,
    StorageRecovered,
)
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sql_pool import LinkPool
from moorage.adapters.databases._sql_postgresql import _COUNT_OF_CONNECTIONS, PostgresLink
from moorage.adapters.state.sql import AsyncSqlStorage, SqlStorage
from moorage.errors import StorageUnavailable
from tests.adapters.sql_harness import Append, Harness, engine_of, new_key
from tests.integration.store_locations import wait_until
from tests.support.servers import needs_postgres_programs
from tools.crashes.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.adapters.databases._sql_link import Link


@contextlib.contextmanager
def one_connection(harness: Harness) -> Generator[sqlalchemy.Engine]:
    """Yield a SQLAlchemy engine with a database user who may have only one connection."""
    name = f"{harness.prefix}one"
    if harness.kind == "postgresql":
        harness.run(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 1")
        harness.run(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    else:
        harness.run(f"CREATE USER {name} WITH MAX_USER_CONNECTIONS 1")
        harness.run(f"GRANT ALL ON {harness.url.database}.* TO {name}")
    engine = sqlalchemy.create_engine(
        harness.engine.url.set(username=name, password=None), poolclass=NullPool
    )
    try:
        yield engine
    finally:
        engine.dispose()
        if harness.kind == "postgresql":
            harness.run(f"DROP OWNED BY {name}")
        harness.run(f"DROP {'ROLE' if harness.kind == 'postgresql' else 'USER'} {name}")


def test_full_server_is_waited_for(harness: Harness) -> None:
    """If the server has no free connection, a command waits until another process closes one."""
    with one_connection(harness) as engine:
        blocker = engine.connect()
        attempts: list[int] = []

        @event.listens_for(engine, "do_connect")
        def count_attempts(*_: Any) -> None:
            attempts.append(len(attempts))
            if len(attempts) == 3:
                blocker.close()

        with harness.sync_store(engine) as store:
            store.execute(Append(1, new_key()))
    assert len(attempts) >= 3


def test_full_server_is_reported(harness: Harness) -> None:
    """If no connection becomes free in time, the error has `slow` set and contains a remedy."""
    with (
        one_connection(harness) as engine,
        engine.connect(),
        harness.sync_store(engine) as store,
        pytest.raises(StorageUnavailable, match="server has too many connections") as excinfo,
    ):
        store.execute(Append(1, new_key()), 0.2)
    assert excinfo.value.slow
    assert "connections" in str(excinfo.value.remedy)


def test_idle_connections_are_closed(harness: Harness) -> None:
    """An unused connection is closed after a while."""
    store = harness.sync_store()
    engine_of(store).idle_seconds = 0.01
    store.execute(Append(1, new_key()))

    wait_until(lambda: not harness.backends(), "a server without connections of the store")
    store.execute(Append(2, new_key()))
    assert engine_of(store).pool().idle or not harness.backends()


def test_idle_connections_of_a_loop_are_closed(harness: Harness) -> None:
    """An asynchronous store closes unused connections while its event loop is running."""

    async def run() -> None:
        async with harness.async_store() as store:
            engine_of(store).idle_seconds = 0.01
            await store.execute(Append(1, new_key()))
            await asyncio.to_thread(wait_until, lambda: not harness.backends(), "no connections")

    asyncio.run(run())


class FakeLink:
    """A fake connection that can only be closed."""

    closed = False

    def close(self) -> None:
        """Close the connection."""
        self.closed = True


def test_only_connections_that_are_idle_for_long_are_closed() -> None:
    """The pool closes only the connections that were idle for long, oldest first."""
    pool, links = LinkPool(), [FakeLink() for _ in range(3)]
    pool.idle = [(number * 1e9, cast("Link", link)) for number, link in enumerate(links)]

    seconds_left = pool.expire(1.0)

    assert seconds_left is not None
    assert seconds_left > 0
    assert [True, False, False] == [link.closed for link in links]
    assert 2 == len(pool.idle)
    pool.clear()
    assert pool.expire(1.0) is None


def test_crowded_server_gets_connections_back() -> None:
    """If the server is nearly full, about half of the processes close a connection."""
    pool = LinkPool()
    closing_decisions = []
    for _ in range(1000):
        pool.note_capacity(is_crowded=True)
        closing_decisions.append(pool.gives_back_now())
        assert not pool.gives_back_now()
    assert 300 < sum(closing_decisions) < 700
    pool.note_capacity(is_crowded=False)
    assert not pool.gives_back_now()


def test_store_asks_whether_the_server_is_crowded(harness: Harness) -> None:
    """From time to time, a command first checks whether the server is crowded."""
    with harness.sync_store() as store:
        store.execute(Append(1, new_key()))
        pool = engine_of(store).pool()
        pool.look_at = 0.0
        store.execute(Append(2, new_key()))

        assert pool.look_at > 0.0


def test_count_of_connections_is_read() -> None:
    """From the server's reply, a link recognises whether the server is crowded."""

    class PreparedLink(PostgresLink):
        """A database link with prepared replies."""

        def __init__(self) -> None:
            self.answers = deque([b"\1", b"\0"])

        async def _round_trip(self, *_: Any, **__: Any) -> Any:
            answer = self.answers.popleft()
            return [type("Result", (), {"get_value": lambda *_: answer})()]

    link = PreparedLink()
    assert run_now(link.is_crowded(0.0))
    assert not run_now(link.is_crowded(0.0))


def test_count_of_connections_is_not_compiled(harness: Harness) -> None:
    """PostgreSQL plans the query that counts connections without a table scan and without JIT."""
    if harness.kind != "postgresql":
        pytest.skip("Only PostgreSQL is asked.")
    statement = _COUNT_OF_CONNECTIONS.decode()
    plan = "\n".join(
        line for (line,) in harness.run(f"EXPLAIN {statement}", before="SET enable_seqscan = off")
    )

    assert "Seq Scan" not in plan
    assert "JIT" not in plan
    ((is_crowded,),) = harness.run(statement)
    assert is_crowded in {True, False}


CONNECTIONS, CLIENTS = (100, 120) if os.environ.get("MOORAGE_LONG") else (24, 30)


@pytest.mark.untraced
def test_more_clients_than_connections_are_all_served() -> None:
    """If PostgreSQL allows fewer connections than clients, clients are served one by one."""
    needs_postgres_programs()

    async def client(store: AsyncSqlStorage, number: int, waiting: set[int]) -> None:
        while waiting:
            await store.execute(Append(number, f"{{client-{number}}}:other:x"), 120.0)
            waiting.discard(number)
            # For example a client that also has other work, and uses its connection only sometimes.
            await asyncio.sleep(0.25)

    async def serve(url: str) -> None:
        waiting = set(range(CLIENTS))
        async with contextlib.AsyncExitStack() as stack:
            stores = [
                await stack.enter_async_context(AsyncSqlStorage(url, connections=1, timeout=120))
                for _ in range(CLIENTS)
            ]
            await asyncio.gather(
                *(client(store, number, waiting) for number, store in enumerate(stores))
            )

    with Cluster(connections=CONNECTIONS) as cluster:
        with SqlStorage(cluster.url("postgres"), timeout=120) as store:
            store.migrate()
        asyncio.run(serve(cluster.url("postgres")))


PROCESSES = 200 if os.environ.get("MOORAGE_LONG") else 12


@pytest.mark.untraced
def test_all_processes_return_to_a_restarted_server() -> None:
    """After a restart of the server, each process reconnects, and opens only one connection.

    While the server is down, each process retries after a random time of at most 0.6 seconds, or
    after the duration of its last attempt if that was longer.
    """
    needs_postgres_programs()
    service = Service("vat", limits=RateLimitConfig.per_second(1_000), circuit=None)

    class Process:
        """A manager with its own store, which calls until a given event occurs."""

        def __init__(self, url: str, number: int) -> None:
            self.events: list[Event] = []
            self.tenant = f"tenant-{number}"
            store = AsyncSqlStorage(url, connections=1, timeout=20)
            self.manager = AsyncConnectorManager(
                [service], state=store, observers=[self.events.append]
            )
            self.store = store

        async def call_until(self, kind: type[Event] | None) -> None:
            """Make calls until an event of this class occurs; with None as class, make one call."""
            while True:
                await self.manager.run("vat", self._answer, tenant=self.tenant)
                if kind is None or any(isinstance(event, kind) for event in self.events):
                    return
                await asyncio.sleep(0.1)

        async def _answer(self) -> None:
            """Return at once."""

    async def restart(cluster: Cluster) -> list[tuple[float, float]]:
        async with contextlib.AsyncExitStack() as stack:
            url = cluster.url("postgres")
            processes = [Process(url, number) for number in range(PROCESSES)]
            for process in processes:
                await stack.enter_async_context(process.store)
                await stack.enter_async_context(process.manager)

            async def all_call_until(kind: type[Event] | None) -> None:
                await asyncio.gather(*(process.call_until(kind) for process in processes))

            await all_call_until(None)
            for process in processes:
                process.events.clear()
            stopped = datetime.now(UTC)
            await asyncio.to_thread(cluster.stop)
            await all_call_until(StorageLost)
            await asyncio.to_thread(cluster.start)
            await all_call_until(StorageRecovered)
            assert PROCESSES == await asyncio.to_thread(_sessions, cluster.url("postgres"))
        return [pause for process in processes for pause in _pauses(process.events, stopped)]

    with Cluster(connections=PROCESSES + 60) as cluster:
        with SqlStorage(cluster.url("postgres"), timeout=120) as store:
            store.migrate()
        pauses = asyncio.run(restart(cluster))
    assert len(pauses) >= PROCESSES
    assert [] == [(pause, limit) for pause, limit in pauses if pause > limit]
    assert len({pause for pause, _ in pauses}) > PROCESSES / 2


def _pauses(events: list[Event], since: datetime) -> list[tuple[float, float]]:
    """Return the pauses of an outage that began at this time, each with its limit, in seconds."""
    pauses: list[tuple[float, float]] = []
    for item in events:
        if isinstance(item, StorageLost):
            took = (item.at - since).total_seconds()
            pauses.append((item.retry_after, max(0.6, took)))
            since = item.at + timedelta(seconds=item.retry_after)
    return pauses


def _sessions(url: str) -> int:
    """Return the number of the server's connections, without the connection that counts them."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])
