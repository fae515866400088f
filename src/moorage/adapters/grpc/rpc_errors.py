"""Errors of moorage that are also errors of grpcio, for code that expects grpcio's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import grpc
import grpc.aio

from moorage.adapters.grpc._requests import received_metadata
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    BulkheadFull,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    CredentialNotFound,
    CredentialRefreshFailed,
    DeadlineExceeded,
    HeldBack,
    InvalidData,
    InvalidRequest,
    LocalFailure,
    RateLimitExceeded,
    RetryBudgetExhausted,
    StorageUnavailable,
)

if TYPE_CHECKING:
    from moorage.adapters.grpc._requests import Pairs

_STATUS: Final = "_grpc_status"
_CODES: Final[tuple[tuple[tuple[type[ConnectorError], ...], str], ...]] = (
    ((AttemptTimeout, DeadlineExceeded), "DEADLINE_EXCEEDED"),
    ((BulkheadFull, RateLimitExceeded), "RESOURCE_EXHAUSTED"),
    ((InvalidData, InvalidRequest), "INVALID_ARGUMENT"),
    ((LocalFailure,), "INTERNAL"),
    ((ConfigurationError, HeldBack), "FAILED_PRECONDITION"),
    ((AuthenticationFailed, CredentialNotFound, CredentialRefreshFailed), "UNAUTHENTICATED"),
    (
        (CircuitBreakerOpen, ConnectionFailed, RetryBudgetExhausted, StorageUnavailable),
        "UNAVAILABLE",
    ),
)
"""The status codes that stand for errors of moorage itself; the first class that fits counts."""


@attrs.frozen
class _Status:
    """The status of a failed call, as the server sent it.

    Attributes:
        code: the name of the code.
        details: the text beside it.
        initial: the metadata before the answer.
        trailing: the metadata after it.
    """

    code: str
    details: str = attrs.field(repr=False)
    initial: Pairs = attrs.field(default=(), repr=False)
    trailing: Pairs = attrs.field(default=(), repr=False)


class _StatusOfCall:
    """The methods of grpcio's exceptions, for errors of moorage."""

    def code(self) -> grpc.StatusCode:
        """Return the server's status code, or the code that corresponds to the error."""
        return grpc.StatusCode[self._status().code]

    def details(self) -> str:
        """Return the server's error message, or else the error's own message."""
        return self._status().details

    def initial_metadata(self) -> Pairs:
        """Return the metadata that the server sent before its response."""
        return self._status().initial

    def trailing_metadata(self) -> Pairs:
        """Return the metadata that the server sent after its response."""
        return self._status().trailing

    def debug_error_string(self) -> str:
        """Return the text of the error."""
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        parts: Any = super().__reduce__()
        _, (_, args, fields) = parts
        return _rebuilt_error, (*_PARTS[type(self)], args, fields)

    def _status(self) -> _Status:
        status: _Status | None = vars(self).get(_STATUS)
        if status is not None:
            return status
        code = next((code for kinds, code in _CODES if isinstance(self, kinds)), "UNKNOWN")
        return _Status(code, str(self))


_PARTS: Final[dict[type[Any], tuple[type[ConnectorError], bool]]] = {}


_KINDS: Final[dict[tuple[type[ConnectorError], bool], type[Any]]] = {}


def _kind(base: type[ConnectorError], *, is_async: bool) -> type[Any]:
    """Return the class that derives from both a moorage error and grpcio's exception."""
    kind = _KINDS.get((base, is_async))
    if kind is None:
        foreign: type[Exception] = grpc.aio.AioRpcError if is_async else grpc.RpcError
        kind = type(base.__name__, (_StatusOfCall, base, foreign), {"__module__": base.__module__})
        kind = _KINDS.setdefault((base, is_async), kind)
        _PARTS[kind] = base, is_async
    return kind


def _rebuilt_error(
    base: type[ConnectorError],
    is_async: bool,  # noqa: FBT001 - private
    args: tuple[Any, ...],
    fields: dict[str, Any],
) -> Any:
    kind = _kind(base, is_async=is_async)
    error: Any = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


def remember_status(failure: ConnectorError, error: Any) -> ConnectorError:
    """Store the gRPC status of a failed call in its moorage error."""
    vars(failure)[_STATUS] = _Status(
        error.code().name,
        error.details() or "",
        received_metadata(error.initial_metadata()),
        received_metadata(error.trailing_metadata()),
    )
    return failure


def rpc_error(error: ConnectorError, *, is_async: bool) -> Any:
    """Return the error as an instance of a class that is also a grpcio exception.

    Args:
        error: the error of moorage.
        is_async: whether it is a `grpc.aio.AioRpcError`, as programs with `grpc.aio` expect.
    """
    if type(error) in _PARTS:
        return error
    converted_error = _rebuilt_error(type(error), is_async, error.args, dict(vars(error)))
    converted_error.__cause__ = error.__cause__
    return converted_error.with_traceback(error.__traceback__)
