"""The meaning of gRPC status codes: the error, and whether the call may have been processed.

A status proves little about the request. Proxies also respond with UNAVAILABLE, and the status may
repeat the text of a third server. So a call counts as unsent only if this side knows that there was
no connection, and never because of an error's text.
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
        "The gRPC service rejected the request as invalid",
        "Correct the fields of the request.",
    ),
    "OUT_OF_RANGE": (
        InvalidRequest,
        "A value in the request is outside the range that the gRPC service accepts",
        "Correct the value.",
    ),
    "UNIMPLEMENTED": (
        InvalidRequest,
        "The gRPC service does not have this method",
        "Correct the path of the method, or update the server.",
    ),
    "NOT_FOUND": (
        VendorRejected,
        "The gRPC service does not have the object that the request names",
        "Correct the name or the id in the request.",
    ),
    "ALREADY_EXISTS": (
        VendorRejected,
        "The gRPC service already has the object that the request creates",
        "Use the existing object, or choose another name.",
    ),
    "FAILED_PRECONDITION": (
        VendorRejected,
        "The gRPC service is not in the state that the request requires",
        "Bring the service into that state first. Repeating the request alone does not help.",
    ),
    "ABORTED": (
        VendorRejected,
        "The gRPC service aborted the request because of a concurrent request",
        "Read the current state, and repeat all steps from the first read to the write.",
    ),
    "PERMISSION_DENIED": (
        AuthenticationFailed,
        "The credential does not have permission to call this method of the gRPC service",
        "Grant the permission, or use another credential.",
    ),
    "UNAUTHENTICATED": (
        AuthenticationFailed,
        "The gRPC service refused the credential",
        "Check that the credential is valid and has not expired.",
    ),
}

_BROKEN_CALLS: Final = {
    "INTERNAL": ("The gRPC service failed", "Check the server's log.", True),
    "UNKNOWN": (
        "The gRPC service failed and gave no reason",
        "Check the server's log.",
        True,
    ),
    "DATA_LOSS": (
        "The gRPC service lost data that it cannot recover",
        "Contact the operator of the server. Repeating the request does not help.",
        False,
    ),
}

_RESET: Final = "RST_STREAM"
"""A word in grpc's own text for a call whose stream was reset."""

_CODES_OF_RESETS: Final = frozenset({"RESOURCE_EXHAUSTED", "PERMISSION_DENIED"})
"""The codes that grpc invents for some resets, though a server sends them for refused calls."""


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
    if _RESET in fault.message and code in _CODES_OF_RESETS:
        return ConnectionFailed(
            "The gRPC service, or a proxy in front of it, broke the call off.",
            remedy="Check the log of the server and of the proxies in front of it.",
        )
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
    if code in _BROKEN_CALLS:
        message, remedy, retryable = _BROKEN_CALLS[code]
        return VendorFailed(f"{message}.", remedy=remedy, retryable=retryable, **words)
    if code == "DEADLINE_EXCEEDED":
        return AttemptTimeout(
            "The gRPC service did not answer in time.",
            remedy="Raise the timeout of the call, or find out why the server is slow.",
        )
    if code == "CANCELLED":
        return ConnectionFailed(
            "The call was cancelled by the gRPC service or by a proxy in front of it.",
            remedy="Check the log of the server and of the proxies in front of it.",
        )
    return ConnectionFailed(
        "The gRPC service is unavailable, or the connection to it broke.",
        remedy="Check that the server is running, and check the network and the proxies in"
        " front of the server.",
    )


def _exhaustion_error(fault: GrpcFault, words: dict[str, Any]) -> ConnectorError:
    """Return the error for RESOURCE_EXHAUSTED, which means a limit or too large a message."""
    text = fault.message
    if "etadata size exceeds" in text:
        return VendorFailed(
            "The metadata of the gRPC call is larger than this connector or the server accepts.",
            remedy="Send less metadata. If the response has too much, set the options"
            " grpc.max_metadata_size and grpc.absolute_max_metadata_size of the connector.",
            retryable=False,
            **words,
        )
    if "eceived message larger than max" in text or "ecompressed message larger" in text:
        if "SERVER:" in text:
            return InvalidRequest(
                "The request is larger than the gRPC service accepts.",
                remedy="Send less data, or raise the server's limit.",
                **words,
            )
        return VendorFailed(
            "The response of the gRPC service is larger than this connector accepts.",
            remedy="Request less data at once, or raise `max_answer_bytes`.",
            retryable=False,
            **words,
        )
    return RateLimitExceeded("A limit of the gRPC service was reached.", by_vendor=True, **words)


_CAUSES: Final = (
    (
        ("handshake failed", "ssl_error", "certificate", "peer name"),
        "No trusted connection to the gRPC service could be opened: TLS failed.",
        (
            "Check that the server offers TLS, that its certificate is valid for the host, and"
            " that `authorities` contains its issuer."
        ),
        False,
    ),
    (
        ("resolving", "resolution failed", "lookup failed", "not found"),
        "The host name of the gRPC service could not be resolved.",
        "Correct the host in the address, or check the DNS server.",
        False,
    ),
    (
        ("http1", "http/2", "settings frame"),
        "The server at this address did not answer with gRPC.",
        "Correct the host and the port. A proxy in front of the server must forward HTTP/2.",
        True,
    ),
    (
        ("refused", "no such file"),
        "Nothing accepts connections at the address of the gRPC service.",
        "Start the server, or correct the host and the port.",
        True,
    ),
)
"""Words in grpc's error text for a failed connection, with their meanings; the first match counts.

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
        "The connection to the gRPC service could not be opened.",
        may_have_been_processed=False,
        remedy="Check that the server is running, and check the network and the proxies in"
        " front of the server.",
    )


def closed_error() -> LocalFailure:
    """Return the error for a call on a closed connector; the call was not sent."""
    return LocalFailure(
        "The connector is closed.", remedy="Perform operations before you close the connector."
    )


def request_too_large_error(size: int, limit: int) -> InvalidRequest:
    """Return the error for a request above the connector's size limit; it was not sent."""
    return InvalidRequest(
        f"The request has {size} bytes, but the connector sends at most {limit}.",
        remedy="Send less data, or raise `max_request_bytes`.",
    )


def unreadable_answer_error(method: str) -> VendorFailed:
    """Return the error for a response that is not a message of the expected type."""
    return VendorFailed(
        f"The response of {method} does not match the type that the method declares.",
        remedy="Check that the program and the server use the same definition of the method.",
        retryable=False,
    )
