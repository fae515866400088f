"""Streams of responses from gRPC services.

`python -m tools.twins` makes the synchronous module from this one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from moorage.adapters.grpc import _calls_async as calls
from moorage.adapters.grpc._calls_async import BROKEN_OFF, EndOfStream, is_cancelled
from moorage.adapters.grpc._error_conversion import answer_of, call_error_of
from moorage.adapters.grpc._requests import interrupted_requests_error
from moorage.domain.secrets.frames import without_frames

if TYPE_CHECKING:
    from moorage.adapters.grpc._calls_async import Messages, Requests
    from moorage.adapters.grpc.connector_async import AsyncGrpcConnector
    from moorage.adapters.grpc.methods import GrpcMethod

A = TypeVar("A")


class AsyncGrpcStream(Generic[A]):
    """The responses of a call: an iterator, and a context manager that ends the call.

    The protections of the service applied until the first answer. A stream that the program drops
    without ending it ends when Python collects it.
    """

    def __init__(
        self,
        connector: AsyncGrpcConnector,
        holder: object,
        method: GrpcMethod[Any, A],
        messages: Messages,
        requests: Requests | None,
    ) -> None:
        self._connector = connector
        self._holder = holder
        self._method = method
        self._messages = messages
        self._requests = requests
        self._patience = 0.0
        self._first: list[A] = []
        self._is_ended = False
        leave = partial(connector.leave, holder)
        self._dropping = calls.end_when_dropped(self, messages, leave)

    async def begin(self, patience: float) -> None:
        """Wait for the first response, or for the end of an empty stream."""
        self._patience = patience
        try:
            self._first.append(await self._following())
        except EndOfStream:
            await self.close()
        except BaseException:
            self._dropping.detach()
            self._messages.close()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> A:
        if self._first:
            return self._first.pop()
        if self._is_ended:
            raise EndOfStream
        try:
            return await self._following()
        except EndOfStream:
            await self.close()
            raise
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = call_error_of(error) or error
        await self.close()
        raise without_frames(failure)

    async def close(self) -> None:
        """End the gRPC call."""
        self._is_ended = True
        self._dropping.detach()
        self._first.clear()
        self._messages.close()
        await self._connector.leave(self._holder)

    async def _following(self) -> A:
        try:
            data = await self._messages.following(self._patience)
        except BROKEN_OFF:
            if self._requests is None or self._requests.failure is None or is_cancelled():
                raise
            raise interrupted_requests_error() from self._requests.failure
        answer: A = answer_of(self._method, data)
        return answer
