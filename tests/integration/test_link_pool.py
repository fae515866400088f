"""Pools of real PostgreSQL connections, which the server closes."""

# ruff: noqa: D102 - links as their port describes them

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from moorage.adapters.links.pool_async import AsyncLinkPool
from moorage.adapters.links.pool_sync import LinkPool
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.errors import ConnectionFailed
from tests.support.servers import postgres_url

psycopg = pytest.importorskip("psycopg")

SLEEPING = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event = 'PgSleep'"
KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"


class PostgresLink:
    """A psycopg connection for a connection pool."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @property
    def version(self) -> str:
        return f"PostgreSQL {self.connection.info.server_version}"

    def is_connected(self) -> bool:
        return not self.connection.closed

    def ping(self, timeout: float, /) -> None:
        try:
            self.connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise ConnectionFailed(type(error).__name__) from None

    def close(self) -> None:
        self.connection.pgconn.finish()


class AsyncPostgresLink(PostgresLink):
    """An asynchronous psycopg connection for a connection pool."""

    async def ping(self, timeout: float, /) -> None:  # type: ignore[override]  # awaited
        try:
            await self.connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise ConnectionFailed(type(error).__name__) from None


@pytest.fixture
def address(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the connection string, with an application name for this test."""
    name = f"pool-{os.getpid()}-{abs(hash(request.node.name)) % 10**6}"
    return {"conninfo": postgres_url(), "application_name": name, "autocommit": True}


def kill_all(address: dict[str, Any]) -> int:
    """Have the server close all connections of a test, and return their number."""
    with psycopg.connect(postgres_url(), autocommit=True) as admin:
        return len(admin.execute(KILL, (address["application_name"],)).fetchall())


def wait_for_sleep(address: dict[str, Any]) -> None:
    """Wait until the server runs the test's sleeping statement."""
    with psycopg.connect(postgres_url(), autocommit=True) as admin:
        end = time.monotonic() + 60
        while not admin.execute(SLEEPING, (address["application_name"],)).fetchall():
            assert time.monotonic() < end, "the server does not sleep"
            time.sleep(0.01)


def test_synchronous_pool_survives_killed_connections(address: dict[str, Any]) -> None:
    """After the server has closed all connections of a pool, only one caller gets an error."""
    with LinkPool(
        lambda _: PostgresLink(psycopg.connect(**address)), PoolConfig(minimum=3)
    ) as pool:
        pool.open(20.0)
        assert 3 == kill_all(address)
        with pytest.raises(psycopg.OperationalError), pool.link("first", 20.0) as link:
            link.connection.execute("SELECT 1")
        for _ in range(5):
            with pool.link("next", 20.0) as link:
                assert (1,) == link.connection.execute("SELECT 1").fetchone()
                assert link.version.startswith("PostgreSQL 1")
        assert (4, 0) == (pool.statistics().created, pool.statistics().active)


def test_asynchronous_pool_survives_killed_connections(address: dict[str, Any]) -> None:
    """After the server has closed all connections of an async pool, one caller gets an error."""

    async def connect(_: float) -> AsyncPostgresLink:
        return AsyncPostgresLink(await psycopg.AsyncConnection.connect(**address))

    async def run() -> None:
        async with AsyncLinkPool(connect, PoolConfig(minimum=3)) as pool:
            await pool.open(20.0)
            assert 3 == await asyncio.to_thread(kill_all, address)
            with pytest.raises(psycopg.OperationalError):
                async with pool.link("first", 20.0) as link:
                    await link.connection.execute("SELECT 1")
            for _ in range(5):
                async with pool.link("next", 20.0) as link:
                    cursor = await link.connection.execute("SELECT 1")
                    assert (1,) == await cursor.fetchone()
            assert (4, 0) == (pool.statistics().created, pool.statistics().active)

    asyncio.run(run())


def test_cancelled_statement_costs_its_connection_only(address: dict[str, Any]) -> None:
    """Cancelling a statement closes only its own connection.

    The next caller gets a usable connection.
    """

    async def connect(_: float) -> AsyncPostgresLink:
        return AsyncPostgresLink(await psycopg.AsyncConnection.connect(**address))

    async def run() -> None:
        async with AsyncLinkPool(connect, PoolConfig(maximum=1)) as pool:

            async def sleep() -> None:
                async with pool.link("sleep", 20.0) as link:
                    await link.connection.execute("SELECT pg_sleep(600)")

            task = asyncio.ensure_future(sleep())
            # A cancellation that comes before the statement would not end it.
            await asyncio.to_thread(wait_for_sleep, address)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with pool.link("next", 20.0) as link:
                cursor = await link.connection.execute("SELECT 2")
                assert (2,) == await cursor.fetchone()

    asyncio.run(run())


def test_forked_child_opens_its_own_connection(address: dict[str, Any]) -> None:
    """A forked child opens its own connection.

    When the child ends, the parent's connection still works.
    """
    with LinkPool(lambda _: PostgresLink(psycopg.connect(**address))) as pool:
        with pool.link("parent", 20.0) as link:
            parent = link.connection.info.backend_pid
        child = os.fork()
        if child == 0:
            with pool.link("child", 20.0) as link:
                os._exit(0 if link.connection.info.backend_pid != parent else 1)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with pool.link("parent", 20.0) as link:
            assert (1,) == link.connection.execute("SELECT 1").fetchone()
            assert parent == link.connection.info.backend_pid
