"""Converts exceptions of database drivers to errors of moorage."""

from __future__ import annotations

from struct import error as StructError  # noqa: N812 - it is the name of a class
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from moorage.domain.connectors.sql_failures import (
    SqlFault,
    SqlPhase,
    oversized_error,
    sql_error,
    timeout_error,
    unreadable_value_error,
)
from moorage.errors import ConnectionFailed, ConnectorError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNSENDABLE_ERRORS = (OverflowError, UnicodeError)
"""Errors of drivers for a value that they cannot send."""


class OversizedResultError(Exception):
    """Raised if a result exceeds the connector's size limits."""


class AnswerCutError(OversizedResultError):
    """Raised if a response was too large, so that the rest of the response was not read."""


_UNREADABLE_ERRORS = (LookupError, ValueError, StructError)
"""Errors of drivers for bytes of a server that are not of its protocol."""

_DRIVERS = frozenset({"psycopg", "pymysql", "asyncmy", "sqlite3"})

_MISUSE = frozenset({"ProgrammingError", "DataError", "NotSupportedError"})

_READERS_OF_ROWS = frozenset({"load_row", "load_rows"})
"""Functions of psycopg that convert the rows of an executed statement."""


def driver_error_of(error: Exception, system: str, phase: SqlPhase) -> ConnectorError | None:
    """Return the error for an exception of SQLAlchemy or a driver; None for any other."""
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, OversizedResultError):
        return oversized_error(phase)
    if isinstance(error, (TimeoutError, PoolTimeoutError)):
        return timeout_error(phase)
    if is_unreadable(error):
        return ConnectionFailed(
            "The server sent data that the database driver cannot read.",
            may_have_been_processed=phase is SqlPhase.SENT,
            remedy="Check the host, the port, and any proxy in front of the server.",
        )
    if isinstance(error, _UNSENDABLE_ERRORS) or (
        isinstance(error, StatementError) and not isinstance(error, DBAPIError)
    ):
        return InvalidRequest(
            "The database cannot store a value, or a value has the wrong type.",
            remedy="Correct the values. Nothing was changed.",
        )
    if isinstance(error, (OSError, SQLAlchemyError)) or _is_of_driver(error):
        return _of_driver(error, system, phase)
    return None


def is_unreadable(error: Exception) -> bool:
    """Return whether a driver failed while reading the server's answer.

    Drivers have no errors of their own for that. The connection cannot be used again, because the
    unread rest of the answer would be taken for the next answer.
    """
    trace = error.__traceback__
    if (
        trace is None
        or not isinstance(error, _UNREADABLE_ERRORS)
        or isinstance(error, UnicodeEncodeError)
        or _is_of_driver(error)
    ):
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    name: str = trace.tb_frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in _DRIVERS


def _of_driver(error: Exception, system: str, phase: SqlPhase) -> ConnectorError:
    origin: Any = error.orig if isinstance(error, DBAPIError) else error
    if any(isinstance(cause, TimeoutError) for cause in _causes(origin)):
        return timeout_error(phase)
    code: str | None = None
    constraint: str | None = None
    if system == "postgresql":
        code = getattr(origin, "sqlstate", None)
        constraint = getattr(getattr(origin, "diag", None), "constraint_name", None)
    elif system == "sqlite":
        code = getattr(origin, "sqlite_errorname", None)
    elif origin.args and isinstance(origin.args[0], int):
        code = str(origin.args[0])
    if code is None and _was_reading_rows(origin):
        return unreadable_value_error(phase)
    if code is None and type(origin).__name__ in _MISUSE:
        return InvalidRequest(
            "The database driver cannot use the statement or a value.",
            remedy="Correct the statement or the values. Nothing was sent.",
        )
    return sql_error(SqlFault(system, code, str(origin).lower(), constraint), phase)


def _was_reading_rows(error: BaseException) -> bool:
    """Return whether psycopg failed to convert a row, which happens after the statement ran."""
    trace = error.__traceback__
    while trace is not None:
        module: str = trace.tb_frame.f_globals.get("__name__", "")
        function = trace.tb_frame.f_code.co_name.rpartition(".")[2]
        if function in _READERS_OF_ROWS and module.startswith("psycopg"):
            return True
        trace = trace.tb_next
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_of_driver(error: Exception) -> bool:
    homes = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return not homes.isdisjoint(_DRIVERS)
