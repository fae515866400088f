"""Test databases with inbox and outbox tables: SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
import sqlalchemy

from moorage.domain.entries.queue import EntryQuery
from moorage.wiring.store_urls import aopen_inbox, aopen_outbox, open_inbox, open_outbox
from tests.support import overlapping
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moorage.domain.entries.outbox import OutboxEntry

KINDS = ("sqlite", "postgresql", "mariadb")
_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "mariadb": "mariadb+pymysql",
}


def entry(name: str, **changes: Any) -> OutboxEntry:
    """Return an outbox entry that is due at once."""
    return attrs.evolve(overlapping.entry(name, None), **changes)


class EntryHarness:
    """A test database with inbox and outbox tables, used by one test only.

    Args:
        kind: one of `KINDS`.
        directory: the directory of a SQLite file.
    """

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        servers = {"postgresql": postgres_url, "mariadb": mariadb_url}
        self.file = str(directory / f"{uuid4().hex}.db")
        self.url = f"sqlite:///{self.file}" if kind == "sqlite" else servers[kind]()
        self.prefix = f"harness{uuid4().hex[:8]}_"
        alchemy = sqlalchemy.make_url(self.url).set(drivername=_DRIVERS[kind])
        self.engine = sqlalchemy.create_engine(alchemy, poolclass=sqlalchemy.NullPool)
        self._inbox = open_inbox(self.url, prefix=self.prefix)
        self._outbox = open_outbox(self.url, prefix=self.prefix)
        self._inbox.migrate()
        self._outbox.migrate()

    def inbox(self) -> Any:
        """Return a synchronous inbox on empty tables."""
        self._inbox.remove(EntryQuery())
        return self._inbox

    def outbox(self) -> Any:
        """Return a synchronous outbox on empty tables."""
        self._outbox.remove(EntryQuery())
        return self._outbox

    def close(self) -> None:
        """Drop the tables."""
        self._inbox.close()
        self._outbox.close()
        with self.engine.begin() as connection:
            for table in ("inbox", "outbox", "lane", "log"):
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {self.prefix}{table}")

    def another(self, **options: Any) -> Any:
        """Open a second outbox on the same tables, which still contain their entries."""
        return open_outbox(self.url, prefix=self.prefix, **options)

    async def async_inbox(self) -> Any:
        """Open an asynchronous inbox on the same tables."""
        store = aopen_inbox(self.url, prefix=self.prefix)
        await store.remove(EntryQuery())
        return store

    async def async_outbox(self) -> Any:
        """Open an asynchronous outbox on the same tables."""
        store = aopen_outbox(self.url, prefix=self.prefix)
        await store.remove(EntryQuery())
        return store

    def driver(self) -> Any:
        """Open a driver's own connection, as an application without a framework would."""
        new_connection = self.engine.raw_connection()
        connection = new_connection.driver_connection
        new_connection.detach()
        return connection

    def count(self) -> int:
        """Return the number of entries in the outbox."""
        with self.engine.begin() as connection:
            request = sqlalchemy.text(f"SELECT count(*) FROM {self.prefix}outbox")
            return int(connection.execute(request).scalar_one())


@contextmanager
def entry_harness(kind: str, directory: Path) -> Generator[EntryHarness]:
    """Yield a database of this kind, and drop its tables after the test."""
    harness = EntryHarness(kind, directory)
    try:
        yield harness
    finally:
        harness.close()
