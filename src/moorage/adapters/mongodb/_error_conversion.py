"""Converts exceptions of pymongo to errors of moorage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson.errors import BSONError, InvalidBSON
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    InvalidName,
    InvalidOperation,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WriteConcernError,
)
from pymongo.errors import ConfigurationError as SettingsError

from moorage.domain.connectors.interruptions import connection_lost
from moorage.domain.connectors.mongodb_failures import (
    MongoFault,
    MongoPhase,
    closed_error,
    mongodb_error,
    not_replicated_error,
    partly_refused_error,
    timeout_error,
    unreachable_error,
    unreadable_values_error,
    unsendable_values_error,
)
from moorage.errors import ConnectorError, InvalidRequest, PoolExhausted

if TYPE_CHECKING:
    from moorage.adapters.mongodb._monitor import Progress


def error_of_pymongo(error: Exception, progress: Progress, obstacles: str) -> ConnectorError | None:
    """Return the error for an exception of pymongo; None for any other exception.

    Args:
        error: the exception.
        progress: the progress of the attempt.
        obstacles: the driver's strings about servers that it cannot reach.
    """
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, InvalidBSON):
        return unreadable_values_error(progress.phase)
    if isinstance(error, (BSONError, OverflowError)):
        return unsendable_values_error()
    if isinstance(error, TimeoutError):
        return _late_error(progress.phase, obstacles)
    if not isinstance(error, PyMongoError):
        return None
    return _of_driver(error, progress, obstacles)


def _late_error(phase: MongoPhase, obstacles: str) -> ConnectorError:
    return unreachable_error(obstacles) if phase is MongoPhase.CONNECTING else timeout_error(phase)


def _of_driver(error: PyMongoError, progress: Progress, obstacles: str) -> ConnectorError:
    phase = progress.phase
    if isinstance(error, WaitQueueTimeoutError):
        return PoolExhausted(
            "The connection pool had no free connection within the timeout of the call.",
            remedy="Make operations use their connections for a shorter time, or raise"
            " `connections`.",
        )
    if isinstance(error, OperationFailure):
        return _of_server(error, progress)
    if isinstance(error, NotPrimaryError):
        details: Any = error.details
        return mongodb_error(_fault(details.get("code"), error, progress), phase)
    if isinstance(error, ConnectionFailure):
        if error.timeout and phase is not MongoPhase.CONNECTING:
            return timeout_error(phase)
        return unreachable_error(f"{error} {obstacles}", phase)
    if isinstance(error, InvalidOperation):
        return closed_error()
    if isinstance(error, InvalidName):
        return InvalidRequest(
            "MongoDB does not accept the name of the collection. Nothing was sent.",
            remedy="Pass a name that is not empty and contains neither $ nor two dots in a row.",
        )
    if isinstance(error, SettingsError):
        return InvalidRequest(
            "The server or the driver does not support this operation with the connector's"
            " settings.",
            remedy="Check the read and write concerns, and that the server supports sessions.",
        )
    return connection_lost(has_effect=phase is MongoPhase.SENT)


def _of_server(error: OperationFailure, progress: Progress) -> ConnectorError:
    details: Any = error.details or {}
    if isinstance(error, BulkWriteError):
        write_errors: list[Any] = details.get("writeErrors", [])
        names = ("nInserted", "nUpserted", "nModified", "nRemoved")
        if write_errors:
            done = sum(details.get(name, 0) for name in names)
            return partly_refused_error(done, write_errors[-1].get("code"))
        return not_replicated_error(in_time=not error.timeout)
    if isinstance(error, WriteConcernError):
        return not_replicated_error(in_time=not error.timeout)
    return mongodb_error(_fault(error.code, error, progress), progress.phase)


def _fault(code: int | None, error: PyMongoError, progress: Progress) -> MongoFault:
    names = ("TransientTransactionError", "UnknownTransactionCommitResult")
    labels = frozenset(name for name in names if error.has_error_label(name))
    is_whole = progress.is_whole or progress.phase is not MongoPhase.SENT
    return MongoFault(code=code, labels=labels, is_whole=is_whole)
