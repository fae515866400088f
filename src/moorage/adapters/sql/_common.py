"""The common code of the synchronous and asynchronous SQL connectors."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from math import inf
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from moorage.adapters.sql._connecting import Limits, make_engine
from moorage.adapters.sql._database import Database, ResultBounds, Session, execute_many, prepared
from moorage.adapters.sql._driver_errors import driver_error_of
from moorage.adapters.sql._links import SqlLinks
from moorage.domain.connectors.health import ConnectorVersions
from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.connectors.sql_failures import SqlPhase, timeout_error
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import Row

    from moorage.adapters.sql.statements import Statement
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.domain.http.transport import Tls
    from moorage.domain.observation.operation_target import DatabaseTarget
    from moorage.domain.service.operation import OperationAttempt

R = TypeVar("R")

CONNECT_TIMEOUT: Final = 5.0
_LIFETIME: Final = 1800.0
_LEAST_OF_REPEAT: Final = 0.06


class _Described:
    """The common code of synchronous and asynchronous SQL operations."""

    __slots__ = ("_connector", "_statements", "_work", "name", "repeatable", "safe", "system")

    def __init__(
        self,
        connector: CommonConnector,
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
        """The database and statement of the operation, for traces and metrics."""
        return self._connector.database.target(self._statements)

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Convert an exception of a driver to an error of moorage."""
        return driver_error_of(error, self.system, SqlPhase.SENT)

    def check_time(self, attempt: OperationAttempt) -> None:
        """Refuse to repeat the operation if too little time is left for the server's response."""
        if attempt.number > 1 and attempt.timeout < _LEAST_OF_REPEAT:
            raise timeout_error(SqlPhase.CONNECTING)

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


class CommonConnector(Uncopyable):
    """The common code of the synchronous and asynchronous SQL connectors."""

    kind = "sql"
    _is_async = False

    @without_arguments_in_errors
    def __init__(
        self,
        url: Secret | str,
        *,
        name: str = "sql",
        service: str | None = None,
        password: Secret | str | None = None,
        tls: Tls | None = None,
        connections: int = 10,
        connect_timeout: float = CONNECT_TIMEOUT,
        lifetime: float = _LIFETIME,
        check_idle: bool = False,
        most_rows: int = 100_000,
        most_bytes: int = 67_108_864,
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
        bounds = ResultBounds(most_rows, most_bytes)
        limits = Limits(most_bytes)
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
            # An in-memory database is lost with its connection.
            lifetime=inf if self._is_memory else lifetime,
            checks_idle=check_idle,
        )
        maximum = 1 if self._is_memory else connections
        self.database = Database(engine, system, links, bounds, maximum=maximum)
        self._statements = {statement.name: statement for statement in statements}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self.database.system})>"

    @property
    def versions(self) -> ConnectorVersions:
        """The versions of SQLAlchemy and its driver, and of the server once connected."""
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
        """The statements in the settings, which can be performed by name."""
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
            return lambda session: session.rows(statement, checked)
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

        def run_steps(session: Session) -> tuple[Any, ...]:
            session.begin(isolation, read_only=read_only)
            results = execute_many(session, checked)
            session.commit()
            return results

        return run_steps

    def _opened_stream(
        self, session: Session, statement: Statement, parameters: Mapping[str, Any], batch: int
    ) -> Any:
        """Start a read-only transaction, and return the rows of a query as a stream."""
        # MySQL's limit would apply to the whole stream instead of each batch.
        session.open(is_limited=self.database.system != "mysql")
        session.begin(None, read_only=True)
        return session.run(statement, parameters, batch)


class RowStreamOperation:
    """An operation that opens a stream of rows."""

    def __init__(self, statement: Statement, parameters: Mapping[str, Any], batch: int) -> None:
        if batch < 1:
            raise InvalidData(
                "A batch needs at least one row.", field="batch", remedy="Give 1 or more."
            )
        if not statement.safe:
            raise InvalidData(
                f"The statement {statement.name!r} is not a query, so its rows cannot be streamed.",
                field="statement",
                remedy="Declare the statement as a Query, or use `query`.",
            )
        self.statement = statement
        self.parameters = parameters
        self.batch = batch


class TransactionOperation:
    """An operation that runs an application's function in an asynchronous transaction."""

    def __init__(self, work: Any, isolation: str | None, read_only: bool) -> None:  # noqa: FBT001 - private
        self.work = work
        self.isolation = isolation
        self.read_only = read_only


def ping(session: Session) -> None:
    """Check that the server responds; for SQLite, check that the file is a database."""
    # SQLite reads no file for a statement that uses no table.
    is_file = session.database.system == "sqlite"
    session.control("PRAGMA schema_version" if is_file else "SELECT 1")


def _as_json(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    rows = cast("tuple[Row[Any], ...]", value)
    return [{name: _plain_json(item) for name, item in row._asdict().items()} for row in rows]


def _plain_json(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
