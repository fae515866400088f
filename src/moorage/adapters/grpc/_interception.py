"""The common code of the interceptors for synchronous and asynchronous programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import grpc

from moorage.adapters.grpc._error_conversion import call_error_of
from moorage.adapters.grpc.methods import GrpcMethod
from moorage.adapters.grpc.rpc_errors import remember_status, rpc_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.errors import ConnectorError


@attrs.frozen
class CallDetails(grpc.ClientCallDetails):
    """The details of a call, with a replaced time limit."""

    method: Any
    timeout: float | None
    metadata: Any = attrs.field(repr=False)
    credentials: Any = attrs.field(repr=False)
    wait_for_ready: bool | None
    compression: Any


@attrs.frozen
class MethodFacts:
    """The paths of the methods that only read, and of the methods that may be repeated."""

    safe: frozenset[str]
    repeatable: frozenset[str]


def method_facts(
    safe: Iterable[str], repeatable: Iterable[str], definitions: Iterable[Any]
) -> MethodFacts:
    """Return the paths of read-only and repeatable methods, from arguments and definitions.

    Args:
        safe: the methods that change nothing, such as "/shop.Orders/Get".
        repeatable: the methods that may be repeated.
        definitions: generated file descriptors, whose option `idempotency_level` is read too.
    """
    described_methods = [
        GrpcMethod[Any, Any].described(method)
        for file in definitions
        for service in file.services_by_name.values()
        for method in service.methods
    ]
    safe_paths = frozenset(f"/{name.removeprefix('/')}" for name in safe)
    safe_paths |= {method.path for method in described_methods if method.safe}
    repeatable_paths = frozenset(f"/{name.removeprefix('/')}" for name in repeatable)
    repeatable_paths |= {method.path for method in described_methods if method.repeatable}
    return MethodFacts(safe_paths, repeatable_paths | safe_paths)


class InterceptedCall:
    """The base class of operations that call a method of a generated stub."""

    system = "grpc"

    def __init__(self, path: str | bytes, facts: MethodFacts, *, streams_requests: bool) -> None:
        text = path.decode() if isinstance(path, bytes) else path
        service, _, method = text.rpartition("/")
        self.name = f"{service.rpartition('/')[2].rpartition('.')[2]}.{method}"
        self._streams_requests = streams_requests
        self.safe = text in facts.safe and not streams_requests
        self.repeatable = text in facts.repeatable and not streams_requests

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Convert a grpcio exception; forbid a retry if the requests cannot be sent again."""
        failure = call_error_of(error)
        if failure is None:
            return None
        if isinstance(error, grpc.RpcError):
            remember_status(failure, error)
        if self._streams_requests:
            failure.retryable = False
        return failure

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def converted_error(error: Exception, *, is_async: bool) -> Exception:
    """Convert an exception that ended a response stream to an error of moorage."""
    failure = call_error_of(error)
    if failure is None:
        return error
    if isinstance(error, grpc.RpcError):
        remember_status(failure, error)
    combined_error: Exception = rpc_error(failure, is_async=is_async)
    return combined_error
