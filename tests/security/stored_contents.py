"""Stores for the secret search, whose raw content can be read directly."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import redis
from sqlalchemy.exc import SQLAlchemyError

from moorage.adapters.credentials.sql import AsyncSqlCredentialProvider, SqlCredentialProvider
from moorage.adapters.credentials.sqlite import (
    AsyncSqliteCredentialProvider,
    SqliteCredentialProvider,
)
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from tests.adapters.sql_harness import Harness
from tests.support.servers import redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage.ports.cipher import Cipher

Held = tuple[str, object]


class Sqlite:
    """A store in SQLite files."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / name for name in ("state.db", "credentials.db")]

    def state(self, *, is_async: bool) -> Any:
        """Return a store for the shared state of managers, such as limits and keys."""
        return (AsyncSqliteStorage if is_async else SqliteStorage)(self._files[0])

    def credentials(self, cipher: Cipher, *, is_async: bool) -> Any:
        """Return a credential provider."""
        kind: Any = AsyncSqliteCredentialProvider if is_async else SqliteCredentialProvider
        return kind(self._files[1], cipher)

    def contents(self) -> Iterator[Held]:
        """Return the whole content of the store."""
        for file in self._files:
            with contextlib.closing(sqlite3.connect(file)) as database:
                tables = database.execute("SELECT name, sql FROM sqlite_master").fetchall()
                for name, table in tables:
                    if str(table).startswith("CREATE TABLE"):
                        for row in database.execute(f'SELECT * FROM "{name}"'):
                            yield f"row of {name}", row
        for path in self._files[0].parent.iterdir():
            yield path.name, path.read_bytes()

    def close(self) -> None:
        """Do nothing; the creator removes the folder."""


_READ: Final[dict[str, Any]] = {
    "string": lambda client, key: client.get(key),
    "hash": lambda client, key: client.hgetall(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: client.smembers(key),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
}


class Redis:
    """A store in Redis."""

    def __init__(self, _: Path) -> None:
        self._url = redis_url()
        self._prefix = f"stored:{uuid4().hex}:"

    def state(self, *, is_async: bool) -> Any:
        """Return a store for the shared state of managers, such as limits and keys."""
        kind = AsyncRedisStorage if is_async else RedisStorage
        return kind(self._url, prefix=self._prefix, timeout=20.0)

    def credentials(self, cipher: Cipher, *, is_async: bool) -> None:
        """Return None, because Redis stores no credentials."""

    def contents(self) -> Iterator[Held]:
        """Return the whole content of the store."""
        with contextlib.closing(redis.Redis.from_url(self._url)) as opened_redis:
            client: Any = opened_redis  # its types are those of an awaited result too
            for key in client.scan_iter(f"{self._prefix}*", count=1_000):
                kind = client.type(key).decode()
                yield f"{kind} {key!r}", (key, _READ[kind](client, key))

    def close(self) -> None:
        """Remove everything that the test stored."""
        with redis.Redis.from_url(self._url) as client:
            for key in client.scan_iter(f"{self._prefix}*", count=1_000):
                client.delete(key)


class Sql:
    """A store in SQL tables."""

    kind: str

    def __init__(self, _: Path) -> None:
        self._harness = Harness(self.kind)

    def state(self, *, is_async: bool) -> Any:
        """Return a store for the shared state of managers, such as limits and keys."""
        return self._harness.async_store() if is_async else self._harness.sync_store()

    def credentials(self, cipher: Cipher, *, is_async: bool) -> Any:
        """Return a credential provider."""
        options: dict[str, Any] = {"prefix": self._harness.prefix, "timeout": 20.0}
        SqlCredentialProvider(self._harness.url, cipher, **options).migrate()
        kind: Any = AsyncSqlCredentialProvider if is_async else SqlCredentialProvider
        return kind(self._harness.url, cipher, **options)

    def contents(self) -> Iterator[Held]:
        """Return the whole content of the store."""
        text = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE :ours"
        for (table,) in self._harness.run(text, ours=f"{self._harness.prefix}%"):
            for row in self._harness.run(f"SELECT * FROM {table}"):
                yield f"row of {table}", tuple(row)

    def close(self) -> None:
        """Remove everything that the test stored."""
        with contextlib.suppress(SQLAlchemyError):
            self._harness.run(f"DROP TABLE {self._harness.prefix}credentials")
        self._harness.close()


class Postgresql(Sql):
    """A store in PostgreSQL."""

    kind = "postgresql"


class Mariadb(Sql):
    """A store in MariaDB."""

    kind = "mariadb"


STORES: Final = (Sqlite, Redis, Postgresql, Mariadb)
