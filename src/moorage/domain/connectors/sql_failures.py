"""The meaning of a database's errors: the moorage error, and whether the work may have been done.

Laws:

1. A statement that the server reports as failed changed nothing: outside a transaction only the
   statement was undone, and inside one the connector undoes everything. This holds for tables with
   transactions; MyISAM has none.
2. A lost connection leaves the outcome unknown only if the lost response was the response to a
   write outside a transaction, or to a COMMIT.
3. No error quotes the driver, because its text may hold a password or a value.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    InvalidRequest,
    TransactionConflict,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from moorage.errors import ConnectorError


class SqlPhase(Enum):
    """The progress of a database operation when it failed.

    `CONNECTING`: nothing was sent. `UNDONE`: what was sent has no effect without a COMMIT that was
    not sent. `SENT`: what was sent may have its effect although no response came.
    """

    CONNECTING = "connecting"
    UNDONE = "undone"
    SENT = "sent"


@attrs.frozen
class SqlFault:
    """The details of an exception that a database driver raised.

    Attributes:
        system: "postgresql", "mysql" or "sqlite".
        code: the SQLSTATE of PostgreSQL, the number of MySQL, the name of SQLite; None if the
            exception has none.
        words: the driver's text in lower case, which is searched for known causes and never shown.
        constraint: the name of the violated constraint, if the server states it.
    """

    system: str
    code: str | None = None
    words: str = attrs.field(default="", repr=False)
    constraint: str | None = None


class _ErrorMeaning(Enum):
    LOST = "lost"
    TIMEOUT = "timeout"
    LOCKED = "locked"
    CONFLICT = "conflict"
    CONSTRAINT = "constraint"
    PASSWORD = "password"  # noqa: S105 - the name of a failure
    PERMISSION = "permission"
    DATABASE = "database"
    FILE = "file"
    STATEMENT = "statement"
    BROKEN = "broken"
    READ_ONLY = "read-only"
    FULL = "full"
    STARTING = "starting"
    HOST = "host"
    REFUSED = "refused"
    TLS = "tls"
    SLOW_CONNECT = "slow connect"
    CANCELLED = "cancelled"
    OTHER = "other"


_POSTGRESQL: Final = (
    ("28", _ErrorMeaning.PASSWORD),
    ("3D000", _ErrorMeaning.DATABASE),
    ("23", _ErrorMeaning.CONSTRAINT),
    ("40001", _ErrorMeaning.CONFLICT),
    ("40P01", _ErrorMeaning.CONFLICT),
    ("40003", _ErrorMeaning.LOST),
    ("55P03", _ErrorMeaning.LOCKED),
    ("57014", _ErrorMeaning.TIMEOUT),
    ("57P03", _ErrorMeaning.STARTING),
    ("57P", _ErrorMeaning.LOST),
    ("25P03", _ErrorMeaning.LOST),
    ("25P04", _ErrorMeaning.LOST),
    ("08", _ErrorMeaning.LOST),
    ("25006", _ErrorMeaning.READ_ONLY),
    ("53300", _ErrorMeaning.FULL),
    ("53", _ErrorMeaning.BROKEN),
    ("58", _ErrorMeaning.BROKEN),
    ("XX", _ErrorMeaning.BROKEN),
    ("42501", _ErrorMeaning.PERMISSION),
    ("42", _ErrorMeaning.STATEMENT),
    ("22", _ErrorMeaning.STATEMENT),
    ("0A", _ErrorMeaning.STATEMENT),
    ("25", _ErrorMeaning.STATEMENT),
)
"""Prefixes of PostgreSQL's SQLSTATE codes; within a class, longer prefixes come first."""

_MYSQL: Final = {
    **dict.fromkeys((1044, 1045, 1698, 1251, 1275, 1862), _ErrorMeaning.PASSWORD),
    **dict.fromkeys((1142, 1143, 1227, 1370), _ErrorMeaning.PERMISSION),
    1049: _ErrorMeaning.DATABASE,
    **dict.fromkeys(
        (1022, 1048, 1062, 1169, 1216, 1217, 1364, 1451, 1452, 1557, 1586, 3819, 4025),
        _ErrorMeaning.CONSTRAINT,
    ),
    **dict.fromkeys((1020, 1213, 1614), _ErrorMeaning.CONFLICT),
    **dict.fromkeys((1205, 3572), _ErrorMeaning.LOCKED),
    **dict.fromkeys((1969, 3024), _ErrorMeaning.TIMEOUT),
    1317: _ErrorMeaning.CANCELLED,
    **dict.fromkeys((0, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1927), _ErrorMeaning.LOST),
    **dict.fromkeys((2006, 2013, 2014, 2055, 4031), _ErrorMeaning.LOST),
    **dict.fromkeys((1040, 1203, 1226), _ErrorMeaning.FULL),
    **dict.fromkeys((1290, 1792, 1836), _ErrorMeaning.READ_ONLY),
    **dict.fromkeys((2002, 2003), _ErrorMeaning.REFUSED),
    2005: _ErrorMeaning.HOST,
    **dict.fromkeys((2026, 3159), _ErrorMeaning.TLS),
    **dict.fromkeys((1021, 1030, 1037, 1038, 1041, 1114, 1135, 1194, 1195), _ErrorMeaning.BROKEN),
    **dict.fromkeys((1054, 1064, 1066, 1109, 1136, 1146, 1241, 1242), _ErrorMeaning.STATEMENT),
    **dict.fromkeys((1264, 1265, 1292, 1305, 1366, 1406, 1690), _ErrorMeaning.STATEMENT),
}

_SQLITE: Final = (
    ("SQLITE_CONSTRAINT", _ErrorMeaning.CONSTRAINT),
    ("SQLITE_BUSY", _ErrorMeaning.CONFLICT),
    ("SQLITE_LOCKED", _ErrorMeaning.CONFLICT),
    ("SQLITE_INTERRUPT", _ErrorMeaning.TIMEOUT),
    ("SQLITE_READONLY", _ErrorMeaning.READ_ONLY),
    ("SQLITE_CANTOPEN", _ErrorMeaning.DATABASE),
    ("SQLITE_AUTH", _ErrorMeaning.PERMISSION),
    ("SQLITE_PERM", _ErrorMeaning.PERMISSION),
    ("SQLITE_FULL", _ErrorMeaning.BROKEN),
    ("SQLITE_IOERR", _ErrorMeaning.BROKEN),
    ("SQLITE_CORRUPT", _ErrorMeaning.BROKEN),
    ("SQLITE_NOTADB", _ErrorMeaning.FILE),
    ("SQLITE_NOMEM", _ErrorMeaning.BROKEN),
    ("SQLITE_", _ErrorMeaning.STATEMENT),
)

_WORDS: Final = (
    ("certificate", _ErrorMeaning.TLS),
    ("ssl", _ErrorMeaning.TLS),
    ("tls", _ErrorMeaning.TLS),
    ("resolve", _ErrorMeaning.HOST),
    ("translate host name", _ErrorMeaning.HOST),
    ("name or service not known", _ErrorMeaning.HOST),
    ("nodename nor servname", _ErrorMeaning.HOST),
    ("unknown mysql server host", _ErrorMeaning.HOST),
    ("temporary failure in name", _ErrorMeaning.HOST),
    ("authentication failed", _ErrorMeaning.PASSWORD),
    ("access denied", _ErrorMeaning.PASSWORD),
    ("no password", _ErrorMeaning.PASSWORD),
    ("pg_hba.conf", _ErrorMeaning.PASSWORD),
    ("role", _ErrorMeaning.PASSWORD),
    ("database", _ErrorMeaning.DATABASE),
    ("too many", _ErrorMeaning.FULL),
    ("slots", _ErrorMeaning.FULL),
    ("starting up", _ErrorMeaning.STARTING),
    ("shutting down", _ErrorMeaning.STARTING),
    ("recovery mode", _ErrorMeaning.STARTING),
    ("timeout", _ErrorMeaning.SLOW_CONNECT),
    ("timed out", _ErrorMeaning.SLOW_CONNECT),
    ("refused", _ErrorMeaning.REFUSED),
    ("no such file", _ErrorMeaning.REFUSED),
)
"""Words of drivers that give no error code while connecting; the first one found decides."""

_UNSENT_FAILURES: Final[dict[_ErrorMeaning, tuple[str, str]]] = {
    _ErrorMeaning.FULL: (
        "The database accepts no more connections.",
        "Lower `connections`, or raise the server's limit.",
    ),
    _ErrorMeaning.STARTING: (
        "The database is starting or shutting down.",
        "Try again when the database is running.",
    ),
    _ErrorMeaning.HOST: (
        "The host name of the database could not be resolved.",
        "Correct the host, or check the DNS server.",
    ),
    _ErrorMeaning.REFUSED: (
        "Nothing accepts connections at the address of the database.",
        "Start the database, or correct the host and the port.",
    ),
    _ErrorMeaning.TLS: (
        "No trusted connection to the database could be opened: TLS failed.",
        (
            "Check that the server offers TLS, that its certificate is valid for the host, and"
            " that `authorities` contains its issuer."
        ),
    ),
    _ErrorMeaning.SLOW_CONNECT: (
        "The database did not accept a connection in time.",
        "Check the address and the network, or raise `connect_timeout`.",
    ),
    _ErrorMeaning.READ_ONLY: (
        "The database is read-only, so nothing was written.",
        "Point the connector to the primary server, or remove `read_only`.",
    ),
    _ErrorMeaning.CANCELLED: (
        "An administrator cancelled the statement, so it changed nothing.",
        "Try again, or ask the administrator.",
    ),
}
"""Database failures after which certainly nothing was done."""

_REJECTIONS: Final[dict[_ErrorMeaning, tuple[type[VendorRejected], str, str]]] = {
    _ErrorMeaning.CONSTRAINT: (
        VendorRejected,
        "The change violates a constraint of the table",
        "Correct the values. Nothing was changed.",
    ),
    _ErrorMeaning.STATEMENT: (
        InvalidRequest,
        "The database does not accept the statement or a value",
        "Correct the statement, its names or the values. Nothing was changed.",
    ),
    _ErrorMeaning.DATABASE: (
        VendorRejected,
        "The server does not have this database",
        "Correct the name of the database, or create it.",
    ),
    _ErrorMeaning.FILE: (
        VendorRejected,
        "The file is not a SQLite database, or it is encrypted",
        "Correct the path in the URL, or restore the file from a backup.",
    ),
    _ErrorMeaning.OTHER: (
        VendorRejected,
        "The database refused the statement",
        "Look up the code in the manual of the database. Nothing was changed.",
    ),
}


def sql_error(fault: SqlFault, phase: SqlPhase) -> ConnectorError:
    """Return the error for a failure of a database."""
    meaning = _meaning(fault, phase)
    code: dict[str, Any] = {"vendor_code": fault.code}
    if meaning in _UNSENT_FAILURES:
        message, remedy = _UNSENT_FAILURES[meaning]
        retryable = meaning not in {_ErrorMeaning.TLS, _ErrorMeaning.HOST}
        return ConnectionFailed(
            message, may_have_been_processed=False, remedy=remedy, retryable=retryable
        )
    if meaning in _REJECTIONS:
        kind, message, remedy = _REJECTIONS[meaning]
        constraint_note = f" ({fault.constraint})" if fault.constraint else ""
        return kind(f"{message}{constraint_note}.", remedy=remedy, **code)
    if meaning is _ErrorMeaning.PASSWORD:
        return AuthenticationFailed(
            "The database rejected the user or the password.",
            remedy="Correct the user and the password of the connector.",
            **code,
        )
    if meaning is _ErrorMeaning.PERMISSION:
        return AuthenticationFailed(
            "The connector's user does not have permission to execute this statement.",
            remedy="Grant the permission to the connector's user.",
            **code,
        )
    if meaning is _ErrorMeaning.CONFLICT:
        return TransactionConflict(
            "The database rolled back the transaction because of a concurrent transaction."
        )
    if meaning in {_ErrorMeaning.TIMEOUT, _ErrorMeaning.LOCKED}:
        return timeout_error(SqlPhase.UNDONE, locked=meaning is _ErrorMeaning.LOCKED)
    if meaning is _ErrorMeaning.BROKEN:
        return VendorFailed(
            "The database reported an internal error.",
            may_have_been_processed=False,
            remedy="Check the log of the database server.",
            **code,
        )
    return connection_lost_error(phase)


def connection_lost_error(phase: SqlPhase) -> ConnectionFailed:
    """Return the error for a database connection that was lost."""
    return ConnectionFailed(
        "The connection to the database was lost.",
        may_have_been_processed=phase is SqlPhase.SENT,
        remedy="Check that the database is running, and check the network and the proxies in"
        " front of it.",
    )


def timeout_error(phase: SqlPhase, *, locked: bool = False) -> AttemptTimeout:
    """Return the error for a statement that exceeded its time limit."""
    return AttemptTimeout(
        "The statement waited too long for rows that another transaction has locked."
        if locked
        else "The statement took longer than the timeout of the attempt.",
        may_have_been_processed=phase is SqlPhase.SENT,
        remedy="Check the query plan of the statement and the locks, or raise the timeout of"
        " the call.",
    )


def unreadable_value_error(phase: SqlPhase) -> ConnectorError:
    """Return the error for a row with a value that the driver cannot convert."""
    problem = "The driver cannot convert a value in the rows, such as a date in the year 20000."
    if phase is SqlPhase.SENT:
        return ConnectionFailed(
            f"{problem} The statement was executed.",
            may_have_been_processed=True,
            retryable=False,
            remedy="Check the changed rows. Let the statement return the value as text with CAST.",
        )
    return InvalidRequest(
        problem, remedy="Let the statement return the value as text with CAST. Nothing was changed."
    )


def oversized_error(phase: SqlPhase) -> ConnectorError:
    """Return the error for a result that exceeds the connector's size limits."""
    problem = "The result of the statement exceeds `most_rows` or `most_bytes`."
    if phase is SqlPhase.SENT:
        return ConnectionFailed(
            f"{problem} The connection was closed before the end of the result.",
            may_have_been_processed=True,
            retryable=False,
            remedy="Check whether the rows were changed. Return fewer rows from the command.",
        )
    return InvalidRequest(
        problem,
        remedy="Read the rows with `stream`, select fewer rows, or raise the limit. Nothing"
        " was changed.",
    )


def _meaning(fault: SqlFault, phase: SqlPhase) -> _ErrorMeaning:
    meaning = None if fault.code is None else _meaning_of_code(fault.system, fault.code)
    if phase is SqlPhase.CONNECTING and meaning in {
        None,
        _ErrorMeaning.LOST,
        _ErrorMeaning.REFUSED,
    }:
        # While drivers connect, they report several causes under the same code.
        by_words = next((kind for words, kind in _WORDS if words in fault.words), None)
        return by_words or meaning or _ErrorMeaning.LOST
    if meaning is not None:
        return meaning
    return _ErrorMeaning.LOST if fault.code is None else _ErrorMeaning.OTHER


def _meaning_of_code(system: str, code: str) -> _ErrorMeaning | None:
    if system == "mysql":
        return _MYSQL.get(int(code)) if code.isdecimal() else None
    table = _SQLITE if system == "sqlite" else _POSTGRESQL
    return next((kind for beginning, kind in table if code.startswith(beginning)), None)


def server_time_limit(seconds: float) -> float:
    """Return the time limit in seconds that the database server gets for an attempt's statements.

    It ends 10 to 50 milliseconds before the attempt, so that the server's own report arrives: only
    that proves that nothing happened. It is a multiple of 40 milliseconds, so that calls with
    nearly the same timeout share it, and it is set once per connection.
    """
    if seconds >= _FINE_SECONDS:
        return int((seconds - _MARGIN) / _GRID) * _GRID
    return max(0.001, int(seconds * 800) / 1000)


_GRID: Final = 0.04
_MARGIN: Final = 0.01
_FINE_SECONDS: Final = 0.1
