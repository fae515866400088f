"""The connector of SQL databases: PostgreSQL, MariaDB, MySQL and SQLite over SQLAlchemy.

A connector makes operations, and a manager performs them:

    erp = SqlConnector("postgresql://erp@db.example/erp", password=Secret("…"))
    FIND = Query("SELECT name FROM customers WHERE id = :id", name="customers.find")
    rows = manager.perform("erp", erp.query(FIND, id=7))
"""

from __future__ import annotations

import asyncio
from threading import BoundedSemaphore
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from moorage.domain.values.installation import missing_package_error

try:
    from sqlalchemy.util import greenlet_spawn
except ImportError as error:
    raise missing_package_error(error, "sql") from error

from moorage.adapters.concurrency._timers import start_task_timeout
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.links.health import health_of
from moorage.adapters.sql._common import (
    CONNECT_TIMEOUT,
    AsyncSqlOperation,
    CommonConnector,
    RowStreamOperation,
    SqlOperation,
    TransactionOperation,
    ping,
)
from moorage.adapters.sql._database import Session
from moorage.adapters.sql.transactions import (
    AsyncRowStream,
    AsyncTransaction,
    RowStream,
    Transaction,
)
from moorage.domain.connectors.sql_failures import timeout_error
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.errors import ConnectorError, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy import Row

    from moorage.adapters.sql.statements import Statement
    from moorage.domain.connectors.health import ConnectorHealth
    from moorage.domain.secrets.secret import Secret

R = TypeVar("R")

_BATCH: Final = 1000


class SqlConnector(CommonConnector):
    """A connector of a SQL database, for synchronous programs.

    Args:
        url: the URL of the database, such as postgresql://user@host/name, mariadb://…, mysql://…,
            sqlite:///file.db, or sqlite:// for a database in memory. It may contain the password,
            and is never shown.
        name: the name of the connector.
        service: the service whose protections apply; by default the service of the same name.
        password: the password, if it is not in the URL.
        tls: requires TLS, and names the trusted authorities. Certificates and keys are paths of
            files.
        connections: the largest number of connections.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        lifetime: seconds after which a connection is replaced.
        check_idle: asks the server before each use whether the connection still works. This costs a
            round trip. Without it, if a connection broke while it was idle, a read is repeated, and
            a write fails.
        most_rows: the largest number of rows of a result that is returned as a whole; more are an
            error, and are read with `stream`.
        most_bytes: the largest number of bytes of such a result.
        options: options of the driver, by name.
        statements: the statements that can be performed by name, for example from a command line.
    """

    @without_arguments_in_errors
    def __init__(self, url: Secret | str, **settings: Any) -> None:
        super().__init__(url, **settings)
        self._restart_after_fork()
        in_child(self, SqlConnector._restart_after_fork)

    def _restart_after_fork(self) -> None:
        self._places = BoundedSemaphore(self.database.maximum)

    def query(
        self, statement: Statement, /, **parameters: Any
    ) -> SqlOperation[tuple[Row[Any], ...]]:
        """Return the operation that executes a query and returns its rows."""
        return self._operation(statement, self._work_of(statement, parameters, rows=True))

    def execute(self, statement: Statement, /, **parameters: Any) -> SqlOperation[int]:
        """Return the operation that executes a statement and returns the changed rows' number."""
        return self._operation(statement, self._work_of(statement, parameters, rows=False))

    def batch(
        self,
        *steps: tuple[Statement, Mapping[str, Any]],
        name: str,
        isolation: str | None = None,
        repeatable: bool = False,
    ) -> SqlOperation[tuple[Any, ...]]:
        """Return the operation that executes several statements in one transaction.

        Its result has the rows of each statement, or the number of rows that it changed.
        """
        is_safe = all(statement.safe for statement, _ in steps)
        run_steps = self._batch_of(steps, isolation, read_only=is_safe)
        return SqlOperation(
            self,
            name,
            run_steps,
            safe=is_safe,
            repeatable=repeatable or is_safe,
            statements=tuple(statement for statement, _ in steps),
        )

    def transaction(
        self,
        work: Callable[[Transaction], R],
        *,
        name: str,
        isolation: str | None = None,
        read_only: bool = False,
        repeatable: bool = False,
    ) -> SqlOperation[R]:
        """Return the operation that calls a function in a transaction, and commits the transaction.

        The function is called again for each attempt, so it must have no effect elsewhere. If the
        function raises an exception, the transaction is undone, and the exception is raised
        unchanged.
        """

        def perform(session: Session) -> R:
            session.begin(isolation, read_only=read_only)
            value = work(Transaction(session))
            session.commit()
            return value

        return SqlOperation(self, name, perform, safe=read_only, repeatable=repeatable or read_only)

    def stream(
        self, statement: Statement, /, *, batch: int = _BATCH, **parameters: Any
    ) -> SqlOperation[RowStream]:
        """Return the operation that opens a stream of rows, for a `with` block.

        At most `batch` rows are in memory. The protections apply to the opening; each batch may
        take as long as the opening might.
        """
        checked = self.database.checked_parameters(statement, parameters)
        return SqlOperation(
            self,
            statement.name,
            RowStreamOperation(statement, checked, batch),
            safe=True,
            repeatable=True,
            statements=(statement,),
        )

    def open(self, timeout: float = CONNECT_TIMEOUT, /) -> None:
        """Open a connection, so that configuration errors appear early."""
        self.attempt("open", timeout, ping)

    def health(self, timeout: float = CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the database; a failure is part of the result, not raised."""
        started_at = monotonic()
        try:
            self.attempt("health", timeout, ping)
        except ConnectorError as error:
            return health_of(self.name, "The database", monotonic() - started_at, error=error)
        return health_of(self.name, "The database", monotonic() - started_at)

    def close(self) -> None:
        """Close idle connections now, and busy ones at the end of their operations."""
        self.database.is_closed = True
        if not self._is_memory:
            self.database.close_idle()
        elif self._places.acquire(blocking=False):
            # SQLite crashes if its only connection is closed during a statement.
            self.database.close_idle()
            self._places.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def attempt(self, name: str, timeout: float, work: Any) -> Any:
        """Make one attempt of a SQL operation when a connection is free."""
        database, places = self.database, self._places
        if not places.acquire(blocking=False):
            self._wait(places, timeout)
        frees_slot = True
        try:
            if isinstance(work, RowStreamOperation):
                stream = self._stream(name, timeout, work)
                frees_slot = False
                return stream
            return database.attempt(Session(database, name, timeout), work)
        finally:
            if frees_slot:
                places.release()

    def _wait(self, places: BoundedSemaphore, timeout: float) -> None:
        database = self.database
        database.waiting += 1
        try:
            if not places.acquire(timeout=max(0.0, timeout)):
                raise database.exhausted()
        finally:
            database.waiting -= 1

    def _stream(self, name: str, timeout: float, streaming: RowStreamOperation) -> RowStream:
        session = Session(self.database, name, timeout)
        try:
            result = self._opened_stream(
                session, streaming.statement, streaming.parameters, streaming.batch
            )
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = session.failure(error)
            session.abort()
        except BaseException:
            session.close(broken=True)
            raise
        else:
            return RowStream(session, result, streaming.batch, timeout, self._places.release)
        raise failure

    def _operation(self, statement: Statement, work: Callable[[Session], R]) -> SqlOperation[R]:
        return SqlOperation(
            self,
            statement.name,
            work,
            safe=statement.safe,
            repeatable=statement.repeatable,
            statements=(statement,),
        )


_REPORT_SECONDS: Final = 0.005
"""Seconds before the end of an attempt at which it reports that its time is over.

The caller would cancel it at the end, and could not know whether the statement had been sent.
"""


async def _within(seconds: float, session: Session, work: Awaitable[R]) -> R:
    """Await the work of a session; after `seconds`, cancel it and report its progress.

    Raises:
        AttemptTimeout: the time is over.
    """
    time_bound = start_task_timeout(max(0.0, seconds))
    try:
        return await work
    except asyncio.CancelledError:
        if time_bound is None or not time_bound.end():
            raise
    finally:
        if time_bound is not None:
            time_bound.end()
    raise timeout_error(session.phase)


class AsyncSqlConnector(CommonConnector):
    """A connector of a SQL database, for asynchronous programs; see `SqlConnector`.

    It belongs to the event loop that uses it first.
    """

    _is_async = True

    @without_arguments_in_errors
    def __init__(self, url: Secret | str, **settings: Any) -> None:
        super().__init__(url, **settings)
        self._restart_after_fork()
        in_child(self, AsyncSqlConnector._restart_after_fork)

    def _restart_after_fork(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(self.database.maximum)

    def query(
        self, statement: Statement, /, **parameters: Any
    ) -> AsyncSqlOperation[tuple[Row[Any], ...]]:
        """Return the operation that executes a query and returns its rows."""
        return self._operation(statement, self._work_of(statement, parameters, rows=True))

    def execute(self, statement: Statement, /, **parameters: Any) -> AsyncSqlOperation[int]:
        """Return the operation that executes a statement and returns the changed rows' number."""
        return self._operation(statement, self._work_of(statement, parameters, rows=False))

    def batch(
        self,
        *steps: tuple[Statement, Mapping[str, Any]],
        name: str,
        isolation: str | None = None,
        repeatable: bool = False,
    ) -> AsyncSqlOperation[tuple[Any, ...]]:
        """Return the operation that executes several statements in one transaction.

        Its result has the rows of each statement, or the number of rows that it changed.
        """
        is_safe = all(statement.safe for statement, _ in steps)
        run_steps = self._batch_of(steps, isolation, read_only=is_safe)
        return AsyncSqlOperation(
            self,
            name,
            run_steps,
            safe=is_safe,
            repeatable=repeatable or is_safe,
            statements=tuple(statement for statement, _ in steps),
        )

    def transaction(
        self,
        work: Callable[[AsyncTransaction], Awaitable[R]],
        *,
        name: str,
        isolation: str | None = None,
        read_only: bool = False,
        repeatable: bool = False,
    ) -> AsyncSqlOperation[R]:
        """Return the operation that awaits a function in a transaction, then commits.

        The function is called again for each attempt, so it must have no effect elsewhere. If the
        function raises an exception, the transaction is undone, and the exception is raised
        unchanged.
        """
        operation = TransactionOperation(work, isolation, read_only)
        return AsyncSqlOperation(
            self, name, operation, safe=read_only, repeatable=repeatable or read_only
        )

    def stream(
        self, statement: Statement, /, *, batch: int = _BATCH, **parameters: Any
    ) -> AsyncSqlOperation[AsyncRowStream]:
        """Return the operation that opens a stream of rows, for an `async with` block.

        At most `batch` rows are in memory. The protections apply to the opening; each batch may
        take as long as the opening might.
        """
        checked = self.database.checked_parameters(statement, parameters)
        return AsyncSqlOperation(
            self,
            statement.name,
            RowStreamOperation(statement, checked, batch),
            safe=True,
            repeatable=True,
            statements=(statement,),
        )

    async def open(self, timeout: float = CONNECT_TIMEOUT, /) -> None:
        """Open a connection, so that configuration errors appear early."""
        async with asyncio.timeout(timeout):
            await self.attempt("open", timeout, ping)

    async def health(self, timeout: float = CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the database; a failure is part of the result, not raised."""
        started_at = monotonic()
        try:
            async with asyncio.timeout(timeout):
                await self.attempt("health", timeout, ping)
        except (ConnectorError, TimeoutError) as error:
            return health_of(self.name, "The database", monotonic() - started_at, error=error)
        return health_of(self.name, "The database", monotonic() - started_at)

    async def close(self) -> None:
        """Close idle connections now, and busy ones at the end of their operations."""
        self.database.is_closed = True
        await greenlet_spawn(self.database.close_idle)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def attempt(self, name: str, timeout: float, work: Any) -> Any:
        """Make one attempt of a SQL operation when a connection is free."""
        self._check_loop()
        database, places = self.database, self._places
        end = monotonic() + timeout
        if places.locked():
            await self._wait(places, timeout)
        else:
            await places.acquire()
        frees_slot = True
        task: Any = asyncio.current_task()
        cancellations = task.cancelling()
        try:
            seconds_left = end - monotonic()
            if isinstance(work, RowStreamOperation):
                stream = await self._stream(name, seconds_left, work)
                frees_slot = False
                return stream
            session = Session(database, name, seconds_left)
            if isinstance(work, TransactionOperation):
                attempt = self._transact(session, work)
            else:
                attempt = greenlet_spawn(database.attempt, session, work)
            return await _within(seconds_left - _REPORT_SECONDS, session, attempt)
        except ConnectorError:
            # Some releases of SQLAlchemy and its drivers raise their own error instead.
            if task.cancelling() > cancellations:
                raise asyncio.CancelledError from None
            raise
        finally:
            if frees_slot:
                places.release()

    async def _wait(self, places: asyncio.Semaphore, timeout: float) -> None:
        database = self.database
        database.waiting += 1
        try:
            # The wait ends shortly before the attempt is cancelled, so that the error can name the
            # holders.
            async with asyncio.timeout(max(0.0, timeout * 0.98)):
                await places.acquire()
        except TimeoutError:
            raise database.exhausted() from None
        finally:
            database.waiting -= 1

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise LocalFailure(
                "The connector was used in another event loop before.",
                remedy="Create a connector for each event loop.",
            )

    async def _stream(
        self, name: str, timeout: float, streaming: RowStreamOperation
    ) -> AsyncRowStream:
        session = Session(self.database, name, timeout)
        try:
            result = await greenlet_spawn(
                self._opened_stream,
                session,
                streaming.statement,
                streaming.parameters,
                streaming.batch,
            )
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = session.failure(error)
            await greenlet_spawn(session.abort)
        except BaseException:
            await greenlet_spawn(session.close, broken=True)
            raise
        else:
            return AsyncRowStream(session, result, streaming.batch, timeout, self._places.release)
        raise failure

    async def _transact(self, session: Session, operation: TransactionOperation) -> Any:
        def begin() -> None:
            session.open()
            session.begin(operation.isolation, read_only=operation.read_only)

        try:
            await greenlet_spawn(begin)
            value = await operation.work(AsyncTransaction(session))
            await greenlet_spawn(session.commit)
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = session.failure(error)
            await greenlet_spawn(session.abort)
        except BaseException:
            await greenlet_spawn(session.close, broken=True)
            raise
        else:
            await greenlet_spawn(session.close)
            return value
        raise failure

    def _operation(
        self, statement: Statement, work: Callable[[Session], R]
    ) -> AsyncSqlOperation[R]:
        return AsyncSqlOperation(
            self,
            statement.name,
            work,
            safe=statement.safe,
            repeatable=statement.repeatable,
            statements=(statement,),
        )
