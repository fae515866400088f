"""The details that a gRPC server adds to an error: `google.rpc.Status` and a retry pause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

import attrs

from moorage.domain.connectors.protobuf_wire import bytes_of, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUS: Final = "grpc-status-details-bin"
_PUSHBACK: Final = "grpc-retry-pushback-ms"
_RETRY_AFTER: Final = "retry-after"
_RETRY_INFO: Final = "google.rpc.RetryInfo"
_ERROR_INFO: Final = "google.rpc.ErrorInfo"
_BAD_REQUEST: Final = "google.rpc.BadRequest"
_MAX_BYTES: Final = 65_536


@attrs.frozen(kw_only=True)
class GrpcDetails:
    """The details of a gRPC error that a server sent in addition to its status code.

    Attributes:
        retry_after: the seconds after which a retry makes sense, if the server named them.
        no_retry: True if the server asked for no retry.
        reason: the reason of a `google.rpc.ErrorInfo`, such as "STOCK_EMPTY".
        domain: the domain of that reason, such as "stock.example".
        fields: the fields of the request that are wrong, of a `google.rpc.BadRequest`.
        details: the bytes of all details, by the name of their message.
    """

    retry_after: float | None = None
    no_retry: bool = False
    reason: str | None = None
    domain: str | None = None
    fields: tuple[str, ...] = ()
    details: tuple[tuple[str, bytes], ...] = attrs.field(default=(), repr=False)


def details_of(metadata: Iterable[tuple[str, str | bytes]]) -> GrpcDetails:
    """Return the error details in the trailing metadata of a failed gRPC call.

    Unreadable details are left out, because malformed details must not hide the error itself.
    """
    trailers = dict(metadata)
    result = GrpcDetails()
    status = trailers.get(_STATUS)
    if isinstance(status, bytes) and len(status) <= _MAX_BYTES:
        try:
            result = _of_status(status)
        except ValueError:
            result = GrpcDetails()
    pushback, pause = trailers.get(_PUSHBACK), trailers.get(_RETRY_AFTER)
    if pushback is None:
        # Proxies copy the HTTP header here; only seconds are read, because a date would need a
        # clock.
        if result.retry_after is None and _is_number(pause):
            return attrs.evolve(result, retry_after=float(pause[:9]))
        return result
    if _is_number(pushback):
        return attrs.evolve(result, retry_after=int(pushback[:12]) / 1000)
    # By gRPC's specification, a pushback that is not a number asks for no retry.
    return attrs.evolve(result, no_retry=True)


def _is_number(value: str | bytes | None) -> TypeGuard[str]:
    return isinstance(value, str) and value.isascii() and value.isdecimal()


def _of_status(status: bytes) -> GrpcDetails:
    details = tuple(
        (_text(bytes_of(detail, 1)).rpartition("/")[2], b"".join(bytes_of(detail, 2)))
        for detail in bytes_of(status, 3)
    )
    by_name = dict(details)
    retry_after = None
    if _RETRY_INFO in by_name:
        delay = b"".join(bytes_of(by_name[_RETRY_INFO], 1))
        retry_after = max(0.0, number_of(delay, 1) + number_of(delay, 2) / 1e9)
    error_info = by_name.get(_ERROR_INFO, b"")
    violations = bytes_of(by_name.get(_BAD_REQUEST, b""), 1)
    return GrpcDetails(
        retry_after=retry_after,
        reason=_text(bytes_of(error_info, 1)) or None,
        domain=_text(bytes_of(error_info, 2)) or None,
        fields=tuple(_text(bytes_of(violation, 1)) for violation in violations),
        details=details,
    )


def _text(values: list[bytes]) -> str:
    return b"".join(values).decode(errors="replace")
