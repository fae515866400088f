"""An interceptor that protects the calls of generated stubs, for synchronous programs."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import grpc

from moorage.adapters.grpc._calls_sync import Messages
from moorage.adapters.grpc._interception import (
    CallDetails,
    InterceptedCall,
    converted_error,
    method_facts,
)
from moorage.adapters.grpc.rpc_errors import rpc_error
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moorage.domain.service.operation import OperationAttempt
    from moorage.ports.connector import Performer


class GrpcInterceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]  # generic for type checkers only
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]  # generic for type checkers only
    grpc.StreamUnaryClientInterceptor,  # type: ignore[type-arg]  # generic for type checkers only
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]  # generic for type checkers only
):
    """Protects the calls of generated stubs.

    Give it to `grpc.intercept_channel`, and make the stub with the channel that this function
    returns.

    Errors are instances of moorage's classes and of `grpc.RpcError` at once, with `code()`,
    `details()` and metadata. The time limit of a call is that of the whole call, with all attempts.

    A stream of answers is protected until its first answer. A call with a stream of requests is
    never repeated, because its requests can be read only once; if it has a stream of answers too,
    failures after the first answer are converted, and do not count for the circuit. `future` of a
    stub blocks until the call has ended.

    Args:
        manager: the manager that performs the calls.
        service: the service whose protections apply.
        safe: the paths of methods that change nothing, such as "/shop.Orders/Get".
        repeatable: the paths of methods that may be repeated.
        definitions: generated file descriptors, such as `shop_pb2.DESCRIPTOR`, whose option
            `idempotency_level` says the same.
        tenant: the tenant whose limits and circuit apply.
    """

    def __init__(
        self,
        manager: Performer,
        service: str,
        *,
        safe: Iterable[str] = (),
        repeatable: Iterable[str] = (),
        definitions: Iterable[Any] = (),
        tenant: str | None = None,
    ) -> None:
        self._manager = manager
        self._service = service
        self._facts = method_facts(safe, repeatable, definitions)
        self._tenant = tenant

    def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Protect a call with one request and one answer."""
        return self._perform(_Answer, continuation, client_call_details, request)

    def intercept_stream_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        """Protect a call with a stream of requests."""
        return self._perform(_Answer, continuation, client_call_details, request_iterator, True)

    def intercept_unary_stream(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Protect a call with a stream of answers."""
        return self._perform(_Answers, continuation, client_call_details, request)

    def intercept_stream_stream(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        """Protect the start of a call with streams in both directions."""
        return self._perform(_Answers, continuation, client_call_details, request_iterator, True)

    def _perform(
        self,
        kind: type[_Answer],
        continuation: Callable[[Any, Any], Any],
        details: Any,
        request: Any,
        streams_requests: bool = False,  # noqa: FBT001, FBT002 - private
    ) -> Any:
        call = kind(details.method, self._facts, streams_requests=streams_requests)
        call.begin = continuation
        call.details, call.request = details, request
        try:
            return self._manager.perform(
                self._service, call, tenant=self._tenant, timeout=details.timeout
            )
        except ConnectorError as error:
            failure = rpc_error(error, is_async=False)
        raise failure


class _Answer(InterceptedCall):
    """A call with a single response, as an operation."""

    begin: Callable[[Any, Any], Any]
    details: Any
    request: Any

    def perform(self, attempt: OperationAttempt, /) -> Any:
        """Make one attempt; return grpcio's call object with its response."""
        call = self.begin(self._details(attempt.timeout), self.request)
        call.result()
        return call

    def _details(self, timeout: float | None) -> CallDetails:
        details = self.details
        return CallDetails(
            details.method,
            timeout,
            details.metadata,
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )


class _Answers(_Answer):
    """A call with a stream of responses, as an operation."""

    def perform(self, attempt: OperationAttempt, /) -> Any:
        """Begin the call; wait for its first response, unless the server needs requests first."""
        call = self.begin(self._details(self.details.timeout), self.request)
        messages = Messages(call)
        if self._streams_requests:
            return _ProtectedAnswers(call, iter(call), messages)
        first: list[Any] = []
        try:
            first.append(messages.following(attempt.timeout))
        except StopIteration:
            messages.close()
            return _ProtectedAnswers(call, iter(()), messages)
        except BaseException:
            messages.close()
            raise
        return _ProtectedAnswers(call, _stream_answers(first, messages, attempt.timeout), messages)


def _stream_answers(first: list[Any], messages: Messages, patience: float) -> Iterator[Any]:
    yield first.pop()
    while True:
        try:
            answer = messages.following(patience)
        except StopIteration:
            return
        yield answer


class _ProtectedAnswers:
    """A stream of responses that behaves like grpcio's call object, but raises moorage's errors."""

    def __init__(self, call: Any, answers: Iterator[Any], messages: Messages) -> None:
        self._call = call
        self._answers = answers
        # A program that stops reading early does not report it, so garbage collection closes the
        # stream.
        self._close = weakref.finalize(self, messages.close)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._answers)
        except StopIteration:
            self._close.detach()
            raise
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = error
        self._close()
        raise converted_error(failure, is_async=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)
