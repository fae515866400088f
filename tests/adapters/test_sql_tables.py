"""The tables of a store in a database server: their rows, creation and migration."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from moorage.adapters.state.sql import AsyncSqlStorage, SqlStorage
from moorage.domain.values.durations import DAY, HOUR
from moorage.errors import ConfigurationError, StateUnavailable, StorageUnavailable
from tests.adapters.sql_harness import (
    PATIENCE,
    Append,
    Harness,
    Proxy,
    ReadCommand,
    harnesses,
    hold_rows,
    new_key,
    values,
)

if TYPE_CHECKING:
    from moorage.domain.state.commands import States

# --- expired rows ----------------------------------------------------------------


def _expire(harness: Harness, *keys: str) -> None:
    for key in keys:
        harness.run(f"UPDATE {harness.table} SET expires = 1 WHERE name = :name", name=key)


def _existing_tables(harness: Harness, *keys: str) -> list[str]:
    results = {name for (name,) in harness.run(f"SELECT name FROM {harness.table}")}
    return [key for key in keys if key in results]


def test_expired_rows_are_deleted_in_batches(harness: Harness, sql_store: SqlStorage) -> None:
    """Housekeeping deletes only expired rows, up to its limit."""
    keys = [new_key() for _ in range(6)]
    for key in keys:
        sql_store.execute(Append(1, key))
    sql_store.housekeep()
    _expire(harness, *keys[:4])

    assert (3, 1, 0) == (sql_store.housekeep(limit=3), sql_store.housekeep(), sql_store.housekeep())
    assert keys[4:] == _existing_tables(harness, *keys)


def test_key_whose_expired_row_was_deleted_starts_with_empty_state(
    harness: Harness, sql_store: SqlStorage
) -> None:
    """A key whose expired row was deleted starts with an empty state."""
    key = new_key()
    sql_store.execute(Append(1, key))
    _expire(harness, key)
    sql_store.housekeep()

    sql_store.execute(Append(2, key))

    assert ((2,),) == values(sql_store, key)


def test_housekeeping_skips_locked_rows(harness: Harness, sql_store: SqlStorage) -> None:
    """Housekeeping skips an expired row that is locked."""
    key = new_key()
    sql_store.execute(Append(1, key))
    _expire(harness, key)

    with hold_rows(harness, key):
        sql_store.housekeep()

    assert [key] == _existing_tables(harness, key)


def test_housekeeping_uses_the_index(harness: Harness) -> None:
    """Housekeeping finds expired rows by the index."""
    recorder: list[bytes] = []
    with Proxy(harness.url, recorder.append) as proxy:
        harness.sync_store(proxy.url).housekeep(limit=7)
    sent_bytes = b"".join(recorder)
    if harness.kind == "postgresql":
        statement = sent_bytes[sent_bytes.index(b"DELETE") :].partition(b"\0")[0].decode()
        plan = harness.run(
            f"EXPLAIN {statement.replace('$1', '7')}", before="SET enable_seqscan = off"
        )
        assert any("Index Cond: (expires <=" in line for (line,) in plan)
    else:
        statement = (
            sent_bytes[sent_bytes.index(b"SELECT id FROM") :].partition(b"LOCKED")[0].decode()
        )
        ((_, _, _, access_type, _, index, *_),) = harness.run(f"EXPLAIN {statement} LOCKED")
        assert ("range", f"{harness.table}_expires") == (access_type, index)


def test_housekeeping_takes_several_batches(harness: Harness) -> None:
    """Housekeeping deletes many expired rows in several batches."""

    async def count_forgotten_states() -> int:
        async with harness.async_store() as store:
            keys = [new_key() for _ in range(600)]
            await asyncio.gather(*(store.execute(Append(1, key)) for key in keys))
            harness.run(f"UPDATE {harness.table} SET expires = 1")
            return await store.housekeep()

    assert 600 <= asyncio.run(count_forgotten_states())


def test_frequently_written_row_rarely_changes_its_index(
    harness: Harness, sql_store: SqlStorage
) -> None:
    """The expiry time of a frequently written row changes rarely, because it is indexed."""
    key = new_key()
    query = f"SELECT expires FROM {harness.table} WHERE name = :name"
    sql_store.execute(Append(1, key))
    ((first_expiry,),) = harness.run(query, name=key)
    for number in range(20):
        sql_store.execute(Append(number, key))
    now, _ = sql_store.execute(ReadCommand(key))
    ((later_expiry,),) = harness.run(query, name=key)

    assert first_expiry == later_expiry
    assert now + DAY <= later_expiry <= now + DAY + HOUR


# --- durability ------------------------------------------------------------------


def test_a_claim_is_on_the_disk_when_it_is_answered() -> None:
    """In PostgreSQL a durable write is on disk when its command returns."""
    with harnesses("postgresql") as harness:
        store, key = harness.sync_store(), new_key()
        for _ in range(20):
            insert_position = _journal_position(harness, "pg_current_wal_insert_lsn()")

            store.execute(Append(1, key, durable=True))

            assert _journal_position(harness, "pg_current_wal_flush_lsn()") > insert_position


def _journal_position(harness: Harness, which: str) -> int:
    """Return this position in the server's write-ahead log, in bytes."""
    ((bytes_,),) = harness.run(f"SELECT pg_wal_lsn_diff({which}, '0/0')::bigint")
    return int(bytes_)


@pytest.mark.parametrize("durable", [True, False])
def test_only_durable_commands_wait_for_the_disk(*, durable: bool) -> None:
    """A durable command has its own transaction and waits until the data is on disk.

    Other commands do not wait.
    """
    sent_chunks: list[bytes] = []
    with harnesses("postgresql") as harness, Proxy(harness.url, sent_chunks.append) as proxy:
        store, key = harness.sync_store(proxy.url), new_key()
        store.execute(Append(1, key, durable=durable))

        store.execute(Append(2, key, durable=durable))

    assert durable is (b"moorage_flush\0" in b"".join(sent_chunks))


def test_durable_reads_are_on_the_disk() -> None:
    """A durable read returns only when the commit whose values it read is on disk."""
    with harnesses("postgresql") as harness:
        store, key = harness.sync_store(), new_key()
        reader = ReadCommand(key)
        reader.durable = True
        for number in range(20):
            store.execute(Append(number, key))
            insert_position = _journal_position(harness, "pg_current_wal_insert_lsn()")

            store.execute(reader)

            assert _journal_position(harness, "pg_current_wal_flush_lsn()") >= insert_position


def test_failed_flush_is_an_unknown_outcome() -> None:
    """If the flush to disk fails, the outcome of the commit is unknown."""
    with harnesses("postgresql") as harness:
        store, key = harness.sync_store(), new_key()
        store.execute(Append(1, key))
        ((_, link),) = store._engine._pools[None].idle  # noqa: SLF001 - nobody can make it fail from outside
        link._durability = b"nonsense"  # type: ignore[attr-defined]  # noqa: SLF001 - nobody can make it fail from outside

        with pytest.raises(StorageUnavailable, match="unknown outcome"):
            store.execute(Append(2, key, durable=True))

        assert ((1, 2),) == values(store, key)


# --- tables ----------------------------------------------------------------------


def test_a_store_without_tables_says_how_to_make_them(harness: Harness) -> None:
    """The error for missing tables names `migrate`, `ddl` and `create=True`."""
    store = harness.sync_store(prefix=f"{harness.prefix}none_")

    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"none_states.*migrate.*ddl.*create=True"):
            store.execute(ReadCommand("a"))


def test_create_option_creates_tables(harness: Harness) -> None:
    """With `create=True`, the first command creates the tables; `migrate` may run again."""
    prefix = f"{harness.prefix}made_"
    store, key = harness.sync_store(prefix=prefix, create=True), new_key()
    try:
        store.execute(Append(1, key))
        store.migrate()

        assert ((1,),) == values(harness.sync_store(prefix=prefix, create=True), key)
    finally:
        _drop(harness, prefix)


def test_tables_are_made_async(harness: Harness) -> None:
    """With `create=True`, the first asynchronous command creates the tables."""
    prefix = f"{harness.prefix}madelater_"

    async def use_new_tables() -> object:
        async with harness.async_store(prefix=prefix, create=True) as store:
            await store.execute(Append(1, "a"))
            await store.migrate()
            return (await store.execute(ReadCommand("a")))[1]

    try:
        assert ((1,),) == asyncio.run(use_new_tables())
    finally:
        _drop(harness, prefix)


def _drop(harness: Harness, prefix: str) -> None:
    for table in ("states", "meta"):
        harness.run(f"DROP TABLE {prefix}{table}")


def test_many_make_the_tables_at_once(harness: Harness) -> None:
    """Several processes can create the tables at the same time."""
    prefix, errors = f"{harness.prefix}race_", list[Exception]()

    def make_store() -> None:
        try:
            harness.sync_store(prefix=prefix, create=True).execute(Append(1, new_key()))
        except Exception as error:  # noqa: BLE001 - it is looked at
            errors.append(error)

    threads = [threading.Thread(target=make_store) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    _drop(harness, prefix)
    assert [] == errors


def test_tables_can_be_part_of_the_host_migrations(harness: Harness) -> None:
    """A host can create the tables from its SQLAlchemy metadata."""
    metadata, prefix = sqlalchemy.MetaData(), f"{harness.prefix}host_"
    states, meta = SqlStorage.tables(metadata, prefix=prefix)
    assert (states, meta) == SqlStorage.tables(metadata, prefix=prefix)
    metadata.create_all(harness.engine)
    try:
        harness.sync_store(prefix=prefix).execute(Append(1, "a"))
    finally:
        metadata.drop_all(harness.engine)


def test_ddl_creates_the_tables(harness: Harness) -> None:
    """The statements that `ddl` returns create the tables."""
    prefix = f"{harness.prefix}ddl_"
    for statement in SqlStorage.ddl(harness.kind, prefix=prefix).split(";\n")[:-1]:
        harness.run(statement)
    try:
        harness.sync_store(prefix=prefix).execute(Append(1, "a"))
    finally:
        _drop(harness, prefix)


@pytest.mark.parametrize(
    "change, words",
    [
        ("UPDATE {meta} SET value = 2", "version 2.*Upgrade"),
        ("DELETE FROM {meta}", "INSERT INTO.*'schema', 1"),
    ],
)
def test_tables_of_another_version_are_refused(harness: Harness, change: str, words: str) -> None:
    """Tables with an unknown schema version are refused, and not changed."""
    prefix = f"{harness.prefix}version_"
    harness.sync_store(prefix=prefix).migrate()
    harness.run(change.format(meta=f"{prefix}meta"))
    try:
        with pytest.raises(ConfigurationError, match=words):
            harness.sync_store(prefix=prefix).execute(ReadCommand("a"))
    finally:
        _drop(harness, prefix)


def test_tables_that_are_dropped_in_use_are_made_again(harness: Harness) -> None:
    """With `create=True`, a store creates tables again that were dropped during use."""
    prefix = f"{harness.prefix}made_"
    store = harness.sync_store(prefix=prefix, create=True)
    try:
        store.execute(Append(1, "a"))
        _drop(harness, prefix)
        store.execute(Append(2, "a", "b"))
        assert ((2,), (2,)) == values(store, "a", "b")
    finally:
        _drop(harness, prefix)


def test_tables_that_are_dropped_in_use_are_made_again_async(harness: Harness) -> None:
    """With `create=True`, an asynchronous store creates tables again that were dropped."""
    prefix = f"{harness.prefix}amade_"

    async def use_dropped_tables() -> tuple[Any, ...]:
        async with harness.async_store(prefix=prefix, create=True) as store:
            await store.execute(Append(1, "a"))
            _drop(harness, prefix)
            await store.execute(Append(2, "a"))
            return (await store.execute(ReadCommand("a")))[1]

    try:
        assert ((2,),) == asyncio.run(use_dropped_tables())
    finally:
        _drop(harness, prefix)


def test_tables_that_are_dropped_in_use_are_an_outage(harness: Harness) -> None:
    """Tables dropped during use raise StorageUnavailable until they exist again."""
    prefix = f"{harness.prefix}gone_"
    store = harness.sync_store(prefix=prefix)
    store.migrate()
    try:
        store.execute(Append(1, "a"))
        _drop(harness, prefix)
        with pytest.raises(StorageUnavailable, match="no usable table") as excinfo:
            store.execute(Append(2, "a"))
        assert "`moorage housekeep --migrate`" in str(excinfo.value.remedy)
        assert "call `migrate()`" in str(excinfo.value.remedy)
        store.migrate()
        store.execute(Append(3, "a"))
        assert ((3,),) == values(store, "a")
    finally:
        _drop(harness, prefix)


def test_tables_that_cannot_be_made_again_are_an_outage(harness: Harness) -> None:
    """If dropped tables cannot be created again, commands raise StorageUnavailable."""
    user, prefix, room = (f"{harness.prefix}{name}" for name in ("maker", "unmade_", "room"))
    on_postgresql = harness.kind == "postgresql"
    harness.run(f"CREATE SCHEMA {room}" if on_postgresql else f"CREATE DATABASE {room}")
    harness.run(f"CREATE ROLE {user} LOGIN" if on_postgresql else f"CREATE USER {user}")
    place = f"SCHEMA {room}" if on_postgresql else f"{room}.*"
    harness.run(f"GRANT ALL ON {place} TO {user}")
    url = harness.url.set(username=user)
    try:
        store = harness.sync_store(
            url if on_postgresql else url.set(database=room),
            prefix=prefix,
            schema=room if on_postgresql else None,
            create=True,
        )
        store.execute(Append(1, "a"))
        if on_postgresql:
            harness.run(f"DROP SCHEMA {room} CASCADE")
        else:
            harness.run(f"DROP TABLE {room}.{prefix}states")
            harness.run(f"REVOKE CREATE ON {place} FROM {user}")
        with pytest.raises(StorageUnavailable):
            store.execute(Append(2, "a"))
        store.close()
    finally:
        harness.run(f"DROP ROLE {user}" if on_postgresql else f"DROP USER {user}")
        if not on_postgresql:
            harness.run(f"DROP DATABASE {room}")


def test_missing_rights_are_named(harness: Harness) -> None:
    """The error for a database user without permissions names the missing permissions."""
    user = f"{harness.prefix}poor"
    harness.run(
        f"CREATE ROLE {user} LOGIN" if harness.kind == "postgresql" else f"CREATE USER {user}"
    )
    if harness.kind == "mariadb":
        harness.run(f"GRANT SELECT ON {harness.prefix}meta TO {user}")
    try:
        store = harness.sync_store(harness.url.set(username=user))
        with pytest.raises(ConfigurationError, match="Grant the user SELECT"):
            store.execute(ReadCommand("a"))
        with pytest.raises(StorageUnavailable, match="could not be created"):
            harness.sync_store(harness.url.set(username=user), prefix=f"{user}_").migrate()
    finally:
        harness.run(f"DROP {'ROLE' if harness.kind == 'postgresql' else 'USER'} {user}")


def test_failed_migration_names_ddl(harness: Harness) -> None:
    """The error for a failed `migrate` names `ddl` as the alternative."""

    async def migrate_nothing() -> None:
        async with harness.async_store(harness.url.set(database="nothing")) as store:
            with pytest.raises(StorageUnavailable, match=r"could not be created.*ddl"):
                await store.migrate()

    asyncio.run(migrate_nothing())


@pytest.mark.parametrize("code", [0, 1])
def test_server_refusals_have_their_code(harness: Harness, code: int) -> None:
    """The error for a failed statement contains the server's error code, but not its text."""
    number = {"postgresql": ("P0001", "25006"), "mariadb": (1644, 1290)}[harness.kind][code]
    words = r"in time|reached a read-only server|lost its connection|did not reply to the commit"
    prefix = f"{harness.prefix}refusing{code}_"
    store = harness.sync_store(prefix=prefix, create=True)
    store.execute(Append(1, "a"))
    _refuse(harness, f"{prefix}states", number)
    try:
        with pytest.raises(StorageUnavailable, match=words if code else f"refused with .*{number}"):
            # A temporary error is retried until the timeout.
            harness.sync_store(prefix=prefix, timeout=0.2 if code else PATIENCE).execute(
                Append(2, "a")
            )
        assert ((1,),) == values(store, "a")
    finally:
        _drop(harness, prefix)
        if harness.kind == "postgresql":
            harness.run(f"DROP FUNCTION {prefix}states_no")


@pytest.mark.parametrize(
    "code, words",
    [
        (0, "waited too long for rows that other transactions lock"),
        (1, "took too long"),
    ],
)
def test_server_statement_timeout_means_slow(harness: Harness, code: int, words: str) -> None:
    """A statement that the server's time limit ends raises an error with `slow` set."""
    number = {"postgresql": ("55P03", "57014"), "mariadb": (1205, 1969)}[harness.kind][code]
    prefix = f"{harness.prefix}limit{code}_"
    store = harness.sync_store(prefix=prefix, create=True)
    store.execute(Append(1, "a"))
    _refuse(harness, f"{prefix}states", number)
    try:
        with pytest.raises(StorageUnavailable, match=words) as excinfo:
            store.execute(Append(2, "a"), PATIENCE)
        assert excinfo.value.slow
    finally:
        _drop(harness, prefix)
        if harness.kind == "postgresql":
            harness.run(f"DROP FUNCTION {prefix}states_no")


def _refuse(harness: Harness, table: str, number: object) -> None:
    """Add a trigger that makes every update of a table fail."""
    if harness.kind == "postgresql":
        harness.run(
            f"CREATE FUNCTION {table}_no() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = '{number}'; END $$"
        )
        description = f"EXECUTE FUNCTION {table}_no()"
    else:
        description = f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'secret'"
    harness.run(f"CREATE TRIGGER {table}_no BEFORE UPDATE ON {table} FOR EACH ROW {description}")


def test_a_state_of_many_megabytes_is_stored(harness: Harness) -> None:
    """A state larger than the network's buffers can be stored and read."""
    key, large_value = new_key(), bytes(7_000_000)
    with Proxy(harness.url, lambda _: None, narrow=True) as proxy:
        store = harness.sync_store(proxy.url)
        for _ in range(2):
            store.execute(Put(large_value, key))

        assert (large_value,) == values(store, key)


def test_a_state_of_many_megabytes_is_stored_asynchronously(harness: Harness) -> None:
    """An asynchronous store can store a state larger than the network's buffers."""
    key, large_value = new_key(), bytes(7_000_000)

    async def store_twice(url: sqlalchemy.URL) -> object:
        async with harness.async_store(url) as store:
            for _ in range(2):
                await store.execute(Put(large_value, key))
            return (await store.execute(ReadCommand(key)))[1][0]

    with Proxy(harness.url, lambda _: None, narrow=True) as proxy:
        assert large_value == asyncio.run(store_twice(proxy.url))


class Put(Append):
    """A command that writes one value."""

    def __init__(self, value: object, *keys: str) -> None:
        super().__init__(0, *keys)
        self._value = value

    def apply(self, states: States, now: int) -> Any:
        """Write the value."""
        return tuple((now, DAY, self._value) for _ in states), (now, ())


def test_foreign_rows_are_refused(harness: Harness, sql_store: SqlStorage) -> None:
    """A row that does not contain a valid state is refused; other rows still work."""
    key = new_key()
    sql_store.execute(Append(1, key))
    foreign_value = "'\\x00'" if harness.kind == "postgresql" else "x'00'"
    harness.run(f"UPDATE {harness.table} SET state = {foreign_value} WHERE name = '{key}'")

    for _ in range(2):
        with pytest.raises(StateUnavailable, match="cannot be read") as excinfo:
            sql_store.execute(Append(2, new_key(), key))
        assert key == excinfo.value.key


# --- invalid arguments -----------------------------------------------------------


@pytest.mark.parametrize(
    "value, words",
    [
        ("sqlite:///x.db", "SqliteStorage"),
        ("postgresql+asyncpg://h/d", "postgresql\\+psycopg"),
        ("mysql+mysqldb://h/d", "mysql\\+pymysql"),
        ("no url", "The URL cannot be used"),
        (7, "The object of type int cannot be used"),
        (sqlalchemy.create_engine("sqlite://"), "SqliteStorage"),
        (create_async_engine("postgresql+psycopg://h/d"), "type AsyncEngine cannot be used"),
    ],
    ids=["sqlite", "asyncpg", "mysqldb", "no URL", "a number", "an engine", "another mode"],
)
def test_unsupported_databases_are_refused(value: Any, words: str) -> None:
    """A URL of an unsupported database or driver is refused at construction."""
    with pytest.raises(ConfigurationError, match=words):
        SqlStorage(value)


def test_an_engine_of_the_other_mode_is_refused() -> None:
    """An asynchronous store refuses a synchronous SQLAlchemy engine."""
    engine = sqlalchemy.create_engine("postgresql+psycopg://h/d")

    with pytest.raises(ConfigurationError, match="AsyncEngine"):
        AsyncSqlStorage(engine)  # type: ignore[arg-type]  # which is the point


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"connections": 0}, {"prefix": "no-name"}, {"prefix": ""}]
)
def test_invalid_options_are_refused(options: dict[str, Any]) -> None:
    """An invalid option of SqlStorage is refused at construction."""
    with pytest.raises(ConfigurationError):
        SqlStorage("postgresql://h/d", **options)


@pytest.mark.parametrize("driver, url", [("psycopg", "postgresql://h/d"), ("pymysql", "mysql://h")])
def test_missing_driver_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, driver: str, url: str
) -> None:
    """Without the database driver installed, the error names the pip extra to install."""
    monkeypatch.setitem(sys.modules, driver, None)

    with pytest.raises(
        ConfigurationError, match=rf"{driver}.*pip install '\.\[(postgresql|mysql)\]'"
    ):
        SqlStorage(url)


def test_a_driver_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A libpq too old for pipelines is refused; the error contains the version to install."""
    with harnesses("postgresql") as harness:
        monkeypatch.setattr("psycopg.pq.version", lambda: 130_009)

        with pytest.raises(ConfigurationError, match=r"libpq 13.*psycopg\[binary\]"):
            harness.sync_store().execute(ReadCommand("a"))


def test_only_databases_that_are_known_have_statements() -> None:
    """`ddl` and `tables` refuse the dialect or metadata of an unsupported database."""
    with pytest.raises(ConfigurationError, match="postgresql, mysql, mariadb"):
        SqlStorage.ddl("oracle")
    with pytest.raises(ConfigurationError, match="MetaData"):
        SqlStorage.tables("metadata")  # type: ignore[arg-type]  # which is the point
