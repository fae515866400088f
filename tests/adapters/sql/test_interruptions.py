"""Work of the SQL connector that a cancelled task, a lost session or a close interrupts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, make_url

from moorage import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    LocalFailure,
    Service,
)
from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.sql._psycopg import PunctualConnection
from moorage.adapters.sql.connector import SqlConnector
from moorage.adapters.sql.statements import Query
from moorage.testing import TcpProxy
from tests.adapters.sql.database_harness import (
    CREATE,
    ENDLESS,
    INSERT,
    LIST,
    SERVERS,
    SLEEP,
    Administrator,
    Harness,
    url_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from pathlib import Path

each_server = pytest.mark.parametrize("system", SERVERS)
SCHEMA = {
    "postgresql": Query("SELECT current_schema() AS name", name="schema"),
    "mariadb": Query("SELECT DATABASE() AS name", name="schema"),
}
ENDING = {"postgresql": "SELECT pg_terminate_backend({})", "mariadb": "KILL {}"}
SESSIONS = {
    "postgresql": "SELECT 1 FROM pg_stat_activity WHERE pid = {}",
    "mariadb": "SELECT 1 FROM information_schema.processlist WHERE id = {}",
}


@pytest.fixture(name="administrator")
def _administrator(system: str) -> Generator[Administrator]:
    administrator = Administrator(system)
    yield administrator
    administrator.close()


def end_session(administrator: Administrator, session: int) -> None:
    """End a session of the server, and return when it has ended."""
    administrator.ask(ENDING[administrator.system].format(session))
    while administrator.ask(SESSIONS[administrator.system].format(session)):
        pass


async def cancel_when_busy(
    administrator: Administrator, session: int, work: Awaitable[Any]
) -> None:
    """Cancel the task as soon as the server executes its statement."""
    task = asyncio.ensure_future(work)
    while not await asyncio.to_thread(administrator.is_busy, session):
        pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@each_server
def test_cancelling_transaction_frees_its_connection(
    system: str, administrator: Administrator
) -> None:
    """If a transaction is cancelled, its connection returns to the pool.

    The connector stays usable.
    """
    harness = Harness(system, "async", connections=1)

    async def sleep(transaction: Any) -> None:
        await transaction.query(SLEEP[system], seconds=60)

    operation = harness.connector.transaction(sleep, name="sleep")
    harness.finish(
        cancel_when_busy(
            administrator, harness.session(), harness.manager.perform("sql", operation)
        )
    )

    assert 0 == harness.connector.statistics().active
    assert ((1,),) == harness.query(Query("SELECT 1", name="one"))
    harness.close()


def test_interrupted_stream_closes_its_connection(mode: str) -> None:
    """If opening a stream is interrupted, the interruption is raised and the connection closed."""
    harness = Harness("sqlite", mode, connections=1)
    one = Query("SELECT 1", name="one")
    interruption = KeyboardInterrupt if mode == "sync" else asyncio.CancelledError
    harness.query(one)

    def interrupt(*_: object) -> None:
        event.remove(harness.connector.database.engine, "before_cursor_execute", interrupt)
        raise interruption

    event.listen(harness.connector.database.engine, "before_cursor_execute", interrupt)
    with pytest.raises(interruption):
        harness.perform(harness.connector.stream(one))

    assert 0 == harness.connector.statistics().active
    assert ((1,),) == harness.query(one)
    assert 2 == harness.connector.statistics().created
    harness.close()


@pytest.mark.parametrize("work_kind", ["transaction", "stream"])
def test_interrupted_rollback_closes_its_connection(mode: str, work_kind: str) -> None:
    """If a ROLLBACK is interrupted, its connection is closed.

    Its slot in the pool becomes free.
    """
    harness = Harness("sqlite", mode, connections=1)
    one = Query("SELECT 1", name="one")
    interruption = KeyboardInterrupt if mode == "sync" else asyncio.CancelledError

    def interrupt(_: object, __: object, text: str, *___: object) -> None:
        if text == "ROLLBACK":
            event.remove(harness.connector.database.engine, "before_cursor_execute", interrupt)
            raise interruption

    async def fail(_: object) -> None:
        raise LookupError

    event.listen(harness.connector.database.engine, "before_cursor_execute", interrupt)
    leave_early = partial(harness.first_rows, harness.connector.stream(one), 1)
    with pytest.raises(interruption):
        (leave_early if work_kind == "stream" else partial(harness.transaction, fail))()

    assert 0 == harness.connector.statistics().active
    assert ((1,),) == harness.query(one)
    assert 2 == harness.connector.statistics().created
    harness.close()


@each_server
def test_stream_of_a_silent_server_ends_in_time(mode: str, system: str) -> None:
    """The time limit for opening a stream also limits each batch, and ends the connection."""
    url = make_url(url_of(system))
    port = url.port or {"postgresql": 5432, "mariadb": 3306}[system]
    with TcpProxy(url.host or "127.0.0.1", port) as proxy:
        host, proxy_port = proxy.address
        proxied = url.set(host=host, port=proxy_port).render_as_string(hide_password=False)
        harness = Harness(system, mode, url=proxied, connections=1)
        operation = harness.connector.stream(ENDLESS[system], low=1, batch=10)

        async def read() -> None:
            async with await harness.manager.perform("sql", operation, timeout=2.0) as rows:
                async for _ in rows:
                    proxy.withhold()

        def read_sync() -> None:
            with harness.manager.perform("sql", operation, timeout=2.0) as rows:
                for _ in rows:
                    proxy.withhold()

        with pytest.raises((AttemptTimeout, ConnectionFailed)):
            read_sync() if harness.loop is None else harness.finish(read())

        assert 0 == harness.connector.statistics().active
        harness.close()


@each_server
def test_leaving_stream_of_a_silent_server_closes_its_connection(mode: str, system: str) -> None:
    """Leaving a stream does not wait for a silent server."""
    url = make_url(url_of(system))
    port = url.port or {"postgresql": 5432, "mariadb": 3306}[system]
    with TcpProxy(url.host or "127.0.0.1", port) as proxy:
        host, proxy_port = proxy.address
        proxied = url.set(host=host, port=proxy_port).render_as_string(hide_password=False)
        harness = Harness(system, mode, url=proxied, connections=1)
        operation = harness.connector.stream(ENDLESS[system], low=1, batch=10)

        async def read() -> None:
            async with await harness.manager.perform("sql", operation):
                proxy.withhold()

        def read_sync() -> None:
            with harness.manager.perform("sql", operation):
                proxy.withhold()

        read_sync() if harness.loop is None else harness.finish(read())

        assert 0 == harness.connector.statistics().active
        harness.close()


@each_server
def test_session_lost_during_a_stream_is_an_error(
    harnesses: Callable[..., Harness], system: str, administrator: Administrator
) -> None:
    """A stream that loses its session before the last row raises, and frees its connection."""
    harness = harnesses(system, connections=1)
    for number in (1, 2, 3):
        harness.execute(INSERT, id=number, note="a")
    session = harness.session()
    operation = harness.connector.stream(LIST, batch=1)
    rows: list[Any] = []

    def read() -> None:
        with harness.manager.perform("sql", operation) as stream:
            for row in stream:
                rows.append(row.id)
                if len(rows) == 1:
                    end_session(administrator, session)

    async def read_async() -> None:
        async with await harness.manager.perform("sql", operation) as stream:
            async for row in stream:
                rows.append(row.id)
                if len(rows) == 1:
                    end_session(administrator, session)

    with pytest.raises(ConnectorError):
        read() if harness.loop is None else harness.finish(read_async())

    assert [1, 2, 3][: len(rows)] == rows
    assert 0 == harness.connector.statistics().active
    assert 3 == len(harness.query(LIST))


@each_server
def test_leaving_stream_early_raises_nothing_even_if_its_session_was_lost(
    harnesses: Callable[..., Harness],
    system: str,
    administrator: Administrator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Leaving a stream early raises nothing even if its session was lost."""
    harness = harnesses(system, connections=1)
    for number in (1, 2, 3):
        harness.execute(INSERT, id=number, note="a")
    session = harness.session()
    operation = harness.connector.stream(LIST, batch=1)

    def read() -> None:
        with harness.manager.perform("sql", operation):
            end_session(administrator, session)

    async def read_async() -> None:
        async with await harness.manager.perform("sql", operation):
            end_session(administrator, session)

    read() if harness.loop is None else harness.finish(read_async())

    assert [] == caplog.messages
    assert 0 == harness.connector.statistics().active
    assert 3 == len(harness.query(LIST))


@each_server
def test_exception_of_the_function_outlives_its_session(
    harnesses: Callable[..., Harness], system: str, administrator: Administrator
) -> None:
    """If a transaction's function raises and ROLLBACK fails too, the function's error is raised."""
    harness = harnesses(system, connections=1)
    session, failure = harness.session(), KeyError("a defect")

    async def run_transaction(transaction: Any) -> None:
        await transaction.execute(INSERT, id=1, note="a")
        end_session(administrator, session)
        raise failure

    with pytest.raises(KeyError) as excinfo:
        harness.transaction(run_transaction)

    assert failure is excinfo.value
    assert 0 == harness.connector.statistics().active
    assert () == harness.query(LIST)


@each_server
@pytest.mark.parametrize(
    "isolation, notes", [("read committed", ["a", "b"]), ("repeatable_read", ["a", "a"])]
)
def test_isolation_level_is_that_of_the_transaction(
    harnesses: Callable[..., Harness],
    system: str,
    administrator: Administrator,
    isolation: str,
    notes: list[str],
) -> None:
    """The isolation level decides if a transaction sees rows that another one has committed."""
    harness = harnesses(system)
    schema = harness.query(SCHEMA[system])[0].name
    harness.execute(INSERT, id=1, note="a")

    async def run_transaction(transaction: Any) -> list[str]:
        first = await transaction.query(LIST)
        administrator.ask(f"UPDATE {schema}.moorage_orders SET note = 'b'")
        second = await transaction.query(LIST)
        return [first[0].note, second[0].note]

    assert notes == harness.transaction(run_transaction, isolation=isolation)


def test_connector_in_memory_is_closed_during_its_work() -> None:
    """If a connector is closed during an in-memory transaction, the transaction still finishes."""
    manager = ConnectorManager([Service("sql", retry=None)])
    connector = SqlConnector("sqlite://")

    def run_transaction(transaction: Any) -> Any:
        connector.close()
        return transaction.query(Query("SELECT 1", name="one"))

    assert ((1,),) == manager.perform("sql", connector.transaction(run_transaction, name="closing"))
    assert 0 == connector.statistics().active
    with pytest.raises(LocalFailure, match="closed"):
        manager.perform("sql", connector.query(LIST))


def test_child_process_starts_with_an_empty_pool(tmp_path: Path) -> None:
    """A forked child opens its own SQL connections, and does not close the parent's."""
    manager = ConnectorManager([Service("sql", retry=None)])
    with SqlConnector(f"sqlite:///{tmp_path / 'orders.db'}") as connector:
        opened: list[Any] = []
        event.listen(connector.database.engine, "connect", lambda link, _: opened.append(link))
        manager.perform("sql", connector.execute(CREATE))
        (inherited,) = opened
        restart_in_child()

        assert (0, 0) == (connector.statistics().idle, connector.statistics().active)
        assert () == manager.perform("sql", connector.query(LIST))
        assert 2 == connector.statistics().created
        assert (1,) == inherited.execute("SELECT 1").fetchone()
        inherited.close()


def test_connection_without_an_end_waits_for_the_server() -> None:
    """A PunctualConnection, a subclass of psycopg's connection, also works without a timeout."""
    with PunctualConnection.connect(url_of("postgresql")) as connection:
        assert (1,) == connection.execute("SELECT 1").fetchone()
