"""Migration of tables that an earlier release created."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
import pytest
import sqlalchemy

from moorage import ConfigurationError, Credentials, LogQuery
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sql import SqlCredentialProvider
from moorage.adapters.credentials.sqlite import SqliteCredentialProvider
from moorage.adapters.databases._table_definition import TableDefinition
from moorage.adapters.sealed import _file
from moorage.adapters.sealed._rows import create
from moorage.adapters.tenants.sql import SqlTenants
from moorage.testing.kits import integration_log_conformance
from moorage.wiring.store_urls import open_log, open_outbox
from tests.adapters.entry_harnesses import KINDS
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "mariadb": "mariadb+pymysql",
}
SERVERS = ("postgresql", "mariadb")
CIPHER = AesGcmCipher(generate_keys())
OWNER = ("shop", None)


class Database:
    """A test database with a table prefix that no other test uses.

    Args:
        kind: one of `KINDS`.
        directory: the directory of a SQLite file.
    """

    def __init__(self, kind: str, directory: Path) -> None:
        servers = {"postgresql": postgres_url, "mariadb": mariadb_url}
        self.url = f"sqlite:///{directory / 'tables.db'}" if kind == "sqlite" else servers[kind]()
        self.kind = kind
        self.prefix = f"old{uuid4().hex[:8]}_"
        url = sqlalchemy.make_url(self.url).set(drivername=DRIVERS[kind])
        self.engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        self._stores: list[Any] = []

    def log(self, **options: Any) -> Any:
        """Open the integration log without a background thread."""
        return self.note_opened(
            open_log(self.url, prefix=self.prefix, threads=False, timeout=30.0, **options)
        )

    def outbox(self, **options: Any) -> Any:
        """Open the outbox in the database."""
        return self.note_opened(open_outbox(self.url, prefix=self.prefix, timeout=30.0, **options))

    def run(self, *statements: str) -> None:
        """Run SQL statements in one transaction."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def remove_column(self, table: str, column: str) -> None:
        """Remove a column and its indexes."""
        name = f"{self.prefix}{table}"
        place = f" ON {name}" if self.kind == "mariadb" else ""
        for index in sqlalchemy.inspect(self.engine).get_indexes(name):
            if column in index["column_names"]:
                self.run(f"DROP INDEX {index['name']}{place}")
        self.run(f"ALTER TABLE {name} DROP COLUMN {column}")

    def columns(self, table: str) -> set[str]:
        """Return the names of a table's columns."""
        inspected = sqlalchemy.inspect(self.engine).get_columns(f"{self.prefix}{table}")
        return {column["name"] for column in inspected}

    def indexes(self, table: str) -> set[str]:
        """Return the names of a table's indexes, without the table's name in them."""
        name = f"{self.prefix}{table}"
        inspected = sqlalchemy.inspect(self.engine).get_indexes(name)
        return {str(index["name"]).removeprefix(f"{name}_") for index in inspected}

    def close(self) -> None:
        """Close the stores, and drop the tables."""
        for store in self._stores:
            store.close()
        metadata = sqlalchemy.MetaData()
        metadata.reflect(self.engine, only=lambda name, _: name.startswith(self.prefix))
        metadata.drop_all(self.engine)

    def note_opened(self, store: Any) -> Any:
        """Return a store that is closed together with the database."""
        self._stores.append(store)
        return store


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Yield a test database of each kind."""
    opened_database = Database(request.param, tmp_path)
    try:
        yield opened_database
    finally:
        opened_database.close()


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Yield an empty database on each kind of server."""
    opened_database = Database(request.param, tmp_path)
    try:
        yield opened_database
    finally:
        opened_database.close()


def entry(number: int, **changes: Any) -> Any:
    """Return an entry of the integration log."""
    return attrs.evolve(integration_log_conformance.entry(number), **changes)


def write(log: Any, *entries: Any) -> None:
    """Store log entries."""
    for new_entry in entries:
        log.write(new_entry)
    log.flush()


def subjects(log: Any) -> list[str | None]:
    """Return the subjects of the stored entries, newest first."""
    return [entry.subject for entry in log.find(LogQuery()).items]


def test_migration_adds_a_missing_column_of_the_log(database: Database) -> None:
    """`migrate` adds a missing column to the log table; the column is empty in existing rows."""
    log = database.log(create=True)
    write(log, entry(1, subject="a"))
    database.remove_column("log", "subject")

    log = database.log()
    with pytest.raises(ConfigurationError, match="migrate"):
        log.find(LogQuery())
    log.migrate()
    write(log, entry(2, subject="b"))

    assert ["b", None] == subjects(log)
    assert "subject_time" in database.indexes("log")


def test_creating_store_adds_a_missing_column(database: Database) -> None:
    """Opening a store with `create=True` adds the columns that an older table lacks."""
    write(database.log(create=True), entry(1))
    database.remove_column("log", "subject")
    log = database.log(create=True)

    write(log, entry(2, subject="b"))

    assert ["b", None] == subjects(log)


def test_migration_adds_a_missing_column_of_the_outbox(database: Database) -> None:
    """`migrate` adds a missing column and its index to the outbox table."""
    outbox = database.outbox(create=True)
    outbox.migrate()
    layout_before = database.columns("outbox"), database.indexes("outbox")
    database.remove_column("outbox", "subject")
    assert "subject" not in database.columns("outbox")

    database.outbox().migrate()

    assert layout_before == (database.columns("outbox"), database.indexes("outbox"))


def test_migration_restores_a_missing_index(database: Database) -> None:
    """`migrate` creates an index that an existing table lacks."""
    log = database.log()
    log.migrate()
    indexes = database.indexes("log")
    table = f"{database.prefix}log"
    database.run(
        f"DROP INDEX tenant ON {table}"
        if database.kind == "mariadb"
        else f"DROP INDEX {table}_tenant"
    )
    assert "tenant" not in database.indexes("log")

    log.migrate()

    assert indexes == database.indexes("log")


def test_repeated_migration_changes_nothing(database: Database) -> None:
    """`migrate` does not change a complete table or its rows."""
    log = database.log()
    log.migrate()
    write(log, entry(1, subject="a"))
    layout_before = database.columns("log"), database.indexes("log")

    log.migrate()

    assert layout_before == (database.columns("log"), database.indexes("log"))
    assert ["a"] == subjects(log)


def test_missing_required_column_is_refused(database: Database) -> None:
    """A table without a required column is refused as not moorage's, and not changed."""
    database.run(f"CREATE TABLE {database.prefix}log (number BIGINT PRIMARY KEY, service TEXT)")

    with pytest.raises(
        ConfigurationError, match="has no column id, and its existing rows need a value"
    ):
        database.log().migrate()
    assert {"number", "service"} == database.columns("log")


def test_concurrent_migrations_add_a_column_once(database: Database) -> None:
    """Several processes can migrate a table at the same time."""
    database.log().migrate()
    database.remove_column("log", "subject")
    logs = [database.log() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for finished_future in [pool.submit(log.migrate) for log in logs]:
            finished_future.result()

    write(logs[0], entry(1, subject="a"))
    assert ["a"] == subjects(logs[0])


# --- encrypted tables ---------------------------------------------------------------------


def test_migration_refuses_a_foreign_table_of_credentials(server: Database) -> None:
    """A table of another program with the name of the credentials table is refused."""
    server.run(f"CREATE TABLE {server.prefix}credentials (id INT)")
    provider = SqlCredentialProvider(server.url, CIPHER, prefix=server.prefix)

    with pytest.raises(ConfigurationError, match="has no column owner"):
        provider.migrate()
    assert {"id"} == server.columns("credentials")


def test_encrypted_table_gets_a_missing_column(server: Database) -> None:
    """A migration adds an empty column to a table of encrypted tenants, even if it has rows."""
    tenants = SqlTenants(server.url, CIPHER, prefix=server.prefix)
    tenants.migrate()
    tenants.put("acme", {"mail": {}})
    newer_table = SqlTenants.tables_of(prefix=server.prefix)
    newer_table.append_column(sqlalchemy.Column("changed_at", sqlalchemy.BigInteger))

    with server.engine.begin() as connection:
        create(newer_table, connection)
        create(newer_table, connection)

    assert "changed_at" in server.columns("tenants")
    assert {"mail": {}} == tenants.tables("acme")


def test_file_of_credentials_gets_a_missing_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credentials file of an earlier release gets its new column at the first use."""
    path = tmp_path / "credentials.db"
    SqliteCredentialProvider(path, CIPHER).rotate(*OWNER, Credentials.bearer("a"))
    columns = {"about": "BLOB PRIMARY KEY", "sealed": "BLOB NOT NULL", "changed_at": "INTEGER"}
    newer_definition = TableDefinition("sqlite", "credential", "credential", columns)
    monkeypatch.setattr(_file, "_TABLE", newer_definition)
    monkeypatch.setattr(_file, "_VERSION", 2)

    assert Credentials.bearer("a") == SqliteCredentialProvider(path, CIPHER).get(*OWNER)
    with closing(sqlite3.connect(path)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(credential)")]
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    assert (["about", "sealed", "changed_at"], 2) == (names, version)
