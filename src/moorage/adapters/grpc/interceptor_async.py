"""Interceptors that protect the calls of generated stubs, for asynchronous programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from moorage.adapters.grpc._calls_async import Messages
from moorage.adapters.grpc._interception import (
    InterceptedCall,
    MethodFacts,
    converted_error,
    method_facts,
)
from moorage.adapters.grpc.rpc_errors import rpc_error
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from moorage.domain.service.operation import OperationAttempt
    from moorage.ports.connector import AsyncPerformer

_WRITTEN_REQUESTS_NAME: Final = "_proxy_writes_as_request_iterator"
"""The name of the generator of grpcio with the requests that a program writes one by one."""


def grpc_interceptors(
    manager: AsyncPerformer,
    service: str,
    *,
    safe: Iterable[str] = (),
    repeatable: Iterable[str] = (),
    definitions: Iterable[Any] = (),
    tenant: str | None = None,
) -> list[Any]:
    """Return the interceptors that protect the calls of a channel of `grpc.aio`.

    Give them to `grpc.aio.secure_channel` as its `interceptors`.

    Errors are instances both of moorage's classes and of `grpc.aio.AioRpcError`. See
    `GrpcInterceptor` for the protections and the arguments. A call with a stream of requests and
    one answer accepts the requests as an iterable, and not by `write`.
    """
    calls = _Calls(manager, service, method_facts(safe, repeatable, definitions), tenant)
    return [_UnaryUnary(calls), _UnaryStream(calls), _StreamUnary(calls), _StreamStream(calls)]


class _Calls:
    """Performs intercepted gRPC calls through the connector manager."""

    def __init__(
        self, manager: AsyncPerformer, service: str, facts: MethodFacts, tenant: str | None
    ) -> None:
        self._manager = manager
        self._service = service
        self._facts = facts
        self._tenant = tenant

    async def perform(
        self,
        kind: type[_Answer],
        continuation: Callable[[Any, Any], Any],
        details: Any,
        request: Any,
        *,
        streams_requests: bool = False,
    ) -> Any:
        call = kind(details.method, self._facts, streams_requests=streams_requests)
        call.begin = continuation
        call.details, call.request = details, request
        try:
            return await self._manager.perform(
                self._service, call, tenant=self._tenant, timeout=details.timeout
            )
        except ConnectorError as error:
            failure = rpc_error(error, is_async=True)
        raise failure


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # generic for type checkers only
    def __init__(self, calls: _Calls) -> None:
        self._calls = calls

    async def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Protect a call with one request and one answer."""
        return await self._calls.perform(_Answer, continuation, client_call_details, request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]  # generic for type checkers only
    def __init__(self, calls: _Calls) -> None:
        self._calls = calls

    async def intercept_unary_stream(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Protect a call with a stream of answers."""
        return await self._calls.perform(_Answers, continuation, client_call_details, request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):  # type: ignore[type-arg]  # generic for type checkers only
    def __init__(self, calls: _Calls) -> None:
        self._calls = calls

    async def intercept_stream_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        """Protect a call with a stream of requests."""
        code = getattr(request_iterator, "ag_code", None)
        if code is not None and code.co_name == _WRITTEN_REQUESTS_NAME:
            # The requests and the response are only available after this function has returned.
            refusal = InvalidData(
                "A protected call with a single response cannot receive its requests through"
                " `write`.",
                field="request_iterator",
                remedy="Pass the requests to the stub as an iterable.",
            )
            raise rpc_error(refusal, is_async=True)
        return await self._calls.perform(
            _Answer, continuation, client_call_details, request_iterator, streams_requests=True
        )


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):  # type: ignore[type-arg]  # generic for type checkers only
    def __init__(self, calls: _Calls) -> None:
        self._calls = calls

    async def intercept_stream_stream(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,
        request_iterator: Any,
    ) -> Any:
        """Protect the start of a call with streams in both directions."""
        return await self._calls.perform(
            _Answers, continuation, client_call_details, request_iterator, streams_requests=True
        )


class _Answer(InterceptedCall):
    """A call with a single response, as an operation."""

    begin: Callable[[Any, Any], Any]
    details: Any
    request: Any

    async def perform(self, attempt: OperationAttempt, /) -> Any:
        """Make one attempt; return grpcio's call object with its response."""
        call = await self.begin(self._details(attempt.timeout), self.request)
        await call
        return call

    def _details(self, timeout: float | None) -> Any:
        details = self.details
        return grpc.aio.ClientCallDetails(
            method=details.method,
            timeout=timeout,
            metadata=details.metadata,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )


class _Answers(_Answer):
    """A call with a stream of responses, as an operation."""

    async def perform(self, attempt: OperationAttempt, /) -> Any:
        """Begin the call; wait for its first response, unless the server needs requests first."""
        call = await self.begin(self._details(self.details.timeout), self.request)
        if self._streams_requests:
            return _answers([], Messages(call), None)
        messages = Messages(call)
        first: list[Any] = []
        try:
            first.append(await messages.following(attempt.timeout))
        except StopAsyncIteration:
            pass
        except BaseException:
            messages.close()
            raise
        return _answers(first, messages, attempt.timeout)


async def _answers(
    first: list[Any], messages: Messages, patience: float | None
) -> AsyncIterator[Any]:
    """Yield the responses of a call; failures are raised as errors of moorage."""
    try:
        while True:
            yield first.pop() if first else await messages.following(patience)
    except StopAsyncIteration:
        return
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = error
    finally:
        messages.close()
    raise converted_error(failure, is_async=True)
