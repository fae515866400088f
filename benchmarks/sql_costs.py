"""Measures the cost of protections that store their state in a database server.

The reference is the least that a row in that server can cost: one indexed update, committed, with
the same driver and the server's own settings. PostgreSQL's settings make a commit wait for the
disk, which what limits and circuits count does not; so the same update without that wait stands
beside it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql
import sqlalchemy
from measure import ELAPSED, Comparison, Contender, Target, async_block, compare, sync_block

from moorage import AsyncConnectorManager, ConnectorManager, RateLimitConfig, Service
from moorage.adapters.sql.connector import SqlConnector
from moorage.adapters.sql.statements import Query
from moorage.adapters.state.sql import AsyncSqlStorage, SqlStorage

if TYPE_CHECKING:
    from collections.abc import Callable

POSTGRES = os.environ.get("MOORAGE_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")
MARIADB = os.environ.get("MOORAGE_TEST_MARIADB_URL", "mariadb://root@127.0.0.1:3306/test")
PREFIX = "moorage_bench_"
HUGE_RATE = 1_000_000
HUGE_BURST = 1_000_000_000
UPDATE = f"UPDATE {PREFIX}row SET value = value + 1 WHERE id = 7"
TARGET = Target(2.5, 1.5)
SQL_TARGET = Target(100.0, 10.0, more=True)


def _do_nothing() -> None:
    """Do nothing; the benchmark calls this function with protection."""


async def _do_nothing_async() -> None:
    """Do nothing asynchronously; the benchmark calls this function with protection."""


def _service() -> Service:
    return Service("ours", limits=RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST))


def _with_key(manager: ConnectorManager) -> Callable[[], object]:
    """Make a call with a new idempotency key."""
    numbers = iter(range(10**9))
    return lambda: manager.run(
        "ours", _do_nothing, idempotency_key=f"k{os.getpid()}-{next(numbers)}"
    )


def _tables(cursor: Any) -> None:
    for table in ("row", "states", "meta"):
        cursor.execute(f"DROP TABLE IF EXISTS {PREFIX}{table}")
    cursor.execute(f"CREATE TABLE {PREFIX}row (id INT PRIMARY KEY, value INT)")
    for number in range(100):
        cursor.execute(f"INSERT INTO {PREFIX}row VALUES ({number}, 0)")


def _update(cursor: psycopg.Cursor[Any], *, durable: bool = True) -> Callable[[], object]:
    """Run and commit one indexed update, with the connection in autocommit mode."""
    if not durable:
        cursor.execute("SET synchronous_commit = off")

    def update() -> object:
        cursor.execute(f"{UPDATE} RETURNING value")
        return cursor.fetchone()

    return update


def over_postgresql(rounds: int) -> Comparison:
    """Measure a successful call with all protections over PostgreSQL."""
    with (
        psycopg.connect(POSTGRES, autocommit=True) as connection,
        psycopg.connect(POSTGRES, autocommit=True) as other_connection,
    ):
        _tables(connection)
        with SqlStorage(POSTGRES, prefix=PREFIX, timeout=5, create=True) as store:
            manager = ConnectorManager([_service()], state=store)
            rows = compare(
                None,
                [
                    Contender("an update, committed", sync_block(_update(connection.cursor()))),
                    Contender(
                        "an update that does not wait for the disk",
                        sync_block(_update(other_connection.cursor(), durable=False)),
                    ),
                    Contender(
                        "moorage, with an idempotency key",
                        sync_block(_with_key(manager)),
                    ),
                    Contender("moorage", sync_block(lambda: manager.run("ours", _do_nothing))),
                ],
                rounds=min(rounds, 20),
                clock=ELAPSED,
                block_seconds=0.05,
            )
        _tables(connection)
    return Comparison("full stack over PostgreSQL, sync", rows, TARGET)


def over_postgresql_async(rounds: int) -> Comparison:
    """Measure a successful asynchronous call with all protections over PostgreSQL."""
    loop = asyncio.new_event_loop()
    store = AsyncSqlStorage(POSTGRES, prefix=PREFIX, timeout=5, create=True)

    async def open_connection(*, durable: bool) -> Callable[[], Any]:
        single_connection = await psycopg.AsyncConnection.connect(POSTGRES, autocommit=True)
        cursor = single_connection.cursor()
        if not durable:
            await cursor.execute("SET synchronous_commit = off")

        async def update() -> object:
            await cursor.execute(f"{UPDATE} RETURNING value")
            return await cursor.fetchone()

        return update

    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        _tables(connection)
        manager = AsyncConnectorManager([_service()], state=store)
        rows = compare(
            None,
            [
                Contender(
                    "an update, committed",
                    async_block(loop.run_until_complete(open_connection(durable=True)), loop),
                ),
                Contender(
                    "an update that does not wait for the disk",
                    async_block(loop.run_until_complete(open_connection(durable=False)), loop),
                ),
                Contender(
                    "moorage", async_block(lambda: manager.run("ours", _do_nothing_async), loop)
                ),
            ],
            rounds=min(rounds, 20),
            clock=ELAPSED,
            block_seconds=0.05,
        )
        loop.run_until_complete(store.aclose())
        _tables(connection)
    loop.close()
    return Comparison("full stack over PostgreSQL, async", rows, TARGET)


def over_mariadb(rounds: int) -> Comparison:
    """Measure a call with all protections over MariaDB, where each commit waits for the disk."""
    url = sqlalchemy.make_url(MARIADB)
    connection = pymysql.connect(
        host=url.host,
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        database=url.database,
        autocommit=True,
    )
    cursor = connection.cursor()
    _tables(cursor)
    with connection, SqlStorage(url, prefix=PREFIX, timeout=5, create=True) as store:
        manager = ConnectorManager([_service()], state=store)
        rows = compare(
            None,
            [
                Contender("an update, committed", sync_block(lambda: cursor.execute(UPDATE))),
                Contender("moorage, with an idempotency key", sync_block(_with_key(manager))),
                Contender("moorage", sync_block(lambda: manager.run("ours", _do_nothing))),
            ],
            rounds=min(rounds, 20),
            clock=ELAPSED,
            block_seconds=0.05,
        )
        _tables(cursor)
    return Comparison("full stack over MariaDB, sync", rows, TARGET)


def sql_connector(rounds: int) -> Comparison:
    """Compare a query through the SQL connector with SQLAlchemy alone, in processor time."""
    url = sqlalchemy.make_url(POSTGRES).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    text = sqlalchemy.text("SELECT 1 AS one, :word AS word")
    query = Query("SELECT 1 AS one, :word AS word", name="one")
    manager = ConnectorManager([Service("sql")])

    def execute_library_alone() -> object:
        with engine.connect() as connection:
            return connection.execute(text, {"word": "a"}).all()

    with SqlConnector(POSTGRES) as connector:
        rows = compare(
            None,
            [
                Contender("SQLAlchemy", sync_block(execute_library_alone)),
                Contender(
                    "moorage",
                    sync_block(lambda: manager.perform("sql", connector.query(query, word="a"))),
                ),
            ],
            rounds=min(rounds, 40),
            block_seconds=0.05,
            mirrored=True,
        )
    engine.dispose()
    return Comparison("a query through the SQL connector", rows, SQL_TARGET)


def is_reachable(url: str) -> bool:
    """Return whether a server accepts connections at an address."""
    place = sqlalchemy.make_url(url)
    try:
        socket.create_connection((place.host, place.port), 1).close()
    except OSError:
        return False
    return True


ALL = (
    *((over_postgresql, over_postgresql_async, sql_connector) if is_reachable(POSTGRES) else ()),
    *((over_mariadb,) if is_reachable(MARIADB) else ()),
)
"""What there is a server for."""
