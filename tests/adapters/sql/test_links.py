"""SQL connections stay open between operations; connections that are old or lost are replaced."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
import weakref
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import SAWarning

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.sql.connector import SqlConnector
from moorage.adapters.sql.statements import Query
from moorage.domain.service.operation import OperationAttempt
from moorage.errors import AttemptTimeout, ConnectorError, DeadlineExceeded
from moorage.testing import TcpProxy
from tests.adapters.sql.database_harness import (
    INSERT,
    LIST,
    SERVERS,
    SESSION,
    Administrator,
    Harness,
    url_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from moorage.domain.connectors.pool_statistics import PoolStatistics

each_server = pytest.mark.parametrize("system", SERVERS)


def end_session(system: str, session: int) -> None:
    """End a session of the server from another connection."""
    administrator = Administrator(system)
    ending = "SELECT pg_terminate_backend({})" if system == "postgresql" else "KILL {}"
    administrator.ask(ending.format(session))
    administrator.close()


@pytest.fixture
def open_connections() -> Generator[list[Any]]:
    """Return a list of connections; the fixture closes them at the end of the test."""
    connections: list[Any] = []
    yield connections
    for connection in connections:
        driver = getattr(connection, "driver_connection", connection)
        driver.pgconn.finish() if hasattr(driver, "pgconn") else driver.close()


def keep_driver_of(harness: Harness, open_connections: list[Any]) -> None:
    """Add to the list the driver's connection that the next operation will use."""

    def run_transaction(transaction: Any) -> int:
        open_connections.append(transaction._session.link.connection.connection.driver_connection)  # noqa: SLF001 - no other way
        return 0

    async def work_async(transaction: Any) -> int:
        return run_transaction(transaction)

    function = run_transaction if harness.loop is None else work_async
    harness.perform(harness.connector.transaction(function, name="look"))


@each_server
def test_caller_consecutive_operations_all_use_same_connection(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """The consecutive operations of a caller all use the same connection."""
    harness = harnesses(system, connections=5)
    sessions = {harness.session() for _ in range(20)}
    statistics: PoolStatistics = harness.connector.statistics()

    assert 1 == len(sessions)
    assert (1, 1, 0) == (statistics.created, statistics.idle, statistics.active)
    assert 20 == statistics.reused


@each_server
def test_refused_statement_leaves_the_connection(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """If the database refuses a statement, the connection is used again."""
    harness = harnesses(system, connections=1)
    session = harness.session()
    harness.execute(INSERT, id=1, note="a")
    with pytest.raises(Exception, match="insert"):
        harness.execute(INSERT, id=1, note="b")

    assert session == harness.session()
    assert [(1, "a")] == [tuple(row) for row in harness.query(LIST)]


@each_server
def test_old_connection_is_replaced(harnesses: Callable[..., Harness], system: str) -> None:
    """A connection that has reached its maximum age is closed and replaced."""
    harness = harnesses(system, connections=1, lifetime=0.0)
    assert harness.session() != harness.session()
    assert 1 == harness.connector.statistics().idle


def test_database_in_memory_outlives_the_lifetime(harnesses: Callable[..., Harness]) -> None:
    """An in-memory database keeps its rows even when its connection has passed its maximum age."""
    harness = harnesses("sqlite", lifetime=0.0)
    harness.execute(INSERT, id=1, note="a")
    assert [(1, "a")] == [tuple(row) for row in harness.query(LIST)]


@each_server
def test_working_idle_connection_is_kept(harnesses: Callable[..., Harness], system: str) -> None:
    """With `check_idle=True`, a connection stays open after its last operation's deadline."""
    harness = harnesses(system, connections=1, check_idle=True)
    end = monotonic() + 0.2
    operation = harness.connector.query(SESSION[system])
    ((first,),) = harness.finish(operation.perform(OperationAttempt(1, 0.2)))
    while monotonic() < end:
        harness.finish(asyncio.sleep(0.01)) if harness.loop is not None else None

    assert first == harness.session()


@each_server
def test_check_of_a_silent_server_ends_in_time(mode: str, system: str) -> None:
    """With `check_idle=True`, an operation on a silent server fails at its deadline."""
    url = make_url(url_of(system))
    port = url.port or {"postgresql": 5432, "mariadb": 3306}[system]
    with TcpProxy(url.host or "127.0.0.1", port) as proxy:
        host, proxy_port = proxy.address
        proxied = url.set(host=host, port=proxy_port).render_as_string(hide_password=False)
        harness = Harness(system, mode, url=proxied, connections=1, check_idle=True)
        session = harness.session()
        proxy.withhold()
        with pytest.raises((AttemptTimeout, DeadlineExceeded)):
            harness.perform(harness.connector.query(SESSION[system]), timeout=0.5)
        proxy.restore()

        assert session != harness.session()
        assert 0 == harness.connector.statistics().active
        harness.close()


@each_server
def test_older_connections_are_not_used_after_one_was_lost(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """After one connection was lost, older connections are not used again."""
    harness = harnesses(system, connections=2)

    async def nested(transaction: Any) -> int:
        operation = harness.connector.query(SESSION[system])
        result = operation.perform(OperationAttempt(1, 30.0))
        ((other,),) = result if harness.loop is None else await result
        ((session,),) = await transaction.query(SESSION[system])
        sessions.extend([other, session])
        return 0

    sessions: list[int] = []
    harness.transaction(nested)
    assert 2 == harness.connector.statistics().idle
    end_session(system, sessions[1])

    assert harness.session() not in sessions
    assert (3, 1) == (harness.connector.statistics().created, harness.connector.statistics().idle)


@each_server
def test_child_forked_during_a_transaction(
    harnesses: Callable[..., Harness], system: str, open_connections: list[Any]
) -> None:
    """A child forked during a transaction opens its own connection.

    The parent's connection stays open.
    """
    harness = harnesses(system, connections=1)
    keep_driver_of(harness, open_connections)
    parents = harness.session()
    children: list[int] = []

    async def run_transaction(_: Any) -> None:
        restart_in_child()
        operation = harness.connector.query(SESSION[system])
        result = operation.perform(OperationAttempt(1, 5.0))
        ((child,),) = result if harness.loop is None else await result
        children.append(child)

    harness.transaction(run_transaction)

    assert [parents] != children
    assert children == [harness.session()]
    assert (0, 1) == (harness.connector.statistics().active, harness.connector.statistics().idle)


@each_server
def test_interrupting_forked_child_transaction_does_not_end_its_parent_session(
    harnesses: Callable[..., Harness], system: str, open_connections: list[Any]
) -> None:
    """Interrupting the transaction of a forked child does not end its parent's session."""
    harness = harnesses(system, connections=1)
    keep_driver_of(harness, open_connections)
    parents = harness.session()
    administrator = Administrator(system)

    interruption = KeyboardInterrupt if harness.loop is None else asyncio.CancelledError

    async def run_transaction(_: Any) -> None:
        restart_in_child()
        raise interruption

    with pytest.raises(interruption):
        harness.transaction(run_transaction)
    session_query = {
        "postgresql": f"SELECT 1 FROM pg_stat_activity WHERE pid = {parents}",
        "mariadb": f"SELECT 1 FROM information_schema.processlist WHERE id = {parents}",
    }

    assert [(1,)] == administrator.ask(session_query[system])
    administrator.close()
    assert parents != harness.session()


def test_forgotten_connector_is_collected_quietly(mode: str, open_connections: list[Any]) -> None:
    """A connector that nobody closed is garbage-collected without an SQLAlchemy warning."""
    harness = Harness("postgresql", mode)
    keep_driver_of(harness, open_connections)
    loop, connector = harness.loop, weakref.ref(harness.connector)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SAWarning)
        del harness
        gc.collect()
    if loop is not None:
        loop.close()

    assert connector() is None
    assert not open_connections[0].closed


@each_server
def test_names_may_be_repeated_in_a_statement(
    harnesses: Callable[..., Harness], system: str
) -> None:
    """A statement may use a parameter several times, and may contain percent signs."""
    harness = harnesses(system)
    query = Query(
        "SELECT 7 % 4 AS rest, CAST(:b AS char(1)) AS b, CAST(:a AS char(1)) AS a,"
        " CAST(:b AS char(1)) AS again",
        name="places",
    )
    assert [(3, "y", "x", "y")] == [tuple(row) for row in harness.query(query, a="x", b="y")]


@pytest.mark.parametrize("place", ["", "/kept.db", "/missing/kept.db"])
def test_dropped_connector_leaves_no_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A SQLite connector that is dropped, or could not connect, causes no ResourceWarning."""
    warned: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", warned.append)
    connector = SqlConnector(f"sqlite:///{tmp_path}{place}" if place else "sqlite://")
    with suppress(ConnectorError):
        connector.query(Query("SELECT 1 AS one", name="one")).perform(OperationAttempt(1, 5.0))
    del connector
    gc.collect()

    assert [] == warned
