"""The connector of SQL databases: PostgreSQL, MariaDB, MySQL and SQLite over SQLAlchemy.

A connector makes operations, and a manager performs them:

    erp = SqlConnector("postgresql://erp@db.example/erp", password=Secret("…"))
    FIND = Query("SELECT name FROM customers WHERE id = :id", name="customers.find")
    rows = manager.perform("erp", erp.query(FIND, id=7))
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from math import inf
from threading import BoundedSemaphore
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, cast

from sqlalchemy.util import greenlet_spawn

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.sql._connecting import Limits, make_engine
from moorage.adapters.sql._database import Database, Session, many, prepared
from moorage.adapters.sql._driver_errors import judge
from moorage.adapters.sql._links import SqlLinks
from moorage.adapters.sql.transactions import (
    AsyncRowStream,
    AsyncTransaction,
    RowStream,
    Transaction,
)
from moorage.domain.connectors.health import ConnectorHealth, ConnectorVersions
from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.connectors.sql_failures import SqlPhase, timed_out
from moorage.domain.monitoring.health import HealthState
from moorage.domain.secrets.frames import refusing
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConnectorError, InvalidData, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from sqlalchemy import Row

    from moorage.adapters.sql.statements import Statement
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.domain.http.transport import Tls
    from moorage.domain.observation.operation_target import DatabaseTarget
    from moorage.domain.service.operation import OperationAttempt

R = TypeVar("R")

_CONNECT_TIMEOUT: Final = 5.0
_LIFETIME: Final = 1800.0
_BATCH: Final = 1000
_LEAST_OF_REPEAT: Final = 0.06


class _Described:
    """The code that synchronous and asynchronous SQL operations share."""

    __slots__ = ("_connector", "_statements", "_work", "name", "repeatable", "safe", "system")

    def __init__(
        self,
        connector: _Connector,
        name: str,
        work: Any,
        *,
        safe: bool,
        repeatable: bool,
        statements: tuple[Statement, ...] = (),
    ) -> None:
        self._connector = connector
        self._work = work
        self.name = name
        self.safe = safe
        self.repeatable = repeatable
        self.system = connector.database.system
        self._statements = statements

    @property
    def target(self) -> DatabaseTarget:
        """The database and the statement of the operation, for traces and metrics."""
        return self._connector.database.target(self._statements)

    def judge(self, error: Exception, /) -> ConnectorError | None:
        """Convert an exception of a driver to an error of moorage."""
        return judge(error, self.system, SqlPhase.SENT)

    def check_time(self, attempt: OperationAttempt) -> None:
        """Refuse a further attempt that has too little time for the server's answer."""
        if attempt.number > 1 and attempt.timeout < _LEAST_OF_REPEAT:
            raise timed_out(SqlPhase.CONNECTING)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class SqlOperation(_Described, Generic[R]):
    """An operation on a SQL database, for `ConnectorManager.perform`."""

    __slots__ = ()

    def perform(self, attempt: OperationAttempt, /) -> R:
        """Make one attempt of the operation."""
        self.check_time(attempt)
        return self._connector.attempt(self.name, attempt.timeout, self._work)  # type: ignore[no-any-return, attr-defined]  # the work's


class AsyncSqlOperation(_Described, Generic[R]):
    """An operation on a SQL database, for `AsyncConnectorManager.perform`."""

    __slots__ = ()

    async def perform(self, attempt: OperationAttempt, /) -> R:
        """Make one attempt of the operation."""
        self.check_time(attempt)
        return await self._connector.attempt(self.name, attempt.timeout, self._work)  # type: ignore[no-any-return, attr-defined]  # the work's


class _Connector:
    """The code that the synchronous and the asynchronous SQL connector share."""

    kind = "sql"
    _is_async = False

    @refusing
    def __init__(
        self,
        url: Secret | str,
        *,
        name: str = "sql",
        service: str | None = None,
        password: Secret | str | None = None,
        tls: Tls | None = None,
        connections: int = 10,
        connect_timeout: float = _CONNECT_TIMEOUT,
        lifetime: float = _LIFETIME,
        check_idle: bool = False,
        options: Mapping[str, Any] | None = None,
        statements: Iterable[Statement] = (),
    ) -> None:
        self.name = name
        self.service = name if service is None else service
        if connections < 1:
            raise InvalidData(
                "A pool needs at least one connection.",
                field="connections",
                remedy="Give 1 or more.",
            )
        limits = Limits()
        engine, system = make_engine(
            url if isinstance(url, Secret) else Secret(url),
            is_async=self._is_async,
            password=Secret(password) if isinstance(password, str) else password,
            tls=tls,
            connect_timeout=connect_timeout,
            options=options or {},
            limits=limits,
        )
        self._is_memory = type(engine.pool).__name__ == "StaticPool"
        links = SqlLinks(
            engine,
            limits,
            system,
            is_async=self._is_async and system != "sqlite",
            # A database in memory is gone with its connection.
            lifetime=inf if self._is_memory else lifetime,
            checks_idle=check_idle,
        )
        maximum = 1 if self._is_memory else connections
        self.database = Database(engine, system, links, maximum=maximum)
        self._statements = {statement.name: statement for statement in statements}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self.database.system})>"

    @property
    def versions(self) -> ConnectorVersions:
        """The versions of SQLAlchemy with its driver, and of the server after a connection."""
        dialect = self.database.engine.dialect
        numbers = getattr(dialect, "server_version_info", None)
        server = None
        if numbers is not None:
            product = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
            server = f"{product} {'.'.join(map(str, numbers))}"
        return ConnectorVersions(
            library=f"SQLAlchemy {version('sqlalchemy')}, {dialect.driver}", server=server
        )

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """The statements that the settings declare, which can be performed by name."""
        return {
            name: NamedOperation(
                name=name,
                about=f"Performs the statement {name}.",
                arguments=dict.fromkeys(prepared(statement)[1], "a parameter"),
                required=prepared(statement)[1],
                build=partial(self._named, statement),
                render=_as_json,
            )
            for name, statement in self._statements.items()
        }

    def statistics(self) -> PoolStatistics:
        """Return the statistics of the connection pool, without connecting."""
        return self.database.statistics()

    def _named(self, statement: Statement, arguments: Mapping[str, Any]) -> Any:
        make: Any = getattr(self, "query" if statement.safe else "execute")
        return make(statement, **arguments)

    def _work_of(
        self, statement: Statement, parameters: dict[str, Any], *, rows: bool
    ) -> Callable[[Session], Any]:
        checked = self.database.checked_parameters(statement, parameters)
        if rows:
            return lambda session: tuple(session.run(statement, checked).all())
        return lambda session: session.run(statement, checked).rowcount

    def _batch_of(
        self,
        steps: Sequence[tuple[Statement, Mapping[str, Any]]],
        isolation: str | None,
        *,
        read_only: bool,
    ) -> Callable[[Session], tuple[Any, ...]]:
        checked = [
            (statement, self.database.checked_parameters(statement, dict(parameters)))
            for statement, parameters in steps
        ]

        def work(session: Session) -> tuple[Any, ...]:
            session.begin(isolation, read_only=read_only)
            results = many(session, checked)
            session.commit()
            return results

        return work

    def _opened_stream(
        self, session: Session, statement: Statement, parameters: Mapping[str, Any], batch: int
    ) -> Any:
        """Begin a transaction that only reads, and return the result of a query in it."""
        # MySQL's limit would hold for the whole stream, and not for each batch.
        session.open(is_limited=self.database.system != "mysql")
        session.begin(None, read_only=True)
        return session.run(statement, parameters, batch)


class SqlConnector(_Connector):
    """A connector of a SQL database, for synchronous programs.

    Args:
        url: such as postgresql://user@host/name, mariadb://…, mysql://…, sqlite:///file.db, or
            sqlite:// for a database in memory. It may contain the password, and is never shown.
        name: the name of the connector.
        service: the service whose protections apply; by default the one of the same name.
        password: the password, if it is not in the URL.
        tls: demands TLS, and says what is trusted. Certificates and keys are paths of files.
        connections: the largest number of connections.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        lifetime: seconds after which a connection is replaced.
        check_idle: asks the server before each use whether the connection still works. This costs
            a round trip; without it a read is repeated instead, and a write is refused only if its
            connection broke while it was idle.
        options: options of the driver, by name.
        statements: the statements that can be performed by name, for example from a command line.
    """

    @refusing
    def __init__(self, url: Secret | str, **settings: Any) -> None:
        super().__init__(url, **settings)
        self._start_afresh()
        in_child(self, SqlConnector._start_afresh)

    def _start_afresh(self) -> None:
        self._places = BoundedSemaphore(self.database.maximum)

    def query(
        self, statement: Statement, /, **parameters: Any
    ) -> SqlOperation[tuple[Row[Any], ...]]:
        """Return the operation that reads the rows of a statement."""
        return self._operation(statement, self._work_of(statement, parameters, rows=True))

    def execute(self, statement: Statement, /, **parameters: Any) -> SqlOperation[int]:
        """Return the operation that executes a statement, and returns how many rows changed."""
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
        safe = all(statement.safe for statement, _ in steps)
        work = self._batch_of(steps, isolation, read_only=safe)
        return SqlOperation(
            self,
            name,
            work,
            safe=safe,
            repeatable=repeatable or safe,
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
        """Return the operation that calls a function in a transaction, and commits it.

        The function is called again for each attempt, so it must have no effect elsewhere. An
        exception of it undoes the transaction and is raised unchanged.
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
        """Return the operation that opens a stream of rows, to be used in a `with` block.

        At most `batch` rows are in memory. The protections apply to the opening; each batch may
        take as long as the opening might.
        """
        checked = self.database.checked_parameters(statement, parameters)
        return SqlOperation(
            self,
            statement.name,
            _Streaming(statement, checked, batch),
            safe=True,
            repeatable=True,
            statements=(statement,),
        )

    def open(self, timeout: float = _CONNECT_TIMEOUT, /) -> None:
        """Open a connection, so that a wrong configuration is noticed now."""
        self.attempt("open", timeout, _ping)

    def health(self, timeout: float = _CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the database, as a value."""
        begun = monotonic()
        try:
            self.attempt("health", timeout, _ping)
        except ConnectorError as error:
            return _health(self.name, begun, error)
        return _health(self.name, begun, None)

    def close(self) -> None:
        """Close the idle connections; those in use are closed at the end of their operations."""
        self.database.is_closed = True
        if not self._is_memory:
            self.database.close_idle()
        elif self._places.acquire(blocking=False):
            # SQLite crashes if its only connection is closed in the middle of a statement.
            self.database.close_idle()
            self._places.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def attempt(self, name: str, timeout: float, work: Any) -> Any:
        """Make one attempt of a SQL operation, once a connection is free."""
        database, places = self.database, self._places
        if not places.acquire(blocking=False):
            self._wait(places, timeout)
        frees = True
        try:
            if isinstance(work, _Streaming):
                stream = self._stream(name, timeout, work)
                frees = False
                return stream
            return database.attempt(name, timeout, work)
        finally:
            if frees:
                places.release()

    def _wait(self, places: BoundedSemaphore, timeout: float) -> None:
        database = self.database
        database.waiting += 1
        try:
            if not places.acquire(timeout=max(0.0, timeout)):
                raise database.exhausted()
        finally:
            database.waiting -= 1

    def _stream(self, name: str, timeout: float, streaming: _Streaming) -> RowStream:
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


class AsyncSqlConnector(_Connector):
    """A connector of a SQL database, for asynchronous programs; see `SqlConnector`.

    It belongs to the event loop that uses it first.
    """

    _is_async = True

    @refusing
    def __init__(self, url: Secret | str, **settings: Any) -> None:
        super().__init__(url, **settings)
        self._start_afresh()
        in_child(self, AsyncSqlConnector._start_afresh)

    def _start_afresh(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(self.database.maximum)

    def query(
        self, statement: Statement, /, **parameters: Any
    ) -> AsyncSqlOperation[tuple[Row[Any], ...]]:
        """Return the operation that reads the rows of a statement."""
        return self._operation(statement, self._work_of(statement, parameters, rows=True))

    def execute(self, statement: Statement, /, **parameters: Any) -> AsyncSqlOperation[int]:
        """Return the operation that executes a statement, and returns how many rows changed."""
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
        safe = all(statement.safe for statement, _ in steps)
        work = self._batch_of(steps, isolation, read_only=safe)
        return AsyncSqlOperation(
            self,
            name,
            work,
            safe=safe,
            repeatable=repeatable or safe,
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
        """Return the operation that awaits a function in a transaction, and commits it.

        The function is called again for each attempt, so it must have no effect elsewhere. An
        exception of it undoes the transaction and is raised unchanged.
        """
        steps = _Steps(work, isolation, read_only)
        return AsyncSqlOperation(
            self, name, steps, safe=read_only, repeatable=repeatable or read_only
        )

    def stream(
        self, statement: Statement, /, *, batch: int = _BATCH, **parameters: Any
    ) -> AsyncSqlOperation[AsyncRowStream]:
        """Return the operation that opens a stream of rows, to be used in an `async with` block.

        At most `batch` rows are in memory. The protections apply to the opening; each batch may
        take as long as the opening might.
        """
        checked = self.database.checked_parameters(statement, parameters)
        return AsyncSqlOperation(
            self,
            statement.name,
            _Streaming(statement, checked, batch),
            safe=True,
            repeatable=True,
            statements=(statement,),
        )

    async def open(self, timeout: float = _CONNECT_TIMEOUT, /) -> None:
        """Open a connection, so that a wrong configuration is noticed now."""
        async with asyncio.timeout(timeout):
            await self.attempt("open", timeout, _ping)

    async def health(self, timeout: float = _CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the database, as a value."""
        begun = monotonic()
        try:
            async with asyncio.timeout(timeout):
                await self.attempt("health", timeout, _ping)
        except (ConnectorError, TimeoutError) as error:
            return _health(self.name, begun, error)
        return _health(self.name, begun, None)

    async def close(self) -> None:
        """Close the idle connections; those in use are closed at the end of their operations."""
        self.database.is_closed = True
        await greenlet_spawn(self.database.close_idle)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def attempt(self, name: str, timeout: float, work: Any) -> Any:
        """Make one attempt of a SQL operation, once a connection is free."""
        self._check_loop()
        database, places = self.database, self._places
        end = monotonic() + timeout
        if places.locked():
            await self._wait(places, timeout)
        else:
            await places.acquire()
        frees = True
        try:
            left = end - monotonic()
            if isinstance(work, _Streaming):
                stream = await self._stream(name, left, work)
                frees = False
                return stream
            if isinstance(work, _Steps):
                return await self._transact(name, left, work)
            return await greenlet_spawn(database.attempt, name, left, work)
        finally:
            if frees:
                places.release()

    async def _wait(self, places: asyncio.Semaphore, timeout: float) -> None:
        database = self.database
        database.waiting += 1
        try:
            # It gives up a little before the attempt is cancelled, to say who holds what.
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
                "The connector belongs to another event loop.",
                remedy="Make a connector for each event loop.",
            )

    async def _stream(self, name: str, timeout: float, streaming: _Streaming) -> AsyncRowStream:
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

    async def _transact(self, name: str, timeout: float, steps: _Steps) -> Any:
        session = Session(self.database, name, timeout)

        def begin() -> None:
            session.open()
            session.begin(steps.isolation, read_only=steps.read_only)

        try:
            await greenlet_spawn(begin)
            value = await steps.work(AsyncTransaction(session))
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


class _Streaming:
    """An operation that opens a stream of rows."""

    def __init__(self, statement: Statement, parameters: Mapping[str, Any], batch: int) -> None:
        if batch < 1:
            raise InvalidData(
                "A batch needs at least one row.", field="batch", remedy="Give 1 or more."
            )
        if not statement.safe:
            raise InvalidData(
                f"The statement {statement.name!r} is not a query, so it cannot be streamed.",
                field="statement",
                remedy="Declare it as a Query, or use `query`.",
            )
        self.statement = statement
        self.parameters = parameters
        self.batch = batch


class _Steps:
    """An operation that runs a function in an asynchronous transaction."""

    def __init__(self, work: Any, isolation: str | None, read_only: bool) -> None:  # noqa: FBT001 - private
        self.work = work
        self.isolation = isolation
        self.read_only = read_only


def _ping(session: Session) -> None:
    session.control("SELECT 1")


def _health(name: str, begun: float, error: Exception | None) -> ConnectorHealth:
    seconds = monotonic() - begun
    moment = datetime.now(UTC)
    if error is None:
        return ConnectorHealth(
            connector=name, at=moment, state=HealthState.HEALTHY, seconds=seconds
        )
    text, remedy = "The database did not answer in time.", "Check that it is up, and the network."
    if isinstance(error, ConnectorError):
        text, remedy = error.message, error.remedy
    return ConnectorHealth(
        connector=name,
        at=moment,
        state=HealthState.UNAVAILABLE,
        text=text,
        remedy=remedy,
    )


def _as_json(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    rows = cast("tuple[Row[Any], ...]", value)
    return [
        {name: _plain_json(item) for name, item in row._asdict().items()}  # pyright: ignore[reportPrivateUsage]  # a named tuple's
        for row in rows
    ]


def _plain_json(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
