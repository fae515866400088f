"""Helpers for tests of a store in PostgreSQL or MariaDB."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from moorage.adapters.state.sql import AsyncSqlStorage, SqlStorage
from moorage.domain.idempotency.claims import Claim
from moorage.domain.values.durations import DAY
from tests.support.servers import mariadb_url, postgres_url

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Self

    from sqlalchemy.ext.asyncio import AsyncEngine

    from moorage.adapters.databases._sql_engine import Engine
    from moorage.domain.state.commands import States

PATIENCE = 30.0
KINDS = ("postgresql", "mariadb")
_DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}


class Append:
    """A command that appends a number to the value of each key, and returns the earlier values."""

    once = True
    durable = False

    def __init__(self, number: int, *keys: str, once: bool = True, durable: bool = False) -> None:
        self.keys = keys
        self.number = number
        self.once = once
        self.durable = durable

    def apply(self, states: States, now: int) -> tuple[States, tuple[int, tuple[Any, ...]]]:
        """Return the states with the number appended."""
        results = tuple(() if state is None else state[2] for state in states)
        return tuple((now, DAY, (*result, self.number)) for result in results), (now, results)


class ReadCommand(Append):
    """A command that reads its keys, and returns the time and the values."""

    def __init__(self, *keys: str) -> None:
        super().__init__(0, *keys)

    def apply(self, states: States, now: int) -> tuple[States, tuple[int, tuple[Any, ...]]]:
        """Return the time and the values, and change nothing."""
        return states, (now, tuple(state and state[2] for state in states))


class RacingAppend(Append):
    """A command during which a second writer changes the rows, once or at each attempt."""

    def __init__(
        self, meddle: Callable[[], object], number: int, *keys: str, **options: Any
    ) -> None:
        super().__init__(number, *keys, **options)
        self._meddle = [meddle]

    def apply(self, states: States, now: int) -> tuple[States, tuple[int, tuple[Any, ...]]]:
        """Return the states and the result, after a second writer has changed the rows."""
        if self._meddle:
            self._meddle.pop()()
        return super().apply(states, now)


def values(store: SqlStorage, *keys: str) -> tuple[Any, ...]:
    """Return the stored values of these keys."""
    return store.execute(ReadCommand(*keys))[1]


def new_claim(key: str, owner: int = 1) -> Claim:
    """Return a command that claims a key for a day."""
    return Claim(
        key, fingerprint=b"", owner=owner, lease=DAY, ttl=DAY, target="vendor", remembered=0
    )


def new_key() -> str:
    """Return a new key for one test."""
    return f"{{harness:{uuid4().hex}}}"


class Harness:
    """A test database with its own tables, and a direct connection to it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        url = sqlalchemy.make_url(postgres_url() if kind == "postgresql" else mariadb_url())
        self.prefix = f"harness{uuid4().hex[:8]}_"
        self.table = f"{self.prefix}states"
        self.engine = sqlalchemy.create_engine(
            url.set(drivername=_DRIVERS[kind]), poolclass=NullPool
        )
        self._open: list[SqlStorage] = []
        # A mark that distinguishes the store's connections from all others.
        if kind == "postgresql":
            url = url.update_query_dict({"application_name": self.prefix})
        else:
            self.run(f"CREATE USER {self.prefix}")
            self.run(f"GRANT ALL ON {url.database}.* TO {self.prefix}")
            url = url.set(username=self.prefix)
        self.url = url
        self.sync_store().migrate()

    def sync_store(
        self, url: sqlalchemy.URL | sqlalchemy.Engine | None = None, **options: Any
    ) -> SqlStorage:
        """Open a synchronous store; the fixture closes it at the end of the test."""
        options = {"timeout": PATIENCE, "prefix": self.prefix, **options}
        store = SqlStorage(self.url if url is None else url, **options)
        self._open.append(store)
        return store

    def async_store(
        self, url: sqlalchemy.URL | AsyncEngine | None = None, **options: Any
    ) -> AsyncSqlStorage:
        """Open an asynchronous store; the caller must close it."""
        options = {"timeout": PATIENCE, "prefix": self.prefix, **options}
        return AsyncSqlStorage(self.url if url is None else url, **options)

    def run(self, statement: str, *, before: str = "", **values: Any) -> list[Any]:
        """Run a statement directly in the database, and return its rows."""
        with self.engine.begin() as connection:
            if before:
                connection.execute(sqlalchemy.text(before))
            result = connection.execute(sqlalchemy.text(statement), values)
            return list(result) if result.returns_rows else []

    def is_any_waiting(self) -> bool:
        """Return whether any connection waits for a row lock of this test."""
        if self.kind == "postgresql":
            return bool(
                self.run(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND query LIKE :table AND pid <> pg_backend_pid()",
                    table=f"%{self.table}%",
                )
            )
        return bool(
            self.run(
                "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
                " AND trx_query LIKE :table",
                table=f"%{self.table}%",
            )
        )

    def wait_for_blocked_connection(self) -> None:
        """Wait until a connection waits for a row lock of this test."""
        end = time.monotonic() + PATIENCE
        while not self.is_any_waiting():
            assert time.monotonic() < end, "nobody waits"
            # InnoDB refreshes its list of transactions at most every 0.1 s.
            time.sleep(0.15 if self.kind == "mariadb" else 0.005)

    def backends(self) -> list[int]:
        """Return the database server's ids of all connections of a store."""
        text = (
            "SELECT pid FROM pg_stat_activity WHERE application_name = :name"
            if self.kind == "postgresql"
            else "SELECT id FROM information_schema.processlist WHERE user = :name"
        )
        return [number for (number,) in self.run(text, name=self.prefix)]

    def terminate(self) -> int:
        """Close all connections of a store at the server; return how many there were."""
        word = "SELECT pg_terminate_backend(:n)" if self.kind == "postgresql" else "KILL :n"
        backends = self.backends()
        for number in backends:
            with contextlib.suppress(SQLAlchemyError):  # the connection has already ended
                self.run(word, n=number)
        return len(backends)

    def clock(self, connection: sqlalchemy.Connection) -> int:
        """Return the server's time, in microseconds since 1970."""
        text = (
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
            if self.kind == "postgresql"
            else "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"
        )
        return int(connection.execute(sqlalchemy.text(text)).scalar_one())

    def close(self) -> None:
        """Drop the test's tables and close its stores."""
        for store in self._open:
            store.close()
        for table in ("states", "meta"):
            with contextlib.suppress(SQLAlchemyError):
                self.run(f"DROP TABLE {self.prefix}{table}")
        if self.kind == "mariadb":
            self.run(f"DROP USER {self.prefix}")


class Proxy:
    """A proxy in front of the database server that sees all requests and can cut connections.

    `sees(chunk)` is called with each chunk that a client sends, and returns the action: None
    forwards the chunk; `"before"` cuts the connection instead; `"after"` forwards the chunk and
    cuts the connection instead of returning the server's reply; `"never"` forwards nothing more;
    `"trickle"` replies with an endless message, byte by byte. A narrow proxy has small buffers, so
    that clients cannot send much at once.
    """

    def __init__(
        self, url: sqlalchemy.URL, sees: Callable[[bytes], str | None], *, narrow: bool = False
    ) -> None:
        self._target = (url.host or "", url.port or 0)
        self._sees = sees
        self._listener = socket.create_server(("127.0.0.1", 0))
        if narrow:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.url = url.set(host="127.0.0.1", port=self._listener.getsockname()[1])
        self.met = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.met += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(self._target)
        answered_event = threading.Event()
        cut_event = threading.Event()

        def restore_database() -> None:
            with contextlib.suppress(OSError):
                while chunk := server.recv(65_536):
                    answered_event.set()
                    if not cut_event.is_set():
                        client.sendall(chunk)
            self._end(client)

        threading.Thread(target=restore_database, daemon=True).start()
        with contextlib.suppress(OSError):
            while chunk := client.recv(65_536):
                description = self._sees(chunk)
                if description == "before":
                    break
                if description == "never":
                    cut_event.set()
                    continue
                if description == "trickle":
                    self._trickle(client)
                if description == "after":
                    answered_event.clear()
                    cut_event.set()
                server.sendall(chunk)
                if description == "after":
                    answered_event.wait(PATIENCE)
                    break
        self._end(client)
        self._end(server)

    def _trickle(self, client: socket.socket) -> None:
        mysql = self.url.get_backend_name() != "postgresql"
        client.sendall(b"\xff\xff\x0f\x01" if mysql else b"D\0\x0f\xff\xff")
        unused_event = threading.Event()
        while True:
            client.sendall(b"\0")
            unused_event.wait(0.02)

    def _end(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


def fail_once(word: bytes, what: str) -> Callable[[bytes], str | None]:
    """Return a function that reports a fault for the first request that contains this word."""
    pending_faults = [what]

    def find_fault(chunk: bytes) -> str | None:
        return pending_faults.pop() if pending_faults and word in chunk else None

    return find_fault


def commit_request(kind: str) -> bytes:
    """Return the bytes of a client's COMMIT request."""
    return b"moorage_commit\0" if kind == "postgresql" else b"; COMMIT"


@contextlib.contextmanager
def harnesses(kind: str) -> Generator[Harness]:
    """Yield a test database, and remove its tables after use."""
    harness = Harness(kind)
    try:
        yield harness
    finally:
        harness.close()


def engine_of(store: SqlStorage | AsyncSqlStorage) -> Engine:
    """Return the engine of a store, whose connections a test can then inspect."""
    return store._engine  # noqa: SLF001 - a store does not show them


@contextlib.contextmanager
def hold_rows(harness: Harness, *keys: str) -> Generator[sqlalchemy.Connection]:
    """Hold row locks on these keys, in a transaction, during the block."""
    with harness.engine.connect() as connection:
        for key in keys:
            results = connection.execute(
                sqlalchemy.text(f"SELECT id FROM {harness.table} WHERE name = :name FOR UPDATE"),
                {"name": key},
            )
            assert 1 == len(list(results))
        yield connection
        connection.rollback()
