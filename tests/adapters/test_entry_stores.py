"""Inbox and outbox in a file, in PostgreSQL and in MariaDB, without a framework."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, contextmanager
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
from moorage.adapters.entries import sqlite as sqlite_entries
from moorage.adapters.entries.memory import MemoryOutbox
from moorage.adapters.entries.sql import SqlInbox, SqlOutbox
from moorage.adapters.entries.sqlite import AsyncSqliteOutbox, SqliteOutbox
from moorage.domain.entries.queue import EntryQuery, EntryState, finish, take
from moorage.hub.outbox import AsyncOutbox, Outbox
from moorage.testing import VirtualClock, inbox_conformance, outbox_conformance
from moorage.testing.kits.checks import name_of
from moorage.wiring.store_urls import aopen_inbox, aopen_outbox, open_inbox, open_outbox
from tests.adapters.entry_labs import KINDS, EntryLab, entry_lab
from tests.support import overlapping

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from moorage.domain.entries.outbox import OutboxEntry
    from tests.support.overlapping import Begin

DAY = timedelta(days=1)


@pytest.fixture(scope="module", params=KINDS)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A database of each kind."""
    with entry_lab(request.param, tmp_path_factory.mktemp("entries")) as value:
        yield value


@pytest.fixture(scope="module", params=KINDS[1:])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of each kind, where transactions overlap."""
    with entry_lab(request.param, tmp_path_factory.mktemp("entries")) as value:
        yield value


@pytest.fixture
def file(tmp_path: Path) -> Iterator[EntryLab]:
    """Return a SQLite file that belongs to the application."""
    with entry_lab("sqlite", tmp_path) as value:
        yield value


def entry(name: str, **changes: Any) -> OutboxEntry:
    """A call that is due at once."""
    return attrs.evolve(overlapping.entry(name, None), **changes)


# --- the contract -----------------------------------------------------------------------


@pytest.mark.parametrize("check", inbox_conformance.CHECKS, ids=name_of)
def test_inbox(check: inbox_conformance.Check, lab: EntryLab) -> None:
    """The inbox passes the conformance kit."""
    check(lab.inbox)


@pytest.mark.parametrize("check", outbox_conformance.CHECKS, ids=name_of)
def test_outbox(check: outbox_conformance.Check, lab: EntryLab) -> None:
    """The outbox passes the conformance kit."""
    check(lab.outbox)


@pytest.mark.parametrize("check", inbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_inbox(check: inbox_conformance.AsyncCheck, lab: EntryLab) -> None:
    """The asynchronous inbox passes the conformance kit."""
    asyncio.run(_check_store(check, lab, "later_inbox", lab.inbox))


@pytest.mark.parametrize("check", outbox_conformance.ASYNC_CHECKS, ids=name_of)
def test_async_outbox(check: outbox_conformance.AsyncCheck, lab: EntryLab) -> None:
    """The asynchronous outbox passes the conformance kit."""
    asyncio.run(_check_store(check, lab, "later_outbox", lab.outbox))


async def _check_store(check: Any, lab: EntryLab, made: str, empty: Callable[[], Any]) -> None:
    store = await getattr(lab, made)()

    def factory() -> Any:
        empty()
        return store

    try:
        await check(factory)
    finally:
        await store.aclose()


# --- batches ----------------------------------------------------------------------------


def test_claims_are_taken_together(lab: EntryLab) -> None:
    """A worker claims several entries in order, and none that another worker has claimed."""
    store = lab.outbox()
    for name in "abcde":
        store.add(entry(name))

    first = store.claim(3, 60.0, 5)
    second = store.claim(3, 60.0, 5)

    assert [item.id for item in first] == ["a", "b", "c"]
    assert [item.id for item in second] == ["d", "e"]
    assert store.claim(3, 60.0, 5) == ()
    assert {item.state for item in (*first, *second)} == {EntryState.CLAIMED}
    stored_entries = {item.id: item for item in store.find(EntryQuery()).items}
    assert stored_entries == {item.id: item for item in (*first, *second)}


def test_a_claim_takes_one_of_a_lane(lab: EntryLab) -> None:
    """Entries of one lane are claimed one at a time."""
    store = lab.outbox()
    for name in ("a1", "a2", "b1"):
        store.add(entry(name, lane=name[0]))

    claimed_entries = store.claim(9, 60.0, 5)
    assert [ticket.id for ticket in claimed_entries] == ["a1", "b1"]
    store.settle(
        [finish(ticket, store.now()) for ticket in claimed_entries],
        [ticket.fence for ticket in claimed_entries],
    )
    assert [entry.id for entry in store.claim(9, 60.0, 5)] == ["a2"]


def test_an_entry_whose_worker_died_is_claimed_alone(lab: EntryLab) -> None:
    """An entry that may have killed its worker is claimed separately from others."""
    store = lab.outbox()
    for name in "abc":
        store.add(entry(name))
    (fatal,) = store.find(EntryQuery(id="b")).items
    store.swap(take(fatal, store.now() - DAY, 60.0, 5), fatal.fence)

    claims = [[entry.id for entry in store.claim(9, 60.0, 5)] for _ in range(4)]
    assert claims == [["a"], ["b"], ["c"], []]


def test_settling_respects_fences(lab: EntryLab) -> None:
    """Of several results, only those are written whose entry no other worker has taken since."""
    store = lab.outbox()
    for name in "abc":
        store.add(entry(name))
    claimed_entries = store.claim(9, 60.0, 5)
    store.swap(take(claimed_entries[1], store.now(), 60.0, 5), claimed_entries[1].fence)
    finished_entries = [finish(ticket, store.now()) for ticket in claimed_entries]

    assert store.settle(finished_entries, [ticket.fence for ticket in claimed_entries]) == [
        True,
        False,
        True,
    ]
    assert store.settle(finished_entries[1:2], [claimed_entries[1].fence]) == [False]
    states = {item.id: item.state.value for item in store.find(EntryQuery()).items}
    assert states == {"a": "done", "b": "claimed", "c": "done"}


def test_async_batches(lab: EntryLab) -> None:
    """The asynchronous store claims and settles batches too."""

    async def run() -> None:
        store = await lab.later_outbox()
        for name in "ab":
            await store.add(entry(name))
        claimed_entries = await store.claim(9, 60.0, 5)
        now = await store.now()
        settled_flags = await store.settle(
            [finish(ticket, now) for ticket in claimed_entries], [1, 1]
        )
        assert [ticket.id for ticket in claimed_entries] == ["a", "b"]
        assert settled_flags == [True, True]
        await store.aclose()

    asyncio.run(run())


def test_workers_skip_what_others_have_locked(server: EntryLab) -> None:
    """A worker does not wait for rows that another is claiming."""
    store = server.outbox()
    for name in "ab":
        store.add(entry(name))
    lock = f"SELECT number FROM {server.prefix}outbox WHERE id = 'a' FOR UPDATE"
    with server.engine.begin() as connection:
        connection.exec_driver_sql(lock)
        assert [entry.id for entry in store.claim(9, 60.0, 5)] == ["b"]
    assert [entry.id for entry in store.claim(9, 60.0, 5)] == ["a"]


# --- the host's transaction -------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("check", overlapping.CHECKS, ids=name_of)
def test_order(check: Callable[[Begin, Any], None], server: EntryLab, isolation: str) -> None:
    """Entries of one order keep their sequence and block no others, at any isolation level."""
    engine = server.engine.execution_options(isolation_level=isolation)
    store = server.outbox()

    @contextmanager
    def begin() -> Generator[Any]:
        with Session(engine) as session, session.begin():
            yield store.within(session)

    check(begin, store)


def test_many_lanes_hold_few_locks(server: EntryLab) -> None:
    """A transaction over many lanes holds few locks in the server."""
    store = server.outbox()
    with server.engine.begin() as connection:
        for number in range(40):
            store.within(connection).add(entry(f"{number}", lane=f"INV-{number}"))
        if server.kind == "postgresql":
            lock_query = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
            assert connection.exec_driver_sql(lock_query).scalar_one() < 30
            remaining_result = connection.exec_driver_sql(
                f"SELECT count(*) FROM {server.prefix}lane"
            )
            assert remaining_result.scalar_one() == 0
    assert 40 == len(store.find(EntryQuery(limit=50)).items)


def test_a_table_of_lanes_that_is_missing(server: EntryLab) -> None:
    """Tables of an earlier release, without lanes, are reported before an entry is added."""
    prefix = f"{server.prefix}earlier_"
    with open_outbox(server.url, prefix=prefix, create=True) as store:
        store.due(1)
    with server.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {prefix}lane")
    with open_outbox(server.url, prefix=prefix) as store:
        with pytest.raises(ConfigurationError) as excinfo:
            store.add(entry("a", lane="x"))
        assert "migrate()" in str(excinfo.value.remedy)
        store.migrate()
        assert store.add(entry("a", lane="x")).lane == "x"
    with server.engine.begin() as connection:
        for name in ("outbox", "lane"):
            connection.exec_driver_sql(f"DROP TABLE {prefix}{name}")


def test_a_rollback_takes_the_entry_along(lab: EntryLab) -> None:
    """An entry in the transaction of a driver's connection comes and goes with it."""
    store = lab.outbox()
    with closing(lab.driver()) as connection:
        connection.cursor().execute(f"DELETE FROM {lab.prefix}inbox")
        store.within(connection).add(entry("never", lane="x"))
        connection.rollback()
        assert lab.count() == 0

        added_entry = store.within(connection).add(entry("kept", lane="x"))
        assert store.find(EntryQuery()).items == () or lab.kind == "sqlite"
        connection.commit()
    assert store.find(EntryQuery()).items == (added_entry,)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("of", ["connection", "session"])
def test_sqlalchemy(lab: EntryLab, of: str, *, commits: bool) -> None:
    """SQLAlchemy's connections and sessions are written in, as they are."""
    store = lab.outbox()
    connection: Any = Session(lab.engine) if of == "session" else lab.engine.connect()
    with connection:
        store.within(connection).add(entry("a"))
        (connection.commit if commits else connection.rollback)()
    assert lab.count() == commits


def test_async_sqlalchemy(server: EntryLab) -> None:
    """An asynchronous session of SQLAlchemy is written in, as it is."""
    drivers = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+asyncmy"}
    url = server.engine.url.set(drivername=drivers[server.kind])

    async def run() -> None:
        store, engine = await server.later_outbox(), create_async_engine(url)
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


def test_async_driver(server: EntryLab) -> None:
    """An asynchronous connection of a driver is written in."""

    async def run() -> None:
        store = await server.later_outbox()
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


class AwaitedFile:
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


def test_async_connection_to_a_file(file: EntryLab) -> None:
    """An asynchronous connection to a file is written in, and its transaction decides."""

    async def run() -> None:
        store = await file.later_outbox()
        connection = AwaitedFile(file.file)
        await store.within(connection).add(entry("never"))
        await connection.rollback()
        await store.within(connection).add(entry("kept"))
        await connection.commit()
        await connection.close()
        result = await store.find(EntryQuery())
        assert [item.id for item in result.items] == ["kept"]
        await store.aclose()

    asyncio.run(run())


def test_rows_of_the_hosts_kind(server: EntryLab, file: EntryLab) -> None:
    """The rows that a host wants of its connections do not matter."""
    with closing(sqlite3.connect(file.file)) as connection:
        connection.row_factory = sqlite3.Row
        assert file.outbox().within(connection).add(entry("a")).id == "a"
    if server.kind == "postgresql":
        with psycopg.Connection[DictRow].connect(
            server.url, row_factory=dict_row
        ) as named_connection:
            assert server.outbox().within(named_connection).add(entry("a")).id == "a"


def test_a_repeat_in_the_hosts_transaction(lab: EntryLab) -> None:
    """Adding an id again in a host's transaction returns the existing entry."""
    store = lab.outbox()
    first = store.add(entry("a"))
    with Session(lab.engine) as session:
        assert store.within(session).add(entry("a", lane="other")) == first


def test_a_repeat_that_the_hosts_snapshot_does_not_show(server: EntryLab) -> None:
    """Adding an id that was committed after the host's first query returns the existing entry."""
    store = server.outbox()
    with Session(server.engine) as session:
        connection = session.connection()
        if server.kind == "mariadb":
            # From 11.6 on it would refuse the transaction, which the host then repeats.
            old_text = "/*M!110602 , innodb_snapshot_isolation = OFF */"
            connection.exec_driver_sql(f"SET SESSION sql_warnings = OFF {old_text}")
        connection.exec_driver_sql(f"SELECT id FROM {server.prefix}outbox")  # the snapshot
        first = store.add(entry("a"))
        assert store.within(session).add(entry("a", lane="other")) == first


def test_adding_in_the_hosts_transaction_takes_few_statements(server: EntryLab) -> None:
    """A host waits for two statements when it adds an entry, and for three in MariaDB."""
    statements: list[str] = []
    event.listen(
        server.engine, "before_cursor_execute", lambda *context: statements.append(context[2])
    )
    store = server.outbox()
    with Session(server.engine) as session:
        store.within(session).add(entry("a"))

    assert len(statements) == {"postgresql": 2, "mariadb": 3}[server.kind]


def test_the_outbox_writes_in_a_transaction(lab: EntryLab) -> None:
    """`Outbox.within` puts a call in the host's transaction, and delivers as usual."""
    store = lab.outbox()
    outbox = Outbox(store)
    with Session(lab.engine) as session:
        outbox.within(session).put("storage", "delete", "a.txt", key="never")
        session.rollback()
        later_entry = outbox.within(session).put(
            "storage", "delete", "a.txt", key="kept", not_before=DAY, order="files"
        )
        session.commit()
    assert outbox.find(EntryQuery()).items == (later_entry,)


def test_the_async_outbox_writes_in_a_transaction(server: EntryLab) -> None:
    """`AsyncOutbox.within` adds a call in the application's transaction, too."""
    drivers = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+asyncmy"}
    url = server.engine.url.set(drivername=drivers[server.kind])

    async def run() -> None:
        store, engine = await server.later_outbox(), create_async_engine(url)
        async with AsyncSession(engine) as session, session.begin():
            await AsyncOutbox(store).within(session).put("storage", "delete", "a.txt")
        assert len((await store.find(EntryQuery())).items) == 1
        await engine.dispose()
        await store.aclose()

    asyncio.run(run())


# --- what cannot be --------------------------------------------------------------------


def test_a_store_without_transactions() -> None:
    """A store that writes in no transaction says which ones do."""
    with pytest.raises(ConfigurationError) as excinfo:
        Outbox(MemoryOutbox()).within(object())
    assert "SqliteOutbox or SqlOutbox" in str(excinfo.value.remedy)


def test_connections_that_are_refused(file: EntryLab, server: EntryLab) -> None:
    """A connection that could not roll back, or is of the other mode, is refused."""
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
    later_outbox = AsyncSqliteOutbox(file.file, prefix=file.prefix)
    with (
        closing(sqlite3.connect(file.file)) as connection,
        pytest.raises(ConfigurationError, match="is synchronous, but this store is asynchronous"),
    ):
        later_outbox.within(connection)
    with pytest.raises(ConfigurationError, match="is asynchronous, but this store is synchronous"):
        store.within(AsyncSession())
    if server.kind == "postgresql":
        with (
            psycopg.connect(server.url, autocommit=True) as automatic,
            pytest.raises(ConfigurationError, match="commits every statement"),
        ):
            server.outbox().within(automatic)


def test_failed_host_transaction_is_reported(lab: EntryLab, tmp_path: Path) -> None:
    """The error of a failed transaction does not quote the database."""
    store = lab.outbox()
    path = tmp_path / "other.db"
    other_engine = sqlalchemy.create_engine(f"sqlite:///{path}", poolclass=sqlalchemy.NullPool)
    with other_engine.connect() as connection, pytest.raises(StorageUnavailable) as excinfo:
        store.within(connection).add(entry("a"))
    assert "could not store an entry" in str(excinfo.value)


def test_tables_that_are_missing(lab: EntryLab, tmp_path: Path) -> None:
    """A store without tables says how to create them, or creates them on request."""
    url = lab.url if lab.kind != "sqlite" else f"sqlite:///{tmp_path / 'new.db'}"
    with open_inbox(url, prefix="moorage_missing_") as store:
        with pytest.raises(ConfigurationError) as excinfo:
            store.due(1)
        assert "migrate()" in str(excinfo.value.remedy)
    with open_inbox(url, prefix=f"{lab.prefix}new_", create=True) as store:
        assert store.due(1) == ()
    with lab.engine.begin() as connection:
        for name in ("inbox", "lane"):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {lab.prefix}new_{name}")


def test_async_migration(lab: EntryLab, tmp_path: Path) -> None:
    """An asynchronous store creates its tables; a second migration changes nothing."""
    url = lab.url if lab.kind != "sqlite" else f"sqlite:///{tmp_path / 'new.db'}"

    async def run() -> object:
        async with aopen_inbox(url, prefix=f"{lab.prefix}async_") as store:
            await store.migrate()
            await store.migrate()
            return await store.due(1)

    try:
        assert asyncio.run(run()) == ()
    finally:
        with lab.engine.begin() as connection:
            for name in ("inbox", "lane"):
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {lab.prefix}async_{name}")


def test_ddl_creates_the_tables(lab: EntryLab) -> None:
    """The statements of `ddl` create the tables for a host's own migrations."""
    kind: Any = {"sqlite": SqliteOutbox, "postgresql": SqlOutbox, "mariadb": SqlOutbox}[lab.kind]
    value = () if lab.kind == "sqlite" else (lab.kind,)
    prefix = f"{lab.prefix}ddl_"
    with lab.engine.begin() as connection:
        for statement in filter(None, kind.ddl(*value, prefix=prefix).split(";\n")):
            connection.exec_driver_sql(statement)
    with open_outbox(lab.url, prefix=prefix) as store:
        assert store.add(entry("a", lane="x")).id == "a"
    with lab.engine.begin() as connection:
        for name in ("outbox", "lane", "clock"):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {prefix}{name}")
    assert "utf8mb4_0900_bin" in SqlInbox.ddl("mysql")
    assert AsyncSqliteOutbox.ddl() == SqliteOutbox.ddl()


@pytest.mark.parametrize("part", [{"prefix": 'a"b'}, {"prefix": "1"}])
def test_names_of_tables(lab: EntryLab, part: dict[str, str]) -> None:
    """A prefix that cannot be part of a name is refused."""
    with pytest.raises(ConfigurationError, match="is not valid"):
        open_inbox(lab.url, **part)


def test_a_schema(lab: EntryLab) -> None:
    """The tables may be in a schema that is not the connection's own."""
    if lab.kind == "sqlite":
        pytest.skip("a file has no schemas: run the cases of the servers")
    schema = lab.prefix.rstrip("_")
    with lab.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    try:
        with SqlOutbox(lab.url, schema=schema, create=True) as store:
            store.add(entry("a", lane="x"))
            assert [entry.id for entry in store.claim(9, 60.0, 5)] == ["a"]
            assert repr(store).startswith("<SqlOutbox")
    finally:
        cascade = " CASCADE" if lab.kind == "postgresql" else ""
        with lab.engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {schema}{cascade}")


def test_servers_that_are_away() -> None:
    """An unreachable database is reported as such, synchronously and asynchronously."""
    url = "postgresql://nobody:secret@127.0.0.1:1/none"
    with SqlOutbox(url, timeout=0.2) as store:
        for act in (store.migrate, store.now):
            with pytest.raises(StorageUnavailable) as excinfo:
                act()
            assert "secret" not in str(excinfo.value)

    async def run() -> None:
        async with aopen_outbox(url, timeout=0.2) as outbox:
            with pytest.raises(StorageUnavailable):
                await outbox.migrate()
            with pytest.raises(StorageUnavailable):
                await outbox.remove(EntryQuery())

    asyncio.run(run())


def test_wrong_path_creates_no_file(tmp_path: Path) -> None:
    """A store whose file is missing raises an error; only creating tables creates the file."""
    path = tmp_path / "wrong ?#%41.db"
    with SqliteOutbox(path) as store:
        with pytest.raises(ConfigurationError, match="does not exist") as excinfo:
            store.due(1)
        assert "migrate()" in str(excinfo.value.remedy)
        assert not list(tmp_path.iterdir())
        store.migrate()
        assert store.due(1) == ()
    assert path.exists()


def test_files_that_cannot_be(tmp_path: Path) -> None:
    """A database in memory, a missing directory and a locked file have their own errors."""
    with pytest.raises(ConfigurationError, match="A database in memory"):
        SqliteOutbox(":memory:")
    with pytest.raises(StorageUnavailable, match="could not be used"):
        SqliteOutbox(tmp_path / "none" / "a.db").migrate()
    path = tmp_path / "a.db"
    with SqliteOutbox(path, timeout=0.05, create=True) as store:
        store.add(entry("a"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other_connection:
            other_connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailable) as excinfo:
                store.claim(1, 60.0, 5)
        assert excinfo.value.slow
        assert repr(store) == f"SqliteOutbox({str(path)!r})"

    async def run() -> None:
        async with AsyncSqliteOutbox(path, create=True) as later_outbox:
            assert repr(later_outbox) == f"AsyncSqliteOutbox({str(path)!r})"
            await later_outbox.migrate()
            assert await later_outbox.remove(EntryQuery()) == 1

    asyncio.run(run())


@pytest.mark.parametrize("open_it", [open_inbox, open_outbox, aopen_outbox])
def test_urls_without_entries(open_it: Callable[[str], Any]) -> None:
    """A URL of a store that keeps no entries is refused, and one of memory is not."""
    with pytest.raises(ConfigurationError, match="The scheme 'redis' is not one for an"):
        open_it("redis://host/0")
    assert open_it("memory:").reach == "process"


# --- waking -----------------------------------------------------------------------------


def test_waiting_worker_wakes_on_commit(server: EntryLab) -> None:
    """A waiting worker wakes for committed entries, and not for rolled-back ones."""
    store = server.outbox()
    can = server.kind == "postgresql"
    assert store.wait(0.01) is can  # nobody has listened so far, so there may be something
    assert not store.wait(0.01)
    with Session(server.engine) as session:
        store.within(session).add(entry("never"))
        session.rollback()
        assert not store.wait(0.01)
        store.within(session).add(entry("kept"))
        assert not store.wait(0.01)
        session.commit()
    assert store.wait(30.0 if can else 0.01) is can
    store.add(entry("kept"))
    assert not store.wait(0.01)


def test_waiting_asynchronous_worker_wakes_on_commit(server: EntryLab) -> None:
    """The asynchronous store wakes on commits too."""

    async def run() -> None:
        store = await server.later_outbox()
        can = server.kind == "postgresql"
        assert await store.wait(0.01) is can
        waiting_task = asyncio.ensure_future(store.wait(30.0 if can else 0.01))
        await asyncio.sleep(0)
        await store.add(entry("a"))
        assert await waiting_task is can
        await store.aclose()

    asyncio.run(run())


def test_short_wait_on_a_new_connection(server: EntryLab) -> None:
    """A wait that is shorter than connecting takes ends like any other."""
    with open_outbox(server.url, prefix=server.prefix) as store:
        assert (server.kind == "postgresql") == store.wait(0.0)
        assert not store.wait(0.0)


def test_a_wait_outlives_its_connection(server: EntryLab) -> None:
    """A connection that is lost during a wait is replaced, and the wait ends with new entries."""
    if server.kind != "postgresql":
        pytest.skip("nobody is woken in MariaDB: run the case of PostgreSQL")
    url = f"{server.url}?application_name={server.prefix}"
    with open_outbox(url, prefix=server.prefix) as store:
        store.wait(0.01)
        with server.engine.begin() as connection:
            connection.execute(
                sqlalchemy.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = :name"
                ),
                {"name": server.prefix},
            )
        assert store.wait(30.0)


@pytest.mark.parametrize("boot", [None, "another"])
def test_the_time_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boot: str | None
) -> None:
    """Without a boot id the wall clock is used, and time never goes back."""
    clock = VirtualClock()
    path = tmp_path / "a.db"
    with SqliteOutbox(path, create=True, clock=clock) as store:
        first = store.add(entry("a")).added_at
        assert first == clock.utc()
    monkeypatch.setattr(sqlite_entries, "boot_id", lambda: boot)
    behind_clock = VirtualClock(first - DAY)
    with SqliteOutbox(path, clock=behind_clock) as store:
        assert store.now() == (behind_clock.utc() if boot is None else first)
        behind_clock.advance(1.5)
        assert store.now() == (
            behind_clock.utc() if boot is None else first + timedelta(seconds=1.5)
        )
