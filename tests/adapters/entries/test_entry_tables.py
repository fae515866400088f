"""Table creation and store URLs of inboxes and outboxes."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError, StorageUnavailable
from moorage.adapters.entries.sql import SqlInbox, SqlOutbox
from moorage.adapters.entries.sqlite import AsyncSqliteOutbox, SqliteOutbox
from moorage.domain.entries.queue import EntryQuery
from moorage.wiring.store_urls import aopen_inbox, aopen_outbox, open_inbox, open_outbox
from tests.adapters.entry_harnesses import entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.adapters.entry_harnesses import EntryHarness


def test_error_for_missing_tables_names_migrate(harness: EntryHarness, tmp_path: Path) -> None:
    """The error for missing tables names `migrate()`; with `create=True` the store creates them."""
    url = harness.url if harness.kind != "sqlite" else f"sqlite:///{tmp_path / 'new.db'}"
    with open_inbox(url, prefix="moorage_missing_") as store:
        with pytest.raises(ConfigurationError) as excinfo:
            store.due(1)
        assert "migrate()" in str(excinfo.value.remedy)
    with open_inbox(url, prefix=f"{harness.prefix}new_", create=True) as store:
        assert store.due(1) == ()
    with harness.engine.begin() as connection:
        for name in ("inbox", "lane"):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {harness.prefix}new_{name}")


def test_asynchronous_store_creates_its_tables(harness: EntryHarness, tmp_path: Path) -> None:
    """An asynchronous store creates its tables, and migrating a second time changes nothing."""
    url = harness.url if harness.kind != "sqlite" else f"sqlite:///{tmp_path / 'new.db'}"

    async def run() -> object:
        async with aopen_inbox(url, prefix=f"{harness.prefix}async_") as store:
            await store.migrate()
            await store.migrate()
            return await store.due(1)

    try:
        assert asyncio.run(run()) == ()
    finally:
        with harness.engine.begin() as connection:
            for name in ("inbox", "lane"):
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {harness.prefix}async_{name}")


def test_ddl_creates_the_tables(harness: EntryHarness) -> None:
    """The SQL statements of `ddl` create the tables in an application's own migrations."""
    kind: Any = {"sqlite": SqliteOutbox, "postgresql": SqlOutbox, "mariadb": SqlOutbox}[
        harness.kind
    ]
    value = () if harness.kind == "sqlite" else (harness.kind,)
    prefix = f"{harness.prefix}ddl_"
    with harness.engine.begin() as connection:
        for statement in filter(None, kind.ddl(*value, prefix=prefix).split(";\n")):
            connection.exec_driver_sql(statement)
    with open_outbox(harness.url, prefix=prefix) as store:
        assert store.add(entry("a", lane="x")).id == "a"
    with harness.engine.begin() as connection:
        for name in ("outbox", "lane", "clock"):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {prefix}{name}")
    assert "utf8mb4_0900_bin" in SqlInbox.ddl("mysql")
    assert AsyncSqliteOutbox.ddl() == SqliteOutbox.ddl()


@pytest.mark.parametrize("part", [{"prefix": 'a"b'}, {"prefix": "1"}])
def test_invalid_table_prefix_is_refused(harness: EntryHarness, part: dict[str, str]) -> None:
    """A prefix for table names that is not a valid identifier is refused."""
    with pytest.raises(ConfigurationError, match="is not valid"):
        open_inbox(harness.url, **part)


def test_entry_tables_may_be_in_a_schema_other_than_the_default(harness: EntryHarness) -> None:
    """Inbox and outbox tables may be in a schema other than the connection's default."""
    if harness.kind == "sqlite":
        pytest.skip("a file has no schemas: run the cases of the servers")
    schema = harness.prefix.rstrip("_")
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    try:
        with SqlOutbox(harness.url, schema=schema, create=True) as store:
            store.add(entry("a", lane="x"))
            assert [entry.id for entry in store.claim(9, 60.0, 5)] == ["a"]
            assert repr(store).startswith("<SqlOutbox")
    finally:
        cascade = " CASCADE" if harness.kind == "postgresql" else ""
        with harness.engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {schema}{cascade}")


def test_unreachable_database_raises_storage_unavailable() -> None:
    """An unreachable database raises StorageUnavailable, synchronously and asynchronously."""
    url = "postgresql://nobody:secret@127.0.0.1:1/none"
    with SqlOutbox(url, timeout=0.2) as store:
        for operation in (store.migrate, store.now):
            with pytest.raises(StorageUnavailable) as excinfo:
                operation()
            assert "secret" not in str(excinfo.value)

    async def run() -> None:
        async with aopen_outbox(url, timeout=0.2) as outbox:
            with pytest.raises(StorageUnavailable):
                await outbox.migrate()
            with pytest.raises(StorageUnavailable):
                await outbox.remove(EntryQuery())

    asyncio.run(run())


def test_wrong_path_creates_no_file(tmp_path: Path) -> None:
    """Opening a SQLite store at a wrong path raises an error and creates no file."""
    path = tmp_path / "wrong ?#%41.db"
    with SqliteOutbox(path) as store:
        with pytest.raises(ConfigurationError, match="does not exist") as excinfo:
            store.due(1)
        assert "migrate()" in str(excinfo.value.remedy)
        assert not list(tmp_path.iterdir())
        store.migrate()
        assert store.due(1) == ()
    assert path.exists()


def test_file_that_is_not_a_database_is_named_in_the_error(tmp_path: Path) -> None:
    """If the file of a SQLite outbox is not a database, the error says so."""
    path = tmp_path / "a.db"
    path.write_bytes(b"not a database" * 100)
    with (
        SqliteOutbox(path) as store,
        pytest.raises(StorageUnavailable, match="not a SQLite database"),
    ):
        store.due(1)


def test_unusable_sqlite_files_are_refused(tmp_path: Path) -> None:
    """A SQLite outbox refuses an in-memory path, a missing directory and a locked file."""
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
        async with AsyncSqliteOutbox(path, create=True) as async_outbox:
            assert repr(async_outbox) == f"AsyncSqliteOutbox({str(path)!r})"
            await async_outbox.migrate()
            assert await async_outbox.remove(EntryQuery()) == 1

    asyncio.run(run())


@pytest.mark.parametrize("open_store", [open_inbox, open_outbox, aopen_outbox])
def test_urls_of_stores_without_inbox_or_outbox_are_refused(
    open_store: Callable[[str], Any],
) -> None:
    """A URL of a store type without inbox or outbox is refused; a memory URL works for both."""
    with pytest.raises(ConfigurationError, match="The scheme 'redis' cannot be used for an"):
        open_store("redis://host/0")
    assert open_store("memory:").reach == "process"


def test_replaced_file_gets_the_next_entry(tmp_path: Path) -> None:
    """After a copy of the file is restored, the next entry is added to the restored file."""
    path, copy = tmp_path / "shop.db", tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as host:
        host.execute("PRAGMA journal_mode = WAL")
    store = SqliteOutbox(path, create=True)
    store.add(entry("1"))
    with closing(sqlite3.connect(path)) as host:
        host.execute("VACUUM INTO ?", (str(copy),))
    for name in ("shop.db-wal", "shop.db-shm"):
        (tmp_path / name).unlink()
    copy.replace(path)

    store.add(entry("2"))

    assert 2 == len(SqliteOutbox(path).find(EntryQuery()).items)


def test_deleted_file_takes_no_entry(tmp_path: Path) -> None:
    """After the file is deleted, the store raises an error, or creates the file again."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as host:
        host.execute("PRAGMA journal_mode = WAL")
    store, creating = SqliteOutbox(path), SqliteOutbox(path, create=True)
    store.migrate()
    creating.add(entry("1"))
    for file in tmp_path.iterdir():
        file.unlink()

    with pytest.raises(ConfigurationError, match="does not exist"):
        store.add(entry("2"))
    creating.add(entry("3"))
    assert ["3"] == [item.id for item in SqliteOutbox(path).find(EntryQuery()).items]
