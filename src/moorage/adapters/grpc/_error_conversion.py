"""Converts exceptions of grpcio to errors of moorage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from moorage.domain.connectors.grpc_failures import (
    GrpcFault,
    GrpcPhase,
    grpc_error,
    unreadable_answer_error,
)
from moorage.domain.connectors.grpc_status import details_of
from moorage.domain.secrets.frames import without_frames
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from moorage.adapters.grpc.methods import GrpcMethod


def fault_of(error: Any) -> GrpcFault:
    """Return the status code, message and details from the exception of a failed gRPC call."""
    return GrpcFault(
        code=error.code().name,
        message=error.details() or "",
        details=details_of((pair[0], pair[1]) for pair in error.trailing_metadata() or ()),
    )


def call_error_of(error: Exception) -> ConnectorError | None:
    """Return the moorage error for an exception of a sent call; None for other exceptions."""
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, TimeoutError):
        return grpc_error(GrpcFault(code="DEADLINE_EXCEEDED"), GrpcPhase.SENT)
    if isinstance(error, grpc.RpcError):
        return grpc_error(fault_of(error), GrpcPhase.SENT)
    return None


def is_of_code(error: Exception, code: str) -> bool:
    """Return whether an exception belongs to a gRPC call that ended with this status code."""
    return isinstance(error, grpc.RpcError) and fault_of(error).code == code


def without_secret(error: Exception, secret: str) -> Exception:
    """Convert an exception to an error of moorage, and remove a secret from its message."""
    failure = call_error_of(error)
    if failure is None:
        return error
    if secret:
        failure.args = tuple(str(text).replace(secret, "***") for text in failure.args)
        for name in ("vendor_message", "vendor_code"):
            text = getattr(failure, name, None)
            if text:
                vars(failure)[name] = text.replace(secret, "***")
    return without_frames(failure)


def answer_of(method: GrpcMethod[Any, Any], data: bytes) -> Any:
    """Deserialize the response of a method.

    Raises:
        VendorFailed: the bytes are not a message of the method's type.
    """
    try:
        return method.deserialize(data)
    except Exception:  # noqa: BLE001 - whatever the function of the user raises
        failure = unreadable_answer_error(method.name)
    raise failure
