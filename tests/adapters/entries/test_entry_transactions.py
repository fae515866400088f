"""Inbox and outbox entries added within the host application's own transactions."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncmy
import attrs
import psycopg
import pytest
import sqlalchemy
from psycopg.rows import DictRow, dict_row
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from moorage import ConfigurationError, StorageUnavailable
from moorage.adapters.entries.memory import MemoryOutbox
from moorage.adapters.entries.sqlite import AsyncSqliteOutbox, SqliteOutbox
from moorage.domain.entries.queue import EntryQuery, EntryState, arrive
from moorage.hub.outbox import AsyncOutbox, Outbox
from tests.adapters.entry_harnesses import entry, entry_harness

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.entry_harnesses import EntryHarness

DAY = timedelta(days=1)


def test_entry_shares_commit_or_rollback_of_its_driver_transaction(harness: EntryHarness) -> None:
    """An entry added in a driver's transaction commits or rolls back with that transaction."""
    store = harness.outbox()
    with closing(harness.driver()) as connection:
        connection.cursor().execute(f"DELETE FROM {harness.prefix}inbox")
        store.within(connection).add(entry("never", lane="x"))
        connection.rollback()
        assert harness.count() == 0

        added_entry = store.within(connection).add(entry("kept", lane="x"))
        assert store.find(EntryQuery()).items == () or harness.kind == "sqlite"
        connection.commit()
    assert store.find(EntryQuery()).items == (added_entry,)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("of", ["connection", "session"])
def test_entry_shares_commit_or_rollback_of_its_sqlalchemy_connection(
    harness: EntryHarness, of: str, *, commits: bool
) -> None:
    """An entry added through a SQLAlchemy connection or session shares its commit or rollback."""
    store = harness.outbox()
    connection: Any = Session(harness.engine) if of == "session" else harness.engine.connect()
    with connection:
        store.within(connection).add(entry("a"))
        (connection.commit if commits else connection.rollback)()
    assert harness.count() == commits


def test_entry_shares_commit_or_rollback_of_its_async_session(server: EntryHarness) -> None:
    """An entry added through SQLAlchemy's AsyncSession commits or rolls back with its session."""
    drivers = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+asyncmy"}
    url = server.engine.url.set(drivername=drivers[server.kind])

    async def run() -> None:
        store, engine = await server.async_outbox(), create_async_engine(url)
        async with AsyncSession(engine) as session:
            await store.within(session).add(entry("never"))
            await session.rollback()
            await store.within(session).add(entry("kept"))
            await session.commit()
        async with engine.begin() as connection:
            await store.within(connection).add(entry("too"))
        result = await store.find(EntryQuery())
        assert [item.id for item in result.items] == ["too", "kept"]
        await engine.dispose()
        await store.aclose()

    asyncio.run(run())


def test_entry_can_be_added_through_asynchronous_driver_connection(server: EntryHarness) -> None:
    """An entry can be added through an asynchronous driver connection."""

    async def run() -> None:
        store = await server.async_outbox()
        if server.kind == "postgresql":
            async with await psycopg.AsyncConnection.connect(server.url) as connection:
                await store.within(connection).add(entry("kept"))
        else:
            url = server.engine.url
            async with asyncmy.connect(
                host=url.host, port=url.port or 3306, user=url.username, database=url.database
            ) as connection:
                await store.within(connection).add(entry("kept"))
                await connection.commit()
        result = await store.find(EntryQuery())
        assert [item.id for item in result.items] == ["kept"]
        await store.aclose()

    asyncio.run(run())


class AsyncFileConnection:
    """A database connection with asynchronous methods, like those of `aiosqlite`."""

    def __init__(self, path: str) -> None:
        self._plain = sqlite3.connect(path)

    async def cursor(self) -> sqlite3.Cursor:
        """Return a cursor."""
        return self._plain.cursor()

    async def commit(self) -> None:
        """Commit the transaction."""
        self._plain.commit()

    async def rollback(self) -> None:
        """Roll back the transaction."""
        self._plain.rollback()

    async def close(self) -> None:
        """Close the connection."""
        self._plain.close()


def test_async_connection_to_a_file(file: EntryHarness) -> None:
    """An entry added through an asynchronous SQLite connection follows its commit or rollback."""

    async def run() -> None:
        store = await file.async_outbox()
        connection = AsyncFileConnection(file.file)
        await store.within(connection).add(entry("never"))
        await connection.rollback()
        await store.within(connection).add(entry("kept"))
        await connection.commit()
        await connection.close()
        result = await store.find(EntryQuery())
        assert [item.id for item in result.items] == ["kept"]
        await store.aclose()

    asyncio.run(run())


def test_entry_is_added_on_a_connection_with_a_row_factory(
    server: EntryHarness, file: EntryHarness
) -> None:
    """An entry can be added on the application's connection even if that has a row factory."""
    with closing(sqlite3.connect(file.file)) as connection:
        connection.row_factory = sqlite3.Row
        assert file.outbox().within(connection).add(entry("a")).id == "a"
    if server.kind == "postgresql":
        with psycopg.Connection[DictRow].connect(
            server.url, row_factory=dict_row
        ) as named_connection:
            assert server.outbox().within(named_connection).add(entry("a")).id == "a"


def test_repeated_id_in_a_transaction_returns_the_existing_entry(harness: EntryHarness) -> None:
    """Adding an id again in an application's transaction returns the existing entry."""
    store = harness.outbox()
    first = store.add(entry("a"))
    with Session(harness.engine) as session:
        assert store.within(session).add(entry("a", lane="other")) == first


def test_id_committed_after_the_snapshot_returns_the_existing_entry(server: EntryHarness) -> None:
    """Adding an id that was committed after the snapshot began returns the existing entry."""
    store = server.outbox()
    with Session(server.engine) as session:
        connection = session.connection()
        if server.kind == "mariadb":
            # MariaDB 11.6 and later would refuse the transaction, and the host would retry it.
            old_text = "/*M!110602 , innodb_snapshot_isolation = OFF */"
            connection.exec_driver_sql(f"SET SESSION sql_warnings = OFF {old_text}")
        connection.exec_driver_sql(f"SELECT id FROM {server.prefix}outbox")  # begins the snapshot
        first = store.add(entry("a"))
        assert store.within(session).add(entry("a", lane="other")) == first


def test_adding_in_the_hosts_transaction_takes_few_statements(server: EntryHarness) -> None:
    """Adding an entry in an application's transaction takes one statement; in MariaDB, three."""
    statements: list[str] = []
    event.listen(
        server.engine, "before_cursor_execute", lambda *context: statements.append(context[2])
    )
    store = server.outbox()
    with Session(server.engine) as session:
        store.within(session).add(entry("a"))

    assert len(statements) == {"postgresql": 1, "mariadb": 3}[server.kind]


@pytest.mark.parametrize("wait", [None, -DAY, DAY])
@pytest.mark.parametrize("state", [EntryState.WAITING, EntryState.PAUSED])
def test_clock_of_the_store_sets_the_times_of_an_entry(
    harness: EntryHarness, state: EntryState, wait: timedelta | None
) -> None:
    """The store's clock, not the caller's, sets the times at which an entry is added and due."""
    store = harness.outbox()
    now = store.now()
    is_pause = state is EntryState.PAUSED
    due = None if wait is None or is_pause else now + wait
    new_entry = attrs.evolve(entry("a"), state=state, due=due)
    added_entry = store.add(new_entry)

    assert now <= added_entry.added_at <= store.now()
    assert (
        attrs.evolve(arrive(new_entry, added_entry.added_at), number=added_entry.number)
        == added_entry
    )
    assert store.find(EntryQuery()).items == (added_entry,)


def test_outbox_adds_a_call_in_the_transaction_of_the_program(harness: EntryHarness) -> None:
    """Outbox.within adds a call in the application's transaction; a worker delivers it as usual."""
    store = harness.outbox()
    outbox = Outbox(store)
    with Session(harness.engine) as session:
        outbox.within(session).put("storage", "delete", "a.txt", key="never")
        session.rollback()
        later_entry = outbox.within(session).put(
            "storage", "delete", "a.txt", key="kept", not_before=DAY, order="files"
        )
        session.commit()
    assert outbox.find(EntryQuery()).items == (later_entry,)


def test_async_outbox_adds_a_call_in_the_transaction_of_the_program(server: EntryHarness) -> None:
    """`AsyncOutbox.within` adds a call in the application's transaction."""
    drivers = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+asyncmy"}
    url = server.engine.url.set(drivername=drivers[server.kind])

    async def run() -> None:
        store, engine = await server.async_outbox(), create_async_engine(url)
        async with AsyncSession(engine) as session, session.begin():
            await AsyncOutbox(store).within(session).put("storage", "delete", "a.txt")
        assert len((await store.find(EntryQuery())).items) == 1
        await engine.dispose()
        await store.aclose()

    asyncio.run(run())


def test_store_without_transactions_names_those_that_have_them() -> None:
    """If a store has no transaction support, the error names the stores that have it."""
    with pytest.raises(ConfigurationError) as excinfo:
        Outbox(MemoryOutbox()).within(object())
    assert "SqliteOutbox or SqlOutbox" in str(excinfo.value.remedy)


def test_outbox_refuses_an_unsuitable_connection(file: EntryHarness, server: EntryHarness) -> None:
    """Outbox.within() refuses an autocommit connection, and a connection of the wrong kind."""
    store = file.outbox()
    with pytest.raises(ConfigurationError, match="runs no statements"):
        store.within(object())
    with (
        closing(sqlite3.connect(file.file, isolation_level=None)) as connection,
        pytest.raises(ConfigurationError, match="commits every statement by itself"),
    ):
        store.within(connection)
    with closing(sqlite3.connect(file.file, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        assert store.within(connection).add(entry("a")).id == "a"
    async_outbox = AsyncSqliteOutbox(file.file, prefix=file.prefix)
    with (
        closing(sqlite3.connect(file.file)) as connection,
        pytest.raises(ConfigurationError, match="is synchronous, but this store is asynchronous"),
    ):
        async_outbox.within(connection)
    with pytest.raises(ConfigurationError, match="is asynchronous, but this store is synchronous"):
        store.within(AsyncSession())
    if server.kind == "postgresql":
        with (
            psycopg.connect(server.url, autocommit=True) as automatic,
            pytest.raises(ConfigurationError, match="commits every statement"),
        ):
            server.outbox().within(automatic)


class Psycopg2Connection:
    """A connection of psycopg with the attributes that psycopg2 has."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.cursor, self.commit = connection.cursor, connection.commit
        self.autocommit = connection.autocommit

    def get_transaction_status(self) -> int:
        """Return 0 if the connection has no transaction."""
        return int(self._connection.info.transaction_status)


def test_autocommit_of_psycopg2_is_respected(tmp_path: Path) -> None:
    """A psycopg2 connection in autocommit mode is refused unless a transaction is open."""
    with (
        entry_harness("postgresql", tmp_path) as server,
        psycopg.connect(server.url, autocommit=True) as automatic,
    ):
        store, connection = server.outbox(), Psycopg2Connection(automatic)
        with pytest.raises(ConfigurationError, match="commits every statement by itself"):
            store.within(connection)
        automatic.execute("BEGIN")
        store.within(connection).add(entry("never"))
        automatic.rollback()

        assert server.count() == 0


@pytest.mark.parametrize("of", ["connection", "engine", "session"])
def test_autocommit_of_sqlalchemy_is_refused(harness: EntryHarness, of: str) -> None:
    """A SQLAlchemy connection or session in AUTOCOMMIT mode cannot roll an entry back."""
    store = harness.outbox()
    engine: Any = harness.engine.execution_options(isolation_level="AUTOCOMMIT")
    if of == "engine":
        engine = sqlalchemy.create_engine(
            harness.engine.url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool
        )
    connection: Any = Session(engine) if of == "session" else engine.connect()
    with connection, pytest.raises(ConfigurationError, match="commits every statement by itself"):
        store.within(connection).add(entry("a"))

    assert harness.count() == 0


def test_autocommit_of_asynchronous_sqlalchemy_is_refused(server: EntryHarness) -> None:
    """An AsyncConnection or AsyncSession in AUTOCOMMIT mode cannot roll an entry back."""
    drivers = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+asyncmy"}
    url = server.engine.url.set(drivername=drivers[server.kind])

    async def run() -> None:
        store = await server.async_outbox()
        engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            with pytest.raises(ConfigurationError, match="commits every statement by itself"):
                store.within(connection)
        async with AsyncSession(engine) as session:
            with pytest.raises(ConfigurationError, match="commits every statement by itself"):
                await store.within(session).add(entry("a"))
        await engine.dispose()
        await store.aclose()

    asyncio.run(run())

    assert server.count() == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no attribute autocommit")
def test_autocommit_attribute_of_sqlite_is_respected(file: EntryHarness) -> None:
    """A sqlite3 connection with autocommit=True is refused unless a transaction is open."""
    store = file.outbox()
    options: dict[str, Any] = {"autocommit": True}
    with closing(sqlite3.connect(file.file, **options)) as connection:
        with pytest.raises(ConfigurationError, match="commits every statement by itself"):
            store.within(connection)
        connection.execute("BEGIN")
        store.within(connection).add(entry("never"))
        connection.execute("ROLLBACK")
    options = {"autocommit": False}
    with closing(sqlite3.connect(file.file, **options)) as connection:
        store.within(connection).add(entry("never"))
        connection.rollback()

    assert file.count() == 0


def test_autocommit_of_pymysql_is_respected(tmp_path: Path) -> None:
    """A PyMySQL connection in autocommit mode is refused unless a transaction is open."""
    with entry_harness("mariadb", tmp_path) as server, closing(server.driver()) as connection:
        store = server.outbox()
        connection.autocommit(True)
        with pytest.raises(ConfigurationError, match="commits every statement by itself"):
            store.within(connection)
        connection.begin()
        store.within(connection).add(entry("never"))
        connection.rollback()

        assert server.count() == 0


def test_missing_table_in_a_host_transaction_is_named(tmp_path: Path) -> None:
    """No tables are created in an application's transaction; the error advises `migrate()`."""
    path = tmp_path / "app.db"
    store = SqliteOutbox(path, create=True)
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(StorageUnavailable, match="lacks a table of this store") as excinfo:
            store.within(connection).add(entry("a"))
        connection.rollback()
        store.migrate()
        assert "a" == store.within(connection).add(entry("a")).id
    store.close()

    assert "run `migrate()` of the store once" in excinfo.value.remedy


def test_failed_host_transaction_is_reported(harness: EntryHarness, tmp_path: Path) -> None:
    """If the application's transaction has failed, the error omits the database's own text."""
    store = harness.outbox()
    path = tmp_path / "other.db"
    other_engine = sqlalchemy.create_engine(f"sqlite:///{path}", poolclass=sqlalchemy.NullPool)
    with other_engine.connect() as connection, pytest.raises(StorageUnavailable) as excinfo:
        store.within(connection).add(entry("a"))
    assert "could not store an entry" in str(excinfo.value)
