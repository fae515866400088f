"""The meaning of gRPC status codes: the error, and whether the call may have been processed.

A status proves little about the request. Proxies answer with UNAVAILABLE too, and its text may be
one that the server received from another server. So a call counts as unsent only if this side knows
that there was no connection, and never because of an error's text.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Final

import attrs

from moorage.domain.connectors.grpc_status import GrpcDetails
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    InvalidRequest,
    LocalFailure,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

_LONGEST_MESSAGE: Final = 500


class GrpcPhase(Enum):
    """The progress of a gRPC call: whether it can have reached the server.

    Attributes:
        CONNECTING: there was no connection yet, so the request was not sent.
        SENT: the request may have reached the server.
    """

    CONNECTING = auto()
    SENT = auto()


@attrs.frozen(kw_only=True)
class GrpcFault:
    """The details of a failed gRPC call, from which its error is made.

    Attributes:
        code: the name of the status code, such as "UNAVAILABLE".
        message: the text beside the code. It may come from the server, and may contain anything.
        details: the details that the server added.
    """

    code: str
    message: str = attrs.field(default="", repr=False)
    details: GrpcDetails = attrs.field(factory=GrpcDetails)


_REFUSALS: Final[dict[str, tuple[type[VendorRejected | AuthenticationFailed], str, str]]] = {
    "INVALID_ARGUMENT": (
        InvalidRequest,
        "The gRPC service considers the request invalid",
        "Correct the fields of the request.",
    ),
    "OUT_OF_RANGE": (
        InvalidRequest,
        "A value of the request is outside of the range that the gRPC service accepts",
        "Correct the value.",
    ),
    "UNIMPLEMENTED": (
        InvalidRequest,
        "The gRPC service has no such method",
        "Correct the path of the method, or update the server.",
    ),
    "NOT_FOUND": (
        VendorRejected,
        "The gRPC service does not know the object of the request",
        "Correct the name or the id in the request.",
    ),
    "ALREADY_EXISTS": (
        VendorRejected,
        "The object that the request creates exists already at the gRPC service",
        "Use the object that exists, or another name.",
    ),
    "FAILED_PRECONDITION": (
        VendorRejected,
        "The gRPC service is not in the state that the request needs",
        "Bring it into that state first; a repeat alone does not help.",
    ),
    "ABORTED": (
        VendorRejected,
        "The gRPC service gave up the request because of another one at the same time",
        "Read the current state, and repeat the whole sequence of reading and writing.",
    ),
    "PERMISSION_DENIED": (
        AuthenticationFailed,
        "The credential lacks the permission for this method of the gRPC service",
        "Grant the permission, or use another credential.",
    ),
    "UNAUTHENTICATED": (
        AuthenticationFailed,
        "The gRPC service refused the credential",
        "Check that the credential is current.",
    ),
}

_BROKEN: Final = {
    "INTERNAL": ("The gRPC service failed", "Look at the log of the server.", True),
    "UNKNOWN": (
        "The gRPC service failed for a reason that it does not name",
        "Look at the log of the server.",
        True,
    ),
    "DATA_LOSS": (
        "The gRPC service lost data that it cannot recover",
        "Tell those who run the server; a repeat does not help.",
        False,
    ),
}


def grpc_error(fault: GrpcFault, phase: GrpcPhase) -> ConnectorError:
    """Return the error for a failed gRPC call."""
    error = _error(fault, phase)
    details = fault.details
    if details.retry_after is not None:
        error.vendor_retry_after = details.retry_after
    if details.no_retry:
        error.retryable = False
    return error


def _error(fault: GrpcFault, phase: GrpcPhase) -> ConnectorError:
    if phase is GrpcPhase.CONNECTING:
        return _not_connected_error(fault)
    code, details = fault.code, fault.details
    words: dict[str, Any] = {
        "vendor_code": details.reason or code,
        "vendor_message": fault.message[:_LONGEST_MESSAGE] or None,
    }
    if code in _REFUSALS:
        kind, message, remedy = _REFUSALS[code]
        fields = ", ".join(name[:80] for name in details.fields[:10])
        return kind(f"{message}{f' (fields: {fields})' if fields else ''}.", remedy=remedy, **words)
    if code == "RESOURCE_EXHAUSTED":
        return _exhaustion_error(fault, words)
    if code in _BROKEN:
        message, remedy, retryable = _BROKEN[code]
        return VendorFailed(f"{message}.", remedy=remedy, retryable=retryable, **words)
    if code == "DEADLINE_EXCEEDED":
        return AttemptTimeout(
            "The gRPC service did not answer in time.",
            remedy="Allow the call more time, or look why the server is slow.",
        )
    if code == "CANCELLED":
        return ConnectionFailed(
            "The call was cancelled at the gRPC service or on the way to it.",
            remedy="Look at the log of the server and of the proxies before it.",
        )
    return ConnectionFailed(
        "The gRPC service is unavailable, or the connection to it broke.",
        remedy="Check that the server is up, and the network and proxies before it.",
    )


def _exhaustion_error(fault: GrpcFault, words: dict[str, Any]) -> ConnectorError:
    """Return the error for RESOURCE_EXHAUSTED, which means a limit or too large a message."""
    text = fault.message
    if "eceived message larger than max" in text or "ecompressed message larger" in text:
        if "SERVER:" in text:
            return InvalidRequest(
                "The request is larger than the gRPC service accepts.",
                remedy="Send less, or raise the limit of the server.",
                **words,
            )
        return VendorFailed(
            "The answer of the gRPC service is larger than this side accepts.",
            remedy="Ask for less, or raise `max_answer_bytes`.",
            retryable=False,
            **words,
        )
    return RateLimitExceeded("A limit of the gRPC service was reached.", by_vendor=True, **words)


_CAUSES: Final = (
    (
        ("handshake failed", "ssl_error", "certificate", "peer name"),
        "No trusted connection to the gRPC service could be made: TLS failed.",
        "Check that the server offers TLS, the name in its certificate, and `authorities`.",
        False,
    ),
    (
        ("resolving", "resolution failed", "lookup failed", "not found"),
        "The host of the gRPC service is unknown.",
        "Correct the host in the address, or the name server.",
        False,
    ),
    (
        ("http1", "http/2", "settings frame"),
        "The server at this address does not speak gRPC.",
        "Correct the host and the port; a proxy before the server must pass on HTTP/2.",
        True,
    ),
    (
        ("refused", "no such file"),
        "Nothing accepts connections at the address of the gRPC service.",
        "Start the server, or correct the host and the port.",
        True,
    ),
)
"""Words of the library for a failed connection, with their meanings; the first that occurs counts.

They choose the words of an error, and whether a retry may help. The phase has decided the rest.
"""


def _not_connected_error(fault: GrpcFault) -> ConnectionFailed:
    text = fault.message.lower()
    if fault.code == "DEADLINE_EXCEEDED" or "timed out" in text:
        return AttemptTimeout(
            "The gRPC service did not accept a connection in time.",
            may_have_been_processed=False,
            remedy="Check the address and the network, or raise `connect_timeout`.",
        )
    for words, message, remedy, retryable in _CAUSES:
        if any(word in text for word in words):
            return ConnectionFailed(
                message, may_have_been_processed=False, remedy=remedy, retryable=retryable
            )
    return ConnectionFailed(
        "No connection to the gRPC service could be made.",
        may_have_been_processed=False,
        remedy="Check that the server is up, and the network and proxies before it.",
    )


def closed_error() -> LocalFailure:
    """Return the error for a call on a closed connector; the call was not sent."""
    return LocalFailure(
        "The connector is closed.", remedy="Perform operations before it is closed."
    )


def request_too_large_error(size: int, limit: int) -> InvalidRequest:
    """Return the error for a request above the connector's own size limit; it is not sent."""
    return InvalidRequest(
        f"The request has {size} bytes, and the connector sends at most {limit}.",
        remedy="Send less, or raise `max_request_bytes`.",
    )


def unreadable_answer_error(method: str) -> VendorFailed:
    """Return the error for an answer that is not a message of the expected type."""
    return VendorFailed(
        f"The answer of {method} cannot be read as the type that the method declares.",
        remedy="Check that the program and the server use the same definition of the method.",
        retryable=False,
    )
