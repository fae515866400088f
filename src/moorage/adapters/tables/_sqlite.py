"""Tables in a file of SQLite's, such as the host's own database, used in short transactions."""

from __future__ import annotations

import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sqlite_pool import Pool
from moorage.adapters.tables._table import StatementResult
from moorage.domain.values.durations import bounded, seconds
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import timedelta
    from typing import Self

    from moorage.adapters.tables._table import Execute, Statement
    from moorage.errors import ConnectorError

A = TypeVar("A")

_MEMORY: Final = frozenset({"", ":memory:"})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Link:
    """A connection to the file, used by one caller at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.stale = False
        self.open = True

    async def __call__(
        self, *statements: Statement, keep_open: bool = False, writes: bool = False
    ) -> list[StatementResult]:
        """Run statements in the open transaction, or in a new one, and end it."""
        connection = self.connection
        if writes and not connection.in_transaction:
            connection.execute("BEGIN IMMEDIATE")
        results: list[StatementResult] = []
        for text, values in statements:
            cursor = connection.execute(text, tuple(values))
            results.append(
                StatementResult(cursor.fetchall() if cursor.description else (), cursor.rowcount)
            )
        if connection.in_transaction and not keep_open:
            connection.execute("COMMIT")
        return results

    def close(self) -> None:
        """Close the connection, which rolls back uncommitted changes."""
        self.stale = True
        self.connection.close()
        self.open = False


class SqliteTables:
    """The connections of a store to its file; each thing that it does is one transaction."""

    def _open(
        self,
        path: str | os.PathLike[str],
        timeout: float | timedelta,
        *,
        create: bool,
        table: str,
        making: Sequence[str],
    ) -> None:
        if str(path) in _MEMORY:
            raise ConfigurationError(
                "A database in memory has one connection, so a worker could not share it.",
                path="path",
                remedy="Pass the path of a file, or use a store in the memory of the process.",
            )
        if "\0" in str(path):
            raise ConfigurationError(
                f"{str(path)!r} is not the path of a file.",
                path="path",
                remedy="Give the path of a file without NUL characters.",
            )
        self._path = str(Path(path).absolute())
        self._timeout = seconds(timeout, "timeout")
        self._create = create
        self._named = table
        self._making = making
        self._pool = Pool()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._path!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def migrate(self) -> None:
        """Create missing tables."""

        async def make(execute: Execute) -> None:
            await execute(*((statement, ()) for statement in self._making), writes=True)

        self._told(make, self._timeout, makes=True)

    def close(self) -> None:
        """Close every connection that is idle, and each other one when it is no longer used."""
        self._pool.close()

    def _do(self, work: Callable[[Execute], Coroutine[Any, Any, A]], timeout: float | None) -> A:
        patience = bounded(self._timeout, timeout)
        try:
            return self._told(work, patience)
        except ConfigurationError:
            if not self._create:
                raise
        self.migrate()
        return self._told(work, patience)

    def _told(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        patience: float,
        *,
        makes: bool = False,
    ) -> A:
        """Do something in a transaction of its own; errors are told as ours.

        Args:
            work: what is done.
            patience: seconds to wait while others write.
            makes: whether a file that is missing is made.
        """
        try:
            return self._once(work, patience, makes=makes)
        except sqlite3.Error as error:
            is_missing = not makes and _code(error) == sqlite3.SQLITE_CANTOPEN
            if is_missing and not os.path.exists(self._path):  # noqa: PTH110 - raises nothing
                failure: ConnectorError = _unmade(f"there is no file {self._path}.")
            else:
                failure = _meaning(error, self._path, self._named)
        raise failure

    def _once(
        self, work: Callable[[Execute], Coroutine[Any, Any, A]], patience: float, *, makes: bool
    ) -> A:
        try:
            link: Any = self._pool.idle.pop()
        except IndexError:
            link = self._pool.open(partial(self._connect, makes=makes))
        try:
            link.connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            return run_now(work(link))
        except BaseException:
            link.stale = True
            raise
        finally:
            self._pool.give(link)

    def _connect(self, *, makes: bool) -> Any:
        connection = sqlite3.connect(
            f"{Path(self._path).as_uri()}?mode={'rwc' if makes else 'rw'}",
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        return Link(connection)


def _meaning(error: sqlite3.Error, path: str, table: str) -> ConnectorError:
    """The error of ours that tells an error of SQLite's."""
    if "no such table" in str(error):
        return _unmade(f"there is no table {table} in {path}.")
    if _code(error) in _BUSY:
        return StorageUnavailable(
            f"{path} was being written by others for too long.",
            slow=True,
            remedy="Keep your own transactions short, or give the store more `timeout`.",
        )
    return StorageUnavailable(
        f"{path} could not be used ({type(error).__name__}).",
        remedy="Let this process read and write the file and its directory, and check the disk.",
    )


def _unmade(message: str) -> ConfigurationError:
    return ConfigurationError(
        message,
        path="path",
        remedy="Run `migrate()` of the store once, or what its `ddl()` prints, or give it"
        " create=True.",
    )


def _code(error: sqlite3.Error) -> int:
    """The primary code of an error of SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
