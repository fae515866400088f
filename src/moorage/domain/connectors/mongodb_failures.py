"""The meaning of MongoDB's failures: the moorage error, and whether the work may have been done.

Laws:

1. A change of one document that the server reports as failed did not happen. A change of several
   documents may have happened in part.
2. Inside a transaction nothing remains without its commit. Only a lost response to the commit
   leaves the outcome open.
3. No error quotes the driver, because its text may hold a password or a value.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.connectors import interruptions
from moorage.domain.connectors.interruptions import connection_lost
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    InvalidRequest,
    LocalFailure,
    TransactionConflict,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from moorage.errors import ConnectorError


class MongoPhase(Enum):
    """The progress of a MongoDB operation when it failed.

    `CONNECTING`: nothing was sent. `UNDONE`: the sent commands change nothing. `SENT`: the sent
    commands may have taken effect although no reply arrived.
    """

    CONNECTING = "connecting"
    UNDONE = "undone"
    SENT = "sent"


@attrs.frozen(kw_only=True)
class MongoFault:
    """The details of a failure that a MongoDB server reported.

    Attributes:
        code: the number of the error; None if the server gave none.
        labels: the labels of the error, such as "TransientTransactionError".
        is_whole: whether the operation is atomic.
    """

    code: int | None = None
    labels: frozenset[str] = frozenset()
    is_whole: bool = True


class _ErrorMeaning(Enum):
    PASSWORD = "password"  # noqa: S105 - the name of a failure
    PERMISSION = "permission"
    CONFLICT = "conflict"
    TIMEOUT = "timeout"
    STEPPING = "stepping down"
    NOT_PRIMARY = "not primary"
    BROKEN = "broken"
    LOST = "lost"


_CODES: Final = {
    **dict.fromkeys((11, 18, 319, 334, 8000), _ErrorMeaning.PASSWORD),
    13: _ErrorMeaning.PERMISSION,
    **dict.fromkeys((24, 112, 246, 251), _ErrorMeaning.CONFLICT),
    **dict.fromkeys((50, 202, 262), _ErrorMeaning.TIMEOUT),
    **dict.fromkeys((10107, 13435), _ErrorMeaning.NOT_PRIMARY),
    **dict.fromkeys((91, 189, 11600, 11602, 13436), _ErrorMeaning.STEPPING),
    **dict.fromkeys((6, 7, 43, 89, 9001), _ErrorMeaning.LOST),
    **dict.fromkeys((1, 8, 14031, 96, 365), _ErrorMeaning.BROKEN),
}

_REJECTION_CODES: Final[dict[int, tuple[type[VendorRejected], str, str]]] = {
    **dict.fromkeys(
        (11000, 11001, 12582),
        (
            VendorRejected,
            "A document with the same unique value already exists",
            "Correct the value, or change the existing document.",
        ),
    ),
    121: (
        VendorRejected,
        "The document violates the validation rules of its collection",
        "Correct the document.",
    ),
    **dict.fromkeys(
        (20, 263, 40573),
        (
            InvalidRequest,
            "The server's deployment does not support this operation",
            "Transactions and change streams need a replica set or a sharded cluster.",
        ),
    ),
    **dict.fromkeys(
        (260, 280, 286),
        (
            VendorRejected,
            "The server no longer has the changes since this token",
            "Read the collection again, and watch it without a token.",
        ),
    ),
    **dict.fromkeys(
        (2, 9, 14, 52, 59, 66, 72, 168, 40324),
        (
            InvalidRequest,
            "The server does not accept the operation or a value in it",
            "Correct the names, operators and values of the operation.",
        ),
    ),
}
_OTHER_REJECTION: Final = (
    VendorRejected,
    "The server refused the operation",
    "Look up the code in the MongoDB manual.",
)

_KNOWN_OUTCOMES: Final[
    dict[_ErrorMeaning, tuple[type[AuthenticationFailed | VendorFailed], str, str]]
] = {
    _ErrorMeaning.PASSWORD: (
        AuthenticationFailed,
        "The server rejected the user or the password.",
        "Correct the user, the password and `auth_source` of the connector.",
    ),
    _ErrorMeaning.PERMISSION: (
        AuthenticationFailed,
        "The connector's user does not have permission to perform this operation.",
        "Grant the role to the connector's user.",
    ),
    _ErrorMeaning.BROKEN: (
        VendorFailed,
        "The server reported an internal error.",
        "Check the server's log.",
    ),
}
"""MongoDB failures whose error determines the outcome."""

_TRANSIENT_LABEL: Final = "TransientTransactionError"
_UNKNOWN: Final = "UnknownTransactionCommitResult"

_WORDS: Final = (
    (
        (
            "name or service not known",
            "nodename nor servname",
            "name resolution",
            "getaddrinfo",
            "query name does not exist",
        ),
        "The host name of the server could not be resolved.",
        "Correct the host, or check the DNS server.",
        False,
    ),
    (
        ("certificate verify failed", "ssl handshake failed", "hostname mismatch"),
        "No trusted connection to the server could be opened: TLS failed.",
        (
            "Check that the server offers TLS, that its certificate is valid for the host, and"
            " that `authorities` contains its issuer."
        ),
        False,
    ),
    (
        ("connection refused", "[errno 111]", "[errno 61]"),
        "Nothing accepts connections at the address of the server.",
        "Start the server, or correct the host and the port.",
        True,
    ),
)
"""Texts of the MongoDB driver about connections that failed to open, with their meanings."""


def mongodb_error(fault: MongoFault, phase: MongoPhase) -> ConnectorError:
    """Return the error for a failure that the MongoDB server reported."""
    code: dict[str, Any] = {"vendor_code": None if fault.code is None else str(fault.code)}
    if _TRANSIENT_LABEL in fault.labels:
        return _conflict()
    if _UNKNOWN in fault.labels:
        return timeout_error(MongoPhase.SENT)
    meaning = _CODES.get(fault.code or 0)
    if meaning is None:
        kind, message, remedy = _REJECTION_CODES.get(fault.code or 0, _OTHER_REJECTION)
        outcome = (
            "Nothing was changed." if fault.is_whole else "Some documents may have been changed."
        )
        return kind(f"{message}.", remedy=f"{remedy} {outcome}", **code)
    if meaning in _KNOWN_OUTCOMES:
        failure, message, remedy = _KNOWN_OUTCOMES[meaning]
        return failure(message, remedy=remedy, **code)
    return _interruption_error(meaning, phase, MongoPhase.UNDONE if fault.is_whole else phase)


def _interruption_error(
    meaning: _ErrorMeaning, phase: MongoPhase, done: MongoPhase
) -> ConnectorError:
    """Return the error for a MongoDB operation that was interrupted.

    Args:
        meaning: the meaning of the failure.
        phase: the progress, if the server may have made the change before it failed.
        done: the progress, if the server certainly failed before it made the change.
    """
    match meaning:
        case _ErrorMeaning.CONFLICT if done is not MongoPhase.SENT:
            return _conflict()
        case _ErrorMeaning.TIMEOUT:
            return timeout_error(phase)
        case _ErrorMeaning.NOT_PRIMARY:
            return _stepped_down_error(done)
        case _ErrorMeaning.STEPPING:
            return _stepped_down_error(phase)
        case _:
            return connection_lost(has_effect=phase is MongoPhase.SENT)


def _conflict() -> TransactionConflict:
    return TransactionConflict("The server rolled back the change because of a concurrent change.")


def _stepped_down_error(phase: MongoPhase) -> ConnectionFailed:
    return ConnectionFailed(
        "The server is no longer the primary of its replica set.",
        may_have_been_processed=phase is MongoPhase.SENT,
        remedy="Try again: another server will become the primary.",
    )


def unreachable_error(words: str, phase: MongoPhase = MongoPhase.CONNECTING) -> ConnectionFailed:
    """Return the error for a MongoDB connection that was lost or could not be opened.

    Args:
        words: the driver's text, which is searched for known causes and never shown.
        phase: the progress of the operation.
    """
    if phase is not MongoPhase.CONNECTING:
        return connection_lost(has_effect=phase is MongoPhase.SENT)
    lower_text = words.lower()
    for beginnings, message, remedy, retryable in _WORDS:
        if any(word in lower_text for word in beginnings):
            return ConnectionFailed(
                message, may_have_been_processed=False, remedy=remedy, retryable=retryable
            )
    return ConnectionFailed(
        "No server accepted a connection in time.",
        may_have_been_processed=False,
        remedy="Check the address, the name of the replica set, the TLS settings and the"
        " network, or raise `connect_timeout`.",
    )


def timeout_error(phase: MongoPhase) -> AttemptTimeout:
    """Return the error for a MongoDB operation that exceeded its time limit."""
    return interruptions.timed_out(
        "Check the query plan and the indexes of the operation, or raise the timeout of the call.",
        has_effect=phase is MongoPhase.SENT,
    )


def not_replicated_error(*, in_time: bool) -> ConnectionFailed:
    """Return the error for a change that was made, but that too few servers have confirmed."""
    kind = ConnectionFailed if in_time else AttemptTimeout
    return kind(
        "The change was made, but too few servers of the replica set confirmed it.",
        may_have_been_processed=True,
        remedy="Check the state of the replica set. If the primary loses the change, MongoDB"
        " rolls it back.",
    )


def partly_refused_error(done: int, code: int | None) -> VendorRejected:
    """Return the error for a set of MongoDB changes that the server refused in part."""
    _, message, remedy = _REJECTION_CODES.get(code or 0, _OTHER_REJECTION)
    count = "1 document was" if done == 1 else f"{done} documents were"
    return VendorRejected(
        f"{message}; {count} changed before.",
        remedy=f"{remedy} If all or none of the changes must happen, perform them in a"
        " transaction.",
        vendor_code=None if code is None else str(code),
    )


def unsendable_values_error() -> InvalidRequest:
    """Return the error for values that the MongoDB driver cannot send."""
    return InvalidRequest(
        "The driver cannot send a value, because it is too large or has a type that MongoDB"
        " does not support.",
        remedy="Correct the values. Nothing was sent.",
    )


def unreadable_values_error(phase: MongoPhase) -> VendorFailed:
    """Return the error for a response with values that the MongoDB driver cannot read."""
    return VendorFailed(
        "The server's answer contains a value that the driver cannot read, such as a date after"
        " the year 9999.",
        may_have_been_processed=phase is MongoPhase.SENT,
        retryable=False,
        remedy="Correct the stored value. To read such dates, set datetime_conversion to"
        ' "DATETIME_AUTO" in `options`.',
    )


def closed_error() -> LocalFailure:
    """Return the error for a MongoDB connector that was closed."""
    return LocalFailure(
        "The connector is closed.", remedy="Perform operations before you close the connector."
    )
