"""Tables in a SQLite file, and the short transactions that use them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency._closing import ContextClosable
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._open_files import EXHAUSTED_REMEDY, missing_resources_error
from moorage.adapters.databases._sqlite_connection import OwnedConnection
from moorage.adapters.databases._sqlite_pool import Pool
from moorage.adapters.tables._table import StatementResult
from moorage.domain.values.durations import bounded_seconds, seconds
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import timedelta

    from moorage.adapters.databases._table_definition import TableDefinition
    from moorage.adapters.tables._table import Execute, Statement
    from moorage.errors import ConnectorError

A = TypeVar("A")

_MEMORY: Final = frozenset({"", ":memory:"})
_BUSY_CODES: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PROBLEMS: Final = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Free space on the disk; nothing was written."),
    sqlite3.SQLITE_READONLY: (
        "this process has no permission to write the file",
        "Allow this process to write the file and its directory.",
    ),
    **dict.fromkeys(
        (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
        (
            "the file is damaged or not a SQLite database",
            "Use another file, or restore this one from a backup.",
        ),
    ),
}


class Link:
    """A SQLite connection, used by one caller at a time.

    Attributes:
        identity: identifies the file, which may be replaced by another one.
    """

    def __init__(self, connection: sqlite3.Connection, identity: object) -> None:
        self.connection = connection
        self.identity = identity
        self.stale = False
        self.open = True

    async def __call__(
        self, *statements: Statement, keep_open: bool = False, writes: bool = False
    ) -> list[StatementResult]:
        """Run SQL statements in the open transaction, or else in a new transaction."""
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


class SqliteTables(ContextClosable):
    """The connections of a store to its file; each operation is one transaction."""

    def _open(
        self,
        path: str | os.PathLike[str],
        timeout: float | timedelta,
        *,
        create: bool,
        definitions: Sequence[TableDefinition],
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
                remedy="Use a path without NUL characters.",
            )
        self._path = str(Path(path).absolute())
        self._timeout = seconds(timeout, "timeout")
        self._create = create
        self._definitions = definitions
        self._pool = Pool()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._path!r})"

    def migrate(self) -> None:
        """Create missing tables, and add missing columns and indexes."""

        async def create(execute: Execute) -> None:
            async def run(statement: str) -> Sequence[Sequence[Any]]:
                (result,) = await execute((statement, ()), keep_open=True, writes=True)
                return result.rows

            for definition in self._definitions:
                await definition.create(run)
            await execute()

        self._transact_in_file(create, self._timeout, creates=True)

    def close(self) -> None:
        """Close idle connections now, and the others when they are given back."""
        self._pool.close()

    def _in_file(self, work: Callable[[Execute], Coroutine[Any, Any, A]], /) -> A:
        return self._run_transaction(work, None)

    def _run_transaction(
        self, work: Callable[[Execute], Coroutine[Any, Any, A]], timeout: float | None
    ) -> A:
        limit = bounded_seconds(self._timeout, timeout)
        try:
            return self._transact_in_file(work, limit)
        except ConfigurationError:
            if not self._create:
                raise
        self.migrate()
        return self._transact_in_file(work, limit)

    def _transact_in_file(
        self,
        work: Callable[[Execute], Coroutine[Any, Any, A]],
        timeout: float,
        *,
        creates: bool = False,
    ) -> A:
        """Run a function in its own transaction, raising only errors of moorage.

        Args:
            work: the operation.
            timeout: seconds to wait while others write.
            creates: whether to create a missing file.
        """
        may_repeat = not creates
        while True:
            try:
                return self._transact_once(work, timeout, creates=creates)
            except sqlite3.Error as error:
                is_unopened = not creates and _code(error) == sqlite3.SQLITE_CANTOPEN
                if is_unopened and not os.path.exists(self._path):  # noqa: PTH110 - raises nothing
                    failure: ConnectorError = _missing_table_error(
                        f"The file {self._path} does not exist."
                    )
                elif is_unopened and may_repeat:
                    # Another process may have created the file meanwhile.
                    may_repeat = False
                    continue
                else:
                    failure = _error_of(error, self._path, self._definitions[0].table)
            raise failure

    def _transact_once(
        self, work: Callable[[Execute], Coroutine[Any, Any, A]], timeout: float, *, creates: bool
    ) -> A:
        link: Any = self._idle_link()
        if link is None:
            link = self._pool.open(partial(self._connect, creates=creates))
        try:
            link.connection.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
            return run_now(work(link))
        except BaseException:
            link.stale = True
            raise
        finally:
            self._pool.give(link)

    def _idle_link(self) -> Any:
        """Return an idle connection to the file that is at the path now; None if there is none.

        If the file was deleted or replaced, a connection to the earlier file would still accept
        rows, and nobody would ever see these rows.
        """
        with suppress(IndexError):
            link: Any = self._pool.idle.pop()
            identity = self._identity()
            while link.identity != identity:
                link.close()
                link = self._pool.idle.pop()
            return link
        return None

    def _identity(self) -> tuple[int, int] | None:
        """Return the identity of the file; None if it cannot be read."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - in every transaction
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _connect(self, *, creates: bool) -> Any:
        identity = self._identity()
        connection = sqlite3.connect(
            f"{Path(self._path).as_uri()}?mode={'rwc' if creates else 'rw'}",
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
            factory=OwnedConnection,
            uri=True,
        )
        return Link(connection, identity)


def _error_of(error: sqlite3.Error, path: str, table: str) -> ConnectorError:
    """Convert an error of SQLite to an error of moorage."""
    text = str(error)
    if "no such table" in text:
        return _missing_table_error(f"There is no table {table} in {path}.")
    if "no such column" in text or "has no column" in text:
        return _missing_table_error(
            f"The table {table} in {path} lacks a column that this release needs."
        )
    if _code(error) in _BUSY_CODES:
        return StorageUnavailable(
            f"Other processes wrote to {path} for too long.",
            slow=True,
            remedy="Keep your own transactions short, or set a longer `timeout` of the store.",
        )
    if _code(error) == sqlite3.SQLITE_CANTOPEN and (exhaustion := missing_resources_error()):
        return StorageUnavailable(
            f"{path} could not be used: {exhaustion.strerror}.", remedy=EXHAUSTED_REMEDY
        )
    problem, remedy = _PROBLEMS.get(
        _code(error),
        (
            type(error).__name__,
            "Allow this process to read and write the file and its directory, and check the disk.",
        ),
    )
    return StorageUnavailable(f"{path} could not be used: {problem}.", remedy=remedy)


def _missing_table_error(message: str) -> ConfigurationError:
    return ConfigurationError(
        message,
        path="path",
        remedy="If a configuration names the store, run `moorage housekeep --migrate` once."
        " Otherwise run `migrate()` of the store, or the statements of its `ddl()`, or set"
        " create=True.",
    )


def _code(error: sqlite3.Error) -> int:
    """Return the primary error code of SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
