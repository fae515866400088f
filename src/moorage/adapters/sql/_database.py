"""A database and its connections, each with a time limit.

Everything here is synchronous. An asynchronous connector runs it in a greenlet, in which the
asynchronous drivers of SQLAlchemy suspend the task.

Laws:

1. A connection is in autocommit mode, and moorage's own statements begin and end each transaction.
   So it is always known whether a lost connection may have left changes behind.
2. A connection is used again only if no transaction is open on it; otherwise it is closed.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast
from uuid import UUID

import attrs
from sqlalchemy.exc import SQLAlchemyError

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.sql._driver_errors import (
    AnswerCutError,
    OversizedResultError,
    driver_error_of,
    is_unreadable,
)
from moorage.adapters.sql._expressions import executable_of
from moorage.domain.connectors.pool_statistics import PoolStatistics
from moorage.domain.connectors.sql_failures import SqlPhase, server_time_limit
from moorage.domain.connectors.sql_summary import summary_of
from moorage.domain.observation.operation_target import DatabaseTarget
from moorage.domain.secrets.frames import without_frames
from moorage.errors import BulkheadFull, InvalidData, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, CursorResult, Engine, Row

    from moorage.adapters.sql._links import SqlLink, SqlLinks
    from moorage.adapters.sql.statements import Statement

R = TypeVar("R")

_SCALARS: Final = frozenset(
    {type(None), bool, int, float, str, bytes, Decimal, date, datetime, time, timedelta, UUID}
)

_USUAL_PORTS: Final = {"postgresql": 5432, "mariadb": 3306, "mysql": 3306}
_ROWS_AT_ONCE: Final = 256
"""The number of rows after which the size of a result is checked again."""

_MOST_STATEMENTS: Final = 1_000
"""The number of statements whose driver's texts and summaries are kept."""

_Written: TypeAlias = "tuple[str, tuple[str, ...] | None]"
"""A text for the driver, and the order of its parameters; None if the driver takes their names."""


@attrs.frozen
class ResultBounds:
    """The size limits of a result that is returned as a whole, not as a stream.

    Attributes:
        rows: the largest number of rows.
        bytes: the largest number of bytes of its strings and binary values.
    """

    rows: int
    bytes: int


class Session:
    """One attempt of a SQL operation, on one connection.

    Attributes:
        phase: the progress of the attempt.
        is_open: True while a transaction is open on the connection.
        until: the end of the attempt, by the monotonic clock.
    """

    __slots__ = (
        "_is_disordered",
        "_undoing_failure",
        "connection",
        "database",
        "holder",
        "is_open",
        "link",
        "phase",
        "until",
    )

    connection: Connection

    def __init__(self, database: Database, holder: str, timeout: float) -> None:
        self.database = database
        self.holder = holder
        self.phase = SqlPhase.CONNECTING
        self.until = monotonic() + timeout
        self.is_open = False
        self.link: SqlLink | None = None
        self._is_disordered = False
        self._undoing_failure: Exception | None = None

    def open(self, *, is_limited: bool = True) -> None:
        """Take a connection, and set its time limit."""
        database = self.database
        database.check_open()
        self.link = link = database.links.take(self.until)
        self.connection = link.connection
        database.holders[self] = None
        seconds = server_time_limit(self.until - monotonic()) if is_limited else 0
        link.limit_statements(round(seconds * 1000))
        self.phase = SqlPhase.UNDONE

    def end_waits_at(self, until: float) -> None:
        """Set the deadline for the next batch of a stream."""
        self.until = until
        cast("SqlLink", self.link).end_waits_at(until)

    def close(self, *, broken: bool = False) -> None:
        """Give the connection back for reuse, or close it if it is no longer usable."""
        database, link = self.database, self.link
        database.holders.pop(self, None)
        if link is None:
            return
        self.link = None
        if broken or self._is_disordered or self.is_open or link.connection.invalidated:
            database.links.discard(link)
        else:
            database.links.give_back(link)
        if database.is_closed:
            # The connector was closed while this connection was being returned.
            database.close_idle()

    def run(
        self, statement: Statement, parameters: Mapping[str, Any], batch: int | None = None
    ) -> CursorResult[Any]:
        """Execute a statement with checked parameters; with `batch`, return a stream of rows."""
        self._check_order()
        if not self.is_open and not statement.safe:
            self.phase = SqlPhase.SENT
        options = None if batch is None else {"stream_results": True, "max_row_buffer": batch}
        written = self.database.written(statement)
        result: CursorResult[Any]
        if written is None:
            result = self.connection.execute(
                prepared(statement)[0], parameters, execution_options=options
            )
        else:
            text, order = written
            values: Any = parameters if order is None else tuple([parameters[key] for key in order])
            result = self.connection.exec_driver_sql(
                text, values or None, execution_options=options
            )
        if not self.is_open:
            self.phase = SqlPhase.UNDONE
        return result

    def rows(self, statement: Statement, parameters: Mapping[str, Any]) -> tuple[Row[Any], ...]:
        """Execute a query with checked parameters, and return its rows up to the size limits."""
        result = self._result(statement, parameters)
        if statement.safe or self.is_open:
            return self._fetch_within_bounds(result)
        # The statement has taken effect before its rows are read.
        self.phase = SqlPhase.SENT
        rows = self._fetch_within_bounds(result)
        self.phase = SqlPhase.UNDONE
        return rows

    def rows_or_count(self, statement: Statement, parameters: Mapping[str, Any]) -> Any:
        """Execute a statement in a transaction; return its rows, or the number of changed rows."""
        result = self._result(statement, parameters)
        return self._fetch_within_bounds(result) if result.returns_rows else result.rowcount

    def _result(self, statement: Statement, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        # MySQL's drivers would read the whole result before they return its first row.
        is_streamed = self.database.system == "mysql" and statement.safe
        return self.run(statement, parameters, _ROWS_AT_ONCE if is_streamed else None)

    def _fetch_within_bounds(self, result: CursorResult[Any]) -> tuple[Row[Any], ...]:
        bounds, size, rows = self.database.bounds, 0, list[Any]()
        link = cast("SqlLink", self.link)
        while True:
            batch = result.fetchmany(_ROWS_AT_ONCE)
            rows += batch
            is_last = len(batch) < _ROWS_AT_ONCE
            if not is_last or link.may_have_large_values():
                size += _size_of(batch)
            if len(rows) > bounds.rows or size > bounds.bytes:
                if self.database.system == "mysql" and not is_last:
                    self.forget_unread_rows()
                    self._is_disordered = True
                result.close()
                raise OversizedResultError
            if is_last:
                result.close()
                return tuple(rows)

    def forget_unread_rows(self) -> None:
        """Make a MySQL driver close the connection without first reading all remaining rows."""
        cast("SqlLink", self.link).forget_unread_rows()

    def run_each(self, statement: Statement, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Execute a statement in an open transaction, once per set of parameters."""
        executable, _, _ = prepared(statement)
        self.connection.execute(executable, parameters)

    def control(self, text: str) -> None:
        """Execute a transaction command, such as COMMIT."""
        self._check_order()
        self.connection.exec_driver_sql(text)

    def begin(self, isolation: str | None, *, read_only: bool) -> None:
        """Begin a SQL transaction."""
        level = None if isolation is None else _level(isolation)
        access = " READ ONLY" if read_only else ""
        self.is_open = True
        match self.database.system:
            case "postgresql":
                self.control("BEGIN" + (f" ISOLATION LEVEL {level}" if level else "") + access)
            case "mysql":
                if level:
                    self.control(f"SET TRANSACTION ISOLATION LEVEL {level}")
                self.control("START TRANSACTION" + access)
            case _:
                self.control("BEGIN" if read_only else "BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit the transaction; until the server responds, the outcome is unknown."""
        self._check_order()
        self.check_transaction()
        self.phase = SqlPhase.SENT
        self.control("COMMIT")
        self.is_open, self.phase = False, SqlPhase.UNDONE

    def roll_back(self) -> None:
        """Roll back the open transaction, if the connection still works."""
        if self.is_open and not self.connection.invalidated:
            # SQLite refuses to roll back a transaction that it has rolled back itself.
            if self.database.system != "sqlite" or cast("SqlLink", self.link).has_transaction():
                self.control("ROLLBACK")
            self.is_open = False

    def roll_back_to(self, savepoint: str) -> None:
        """Undo the changes since a savepoint after a failure, if the transaction still exists."""
        try:
            self.control(f"ROLLBACK TO SAVEPOINT {savepoint}")
        except Exception as error:  # noqa: BLE001 - raised by the next step, or by the commit
            if self._undoing_failure is None:
                self._undoing_failure = self.failure(error)
        else:
            self._undoing_failure = None

    def check_transaction(self) -> None:
        """Raise the error that rolled back the open transaction, even if the program caught it."""
        if self._undoing_failure is not None:
            raise self._undoing_failure

    def note_failure(self, failure: Exception) -> None:
        """Remember the error of a step if the error has rolled back the open transaction."""
        link = cast("SqlLink", self.link)
        if self._undoing_failure is None and (
            self._is_disordered or link.connection.invalidated or not link.has_transaction()
        ):
            self._undoing_failure = failure

    def _check_order(self) -> None:
        """Raise an error if unread bytes of an old response could be read as the next response."""
        if self._is_disordered:
            raise AnswerCutError

    def failure(self, error: Exception) -> Exception:
        """Convert an exception to an error of moorage; return an unknown one unchanged."""
        if is_unreadable(error) or isinstance(error, AnswerCutError):
            self._is_disordered = True
        judged_error = driver_error_of(error, self.database.system, self.phase)
        return error if judged_error is None else without_frames(judged_error)

    def abort(self) -> None:
        """Roll back after a failure, or close the connection if that fails."""
        if self._is_disordered or self.phase is SqlPhase.CONNECTING:
            # SQLAlchemy does not notice the failed statement, and would reuse the connection.
            self.close(broken=True)
            return
        try:
            self.roll_back()
        except Exception:  # noqa: BLE001 - then the connection is closed, which undoes it too
            self.close(broken=True)
        except BaseException:
            self.close(broken=True)
            raise
        else:
            self.close()


class Database:
    """A SQLAlchemy engine, with counters of its connections."""

    def __init__(
        self, engine: Engine, system: str, links: SqlLinks, bounds: ResultBounds, *, maximum: int
    ) -> None:
        self.engine = engine
        self.system = system
        self.links = links
        self.bounds = bounds
        self.maximum = maximum
        self.is_closed = False
        self.holders: dict[Session, None] = {}
        self.waiting = 0
        self.server_version: str | None = None
        self._targets: dict[Statement, DatabaseTarget] = {}
        self._written: dict[Statement, _Written | None] = {}
        in_child(self, Database._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The connections belong to the parent process, which still uses them.
        self.links.abandon()
        for session in self.holders:
            # A connection that was found broken just before the fork cannot be detached.
            with suppress(SQLAlchemyError):
                session.connection.detach()
        self.engine.dispose(close=False)
        self.holders = {}
        self.waiting = 0

    def close_idle(self) -> None:
        """Close idle connections now, and busy ones when they are returned."""
        self.links.close()
        self.engine.pool.dispose()

    def check_open(self) -> None:
        """Raise an error if the connector is closed."""
        if self.is_closed:
            raise LocalFailure(
                "The connector is closed.",
                remedy="Perform the operations before you close the connector.",
            )

    def written(self, statement: Statement) -> _Written | None:
        """Return a statement's text in the driver's syntax; None if SQLAlchemy must compile it.

        SQLAlchemy compiles expressions, and strings whose lists of values vary in length.
        """
        try:
            return self._written[statement]
        except KeyError:
            pass
        written: _Written | None = None
        executable, _, lists = prepared(statement)
        if statement.text is not None and not lists:
            compiled_statement: Any = executable.compile(dialect=self.engine.dialect)
            order = tuple(compiled_statement.positiontup) if compiled_statement.positional else None
            written = compiled_statement.string, order
        if len(self._written) < _MOST_STATEMENTS:
            self._written[statement] = written
        return written

    def target(self, statements: tuple[Statement, ...]) -> DatabaseTarget:
        """Describe an operation's database and statements for traces and metrics."""
        if len(statements) != 1:
            batch_size = len(statements) or None
            return attrs.evolve(
                self._describe_database(),
                operation="BATCH" if batch_size else None,
                batch_size=batch_size,
            )
        statement = statements[0]
        target = self._targets.get(statement)
        if target is None:
            text = str(statement.expression) if statement.text is None else statement.text.text
            summary = summary_of(text)
            target = attrs.evolve(
                self._describe_database(),
                text=text,
                summary=summary.text,
                operation=summary.operation,
                collection=summary.collection,
            )
            if len(self._targets) < _MOST_STATEMENTS:
                self._targets[statement] = target
        return target

    def _describe_database(self) -> DatabaseTarget:
        """Describe the database for traces and metrics."""
        url = self.engine.url
        product = url.get_backend_name()
        if getattr(self.engine.dialect, "is_mariadb", False):
            product = "mariadb"
        return DatabaseTarget(
            system=product,
            namespace=None if product == "sqlite" else url.database,
            host=url.host,
            port=None if url.port == _USUAL_PORTS.get(product) else url.port,
        )

    def statistics(self) -> PoolStatistics:
        """Return the statistics of the connection pool."""
        links = self.links
        return PoolStatistics(
            created=links.created,
            reused=max(0, links.taken - links.created),
            idle=links.idle,
            active=len(self.holders),
            waiting=self.waiting,
            maximum=self.maximum,
        )

    def exhausted(self) -> BulkheadFull:
        """Return the error for a pool without a free connection."""
        now = monotonic()
        names = ", ".join(
            f"{session.holder} ({session.until - now:.1f} s left)"
            for session in list(self.holders)[:5]
        )
        return BulkheadFull(
            f"All {self.maximum} connections of the pool are in use: {names or 'none is free'}.",
            remedy="Make operations use their connections for a shorter time, or raise"
            " `connections`.",
        )

    def attempt(self, session: Session, work: Callable[[Session], R]) -> R:
        """Run a function on a connection; convert the driver's exceptions to errors of moorage."""
        try:
            session.open()
            value = work(session)
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = session.failure(error)
            session.abort()
        except BaseException:
            session.close(broken=True)
            raise
        else:
            session.close()
            return value
        # Raised outside the handler, so that it does not carry the driver's frames.
        try:
            raise failure
        finally:
            del failure

    def checked_parameters(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Check and return the parameters of a statement.

        Raises:
            InvalidData: a parameter is missing or unknown, or is not a plain value.
        """
        text = statement.text
        if text is not None and text.has_double_quotes and self.system == "mysql":
            raise InvalidData(
                f"The statement {statement.name!r} contains double quotes, which MySQL may"
                " read as a string value.",
                field="statement",
                remedy="Quote names with backticks.",
            )
        _, names, lists = prepared(statement)
        if parameters.keys() != names:
            raise _wrong_names(statement.name, names, parameters)
        for name, value in parameters.items():
            if name in lists or type(value) not in _SCALARS:
                return {
                    key: _plain_value(
                        key, item, is_list=key in lists, arrays=self.system == "postgresql"
                    )
                    for key, item in parameters.items()
                }
        return parameters


def prepared(statement: Statement) -> tuple[Any, frozenset[str], frozenset[str]]:
    """Return the statement for SQLAlchemy, and the names of its single and list parameters."""
    compiled_statement = statement.compiled
    if compiled_statement is None:
        compiled_statement = executable_of(statement)
        object.__setattr__(statement, "compiled", compiled_statement)
    return compiled_statement


def _plain_value(name: str, value: Any, *, is_list: bool, arrays: bool) -> Any:
    if isinstance(value, Enum):
        value = value.value
    kind: Any = value.__class__
    if kind in {list, tuple} and (is_list or arrays):
        items = cast("list[Any]", value)
        return [_plain_value(name, item, is_list=False, arrays=False) for item in items]
    if is_list:
        raise InvalidData(
            f"The parameter {name!r} follows IN, so it must be a list.",
            field=name,
            remedy="Pass a list or a tuple of values.",
        )
    if kind not in _SCALARS:
        raise InvalidData(
            f"The parameter {name!r} has the unsupported type {kind.__name__}.",
            field=name,
            remedy="Pass a str, bytes, a number, a date or time, a UUID or None. Pass JSON as"
            " a str, and a list after IN.",
        )
    return value


def _wrong_names(
    statement: str, names: frozenset[str], parameters: Mapping[str, Any]
) -> InvalidData:
    missing_names = sorted(names - parameters.keys())
    # A parameter name may come from user input, so unknown names are counted, not shown.
    unknown_count = len(parameters.keys() - names)
    sentence = f"lacks the parameters {', '.join(missing_names)}" if missing_names else ""
    if unknown_count:
        sentence += (" and " if missing_names else "") + f"gets {unknown_count} unknown parameters"
    return InvalidData(
        f"The statement {statement!r} {sentence}.",
        field="parameters",
        remedy=f"Give exactly these: {', '.join(sorted(names)) or 'none'}.",
    )


def _level(isolation: str) -> str:
    level = isolation.upper().replace("_", " ")
    if level not in _LEVELS:
        raise InvalidData(
            "The isolation level is unknown.",
            field="isolation",
            remedy=f"Give one of {', '.join(sorted(_LEVELS)).lower()}.",
        )
    return level


_LEVELS: Final = frozenset(
    {"READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}
)


def execute_many(
    session: Session, steps: Sequence[tuple[Statement, Mapping[str, Any]]]
) -> tuple[Any, ...]:
    """Execute statements; return for each its rows, or the number of changed rows."""
    return tuple(session.rows_or_count(*step) for step in steps)


def _size_of(rows: Iterable[Row[Any]]) -> int:
    return sum(
        [len(value) for value in chain.from_iterable(rows) if isinstance(value, (str, bytes))]
    )
